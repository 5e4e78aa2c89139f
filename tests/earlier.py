"""A store that goes back to an earlier state behind everybody's back: a standby without the last moments, or a backup.

:func:`copied` is what that one has, :func:`put_back` the moment at which it takes over. No bell rings, no connection is
lost, and what the process remembers it goes on remembering.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, insert, select, text

from salesforce_poller.store.store import Store
from salesforce_poller.store.tables import feeds, metadata

#: The rows of every table, by its name.
Copy = Mapping[str, Sequence[Mapping[str, Any]]]


async def copied(store: Store) -> Copy:
    """Return everything that is in a store at this moment."""
    async with store._door.reading() as connection:
        return {
            table.name: [dict(row) for row in (await connection.execute(select(table))).mappings()]
            for table in metadata.sorted_tables
        }


async def put_back(store: Store, earlier: Copy) -> None:
    """Have a store hold what it held then, and number what comes next as it would have then."""
    async with store._door.writing() as connection:
        for table in reversed(metadata.sorted_tables):
            await connection.execute(delete(table))
        for table in metadata.sorted_tables:
            if earlier[table.name]:
                await connection.execute(insert(table), list(earlier[table.name]))
        if store.is_shared:
            last = select(func.coalesce(func.max(feeds.c.id), 0) + 1).scalar_subquery()
            await connection.execute(select(func.setval(text("pg_get_serial_sequence('feeds', 'id')"), last, False)))
