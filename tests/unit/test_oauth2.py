"""sinks/oauth2.py: how a token is asked for, and what the endpoint's answers mean."""

import base64
from typing import Any
from urllib.parse import parse_qs

import pytest
from builders import NOON

from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import oauth2
from salesforce_poller.sinks.answers import Answer
from salesforce_poller.sinks.webhook_settings import OAuth2Settings

SETTINGS = {"token_url": "https://login.example.com/token", "client_id": "us:1", "client_secret": "t0p secret+"}


def asked(**more: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the headers and the form of a request for a token."""
    headers, body = oauth2.request(OAuth2Settings.model_validate(SETTINGS | more))
    return headers, parse_qs(body.decode(), strict_parsing=True)


def read(status: int, text: str, **headers: str) -> oauth2.Token | Receipt:
    """Return what an answer means."""
    return oauth2.read(Answer(status, "Because", headers, text), NOON, ("t0p secret+",))


def test_the_credentials_travel_in_the_header_unless_the_form_is_asked_for() -> None:
    """Form-encoded within it, as RFC 6749, 2.3.1 has it."""
    headers, form = asked()
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"us%3A1:t0p+secret%2B"
    assert form == {"grant_type": ["client_credentials"]}
    headers, form = asked(credentials_in="body", scope="a b", audience="https://api.example.com")
    assert "Authorization" not in headers
    assert form == {
        "grant_type": ["client_credentials"],
        "client_id": ["us:1"],
        "client_secret": ["t0p secret+"],
        "scope": ["a b"],
        "audience": ["https://api.example.com"],
    }


@pytest.mark.parametrize(
    ("expires_in", "life"),
    [(3600, 3540.0), ("3600", 3540.0), (100, 50.0), (0, 0.0), (-5, 0.0), (None, None), ("soon", None)],
)
def test_a_token_is_given_up_before_its_end(expires_in: Any, life: float | None) -> None:
    """A minute before, or at half of a short life; without an end, when it is refused."""
    quoted = f'"{expires_in}"' if isinstance(expires_in, str) else "null" if expires_in is None else str(expires_in)
    text = f'{{"access_token": "abc", "token_type": "Bearer", "expires_in": {quoted}}}'
    assert read(200, text) == oauth2.Token("abc", life)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "[]",
        "{}",
        '{"access_token": ""}',
        '{"access_token": 5}',
        '{"access_token": "a\\r\\nEvil: 1"}',
        '{"access_token": "abc", "token_type": "mac"}',
    ],
)
def test_what_is_no_bearer_token_is_a_refusal(text: str) -> None:
    """Of the whole sink; nothing of the answer is repeated, since it may be half a token."""
    found = read(200, text)
    assert isinstance(found, Receipt)
    assert (found.verdict, found.general) == (Verdict.REFUSED, True)
    assert found.detail == "token endpoint: the answer holds no bearer token"
    assert found.response == ""


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (400, Verdict.REFUSED),
        (401, Verdict.REFUSED),
        (410, Verdict.REFUSED),
        (302, Verdict.REFUSED),
        (429, Verdict.TRY_LATER),
        (503, Verdict.TRY_LATER),
    ],
)
def test_a_refusal_of_the_endpoint_is_about_the_whole_sink(status: int, verdict: Verdict) -> None:
    """Also a 410: the receiver has not asked us to stop."""
    found = read(status, '{"error": "invalid_client", "error_description": "t0p secret+ is wrong"}')
    assert isinstance(found, Receipt)
    assert (found.verdict, found.general, found.reference) == (verdict, True, str(status))
    assert found.detail.startswith(f"token endpoint: HTTP {status}")
    assert "t0p" not in found.detail + found.response


def test_the_endpoint_can_ask_for_patience() -> None:
    """As the receiver can."""
    found = read(503, "", **{"Retry-After": "120"})
    assert isinstance(found, Receipt)
    assert found.retry_after == 120.0


def test_a_token_does_not_show_itself() -> None:
    """Not in a log, not in a traceback."""
    assert "abc" not in repr(oauth2.Token("abc", None))
