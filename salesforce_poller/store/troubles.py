"""The table ``troubles``: what is wrong with which feed or org, until it is over. ``store/feeds.py`` writes it.

``admin/facts.py`` tells of it. Only the name of a trouble is kept; what to do about it stands in
``salesforce/trouble_table.py`` and is looked up when it is told, so that it may be improved.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Executable, bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from salesforce_poller.store.tables import troubles
from salesforce_poller.store.upsert import upsert

#: Stands for the object of what concerns a whole org.
WHOLE_ORG = ""


@dataclass(frozen=True, slots=True)
class OpenTrouble:
    """Something that is wrong now."""

    org: str
    #: None when the whole org is concerned.
    object: str | None
    #: Its row in the table of troubles, or "" when it has none.
    name: str
    #: The latest error, one line.
    error: str
    #: Machine time (UTC) of the first failure without a success since.
    since: datetime


async def note(connection: AsyncConnection, trouble: OpenTrouble) -> None:
    """Remember a trouble, or how it goes on: ``since`` stays what it was."""
    row = {
        "org": trouble.org,
        "object": trouble.object or WHOLE_ORG,
        "name": trouble.name,
        "error": trouble.error,
        "since": trouble.since,
    }
    fresh = upsert(connection, troubles, key=["org", "object"], change=["name", "error"])
    await connection.execute(fresh, row)


def over_for_feed(_dialect: str) -> Executable:
    """Return what forgets what was wrong with a feed that works (``of_org``, ``of_object``)."""
    return delete(troubles).where(troubles.c.org == bindparam("of_org"), troubles.c.object == bindparam("of_object"))


def over_for_org(_dialect: str) -> Executable:
    """Return what forgets what was wrong with an org (``of_org``); where one of its feeds works, it does."""
    return delete(troubles).where(troubles.c.org == bindparam("of_org"), troubles.c.object == WHOLE_ORG)


async def listed(connection: AsyncConnection) -> list[OpenTrouble]:
    """List what is wrong, orgs before their feeds."""
    rows = await connection.execute(select(troubles).order_by(troubles.c.org, troubles.c.object))
    return [OpenTrouble(row.org, row.object or None, row.name, row.error, row.since) for row in rows]
