"""Date literals: what LAST_N_DAYS:7 means today.

Called by `query_filter.py`. Days begin at midnight UTC here (in Salesforce, in the user's time zone), weeks on
Sunday as for en_US, and the fiscal year is the calendar year.
Source: SOQL and SOSL Reference, "Date Formats and Date Literals in WHERE".
"""

from datetime import UTC, date, datetime, time, timedelta

from salesforce_poller.simulator.soql_tree import RelativeDate

MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}


def days(relative: RelativeDate, today: date) -> tuple[date, date]:
    """The first day of the literal's range and the first day after it."""
    unit = next((each for each in ("WEEK", *MONTHS) if each in relative.name), "DAY")
    count = 90 if "_90_" in relative.name else relative.count
    first, after = {
        "YESTERDAY": (-1, 0),
        "TODAY": (0, 1),
        "TOMORROW": (1, 2),
        "THIS": (0, 1),
        "LAST": (-count, 1 if unit == "DAY" else 0),  # the last days include today; the last weeks not this one
        "NEXT": (1, 1 + count),
        "N": (-count, 1 - count),  # N_DAYS_AGO
    }[relative.name.split("_")[0]]
    return _beginning(today, unit, first), _beginning(today, unit, after)


def instants(relative: RelativeDate, now: datetime) -> tuple[datetime, datetime]:
    """The same range in time: its first moment and the first moment after it, UTC."""
    first, after = days(relative, now.astimezone(UTC).date())
    return datetime.combine(first, time.min, UTC), datetime.combine(after, time.min, UTC)


def _beginning(today: date, unit: str, away: int) -> date:
    """The first day of the unit that is this far from the one today is in.

    Where the calendar has no such day, its first or its last one.
    """
    try:
        if unit == "DAY":
            return today + timedelta(days=away)
        if unit == "WEEK":
            sunday = today - timedelta(days=today.isoweekday() % 7)
            return sunday + timedelta(weeks=away)
        periods = (today.year * 12 + today.month - 1) // MONTHS[unit] + away
        year, month = divmod(periods * MONTHS[unit], 12)
        return date(year, month + 1, 1)
    except (OverflowError, ValueError):
        return date.min if away < 0 else date.max
