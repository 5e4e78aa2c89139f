"""The table ``pauses``: feeds that a person paused, until a person resumes them; restarts do not.

Written by ``actions/desk.py``; read by ``app.py`` at the start, by readiness and by what shows feeds.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from salesforce_poller.store.bells import Bell
from salesforce_poller.store.database import Database
from salesforce_poller.store.tables import pauses
from salesforce_poller.store.upsert import upsert


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
        #: What those will be told who ask at this moment.
        self._asked: asyncio.Task[list[Pause]] | None = None

    async def begin(self, pause: Pause) -> None:
        """Pause a feed, whether it ever ran or not. One that is paused already keeps its ``since``."""
        row = {"org": pause.org, "object": pause.object, "why": pause.why, "since": pause.since}
        async with self._database.write() as connection:
            await connection.execute(upsert(connection, pauses, key=["org", "object"], change=["why"]), row)
            self._database.ring(connection, Bell.FEED, "pause", pause.org, pause.object)

    async def end(self, org: str, object_name: str) -> bool:
        """Resume a feed; returns whether it was paused."""
        mine = delete(pauses).where(pauses.c.org == org, pauses.c.object == object_name)
        async with self._database.write() as connection:
            self._database.ring(connection, Bell.FEED, "resume", org, object_name)
            return bool((await connection.execute(mine)).rowcount)

    async def ask_for_poll(self, org: str, object_name: str) -> None:
        """Have whichever process polls this feed give it a turn now."""
        async with self._database.write() as connection:
            self._database.ring(connection, Bell.FEED, "poll", org, object_name)

    def on_doubt(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` when something that was said of a feed may not have been heard."""
        return self._database.bells.listen(Bell.AGAIN, listener)

    def on_feed(self, listener: Callable[[str, str, str], None]) -> Callable[[], None]:
        """Call ``listener`` with ``pause``, ``resume`` or ``poll``, an org and an object, until told otherwise."""
        return self._database.bells.listen(Bell.FEED, listener)

    async def all(self) -> list[Pause]:
        """List the feeds that are paused, those of one org together.

        The orgs of a large crew ask at the same moment: whoever comes before it is read shares the answer.
        """
        if self._asked is None:
            self._asked = asyncio.create_task(self._read())
        return await asyncio.shield(self._asked)

    async def _read(self) -> list[Pause]:
        self._asked = None
        async with self._database.read() as connection:
            rows = await connection.execute(select(pauses).order_by(pauses.c.org, pauses.c.object))
            return [Pause(row.org, row.object, row.why, row.since) for row in rows]
