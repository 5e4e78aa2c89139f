"""A crew on a store of its own, and a configuration to change under it, for ``test_crew.py`` and ``test_the_crew``."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from fakes import FakeClock

from salesforce_poller import config
from salesforce_poller.clock import SystemClock
from salesforce_poller.config import Config
from salesforce_poller.crew import Changes, Crew, duties
from salesforce_poller.model import Duty, Lease
from salesforce_poller.scheduler import Scheduler
from salesforce_poller.store.store import Store
from salesforce_poller.units import OrgUnit, SinkUnit, Tools

_ORG = """
[orgs.{name}]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
api_budget = 1_000_000
[orgs.{name}.defaults]
every = "{every}"
"""
#: Seconds after which a test that should long be over is called stuck.
STUCK = 60


@dataclass
class Plan:
    """A configuration to change."""

    url: str = "http://127.0.0.1:9"
    #: Objects by org, and what is said of each sink by name.
    orgs: dict[str, list[str]] = field(default_factory=lambda: {"acme": ["Lead"]})
    sinks: dict[str, str] = field(default_factory=lambda: {"log": 'type = "stdout"'})
    every: str = "1h"

    def read(self) -> Config:
        """Return it as it is read from a file."""
        text = ""
        for name, objects in self.orgs.items():
            text += _ORG.format(name=name, url=self.url, every=self.every)
            text += "".join(f"[orgs.{name}.objects.{one}]\n" for one in objects)
        text += "".join(f"[sinks.{name}]\n{said}\n" for name, said in self.sinks.items())
        return config.parse(text, {})


@dataclass
class Ship:
    """See the caption."""

    store: Store
    crew: Crew
    #: How often this process has lost each duty, and got it back.
    fences: dict[Duty, int] = field(default_factory=dict)

    def held(self, wanted: Config, kinds: Iterable[str] = ("org", "sink")) -> dict[Duty, Lease]:
        """Return the leases of whoever holds everything of these kinds."""
        found = [duty for duty in duties(wanted) if duty.kind in kinds]
        return {duty: Lease(duty, "us", self.fences.get(duty, 1)) for duty in found}

    async def apply(self, plan: Plan, *kinds: str) -> Changes:
        """Have everything of the plan at work, or what is of these kinds."""
        wanted = plan.read()
        await self.store.outbox.ensure_sinks(list(wanted.sinks))
        return await self.crew.apply(wanted, self.held(wanted, kinds or ("org", "sink")))

    def org(self, name: str) -> OrgUnit:
        """Return the unit of an org."""
        unit = self.crew.polled(name)
        assert unit is not None
        return unit

    def sink(self, name: str) -> SinkUnit:
        """Return the unit of a sink."""
        unit = self.crew._units[Duty("sink", name)]
        assert isinstance(unit, SinkUnit)
        return unit

    @property
    def listeners(self) -> list[Any]:
        """Return whoever listens to the store."""
        return [one for listeners in self.store.bells._listeners.values() for one in listeners]


async def until(holds: Callable[[], object]) -> None:
    """Let others have their turns until something holds."""
    while not holds():
        await FakeClock().sleep(0)


@asynccontextmanager
async def a_ship(folder: Path, *, begun: bool = True) -> AsyncIterator[Ship]:
    """Open a store, and hire a crew that has nothing to do yet."""
    async with asyncio.timeout(STUCK), Store(str(folder / "ship.db")) as store:
        clock, rng = SystemClock(), random.Random(3)
        scheduler = Scheduler(clock=clock, rng=rng)
        crew = Crew(Tools(store, scheduler, clock, rng, lambda _report: None, lambda _report: None))
        scheduler.start()
        if begun:
            await crew.begin()
        try:
            yield Ship(store, crew)
        finally:
            await crew.close()
            await scheduler.drain(timedelta(0))
