"""Signed webhooks from the durable store to a receiver on this machine, against bare aiohttp posts to the same one.

The two take turns, and the median of each counts: whatever else the machine does meanwhile is shared fairly.
"""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import aiohttp
from aiohttp import web

from benchmarks.examples import START, an_update
from benchmarks.figures import Figure
from salesforce_poller.clock import SystemClock
from salesforce_poller.delivery import envelope
from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.model import Delivery, Watermarks
from salesforce_poller.sinks.webhook import Webhook, WebhookSettings
from salesforce_poller.store.store import Store

EVENTS = 3_000
ROUNDS = 5
CONNECTIONS = 20
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  # of the specification's test vector


async def measure() -> list[Figure]:
    """Measure deliveries per second, and bare posts of the same bodies over as many connections."""
    clock = SystemClock()
    bare, ours = [], []
    async with _receiver() as url:
        for _ in range(ROUNDS):
            bare.append(await _bare_posts(url, clock))
            with tempfile.TemporaryDirectory() as folder:
                ours.append(await _deliveries(url, Path(folder), clock))
    what = f"{EVENTS:,} signed webhooks, {CONNECTIONS} connections, durable, in order per record; median of {ROUNDS}"
    return [Figure(what, median(ours), "events/s", median(bare), "bare aiohttp posts")]


@asynccontextmanager
async def _receiver() -> AsyncIterator[str]:
    async def accept(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=204)

    application = web.Application()
    application.router.add_post("/", accept)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def _bare_posts(url: str, clock: SystemClock) -> float:
    bodies = [envelope.dress(Delivery("hook", number, an_update(number))).body for number in range(EVENTS)]
    waiting = iter(bodies)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:

        async def post() -> None:
            for body in waiting:
                async with session.post(url, data=body) as response:
                    await response.read()

        began = clock.monotonic()
        await asyncio.gather(*(post() for _ in range(CONNECTIONS)))
        return EVENTS / (clock.monotonic() - began)


async def _deliveries(url: str, folder: Path, clock: SystemClock) -> float:
    settings = WebhookSettings.model_validate(
        {"type": "webhook", "url": url, "secret": SECRET, "concurrency": CONNECTIONS}
    )
    async with Store(str(folder / "store.db")) as store:
        await store.outbox.ensure_sinks(["hook"])
        marks = Watermarks(START, START, START, START, START)
        events = [an_update(number) for number in range(EVENTS)]
        await store.feeds.commit_page("bench", "Lead", events=events, sightings=[], marks=marks, at=START)
        sink = Webhook(settings, clock)
        await sink.open()
        dispatcher = Dispatcher("hook", settings, sink, store.outbox, clock=clock, rng=random.Random(1))
        began = clock.monotonic()
        while (await dispatcher.dispatch_once()).busy:
            pass
        rate = EVENTS / (clock.monotonic() - began)
        left = (await store.outbox.backlog("hook")).waiting
        assert left == 0, f"{left} events were not delivered"
        await sink.close()
    return rate
