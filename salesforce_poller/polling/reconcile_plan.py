"""When ids are compared, what it costs, and how much may be missing before nobody believes it. Pure.

``reconcile.py`` has the hands. Reconciling finds what neither polls nor the delete log tell: hard deletes of objects
that are not replicateable, deletions that the log has forgotten, records that the user was newly allowed to see.
"""

import math
from dataclasses import replace
from datetime import datetime, timedelta

from salesforce_poller.model import Record, Watermarks, Window
from salesforce_poller.polling.schema import Schema
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.salesforce import soql

#: Rows in one page of ids.
IDS_PER_PAGE = 2_000
#: And in one page of a job's results.
IDS_PER_JOB_PAGE = 100_000
_CALLS_OF_A_JOB = 8
#: The delete log is covered by the minute, and not while a transaction is open.
_LOG_LAGS = timedelta(minutes=10)
#: So few missing records are always believed, whatever share of the known ones they are.
ALWAYS_BELIEVED = 10


def is_due(settings: FeedSettings, marks: Watermarks, now: datetime) -> bool:
    """Say whether it is time to compare; ``now`` is the server's. What a backfill has not read is not known yet."""
    if settings.reconcile is None or not marks.backfill_done or not marks.primed:
        return False
    return now - (marks.reconciled_at or marks.started_at) >= settings.reconcile


def knows_everything(settings: FeedSettings) -> bool:
    """Say whether a feed has read every record there is, so that an id it does not know is news.

    Others only know what has changed since they began, and can only judge whether that is still there.
    """
    return settings.baseline or settings.start == "beginning"


def believed(known: int, limit: float) -> int:
    """Return how many of the known records may be missing without being disbelieved."""
    return max(ALWAYS_BELIEVED, int(known * limit))


def calls(known: int, records: int | None, *, by_job: bool) -> int:
    """Say about how many calls a comparison takes while little is missing; ``records`` None: ids are not listed."""
    if records is None:
        return math.ceil(known / soql.IDS_PER_QUERY)
    # A job is counted for, created, looked at now and then, and deleted.
    return _CALLS_OF_A_JOB + records // IDS_PER_JOB_PAGE if by_job else 2 + records // IDS_PER_PAGE


def light(schema: Schema, window: Window) -> Window:
    """Return a window that tells of a record whether it is there, and little more, whatever the feed's condition."""
    wanted = ("Id", schema.stamp_field, *(("IsDeleted",) if "IsDeleted" in schema.select else ()))
    return replace(window, select=tuple(dict.fromkeys(wanted)), visible=("Id",), where=None)


def log_may_tell(settings: FeedSettings, marks: Watermarks, missed_at: datetime, now: datetime) -> bool:
    """Say whether the delete log is not read yet up to when a record was missed; sweeps that fail are not waited for.

    All instants are the server's.
    """
    return marks.deleted_through < missed_at and now - missed_at < 2 * settings.sweep_every + _LOG_LAGS


def is_overlooked(record: Record, settled_through: datetime) -> bool:
    """Say whether a record that was not known is live and will not be told by polls and sweeps anyway.

    What is stamped since everything was settled they read again and again, and know better what happened to it.
    """
    return not record.deleted and record.stamp < settled_through
