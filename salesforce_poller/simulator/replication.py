"""getUpdated and getDeleted, as pure functions over rows and the delete log.

Called by the routes in `records`. Sources: SOAP API Developer Guide, getUpdated() and getDeleted(); REST API Developer
Guide, Get Updated and Get Deleted. The rules that surprise:

* Seconds are ignored: both ends are cut to their minute, and both ends count.
* `latestDateCovered` goes no further than the start of the oldest open transaction, because what that one has
  stamped is not visible yet.
* getDeleted answers for 15 days but complains only beyond 30: in between it tells less, and only
  `earliestDateAvailable` says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from salesforce_poller.simulator.changes import Deletion, Row
from salesforce_poller.simulator.errors import ApiError

LOOK_BACK = timedelta(days=30)
DELETED_LOOK_BACK = timedelta(days=15)
MOST_IDS = 600_000
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Span:
    """The time asked about: whole minutes, UTC, both ends included."""

    start: datetime
    end: datetime

    def holds(self, stamp: datetime) -> bool:
        """Whether a stamp lies in it."""
        return self.start <= stamp <= self.end


@dataclass(frozen=True, slots=True)
class Updated:
    """The answer of getUpdated."""

    ids: list[str]
    latest_date_covered: datetime


@dataclass(frozen=True, slots=True)
class Deleted:
    """The answer of getDeleted."""

    records: list[Deletion]
    earliest_date_available: datetime
    latest_date_covered: datetime


def updated(
    rows: Iterable[Row],
    start: datetime,
    end: datetime,
    *,
    now: datetime,
    oldest_open: datetime | None,
    most: int = MOST_IDS,
) -> Updated:
    """The ids of the live rows whose SystemModstamp lies between start and end.

    `now` is the org's time, `oldest_open` when its oldest open transaction began. Raises INVALID_REPLICATION_DATE, or
    EXCEEDED_ID_LIMIT for more than `most` ids.
    """
    span = _span(start, end, now)
    if span.start >= span.end:
        raise _invalid("startDate must be before endDate")
    ids = [row["Id"] for row in rows if span.holds(row["SystemModstamp"])]
    _check_number(len(ids), most)
    return Updated(ids, _covered(span, now, oldest_open))


def deleted(
    log: Iterable[Deletion],
    start: datetime,
    end: datetime,
    *,
    now: datetime,
    oldest_open: datetime | None,
    purged_through: datetime | None,
    most: int = MOST_IDS,
) -> Deleted:
    """The deletions between start and end; `log` holds those of the object, `purged_through` says what it has lost.

    Raises INVALID_REPLICATION_DATE, or EXCEEDED_ID_LIMIT for more than `most` ids.
    """
    span = _span(start, end, now)
    if span.end - span.start <= MINUTE:
        raise _invalid("startDate must be at least one minute greater than endDate")  # reversed, as Salesforce has it
    if purged_through is not None and span.start <= purged_through:
        raise _invalid("startDate is before the deletions that are still available")
    earliest = minute(now - DELETED_LOOK_BACK)
    if purged_through is not None:
        earliest = max(earliest, minute(purged_through))
    found = [each for each in log if span.holds(each.deleted_at) and each.deleted_at >= earliest]
    _check_number(len(found), most)
    return Deleted(found, earliest, _covered(span, now, oldest_open))


def minute(instant: datetime) -> datetime:
    """The instant without its seconds."""
    return instant.replace(second=0, microsecond=0)


def parse(name: str, text: str | None) -> datetime:
    """One end of the span from the query string.

    Raises MISSING_ARGUMENT when it is not there, INVALID_REPLICATION_DATE when it is no date-time with an offset.
    """
    if not text:
        raise ApiError(400, "MISSING_ARGUMENT", f"The {name} parameter is required")
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise _invalid(f"{name} is not a date-time with an offset: {text}")
    return instant.astimezone(UTC)


def _span(start: datetime, end: datetime, now: datetime) -> Span:
    if start < now - LOOK_BACK:
        raise _invalid("startDate cannot be more than 30 days ago")
    return Span(minute(start), minute(end))


def _covered(span: Span, now: datetime, oldest_open: datetime | None) -> datetime:
    """How far everything is committed and told: not beyond now, nor beyond the start of an open transaction."""
    ends = [span.end, minute(now)]
    if oldest_open is not None:
        ends.append(minute(oldest_open))
    return min(ends)


def _check_number(found: int, most: int) -> None:
    if found > most:
        raise ApiError(400, "EXCEEDED_ID_LIMIT", f"exceeded max number of ids in the result: {most}")


def _invalid(message: str) -> ApiError:
    return ApiError(400, "INVALID_REPLICATION_DATE", message)
