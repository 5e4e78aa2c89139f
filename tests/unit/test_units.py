"""units.py: few orgs begin at a time."""

import asyncio
import random
from functools import partial
from pathlib import Path

import pytest
from ship import Plan, until

from salesforce_poller import units
from salesforce_poller.clock import SystemClock
from salesforce_poller.model import Duty, Lease
from salesforce_poller.scheduler import Scheduler
from salesforce_poller.store.store import Store
from salesforce_poller.units import OrgUnit, Tools


class Fleets:
    """Three orgs that may begin one at a time, the first of which gets no answer until it is let go."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.began: list[str] = []
        self.dead = asyncio.Event()
        clock, rng, settings = SystemClock(), random.Random(1), Plan().read().orgs["acme"]
        store, scheduler = Store(str(folder / "store.db")), Scheduler(clock=clock, rng=rng)
        gate = asyncio.Semaphore(1)
        tools = Tools(store, scheduler, clock, rng, lambda _report: None, lambda _report: None, beginners=gate)
        self.units = [OrgUnit(Lease(Duty("org", name), "", 0), settings, tools) for name in ("dead", "one", "two")]
        for unit in self.units:
            monkeypatch.setattr(unit.fleet, "tick", partial(self.tick, unit.lease.duty.name))

    async def tick(self, name: str) -> None:
        """Stand for the tick of a fleet."""
        self.began.append(name)
        if name == "dead":
            await self.dead.wait()

    def ticks(self) -> list[asyncio.Task[None]]:
        """Have all tick."""
        return [asyncio.create_task(unit._tick()) for unit in self.units]

    async def end(self) -> None:
        """Let go of all."""
        self.dead.set()
        for unit in self.units:
            await unit.stop()


async def test_few_orgs_begin_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand that all log in at once would all be late. Who comes again while it waits is not counted twice."""
    fleets = Fleets(tmp_path, monkeypatch)
    ticks = fleets.ticks()
    await until(lambda: bool(fleets.began))
    await fleets.units[1]._tick()
    assert fleets.began == ["dead"]
    fleets.dead.set()
    await asyncio.gather(*ticks)
    assert fleets.began == ["dead", "one", "two"]
    await fleets.units[1]._tick()
    assert fleets.began == ["dead", "one", "two", "one"]
    await fleets.end()


async def test_an_org_without_an_answer_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on by itself."""
    monkeypatch.setattr(units, "_BEGIN_WITHIN", 0.01)
    fleets = Fleets(tmp_path, monkeypatch)
    ticks = fleets.ticks()
    await until(lambda: fleets.began == ["dead", "one", "two"])
    assert not ticks[0].done()
    fleets.dead.set()
    await asyncio.gather(*ticks)
    await fleets.end()
