"""A real daemon delivers to a webhook that fails in every way there is, and is killed three times meanwhile.

The small brother of ``python -m benchmarks endurance``, which does it with 200,000 events.
"""

import random
from pathlib import Path

import pytest
import stores

from benchmarks import endurance
from benchmarks.receiver import Receiver
from salesforce_poller.delivery.dispatcher import ROUND_SIZE

CONNECTIONS = 20


@pytest.mark.both_databases
@pytest.mark.sqlite_only("its daemon's clock is hurried, by which a lease ends at once; see test_three_daemons.py")
@pytest.mark.parametrize("seed", [3])
async def test_nothing_is_lost_and_order_is_kept_through_failures_and_kills(tmp_path: Path, seed: int) -> None:
    """Each event arrives, after the earlier ones of its record; twice only where nobody could have known.

    That is where its answer was lost, and what was under way when the process died: a round, and a few that were due.
    """
    plan = endurance.Plan(seed, 4_000, records=400, timeout="300ms", store=stores.url(tmp_path / "store.db"))
    outcome = await endurance.run(plan, tmp_path)
    told = f"seed {seed}, {outcome.twice}, failures {dict(outcome.receiver.failures)}"
    assert (outcome.lost, outcome.out_of_order) == (0, 0), told
    assert len(outcome.killed_at) == 3
    assert outcome.twice["killed"] <= 3 * (ROUND_SIZE + CONNECTIONS), told
    assert outcome.twice["unexplained"] == 0, told
    assert not outcome.problems(most_twice=1.0), told
    assert len(outcome.receiver.failures) > 20, told


class TestTheJudge:
    """What the outcome is read from: it would be no proof if it could not say no."""

    @staticmethod
    def outcome(*taken: tuple[int, int, bool]) -> endurance.Outcome:
        """Return the outcome of three events, the first two of one record, taken as (number, life, told)."""
        receiver = Receiver(0.0, random.Random(1))
        for number, life, told in taken:
            receiver.life = life
            receiver.take(f"{number:032x}", told=told)
        return endurance.Outcome(endurance.Plan(1, events=3, records=2), receiver, [0, 0, 1])

    def test_a_good_one(self) -> None:
        """All there, in order, none twice."""
        outcome = self.outcome((0, 0, True), (2, 0, True), (1, 0, True))
        assert (outcome.lost, outcome.out_of_order, outcome.twice, outcome.problems()) == (0, 0, {}, [])

    def test_an_answer_that_came_too_late(self) -> None:
        """The sender hung up and could not hear it: its repeat is nobody's fault."""
        outcome = self.outcome((0, 0, True), (0, 0, True), (1, 0, True), (2, 0, True))
        outcome.receiver.hung_up.add(0)
        assert (outcome.twice, outcome.problems()) == ({"answered too late": 1}, [])

    def test_a_lost_event(self) -> None:
        """Is counted."""
        assert self.outcome((0, 0, True), (2, 0, True)).problems() == ["1 events were lost"]

    def test_an_event_that_was_overtaken(self) -> None:
        """Is counted, when it comes at last."""
        outcome = self.outcome((1, 0, True), (0, 0, True), (2, 0, True))
        assert outcome.problems() == ["1 events came after a later one of their record"]

    @pytest.mark.parametrize(
        ("again", "why"),
        [
            ([(0, 0, False), (0, 0, True)], "answer lost"),
            ([(0, 0, True), (0, 1, True)], "killed"),
            ([(0, 0, True), (0, 0, True)], "unexplained"),
        ],
    )
    def test_an_event_that_came_twice(self, again: list[tuple[int, int, bool]], why: str) -> None:
        """Is put down to what caused it; a lost answer is nobody's fault."""
        outcome = self.outcome(*again, (1, 1, True), (2, 1, True))
        assert outcome.twice == {why: 1}
        assert bool(outcome.problems()) == (why != "answer lost")
