"""From rows to disk: looks up what is remembered, lets ``diff`` decide, and commits a page at once.

Called by ``poller.py`` for every page; the next stop is ``store/feeds.py:Feeds.commit_page``.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from salesforce_poller.clock import Clock
from salesforce_poller.errors import Stopped, StoreError, StoreWentBack
from salesforce_poller.model import Event, Gap, Kind, PollReport, Record, Sighting, Watermarks
from salesforce_poller.polling import diff, events, plan
from salesforce_poller.polling.schema import Schema
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.salesforce.questions import Questions
from salesforce_poller.spread import LAGS, Spread
from salesforce_poller.store.feeds import Feeds
from salesforce_poller.store.versions import NEVER, Step

#: What says nothing about how late a change was read.
_NO_CHANGE = (Kind.SNAPSHOT, Kind.GAP)
_KIND_AND_TIMES = attrgetter("kind", "observed_at", "time")
#: Rows that are thought about before others have their turn: a millisecond, more where their values are compared.
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class _Page:
    """What is to be committed of a page."""

    marks: Watermarks
    happened: Sequence[Event]
    seen: Sequence[Sighting]
    #: When it was read (the org's time, UTC), where its rows may be late; else None.
    late_at: datetime | None


class Intake:
    """Takes the pages of one feed in, and counts what they brought."""

    def __init__(
        self,
        object_name: str,
        settings: FeedSettings,
        *,
        org: Questions,
        store: Feeds,
        clock: Clock,
        stop: asyncio.Event,
    ) -> None:
        self._object = object_name
        self._settings = settings
        self._org = org
        self._store = store
        self._clock = clock
        self._stop = stop
        #: What is on disk of how far the feed is read; None: not known.
        self._committed: Watermarks | None = None
        #: The commit that this is of, as the store has it; None: it must be read before anything is committed.
        self._version: int | None = None
        #: The numbers of which the store has one, if it did not go back; none before it was read.
        self._possible: frozenset[int] = frozenset()
        #: When the feed had begun that was last known to be there (the org's time, UTC).
        self._started_at: datetime | None = None
        #: Grows when the store was found to have gone back: what was made of it before is not to be gone on with.
        self.era = 0
        #: How far a sweep came that did not get to its end, where all that it read is known to be on disk.
        self.swept_through: datetime | None = None
        #: Whether the store may have gone back to an earlier state since the turn began.
        self._in_doubt = False
        #: The same at the beginning of the turn; None in a feed's first.
        self._began: Watermarks | None = None
        #: The commit that is under way, and what it remembers of records, by id.
        self._writing: asyncio.Task[None] | None = None
        self._in_hand: dict[str, Sighting] = {}
        self._count_anew()

    def _count_anew(self) -> None:
        self._rows = 0
        self._kinds: Counter[str] = Counter()
        self._delays, self._late = Spread(LAGS), Spread(LAGS)

    async def watermarks(self) -> Watermarks | None:
        """Return how far the feed is read, or None when it has never run."""
        if self._committed is None:
            found = await self._store.watermarks(self._org.name, self._object)
            self._committed, self._version = found, found.version if found else NEVER
            if self._possible and self._version not in self._possible:
                self.era += 1
            self._possible = frozenset({self._version})
            self._started_at = found.started_at if found and found.primed else self._started_at
        return self._committed

    def doubt(self) -> None:
        """Read again what is on disk: another server may have taken over that lacks the last moments.

        Every commit finds that out by itself (``store/versions.py``); a feed that has nothing to commit would not. A
        turn under way commits nothing any more, since it was made of what may not be there.
        """
        self._in_doubt = True

    async def begin_turn(self) -> Watermarks | None:
        """Return :meth:`watermarks`, and remember them: they tell what polls have looked at before this turn."""
        if self._in_doubt:
            self._in_doubt, self._committed, self.swept_through = False, None, None
        self._began = await self.watermarks()
        return self._began

    def report(self, turn: str, *, more: bool) -> PollReport:
        """Tell what was taken in since the last report, and count from zero again."""
        told = PollReport(
            self._org.name,
            self._object,
            turn,
            self._rows,
            dict(self._kinds),
            more=more,
            delays=self._delays,
            late=self._late,
        )
        self._count_anew()
        return told

    async def known(self, record_ids: Sequence[str]) -> dict[str, Sighting]:
        """Return what is remembered of records."""
        if not record_ids:
            return {}
        return await self._store.sightings(self._org.name, self._object, record_ids)

    async def take(
        self,
        records: Sequence[Record],
        marks: Watermarks,
        columns: Schema,
        *,
        silent: bool = False,
        copied: bool = False,
        logged: bool = False,
    ) -> int:
        """Decide what happened to each row of a page and commit it; returns how many rows were news.

        ``silent`` only remembers the rows; ``copied`` rows are not what the org has now, but what it had some time ago
        (see ``diff.is_outdated``); ``logged`` ones have the time from the delete log. Raises Stopped after the commit
        when the program is to end.
        """
        page = await self._decide(list(records), marks, columns, silent=silent, copied=copied, logged=logged)
        await self.finish()
        await self._put(page)
        return len(page.seen)

    async def begin(self, records: list[Record], marks: Watermarks, columns: Schema, *, silent: bool = False) -> None:
        """As :meth:`take`, but only begin to commit: the page before is on disk when this returns, this one not yet.

        The list is empty then: a row goes as soon as it is thought about, since many of them are large.

        So the disk writes one page while the next one is thought about. Whoever begins must come to :meth:`finish`,
        whatever happens; nothing is committed behind a page that could not be. Raises Stopped as :meth:`take` does.
        """
        page = await self._decide(records, marks, columns, silent=silent)
        await self.finish()
        if self._stop.is_set():  # not to be found out only when the org has answered with the next page
            await self._put(page)
            return
        self._in_hand = {one.record_id: one for one in page.seen}
        self._writing = asyncio.create_task(self._put(page))

    async def finish(self) -> None:
        """Wait until what was begun is on disk. Raises what :meth:`commit` raises."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            try:
                await writing
            finally:
                self._in_hand = {}

    async def _decide(
        self,
        records: list[Record],
        marks: Watermarks,
        columns: Schema,
        *,
        silent: bool = False,
        copied: bool = False,
        logged: bool = False,
    ) -> _Page:
        known = await self.known([record.id for record in records])
        known |= {one.id: self._in_hand[one.id] for one in records if one.id in self._in_hand}
        if copied:
            records = [one for one in records if not diff.is_outdated(one, known.get(one.id), marks)]
        rules = diff.Rules(
            columns.visible,
            columns.derived,
            past=plan.past_of(self._settings),
            told_since=plan.told_since(self._settings),
            unchanged=self._settings.unchanged,
        )
        origin, observed_at = await self._origin(), self._org.server_now()
        happened: list[Event] = []
        seen: list[Sighting] = []
        self._rows += len(records)
        records.reverse()
        while records:
            record = records.pop()
            sighting = known.get(record.id)
            fresh = diff.sight(record, sighting, rules)
            if fresh:
                seen.append(fresh)
            if not silent:
                happened += [
                    events.of_record(origin, change, record, sighting, observed_at, seen=fresh)
                    for change in diff.decide(record, sighting, marks, rules)
                ]
            if len(records) % _AT_ONCE == 0:
                await asyncio.sleep(0)  # noqa: TID251  # no time passes: others have their turn
        return _Page(marks, happened, seen, None if silent or copied or logged else observed_at)

    async def _put(self, page: _Page) -> None:
        await self.commit(page.marks, page.happened, page.seen)
        if page.late_at is not None:
            self._note_late(page.seen, page.late_at)

    async def take_deleted(
        self,
        found: Sequence[Record],
        deleted_at: Mapping[str, datetime],
        marks: Watermarks,
        columns: Schema,
        *,
        silent: bool = False,
    ) -> None:
        """Take in rows that the delete log names and that are in the recycle bin.

        They count as stamped when the log says they were deleted: whether a cascade stamps its children is not
        documented.
        """
        dated = [record.but(stamp=max(record.stamp, deleted_at[record.id])) for record in found]
        await self.take(dated, marks, columns, silent=silent, logged=True)

    async def take_vanished(
        self,
        deleted_at: Mapping[str, datetime],
        known: Mapping[str, Sighting],
        marks: Watermarks,
        *,
        silent: bool = False,
    ) -> None:
        """Take in records that the delete log names and nothing else does any more: gone for good."""
        origin, observed_at = await self._origin(), self._org.server_now()
        happened: list[Event] = []
        for record_id, at in deleted_at.items():
            sighting = known.get(record_id)
            changes = [] if silent else diff.decide_vanished(sighting, at, marks)
            happened += (events.of_vanished(origin, change, record_id, sighting, observed_at) for change in changes)
        seen = [diff.sight_vanished(record_id, known.get(record_id), at) for record_id, at in deleted_at.items()]
        await self.commit(marks, happened, seen)

    async def begin_feed(self, marks: Watermarks) -> None:
        """Commit the first watermarks of a feed; and a gap, where the store has forgotten that it had begun before."""
        before = self._started_at
        if before is None or before == marks.started_at:
            await self.commit(marks)
            return
        why = "the store went back to before this feed had begun"
        await self.take_gaps([Gap("changes", before, marks.started_at, why)], marks)
        self._started_at = marks.started_at

    async def take_gaps(self, gaps: Sequence[Gap], marks: Watermarks) -> None:
        """Commit watermarks, and the gaps that lie before them."""
        origin, observed_at = await self._origin(), self._org.server_now()
        await self.commit(marks, [events.of_gap(origin, gap, observed_at) for gap in gaps])

    async def commit(self, marks: Watermarks, happened: Sequence[Event] = (), seen: Sequence[Sighting] = ()) -> None:
        """Put a page on disk, if there is anything new in it; then, and only then, heed the wish to stop."""
        if happened or seen or marks != self._committed:
            if self._in_doubt:
                raise StoreWentBack("the database may have handed over to another server; the turn begins anew")
            if self._version is None:
                raise StoreError("what is on disk must be read anew; the turn begins anew")
            step = Step.after(self._version)
            # Where it fails, nobody knows what is on disk before it is read again.
            self._committed, self._version = None, None
            self._possible |= {step.becomes}
            try:
                await self._commit(marks, happened, seen, step)
            except BaseException:
                self.swept_through = None
                raise
            self._committed, self._version = marks, step.becomes
            self._possible = frozenset({step.becomes})
            self._started_at = self._started_at or (marks.started_at if marks.primed else None)
        # A page is read at one instant, and its changes are of few kinds and stamped at few.
        alike = Counter(map(_KIND_AND_TIMES, happened))
        for (kind, _, _), count in alike.items():
            self._kinds[kind.value] += count
        self._note_delays(alike)
        if self._stop.is_set():
            raise Stopped

    async def _commit(self, marks: Watermarks, happened: Sequence[Event], seen: Sequence[Sighting], step: Step) -> None:
        org, at = self._org.name, self._clock.now()
        await self._store.commit_page(org, self._object, events=happened, sightings=seen, marks=marks, at=at, step=step)

    def _note_delays(self, alike: Mapping[tuple[Kind, datetime, datetime], int]) -> None:
        """Count how long changes took to be read; not those that a feed reads of its past, or long after."""
        if self._began is None:
            return
        for (kind, observed_at, time), count in alike.items():
            if time >= self._began.settled_through and kind not in _NO_CHANGE:
                self._delays.add((observed_at - time).total_seconds(), count)

    def _note_late(self, news: Sequence[Sighting], observed_at: datetime) -> None:
        """Count the rows that no poll would have found: their stamps lie where polls have looked before this turn.

        What is stamped before ``settled_through`` was committed long ago; it is read of a feed's past.
        """
        if self._began is None:
            return
        settled, polls_from = self._began.settled_through, self._began.seen_through - self._settings.overlap
        for one in news:
            if settled <= one.stamp < polls_from:
                self._late.add((observed_at - one.stamp).total_seconds())

    async def _origin(self) -> events.Origin:
        return events.Origin(self._org.name, await self._org.organization_id(), self._object)
