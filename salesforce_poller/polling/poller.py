"""One feed, turn by turn: the hands of this room. ``plan``, ``schema``, ``diff`` and ``events`` think for it.

``fleet.py`` calls :meth:`Feed.tick`; a turn asks ``salesforce/questions.py`` for pages, lets ``diff.decide`` say what
happened to each row, and hands every page to ``store/feeds.py:commit_page``, where events, sightings and watermarks go
to disk together. From there ``delivery/dispatcher.py`` takes over; this room never hears of a sink.

A feed that starts "now" first learns silently what is visible already (it is *primed*), because now is a matter of what
could be seen, not of stamps: a transaction that is open at the start has older stamps and commits later, and its
changes are told.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from salesforce_poller.clock import Clock
from salesforce_poller.errors import (
    FieldsUnknown,
    LimitReached,
    ObjectUnknown,
    OrgRefused,
    PollerError,
    Refused,
    Scope,
    Stopped,
    StoreError,
    TryLater,
)
from salesforce_poller.model import PollFailure, PollReport, Sighting, Watermarks, Window
from salesforce_poller.polling import plan
from salesforce_poller.polling.backfill import Backfill
from salesforce_poller.polling.columns import Columns
from salesforce_poller.polling.intake import Intake
from salesforce_poller.polling.patience import pause_after
from salesforce_poller.polling.reading import Opening, follow
from salesforce_poller.polling.reconcile import Reconcile
from salesforce_poller.polling.replication import Deletions, Replication
from salesforce_poller.polling.schema import Schema
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.salesforce import soql, troubles
from salesforce_poller.salesforce.questions import Questions
from salesforce_poller.store.feeds import Feeds

log = structlog.get_logger()

#: A sweep that did not work is tried again after this long; polls go on meanwhile.
_SWEEP_AGAIN = timedelta(minutes=1).total_seconds()
_REFUSED_SWEEP_AGAIN = timedelta(minutes=5).total_seconds()
#: Describe tells of a hidden field at once; a column that it lists and a query refuses takes a second look.
_MOST_DESCRIBES = 2


class Feed:
    """One watched object of one org. Its turns never overlap."""

    def __init__(
        self,
        object_name: str,
        settings: FeedSettings,
        *,
        org: Questions,
        store: Feeds,
        clock: Clock,
        rng: random.Random,
        stop: asyncio.Event,
        report: Callable[[PollReport | PollFailure], None],
        roomy: Callable[[], bool] = lambda: True,
    ) -> None:
        self.object = object_name
        self.settings = settings
        self._org = org
        self._store = store
        self._clock = clock
        self._rng = rng
        self._report = report
        self._roomy = roomy
        self._columns = Columns(object_name, settings.fields, org=org, kept=store.described, clock=clock)
        self._intake = Intake(object_name, settings, org=org, store=store, clock=clock, stop=stop)
        self._replication = Replication(object_name, org)
        #: True from the beginning of a turn until one has worked out: it is due again as soon as it is free.
        self.behind = False
        self._backfill = Backfill(object_name, settings, org=org, intake=self._intake, clock=clock, roomy=roomy)
        self._reconcile = Reconcile(
            object_name, settings, org=org, store=store, intake=self._intake, clock=clock, roomy=roomy
        )
        self._turn_lock = asyncio.Lock()
        self._next_sweep = 0.0
        self._sweep_error: PollerError | None = None
        self._failures = 0
        self._not_before = 0.0

    @property
    def name(self) -> str:
        """Org and object, for people."""
        return f"{self._org.name}/{self.object}"

    # ------------------------------------------------------------------ the turn

    @property
    def free(self) -> bool:
        """False while a turn is under way, and while the feed rests after a failure."""
        return not self._turn_lock.locked() and self._clock.monotonic() >= self._not_before

    def doubt(self) -> None:
        """Read again what is on disk of this feed before anything is built upon it."""
        self._intake.doubt()

    def hurry(self) -> None:
        """Rest no longer after a failure: a person says that it is mended."""
        self._not_before = 0.0

    async def tick(self) -> None:
        """Take a turn, if the feed is free.

        During a backfill turns follow each other at once, as long as there is room for it in the budget.
        """
        if not self.free:
            return
        async with self._turn_lock:
            more = True
            while more:
                more = await self._reported_turn()

    async def turn(self) -> PollReport:
        """Start, poll or sweep the feed once, then read on in its past until the next turn is due.

        Raises:
            PollerError: when Salesforce or the store would not have it; everything committed so far stays.
        """
        for _ in range(_MOST_DESCRIBES):
            try:
                return await self._turn()
            except FieldsUnknown as exc:
                self._columns.refuse(exc)
        return await self._turn()

    async def _reported_turn(self) -> bool:
        self.behind = True
        try:
            report = await self._noted(await self.turn())
        except Stopped:
            return False
        except LimitReached as exc:
            # The org's affair, not this feed's: `budget.py` says when it may go on, and tells of it.
            log.debug("feed.held_back", **self._names, reason=str(exc))
            if exc.facts.trouble:  # said by the org itself, and not by our own ledger: a person may want to know
                await self._tell_of(exc, exc.retry_after or 0.0)
            return False
        except PollerError as exc:
            await self._note_failure(exc)
            return False
        except Exception as exc:
            # The one place: a bug in one feed must not stop the others.
            log.exception("feed.bug", **self._names)
            defect = troubles.our_facts("DEFECT")
            await self._note_failure(TryLater(f"a defect of this program: {type(exc).__name__}", facts=defect))
            return False
        self._failures, self.behind = 0, False
        self._report(report)
        return report.more

    async def _noted(self, report: PollReport) -> PollReport:
        """Write down how a turn ended that brought something. Raises StoreError."""
        now, half = self._clock.now(), self._half_a_failure()
        if half is None:
            await self._store.note_success(self._org.name, self.object, now)
            return report
        await self._store.note_failure(self._org.name, self.object, now, half.error, polled=True, facts=half.facts)
        return replace(report, half=half)

    async def _turn(self) -> PollReport:
        began = self._clock.monotonic()
        marks = await self._intake.begin_turn()
        await self._check_organization(marks)  # before anything else is asked: a stranger is not even described
        columns = await self._columns.current(self._intake.era)
        if marks is None or not marks.primed:
            turn, marks = "start", await self._start(columns)
        elif self._clock.monotonic() >= self._next_sweep:
            turn, marks = await self._sweep_or_poll(columns, marks)
        else:
            turn, marks = "poll", await self._poll(columns, marks)
        if not marks.backfill_done:
            marks = await self._backfill.read_on(columns, marks, until=began + self.settings.every.total_seconds())
        else:
            await self._reconcile.go_on(columns, marks, until=began + self.settings.every.total_seconds())
        unread = not marks.backfill_done and not self._backfill.waiting
        more = (unread or self._reconcile.is_under_way) and self._roomy()
        return self._intake.report(turn, more=more)

    async def _check_organization(self, marks: Watermarks | None) -> None:
        """A refreshed sandbox keeps its name and gets a new id and new records: what we remember is of another org."""
        have = await self._org.organization_id()
        if marks is not None and marks.organization_id != have:
            raise OrgRefused(
                f"this is organisation {have} now, and was {marks.organization_id} (a refreshed sandbox?)",
                facts=troubles.our_facts("OTHER_ORGANIZATION"),
            )

    # ------------------------------------------------------------------ start, poll, sweep, backfill

    async def _start(self, columns: Schema) -> Watermarks:
        """Begin a feed that has never run."""
        now, self._sweep_error = self._org.server_now(), None
        if (told_since := plan.told_since(self.settings)) and told_since > now:
            told = f"start = {told_since.isoformat()} lies in the future; the feed begins then"
            raise Refused(told, facts=troubles.our_facts("START_IN_FUTURE"))
        covered = min(now, await self._covered_at_start(columns, now))
        marks = plan.first_marks(self.settings, covered, now, await self._org.organization_id())
        if not marks.primed:
            window = plan.prime_window(columns, self.settings, marks)
            marks = await self._read(window, marks, columns, proven_before=covered, silent=True)
            if self._sweep_error is None:
                deletions = await self._deletions(columns, marks, now)
                await self._confirm(columns, marks, deletions, silent=True)
            marks = replace(marks, primed=True)
        await self._intake.begin_feed(marks)
        self._next_sweep = self._clock.monotonic() + self.settings.sweep_every.total_seconds()
        return marks

    async def _covered_at_start(self, columns: Schema, now: datetime) -> datetime:
        """Ask how far everything is committed; a feed whose replication calls are refused begins without them."""
        try:
            if not columns.replicateable:
                return now - plan.LOOK_BACK  # nothing tells; it is believed of what is ten minutes old
            return await self._replication.covered_until(plan.Span(now - plan.START_SPAN, now))
        except (FieldsUnknown, OrgRefused, ObjectUnknown):
            raise
        except Refused as exc:
            self._sweep_error = exc
            return now - plan.LOOK_BACK

    async def _sweep_or_poll(self, columns: Schema, marks: Watermarks) -> tuple[str, Watermarks]:
        """Sweep; where only the replication calls fail, polls must go on without them, and the failure be told."""
        try:
            marks = await self._sweep(columns, marks)
        except (FieldsUnknown, LimitReached, OrgRefused, Stopped, StoreError):
            raise
        except PollerError as exc:
            if isinstance(exc, TryLater) and exc.retry_after:
                raise  # it asks for patience, and would not like a poll any better
            self._sweep_error = exc
            again = _REFUSED_SWEEP_AGAIN if isinstance(exc, Refused) else _SWEEP_AGAIN
            self._next_sweep = self._clock.monotonic() + again
            marks = await self._intake.watermarks() or marks
            return "poll", await self._poll(columns, marks)
        self._sweep_error = None
        self._next_sweep = self._clock.monotonic() + self.settings.sweep_every.total_seconds()
        return "sweep", marks

    async def _poll(self, columns: Schema, marks: Watermarks) -> Watermarks:
        """Read what is new since the last turn."""
        window = plan.poll_window(columns, self.settings, marks)
        return await self._read(window, marks, columns, proven_before=marks.settled_through)

    async def _sweep(self, columns: Schema, marks: Watermarks) -> Watermarks:
        """Read what is new, committed late or deleted for good. The order matters: see ``plan.py``."""
        now = self._org.server_now()
        window = plan.sweep_window(columns, self.settings, marks, self._intake.swept_through)
        covered, deletions, first = await self._look(columns, marks, window, now)
        marks = await self._read(window, marks, columns, proven_before=covered, first=first, sweeping=True)
        await self._confirm(columns, marks, deletions)
        marks = plan.settled(plan.logged(marks, deletions.through, now), covered, now)
        await self._intake.take_gaps(deletions.gaps, marks)
        self._intake.swept_through = None
        return marks

    async def _look(
        self, columns: Schema, marks: Watermarks, window: Window, now: datetime
    ) -> tuple[datetime, Deletions, Opening | None]:
        """Ask the log of changes and, after it, for the window's first page, all in one call where that works."""
        if not columns.replicateable:
            return now - plan.LOOK_BACK, Deletions((), marks.deleted_through), None
        updated, (deleted, _) = plan.updated_span(marks, now), plan.deleted_span(marks, now)
        look = await self._org.look(window, updated=(updated.start, updated.end), deleted=(deleted.start, deleted.end))
        covered = await self._replication.covered_until(updated, look.covered)
        deletions = await self._replication.deletions(marks, now, look.deleted)
        # A page that was read before it was known how far everything is committed proves nothing.
        return covered, deletions, None if isinstance(look.covered, PollerError) else Opening(now, look.page)

    # ------------------------------------------------------------------ reading

    async def _read(
        self,
        window: Window,
        marks: Watermarks,
        columns: Schema,
        *,
        proven_before: datetime,
        first: Opening | None = None,
        silent: bool = False,
        sweeping: bool = False,
    ) -> Watermarks:
        """Read a window to its end, a page at a time; each page is one transaction. Returns the watermarks after it.

        What a sweep has read of its window need not be read again by the next one, should this one not get to its end.
        """
        if first is None:
            at = self._org.server_now()
            first = Opening(at, await self._org.first_page(window))
        if first.is_empty:  # most polls: there is nothing to follow, to compare or to take in
            await self._intake.commit(marks)
            return marks
        opened_at, highest = first.at, marks.seen_through
        opened = follow(self._org, window, proven_before=proven_before, first=first.taken(), ahead=True)
        passed = None
        try:
            async with aclosing(opened) as steps:
                async for step in steps:
                    highest = max([highest, *(record.stamp for record in step.records)])
                    if step.last:
                        marks = plan.seen(marks, min(highest, opened_at))
                        await self._intake.take(step.records, marks, columns, silent=silent)
                    else:
                        marks = plan.seen_in_passing(marks, step.left)
                        await self._intake.begin(step.records, marks, columns, silent=silent)
                    if sweeping and passed:  # as far as that is on disk
                        self._intake.swept_through = passed[0]
                    passed = step.left.after
                    del step  # not to be held beside the next one
        finally:
            await self._intake.finish()
        return marks

    # ------------------------------------------------------------------ deletions

    async def _deletions(self, columns: Schema, marks: Watermarks, now: datetime) -> Deletions:
        if not columns.replicateable:
            return Deletions((), marks.deleted_through)
        return await self._replication.deletions(marks, now)

    async def _confirm(self, columns: Schema, marks: Watermarks, deletions: Deletions, *, silent: bool = False) -> None:
        """Look up what the delete log names and we do not know to be deleted.

        Present and deleted: the row tells. Present and live: it was undeleted, and the poll tells. Absent: gone for
        good. The feed's own condition is left out, because a record that does not match it any more is not gone.
        """
        dates = dict(deletions.rows)
        for ids in soql.id_batches(list(dates)):
            known = await self._intake.known(ids)
            asked = [one for one in ids if self._is_news(one, known.get(one), columns)]
            if not asked:
                continue
            window = replace(plan.sweep_window(columns, self.settings, marks), where=None)
            found = {record.id: record async for record in self._org.records(window, asked)}
            binned = [record for record in found.values() if record.deleted]
            await self._intake.take_deleted(binned, dates, marks, columns, silent=silent)
            gone = {one: dates[one] for one in asked if one not in found}
            await self._intake.take_vanished(gone, known, marks, silent=silent)

    def _is_news(self, record_id: str, sighting: Sighting | None, columns: Schema) -> bool:
        """Say whether a deletion may be news.

        A feed with a condition can only judge the records it has seen. So can one of a history object, whose delete
        log names the deletions of all history objects (getDeleted(), SOAP API Developer Guide).
        """
        if sighting is not None:
            return not sighting.deleted
        ours = columns.key_prefix is None or record_id.startswith(columns.key_prefix)
        return self.settings.where is None and ours and not self.object.endswith("History")

    # ------------------------------------------------------------------ small things

    @property
    def _names(self) -> dict[str, str]:
        return {"org": self._org.name, "object": self.object}

    def _half_a_failure(self) -> PollFailure | None:
        """Say of a sweep or a comparison that did not work that only this feed is concerned: its polls go on."""
        error, again, told = self._sweep_error, self._next_sweep, "late commits and hard deletes cannot be looked for"
        if error is None:
            error, again, told = self._reconcile.trouble, self._reconcile.again_at, "ids cannot be compared"
        if error is None:
            return None
        told = f"{told}: {error}"
        pause = max(0.0, again - self._clock.monotonic())
        facts = replace(error.facts, scope=Scope.FEED)
        return PollFailure(self._org.name, self.object, told, pause, isinstance(error, Refused), facts)

    async def _note_failure(self, error: PollerError) -> None:
        pause = pause_after(error, self._failures, self._rng)
        self._failures += 1
        self._not_before = self._clock.monotonic() + pause
        await self._tell_of(error, pause)

    async def _tell_of(self, error: PollerError, pause: float) -> None:
        try:
            await self._store.note_failure(
                self._org.name, self.object, self._clock.now(), str(error), facts=error.facts
            )
        except StoreError as exc:
            # Most likely what failed the turn, which is told below; else `fleet.py` tells of it.
            log.debug("store.failed", **self._names, error=str(exc))
        permanent = isinstance(error, Refused)
        self._report(PollFailure(self._org.name, self.object, str(error), pause, permanent, error.facts))
