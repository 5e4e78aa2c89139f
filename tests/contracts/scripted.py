"""A receiver of webhooks with scripted answers, for the tests of ``sinks/webhook.py``."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from fakes import FakeClock
from sink_contract import dressed

from salesforce_poller.model import Receipt
from salesforce_poller.sinks.webhook import Webhook, WebhookSettings

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Receiver:
    """A server that writes down what it gets and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.answer: Answer = self._ok
        #: Set when the test is over, for answers that would never end.
        self.over = asyncio.Event()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer, and note what was posted."""
        if request.method == "POST":
            self.requests.append(request)
            self.bodies.append(await request.read())
        return await self.answer(request)

    def will_answer(self, status: int, text: str = "", **headers: str) -> None:
        """Say how to answer from now on; ``_`` in the name of a header is a hyphen."""

        async def answer(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, text=text, headers={k.replace("_", "-"): v for k, v in headers.items()})

        self.answer = answer

    async def _ok(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(text="thank you")


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Serve on a free port of this machine."""
    receiver = Receiver()
    app = web.Application(client_max_size=10_000_000)
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    receiver.url = f"{'https' if tls else 'http'}://localhost:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        receiver.over.set()
        await runner.cleanup()


def a_webhook(url: str, clock: FakeClock | None = None, **settings: Any) -> Webhook:
    """Return a webhook sink."""
    known = {"type": "webhook", "url": url}
    return Webhook(WebhookSettings.model_validate(known | settings), clock or FakeClock())


async def sent(sink: Webhook, *events: Any) -> Receipt:
    """Send events (or one example) once, and return the receipt they share."""
    await sink.open()
    receipts = await sink.send(events or [dressed()])
    await sink.close()
    assert len(set(receipts)) == 1
    return receipts[0]
