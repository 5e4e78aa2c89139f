"""A chaos run: every trouble that the status table knows strikes one call in twenty, for ten hours; people work on.

Then the sky clears, and the truth log speaks: nothing is missing, nothing is wrong.
"""

import random

import pytest
from world import World

from salesforce_poller.simulator.faults import FAULTS
from salesforce_poller.simulator.transactions import Transaction

pytestmark = pytest.mark.both_databases

#: Faults of the REST API that come at once; slow answers are tested where time is not the org's own.
TROUBLES = sorted(
    name
    for name, fault in FAULTS.items()
    if not name.startswith(("OAUTH_", "LOGIN_")) and fault.effect not in ("slow", "drip", "stall", "oversize")
)
#: All of them at once would let nothing through at all: they come in three kinds of weather.
WEATHERS = [TROUBLES[part::3] for part in range(3)]
HOURS = 10


class People:
    """Somebody works in the org all the time, and leaves a transaction open now and then."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._org = world.org
        self._rng = rng
        self._live: dict[str, list[str]] = {"Lead": [], "Contact": []}
        self._gone: list[str] = []
        self._open: list[Transaction] = []

    def work(self) -> None:
        """Do something, or nothing."""
        what = self._rng.random()
        name = self._rng.choice(["Lead", "Contact"])
        more = {"Company": "Acme"} if name == "Lead" else {}
        if what < 0.3 or not self._live[name]:
            self._live[name].append(self._org.insert(name, LastName=f"Person {what:.6f}", **more))
        elif what < 0.6:
            self._org.update(self._rng.choice(self._live[name]), Email=f"p{what:.6f}@example.com")
        elif what < 0.7:
            self._gone.append(self._take(name))
            self._org.delete(self._gone[-1])
        elif what < 0.75:
            self._org.hard_delete(self._take(name))
        elif what < 0.8 and self._gone:
            self._org.undelete(self._gone.pop())
        elif what < 0.85 and len(self._live["Lead"]) > 2:
            loser = self._take("Lead")
            self._org.merge(self._live["Lead"][0], loser)
        elif what < 0.9:
            late = self._org.begin()
            late.insert("Lead", LastName="Late", Company="Acme")
            self._open.append(late)
        elif self._open:
            self._open.pop(0).commit()

    def go_home(self) -> None:
        """Finish what is open."""
        for transaction in self._open:
            transaction.commit()

    def _take(self, name: str) -> str:
        return self._live[name].pop(self._rng.randrange(len(self._live[name])))


@pytest.mark.parametrize("seed", range(len(WEATHERS)))
async def test_ten_bad_hours_lose_nothing(world: World, seed: int) -> None:
    """Each call, and each part of a shared one, may meet any of twenty troubles, each at one in twenty."""
    rng, troubles = random.Random(seed), WEATHERS[seed]
    fleet = await world.gather({"Lead": {"every": "2m"}, "Contact": {"every": "2m"}})
    await world.sail(fleet, 240)
    people = People(world, rng)
    for name in troubles:
        world.org.weather.arm(name, path="/services/data/", chance=0.05, times=None)
    began = world.client.calls
    for _ in range(HOURS * 30):
        people.work()
        await world.sail(fleet, 120)
    met = {armed.fault.name for armed in world.org.weather.armed() if armed.struck}
    assert met == set(troubles), f"seed {seed}: not met: {set(troubles) - met}"
    assert world.client.calls - began < 30 * HOURS * 20, "nobody was hammered"
    world.org.weather.clear()
    people.go_home()
    await world.sail(fleet, 3 * 3_600)
    for name in ("Lead", "Contact"):
        assert await world.judge(name) == [], f"seed {seed}"
    assert len(world.org.truth) > 250, "people were at work"
    assert not world.budget.resting
