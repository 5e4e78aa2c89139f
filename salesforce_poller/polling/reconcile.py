"""Compares the ids that the org has with those we know (``reconcile`` of a feed), a step at a time beside the polls.

``poller.py`` calls :meth:`Reconcile.go_on` at the end of each turn. Three steps, the first only for feeds that have
read everything there is (``reconcile_plan.knows_everything``):

1. List the ids that the org has, by queries or by a job. Those that we do not know are read, and told as a poll would
   tell them; the first comparison of a feed only learns them, since the feed may have forgotten them before.
2. Look up what we know and the org did not list. Only records whose last stamp was settled when the comparison began
   are judged, and none is judged by a list: a record may be created, deleted or leave the feed's condition meanwhile.
3. What is in the bin or nowhere, and what the delete log does not tell of meanwhile, is told, unless it is more than
   ``reconcile_limit`` allows. Then most likely the user's permissions have changed: nothing is believed, and the
   trouble is told until a person mends it or raises the limit.

What was listed is kept in memory, about 130 bytes a record, and forgotten with the process; a comparison that was cut
off begins anew.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from salesforce_poller.clock import Clock
from salesforce_poller.errors import (
    BulkRefused,
    FieldsUnknown,
    LimitReached,
    ObjectUnknown,
    OrgRefused,
    PollerError,
    Refused,
    Stopped,
    StoreError,
    TryLater,
)
from salesforce_poller.model import Watermarks
from salesforce_poller.polling import plan, reconcile_plan
from salesforce_poller.polling.intake import Intake
from salesforce_poller.polling.query_job import QueryJob
from salesforce_poller.polling.schema import Schema
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.salesforce import bulk, soql, troubles
from salesforce_poller.salesforce.questions import Questions
from salesforce_poller.store.feeds import Feeds

log = structlog.get_logger()

#: Seconds until a comparison is tried again that the budget had no room for, and one that failed.
_ROOM_AGAIN, _FAILED_AGAIN = 900.0, 3_600.0
#: Seconds until the next step of a comparison that met a bad moment, and how many of them in a row end it.
_STEP_AGAIN, _MOST_BAD_MOMENTS = 60.0, 10
#: What no other error may be taken for: it concerns the polls as well.
_NOT_OURS = (FieldsUnknown, LimitReached, ObjectUnknown, OrgRefused, Stopped, StoreError)


class Disbelieved(Refused):
    """More is missing than can be believed."""


@dataclass(slots=True)
class _Comparison:
    """One that is under way."""

    #: The server's time at its beginning, UTC.
    began: datetime
    #: Only records stamped before this are judged.
    settled: datetime
    known: int
    #: True where unknown records are only learned.
    first: bool
    #: True while ids are listed, by a job or by queries.
    listing: bool
    by_job: bool
    #: The ``Intake.era`` in which it began.
    era: int
    job: str | None = None
    #: Where the job's results, or the queries, go on.
    place: str | None = None
    listed: set[str] = field(default_factory=set)
    #: The last of our own ids that was looked at.
    looked_at: str = ""
    missing: list[str] = field(default_factory=list)
    #: The server's time at which the last one was missed.
    missed_at: datetime | None = None
    unknown: int = 0


class Reconcile:
    """The comparisons of one feed."""

    def __init__(
        self,
        object_name: str,
        settings: FeedSettings,
        *,
        org: Questions,
        store: Feeds,
        intake: Intake,
        clock: Clock,
        roomy: Callable[[], bool],
    ) -> None:
        #: What is wrong with the last comparison, until there is another one.
        self.trouble: PollerError | None = None
        self._object = object_name
        self._settings = settings
        self._org = org
        self._store = store
        self._intake = intake
        self._clock = clock
        self._roomy = roomy
        self._job = QueryJob(org, clock, most_rows=reconcile_plan.IDS_PER_JOB_PAGE)
        #: When to try again what did not work (monotonic seconds).
        self.again_at = 0.0
        self._bad_moments = 0
        self._under_way: _Comparison | None = None

    @property
    def is_under_way(self) -> bool:
        """True while there is something to do but to wait."""
        now = self._under_way
        if now is None or self._clock.monotonic() < self.again_at:
            return False
        return not now.listing or now.job is None or self._job.is_complete(now.job) or self._job.is_due

    async def go_on(self, columns: Schema, marks: Watermarks, *, until: float) -> Watermarks:
        """Begin a comparison that is due, or go on with it while there are room and time (``until``: monotonic).

        What goes wrong here is told, and is no reason not to poll. Raises only what concerns the polls as well.
        """
        if self._clock.monotonic() < self.again_at:
            return marks
        if self._under_way is not None and self._under_way.era != self._intake.era:
            self._under_way = None  # what it has read and told so far may be gone, and must be asked again
        try:
            if self._under_way is None:
                await self._begin(marks)
            while (now := self._under_way) is not None and self._roomy():
                marks = await self._step(columns, marks, now)
                self._bad_moments = 0
                if not self.is_under_way or self._clock.monotonic() >= until:
                    break
        except _NOT_OURS:
            raise
        except PollerError as exc:
            self._note_failure(exc)
        return marks

    def _note_failure(self, error: PollerError) -> None:
        """Decide what becomes of the comparison: a bad moment costs a step, anything else costs all of it."""
        self._bad_moments += 1
        if isinstance(error, TryLater) and self._bad_moments <= _MOST_BAD_MOMENTS:
            self.again_at = self._clock.monotonic() + max(_STEP_AGAIN, error.retry_after or 0.0)
            log.info("feed.reconcile_interrupted", **self._names, error=str(error))
            return
        again, event = _FAILED_AGAIN, "feed.reconcile_failed"
        if isinstance(error, Disbelieved) and self._settings.reconcile is not None:
            again, event = self._settings.reconcile.total_seconds(), "feed.reconcile_disbelieved"
        self._under_way, self.trouble, self._bad_moments = None, error, 0
        self.again_at = self._clock.monotonic() + again
        log.warning(event, **self._names, error=str(error), next_try_s=round(again))

    # ------------------------------------------------------------------ beginning and end

    async def _begin(self, marks: Watermarks) -> None:
        now = self._org.server_now()
        if not reconcile_plan.is_due(self._settings, marks, now):
            return
        if not self._roomy():
            self.again_at = self._clock.monotonic() + _ROOM_AGAIN
            log.info("feed.reconcile_put_off", **self._names, reason="api_budget has no room for it")
            return
        known = await self._store.count_live(self._org.name, self._object, stamped_before=marks.settled_through)
        listing = reconcile_plan.knows_everything(self._settings)
        records = await self._org.record_count(self._object) if listing else None
        above = self._settings.bulk_above
        by_job = records is not None and above != "never" and records > above
        self._under_way = _Comparison(
            now,
            marks.settled_through,
            known,
            marks.reconciled_at is None,
            listing=listing,
            by_job=by_job,
            era=self._intake.era,
        )
        log.info(
            "feed.reconcile_started",
            **self._names,
            known=known,
            records=records,
            calls=reconcile_plan.calls(known, records, by_job=by_job),
            by="Bulk" if by_job else "REST",
        )

    async def _finish(self, marks: Watermarks, now: _Comparison) -> Watermarks:
        marks = replace(marks, reconciled_at=now.began)
        self._under_way, self.trouble = None, None
        log.info("feed.reconciled", **self._names, known=now.known, unknown=now.unknown, missing=len(now.missing))
        await self._intake.commit(marks)
        return marks

    async def _step(self, columns: Schema, marks: Watermarks, now: _Comparison) -> Watermarks:
        if now.listing:
            await self._list(columns, marks, now)
            return marks
        ids = await self._store.live_ids(
            self._org.name,
            self._object,
            stamped_before=now.settled,
            after=now.looked_at,
            limit=reconcile_plan.IDS_PER_PAGE,
        )
        if ids:
            await self._look_up(columns, marks, now, [one for one in ids if one not in now.listed])
            now.looked_at = ids[-1]
            return marks
        if now.missing and columns.replicateable and self._log_may_tell(marks, now):
            self.again_at = self._clock.monotonic() + _STEP_AGAIN
            return marks
        await self._tell(columns, marks, now)
        return await self._finish(marks, now)

    def _log_may_tell(self, marks: Watermarks, now: _Comparison) -> bool:
        """Say whether sweeps may still tell of what is missing: they know when it was deleted, and we do not."""
        now.missed_at = now.missed_at or self._org.server_now()
        return reconcile_plan.log_may_tell(self._settings, marks, now.missed_at, self._org.server_now())

    # ------------------------------------------------------------------ what the org has

    async def _list(self, columns: Schema, marks: Watermarks, now: _Comparison) -> None:
        """List a page of ids, and read those that are not known."""
        if now.by_job:
            ids = await self._list_by_job(columns, now)
        else:
            ids = await self._org.ids(self._query(columns, after=now.place, limit=reconcile_plan.IDS_PER_PAGE))
            now.place = ids[-1] if ids else now.place
            now.listing = len(ids) == reconcile_plan.IDS_PER_PAGE
        now.listed.update(ids)
        unknown = await self._store.not_live(self._org.name, self._object, ids)
        if unknown:
            await self._read_unknown(columns, marks, now, unknown)

    async def _list_by_job(self, columns: Schema, now: _Comparison) -> Sequence[str]:
        if now.job is None:
            try:
                now.job = await self._job.create(self._query(columns))
            except BulkRefused as exc:
                log.info("feed.bulk_refused", **self._names, reason=str(exc))
                now.by_job = False
            return ()
        if not self._job.is_complete(now.job):
            if self._job.is_due:
                await self._job.look(now.job)
            return ()
        results = await self._job.read(now.job, now.place)
        now.place, now.listing = results.locator, results.locator is not None
        if not now.listing:
            await self._job.clear_away(now.job)
        return bulk.read_ids(results)

    def _query(self, columns: Schema, *, after: str | None = None, limit: int | None = None) -> str:
        has_bin = "IsDeleted" in columns.select
        return soql.render_ids(self._object, has_bin=has_bin, where=self._settings.where, after=after, limit=limit)

    async def _read_unknown(self, columns: Schema, marks: Watermarks, now: _Comparison, ids: Sequence[str]) -> None:
        window = plan.sweep_window(columns, self._settings, marks)
        for batch in soql.id_batches(ids):
            found = [record async for record in self._org.records(window, batch)]
            found = [one for one in found if reconcile_plan.is_overlooked(one, marks.settled_through)]
            known = await self._intake.known([one.id for one in found])
            strangers = [one for one in found if one.id not in known]
            now.unknown += len(found)
            await self._intake.take(strangers, marks, columns, silent=now.first)
            await self._intake.take([one for one in found if one.id in known], marks, columns)

    # ------------------------------------------------------------------ what the org does not have

    async def _look_up(self, columns: Schema, marks: Watermarks, now: _Comparison, ids: Sequence[str]) -> None:
        """Note which of our records are in the bin or nowhere. Raises Disbelieved as soon as they are too many."""
        window = reconcile_plan.light(columns, plan.sweep_window(columns, self._settings, marks))
        most = reconcile_plan.believed(now.known, self._settings.reconcile_limit)
        for batch in soql.id_batches(ids):
            live = {record.id async for record in self._org.records(window, batch) if not record.deleted}
            now.missing += [one for one in batch if one not in live]
            if len(now.missing) > most:
                raise Disbelieved(
                    f"at least {len(now.missing)} of {now.known} known records are not there any more, more than "
                    f"reconcile_limit ({self._settings.reconcile_limit:.0%}) allows; none was told",
                    facts=troubles.our_facts("TOO_MANY_MISSING"),
                )

    async def _tell(self, columns: Schema, marks: Watermarks, now: _Comparison) -> None:
        """Tell of what is missing, as sweeps tell of what the delete log names; its time is when it was missed."""
        window = replace(plan.sweep_window(columns, self._settings, marks), where=None)
        for batch in soql.id_batches(now.missing):
            known = {one: seen for one, seen in (await self._intake.known(batch)).items() if not seen.deleted}
            if not known:
                continue
            found = {record.id: record async for record in self._org.records(window, list(known))}
            await self._intake.take([one for one in found.values() if one.deleted], marks, columns)
            at = self._org.server_now().replace(microsecond=0)
            await self._intake.take_vanished({one: at for one in known if one not in found}, known, marks)

    # ------------------------------------------------------------------ small things

    @property
    def _names(self) -> dict[str, str]:
        return {"org": self._org.name, "object": self._object}
