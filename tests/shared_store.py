"""A store that several memberships share, in memory and on a clock to move: what ``Leases`` promises, and bad networks.

For ``unit/test_membership.py`` and ``laws/test_membership_machine.py``. What is said to the store passes a gate before
it takes effect, and its answer passes one: there it can wait, or be lost.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from fakes import Broken, FakeClock

from salesforce_poller.cluster.membership import Membership
from salesforce_poller.errors import StoreAway
from salesforce_poller.model import Duty, Lease
from salesforce_poller.store.leases import Held, Leases, Process, Seen

T = TypeVar("T")
LONG_AGO = datetime(2026, 11, 21, tzinfo=UTC)
#: Of every membership here: seconds until one that was killed is replaced, and until others take it for dead.
LEASE, ALIVE = 15.0, 10.0


@dataclass
class Tables:
    """What is on disk. Its clock is that of the database."""

    clock: FakeClock
    #: By process: itself, and until when it is alive.
    processes: dict[str, tuple[Process, float]] = field(default_factory=dict)
    leases: dict[Duty, Lease] = field(default_factory=dict)

    def alive(self, name: str) -> bool:
        """Say whether a process is heard of."""
        return name in self.processes and self.clock.monotonic() < self.processes[name][1]

    def holder(self, duty: Duty) -> str:
        """Return who holds it and is alive; empty where nobody does."""
        found = self.leases.get(duty)
        return found.holder if found and self.alive(found.holder) else ""


class FakeLeases(Leases):
    """One process's way to the tables. ``gate`` is told what is said, and whether it is the answer; it may raise."""

    def __init__(self, tables: Tables, gate: Callable[[str, bool], Awaitable[None]]) -> None:
        self.tables = tables
        self.gate = gate
        #: Told of what is given back, at that moment.
        self.giving: Callable[[Lease], None] = lambda _lease: None

    async def _say(self, act: Callable[[], T]) -> T:
        frame = inspect.currentframe()
        assert frame is not None
        assert frame.f_back is not None
        what = frame.f_back.f_code.co_name
        await self.gate(what, False)
        found = act()
        await self.gate(what, True)
        return found

    async def beat(self, process: Process, span: timedelta) -> None:
        """As the real one."""

        def act() -> None:
            until = self.tables.clock.monotonic() + span.total_seconds()
            self.tables.processes[process.id] = (process, until)

        await self._say(act)

    async def look(self, duties: Collection[Duty]) -> tuple[list[Seen], list[Held]]:
        """As the real one."""

        def act() -> tuple[list[Seen], list[Held]]:
            tables = self.tables
            for duty in duties:
                tables.leases.setdefault(duty, Lease(duty, "", 0))
            seen = [Seen(one, tables.alive(one.id), LONG_AGO, LONG_AGO) for one, _ in tables.processes.values()]
            return seen, [Held(one, taken=tables.alive(one.holder), since=None) for one in tables.leases.values()]

        return await self._say(act)

    async def take(self, process: Process, duties: Iterable[Duty]) -> list[Lease]:
        """As the real one."""
        wanted = list(duties)

        def act() -> list[Lease]:
            tables = self.tables
            free = [duty for duty in wanted if not tables.holder(duty)] if tables.alive(process.id) else []
            got = [Lease(duty, process.id, tables.leases[duty].fence + 1) for duty in free]
            tables.leases.update({one.duty: one for one in got})
            return got

        return await self._say(act)

    async def give_back(self, given: Iterable[Lease]) -> None:
        """As the real one."""
        leases = list(given)

        def act() -> None:
            for one in leases:
                self.giving(one)
                if self.tables.leases[one.duty] == one:
                    self.tables.leases[one.duty] = Lease(one.duty, "", one.fence)

        await self._say(act)

    async def leave(self, process: Process) -> None:
        """As the real one."""

        def act() -> None:
            self.tables.processes.pop(process.id, None)
            for one in list(self.tables.leases.values()):
                if one.holder == process.id:
                    self.giving(one)
                    self.tables.leases[one.duty] = Lease(one.duty, "", one.fence)

        await self._say(act)


class Member:
    """A process: its membership, and what it works for."""

    def __init__(
        self, tables: Tables, name: str, duties: Collection[Duty], gate: Callable[[str, bool], Awaitable[None]]
    ) -> None:
        self.name = name
        self.tables = tables
        self.leases = FakeLeases(tables, gate)
        self.leases.giving = self._gives_back
        self.gate = gate
        self.membership = Membership(
            self.leases, host="here", pid=1, name=name, lease=timedelta(seconds=LEASE), clock=tables.clock
        )
        self.membership.want(duties)
        #: What it works for, under which lease.
        self.working: dict[Duty, Lease] = {}
        self._turn = asyncio.Lock()

    async def apply(self) -> None:
        """Begin and end work as ``crew.py`` does: one call after the other, each with what was held last."""
        self._wanted = dict(self.membership.held)
        async with self._turn:
            await self.gate("apply", False)
            self.working = dict(self._wanted)

    @property
    def sending(self) -> dict[Duty, Lease]:
        """For what it would send something now."""
        return {duty: lease for duty, lease in self.working.items() if self.membership.holds(lease)}

    def _gives_back(self, lease: Lease) -> None:
        if self.working.get(lease.duty) == lease:
            raise Broken(f"{self.name} gives back {lease.duty} while it works for it")

    async def turns(self) -> None:
        """Let everything that can go on go on."""
        for _ in range(20):
            await asyncio.sleep(0)  # noqa: TID251  # a turn of the loop, not a wait

    async def look(self) -> None:
        """Look, and see what came of it through."""
        await self.membership.look(self.apply)
        await self.turns()


def away() -> StoreAway:
    """Return what is heard of a database that is not there."""
    return StoreAway("the store failed: connection refused")
