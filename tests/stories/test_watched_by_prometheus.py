"""What monitoring sees of a daemon: late commits and delays, its page behind a token, readiness under trouble."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import stores
from consumer import Consumer, a_consumer
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from servers import free_port
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from world import World

from salesforce_poller import app, config
from salesforce_poller.actions.present import Present
from salesforce_poller.admin import server
from salesforce_poller.admin.guard import Guard
from salesforce_poller.clock import SystemClock
from salesforce_poller.errors import StoreError, TryLater
from salesforce_poller.model import PollReport, Watermarks
from salesforce_poller.spread import Spread
from salesforce_poller.store.database import Door
from salesforce_poller.store.postgresql import Postgresql
from salesforce_poller.store.sqlite import SqliteFile

CONFIG = """
[store]
url = "{store}"
[http]
listen = "127.0.0.1:{port}"
token = "let-me-in"
[orgs.acme]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
api_budget = 100000
[orgs.acme.objects.Lead]
every = "1s"
[sinks.hook]
type = "webhook"
url = "{hook}"
"""
pytestmark = pytest.mark.both_databases

STUCK = 60
KEY = SecretStr("the key of this run")


def counted(spreads: list[Spread]) -> tuple[int, float]:
    """Return how many values there were, and their sum."""
    return sum(sum(one.counts) for one in spreads), sum(one.total for one in spreads)


async def test_a_late_commit_is_counted_with_how_late_it_was(world: World) -> None:
    """It alone: what was on time is not, nor what sweeps read again, nor a hard delete that only sweeps can find."""
    await world.watch()
    gone = world.org.insert("Lead", LastName="Gone", Company="Acme")
    world.pass_time(30)
    slow = world.org.begin()
    slow.insert("Lead", LastName="Late", Company="Acme")
    stamped = world.org.clock.now()
    reports: list[PollReport] = []
    for _ in range(6):
        world.org.insert("Lead", LastName="OnTime", Company="Acme")
        reports.append(await world.poll_after(200))
    assert counted([report.late for report in reports]) == (0, 0)
    slow.commit()
    world.org.hard_delete(gone)
    for _ in range(4):
        world.pass_time(301)
        reports.append(await world.poll())
        if any(reports[-1].late.counts):
            found_after = (world.org.clock.now() - stamped).total_seconds()
    count, seconds = counted([report.late for report in reports])
    assert count == 1
    assert seconds == pytest.approx(found_after, abs=1)
    events = [one for one in await world.events() if one.kind != "gap"]
    assert counted([report.delays for report in reports])[0] == len(events) == 9


async def test_what_was_there_before_is_neither_late_nor_delayed(world: World) -> None:
    """A feed that reads its past would otherwise look as if it had slept for years."""
    world.org.insert_many("Lead", [{"LastName": f"L{number}", "Company": "Acme"} for number in range(20)])
    world.pass_time(3_600)
    await world.watch(start="beginning")
    reports = [await world.poll_after(301) for _ in range(3)]
    assert (await world.kinds()).count("snapshot") == 20
    assert counted([report.late for report in reports] + [report.delays for report in reports]) == (0, 0)


async def test_what_a_turn_took_in_before_it_failed_is_told_by_the_next(world: World) -> None:
    """Else its events would be delivered and never counted."""
    await world.watch()
    world.small_pages()
    world.org.insert_many("Lead", [{"LastName": f"L{number}", "Company": "Acme"} for number in range(450)])
    world.org.weather.arm("SERVER_UNAVAILABLE", path="/query/0r8", times=1, after=1)
    world.pass_time(60)
    with pytest.raises(TryLater):
        await world.poll()
    assert len(await world.events()) > 0
    report = await world.poll_after(301)
    assert report.kinds == {"created": 450}
    assert sum(report.delays.counts) == 450


async def lead_until(world: World, consumer: Consumer, accepted: int) -> None:
    """Insert a lead each second until the consumer has accepted so many events: feeds must have started."""
    while len(consumer.accepted) < accepted:
        world.org.insert("Lead", LastName="Ng", Company="Acme")
        try:
            async with asyncio.timeout(1):
                await consumer.wait_for(lambda: len(consumer.accepted) >= accepted)
        except TimeoutError:
            continue


async def test_a_daemon_is_scraped(world: World, tmp_path: Path) -> None:
    """With the token and not without; feeds, orgs, sinks, leases and the process are there, under their names."""
    world.org.clock.set_speed(1)
    stop = asyncio.Event()
    async with a_consumer() as consumer, asyncio.timeout(STUCK):
        said = {"store": stores.url(tmp_path / "daemon.db"), "port": free_port()}
        settings = config.parse(CONFIG.format(**said, url=world._url, hook=consumer.url), {})
        daemon = asyncio.create_task(app.run(settings, clock=SystemClock(), rng=random.Random(3), stop=stop))
        await lead_until(world, consumer, 1)
        await lead_until(world, consumer, 2)  # of a later turn: the one before it is told
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{said['port']}") as http:
            refused = await http.get("/metrics")
            answer = await http.get("/metrics", headers={"authorization": "Bearer let-me-in"})
        stop.set()
        await daemon
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert "salesforce_poller" not in refused.text
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    samples = [one for family in text_string_to_metric_families(answer.text) for one in family.samples]
    ours = {one.name.removeprefix("salesforce_poller_"): one.value for one in samples}
    assert ours["store_up"] == ours["build_info"] == 1
    for name in ("events_total", "api_calls_total", "budget_used_calls", "delivery_seconds_count", "rows_total"):
        assert ours[name] > 0, name
    assert ours["clock_skew_seconds"] < -3_600, "the simulated org lives on another day"
    assert ours["feed_lag_seconds"] < STUCK
    assert ours["leases_held"] == ours["leases_wanted"] == 1
    assert {"backlog_events", "sink_state", "turns_total", "visibility_lag_seconds_sum"} <= ours.keys()


async def readiness(world: World, *watched: tuple[str, str]) -> tuple[int, list[str]]:
    """Ask ``/readyz``; returns its status and what it says is wrong."""
    application = server.build(world.store, world.machine, present=Present(list(watched)), guard=Guard(None, KEY))
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        answer = await http.get("/readyz")
    return answer.status_code, answer.json()["problems"]


async def test_a_sink_that_fails_does_not_make_the_daemon_unready(world: World) -> None:
    """Nor one that was switched off: its events wait, and a new process would not do better."""
    await world.watch()
    await world.store.outbox.ensure_sinks(["crm", "log"])
    state = await world.store.outbox.sink("crm")
    await world.store.outbox.settle(
        replace(state, failing_since=world.machine.now(), down_since=world.machine.now(), last_error="HTTP 503")
    )
    await world.store.outbox.settle(replace(await world.store.outbox.sink("log"), paused="it answered 410"))
    world.pass_time(3_600)
    assert await readiness(world, ("acme", "Lead")) == (200, [])


async def test_a_store_that_cannot_be_read_is_said_to_be_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that says what is wrong, and no traceback."""
    await world.watch()

    async def fails() -> None:
        raise StoreError("the store failed: disk I/O error")

    monkeypatch.setattr(world.store.feeds, "started", fails)
    assert await readiness(world, ("acme", "Lead")) == (503, ["the store failed: disk I/O error"])


async def test_readiness_asks_as_little_of_fifty_feeds_as_of_one(world: World) -> None:
    """Three queries, and two more where the store is shared: kubelets ask every few seconds."""
    marks: Watermarks | None = await watermarks_of(world)
    assert marks is not None
    for number in range(50):
        await world.store.feeds.commit_page(
            "acme", f"Thing{number}__c", events=[], sightings=[], marks=marks, at=world.machine.now()
        )
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    event.listen(engine_of(world.store._door).sync_engine, "before_cursor_execute", note)
    watched = [("acme", f"Thing{number}__c") for number in range(51)]
    assert await readiness(world, *watched) == (503, ["acme/Thing50__c has not been read yet"])
    assert len([one for one in asked if one.startswith("SELECT")]) == (5 if stores.on_postgresql() else 3)


def engine_of(door: Door) -> AsyncEngine:
    """Return what looks into the store are made with."""
    if isinstance(door, SqliteFile):
        return door._reader
    assert isinstance(door, Postgresql)
    return door._engine


async def watermarks_of(world: World) -> Watermarks | None:
    """Return those of a feed that has begun."""
    await world.watch()
    return await world.store.feeds.watermarks("acme", "Lead")
