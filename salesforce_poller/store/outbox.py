"""What we owe, to whom: delivery's side of the store.

A sink has a cursor over the append-only ``events`` and rows in ``parked`` only for what was not simply accepted, so a
healthy sink costs one small write a round. Called by ``delivery/dispatcher.py``; :meth:`Outbox.settle` is its heart.
All instants are machine time, UTC, handed in by the caller.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Update,
    and_,
    bindparam,
    delete,
    exists,
    func,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from salesforce_poller.errors import StoreError
from salesforce_poller.model import Delivery, Event, Kind, Parked, SinkState
from salesforce_poller.store import codec
from salesforce_poller.store.database import Database
from salesforce_poller.store.tables import events, parked, sinks

#: Rows in one prune, and keys in one lookup: keeps statements and locks short.
_BATCH = 500
_earlier = parked.alias("earlier")
#: A parked delivery may go when no earlier one of its record still waits; a dead one holds nobody back.
_is_head = and_(
    ~parked.c.dead,
    ~exists().where(
        _earlier.c.sink == parked.c.sink,
        _earlier.c.record_key == parked.c.record_key,
        _earlier.c.position < parked.c.position,
        ~_earlier.c.dead,
    ),
)


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

    async def ensure_sinks(self, names: Iterable[str]) -> None:
        """Make sure these sinks are known. One never seen before starts at the present end of the events."""
        async with self._database.write() as connection:
            end = (await connection.execute(select(func.coalesce(func.max(events.c.position), 0)))).scalar_one()
            rows = [{"name": name, "cursor": end} for name in names]
            if rows:
                await connection.execute(sqlite_insert(sinks).on_conflict_do_nothing(index_elements=["name"]), rows)

    async def sink(self, name: str) -> SinkState:
        """Return where a sink stands.

        Raises:
            StoreError: it was never seen by :meth:`ensure_sinks`.
        """
        async with self._database.read() as connection:
            row = (await connection.execute(select(sinks).where(sinks.c.name == name))).one_or_none()
        if row is None:
            raise StoreError(f"the store knows no sink {name!r}; it is made known by the first `salesforce-poller run`")
        return SinkState(
            row.name, row.cursor, row.paused, row.paused_by_person, row.failing_since, row.last_error, row.down_since
        )

    async def knows(self, name: str) -> bool:
        """Say whether a sink was ever seen by :meth:`ensure_sinks`."""
        async with self._database.read() as connection:
            found = await connection.execute(select(sinks.c.name).where(sinks.c.name == name))
            return found.one_or_none() is not None

    async def read(self, sink: str, limit: int) -> list[Delivery]:
        """Return the next ``limit`` events behind the sink's cursor, in order of position."""
        cursor = select(sinks.c.cursor).where(sinks.c.name == sink).scalar_subquery()
        query = select(events.c.position, events.c.body).where(events.c.position > cursor)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(events.c.position).limit(limit))
            return [Delivery(sink, row.position, codec.load_event(row.body)) for row in rows]

    async def due(self, sink: str, now: datetime, limit: int) -> list[Delivery]:
        """Return parked deliveries that may be tried now: at most one of each record, its first that is not dead."""
        query = select(parked, events.c.body).join(events, events.c.position == parked.c.position)
        query = query.where(parked.c.sink == sink, parked.c.due_at <= now, _is_head)
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(parked.c.due_at, parked.c.position).limit(limit))
            return [
                Delivery(sink, row.position, codec.load_event(row.body), row.attempts, row.first_tried_at, row.replay)
                for row in rows
            ]

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

    async def next_due(self, sink: str) -> datetime | None:
        """Return when the sink's next parked delivery may be tried; None when none is parked."""
        async with self._database.read() as connection:
            query = select(func.min(parked.c.due_at)).where(parked.c.sink == sink, _is_head)
            due_at: datetime | None = (await connection.execute(query)).scalar_one()
        return due_at

    async def settle(
        self,
        state: SinkState,
        *,
        park: Sequence[Parked],
        done: Sequence[int],
        back_at: datetime | None = None,
        outage: timedelta = timedelta(),
    ) -> None:
        """Close the books of one round, in one transaction.

        ``state`` is where the sink stands after it; ``park`` is put (back) among the parked deliveries and ``done``
        (positions) taken from them. A pause that somebody asked for during the round stays. ``back_at`` says that the
        whole sink came back now, after an ``outage``: everything parked is due at once, and the outage is not counted
        against it, so that nothing is given up because the sink was away.
        """
        async with self._database.write() as connection:
            if done:
                gone = delete(parked).where(parked.c.sink == state.name, parked.c.position == bindparam("done"))
                await connection.execute(gone, [{"done": position} for position in done])
            if park:
                await connection.execute(_upsert_parked(), [_parked_row(one) for one in park])
            if back_at is not None:
                await connection.execute(_wake_parked(state.name, back_at, outage))
            await connection.execute(_update_sink(state))

    async def pause(self, sink: str, why: str) -> None:
        """Let the sink take nothing until :meth:`resume`; its cursor stays."""
        await self._set_paused(sink, why, by_person=True)

    async def resume(self, sink: str) -> None:
        """End a pause, whoever asked for it."""
        await self._set_paused(sink, "", by_person=False)

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
            chosen = _prunable(before, names).limit(_BATCH)
            return (await connection.execute(delete(events).where(events.c.position.in_(chosen)))).rowcount

    async def _set_paused(self, sink: str, why: str, *, by_person: bool) -> None:
        async with self._database.write() as connection:
            values = {"paused": why, "paused_by_person": by_person}
            await connection.execute(update(sinks).where(sinks.c.name == sink).values(values))


def _prunable(before: datetime, names: Collection[str]) -> Select[Any]:
    query = select(events.c.position).where(
        events.c.recorded_at < before, ~exists().where(_earlier.c.position == events.c.position)
    )
    if names:
        passed = select(func.min(sinks.c.cursor)).where(sinks.c.name.in_(names)).scalar_subquery()
        query = query.where(events.c.position <= passed)
    return query.order_by(events.c.position)


def _wake_parked(sink: str, now: datetime, outage: timedelta) -> Update:
    shifted = type_coerce(parked.c.first_tried_at, BigInteger) + outage // timedelta(milliseconds=1)
    alive = update(parked).where(parked.c.sink == sink, ~parked.c.dead)
    return alive.values({parked.c.due_at: now, parked.c.first_tried_at: shifted})


def _upsert_parked() -> Insert:
    statement = sqlite_insert(parked)
    fate = ("dead", "attempts", "first_tried_at", "due_at", "detail", "replay", "response")
    return statement.on_conflict_do_update(
        index_elements=["sink", "position"], set_={name: statement.excluded[name] for name in fate}
    )


def _parked_row(one: Parked) -> Mapping[str, Any]:
    return {
        "sink": one.delivery.sink,
        "position": one.delivery.position,
        "record_key": one.delivery.event.key,
        "dead": one.dead,
        "attempts": one.delivery.attempts,
        "first_tried_at": one.delivery.first_tried_at,
        "due_at": one.due_at,
        "detail": one.detail,
        "replay": one.delivery.replay,
        "response": one.response,
    }


def _update_sink(state: SinkState) -> Update:
    values: dict[str, Any] = {
        "cursor": state.cursor,
        "failing_since": state.failing_since,
        "down_since": state.down_since,
        "last_error": state.last_error,
    }
    if state.paused:
        values["paused"] = state.paused
    return update(sinks).where(sinks.c.name == state.name).values(values)
