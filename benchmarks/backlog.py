"""A backlog of records, from the org through the durable store into a file, against bare reading of the same pages.

The org is the simulator in a process of its own; the limit is what httpx and orjson manage from it without us.
"""

import asyncio
import random
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from benchmarks.figures import Figure
from salesforce_poller.clock import SystemClock
from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.polling.poller import Feed
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.salesforce.client import Org
from salesforce_poller.salesforce.settings import OrgSettings
from salesforce_poller.sinks.file import File, FileSettings
from salesforce_poller.store.store import Store

RECORDS = 20_000
FIELDS = ["FirstName", "LastName", "Company", "Email", "Phone", "Status", "Rating", "Industry", "CreatedDate"]


async def measure() -> list[Figure]:
    """Measure records per second through the whole path, and of bare reading."""
    clock = SystemClock()
    async with _simulator() as org:
        bare = await _bare_reading(org, clock)
        with tempfile.TemporaryDirectory() as folder:
            stored, delivered = await _whole_path(org, Path(folder), clock)
    return [
        Figure(f"{RECORDS:,} records, org to store", stored, "records/s", bare, "bare httpx and orjson"),
        Figure(f"{RECORDS:,} events, store to file", delivered, "events/s", bare, "bare httpx and orjson"),
    ]


@asynccontextmanager
async def _simulator() -> AsyncIterator[dict[str, Any]]:
    command = [sys.executable, "-m", "salesforce_poller.simulator", "--json", "--no-scenes", "--records", str(RECORDS)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield orjson.loads(await process.stdout.readline())
    finally:
        process.terminate()
        await process.wait()


async def _bare_reading(org: dict[str, Any], clock: SystemClock) -> float:
    form = {"grant_type": "client_credentials", "client_id": org["client_id"], "client_secret": org["client_secret"]}
    columns = ", ".join(FIELDS)
    query = f"SELECT Id, SystemModstamp, {columns} FROM Lead ORDER BY SystemModstamp, Id"  # noqa: S608  # our own names
    async with httpx.AsyncClient(base_url=org["url"], timeout=60) as http:
        token = orjson.loads((await http.post("/services/oauth2/token", data=form)).content)["access_token"]
        http.headers["authorization"] = f"Bearer {token}"
        began, rows = clock.monotonic(), 0
        url = str(httpx.URL("/services/data/v66.0/queryAll", params={"q": query}))
        while url:
            answer = orjson.loads((await http.get(url)).content)
            rows += len(answer["records"])
            url = answer.get("nextRecordsUrl", "")
        return rows / (clock.monotonic() - began)


async def _whole_path(org: dict[str, Any], folder: Path, clock: SystemClock) -> tuple[float, float]:
    settings = OrgSettings(
        login_url=org["url"], client_id=org["client_id"], client_secret=SecretStr(org["client_secret"])
    )
    file_settings = FileSettings.model_validate({"type": "file", "path": str(folder / "events.jsonl")})
    async with Store(str(folder / "store.db")) as store, Org("bench", settings, clock=clock) as client:
        await store.outbox.ensure_sinks(["file"])
        feed = Feed(
            "Lead",
            FeedSettings.model_validate({"fields": FIELDS, "start": "beginning", "every": "1h"}),
            org=client,
            store=store.feeds,
            clock=clock,
            rng=random.Random(1),
            stop=asyncio.Event(),
            report=lambda _: None,
        )
        began = clock.monotonic()
        await feed.tick()  # starts the feed; the records are younger than that, and are read by the first poll
        await feed.tick()
        stored = RECORDS / (clock.monotonic() - began)
        sink = File(file_settings, clock)
        dispatcher = Dispatcher("file", file_settings, sink, store.outbox, clock=clock, rng=random.Random(1))
        await sink.open()
        began = clock.monotonic()
        while (await dispatcher.dispatch_once()).busy:
            pass
        delivered = RECORDS / (clock.monotonic() - began)
        await sink.close()
    lines = sum(1 for _ in (folder / "events.jsonl").open("rb"))
    assert lines >= RECORDS, f"{lines} of {RECORDS} events arrived"
    return stored, delivered
