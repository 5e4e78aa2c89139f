"""A house with several sinks in which deliveries go wrong, and the books in which every promise to them is checked.

For ``laws/test_delivery_machine.py``. The dispatchers and the store are the real ones. A process dies by an exception
out of one of the dispatcher's awaits, after which nothing it had in memory is used again; what it had committed stays.
"""

import asyncio
import random
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import earlier
import handed
import stores
from builders import an_event, watermarks
from fakes import Broken, FakeClock, FakeSink
from sqlalchemy import delete, select, update

from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.errors import StoreWentBack
from salesforce_poller.model import Delivery, DispatchReport, Event, Parked, Receipt, Verdict
from salesforce_poller.opening import resume_sinks
from salesforce_poller.sinks.base import Dressed, SinkSettings
from salesforce_poller.store import codec, parking
from salesforce_poller.store.outbox import Outbox
from salesforce_poller.store.store import Store
from salesforce_poller.store.tables import events, parked, sinks

RECORDS = "ABCD"
SETTINGS: dict[str, dict[str, Any]] = {
    "crm": {"objects": ["Lead"], "give_up_after": "1h"},
    "audit": {"ordering": "strict", "give_up_after": "1h"},
    "lake": {"ordering": "none", "objects": ["Lead"]},
    "ops": {"events": ["updated", "alert"], "objects": ["Contact"]},
    "pager": {"events": ["alert"], "ordering": "strict", "give_up_after": "1h"},
}
ACCEPTED = Receipt(Verdict.ACCEPTED)
Mood = Callable[[Dressed], Receipt]
Deed = Callable[[], Coroutine[Any, Any, None]]
T = TypeVar("T")


def well() -> Mood:
    """The sink takes everything."""
    return lambda _event: ACCEPTED


def down(receipt: Receipt) -> Mood:
    """The sink takes nothing."""
    return lambda _event: receipt


def picky(bad: set[str], receipt: Receipt) -> Mood:
    """The sink takes all but some records."""
    return lambda event: receipt if event.key in bad else ACCEPTED


def poison(every: int, receipt: Receipt) -> Mood:
    """The sink takes all but some events."""
    return lambda event: receipt if int(event.event_id, 16) % every == 0 else ACCEPTED


def by_chance(seed: int, share: float) -> Mood:
    """The sink fails now and then."""
    rng = random.Random(seed)
    return lambda _event: Receipt(Verdict.TRY_LATER, "HTTP 503") if rng.random() < share else ACCEPTED


def buggy(bad: str) -> Mood:
    """The sink stumbles over a record."""

    def stumble(event: Dressed) -> Receipt:
        if event.key == bad:
            raise ValueError(bad)
        return ACCEPTED

    return stumble


class Died(BaseException):
    """The process ended here."""


class Fate:
    """Counts awaits, and ends the process at one of them."""

    left = 0

    def tick(self) -> None:
        """Pass an await."""
        self.left -= 1
        if self.left == 0:
            raise Died


class MortalOutbox:
    """The real outbox, with an end before or after each of its awaits."""

    def __init__(self, outbox: Outbox, fate: Fate) -> None:
        self._outbox = outbox
        self._fate = fate

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Return the method of the real one between two chances to die."""

        async def mortal(*args: Any, **kwargs: Any) -> Any:
            self._fate.tick()
            answer = await getattr(self._outbox, name)(*args, **kwargs)
            self._fate.tick()
            return answer

        return mortal


@dataclass
class Book:
    """What a sink was promised, and what it got."""

    #: Ids that were accepted, and that somebody dropped.
    delivered: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    #: Ids that somebody had replayed, and those of them that were not accepted since.
    replayed: set[str] = field(default_factory=set)
    pending: set[str] = field(default_factory=set)
    #: As it was when the present round began: given up, still to be replayed, paused.
    dead: set[str] = field(default_factory=set)
    promised: set[str] = field(default_factory=set)
    paused: bool = False


@dataclass(frozen=True)
class Standby:
    """What a standby has of the store, and what the books were then."""

    store: earlier.Copy
    events: dict[int, Event]
    books: dict[str, Book]


class DeliveryWorld:
    """The house, the books, and everything that can happen to them. Closed by leaving it as a context."""

    def __init__(self, seed: int, concurrency: int, batch: int, names: Iterable[str] = SETTINGS) -> None:
        #: The sinks of this world.
        self.names = sorted(names)
        self.clock = FakeClock()
        self.moods: dict[str, Mood] = {name: well() for name in self.names}
        #: What somebody does in the middle of the next send of any sink.
        self.beside: list[Deed] = []
        self._rng = random.Random(seed)
        self.fate = Fate()
        self._folder = Path(tempfile.mkdtemp())
        self._runner = asyncio.Runner()
        self._books = {name: Book() for name in self.names}
        self._settings = {name: SinkSettings.model_validate(SETTINGS[name]) for name in self.names}
        self._sinks = {name: _Sink(self, name, concurrency, batch) for name in self.names}
        self._events: dict[int, Event] = {}
        self._ids = 0
        self._standby: Standby | None = None
        #: Ids of events that were lost with a server; sinks that may find that out; whether it was in this round.
        self._lost: set[str] = set()
        self._unaware: set[str] = set()
        self._just_now = False
        self.store = Store(stores.copied(self._folder / "store.db"))
        self._run(self._open())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self.store.__aexit__(None, None, None))
        self._runner.close()
        stores.forget(self._folder / "store.db")
        shutil.rmtree(self._folder)

    # ------------------------------------------------------------------ what happens

    def happen(self, records: list[str], others: set[int]) -> None:
        """Commit a page of changes of leads; those with a number in ``others`` are of contacts."""
        self._ids += len(records)
        new = [
            an_event(
                id=f"{self._ids - len(records) + place:032x}",
                record_id=f"other {record}" if place in others else record,
                object="Contact" if place in others else "Lead",
            )
            for place, record in enumerate(records, 1)
        ]
        self._run(self._commit(new))
        self._run(self._look())

    async def _commit(self, new: Sequence[Event]) -> None:
        await self.store.feeds.watermarks("acme", "Lead")  # as whoever polls would, when the store went back
        await self.store.feeds.commit_page(
            "acme", "Lead", events=new, sightings=[], marks=watermarks(), at=self.clock.now()
        )

    def dispatch(self, name: str) -> DispatchReport:
        """Dispatch one round."""
        return self._run(self._dispatch(name))

    def live(self, name: str, rounds: int) -> None:
        """Dispatch rounds, and wait between them as long as their reports say."""
        for _ in range(rounds):
            report = self.dispatch(name)
            if not report.busy and report.wait is None:
                return
            self.clock.advance(0 if report.busy else report.wait or 0)

    def crash(self, name: str, await_number: int) -> None:
        """Begin a round and let the process die at one of its awaits, if it has so many; then start it again."""
        self.fate.left = await_number
        try:
            self._run(self._dispatch(name))
        except* Died:
            pass
        self.fate.left = 0
        self.restart()

    def restart(self) -> None:
        """Forget everything that is not on disk, and do what the daemon does at its start."""
        self.store._database.fresh.clear()
        self._build()
        self._run(resume_sinks(self.store, self.names))
        self._run(self._look())

    def fall_behind(self) -> None:
        """Let a standby have everything up to this moment, and nothing that comes after it."""
        self._standby = Standby(self._run(earlier.copied(self.store)), dict(self._events), deepcopy(self._books))

    async def take_over(self, *, again: bool, others: int) -> None:
        """Let that standby take over without a word; some other events come, and ``again`` those that were lost."""
        if self._standby is None:
            return
        await earlier.put_back(self.store, self._standby.store)
        lost = [event for at, event in sorted(self._events.items()) if self._standby.events.get(at) != event]
        self._lost |= {event.id for event in lost}
        self._events = dict(self._standby.events)
        for name, book in self._books.items():  # what was delivered is; what people said meanwhile is lost
            then = deepcopy(self._standby.books[name])
            book.dropped, book.pending = then.dropped, then.pending
        self._unaware, self._just_now = set(self.names), True
        self._ids += others
        new = [an_event(id=f"{self._ids - place:032x}", record_id=RECORDS[place]) for place in range(others)]
        new += [event for event in lost if again and not event.alert]
        await self._commit(new)
        self._lost -= {event.id for event in new}
        await self._look()

    def soon(self, deed: Deed, *, beside: bool) -> None:
        """Do something now, or while the next send is under way."""
        if beside:
            self.beside.append(deed)
        else:
            self._run(deed())
            self._run(self._look())

    async def pause(self, name: str) -> None:
        """Pause a sink."""
        await self.store.outbox.pause(name, "by hand")

    async def resume(self, name: str) -> None:
        """Resume a sink."""
        await self.store.outbox.resume(name)

    async def replay(self, name: str, record: str | None) -> None:
        """Owe again what a sink has passed and what is not parked: all of it, or one record's."""
        state = await self.store.outbox.sink(name)
        kept = await self.store.outbox.read(name, 10_000, after=0)
        held = await self._parked(name)
        again = [
            Parked(Delivery(name, each.position, each.event, replay=True), self.clock.now())
            for each in kept
            if each.position <= state.cursor
            and each.position not in held
            and self._wants(name, each.event)
            and record in (None, each.event.key)
        ]
        if again:
            async with self.store._database.write() as connection:
                await connection.execute(parking.insert(connection), [parking.row(one) for one in again])
        ids = {one.delivery.event.id for one in again}
        self._books[name].replayed |= ids
        self._books[name].pending |= ids

    async def requeue(self, name: str) -> None:
        """Owe the dead again."""
        mine = (parked.c.sink == name, parked.c.dead)
        async with self.store._database.write() as connection:
            await connection.execute(
                update(parked).where(*mine).values(dead=False, attempts=0, first_tried_at=None, due_at=self.clock.now())
            )

    async def drop(self, name: str) -> None:
        """Give the dead up for good."""
        ids = select(events.c.id).join(parked, parked.c.position == events.c.position)
        async with self.store._database.write() as connection:
            dead = set((await connection.execute(ids.where(parked.c.sink == name, parked.c.dead))).scalars())
            await connection.execute(delete(parked).where(parked.c.sink == name, parked.c.dead))
        self._books[name].dropped |= dead
        self._books[name].pending -= dead

    async def prune(self, keep: timedelta = timedelta()) -> None:
        """Delete every event older than that which nobody is owed; what somebody is must still be there."""
        owed = [await self._owed_positions(name) for name in self.names]
        while await self.store.outbox.prune(self.clock.now() - keep, self.names):
            pass
        async with self.store._database.read() as connection:
            left = set((await connection.execute(select(events.c.position))).scalars())
        assert set().union(*owed) <= left, "something was pruned that is owed"

    # ------------------------------------------------------------------ the end

    def finish(self) -> None:
        """Let every sink be well and every person be done; then judge."""
        self.beside = []
        self.moods = {name: well() for name in self.names}
        self._build()
        for name in self.names:
            self._run(self.resume(name))
        self._run(self._look())
        for name in self.names:
            rounds = 0
            while (report := self.dispatch(name)).busy or report.wait is not None:
                self.clock.advance(0 if report.busy else report.wait or 0)
                rounds += 1
                assert rounds < 3000, f"{name} never comes to rest"
        self._run(self._judge())

    async def _judge(self) -> None:
        for name, book in self._books.items():
            backlog, dead = await self.store.outbox.backlog(name), self._dead[name]
            assert (backlog.waiting, backlog.parked, backlog.dead) == (0, 0, len(dead)), name
            wanted = {event.id for event in self._wanted(name)}
            assert wanted <= book.delivered | book.dropped | dead, f"{name}: never delivered"
            assert book.delivered <= wanted | self._lost, f"{name}: invented, or not wanted"
            assert book.pending <= dead, f"{name}: never replayed"
        await self.prune()
        self.clock.advance(1)
        await self.prune()
        async with self.store._database.read() as connection:
            left = set((await connection.execute(select(events.c.position))).scalars())
            kept = set((await connection.execute(select(parked.c.position))).scalars())
        assert left == kept, "what nobody is owed any more is not pruned"

    # ------------------------------------------------------------------ promises

    def answer(self, name: str, event: Dressed) -> Receipt:
        """Answer in the present mood, and hold the house to its promises about whatever is accepted."""
        book = self._books[name]
        if book.paused:
            raise Broken(f"{name} is paused, and was sent something")
        receipt = self.moods[name](event)
        if receipt.verdict is Verdict.ACCEPTED:
            replay = bool(event.cloudevent.get("replay"))
            if replay and event.event_id not in book.replayed:
                raise Broken("says it is a replay, and is none")
            if (
                not self._just_now
                and event.event_id not in self._lost
                and (replay or event.event_id not in book.delivered)
            ):
                self._check_order(name, event)
            book.delivered.add(event.event_id)
            if replay:
                book.pending.discard(event.event_id)
        return receipt

    def _check_order(self, name: str, event: Dressed) -> None:
        book, ordering = self._books[name], SETTINGS[name].get("ordering", "record")
        for one in self._wanted(name):
            if one.id == event.event_id:
                return
            if ordering == "none" or (ordering == "record" and one.key != event.key):
                continue
            over = one.id in book.delivered | book.dropped | book.dead
            replays = one.id in book.promised & book.pending - book.dead
            if not over or replays:
                raise Broken(f"{name}: {event.event_id} overtook {one.id}")
        raise Broken(f"{name}: {event.event_id} is not wanted")

    def _wanted(self, name: str) -> Iterable[Event]:
        return (event for _, event in sorted(self._events.items()) if self._wants(name, event))

    def _wants(self, name: str, event: Event) -> bool:
        """Say it in other words than the house: by what this world's settings mean."""
        if event.alert:
            return name != event.alert.sink and name in ("ops", "pager")
        return name != "pager" and event.object in {"ops": ["Contact"], "audit": ["Lead", "Contact"]}.get(
            name, ["Lead"]
        )

    # ------------------------------------------------------------------ hands

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    async def _open(self) -> None:
        await self.store.__aenter__()
        await self.store.outbox.ensure_sinks(self.names)
        self._build()
        await self._look()

    def _build(self) -> None:
        outbox: Any = MortalOutbox(self.store.outbox, self.fate)
        self._dispatchers = {
            name: Dispatcher(name, settings, self._sinks[name], outbox, clock=self.clock, rng=self._rng)
            for name, settings in self._settings.items()
        }

    async def _dispatch(self, name: str) -> DispatchReport:
        book = self._books[name]
        book.dead, book.promised, book.paused = self._dead[name], set(book.pending), bool(self._paused[name])
        self._sinks[name].under_way, self._just_now = [], False
        try:
            return await self._dispatchers[name].dispatch_once()
        except StoreWentBack:
            if name not in self._unaware:
                raise
            self._unaware.remove(name)
            return DispatchReport(name, busy=True)
        finally:
            await self._look()

    async def _look(self) -> None:
        """Note what is on disk. Whoever was switched off or gave up has an alert there: it is one transaction."""
        last = max(self._events, default=0)
        dead = select(parked.c.sink, events.c.id).join(events, parked.c.position == events.c.position)
        async with self.store._database.read() as connection:
            new = await connection.execute(select(events.c.position, events.c.body).where(events.c.position > last))
            self._events |= {position: codec.load_event(body) for position, body in new}
            rows = await connection.execute(select(sinks.c.name, sinks.c.paused))
            self._paused: dict[str, str] = {row.name: row.paused for row in rows}
            self._dead: dict[str, set[str]] = {name: set() for name in self.names}
            for name, event_id in await connection.execute(dead.where(parked.c.dead)):
                self._dead[name].add(event_id)
        if not self._lost:  # else what was lost may be handed on, as it was sent: to be refused when it is written down
            await handed.check(self.store)
        told = {(event.alert.sink, event.alert.what) for event in self._events.values() if event.alert}
        alerts = {event.id for event in self._events.values() if event.alert}
        for name in self.names:
            assert not self._paused[name].startswith("switched off") or (name, "switched_off") in told
            assert not self._dead[name] - alerts or (name, "gave_up") in told

    async def _parked(self, name: str) -> set[int]:
        async with self.store._database.read() as connection:
            return set((await connection.execute(select(parked.c.position).where(parked.c.sink == name))).scalars())

    async def _owed_positions(self, name: str) -> set[int]:
        cursor = (await self.store.outbox.sink(name)).cursor
        return {position for position in self._events if position > cursor} | await self._parked(name)


class _Sink(FakeSink):
    """A sink of the world, with an end before it takes anything and after it took it."""

    def __init__(self, world: DeliveryWorld, name: str, concurrency: int, batch: int) -> None:
        super().__init__(concurrency=concurrency, batch=batch, any_order=SETTINGS[name].get("ordering") == "none")
        self._world = world
        self.answer = lambda event: world.answer(name, event)

    async def send(self, events: Sequence[Dressed]) -> list[Receipt]:
        """Let others do what they have in mind, then answer."""
        self._world.fate.tick()
        while self._world.beside:
            await self._world.beside.pop()()
        receipts = await super().send(events)
        self._world.fate.tick()
        return receipts
