"""A consumer of webhooks on this machine: takes events in, or misbehaves as it is told.

Signatures are the business of ``contracts/test_webhook_sink.py``; stories are about what arrives.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from salesforce_poller.model import Event, Kind

#: Bytes: a batch of a thousand events has about one million.
LARGEST_BODY = 16 * 1024**2


class Consumer:
    """What a user's endpoint is like."""

    def __init__(self) -> None:
        self.url = ""
        #: Events in the order in which they were accepted, repeats included.
        self.accepted: list[dict[str, Any]] = []
        #: True while the whole endpoint is down.
        self.down = False
        #: Records whose events it refuses.
        self.refused_records: set[str] = set()
        self.attempts = 0
        #: Notified whenever something was accepted.
        self.changed = asyncio.Condition()

    async def wait_for(self, enough: Callable[[], bool]) -> None:
        """Wait until what was accepted is enough."""
        async with self.changed:
            await self.changed.wait_for(enough)

    def kinds(self, record_id: str) -> list[str]:
        """Return the kinds of a record's accepted events, in order."""
        return [event["data"]["kind"] for event in self.accepted if event["data"]["record_id"] == record_id]

    async def handle(self, request: web.Request) -> web.Response:
        """Take one event in, or a batch of them."""
        self.attempts += 1
        body = await request.read()
        if self.down:
            return web.Response(status=503)
        got = orjson.loads(body)
        events = got if isinstance(got, list) else [got]
        assert isinstance(got, list) or request.headers["webhook-id"] == got["id"]
        if any(event["data"]["record_id"] in self.refused_records for event in events):
            return web.Response(status=422, text="no such customer")
        self.accepted += events
        async with self.changed:
            self.changed.notify_all()
        return web.Response(status=202)


def as_events(consumer: Consumer) -> list[Event]:
    """Read back what the consumer got, for the oracle."""
    return [as_event(got) for got in consumer.accepted]


def as_event(got: dict[str, Any]) -> Event:
    """Read a CloudEvent back."""
    data = got["data"]
    return Event(
        id=got["id"],
        kind=Kind(data["kind"]),
        org=data["org"],
        source=got["source"],
        object=data["object"],
        record_id=data["record_id"],
        time=datetime.fromisoformat(got["time"]),
        observed_at=datetime.fromisoformat(data["observed_at"]),
        record=data["record"],
        changed=None if data["changed"] is None else tuple(data["changed"]),
        previous=data["previous"],
        merged_into=data["merged_into"],
    )


@asynccontextmanager
async def a_consumer() -> AsyncIterator[Consumer]:
    """Serve a consumer on a free port of this machine."""
    consumer = Consumer()
    application = web.Application(client_max_size=LARGEST_BODY)
    application.router.add_post("/hook", consumer.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    consumer.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield consumer
    finally:
        await runner.cleanup()
