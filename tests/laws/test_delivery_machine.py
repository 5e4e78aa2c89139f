"""The promise of delivery, whatever happens: at least once, in order per record, nothing lost.

Hypothesis makes up histories of events, failing sinks, crashes at any await and the passing of time, over the real
dispatcher and the real store.
"""

import asyncio
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from builders import an_event, watermarks
from fakes import Broken, FakeClock, FakeSink
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from sqlalchemy import select

from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.model import Event, Receipt, Verdict
from salesforce_poller.sinks.base import Dressed, SinkSettings
from salesforce_poller.store.store import Store
from salesforce_poller.store.tables import events, parked

RECORDS = "ABCDEFG"
WANTED = SinkSettings.model_validate({"objects": ["Lead"], "give_up_after": "1h"})
ACCEPTED = Receipt(Verdict.ACCEPTED)
LATER = Receipt(Verdict.TRY_LATER, "HTTP 503")
PATIENT = Receipt(Verdict.TRY_LATER, "HTTP 429", retry_after=45.0)
REFUSED = Receipt(Verdict.REFUSED, "HTTP 400")
GONE = Receipt(Verdict.GONE, "HTTP 410")

Mood = Callable[[Dressed], Receipt]


def well() -> Mood:
    """The sink takes everything."""
    return lambda _event: ACCEPTED


def down(receipt: Receipt) -> Mood:
    """The sink takes nothing."""
    return lambda _event: receipt


def picky(bad: set[str], receipt: Receipt) -> Mood:
    """The sink takes all but some records."""
    return lambda event: receipt if event.key in bad else ACCEPTED


def moody(seed: int, share: float) -> Mood:
    """The sink fails now and then."""
    rng = random.Random(seed)
    return lambda _event: LATER if rng.random() < share else ACCEPTED


def buggy(bad: str) -> Mood:
    """The sink stumbles over a record."""

    def stumble(event: Dressed) -> Receipt:
        if event.key == bad:
            raise ValueError(bad)
        return ACCEPTED

    return stumble


failures = st.sampled_from([LATER, PATIENT, REFUSED])
some_records = st.sets(st.sampled_from(RECORDS), min_size=1)
moods = st.one_of(
    st.builds(well),
    st.builds(down, failures | st.just(GONE)),
    st.builds(picky, some_records, failures),
    st.builds(moody, st.integers(0, 1000), st.floats(0.1, 0.9)),
    st.builds(buggy, st.sampled_from(RECORDS)),
)


class DeliveryMachine(RuleBasedStateMachine):
    """One sink, one store, and a world that does what it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = FakeClock()
        self.happened: list[Event] = []
        #: Ids that were accepted by the sink, and what was dead at the beginning of the present round.
        self.delivered: set[str] = set()
        self.dead: set[str] = set()
        self.mood = well()

    @initialize(concurrency=st.integers(1, 4), batch=st.sampled_from([1, 1, 3]), seed=st.integers(0, 1000))
    def begin(self, concurrency: int, batch: int, seed: int) -> None:
        self.rng = random.Random(seed)
        self.sink = FakeSink(concurrency=concurrency, batch=batch)
        self.sink.answer = self.answer
        self.runner.run(self.open())

    async def open(self) -> None:
        self.store = Store(str(self.folder / "store.db"))
        await self.store.__aenter__()
        await self.store.outbox.ensure_sinks(["crm"])
        self.sink.under_way = []
        self.dispatcher = Dispatcher("crm", WANTED, self.sink, self.store.outbox, clock=self.clock, rng=self.rng)

    def answer(self, event: Dressed) -> Receipt:
        """Answer in the present mood, and check the order of whatever is accepted for the first time."""
        receipt = self.mood(event)
        if receipt.verdict is Verdict.ACCEPTED and event.event_id not in self.delivered:
            for earlier in self.wanted():
                if earlier.id == event.event_id:
                    break
                if earlier.key == event.key and earlier.id not in self.delivered | self.dead:
                    raise Broken(f"{event.event_id} overtook {earlier.id}")
            self.delivered.add(event.event_id)
        return receipt

    def wanted(self) -> list[Event]:
        """Return what the sink's filters let through, in order."""
        return [event for event in self.happened if event.object == "Lead"]

    @rule(records=st.lists(st.sampled_from(RECORDS), min_size=1, max_size=12), unwanted=st.sets(st.integers(0, 11)))
    def something_happens(self, records: list[str], unwanted: set[int]) -> None:
        """A page of changes is committed; some are of an object the sink does not want."""
        new = [
            an_event(
                id=f"{len(self.happened) + number:032}",
                record_id=record if number not in unwanted else f"other {record}",
                object="Lead" if number not in unwanted else "Contact",
            )
            for number, record in enumerate(records, 1)
        ]
        self.happened += new
        page = self.store.feeds.commit_page(
            "acme", "Lead", events=new, sightings=[], marks=watermarks(), at=self.clock.now()
        )
        self.runner.run(page)

    @rule()
    def somebody_resumes_the_sink(self) -> None:
        self.runner.run(self.store.outbox.resume("crm"))

    @rule(seconds=st.sampled_from([0.5, 5, 60, 600, 4000]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(mood=moods, rounds=st.integers(1, 3))
    def rounds_are_dispatched(self, mood: Mood, rounds: int) -> None:
        self.mood = mood
        for _ in range(rounds):
            self.runner.run(self.dispatch())

    @rule(mood=moods, turns=st.integers(0, 120))
    def the_process_dies_in_a_round(self, mood: Mood, turns: int) -> None:
        """At whatever await it has reached after so many turns of the loop; then it is started again."""
        self.mood = mood
        self.runner.run(self.crash(turns))
        self.runner.run(self.open())

    async def dispatch(self) -> float | None:
        """Dispatch one round; returns what it says to wait."""
        await self.note_the_dead()
        report = await self.dispatcher.dispatch_once()
        return 0 if report.busy else report.wait

    async def crash(self, turns: int) -> None:
        await self.note_the_dead()
        task = asyncio.create_task(self.dispatcher.dispatch_once())
        for _ in range(turns):
            await self.clock.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled() and (error := task.exception()):
            raise error
        await self.store.__aexit__(None, None, None)

    async def note_the_dead(self) -> None:
        query = select(events.c.id).join(parked, parked.c.position == events.c.position).where(parked.c.dead)
        async with self.store._database.read() as connection:
            self.dead = set((await connection.execute(query)).scalars())

    def teardown(self) -> None:
        """In the end the sink is well, and everything it wants was delivered or is dead."""
        try:
            if hasattr(self, "store"):
                self.runner.run(self.finish())
        finally:
            self.runner.close()
            shutil.rmtree(self.folder)

    async def finish(self) -> None:
        self.mood = well()
        await self.store.outbox.resume("crm")
        rounds = 0
        while (wait := await self.dispatch()) is not None:
            self.clock.advance(wait)
            rounds += 1
            assert rounds < 2000, "it never comes to rest"
        backlog = await self.store.outbox.backlog("crm")
        await self.note_the_dead()
        await self.store.__aexit__(None, None, None)
        assert (backlog.waiting, backlog.parked, backlog.dead) == (0, 0, len(self.dead))
        missing = {event.id for event in self.wanted()} - self.delivered - self.dead
        assert not missing, f"never delivered: {sorted(missing)}"
        assert self.delivered <= {event.id for event in self.wanted()}, "something was invented, or not wanted"


TestDelivery = DeliveryMachine.TestCase
TestDelivery.settings = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
