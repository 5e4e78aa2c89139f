"""Holds what a store hands on from memory against what it has on disk; for laws and contracts."""

from typing import Any

from sqlalchemy import select

from salesforce_poller.delivery import envelope
from salesforce_poller.model import Delivery
from salesforce_poller.store import codec
from salesforce_poller.store.store import Store
from salesforce_poller.store.tables import events


def kept(store: Store) -> list[Delivery]:
    """Return all that is in memory."""
    fresh: Any = store._database.fresh
    return [Delivery("crm", position, event) for position, event in enumerate(fresh._events, fresh._first)]


async def on_disk(store: Store) -> list[Delivery]:
    """Return all that is on disk, as it is read for delivery."""
    async with store._database.read() as connection:
        rows = await connection.execute(select(events.c.position, events.c.body).order_by(events.c.position))
        return [Delivery("crm", position, codec.glance(body)) for position, body in rows]


async def check(store: Store) -> None:
    """See that what is in memory is the end of what is on disk, or lies before it, and becomes the same bytes."""
    if there := kept(store):
        first, last = there[0].position, there[-1].position
        read = [each for each in await on_disk(store) if first <= each.position <= last]
        assert there == read
        assert [envelope.dress(each).body for each in there] == [envelope.dress(each).body for each in read]
