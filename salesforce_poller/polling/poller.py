"""One feed, turn by turn: the hands of this room. ``plan``, ``schema``, ``diff`` and ``events`` think for it.

The scheduler calls :meth:`Feed.tick`; a turn asks ``salesforce/client.py`` for pages, lets ``diff.decide`` say what
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
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from salesforce_poller.clock import Clock
from salesforce_poller.errors import (
    FieldsUnknown,
    LocatorLost,
    LoginRefused,
    PollerError,
    Refused,
    ReplicationDateInvalid,
    Stopped,
    StoreError,
    TooMuch,
    TryLater,
)
from salesforce_poller.model import Gap, PollFailure, PollReport, Sighting, Watermarks, Window
from salesforce_poller.polling import plan
from salesforce_poller.polling.columns import Columns
from salesforce_poller.polling.intake import Intake
from salesforce_poller.polling.patience import pause_after
from salesforce_poller.polling.schema import Schema
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.salesforce import soql
from salesforce_poller.salesforce.client import Org
from salesforce_poller.store.feeds import Feeds

log = structlog.get_logger()

#: Lost locators in one pass after which we suspect something else and try again later.
_MOST_RESUMES = 5
#: A sweep that did not work is tried again after this long; polls go on meanwhile.
_SWEEP_AGAIN = timedelta(minutes=1).total_seconds()


@dataclass(frozen=True, slots=True)
class Deletions:
    """What the delete log told, and how far it is covered now."""

    #: (id, deletedDate), UTC.
    rows: tuple[tuple[str, datetime], ...]
    through: datetime


class Feed:
    """One watched object of one org. Its turns never overlap."""

    def __init__(
        self,
        object_name: str,
        settings: FeedSettings,
        *,
        org: Org,
        store: Feeds,
        clock: Clock,
        rng: random.Random,
        stop: asyncio.Event,
        report: Callable[[PollReport | PollFailure], None],
    ) -> None:
        self.object = object_name
        self.settings = settings
        self._org = org
        self._store = store
        self._clock = clock
        self._rng = rng
        self._report = report
        self._columns = Columns(object_name, settings.fields, org=org, clock=clock)
        self._intake = Intake(object_name, settings, org=org, store=store, clock=clock, stop=stop)
        self._turn_lock = asyncio.Lock()
        self._next_sweep = 0.0
        self._sweep_error: PollerError | None = None
        self._long_tail = False
        self._failures = 0
        self._not_before = 0.0

    @property
    def name(self) -> str:
        """Org and object, for people."""
        return f"{self._org.name}/{self.object}"

    # ------------------------------------------------------------------ the turn

    async def tick(self) -> None:
        """Take a turn, unless the feed rests after a failure; during a backfill turns follow each other at once."""
        if self._turn_lock.locked() or self._clock.monotonic() < self._not_before:
            return
        async with self._turn_lock:
            more = True
            while more:
                more = await self._reported_turn()

    async def turn(self) -> PollReport:
        """Start, poll or sweep the feed once, then read on in its backfill until the next turn is due.

        Raises:
            PollerError: when Salesforce or the store would not have it; everything committed so far stays.
        """
        try:
            return await self._turn()
        except FieldsUnknown as exc:
            self._columns.refuse(exc)
            return await self._turn()

    async def _reported_turn(self) -> bool:
        try:
            report = await self.turn()
        except Stopped:
            return False
        except PollerError as exc:
            await self._note_failure(exc)
            return False
        except Exception as exc:
            # The one place: a bug in one feed must not stop the others.
            log.exception("feed.bug", **self._names)
            await self._note_failure(TryLater(f"a defect of this program: {type(exc).__name__}"))
            return False
        self._failures = 0
        if self._sweep_error is None:
            await self._store.note_success(self._org.name, self.object, self._clock.now())
        else:
            told = f"late commits and hard deletes cannot be looked for: {self._sweep_error}"
            await self._store.note_failure(self._org.name, self.object, self._clock.now(), told, polled=True)
        self._report(report)
        return report.more

    async def _turn(self) -> PollReport:
        began = self._clock.monotonic()
        self._intake.begin_turn()
        columns = await self._columns.current()
        marks = await self._store.watermarks(self._org.name, self.object)
        if marks is None or not marks.primed:
            turn, marks = "start", await self._start(columns)
        elif self._clock.monotonic() >= self._next_sweep:
            turn, marks = await self._sweep_or_poll(columns, marks)
        else:
            turn, marks = "poll", await self._poll(columns, marks)
        if not marks.backfill_done:
            marks = await self._backfill(columns, marks, until=began + self.settings.every.total_seconds())
        kinds = dict(self._intake.kinds)
        return PollReport(self._org.name, self.object, turn, self._intake.rows, kinds, more=not marks.backfill_done)

    # ------------------------------------------------------------------ start, poll, sweep, backfill

    async def _start(self, columns: Schema) -> Watermarks:
        """Begin a feed that has never run."""
        now = self._org.server_now()
        covered = min(now, await self._covered_until(columns, plan.Span(now - plan.START_SPAN, now)))
        marks = plan.first_marks(self.settings, covered, now)
        if marks.primed:
            await self._intake.commit(marks)
            return marks
        window = replace(plan.sweep_window(columns, self.settings, marks), since=covered)
        marks = await self._read(window, marks, columns, proven_before=covered, silent=True)
        _, deletions = await self._delete_log(columns, marks, now)
        await self._confirm(columns, marks, deletions, silent=True)
        marks = replace(marks, primed=True)
        await self._intake.commit(marks)
        self._next_sweep = self._clock.monotonic() + self.settings.sweep_every.total_seconds()
        return marks

    async def _sweep_or_poll(self, columns: Schema, marks: Watermarks) -> tuple[str, Watermarks]:
        """Sweep; where only the replication calls fail, polls must go on without them, and the failure be told."""
        try:
            marks = await self._sweep(columns, marks)
        except (FieldsUnknown, LoginRefused, Stopped):
            raise
        except PollerError as exc:
            self._sweep_error = exc
            self._next_sweep = self._clock.monotonic() + _SWEEP_AGAIN
            log.warning("feed.sweep_failed", **self._names, error=str(exc))
            marks = await self._store.watermarks(self._org.name, self.object) or marks
            return "poll", await self._poll(columns, marks)
        self._sweep_error = None
        self._next_sweep = self._clock.monotonic() + self.settings.sweep_every.total_seconds()
        return "sweep", marks

    async def _poll(self, columns: Schema, marks: Watermarks) -> Watermarks:
        """Read what is new since the last turn."""
        window = plan.poll_window(columns, self.settings, marks, long_tail=self._long_tail)
        return await self._read(window, marks, columns, proven_before=marks.settled_through)

    async def _sweep(self, columns: Schema, marks: Watermarks) -> Watermarks:
        """Read what is new, committed late or deleted for good. The order matters: see ``plan.py``."""
        now = self._org.server_now()
        covered = await self._covered_until(columns, plan.updated_span(marks, now))
        gaps, deletions = await self._delete_log(columns, marks, now)
        window = plan.sweep_window(columns, self.settings, marks)
        marks = await self._read(window, marks, columns, proven_before=covered)
        await self._confirm(columns, marks, deletions)
        marks = plan.settled(plan.logged(marks, deletions.through, now), covered, now)
        await self._intake.take_gaps(gaps, marks)
        return marks

    async def _backfill(self, columns: Schema, marks: Watermarks, *, until: float) -> Watermarks:
        """Read on in what was there before the feed started, one page at a time, until the next turn is due."""
        window = plan.backfill_window(columns, self.settings, marks)
        async with aclosing(self._org.pages(window)) as pages:
            async for page in pages:
                window = plan.after_page(window, page.records, proven_before=marks.backfill_until)
                marks = plan.backfilled(marks, window)
                if page.next_url is None:
                    marks = replace(marks, backfill_done=True)
                await self._intake.take(page.records, marks, columns)
                log.info("feed.backfill", **self._names, rows=self._intake.rows, done=marks.backfill_done)
                if self._clock.monotonic() >= until:
                    break
        return marks

    # ------------------------------------------------------------------ reading

    async def _read(
        self,
        window: Window,
        marks: Watermarks,
        columns: Schema,
        *,
        proven_before: datetime,
        silent: bool = False,
    ) -> Watermarks:
        """Read a window to its end, a page at a time; each page is one transaction. Returns the watermarks after it."""
        pages, news, highest = 0, 0, None
        for _ in range(_MOST_RESUMES):
            try:
                async for page in self._org.pages(window):
                    pages += 1
                    stamps = [record.stamp for record in page.records]
                    highest = max([*stamps, *([highest] if highest else [])], default=None)
                    last = page.next_url is None
                    marks = (
                        plan.seen(marks, highest)
                        if last
                        else plan.seen_in_passing(marks, page.records, proven_before=proven_before)
                    )
                    news += await self._intake.take(page.records, marks, columns, silent=silent)
                    window = plan.after_page(window, page.records, proven_before=proven_before)
            except LocatorLost as exc:
                log.warning("feed.locator_lost", **self._names, error=str(exc))
                continue
            self._long_tail = pages > 1 and not news
            return marks
        raise TryLater("the query locator was lost again and again; other programs may share this Salesforce user")

    async def _covered_until(self, columns: Schema, span: plan.Span) -> datetime:
        """Ask how far everything is committed; where nothing tells, believe it of what is ten minutes old."""
        if not columns.replicateable:
            return span.end - plan.LOOK_BACK
        while True:
            try:
                return await self._org.covered_until(self.object, span.start, span.end)
            except TooMuch:
                half = plan.halved(span)
                if half is None:
                    raise
                span = half
            except ReplicationDateInvalid:
                # A very young org ("startDate before org replication enabled date"), or a clock that jumped.
                shortest = plan.Span(span.end - plan.SHORTEST_SPAN, span.end)
                if span == shortest:
                    raise
                span = shortest

    # ------------------------------------------------------------------ deletions

    async def _delete_log(self, columns: Schema, marks: Watermarks, now: datetime) -> tuple[list[Gap], Deletions]:
        """Ask the delete log since where we stopped; what it cannot tell any more is a gap, never silence."""
        if not columns.replicateable:
            return [], Deletions((), marks.deleted_through)
        span, gap = plan.deleted_span(marks, now)
        gaps = [gap] if gap else []
        try:
            answer = await self._org.deleted(self.object, span.start, span.end)
        except ReplicationDateInvalid as exc:
            recent = plan.Span(now - plan.SHORTEST_SPAN, now)
            if span == recent:
                raise
            log.warning("feed.delete_log_lost", **self._names, error=str(exc))
            gaps.append(plan.lost_log(span, recent))
            span = recent
            answer = await self._org.deleted(self.object, span.start, span.end)
        if purged := plan.purged_gap(span, marks, answer.earliest_available):
            gaps.append(purged)
        return gaps, Deletions(answer.deleted, answer.latest_covered)

    async def _confirm(self, columns: Schema, marks: Watermarks, deletions: Deletions, *, silent: bool = False) -> None:
        """Look up what the delete log names and we do not know to be deleted.

        Present and deleted: the row tells. Present and live: it was undeleted, and the poll tells. Absent: gone for
        good. The feed's own condition is left out, because a record that does not match it any more is not gone.
        """
        dates = dict(deletions.rows)
        for ids in soql.id_batches(list(dates)):
            known = await self._intake.known(ids)
            asked = [one for one in ids if self._is_news(known.get(one))]
            if not asked:
                continue
            window = replace(plan.sweep_window(columns, self.settings, marks), where=None)
            found = {record.id: record async for record in self._org.records(window, asked)}
            binned = [record for record in found.values() if record.deleted]
            await self._intake.take_deleted(binned, dates, marks, columns, silent=silent)
            gone = {one: dates[one] for one in asked if one not in found}
            await self._intake.take_vanished(gone, known, marks, silent=silent)

    def _is_news(self, sighting: Sighting | None) -> bool:
        """Say whether a deletion may be news: a feed with a condition can only judge the records it has seen."""
        return self.settings.where is None if sighting is None else not sighting.deleted

    # ------------------------------------------------------------------ small things

    @property
    def _names(self) -> dict[str, str]:
        return {"org": self._org.name, "object": self.object}

    async def _note_failure(self, error: PollerError) -> None:
        pause = pause_after(error, self._failures, self._rng)
        self._failures += 1
        self._not_before = self._clock.monotonic() + pause
        try:
            await self._store.note_failure(self._org.name, self.object, self._clock.now(), str(error))
        except StoreError as exc:
            # Most likely what failed the turn; the log is left to tell of it.
            log.warning("store.failed", **self._names, error=str(exc))
        permanent = isinstance(error, Refused)
        self._report(PollFailure(self._org.name, self.object, str(error), pause, permanent))
