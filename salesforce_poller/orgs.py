"""Opens one org for a command, with the store behind it where its login needs one.

Called by ``check.py``, ``views.py`` and ``login.py``. The daemon does not come this way: ``app.py`` has its store open.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from salesforce_poller.clock import Clock
from salesforce_poller.errors import NoStore, StoreInUse
from salesforce_poller.salesforce.client import Org
from salesforce_poller.salesforce.settings import OrgSettings
from salesforce_poller.store.settings import StoreSettings
from salesforce_poller.store.store import Store


@asynccontextmanager
async def opened(name: str, settings: OrgSettings, store: StoreSettings, *, clock: Clock) -> AsyncIterator[Org]:
    """Open an org that is not logged in to yet.

    Raises:
        StoreInUse: its refresh token is in the store of a running daemon. Using the token may replace it, and only one
            of two processes would know the new one.
        StoreError: the store cannot be used.
    """
    async with AsyncExitStack() as stack:
        keeper = None
        if settings.auth == "refresh_token":
            keeper = (await stack.enter_async_context(store_for_tokens(store))).secrets.keeper(name, clock)
        yield await stack.enter_async_context(Org(name, settings, clock=clock, keeper=keeper))


async def known_organization(name: str, settings: StoreSettings) -> str | None:
    """Return the organisation that an org's feeds were read from; None before the first of them was.

    Works beside a running daemon. Raises StoreError when the store cannot be read.
    """
    try:
        async with Store(settings.url, writable=False) as store:
            return next((feed.marks.organization_id for feed in await store.feeds.health() if feed.org == name), None)
    except NoStore:
        return None


@asynccontextmanager
async def store_for_tokens(settings: StoreSettings) -> AsyncIterator[Store]:
    """Open the store for reading and writing refresh tokens; raises like :func:`opened`."""
    store = Store(settings.url, keys=settings.keys)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(store)
        except StoreInUse as exc:
            raise StoreInUse(
                f"the store {settings.path} is in use, and refresh tokens are kept in it; stop the daemon first, and "
                "start it again afterwards"
            ) from exc
        yield store
