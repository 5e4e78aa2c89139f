"""sinks/webhook_settings.py and sinks/pem.py: what is wrong with a webhook is one line, before anything is sent."""

import base64
from pathlib import Path
from typing import Any

import pytest
from certificates import Certificates
from config_examples import parsed, problems
from cryptography.hazmat.primitives import serialization
from pydantic import ValidationError

from salesforce_poller.sinks.webhook_settings import WebhookSettings

HOOK: dict[str, Any] = {"type": "webhook", "url": "https://example.com/hook"}
OAUTH = {"token_url": "https://login.example.com/token", "client_id": "us", "client_secret": "hunter22-hunter22"}
BASIC = {"username": "us", "password": "hunter22-hunter22"}


def problem(**said: Any) -> str:
    """Return what is wrong; the secret is not in it."""
    with pytest.raises(ValidationError) as caught:
        WebhookSettings.model_validate(HOOK | said)
    text = "\n".join(each["msg"] for each in caught.value.errors())
    assert "hunter22" not in text
    return text


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"basic": BASIC, "bearer": "hunter22-hunter22"}, "basic and bearer exclude each other"),
        ({"basic": BASIC, "oauth2": OAUTH}, "basic and oauth2 exclude each other"),
        ({"bearer": "x", "headers": {"authorization": "y"}}, "bearer and headers.Authorization exclude each other"),
        ({"bearer": "hunter22 hunter22"}, "the token alone, without spaces"),
        ({"bearer": ""}, "the token alone"),
        ({"basic": {"username": "a:b", "password": "x"}}, "no colon"),
        ({"basic": {"username": "a"}}, "Field required"),
        ({"oauth2": OAUTH | {"token_url": "login.example.com"}}, "should be an address"),
        ({"oauth2": OAUTH | {"client_id": ""}}, "at least 1 character"),
        ({"oauth2": OAUTH | {"credentials_in": "cookie"}}, "'header' or 'body'"),
        ({"headers": {"ce-id": "x"}}, "ce-id is set by the sink itself"),
        ({"mode": "binary", "batch": 2}, "one event in a request; leave out batch, or mode"),
        ({"mode": "binary", "format": "slack"}, 'for format = "cloudevents" only'),
        ({"batch_wait": "5s"}, "batch_wait is for batch = 2 and more"),
        ({"format": "slack", "batch": 51}, "50 at most"),
        ({"format": "xml"}, "'cloudevents', 'plain' or 'slack'"),
        ({"secret": "whpk_" + base64.b64encode(bytes(32)).decode()}, "this is the public key"),
        ({"url": "http://169.254.169.254/latest"}, "where clouds keep the credentials"),
        ({"url": "http://2852039166/latest"}, "where clouds keep the credentials"),
        ({"url": "http://[::ffff:a9fe:a9fe]/"}, "where clouds keep the credentials"),
        ({"url": "http://10.0.0.1/", "networks": "public"}, '10.0.0.1 is outside of what networks = "public" allows'),
        ({"oauth2": OAUTH | {"token_url": "http://127.1/"}, "networks": "public"}, "127.0.0.1 is outside"),
        ({"networks": "private"}, 'should be "any", "public", or networks such as'),
        ({"networks": []}, "at least 1 item"),
        ({"proxy": "proxy.example.com:3128"}, "should be an address such as"),
        ({"proxy": "socks5://hunter22@proxy.example.com"}, "should be an address such as"),
        ({"proxy": "http://proxy.example.com:hunter22"}, "should be an address such as"),
        ({"connect_timeout": "0s"}, "greater than"),
    ],
)
def test_what_does_not_fit_is_said(said: dict[str, Any], why: str) -> None:
    """With what would be right, and without secrets."""
    assert why in problem(**said)


@pytest.mark.parametrize(
    "said",
    [
        {"basic": BASIC, "headers": {"X-Api-Key": "x"}},
        {"oauth2": OAUTH},
        {"mode": "binary"},
        {"batch": 100, "batch_wait": "5s"},
        {"format": "plain", "batch": 100},
        {"networks": ["public", "10.0.0.0/8"], "url": "http://10.0.0.1/"},
        {"networks": "10.0.0.0/8", "url": "http://10.0.0.1/"},
        {"proxy": "https://us:hunter22@proxy.example.com"},
    ],
)
def test_what_fits_is_taken(said: dict[str, Any]) -> None:
    """Each alone."""
    WebhookSettings.model_validate(HOOK | said)


def test_a_wrong_webhook_is_a_line_with_its_place() -> None:
    """As anything else that is wrong in the file; a key of a table within is found as well."""
    hook = '[sinks.crm]\ntype = "webhook"\nurl = "https://example.com"\n'
    [line] = problems(hook + 'mode = "binary"\nbatch = 5')
    assert line.startswith('configuration:14: sinks.crm: mode = "binary" has one event')
    [line] = problems(hook + 'oauth2 = { token_url = "x", client_id = "x", client_secret = "s3cr3t-and-never-shown" }')
    assert line.startswith("configuration:17: sinks.crm.oauth2.token_url: should be an address")
    [line] = problems(hook + 'ca = "nowhere.pem"')
    assert line == "configuration:17: sinks.crm.ca: cannot read nowhere.pem: No such file or directory"
    [line] = problems(hook + 'basic = { username = "us", password = { env = "NOBODY" } }')
    assert line == "configuration:17: sinks.crm.basic.password: the environment variable NOBODY is not set"


def test_the_proxy_can_come_from_the_environment() -> None:
    """Its password should not stand in a file."""
    sinks = parsed(
        '[sinks.crm]\ntype = "webhook"\nurl = "https://example.com"\nproxy = { env = "EGRESS" }',
        {"EGRESS": "http://us:them@proxy.example.com:3128"},
    ).sinks
    assert "them" not in repr(sinks["crm"])


def test_certificates_that_fit_are_taken(some_certificates: Certificates, tmp_path: Path) -> None:
    """The key in a file of its own, or behind the certificate."""
    ours = some_certificates
    WebhookSettings.model_validate(
        HOOK | {"ca": ours.ca, "client_certificate": ours.client, "client_key": ours.client_key}
    )
    both = tmp_path / "both.pem"
    both.write_bytes(ours.client_key.read_bytes() + ours.client.read_bytes())
    WebhookSettings.model_validate(HOOK | {"client_certificate": both})


def test_certificates_that_do_not_fit_are_named(some_certificates: Certificates, tmp_path: Path) -> None:
    """And why they do not; nobody is asked for a passphrase on a terminal."""
    ours, theirs = some_certificates.client, some_certificates.server_key
    key = serialization.load_pem_private_key(some_certificates.client_key.read_bytes(), password=None)
    locked, empty, half = tmp_path / "locked.key", tmp_path / "empty.pem", tmp_path / "half.pem"
    passphrase = serialization.BestAvailableEncryption(b"hunter22")
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, passphrase))
    empty.write_text("nothing")
    half.write_text("-----BEGIN CERTIFICATE-----\n")
    assert "does not belong to the certificate" in problem(client_certificate=ours, client_key=theirs)
    assert f"the key in {locked} has a passphrase" in problem(client_certificate=ours, client_key=locked)
    assert "client_key is nothing without client_certificate" in problem(client_key=locked)
    assert f"{ours} and its key cannot be used" in problem(client_certificate=ours)
    assert f"{empty} holds no PEM" in problem(ca=empty)
    assert f"{half} holds no certificates" in problem(ca=half)
    assert f"cannot read {tmp_path}: Is a directory" in problem(ca=tmp_path)
