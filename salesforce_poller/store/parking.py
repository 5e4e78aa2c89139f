"""Statements about parked deliveries: which may be tried when, and how they come and go. Called by ``outbox.py``.

A dead delivery is kept and holds nobody back. Of the others may go:

record   the first of each record, when it is due
strict   the first of all, and those behind it as far as they are due
none     whichever is due
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Delete,
    Insert,
    Row,
    Select,
    Update,
    bindparam,
    delete,
    exists,
    func,
    select,
    type_coerce,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from salesforce_poller.model import Delivery, Ordering, Parked
from salesforce_poller.store import codec
from salesforce_poller.store.tables import events, parked
from salesforce_poller.store.upsert import upsert

_earlier = parked.alias("earlier")
#: No earlier delivery of its record still waits.
_is_head = ~exists().where(
    _earlier.c.sink == parked.c.sink,
    _earlier.c.record_key == parked.c.record_key,
    _earlier.c.position < parked.c.position,
    ~_earlier.c.dead,
)
#: What a further failure changes.
_FATE = ("dead", "attempts", "first_tried_at", "due_at", "detail", "response")


def due(sink: str, now: datetime, ordering: Ordering, *, tried: int, untried: int) -> list[Select[Any]]:
    """Return the queries that find what may be tried now, at most so many that were and were not tried before."""
    query = select(parked, events.c.body).join(events, events.c.position == parked.c.position)
    query = query.where(parked.c.sink == sink, parked.c.dead.is_(False))
    if ordering is Ordering.STRICT:
        return [query.order_by(parked.c.position).limit(untried)]
    query = query.where(parked.c.due_at <= now).order_by(parked.c.due_at, parked.c.position)
    if ordering is Ordering.RECORD:
        query = query.where(_is_head)
    return [query.where(parked.c.attempts > 0).limit(tried), query.where(parked.c.attempts == 0).limit(untried)]


def leading(rows: Iterable[Row[Any]], now: datetime, ordering: Ordering, sink: str) -> Iterator[Delivery]:
    """Return what a query of :func:`due` found as deliveries; with ``strict`` up to the first that must wait."""
    if ordering is Ordering.STRICT:
        rows = takewhile(lambda row: row.due_at <= now, rows)
    for row in rows:
        event = codec.glance(row.body)
        yield Delivery(sink, row.position, event, row.attempts, row.first_tried_at, row.replay)


def next_due(sink: str, ordering: Ordering) -> Select[Any]:
    """Return the query for when the next one may be tried."""
    mine = (parked.c.sink == sink, ~parked.c.dead)
    if ordering is Ordering.STRICT:
        return select(parked.c.due_at).where(*mine).order_by(parked.c.position).limit(1)
    query = select(func.min(parked.c.due_at)).where(*mine)
    return query.where(_is_head) if ordering is Ordering.RECORD else query


def remove(sink: str) -> Delete:
    """Take a delivery from the parked ones; its position is the parameter ``done``."""
    return delete(parked).where(parked.c.sink == sink, parked.c.position == bindparam("done"))


def insert(connection: AsyncConnection | Connection) -> Insert:
    """Park deliveries, see :func:`row`. One that is parked already is parked anew."""
    return upsert(connection, parked, key=["sink", "position"], change=(*_FATE, "replay"))


def row(one: Parked) -> Mapping[str, Any]:
    """Return a parked delivery as :func:`insert` takes it."""
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


def renew() -> Update:
    """Change parked deliveries that are still there, see :func:`renewed_row`."""
    same = (parked.c.sink == bindparam("of_sink"), parked.c.position == bindparam("at_position"))
    return update(parked).where(*same).values({name: bindparam(name) for name in _FATE})


def renewed_row(one: Parked) -> Mapping[str, Any]:
    """Return a parked delivery as :func:`renew` takes it."""
    whole = row(one)
    return {"of_sink": whole["sink"], "at_position": whole["position"], **{name: whole[name] for name in _FATE}}


def wake(sink: str, now: datetime, outage: timedelta) -> Update:
    """Let everything be due now, as if the ``outage`` had not been."""
    shifted = type_coerce(parked.c.first_tried_at, BigInteger) + outage // timedelta(milliseconds=1)
    alive = update(parked).where(parked.c.sink == sink, ~parked.c.dead)
    return alive.values({parked.c.due_at: now, parked.c.first_tried_at: shifted})
