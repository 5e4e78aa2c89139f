"""Where we stopped + what time it is there → the next window; what was read → the next watermarks. Pure.

Called by ``poller.py``. A **poll** reads back from the highest stamp seen; a **sweep** reads back from
``settled_through`` and thereby finds everything that was committed late:

1. getUpdated(settled_through, now) → ``latestDateCovered``. Salesforce holds it back to the start of the oldest open
   transaction, so everything stamped before it is committed (SOAP API Developer Guide, getUpdated()).
2. *After that*, everything stamped at or after the old ``settled_through`` is read again in full and compared with its
   sighting. In full, because a transaction may change a row twice within one second and commit between two reads:
   only the content shows it. A page of full rows costs the same one call as a page of Ids.
3. Then ``settled_through`` = the ``latestDateCovered`` of step 1.

The ids of getUpdated are not used: a record seen at 10:00:01 and stamped again at 10:00:05 by a transaction that
commits at 10:20 is in the list either way.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from salesforce_poller.model import Gap, Record, Watermarks, Window
from salesforce_poller.polling.diff import Past
from salesforce_poller.polling.schema import Schema
from salesforce_poller.polling.settings import FeedSettings

#: The replication calls cut seconds off and want more than a minute between start and end (Polling for Changes, and
#: getDeleted(), SOAP API Developer Guide).
SHORTEST_SPAN = timedelta(minutes=2)
#: getUpdated refuses a start more than 30 days back; an hour is left for the way there.
UPDATED_REACH = timedelta(days=30) - timedelta(hours=1)
#: getDeleted answers for 15 days only, without an error between the 15th and the 30th.
DELETED_REACH = timedelta(days=15) - timedelta(hours=1)
#: How far back a feed that has never run looks for open transactions.
START_SPAN = timedelta(hours=1)
#: No stamp is older than Salesforce.
BEGINNING = datetime(1999, 1, 1, tzinfo=UTC)
#: How far back objects that are not replicateable are read again, since nothing tells when they are settled.
LOOK_BACK = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Span:
    """A window of the replication calls, start to end, UTC."""

    start: datetime
    end: datetime


def first_marks(settings: FeedSettings, covered: datetime, now: datetime, organization_id: str = "") -> Watermarks:
    """Say where a feed begins that has never run; ``covered`` and ``now`` are the server's.

    What is stamped before ``covered`` is committed, and belongs to the backfill, if there is one. What is stamped
    later is read by the first polls. ``start = "now"`` is a matter of visibility, not of stamps: see ``poller.py``.
    """
    since = told_since(settings)
    backfill = settings.start != "now" or settings.baseline
    return Watermarks(
        seen_through=covered,
        settled_through=covered,
        deleted_through=covered if since is None else min(since, covered),
        started_at=now,
        organization_id=organization_id,
        backfill_until=covered,
        backfill_since=None if settings.baseline else since,
        backfill_done=not backfill or (not settings.baseline and since is not None and since >= covered),
        primed=settings.start == "beginning" or (since is not None and since <= covered),
    )


def prime_window(schema: Schema, settings: FeedSettings, marks: Watermarks) -> Window:
    """Return the window of what is visible already when a feed starts, and is not to be told."""
    return replace(_window(schema, settings), since=marks.settled_through, until=told_since(settings))


def past_of(settings: FeedSettings) -> Past:
    """Say what a feed does with the records that were there before it started."""
    if isinstance(settings.start, datetime):
        return Past.TOLD_WITH_DELETIONS
    if settings.start == "beginning":
        return Past.TOLD
    return Past.LEARNED if settings.baseline else Past.UNREAD


def told_since(settings: FeedSettings) -> datetime | None:
    """Say how far back the past is told; with ``baseline`` it is read from further back, silently."""
    return settings.start if isinstance(settings.start, datetime) else None


def poll_window(schema: Schema, settings: FeedSettings, marks: Watermarks) -> Window:
    """Return the window of a poll: back from the highest stamp seen, but no further than what is settled.

    Without the second half a feed that a bulk load left quiet would read the load again at every poll.
    """
    since = max(marks.seen_through - settings.overlap, marks.settled_through)
    return _window(schema, settings, since)


def sweep_window(
    schema: Schema, settings: FeedSettings, marks: Watermarks, swept_through: datetime | None = None
) -> Window:
    """Return the window of a sweep; it covers the poll's as well, so a sweep replaces a poll.

    ``swept_through`` is how far an earlier sweep came that did not get to its end.
    """
    since = max(marks.settled_through, swept_through or marks.settled_through)
    return _window(schema, settings, since)


def backfill_window(schema: Schema, settings: FeedSettings, marks: Watermarks) -> Window:
    """Return the window of the backfill, from where it was left."""
    return replace(
        _window(schema, settings),
        since=marks.backfill_since,
        until=marks.backfill_until,
        after=marks.backfill_after,
    )


def nothing_of(window: Window, now: datetime) -> Window:
    """Return the same question with an answer of no rows, for trying it out."""
    return replace(window, since=now + timedelta(days=1), until=None, after=None)


def after_page(window: Window, page: Iterable[Record], *, proven_before: datetime) -> Window:
    """Return the window that is left behind a page, for when its locator is lost.

    A page shows the *present* values of the rows that the query selected when it was opened: a row that changed in
    mid-paging shows a stamp that lies ahead of its place, and resuming behind it would jump over unread rows. Only
    what is stamped before ``proven_before``, an instant that was settled before the query was opened, cannot have
    changed since, and marks a place; without such a row the window stays as it is and rows are read again.
    """
    proven = [record for record in page if record.stamp < proven_before]
    # The last one in the server's own order: how it compares Ids is its business.
    return replace(window, after=(proven[-1].stamp, proven[-1].id)) if proven else window


def split(window: Window, now: datetime) -> tuple[Window, Window] | None:
    """Cut a window in two that was too much for one query, or return None when it cannot be cut any more."""
    start = window.after[0] if window.after else window.since or BEGINNING
    end = window.until or now + timedelta(seconds=1)
    middle = (start + (end - start) / 2).replace(microsecond=0)
    if not start < middle < end:
        return None
    # The earlier half has both its bounds, since it may be the missing one that makes a query slow.
    return replace(window, since=window.since or BEGINNING, until=middle), replace(window, since=middle, after=None)


def seen_in_passing(marks: Watermarks, window: Window) -> Watermarks:
    """Move ``seen_through`` on behind one page of several, as far as that is proven; see :func:`after_page`."""
    return seen(marks, window.after[0] if window.after else None)


def seen(marks: Watermarks, highest: datetime | None) -> Watermarks:
    """Move ``seen_through`` on to the highest stamp of a pass that has been read to its end; never backwards.

    ``highest`` must not lie behind the instant at which the query was opened, since pages show later stamps too.
    """
    return marks if highest is None or highest <= marks.seen_through else replace(marks, seen_through=highest)


def backfilled(marks: Watermarks, window: Window, rows: int) -> Watermarks:
    """Move the backfill on behind a page of so many rows; ``window`` is what :func:`after_page` left of it."""
    after, read = window.after or marks.backfill_after, marks.backfill_rows + rows
    return replace(marks, backfill_after=after, backfill_rows=read)


def by_job(marks: Watermarks, job_id: str, total: int) -> Watermarks:
    """Read the backfill from a new job, from its beginning; ``total`` is about how many rows it will have."""
    return replace(marks, backfill_job=job_id, backfill_locator=None, backfill_rows=0, backfill_total=total)


def without_job(marks: Watermarks) -> Watermarks:
    """Begin the backfill anew: the job that it was read from is lost."""
    return replace(marks, backfill_job=None, backfill_locator=None, backfill_rows=0)


def job_read(marks: Watermarks, rows: int, locator: str | None) -> Watermarks:
    """Move the backfill on behind a page of a job's results; without a locator it was the last one."""
    done = locator is None
    job = None if done else marks.backfill_job
    read = marks.backfill_rows + rows
    return replace(marks, backfill_job=job, backfill_locator=locator, backfill_rows=read, backfill_done=done)


def settled(marks: Watermarks, covered: datetime, now: datetime) -> Watermarks:
    """Move ``settled_through`` on, never backwards and never past the server's own time."""
    return replace(marks, settled_through=max(marks.settled_through, min(covered, now)))


def logged(marks: Watermarks, covered: datetime, now: datetime) -> Watermarks:
    """Move ``deleted_through`` on to what the delete log covered; never backwards, never past the server's time."""
    return replace(marks, deleted_through=max(marks.deleted_through, min(covered, now)))


def updated_span(marks: Watermarks, now: datetime) -> Span:
    """Return the span to ask getUpdated for.

    It starts at ``settled_through``, because an open transaction that began before the span might not be told of.
    """
    return Span(max(min(marks.settled_through, now - SHORTEST_SPAN), now - UPDATED_REACH), now)


def halved(span: Span) -> Span | None:
    """Return the first half of a span that held too much, or None when it cannot be cut any more."""
    half = (span.end - span.start) / 2
    return Span(span.start, span.start + half) if half >= SHORTEST_SPAN else None


def deleted_span(marks: Watermarks, now: datetime) -> tuple[Span, Gap | None]:
    """Return the span to ask getDeleted for, and the gap before it when it cannot reach back to where we stopped."""
    reach = now - DELETED_REACH
    start = max(min(marks.deleted_through, now - SHORTEST_SPAN), reach)
    gap = (
        Gap("deletions", marks.deleted_through, reach, "the delete log reaches back 15 days")
        if marks.deleted_through < reach
        else None
    )
    return Span(start, now), gap


def purged_gap(span: Span, marks: Watermarks, earliest: datetime) -> Gap | None:
    """Return the gap that a delete log leaves which no longer reaches back to where we stopped."""
    asked = max(span.start, marks.deleted_through)
    if earliest <= asked:
        return None
    return Gap("deletions", asked, earliest, "the delete log was purged")


def lost_log(asked: Span, answered: Span) -> Gap:
    """Return the gap between what the delete log refused to tell and what it still tells."""
    return Gap("deletions", asked.start, answered.start, "the delete log does not reach back that far any more")


def _window(schema: Schema, settings: FeedSettings, since: datetime | None = None) -> Window:
    return Window(
        object=schema.object,
        select=schema.select,
        visible=schema.visible,
        stamp_field=schema.stamp_field,
        where=settings.where,
        since=since,
    )
