"""Which process works for which org and sink, on a store that several share: the tables ``processes`` and ``leases``.

A process is alive as long as it says so: it moves its own ``expires_at`` ahead, by the clock of the database. A lease
whose holder is alive is that process's alone; any other may be taken, with a fence that is one higher. Whoever writes
under a lease proves it in the same transaction (:func:`prove`) and holds on to its row meanwhile, so that nobody takes
the lease between the proof and the commit, and a process that was asleep writes nothing once it was replaced.

``cluster/membership.py`` is the loop that calls this; ``cluster/shares.py`` decides who takes what.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    cast,
    delete,
    exists,
    extract,
    func,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from salesforce_poller.errors import LeaseLost
from salesforce_poller.model import Duty, Lease
from salesforce_poller.store.bells import Bell
from salesforce_poller.store.database import Database
from salesforce_poller.store.tables import Instant, leases, processes
from salesforce_poller.store.upsert import upsert

#: What the server knows our connections by; used by ``postgresql.py``, which is imported for such a store only.
APPLICATION = "salesforce-poller"
#: How long a transaction may stand still. A third of a lease, or less: who has stopped holds up its successor as long.
STANDSTILL = timedelta(seconds=5)
#: Cuts off who stands still in the middle of a command: between asking what a statement is like and carrying it out,
#: say. The server counts that as work (active, waiting for ClientRead; PostgreSQL, The Cumulative Statistics System),
#: so that neither ``idle_in_transaction_session_timeout`` nor ``statement_timeout`` ever ends it.
_CUT_OFF = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    " AND usename = current_user AND application_name = :application AND pid <> pg_backend_pid()"
    " AND state = 'active' AND wait_event = 'ClientRead' AND xact_start IS NOT NULL"
    " AND state_change < clock_timestamp() - make_interval(secs => :seconds)"
)
#: Rows of processes that ended without a word are kept for people to see, for so long.
_KEPT = timedelta(hours=1)
#: The database's clock in milliseconds, at this moment and not at the beginning of the transaction.
_now: ColumnElement[int] = cast(func.floor(extract("epoch", func.clock_timestamp()) * 1000), BigInteger)


@dataclass(frozen=True, slots=True)
class Process:
    """A process that shares the store."""

    id: str
    host: str
    pid: int
    #: A digest of all duties that its configuration names: those with the same one share them evenly.
    duties: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A process as it was last seen. The instants are the database's (UTC)."""

    process: Process
    alive: bool
    started_at: datetime
    #: Until when others take it for alive, or took it.
    expires_at: datetime
    #: How long it has been taken for dead; zero while it is alive.
    silent: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Held:
    """A lease as the table has it."""

    lease: Lease
    #: Whether somebody who is alive holds it; else it may be taken.
    taken: bool
    #: When it was last taken, given back or made known (the database's time, UTC).
    since: datetime | None
    #: For how long nobody has held it; None while somebody does.
    vacant: timedelta | None = None


class Leases:
    """The tables ``processes`` and ``leases``. Every method is one transaction; all raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def beat(self, process: Process, span: timedelta) -> None:
        """Say that a process is alive, and will be for this long if nothing more is heard of it."""
        row = {"id": process.id, "host": process.host, "pid": process.pid, "duties": process.duties}
        ahead = _at(span)
        async with self._database.write() as connection:
            known = (
                update(processes).where(processes.c.id == process.id).values(expires_at=ahead, duties=process.duties)
            )
            if (await connection.execute(known)).rowcount == 0:
                new = upsert(connection, processes, key=["id"], change=["expires_at"])
                await connection.execute(new.values(**row, started_at=_at(timedelta()), expires_at=ahead))

    async def look(self, duties: Collection[Duty]) -> tuple[list[Seen], list[Held]]:
        """Return who is there, and how all leases stand; those of ``duties`` that were never held are made known."""
        seen, found = await self.standing()
        if missing := set(duties).difference(one.lease.duty for one in found):
            rows = [{"kind": duty.kind, "name": duty.name, "fence": 0} for duty in sorted(missing)]
            async with self._database.write() as connection:
                await connection.execute(upsert(connection, leases, key=["kind", "name"]), rows)
                known = update(leases).where(leases.c.since.is_(None)).values(since=_at(timedelta()))
                await connection.execute(known)
            seen, found = await self.standing()
        return seen, found

    async def take(self, process: Process, duties: Iterable[Duty]) -> list[Lease]:
        """Take those of these leases that nobody holds who is alive; returns them, with their new fences.

        One in which somebody is writing at this moment is left for the next time. So that this comes, also where a
        process has stopped in the middle of writing, who stands still for too long is cut off from the database.
        """
        keys = [(duty.kind, duty.name) for duty in duties]
        free = select(leases.c.kind, leases.c.name).where(tuple_(leases.c.kind, leases.c.name).in_(keys), ~_taken)
        free = free.order_by(leases.c.kind, leases.c.name).with_for_update(skip_locked=True)
        mine = exists().where(processes.c.id == process.id, processes.c.expires_at > cast(_now, Instant))
        got: list[Lease] = []
        async with self._database.write() as connection:
            for kind, name in (await connection.execute(free)).all():
                taking = update(leases).where(leases.c.kind == kind, leases.c.name == name, mine)
                taking = taking.values(holder=process.id, fence=leases.c.fence + 1, since=_at(timedelta()))
                fence = (await connection.execute(taking.returning(leases.c.fence))).scalar_one_or_none()
                if fence is not None:
                    got.append(Lease(Duty(kind, name), process.id, fence))
            if len(got) < len(keys):  # some are locked, or somebody was quicker
                how_long = {"application": APPLICATION, "seconds": STANDSTILL.total_seconds()}
                await connection.execute(_CUT_OFF, how_long)
        return got

    async def give_back(self, given: Iterable[Lease]) -> None:
        """Let others have these leases, as far as they are still ours."""
        async with self._database.write() as connection:
            for one in sorted(given, key=lambda lease: lease.duty):
                await connection.execute(update(leases).where(_same(one)).values(**_free()))

    async def leave(self, process: Process) -> None:
        """Give everything back, and be forgotten; with those who ended without a word long ago."""
        long_gone = processes.c.expires_at < _at(-_KEPT)
        async with self._database.write() as connection:
            await connection.execute(update(leases).where(leases.c.holder == process.id).values(**_free()))
            await connection.execute(delete(processes).where((processes.c.id == process.id) | long_gone))

    async def sinks_in_use(self, within: timedelta) -> set[str]:
        """Return the sinks that somebody works for, or did until so long ago, whatever our configuration says."""
        recent = leases.c.since > _at(-within)
        query = select(leases.c.name).where(leases.c.kind == "sink", or_(_taken, recent))
        async with self._database.read() as connection:
            return set((await connection.execute(query)).scalars())

    async def ask_to_reload(self) -> list[str]:
        """Have every process read its configuration again; returns who is alive to hear it."""
        async with self._database.write() as connection:
            self._database.ring(connection, Bell.RELOAD)
            return [
                f"{one.process.host} (process {one.process.pid})" for one in await _processes(connection) if one.alive
            ]

    def on_reload(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` when the configuration is to be read again, until what is returned is called."""
        return self._database.bells.listen(Bell.RELOAD, listener)

    async def standing(self) -> tuple[list[Seen], list[Held]]:
        """Return everybody who is there, and every lease, for people."""
        async with self._database.read() as connection:
            return await _processes(connection), await _all(connection)


def prove(connection: Connection, lease: Lease) -> None:
    """See that a lease is ours, and keep it so until the transaction ends.

    By its number and its holder: a database that went back gives the numbers that it has lost once more, perhaps to
    another process. Where it is to the same one, nobody else has written meanwhile; and what that one remembers of
    what was lost with the number is found out by ``versions.py``.

    Raises:
        LeaseLost: it is not, or this process is not known to be alive any more.
    """
    query = select(leases.c.fence).where(_same(lease), _taken).with_for_update(read=True, of=leases)
    if connection.execute(query).one_or_none() is None:
        raise LeaseLost(f"{lease.duty} is another process's now; nothing was written")


async def _processes(connection: AsyncConnection) -> list[Seen]:
    query = select(processes, cast(_now, Instant).label("at")).order_by(processes.c.started_at, processes.c.id)
    return [
        Seen(
            Process(row.id, row.host, row.pid, row.duties),
            row.expires_at > row.at,
            row.started_at,
            row.expires_at,
            max(timedelta(), row.at - row.expires_at),
        )
        for row in await connection.execute(query)
    ]


async def _all(connection: AsyncConnection) -> list[Held]:
    held_by = leases.outerjoin(processes, processes.c.id == leases.c.holder)
    query = select(leases, processes.c.expires_at, cast(_now, Instant).label("at")).select_from(held_by)
    rows = await connection.execute(query.order_by(leases.c.kind, leases.c.name))
    return [_held(row) for row in rows]


def _held(row: Any) -> Held:
    lease = Lease(Duty(row.kind, row.name), row.holder or "", row.fence)
    if row.expires_at is not None and row.expires_at > row.at:
        return Held(lease, taken=True, since=row.since)
    since = row.expires_at or row.since or row.at
    return Held(lease, taken=False, since=row.since, vacant=max(timedelta(), row.at - since))


def _free() -> dict[str, Any]:
    """Return what a lease has that nobody holds any more."""
    return {"holder": None, "since": _at(timedelta())}


def _same(lease: Lease) -> ColumnElement[bool]:
    duty = lease.duty
    return and_(
        leases.c.kind == duty.kind,
        leases.c.name == duty.name,
        leases.c.holder == lease.holder,
        leases.c.fence == lease.fence,
    )


def _at(span: timedelta) -> Any:
    """Return the instant that lies so far ahead of the database's present."""
    return cast(_now, BigInteger) + span // timedelta(milliseconds=1)


#: Somebody holds it who is alive.
_taken = exists().where(processes.c.id == leases.c.holder, processes.c.expires_at > cast(_now, Instant))
