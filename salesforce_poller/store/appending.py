"""The one place where events come into being: rows of ``events``, in order of position.

Called by ``feeds.py`` for what changed in an org and by ``outbox.py`` for alerts, inside their transactions.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from salesforce_poller.model import Event
from salesforce_poller.store import codec
from salesforce_poller.store.tables import events


async def append(connection: AsyncConnection, happened: Sequence[Event], at: datetime) -> int:
    """Append events, recorded ``at`` this instant; returns how many were new, since one of each id is kept."""
    if not happened:
        return 0
    before = (await connection.execute(select(func.coalesce(func.max(events.c.position), 0)))).scalar_one()
    await connection.execute(
        sqlite_insert(events).on_conflict_do_nothing(index_elements=["id", "org"]),
        [_event_row(one, at) for one in happened],
    )
    added = select(func.count()).select_from(events).where(events.c.position > before)
    return (await connection.execute(added)).scalar_one()


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
