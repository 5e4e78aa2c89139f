"""The one place where events come into being: rows of ``events``, in order of position.

Called by ``feeds.py`` for what changed in an org and by ``outbox.py`` for alerts, at the end of their transactions.

Positions come from a row of ``counters``, not from a sequence of the database. Whoever has raised the counter holds its
row until the transaction ends, so that events become visible in the order of their positions: a reader that has seen
one has seen all before it, and a sink's cursor can pass no event of a slower writer. A sequence would hand out numbers
that commit in any order, and lose those of a transaction that is rolled back; here there are no holes, so that a hole
means events that were pruned. A database that went back gives the positions that it has lost once more; so each commit
leaves its number with its events (``versions.py``), and who has read of one can tell whether it is still there.
"""

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, select, update

from salesforce_poller.model import Event
from salesforce_poller.store import codec, many, versions
from salesforce_poller.store.fresh import Appended
from salesforce_poller.store.tables import EVENTS, counters, events, milliseconds

_mine = counters.c.name == EVENTS
_RAISE = update(counters).where(_mine).values(last=counters.c.last + bindparam("by"))
_LAST = select(counters.c.last).where(_mine)


def append(connection: Connection, happened: Sequence[Event], at: datetime) -> Appended | None:
    """Append events, recorded ``at`` this instant; returns those that were new, since one of each id is kept."""
    new = _new(connection, happened) if happened else []
    if not new:
        return None
    first, version = _positions(connection, len(new)), versions.drawn()
    recorded_at = milliseconds(at)
    rows = (_event_row(position, one, recorded_at, version) for position, one in enumerate(new, start=first))
    many.insert(connection, events, rows)
    return Appended(first, new, version)


def _positions(connection: Connection, count: int) -> int:
    """Take the next ``count`` positions and return the first of them. Nobody else gets any until we have committed."""
    connection.execute(_RAISE, {"by": count})
    last: int = connection.execute(_LAST).scalar_one()
    return last - count + 1


def _new(connection: Connection, happened: Sequence[Event]) -> list[Event]:
    """Leave out what is there, and repeats.

    Not left to the database's ON CONFLICT DO NOTHING, since each event has its position by then. Events of one org have
    one writer, who holds its lease; should there ever be two, one of them fails and reads again.
    """
    one_each: dict[tuple[str, str], Event] = {}
    for one in happened:
        one_each.setdefault((one.id, one.org), one)
    dialect = connection.dialect.name
    for id_, org in connection.execute(_there(dialect), many.listed(dialect, [one.id for one in happened])):
        one_each.pop((id_, org), None)
    return list(one_each.values())


@functools.cache
def _there(dialect: str) -> Select[Any]:
    return select(events.c.id, events.c.org).where(many.among(dialect, events.c.id))


def _event_row(position: int, event: Event, recorded_at: int, version: int) -> many.Row:
    return (
        position,
        event.id,
        event.org,
        event.object,
        str(event.kind),
        event.key,
        milliseconds(event.time),
        recorded_at,
        codec.dump_event(event),
        version,
    )
