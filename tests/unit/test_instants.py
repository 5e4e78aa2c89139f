"""salesforce/instants.py: how Salesforce writes instants, and how we write them to it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from salesforce_poller.salesforce import instants

TEN = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-21T10:00:00.000+0000",
        "2026-11-21T10:00:00.000Z",
        "2026-11-21T10:00:00Z",
        "2026-11-21T10:00:00+00:00",
        "2026-11-21T11:00:00.000+0100",
    ],
)
def test_every_way_of_writing_an_instant_is_read(text: str) -> None:
    """REST leaves the colon out of the offset, other APIs say Z."""
    assert instants.parse(text) == TEN
    assert instants.parse(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["2026-11-21", "2026-11-21T10:00:00", "10:00:00", "now", "", "2026-13-01T00:00:00Z"])
def test_anything_else_is_refused(text: str) -> None:
    """A date without a time, or a time without an offset, is no instant."""
    with pytest.raises(ValueError, match=r"."):
        instants.parse(text)


def test_a_literal_is_whole_seconds_rounded_down() -> None:
    """Rounding up would leave a stamp of the same second out of ``>=``."""
    assert instants.literal(TEN + timedelta(milliseconds=999)) == "2026-11-21T10:00:00Z"


def test_a_literal_is_utc_and_needs_no_escaping() -> None:
    """A plus sign would have to be written %2B in a URL."""
    berlin = timezone(timedelta(hours=1))
    assert instants.literal(datetime(2026, 11, 21, 11, 0, 0, tzinfo=berlin)) == "2026-11-21T10:00:00Z"


def test_what_is_written_is_read_back() -> None:
    """Our own literals are instants as well."""
    assert instants.parse(instants.literal(TEN)) == TEN


@pytest.mark.parametrize(
    "text",
    ["Sat, 21 Nov 2026 10:00:00 GMT", "Sat, 21 Nov 2026 10:00:00 -0000", "Sat, 21 Nov 2026 10:00:00"],
)
def test_a_date_header_is_utc_however_it_is_written(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where the machine lives in another zone: HTTP knows only GMT."""
    monkeypatch.setenv("TZ", "America/New_York")
    assert instants.http_date(text) == TEN


@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-21T10:00:00Z"])
def test_a_date_header_that_is_none_is_refused(text: str) -> None:
    """A proxy may write anything."""
    with pytest.raises(ValueError, match=r"."):
        instants.http_date(text)
