"""Owing events again, and letting go of what was given up: an operator's side of the store.

Called by ``actions/replay.py`` and ``actions/desk.py``. Everything is done in transactions of at most :data:`BATCH`
rows, so that no poll and no delivery waits long. What is owed again is put among the parked deliveries, due at once;
``outbox.py`` hands it out in order per record.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Delete,
    Row,
    Update,
    and_,
    delete,
    false,
    func,
    insert,
    literal,
    null,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from salesforce_poller.model import Delivery, Event, Parked
from salesforce_poller.store import codec
from salesforce_poller.store.bells import Bell
from salesforce_poller.store.database import Database
from salesforce_poller.store.selection import Selection
from salesforce_poller.store.tables import Instant, events, parked, sinks

#: Rows in one transaction.
BATCH = 500
_AGAIN = "owed again"


@dataclass(frozen=True, slots=True)
class Owed:
    """What owing some events again comes to, for one sink. The numbers are of events."""

    #: Delivered before, or passed over by the filters of that time; owed as replays now.
    again: int = 0
    #: Were given up, and are owed once more; no replays, since they never arrived.
    revived: int = 0
    #: Are owed already: they wait for their next try.
    waiting: int = 0
    #: Lie before the sink still, which comes to them by itself.
    ahead: int = 0

    def plus(self, other: "Owed") -> "Owed":
        """Return both together."""
        return Owed(
            self.again + other.again,
            self.revived + other.revived,
            self.waiting + other.waiting,
            self.ahead + other.ahead,
        )


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event and where it stands in the store."""

    position: int
    #: Machine time (UTC).
    recorded_at: datetime
    event: Event


@dataclass(frozen=True, slots=True)
class Dead:
    """A delivery that was given up."""

    parked: Parked
    #: When the event was recorded (machine time, UTC).
    recorded_at: datetime


class Repairs:
    """The tables ``events`` and ``parked``, as operators use them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def on_owed(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` whenever something is owed that was not, until what is returned is called."""
        return self._database.bells.listen(Bell.OWED, listener)

    # ------------------------------------------------------------------ looking

    async def end(self) -> int:
        """Return the position of the newest event; 0 when there is none."""
        async with self._database.read() as connection:
            found: int | None = (await connection.execute(select(func.max(events.c.position)))).scalar_one()
        return found or 0

    async def newest(self, selection: Selection, limit: int) -> list[Recorded]:
        """Return the newest ``limit`` of the selected events, oldest of them first."""
        query = _chosen(selection).order_by(events.c.position.desc()).limit(limit)
        async with self._database.read() as connection:
            return [_recorded(row) for row in await connection.execute(query)][::-1]

    async def following(
        self, selection: Selection, *, after: int, through: int | None = None, limit: int = BATCH
    ) -> list[Recorded]:
        """Return the first ``limit`` of the selected events behind a position, and not behind another."""
        query = _chosen(selection).where(events.c.position > after)
        if through is not None:
            query = query.where(events.c.position <= through)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(events.c.position).limit(limit))
            return [_recorded(row) for row in rows]

    async def count(self, selection: Selection, *, after: int = 0) -> int:
        """Count the selected events behind a position."""
        query = select(func.count()).select_from(events).where(*selection.conditions(), events.c.position > after)
        async with self._database.read() as connection:
            return (await connection.execute(query)).scalar_one()

    async def sinks(self) -> list[str]:
        """List the sinks that ever ran, also those that are not configured any more."""
        async with self._database.read() as connection:
            return list((await connection.execute(select(sinks.c.name).order_by(sinks.c.name))).scalars())

    async def dead(self, selection: Selection, names: Sequence[str], limit: int) -> list[Dead]:
        """Return the newest ``limit`` deliveries to these sinks that were given up, oldest of them first."""
        query = select(parked, events.c.body, events.c.recorded_at).join(events, _same).where(*_dead(selection, names))
        query = query.order_by(events.c.position.desc(), parked.c.sink).limit(limit)
        async with self._database.read() as connection:
            return [_a_dead(row) for row in await connection.execute(query)][::-1]

    async def count_dead(self, selection: Selection, names: Sequence[str]) -> dict[str, int]:
        """Count by sink what was given up; a sink without any is left out."""
        query = select(parked.c.sink, func.count()).join(events, _same).where(*_dead(selection, names))
        async with self._database.read() as connection:
            rows = await connection.execute(query.group_by(parked.c.sink).order_by(parked.c.sink))
            return {row.sink: row[1] for row in rows}

    # ------------------------------------------------------------------ repairing

    async def owe(self, wanted: Mapping[str, Sequence[int]], now: datetime) -> dict[str, Owed]:
        """Owe each sink these events again, by position; ``now`` is machine time (UTC).

        At most :data:`BATCH` positions a sink. An event that is gone meanwhile is not owed. A sink that never ran is
        left out.
        """
        found: dict[str, Owed] = {}
        async with self._database.write() as connection:
            for sink, positions in sorted(wanted.items()):  # in one order: two replays must not wait for each other
                sorted_out = await _sort_out(connection, sink, positions, lock=True)
                if sorted_out is not None:
                    found[sink] = await _owe(connection, sink, sorted_out, now)
            if any(owed.again or owed.revived for owed in found.values()):
                self._database.ring(connection, Bell.OWED)
        return found

    async def would_owe(self, wanted: Mapping[str, Sequence[int]]) -> dict[str, Owed]:
        """Say what :meth:`owe` would come to, and change nothing."""
        found: dict[str, Owed] = {}
        async with self._database.read() as connection:
            for sink, positions in wanted.items():
                sorted_out = await _sort_out(connection, sink, positions)
                if sorted_out is not None:
                    found[sink] = sorted_out.told
        return found

    async def requeue(self, selection: Selection, names: Sequence[str], now: datetime) -> dict[str, int]:
        """Owe once more what was given up, due at once and as if never tried; returns how many, by sink."""
        fresh = {"dead": False, "attempts": 0, "first_tried_at": None, "due_at": now, "detail": _AGAIN}
        return await self._change_dead(selection, names, update(parked).values(fresh))

    async def drop(self, selection: Selection, names: Sequence[str]) -> dict[str, int]:
        """Let go of what was given up; its events stay for as long as others do. Returns how many, by sink."""
        return await self._change_dead(selection, names, delete(parked))

    async def _change_dead(self, selection: Selection, names: Sequence[str], change: Update | Delete) -> dict[str, int]:
        """Change what was given up, in small transactions; returns how many, by sink."""
        done: dict[str, int] = {}
        for sink in names:
            locked = select(sinks.c.name).where(sinks.c.name == sink).with_for_update()
            after = 0
            while chosen := await self._next_dead(selection, sink, after):
                mine = and_(parked.c.sink == sink, parked.c.dead, parked.c.position.in_(chosen))
                async with self._database.write() as connection:
                    await connection.execute(locked)  # so that nobody delivers or replays meanwhile
                    count = (await connection.execute(change.where(mine))).rowcount
                    self._database.ring(connection, Bell.OWED)  # letting go of one may free those behind it
                done[sink], after = done.get(sink, 0) + count, chosen[-1]
        return done

    async def _next_dead(self, selection: Selection, sink: str, after: int) -> list[int]:
        query = select(parked.c.position).join(events, _same).where(*_dead(selection, [sink]))
        query = query.where(parked.c.position > after).order_by(parked.c.position).limit(BATCH)
        async with self._database.read() as connection:
            return list((await connection.execute(query)).scalars())


# ---------------------------------------------------------------------- owing, in one transaction


@dataclass(frozen=True, slots=True)
class _SortedOut:
    """Positions by what becomes of them."""

    new: list[int]
    dead: list[int]
    told: Owed


async def _sort_out(
    connection: AsyncConnection, sink: str, positions: Sequence[int], *, lock: bool = False
) -> _SortedOut | None:
    """Say which events a sink has had, which it gave up, which it is owed already; None for a sink that never ran."""
    standing = select(sinks.c.cursor).where(sinks.c.name == sink)
    found = select(events.c.position).where(events.c.position.in_(positions))
    if lock:  # the sink, so that it delivers nothing meanwhile; and the events, so that nobody prunes them
        standing = standing.with_for_update()
        found = found.order_by(events.c.position).with_for_update(read=True)  # in the order of pruning
    cursor = (await connection.execute(standing)).scalar_one_or_none()
    if cursor is None:
        return None
    there = set((await connection.execute(found)).scalars())
    query = select(parked.c.position, parked.c.dead).where(parked.c.sink == sink, parked.c.position.in_(positions))
    fates = {row.position: row.dead for row in await connection.execute(query)}
    passed = [one for one in positions if one in there and one <= cursor]
    new = [one for one in passed if one not in fates]
    dead = [one for one in passed if fates.get(one)]
    ahead = sum(one > cursor for one in there)
    return _SortedOut(new, dead, Owed(len(new), len(dead), len(passed) - len(new) - len(dead), ahead))


async def _owe(connection: AsyncConnection, sink: str, sorted_out: _SortedOut, now: datetime) -> Owed:
    if sorted_out.dead:
        mine = and_(parked.c.sink == sink, parked.c.position.in_(sorted_out.dead))
        fresh = {"dead": False, "attempts": 0, "first_tried_at": None, "due_at": now, "detail": _AGAIN}
        await connection.execute(update(parked).where(mine).values(fresh))
    if sorted_out.new:
        columns = {
            "sink": literal(sink),
            "position": events.c.position,
            "record_key": events.c.record_key,
            "dead": false(),
            "attempts": literal(0),
            "first_tried_at": null(),
            "due_at": literal(now, Instant),
            "detail": literal(_AGAIN),
            "replay": true(),
            "response": literal(""),
        }
        rows = select(*columns.values()).where(events.c.position.in_(sorted_out.new))
        await connection.execute(insert(parked).from_select(list(columns), rows))
    return sorted_out.told


# ---------------------------------------------------------------------- queries and rows

_same = events.c.position == parked.c.position


def _chosen(selection: Selection) -> Any:
    return select(events.c.position, events.c.recorded_at, events.c.body).where(*selection.conditions())


def _dead(selection: Selection, names: Sequence[str]) -> list[ColumnElement[bool]]:
    return [parked.c.dead, parked.c.sink.in_(names), *selection.conditions()]


def _recorded(row: Row[Any]) -> Recorded:
    return Recorded(row.position, row.recorded_at, codec.load_event(row.body))


def _a_dead(row: Row[Any]) -> Dead:
    delivery = Delivery(
        row.sink, row.position, codec.load_event(row.body), row.attempts, row.first_tried_at, row.replay
    )
    return Dead(Parked(delivery, row.due_at, row.detail, dead=True, response=row.response), row.recorded_at)
