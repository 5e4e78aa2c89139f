"""The org on a socket.

`build` makes the application: the control API under /simulator, the edge everywhere else. `serve` runs it inside the
caller's event loop, so that a test can change the org and ask it over HTTP in the same breath. `__main__` uses both.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from salesforce_poller.simulator import control
from salesforce_poller.simulator.clock import machine_sleep
from salesforce_poller.simulator.departure import Sleep
from salesforce_poller.simulator.edge import Edge, date_header
from salesforce_poller.simulator.org import Org

LARGEST_HEAD = 1_048_576
"""Bytes of request line and headers the web server reads, so that refusing long ones is left to the edge."""

KEEP_ALIVE = 120
"""Seconds an idle connection stays open: longer than any poller of a test sleeps between two polls."""

LINGER_NOT = struct.pack("ii", 1, 0)
"""SO_LINGER on with zero seconds: closing the socket sends a reset."""


def build(org: Org, *, sleep: Sleep = machine_sleep) -> Starlette:
    """The application of one org. `sleep` waits for slow answers, in machine seconds."""
    return Starlette(
        routes=[Mount("/simulator", routes=control.routes(org)), Mount("/", app=Edge(org, sleep=sleep))],
        middleware=[Middleware(OrgHeaders, org=org)],
    )


class OrgHeaders:
    """Puts the org's time and the server's name on every answer."""

    def __init__(self, app: ASGIApp, org: Org) -> None:
        self._app = app
        self._org = org

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and dress its answer."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(b"date", date_header(self._org).encode()), (b"server", b"sfdcedge")]
                message["headers"] = [*own, *message["headers"]]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class Connection(H11Protocol):
    """A connection that the application can break, through `hang_up` in the request's state."""

    def __init__(self, config: Config, server_state: ServerState, app_state: MutableMapping[str, Any]) -> None:
        super().__init__(config, server_state, {**app_state, "hang_up": self.hang_up})

    def hang_up(self, *, reset: bool) -> None:
        """Close the connection: with a reset at once, or after what was written has been sent."""
        if not reset:
            self.transport.close()
            return
        own: socket.socket = self.transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        self.transport.abort()


@asynccontextmanager
async def serve(app: Starlette, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve the application in the running event loop for as long as the block runs; yields the base URL.

    Port 0 is any free one. Raises OSError when the port is taken. Connections still open at the end are cut.
    """
    config = Config(
        cast("Any", _quietly(app)),  # uvicorn and Starlette type the same protocol differently
        lifespan="off",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        h11_max_incomplete_event_size=LARGEST_HEAD,
    )
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(config, state, {}), host, port)
    bound = server.sockets[0].getsockname()[1]
    try:
        yield f"http://{host}:{bound}"
    finally:
        server.close()
        await _close(state)
        await server.wait_closed()


def _quietly(app: ASGIApp) -> ASGIApp:
    """The application, ending without a word when the server closes: nobody is there any more to be answered."""

    async def quiet(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(asyncio.CancelledError):
            await app(scope, receive, send)

    return quiet


async def _close(state: ServerState) -> None:
    """Let go of every client; requests that are still being handled are given up."""
    for connection in list(state.connections):
        connection.transport.abort()
    await asyncio.sleep(0)  # let the connections notice
    for task in list(state.tasks):
        task.cancel()
    await asyncio.gather(*state.tasks, return_exceptions=True)
