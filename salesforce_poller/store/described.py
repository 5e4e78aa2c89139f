"""The table ``described``: what describe says of the fields that a feed selects, as long as there is a store.

Written by ``polling/columns.py`` before any event with these fields is; read for sinks that make something of types
(``sinks/sql.py``), which never see the org. It stays when a feed is no longer watched: its events may be replayed.
"""

from collections.abc import Collection, Mapping, Sequence

import orjson
from sqlalchemy import Executable, select

from salesforce_poller.store.database import Database
from salesforce_poller.store.tables import described
from salesforce_poller.store.upsert import statement_for


class Described:
    """The table ``described``. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, org: str, object_name: str, types: Mapping[str, Collection[str]]) -> None:
        """Put the types of a feed's fields, by path, in the place of those before. Raises StoreError."""
        told = orjson.dumps({path: sorted(each) for path, each in types.items()}).decode()
        await self._database.put((_fresh, {"org": org, "object": object_name, "types": told}))

    async def of(self, org: str, object_name: str) -> Mapping[str, Sequence[str]] | None:
        """Return the types of a feed's fields by path, in describe's order; None when none were ever kept.

        Several where a path leads to objects that do not agree. Raises StoreError.
        """
        wanted = select(described.c.types).where(described.c.org == org, described.c.object == object_name)
        async with self._database.read() as connection:
            told = (await connection.execute(wanted)).scalar_one_or_none()
        found: Mapping[str, Sequence[str]] | None = None if told is None else orjson.loads(told)
        return found


def _fresh(dialect: str) -> Executable:
    return statement_for(dialect, described, key=["org", "object"], change=["types"], if_other=True)
