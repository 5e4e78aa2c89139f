"""Date literals, on a Saturday: 21 November 2026."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from salesforce_poller.simulator import query_dates
from salesforce_poller.simulator.soql_tree import RelativeDate

TODAY = date(2026, 11, 21)


@pytest.mark.parametrize(
    ("name", "count", "first", "after"),
    [
        ("YESTERDAY", 1, "2026-11-20", "2026-11-21"),
        ("TODAY", 1, "2026-11-21", "2026-11-22"),
        ("TOMORROW", 1, "2026-11-22", "2026-11-23"),
        ("LAST_WEEK", 1, "2026-11-08", "2026-11-15"),
        ("THIS_WEEK", 1, "2026-11-15", "2026-11-22"),
        ("NEXT_WEEK", 1, "2026-11-22", "2026-11-29"),
        ("LAST_MONTH", 1, "2026-10-01", "2026-11-01"),
        ("THIS_MONTH", 1, "2026-11-01", "2026-12-01"),
        ("NEXT_MONTH", 1, "2026-12-01", "2027-01-01"),
        ("LAST_QUARTER", 1, "2026-07-01", "2026-10-01"),
        ("THIS_QUARTER", 1, "2026-10-01", "2027-01-01"),
        ("NEXT_QUARTER", 1, "2027-01-01", "2027-04-01"),
        ("LAST_YEAR", 1, "2025-01-01", "2026-01-01"),
        ("THIS_YEAR", 1, "2026-01-01", "2027-01-01"),
        ("NEXT_YEAR", 1, "2027-01-01", "2028-01-01"),
        ("LAST_90_DAYS", 1, "2026-08-23", "2026-11-22"),
        ("NEXT_90_DAYS", 1, "2026-11-22", "2027-02-20"),
        ("LAST_N_DAYS", 7, "2026-11-14", "2026-11-22"),
        ("NEXT_N_DAYS", 7, "2026-11-22", "2026-11-29"),
        ("N_DAYS_AGO", 7, "2026-11-14", "2026-11-15"),
        ("LAST_N_WEEKS", 2, "2026-11-01", "2026-11-15"),
        ("NEXT_N_WEEKS", 2, "2026-11-22", "2026-12-06"),
        ("N_WEEKS_AGO", 2, "2026-11-01", "2026-11-08"),
        ("LAST_N_MONTHS", 12, "2025-11-01", "2026-11-01"),
        ("N_MONTHS_AGO", 11, "2025-12-01", "2026-01-01"),
        ("NEXT_N_QUARTERS", 2, "2027-01-01", "2027-07-01"),
        ("LAST_N_YEARS", 2, "2024-01-01", "2026-01-01"),
        ("LAST_N_YEARS", 99999, "0001-01-01", "2026-01-01"),
        ("NEXT_N_DAYS", 999999999999, "2026-11-22", "9999-12-31"),
    ],
)
def test_a_literal_covers_its_days(name: str, count: int, first: str, after: str) -> None:
    """From the first day up to the day after the last."""
    days = query_dates.days(RelativeDate(name, count), TODAY)
    assert [each.isoformat() for each in days] == [first, after]


def test_days_begin_at_midnight_utc() -> None:
    """Whatever the offset of the clock that is asked."""
    late = datetime(2026, 11, 21, 23, 30, tzinfo=timezone(-timedelta(hours=8)))  # already the 22nd in UTC
    assert query_dates.instants(RelativeDate("TODAY", 1), late) == (
        datetime(2026, 11, 22, tzinfo=UTC),
        datetime(2026, 11, 23, tzinfo=UTC),
    )
