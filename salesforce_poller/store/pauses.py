"""The table ``pauses``: feeds that a person paused, until a person resumes them; restarts do not.

Written by ``actions/desk.py``; read by ``app.py`` at the start, by readiness and by what shows feeds.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert

from salesforce_poller.store.database import Database
from salesforce_poller.store.tables import pauses


@dataclass(frozen=True, slots=True)
class Pause:
    """A feed that is not polled because a person said so."""

    org: str
    object: str
    #: In the person's words.
    why: str
    #: Machine time (UTC).
    since: datetime


class Pauses:
    """The table ``pauses``. Every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, pause: Pause) -> None:
        """Pause a feed, whether it ever ran or not. One that is paused already keeps its ``since``."""
        row = {"org": pause.org, "object": pause.object, "why": pause.why, "since": pause.since}
        statement = insert(pauses).values(row)
        told = statement.on_conflict_do_update(index_elements=["org", "object"], set_={"why": statement.excluded.why})
        async with self._database.write() as connection:
            await connection.execute(told)

    async def end(self, org: str, object_name: str) -> bool:
        """Resume a feed; returns whether it was paused."""
        mine = delete(pauses).where(pauses.c.org == org, pauses.c.object == object_name)
        async with self._database.write() as connection:
            return bool((await connection.execute(mine)).rowcount)

    async def all(self) -> list[Pause]:
        """List the feeds that are paused, those of one org together."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(pauses).order_by(pauses.c.org, pauses.c.object))
            return [Pause(row.org, row.object, row.why, row.since) for row in rows]
