"""The promise of delivery, whatever happens: at least once, in the order that was asked for, nothing lost.

Hypothesis makes up histories over the real dispatcher and the real store: several sinks with orderings and filters of
their own, events that fail by record, by event and by sink, crashes at any await, people who pause, resume, replay,
give back and drop, pruning beside it all, days that pass, and a store that goes back to an earlier state, which is when
the answers of rounds under way are worth nothing. ``delivery_world.py`` keeps the house and the books.
"""

from datetime import timedelta

import pytest
from delivery_world import RECORDS, SETTINGS, DeliveryWorld, Mood, buggy, by_chance, down, picky, poison, well
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from salesforce_poller.model import Receipt, Verdict

LATER = Receipt(Verdict.TRY_LATER, "HTTP 503")
PATIENT = Receipt(Verdict.TRY_LATER, "HTTP 429", retry_after=45.0)
REFUSED = Receipt(Verdict.REFUSED, "HTTP 400")
KEYLESS = Receipt(Verdict.REFUSED, "HTTP 401", general=True)
GONE = Receipt(Verdict.GONE, "HTTP 410")

failures = st.sampled_from([LATER, PATIENT, REFUSED, KEYLESS])
some_records = st.sets(st.sampled_from(RECORDS), min_size=1)
#: One event in a few fails, whatever its record: what a house that mixes up who waits for whom stumbles over.
poisoned = st.builds(poison, st.integers(2, 5), st.sampled_from([LATER, REFUSED, REFUSED]))
moods = st.one_of(
    st.builds(well),
    poisoned,
    st.builds(down, failures | st.just(GONE)),
    st.builds(picky, some_records, failures),
    poisoned,
    st.builds(by_chance, st.integers(0, 1000), st.floats(0.1, 0.9)),
    st.builds(buggy, st.sampled_from(RECORDS)),
)
#: Which of the world's sinks a rule is about; there are one to three, and few is where things come together.
which = st.integers(0, 5)
names = st.sets(st.sampled_from(sorted(SETTINGS)), min_size=1, max_size=3)
minute, hour, day = 60, 3600, 86400


class DeliveryMachine(RuleBasedStateMachine):
    """Some sinks, one store, and a world that does what it likes."""

    @initialize(
        seed=st.integers(0, 1000),
        concurrency=st.integers(1, 4),
        batch=st.sampled_from([1, 1, 3]),
        names=names,
        mood=poisoned,
    )
    def begin(self, seed: int, concurrency: int, batch: int, names: set[str], mood: Mood) -> None:
        self.world = DeliveryWorld(seed, concurrency, batch, names)
        self.world.moods = dict.fromkeys(self.world.names, mood)

    def name(self, number: int) -> str:
        """Return the name of a sink of this world."""
        return self.world.names[number % len(self.world.names)]

    @rule(
        records=st.lists(st.sampled_from(RECORDS), min_size=1, max_size=12),
        others=st.sets(st.integers(0, 11)),
        rounds=st.integers(0, 2),
    )
    def something_happens(self, records: list[str], others: set[int], rounds: int) -> None:
        """A page of changes is committed, some of another object; most of the time the sinks are woken."""
        self.world.happen(records, others)
        for name in self.world.names * rounds:
            self.world.dispatch(name)

    @rule(seconds=st.sampled_from([0.5, 5, minute, 10 * minute, hour, day, 3 * day, 5 * day]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @rule(number=which, mood=moods)
    def a_sink_changes_its_mood(self, number: int, mood: Mood) -> None:
        self.world.moods[self.name(number)] = mood

    @rule(number=which, rounds=st.integers(1, 3))
    def rounds_are_dispatched(self, number: int, rounds: int) -> None:
        for _ in range(rounds):
            self.world.dispatch(self.name(number))

    @rule(number=which, mood=poisoned | moods, rounds=st.sampled_from([3, 12, 25]))
    def a_sink_has_some_bad_days(self, number: int, mood: Mood, rounds: int) -> None:
        """Rounds follow each other as the sink's reports say; hours and days go by."""
        self.world.moods[self.name(number)] = mood
        self.world.live(self.name(number), rounds)

    @rule(number=which, await_number=st.integers(1, 16))
    def the_process_dies_in_a_round(self, number: int, await_number: int) -> None:
        """At any await: before or after a look at the store, in a send or after it, before or after settling."""
        self.world.crash(self.name(number), await_number)

    @rule()
    def the_process_is_started_again(self) -> None:
        self.world.restart()

    @rule(number=which, beside=st.booleans())
    def somebody_pauses_a_sink(self, number: int, beside: bool) -> None:
        self.world.soon(lambda: self.world.pause(self.name(number)), beside=beside)

    @rule(number=which, beside=st.booleans())
    def somebody_resumes_a_sink(self, number: int, beside: bool) -> None:
        self.world.soon(lambda: self.world.resume(self.name(number)), beside=beside)

    @rule(number=which, record=st.none() | st.sampled_from(RECORDS), beside=st.booleans(), rounds=st.integers(0, 3))
    def somebody_replays(self, number: int, record: str | None, beside: bool, rounds: int) -> None:
        """Everything a sink has passed, or one record of it; after some rounds that give it something to pass."""
        self.world.live(self.name(number), rounds)
        self.world.soon(lambda: self.world.replay(self.name(number), record), beside=beside)

    @rule(number=which, beside=st.booleans())
    def somebody_gives_the_dead_back(self, number: int, beside: bool) -> None:
        self.world.soon(lambda: self.world.requeue(self.name(number)), beside=beside)

    @rule(number=which, beside=st.booleans())
    def somebody_drops_the_dead(self, number: int, beside: bool) -> None:
        self.world.soon(lambda: self.world.drop(self.name(number)), beside=beside)

    @rule(keep=st.sampled_from([timedelta(), timedelta(hours=1), timedelta(days=7)]), beside=st.booleans())
    def old_events_are_pruned(self, keep: timedelta, beside: bool) -> None:
        """But not what is owed, however old it is, be its sink paused or switched off, be it parked or dead."""
        self.world.soon(lambda: self.world.prune(keep), beside=beside)

    @rule()
    def a_standby_has_come_so_far(self) -> None:
        """It lacks everything that happens from now on."""
        self.world.fall_behind()

    @rule(number=which, again=st.booleans(), others=st.integers(0, 4), beside=st.booleans())
    def the_standby_takes_over(self, number: int, again: bool, others: int, beside: bool) -> None:
        """Nobody is told. Others get the positions of events that were lost, which may be told again behind them."""
        self.world.soon(lambda: self.world.take_over(again=again, others=others), beside=beside)
        self.world.dispatch(self.name(number))

    def teardown(self) -> None:
        """In the end every sink is well, and everything it wants was delivered, is dead, or was dropped on purpose."""
        if hasattr(self, "world"):
            with self.world:
                self.world.finish()


def histories(examples: int) -> settings:
    """Return how many are tried, and that they may be long."""
    return settings(
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        stateful_step_count=40,
        max_examples=examples,
    )


EXAMPLES = max(15, settings().max_examples // 6)


class TestDelivery(DeliveryMachine.TestCase):  # type: ignore[misc, valid-type]  # Hypothesis makes it
    """On SQLite."""

    settings = histories(EXAMPLES)


@pytest.mark.usefixtures("stores_on_postgresql")
class TestDeliveryOnPostgresql(DeliveryMachine.TestCase):  # type: ignore[misc, valid-type]  # the same
    """A third as often: what is new here are transactions, not what sinks and people think of."""

    settings = histories(EXAMPLES // 3)
