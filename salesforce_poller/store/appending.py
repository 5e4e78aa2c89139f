"""The one place where events come into being: rows of ``events``, in order of position.

Called by ``feeds.py`` for what changed in an org and by ``outbox.py`` for alerts, inside their transactions.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from salesforce_poller.model import Event
from salesforce_poller.store import codec
from salesforce_poller.store.tables import events

#: Ids in one lookup.
_BATCH = 500


async def append(connection: AsyncConnection, happened: Sequence[Event], at: datetime) -> int:
    """Append events, recorded ``at`` this instant; returns how many were new, since one of each id is kept."""
    new = await _new(connection, happened)
    if new:
        await connection.execute(insert(events), [_event_row(one, at) for one in new])
    return len(new)


async def _new(connection: AsyncConnection, happened: Sequence[Event]) -> list[Event]:
    """Leave out what is there, and repeats.

    Not left to the database's ON CONFLICT DO NOTHING, which spends a position on each: a hole in them would then look
    like events that were pruned before a sink came to them. Nobody else appends while a transaction writes.
    """
    one_each: dict[tuple[str, str], Event] = {}
    for one in happened:
        one_each.setdefault((one.id, one.org), one)
    ids = [one.id for one in happened]
    for start in range(0, len(ids), _BATCH):
        there = select(events.c.id, events.c.org).where(events.c.id.in_(ids[start : start + _BATCH]))
        for id_, org in await connection.execute(there):
            one_each.pop((id_, org), None)
    return list(one_each.values())


def _event_row(event: Event, at: datetime) -> Mapping[str, Any]:
    return {
        "id": event.id,
        "org": event.org,
        "object": event.object,
        "kind": event.kind.value,
        "record_key": event.key,
        "stamp": event.time,
        "recorded_at": at,
        "body": codec.dump_event(event),
    }
