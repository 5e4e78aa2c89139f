"""Opens the memory. Polling writes ``store.feeds``, delivery reads ``store.outbox``: they meet only here.

What people do to both of them is in ``store.repairs`` and ``store.pauses``; see ``actions/desk.py``.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from salesforce_poller.store.calls import Calls
from salesforce_poller.store.database import Database
from salesforce_poller.store.feeds import Feeds
from salesforce_poller.store.lock import Holder
from salesforce_poller.store.outbox import Outbox
from salesforce_poller.store.pauses import Pauses
from salesforce_poller.store.repairs import Repairs
from salesforce_poller.store.secrets import Secrets


class Store:
    """An open store. Use as an async context manager; ``writable=False`` looks at a running daemon's store.

    ``keys`` encrypt what is secret (``StoreSettings.keys``).
    """

    def __init__(self, path: str, *, writable: bool = True, keys: Sequence[SecretStr] = ()) -> None:
        self._database = Database(path, writable=writable)
        self.feeds = Feeds(self._database)
        self.described = self.feeds.described
        self.outbox = Outbox(self._database)
        self.repairs = Repairs(self._database)
        self.pauses = Pauses(self._database)
        self.calls = Calls(self._database)
        self.secrets = Secrets(self._database, keys)

    async def __aenter__(self) -> Self:
        await self._database.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._database.close()

    def announce(self, holder: Holder) -> None:
        """Tell commands how they reach the process that has this store, which must be open for writing."""
        self._database.lock.announce(holder)
