"""A simulated org, a client of it with a store, and a tap on the wire between them: what tests of logging in share.

``desk.logins`` counts requests to the token endpoint, ``desk.calls`` all others; ``desk.before_call`` runs before each
of those. ``desk.asked`` is set once the token endpoint was asked; ``desk.hold``, while not set, keeps its answers.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import stores
from credentials import A_KEY, a_secret_key
from fakes import FakeClock
from pydantic import SecretStr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from salesforce_poller.salesforce.client import Org as Client
from salesforce_poller.salesforce.settings import OrgSettings
from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org
from salesforce_poller.store.store import Store

START = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
TOKEN_PATH = "/services/oauth2/token"
#: What each word of ``auth`` needs to be let in by the simulated org.
CREDENTIALS: dict[str, dict[str, str]] = {
    "client_credentials": {"client_id": "simulated-client", "client_secret": "simulated-secret"},
    "jwt_bearer": {
        "client_id": "simulated-client",
        "username": "integration.user@example.com",
        "private_key": A_KEY.pem,
    },
    "refresh_token": {
        "client_id": "simulated-client",
        "client_secret": "simulated-secret",
        "refresh_token": "simulated-refresh-token",
    },
    "password": {
        "client_id": "simulated-client",
        "client_secret": "simulated-secret",
        "username": "integration.user@example.com",
        "password": "simulated-password",
    },
}


class Desk:
    """See the caption."""

    def __init__(self, folder: Path, speed: float) -> None:
        self.path = folder / "store.db"
        self.org = Org(clock=OrgClock(START, speed=speed), seed=7)
        self.app(certificate=A_KEY.public)
        self.machine = FakeClock(START)
        self.logins = 0
        self.calls = 0
        self.before_call: Callable[[], None] = lambda: None
        self.asked = asyncio.Event()
        self.hold = asyncio.Event()
        self.hold.set()
        self.url = ""
        self.store: Store
        self._process = AsyncExitStack()

    def app(self, **changes: Any) -> None:
        """Change the app in the org."""
        self.org.app = replace(self.org.app, **changes)

    def pass_time(self, seconds: float) -> None:
        """Let time pass for both sides."""
        self.org.clock.advance(seconds)
        self.machine.advance(seconds)

    def settings(self, auth: str = "client_credentials", **said: Any) -> OrgSettings:
        """Return settings that are let in."""
        values = {"login_url": self.url, "auth": auth, "timeout": 10, **CREDENTIALS.get(auth, {}), **said}
        return OrgSettings.model_validate({key: value for key, value in values.items() if value is not None})

    async def client(self, auth: str = "client_credentials", *, key: str = "first", **said: Any) -> Client:
        """Start a process: an open store, and a client that has not logged in yet."""
        await self.end()
        keys = [SecretStr(a_secret_key(each)) for each in key.split("+")]
        self.store = await self._process.enter_async_context(Store(stores.url(self.path), keys=keys))
        keeper = self.store.secrets.keeper("acme", self.machine)
        client = Client("acme", self.settings(auth, **said), clock=self.machine, keeper=keeper)
        return await self._process.enter_async_context(client)

    async def end(self) -> None:
        """End the process; what is not on disk is forgotten."""
        await self._process.aclose()

    def bytes_on_disk(self) -> bytes:
        """Return everything that the store has written."""
        return stores.contents(self.path)


class Tap:
    """Counts what passes, and holds it up where a test wants that."""

    def __init__(self, app: ASGIApp, desk: Desk) -> None:
        self._app = app
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def send_when_let(message: Message) -> None:
            if scope["path"] == TOKEN_PATH:
                await self._desk.hold.wait()
            await send(message)

        if scope["path"] == TOKEN_PATH:
            self._desk.logins += 1
            self._desk.asked.set()
        else:
            self._desk.calls += 1
            self._desk.before_call()
        await self._app(scope, receive, send_when_let)


@asynccontextmanager
async def a_desk(folder: Path, *, speed: float = 0) -> AsyncIterator[Desk]:
    """Serve the org, whose clock stands still unless ``speed`` is said; ends the client's process at the end."""
    desk = Desk(folder, speed)
    application = server.build(desk.org)
    application.add_middleware(Tap, desk=desk)
    async with server.serve(application) as url:
        desk.url = url
        try:
            yield desk
        finally:
            desk.hold.set()
            await desk.end()
