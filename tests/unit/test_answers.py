"""sinks/answers.py: what an HTTP answer means to a webhook."""

from datetime import timedelta
from email.utils import format_datetime

import pytest
from builders import NOON

from salesforce_poller.model import Verdict
from salesforce_poller.sinks import answers
from salesforce_poller.sinks.answers import Answer


def answered(status: int, text: str = "", **headers: str) -> Answer:
    """Return an answer."""
    return Answer(status, "Because", headers, text)


@pytest.mark.parametrize(
    ("verdict", "statuses"),
    [
        (Verdict.ACCEPTED, [200, 201, 202, 204, 299]),
        (Verdict.REFUSED, [301, 302, 304, 307, 400, 401, 403, 404, 405, 413, 415, 422]),
        (Verdict.TRY_LATER, [408, 425, 429, 500, 502, 503, 504, 599]),
        (Verdict.GONE, [410]),
    ],
)
def test_every_status_has_its_verdict(verdict: Verdict, statuses: list[int]) -> None:
    """Only 2xx is a yes; 410 means stop; what may pass is tried later; the rest is a no."""
    assert {answers.receipt(answered(status), NOON).verdict for status in statuses} == {verdict}


def test_the_detail_is_one_short_line() -> None:
    """However long and however many lines the other side wrote."""
    detail = answers.receipt(answered(422, "no\nsuch\r\nfield " + "x" * 5000), NOON).detail
    assert detail.startswith("HTTP 422: no such field x")
    assert len(detail) <= 300
    assert answers.receipt(answered(500, " \n"), NOON).detail == "HTTP 500"


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://login.example.com/sso?next=secret", "login.example.com"),
        ("/elsewhere?token=secret", "the same host"),
        ("http://[broken?secret", "an address that cannot be read"),
    ],
)
def test_a_redirect_names_the_host_alone(location: str, shown: str) -> None:
    """It helps to know where it leads, but the rest of an address may hold secrets."""
    receipt = answers.receipt(answered(302, Location=location), NOON)
    assert receipt.detail == f"HTTP 302 redirects to {shown}; redirects are not followed"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        (format_datetime(NOON + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOON.replace(tzinfo=None) + timedelta(seconds=90)), 90.0),
        (format_datetime(NOON - timedelta(hours=1), usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
        ("9" * 5000, None),
        (f"Sat, 21 Nov 2026 12:00:00 +{'9' * 20}", None),
        ("²", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str, seconds: float | None) -> None:
    """And nothing is made of what is neither."""
    assert answers.receipt(answered(503, **{"Retry-After": value}), NOON).retry_after == seconds


def test_secrets_of_the_request_are_masked() -> None:
    """A server that quotes our request must not put its secrets into our store."""
    secrets = answers.secrets_of("https://example.com/?key=a%20long%20secret&n=1", ["Bearer s3cr3t-token"])
    text = "key=a%20long%20secret&n=1 / a long secret / Bearer s3cr3t-token / s3cr3t-token / n=1"
    assert answers.masked(text, secrets) == "*** / *** / *** / *** / n=1"


def test_long_parts_of_a_path_are_masked() -> None:
    """Slack's whole address is a secret, and its last part is what counts."""
    secrets = answers.secrets_of("https://hooks.example.com/services/T0/XXXXXXXXXXXXXXXXXXXXXXXX", [])
    assert answers.masked("no such /services/T0/XXXXXXXXXXXXXXXXXXXXXXXX", secrets) == "no such /services/T0/***"


def test_the_head_of_a_refusal_is_kept_for_the_operator() -> None:
    """Status line, headers and text, without what is secret in them."""
    answer = answered(
        403,
        "tell s3cr3t-token\x00 nobody\r\nplease",
        Server="nginx",
        Location="/login?state=hush",
        **{"Set-Cookie": "session=hush", "X-Echo": "s3cr3t-token"},
    )
    head = answers.receipt(answer, NOON, ["s3cr3t-token"]).response
    assert head == (
        "HTTP 403 Because\nServer: nginx\nLocation: /login?***\nSet-Cookie: ***\nX-Echo: ***\n\n"
        "tell ***\ufffd nobody\nplease"
    )


def test_four_kilobytes_are_kept_at_most() -> None:
    """Of headers and text together, and no character is cut in the middle."""
    head = answers.receipt(answered(500, "é" * 5000, Long="x" * 999), NOON).response
    assert 4090 < len(head.encode()) <= 4096
    assert head.endswith("é")


def test_of_a_yes_nothing_is_kept() -> None:
    """There is nothing to look into."""
    assert answers.receipt(answered(200, "thank you", Server="nginx"), NOON).response == ""
