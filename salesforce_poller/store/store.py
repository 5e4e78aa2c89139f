"""Opens the memory. Polling writes ``store.feeds``, delivery reads ``store.outbox``: they meet only here.

What people do to both of them is in ``store.repairs`` and ``store.pauses``; see ``actions/desk.py``.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pydantic import SecretStr

from salesforce_poller.clock import Clock
from salesforce_poller.model import Lease
from salesforce_poller.store.bells import Bells, hear
from salesforce_poller.store.calls import Calls
from salesforce_poller.store.database import Database
from salesforce_poller.store.described import Described
from salesforce_poller.store.feeds import Feeds
from salesforce_poller.store.fresh import Fresh
from salesforce_poller.store.leases import Leases, prove
from salesforce_poller.store.lock import Holder
from salesforce_poller.store.outbox import Outbox
from salesforce_poller.store.pauses import Pauses
from salesforce_poller.store.repairs import Repairs
from salesforce_poller.store.secrets import Secrets
from salesforce_poller.store.settings import is_postgresql, path_of
from salesforce_poller.store.sqlite import SqliteFile
from salesforce_poller.store.survey import Surveys

if TYPE_CHECKING:
    from salesforce_poller.store.postgresql import Postgresql


@dataclass(frozen=True, slots=True)
class Faces:
    """What polling and delivery see of the store."""

    feeds: Feeds
    outbox: Outbox
    calls: Calls
    secrets: Secrets

    @property
    def described(self) -> Described:
        """What describe says of the fields of each feed."""
        return self.feeds.described


class Store:
    """An open store. Use as an async context manager; ``writable=False`` looks at a running daemon's store.

    ``url`` is that of ``StoreSettings``, or the path of an SQLite file; ``keys`` encrypt what is secret
    (``StoreSettings.keys``). ``upgrade=False`` writes only where a daemon has brought the schema up to date.
    ``process`` tells this process from others that share the store.
    """

    def __init__(
        self,
        url: str,
        *,
        writable: bool = True,
        upgrade: bool = True,
        keys: Sequence[SecretStr] = (),
        process: str = "",
    ) -> None:
        self._door = _on_a_server(url) if is_postgresql(url) else SqliteFile(path_of(url))
        self.bells = Bells(process)
        fresh = None if self.is_shared else Fresh()
        self._database = Database(self._door, self.bells, writable=writable, upgrade=writable and upgrade, fresh=fresh)
        self.feeds = Feeds(self._database)
        self.described = self.feeds.described
        self.outbox = Outbox(self._database)
        self.repairs = Repairs(self._database)
        self.pauses = Pauses(self._database)
        self.calls = Calls(self._database)
        self.secrets = Secrets(self._database, keys)
        self.leases = Leases(self._database)
        self.surveys = Surveys(self._database)

    @property
    def is_shared(self) -> bool:
        """Whether several processes may have it open, and share the work by leases."""
        return not isinstance(self._door, SqliteFile)

    def under(self, lease: Lease) -> "Faces":
        """Return the store as whoever works under a lease uses it: what is written when it is lost, is refused.

        But for secrets: a refresh token that Salesforce gave in the place of another one is lost with whoever got it.
        """
        if isinstance(self._door, SqliteFile):
            return Faces(self.feeds, self.outbox, self.calls, self.secrets)
        database = self._database.under(partial(prove, lease=lease))
        return Faces(Feeds(database), Outbox(database), Calls(database), self.secrets)

    @asynccontextmanager
    async def listening(self, clock: Clock) -> AsyncIterator[None]:
        """Hear what other processes tell, while the block runs."""
        if isinstance(self._door, SqliteFile):
            yield
            return
        begun = asyncio.Event()
        task = asyncio.create_task(hear(self._door, self.bells, clock, begun.set))
        try:
            await begun.wait()
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self._database.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._database.close()

    def announce(self, holder: Holder) -> None:
        """Tell commands how they reach the process that has this store, which must be open for writing.

        On PostgreSQL nobody has it alone: commands do their work in it, and whoever is concerned hears of it there.
        """
        if isinstance(self._door, SqliteFile):
            self._door.lock.announce(holder)


def _on_a_server(url: str) -> "Postgresql":
    from salesforce_poller.store.postgresql import Postgresql  # noqa: PLC0415  # 6 MB, which a store in a file spares

    return Postgresql(url)
