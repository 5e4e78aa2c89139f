"""This process among those that share the store: it says that it is alive, and takes its share of the work.

Two loops. One moves the process's ``expires_at`` ahead; the other looks at all processes and leases and does what
``shares.py`` says. What is held is told to whoever works (``crew.py``), who starts and stops accordingly; a lease is
given back only when its work has stopped. Built by ``app.py`` where the store is on PostgreSQL.

A killed process is replaced within the lease: it counts as alive for two thirds of that, and is missed within a moment.
One that slept for longer finds that its writes are refused (``store/leases.py:prove``), and whoever sends something
asks :meth:`Membership.holds` before, for which nobody else is needed. After such a sleep a new beat is not enough:
somebody may have taken our place meanwhile, so that nothing is sent before a look has told whose each lease is.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import structlog

from salesforce_poller.clock import Clock
from salesforce_poller.cluster import shares
from salesforce_poller.cluster.shares import Present
from salesforce_poller.errors import NotNow, StoreError
from salesforce_poller.model import Duty, Lease
from salesforce_poller.store.leases import Held, Leases, Process, Seen

log = structlog.get_logger()

#: Called when :attr:`Membership.held` has changed; returns when nobody works for anything else any more.
Apply = Callable[[], Awaitable[object]]


class Membership:
    """One process's part. ``lease`` is the time within which one that was killed is replaced."""

    def __init__(self, leases: Leases, *, host: str, pid: int, name: str, lease: timedelta, clock: Clock) -> None:
        self._leases = leases
        self._host, self._pid, self._name = host, pid, name
        self._clock = clock
        self._alive_for = lease * 2 / 3
        self._beat_every = (lease / 5).total_seconds()
        self._look_every = (lease / 15).total_seconds()
        self._duties: frozenset[Duty] = frozenset()
        #: Until when others take us for alive, at the least (monotonic seconds).
        self._alive_until = -math.inf
        #: A life ends when others may take us for dead, and another one begins with the beat after that. What is known
        #: of the leases is of the life in which it was looked at.
        self._life = self._looked_in = 0
        #: The digest of duties that others know of us.
        self._said = ""
        self._held: dict[Duty, Lease] = {}
        #: Given up, and not given back yet since its work has not stopped.
        self._leaving: dict[Duty, Lease] = {}
        #: What those who work were told last; None when it did not reach them.
        self._told: Mapping[Duty, Lease] | None = {}
        self._settling: set[asyncio.Task[None]] = set()
        #: Whoever reads the leases to act on them, or gives some back, does so alone.
        self._turn = asyncio.Lock()
        self._away = self._ending = self._broken = False

    @property
    def held(self) -> Mapping[Duty, Lease]:
        """What this process may work for."""
        return {duty: lease for duty, lease in self._held.items() if duty not in self._leaving}

    def is_current(self) -> bool:
        """Say whether this process was heard of lately enough that nobody has taken its place.

        Asks no one: after a sleep it is the clock that tells.
        """
        return self._is_alive() and self._looked_in == self._life

    def holds(self, lease: Lease) -> bool:
        """Say whether nobody else can be working under a later lease. Asks no one."""
        return self.is_current() and self._held.get(lease.duty) == lease

    def want(self, duties: Collection[Duty]) -> None:
        """Take part in the work for these from now on; what is held besides is given back."""
        self._duties = frozenset(duties)

    async def run(self, apply: Apply) -> None:
        """Stay in until cancelled; a database that is away is waited for."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._again_and_again(self.beat, self._beat_every))
            loops.create_task(self._again_and_again(lambda: self.look(apply), self._look_every))

    def take_no_more(self) -> None:
        """Neither take nor give back anything from now on: the program ends. Others still hear that it is alive."""
        self._ending = True

    async def leave(self) -> None:
        """Give everything back, once nobody works any more and :meth:`run` has ended.

        A database that is away will find out by itself.
        """
        self._ending, self._alive_until = True, -math.inf
        for task in self._settling:
            task.cancel()
        await asyncio.gather(*self._settling, return_exceptions=True)
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(self._alive_for.total_seconds()):  # then others know without a word
                await self._leases.leave(self._process)

    async def beat(self) -> None:
        """Say that this process is alive. Raises StoreError."""
        began, process = self._clock.monotonic(), self._process  # before it is written: the database counts from later
        await self._leases.beat(process, self._alive_for)
        if not self._is_alive():
            self._life += 1
        self._alive_until = max(self._alive_until, began + self._alive_for.total_seconds())
        self._said = process.duties

    async def look(self, apply: Apply) -> None:
        """See who is there and who holds what, and do our part. Raises StoreError."""
        async with self._turn:
            if self._ending:
                return
            if not self._is_alive() or self._said != self._process.duties:
                await self.beat()
            life, duties = self._life, self._duties
            seen, table = await self._leases.look(duties)
            if self._name not in [one.process.id for one in seen if one.alive]:
                self._alive_until = -math.inf  # somebody may have taken our place by now; begin anew with a beat
                return
            mine = {one.lease.duty: one.lease for one in table if one.taken and one.lease.holder == self._name}
            plan = shares.plan(self._name, self._present(duties, seen, table))
            took = await self._leases.take(self._process, plan.take) if plan.take else []
            if life != self._life or not self._is_alive():
                return  # we slept meanwhile, and what was read may be long past
            unwanted = [lease for duty, lease in mine.items() if duty not in duties]
            going = self._hold(mine, took, [*plan.give_back, *unwanted])
            self._looked_in = life
        if took or going:
            took_names, back_names = [str(one.duty) for one in took], [str(one.duty) for one in going]
            log.info("lease.changed", took=sorted(took_names), gives_back=sorted(back_names))
        if going or self.held != self._told:
            self._told = self.held
            task = asyncio.create_task(self._settle_in(apply, going))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    def _present(self, duties: Collection[Duty], seen: Sequence[Seen], table: Sequence[Held]) -> Present:
        """Return what counts for our share."""
        like_us = shares.digest(duties)
        peers = {self._name, *(one.process.id for one in seen if one.alive and one.process.duties == like_us)}
        ours = [one for one in table if one.lease.duty in duties]
        return Present(peers, [one.lease if one.taken else replace(one.lease, holder="") for one in ours])

    def _hold(self, mine: Mapping[Duty, Lease], took: Sequence[Lease], given_up: Sequence[Lease]) -> list[Lease]:
        """Note what is held now; returns what begins to be given up."""
        for duty, lease in self._held.items():
            if mine.get(duty) != lease:
                log.warning("lease.lost", duty=str(duty))
        self._held = {**mine, **{lease.duty: lease for lease in took}}
        self._leaving = {duty: lease for duty, lease in self._leaving.items() if mine.get(duty) == lease}
        going = [lease for lease in given_up if lease.duty not in self._leaving]
        self._leaving |= {lease.duty: lease for lease in going}
        return going

    async def _settle_in(self, apply: Apply, going: Sequence[Lease]) -> None:
        """Have the work begin and end; what has ended is given back."""
        try:
            await apply()
        except NotNow:
            return  # the program ends, and gives everything back when all work has ended
        except Exception:
            # Whether it has stopped is not known, so nothing is given back; the next look tries again.
            if not self._broken:
                log.exception("lease.bug")
            self._broken, self._told = True, None
            self._forget_leaving(going)
            return
        self._broken = False
        if not going:
            return
        async with self._turn:
            for lease in going:
                if self._held.get(lease.duty) == lease:
                    del self._held[lease.duty]
            try:
                await self._leases.give_back(going)
            except StoreError as exc:
                log.warning("lease.not_given_back", error=str(exc))  # the next look finds whose it is, and plans anew
            self._forget_leaving(going)

    def _forget_leaving(self, going: Sequence[Lease]) -> None:
        for lease in going:
            if self._leaving.get(lease.duty) == lease:
                del self._leaving[lease.duty]

    def _is_alive(self) -> bool:
        return self._clock.monotonic() < self._alive_until

    async def _again_and_again(self, act: Callable[[], Awaitable[None]], every: float) -> None:
        while True:
            try:
                await act()
            except StoreError as exc:
                if not self._away:
                    log.warning("store.away", error=str(exc), next_try_s=round(self._look_every, 1))
                self._away = True
                await self._clock.sleep(self._look_every)
                continue
            if self._away:
                log.info("store.back")
                self._away = False
            await self._clock.sleep(every)

    @property
    def _process(self) -> Process:
        return Process(self._name, self._host, self._pid, shares.digest(self._duties))
