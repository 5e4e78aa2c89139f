"""Asks Salesforce's own log of changes: how far everything is committed (getUpdated), what was deleted (getDeleted).

Called by ``poller.py`` in sweeps. Both calls refuse windows that are too long, too short, too old or too full; what can
be asked in another way is, and what the log cannot tell any more becomes a gap, never silence. ``plan.py`` does the
arithmetic.

A sweep asks both together with its first page (``salesforce/questions.py:Look``); ``told`` hands in the part that came
from there, an answer or the error in its place, so that only what did not work is asked again.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog

from salesforce_poller.errors import PollerError, ReplicationDateInvalid, TooMuch, TryLater
from salesforce_poller.model import Gap, Watermarks
from salesforce_poller.polling import plan
from salesforce_poller.salesforce.questions import Questions
from salesforce_poller.salesforce.wire import DeletedIds

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Deletions:
    """What the delete log told, and how far it is covered now."""

    #: (id, deletedDate), UTC.
    rows: tuple[tuple[str, datetime], ...]
    through: datetime
    #: What it could not tell.
    gaps: tuple[Gap, ...] = ()


class Replication:
    """The log of changes of one object."""

    def __init__(self, object_name: str, org: Questions) -> None:
        self._object = object_name
        self._org = org

    async def covered_until(self, span: plan.Span, told: datetime | PollerError | None = None) -> datetime:
        """Return the instant before which everything is committed (1 call, more where spans must be cut).

        Raises what ``Questions.covered_until`` raises, when no span is answered for.
        """
        recent, longest = plan.Span(span.end - plan.SHORTEST_SPAN, span.end), span.end
        while True:
            try:
                return min(longest, await self._updated(span, told))
            except TooMuch:
                # More ids than one answer may have. The last resort is a span that is young enough to be small; it
                # might not be told of an older transaction, and is believed only as far as objects without any span.
                narrower = plan.halved(span) or recent
                longest = span.end if narrower != recent else span.end - plan.LOOK_BACK
            except ReplicationDateInvalid:
                # A very young org ("startDate before org replication enabled date"), or a clock that jumped.
                narrower = recent
            if span == recent:
                raise TryLater("getUpdated does not answer for the last two minutes")
            span, told = narrower, None

    async def deletions(
        self, marks: Watermarks, now: datetime, told: DeletedIds | PollerError | None = None
    ) -> Deletions:
        """Ask the delete log since where we stopped (1 call, more where spans must be cut); ``now`` is the server's."""
        span, gap = plan.deleted_span(marks, now)
        gaps = [gap] if gap else []
        while True:
            try:
                answer = await self._deleted(span, told)
                break
            except TooMuch:
                half = plan.halved(span)
                if half is None:
                    raise
                span = half  # the next sweep asks for the rest
            except ReplicationDateInvalid as exc:
                recent = plan.Span(now - plan.SHORTEST_SPAN, now)
                if span == recent:
                    raise
                log.warning("feed.delete_log_lost", org=self._org.name, object=self._object, error=str(exc))
                gaps.append(plan.lost_log(span, recent))
                span = recent
            told = None
        if purged := plan.purged_gap(span, marks, answer.earliest_available):
            gaps.append(purged)
        # What is told as a gap is not asked for again.
        through = max([answer.latest_covered, *(one.until for one in gaps)])
        return Deletions(answer.deleted, through, tuple(gaps))

    async def _updated(self, span: plan.Span, told: datetime | PollerError | None) -> datetime:
        if isinstance(told, PollerError):
            raise told
        return told or await self._org.covered_until(self._object, span.start, span.end)

    async def _deleted(self, span: plan.Span, told: DeletedIds | PollerError | None) -> DeletedIds:
        if isinstance(told, PollerError):
            raise told
        return told or await self._org.deleted(self._object, span.start, span.end)
