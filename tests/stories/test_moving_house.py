"""Moving house: a daemon on SQLite stops in mid-work, its store is moved, and one on PostgreSQL goes on."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import stores
from consumer import Consumer, a_consumer
from daemons import STUCK, lead_until
from servers import Server

from salesforce_poller import app, config
from salesforce_poller.clock import SystemClock
from salesforce_poller.commands import db, desk
from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org
from salesforce_poller.store import condition

CONFIG = """
[store]
url = "{store}"
[http]
listen = "127.0.0.1:0"
[orgs.acme]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
api_budget = 1_000_000
[orgs.acme.objects.Lead]
fields = ["LastName", "Company"]
every = "1s"
[sinks.hook]
type = "webhook"
url = "{hook}"
[sinks.picky]
type = "webhook"
url = "{picky}"
give_up_after = "1s"
"""
#: What waits when the daemon stops: a replay for the paused one; for the other one what it gave up and will take later.
PARKED = [("hook", 0, 1), ("picky", 1, 0), ("picky", 0, 0)]
_numbers = itertools.count()


@pytest.fixture
def database(store_server: Server) -> Iterator[str]:
    """An empty database."""
    name = f"house{next(_numbers)}"
    stores.ask(store_server, f"CREATE DATABASE {name}")
    yield stores.address(store_server, name)
    stores.ask(store_server, f"DROP DATABASE {name} WITH (FORCE)")


@asynccontextmanager
async def running(settings: config.Config) -> AsyncIterator[None]:
    """Run the whole app in this loop, and stop it in peace."""
    stop = asyncio.Event()
    task = asyncio.create_task(app.run(settings, clock=SystemClock(), rng=random.Random(3), stop=stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def order(settings: config.Config, what: str, **said: Any) -> dict[str, Any]:
    """Have the daemon do something, as a command does."""
    return await desk.hand_over(settings, what, said, clock=SystemClock())


async def until_kept(where: str, statement: str, *wanted: Any) -> None:
    """Look into the store behind the daemon's back, again and again, until it is so."""
    while await asyncio.to_thread(stores.rows, where, statement) != list(wanted):
        pass


def told(consumer: Consumer, record: str) -> list[str]:
    """Return what a consumer was told of a record: the kind of each event, and whether it was a replay."""
    of_record = [one for one in consumer.accepted if one["data"]["record_id"] == record]
    return [one["data"]["kind"] + (" again" if one.get("replay") else "") for one in of_record]


def times(consumer: Consumer, *records: str, number: int) -> Callable[[], bool]:
    """Say whether a consumer was told so often of each of these."""
    return lambda: all(len(told(consumer, record)) >= number for record in records)


async def test_a_store_moves_in_the_middle_of_its_work_and_nothing_is_lost(tmp_path: Path, database: str) -> None:
    """What was owed arrives, what was given up is known, a pause stays one, and nobody hears anything twice."""
    org = Org(clock=OrgClock(datetime(2026, 11, 21, 10, tzinfo=UTC), speed=1), seed=5)
    org.set_usage(0, 5_000_000)  # so that polls come every second
    file = f"sqlite:///{tmp_path}/store.db"
    async with (
        asyncio.timeout(STUCK),
        a_consumer() as hook,
        a_consumer() as picky,
        server.serve(server.build(org)) as url,
    ):
        there, here = (
            config.parse(CONFIG.format(store=store, url=url, hook=hook.url, picky=picky.url), {})
            for store in (file, database)
        )
        async with running(there):
            leads: list[str] = []
            await lead_until(org, hook, leads, lambda: bool(hook.accepted))
            one, bad, sour = (org.insert("Lead", LastName=name, Company="Acme") for name in ("Ng", "Bad", "Sour"))
            picky.refused_records |= {bad}
            await hook.wait_for(times(hook, one, bad, sour, number=1))
            await until_kept(file, "SELECT sink, attempts FROM parked WHERE dead = 1", ("picky", 2))
            await order(there, "sinks/hook/pause", reason="moving")
            await order(there, "replay", record=one, sink=["hook"])
            picky.refused_records |= {sour}
            org.update(one, Company="Umbrella")
            org.update(sour, Company="Umbrella")
            await picky.wait_for(times(picky, one, number=2))
            await until_kept(file, "SELECT sink, dead, replay FROM parked ORDER BY position, sink", *PARKED)
        before = await condition.examine(file)
        await db.show_move(there, database, given="-", clock=SystemClock(), as_json=True)
        assert (await condition.examine(database)).rows == before.rows
        picky.refused_records.clear()
        async with running(here):
            org.update(one, Company="Initech")
            await picky.wait_for(times(picky, one, number=3))
            await picky.wait_for(times(picky, sour, number=2))
            assert told(hook, one) == ["created"], "the pause moved too"
            await order(here, "sinks/hook/resume")
            await order(here, "dead/requeue", record=bad)
            await picky.wait_for(times(picky, bad, number=1))
            await hook.wait_for(times(hook, one, number=4))
            await hook.wait_for(times(hook, sour, number=2))
    assert told(hook, one) == ["created", "created again", "updated", "updated"]
    assert told(picky, one) == ["created", "updated", "updated"]
    assert told(hook, sour) == told(picky, sour) == ["created", "updated"]
    assert told(picky, bad) == told(hook, bad) == ["created"]
    for consumer in (hook, picky):
        last = [each for each in consumer.accepted if each["data"]["record_id"] == one][-1]["data"]
        assert (last["previous"], last["record"]["Company"]) == ({"Company": "Umbrella"}, "Initech")
        heard = [(each["id"], each.get("replay", False)) for each in consumer.accepted]
        assert len(heard) == len(set(heard)), "nothing is told twice"
        assert all(told(consumer, lead) == ["created"] for lead in leads if told(consumer, lead))
    assert {lead for lead in leads if told(hook, lead)} == {lead for lead in leads if told(picky, lead)}
