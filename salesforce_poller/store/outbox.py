"""What we owe, to whom: delivery's side of the store.

A sink has a cursor over the append-only ``events`` and rows in ``parked`` only for what was not simply accepted, so a
healthy sink costs one small write a round. Called by ``delivery/dispatcher.py``; :meth:`Outbox.settle` is its heart,
``parking.py`` has the statements about what is parked. All instants are machine time, UTC, handed in by the caller.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    delete,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from salesforce_poller.errors import StoreWentBack
from salesforce_poller.model import Delivery, Event, Kind, Ordering, Parked, SinkState
from salesforce_poller.store import appending, codec, parking, rounds
from salesforce_poller.store.bells import Bell
from salesforce_poller.store.database import Database
from salesforce_poller.store.tables import events, parked, sinks
from salesforce_poller.store.upsert import upsert
from salesforce_poller.store.versions import Step

#: Rows in one prune, and keys in one lookup: keeps statements and locks short.
_BATCH = 500
#: Events in one look for delivery, and characters of their bodies after which there is no other look: a sink that takes
#: thousands of small ones at once need not hold as many long ones.
_AT_ONCE, _ENOUGH = 500, 1_500_000
#: Where a sink begins that was never seen: at the present end, at the oldest event there is, or at an instant (UTC).
Start = Literal["now", "beginning"] | datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a sink stands at the beginning of a round."""

    state: SinkState
    #: Names the round that left it like this; see ``versions.py``.
    version: int
    #: Whether anything is parked that is not dead; not looked up while the sink is paused.
    parked: bool
    #: Parked deliveries that may be tried now.
    due: list[Delivery]


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much a sink is owed, for ``status`` and metrics."""

    #: Events behind its cursor; its filters may pass over some of them.
    waiting: int
    #: Waiting for their next try, or for an earlier event of their record.
    parked: int
    #: Given up; kept for replay.
    dead: int
    #: When the oldest event was recorded that is still owed (waiting or parked); None when nothing is.
    oldest: datetime | None


class Outbox:
    """The tables ``events``, ``sinks`` and ``parked``, as delivery uses them. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def on_pause(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call ``listener`` with the name of a sink whenever somebody paused it, until what is returned is called."""
        return self._database.bells.listen(Bell.PAUSED, listener)

    async def ensure_sinks(self, names: Iterable[str], starts: Mapping[str, Start] | None = None) -> None:
        """Make sure these sinks are known; one never seen before begins where ``starts`` says, if not now."""
        async with self._database.write() as connection:
            rows = [
                {"name": name, "cursor": await _cursor_at(connection, (starts or {}).get(name, "now"))}
                for name in sorted(names)  # in one order: two processes that start must not wait for each other
            ]
            if rows:
                await connection.execute(upsert(connection, sinks, key=["name"]), rows)

    async def sink(self, name: str) -> SinkState:
        """Return where a sink stands.

        Raises:
            SinkForgotten: it was never seen by :meth:`ensure_sinks`.
        """
        async with self._database.read() as connection:
            return (await connection.run_sync(rounds.state_of, name))[0]

    async def standing(self, sink: str, now: datetime, ordering: Ordering, *, tried: int, untried: int) -> Standing:
        """Return where a sink stands and what of its parked deliveries may be tried now, in one look.

        Of those that were tried before at most ``tried``, of the others (replays, and what waited behind an earlier
        one) at most ``untried``. A sink that is paused has nothing due.

        Raises:
            SinkForgotten: it was never seen by :meth:`ensure_sinks`.
        """

        def look(connection: Connection) -> Standing:
            state, alive, version = rounds.state_of(connection, sink)
            if state.paused or not alive:
                return Standing(state, version, parked=False, due=[])
            due: list[Delivery] = []
            for query in parking.due(sink, now, ordering, tried=tried, untried=untried):
                due += parking.leading(connection.execute(query), now, ordering, sink)
            return Standing(state, version, parked=True, due=due)

        return await self._database.look(look)

    async def knows(self, name: str) -> bool:
        """Say whether a sink was ever seen by :meth:`ensure_sinks`."""
        async with self._database.read() as connection:
            found = await connection.execute(select(sinks.c.name).where(sinks.c.name == name))
            return found.one_or_none() is not None

    async def missed(self, sink: str) -> int:
        """Count the events right behind the sink's cursor that are gone: it was not configured when they went."""
        cursor = select(sinks.c.cursor).where(sinks.c.name == sink).scalar_subquery()
        first = select(func.min(events.c.position)).where(events.c.position > cursor).scalar_subquery()
        async with self._database.read() as connection:
            missed: int = (await connection.execute(select(func.coalesce(first - cursor - 1, 0)))).scalar_one()
        return missed

    async def read(self, sink: str, limit: int, *, after: int | None = None, least: int = 0) -> list[Delivery]:
        """Return the next events behind the sink's cursor, or behind ``after``, in order of position.

        At most ``limit``, fewer if they are long (but ``least``, where there are so many), and none only if there are
        none; who knows the cursor and says it may have them from memory.
        """
        if after is not None and (handed := self._database.fresh.behind(after, limit, sink)):
            return handed

        def look(connection: Connection) -> list[Delivery]:
            behind, told = (rounds.BEHIND_SINK, {"sink": sink}) if after is None else (rounds.BEHIND, {"after": after})
            found: list[Delivery] = []
            size = 0
            while (size < _ENOUGH or len(found) < least) and (most := min(_AT_ONCE, limit - len(found))):
                rows = connection.execute(behind, {**told, "most": most}).all()
                found += [Delivery(sink, at, codec.glance(body), version=version) for at, body, version in rows]
                if len(rows) < most:
                    break
                size += sum(len(body) for _, body, _ in rows)
                behind, told = rounds.BEHIND, {"after": rows[-1][0]}
            return found

        return await self._database.look(look)

    async def blocked(self, sink: str, record_keys: Collection[str]) -> set[str]:
        """Return those of these records that have a parked delivery which is not dead."""
        wanted = list(record_keys)
        found: set[str] = set()
        async with self._database.read() as connection:
            for start in range(0, len(wanted), _BATCH):
                chunk = parked.c.record_key.in_(wanted[start : start + _BATCH])
                query = select(parked.c.record_key).where(parked.c.sink == sink, ~parked.c.dead, chunk)
                found.update((await connection.execute(query.distinct())).scalars())
        return found

    async def next_due(self, sink: str, ordering: Ordering = Ordering.RECORD) -> datetime | None:
        """Return when the sink's next parked delivery may be tried; None when none is parked."""
        async with self._database.read() as connection:
            due_at: datetime | None = (await connection.execute(parking.next_due(sink, ordering))).scalar_one_or_none()
        return due_at

    async def settle(
        self,
        state: SinkState,
        *,
        step: Step | None = None,
        read: Delivery | None = None,
        park: Sequence[Parked] = (),
        again: Sequence[Parked] = (),
        done: Sequence[int] = (),
        back_at: datetime | None = None,
        outage: timedelta = timedelta(),
        alerts: Sequence[Event] = (),
        at: datetime | None = None,
    ) -> None:
        """Close the books of one round, in one transaction.

        ``state`` is where the sink stands after it. ``step`` names the round before it and this one, None builds on
        nothing; ``read`` is the last of the events behind the cursor that it was made of. ``park`` is put among the
        parked deliveries; ``again`` are parked ones that failed once more (one that somebody dropped meanwhile stays
        dropped), and ``done`` (positions) are taken from them. A pause that somebody asked for during the round stays.
        ``back_at`` says that the whole sink came back now, after an ``outage``: everything parked is due at once, and
        the outage is not counted against it, so that nothing is given up because the sink was away. ``alerts`` are
        events that tell other sinks of it, recorded ``at`` this instant. What is on disk already, since only the answer
        was lost, is not written again.

        Raises:
            StoreWentBack: the round was made of what is not there any more: another round was the last one, ``read``
                is gone, or the store ends before ``state.cursor``. Nothing was written.
            StoreError: the store failed.
        """

        def close(connection: Connection) -> None:
            # First: it locks the row, so that nobody replays meanwhile.
            if connection.execute(rounds.PASS, rounds.passing(state, step, read)).rowcount == 0:
                last = select(sinks.c.version).where(sinks.c.name == state.name)
                if step is not None and connection.execute(last).scalar_one_or_none() == step.becomes:
                    return
                raise StoreWentBack(
                    f"the store went back to an earlier state than that of which {state.name!r} was sent events"
                )
            if done:
                connection.execute(parking.remove(state.name), [{"done": position} for position in done])
            if again:
                connection.execute(parking.renew(), [parking.renewed_row(one) for one in again])
            if park:
                connection.execute(parking.insert(connection), [parking.row(one) for one in park])
            if back_at is not None:
                connection.execute(parking.wake(state.name, back_at, outage))
            told = appending.append(connection, alerts, at) if alerts and at else None
            if told:
                self._database.appended(connection, told)

        await self._database.write_at_once(close)

    async def pause(self, sink: str, why: str) -> None:
        """Let the sink take nothing until :meth:`resume`; its cursor stays."""
        await self._set_paused(sink, why, by_person=True)

    async def resume(self, sink: str, *, forgive: bool = True) -> None:
        """End a pause, whoever asked for it.

        ``forgive=False`` is for a restart: what failed before still counts, so that a sink that was switched off for
        its failures is so again after the next one.
        """
        await self._set_paused(sink, "", by_person=False, failing_since=None if forgive else sinks.c.failing_since)

    async def backlog(self, sink: str) -> Backlog:
        """Count what the sink is owed."""
        cursor = select(sinks.c.cursor).where(sinks.c.name == sink).scalar_subquery()
        behind = events.c.position > cursor
        first = select(func.min(events.c.position)).where(behind).scalar_subquery()
        held = select(parked.c.position).where(parked.c.sink == sink, ~parked.c.dead)
        oldest = select(func.min(events.c.recorded_at)).where(
            (events.c.position == first) | events.c.position.in_(held)
        )
        async with self._database.read() as connection:
            waiting = (await connection.execute(select(func.count()).select_from(events).where(behind))).scalar_one()
            by_fate = select(parked.c.dead, func.count()).where(parked.c.sink == sink).group_by(parked.c.dead)
            counts = {row.dead: row[1] for row in await connection.execute(by_fate)}
            since = (await connection.execute(oldest)).scalar_one()
        return Backlog(waiting, counts.get(False, 0), counts.get(True, 0), since)

    async def events(
        self,
        *,
        org: str | None = None,
        object_name: str | None = None,
        kind: Kind | None = None,
        record: str | None = None,
        after: int | None = None,
        limit: int = 100,
    ) -> list[tuple[int, Event]]:
        """Return the newest events with their positions, newest first; every condition left out means all."""
        conditions: list[ColumnElement[bool]] = [
            column == value
            for column, value in (
                (events.c.org, org),
                (events.c.object, object_name),
                (events.c.kind, kind),
                (events.c.record_key, record),
            )
            if value is not None
        ]
        if after is not None:
            conditions.append(events.c.position > after)
        query = select(events.c.position, events.c.body).where(*conditions)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(events.c.position.desc()).limit(limit))
            return [(row.position, codec.load_event(row.body)) for row in rows]

    async def prune(self, before: datetime, names: Collection[str]) -> int:
        """Delete a batch of events that were recorded before ``before`` and that nobody is owed any more.

        ``names`` are the configured sinks: what one of them has not passed stays, as does what any sink has parked,
        dead ones included, since those can be replayed. Returns how many went, so that a caller goes on until it is 0.
        """
        async with self._database.write() as connection:
            # Locked, and looked at again: somebody may be replaying one of them at this moment.
            query = _prunable(connection.dialect.name, before, names).limit(_BATCH).with_for_update(of=events)
            chosen = list((await connection.execute(query)).scalars())
            owed = select(parked.c.position).where(parked.c.position.in_(chosen))
            gone = delete(events).where(events.c.position.in_(chosen), events.c.position.not_in(owed))
            if not chosen:
                return 0
            self._database.fresh.forget(chosen[-1])
            return (await connection.execute(gone)).rowcount

    async def let_go(self, before: datetime, names: Collection[str]) -> int:
        """Delete a batch of what is parked for sinks that are not among ``names``, of events from before ``before``.

        Nobody would ever deliver it, and its events would be kept for ever. Returns how many went, like :meth:`prune`.
        """
        chosen = select(parked.c.sink, parked.c.position).join(events, events.c.position == parked.c.position)
        chosen = chosen.where(parked.c.sink.not_in(names), events.c.recorded_at < before).limit(_BATCH)
        async with self._database.write() as connection:
            gone = delete(parked).where(tuple_(parked.c.sink, parked.c.position).in_(chosen))
            return (await connection.execute(gone)).rowcount

    async def _set_paused(self, sink: str, why: str, *, by_person: bool, **besides: Any) -> None:
        async with self._database.write() as connection:
            values = {"paused": why, "paused_by_person": by_person, **besides}
            await connection.execute(update(sinks).where(sinks.c.name == sink).values(values))
            self._database.ring(connection, *((Bell.PAUSED, sink) if why else (Bell.OWED,)))


async def _cursor_at(connection: AsyncConnection, start: Start) -> int:
    """Return the cursor of a sink that begins there."""
    # Where all events were pruned, some sink has passed the last of them.
    last = func.coalesce(select(func.max(events.c.position)).scalar_subquery(), func.max(sinks.c.cursor), 0)
    end: int = (await connection.execute(select(last).select_from(sinks))).scalar_one()
    if start == "now":
        return end
    first = select(func.min(events.c.position))
    if start != "beginning":
        first = first.where(events.c.recorded_at >= start)
    position: int | None = (await connection.execute(first)).scalar_one()
    return end if position is None else position - 1


def _prunable(dialect: str, before: datetime, names: Collection[str]) -> Select[Any]:
    # Nothing finds a position among the parked without its sink. SQLite makes an index of its own for NOT IN, and would
    # look at all of them for each event with NOT EXISTS. PostgreSQL looks at all of them for each event with NOT IN, as
    # soon as they are too many for its work_mem (300,000 took more than a minute), and hashes them with NOT EXISTS.
    same = select(parked.c.position).where(parked.c.position == events.c.position)
    owed = same.exists() if dialect == "postgresql" else events.c.position.in_(select(parked.c.position))
    query = select(events.c.position).where(events.c.recorded_at < before, ~owed)
    if names:
        passed = select(func.min(sinks.c.cursor)).where(sinks.c.name.in_(names)).scalar_subquery()
        query = query.where(events.c.position <= passed)
    return query.order_by(events.c.position)
