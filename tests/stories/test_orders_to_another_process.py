"""Two real daemons on one PostgreSQL: what is ordered of either, or by a command, is done at once by whoever holds it.

What must not need anybody's periodic look has none that would come in time: the feeds of ``slow`` are polled once an
hour, and a sink without anything to retry waits for a bell.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import stores
from consumer import Consumer, a_consumer
from daemons import STUCK, a_daemon
from servers import Server, free_port

from salesforce_poller import config
from salesforce_poller.clock import SystemClock
from salesforce_poller.commands import desk
from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org
from salesforce_poller.store.store import Store

HEAD = """
[store]
url = "{store}"
[http]
listen = "127.0.0.1:{port}"
token = "let-me-in"
"""
ORG = """
[orgs.{name}]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
api_budget = 1_000_000
[orgs.{name}.objects.Lead]
every = "{every}"
[orgs.{name}.objects.Contact]
every = "{every}"
"""
SINK = """
[sinks.{name}]
type = "webhook"
url = "{url}"
"""
CLOCK = SystemClock()
#: An org and the id of a record of it; two orgs may give out the same.
Record = tuple[str, str]


@dataclass
class Pair:
    """Two daemons, two orgs and two sinks: each daemon holds one of each kind."""

    orgs: dict[str, Org]
    consumers: dict[str, Consumer]
    store: Store
    settings: config.Config
    http: httpx.AsyncClient
    #: Where each daemon listens, by process.
    ports: dict[int, int]

    async def holders(self) -> Mapping[str, int]:
        """Return who holds each org and sink, by name."""
        seen, held = await self.store.leases.standing()
        pids = {one.process.id: one.process.pid for one in seen}
        return {one.lease.duty.name: pids[one.lease.holder] for one in held if one.taken}

    async def begun(self) -> None:
        """Wait until each daemon holds one org and one sink, and every feed was read."""
        while True:
            holders = await self.holders()
            shared = [{holders.get(name) for name in names} for names in (self.orgs, self.consumers)]
            if all(pids == set(self.ports) for pids in shared) and len(await self.store.feeds.health()) == 4:
                return
            await CLOCK.sleep(0.1)

    async def tell_the_other(self, name: str, order: str, said: Mapping[str, Any] | None = None) -> None:
        """Give an order about an org or a sink to the daemon that does not hold it."""
        holder = (await self.holders())[name]
        [port] = [port for pid, port in self.ports.items() if pid != holder]
        headers = {"authorization": "Bearer let-me-in"}
        answer = await self.http.post(f"http://127.0.0.1:{port}/api/{order}", json=said or {}, headers=headers)
        assert answer.status_code == 200, answer.text

    async def order(self, order: str, said: Mapping[str, Any] | None = None) -> None:
        """Give an order as a command does."""
        await desk.hand_over(self.settings, order, said or {}, clock=CLOCK)

    def insert(self, org: str, name: str = "Lead") -> Record:
        """Have a record made."""
        more = {"Company": "Acme"} if name == "Lead" else {}
        return org, self.orgs[org].insert(name, LastName="Ng", **more)

    def got(self, sink: str, record: Record) -> list[dict[str, Any]]:
        """Return what a sink's consumer has accepted of a record."""
        accepted = self.consumers[sink].accepted
        return [one for one in accepted if (one["data"]["org"], one["data"]["record_id"]) == record]

    async def arrives(self, sink: str, record: Record, times: int = 1) -> list[dict[str, Any]]:
        """Wait until something of a record has arrived so often."""
        await self.consumers[sink].wait_for(lambda: len(self.got(sink, record)) >= times)
        return self.got(sink, record)

    async def people_arrive(self, sink: str) -> None:
        """Have two contacts made in the quick org, one after the other, and wait for them."""
        for _ in range(2):
            await self.arrives(sink, self.insert("quick", "Contact"))


@pytest.fixture
def _database(store_server: Server) -> Iterator[None]:
    with stores.stores_in(store_server):
        yield


@asynccontextmanager
async def a_pair(folder: Path) -> AsyncIterator[Pair]:
    """Start everything, and wait until it works."""
    async with asyncio.timeout(STUCK), AsyncExitStack() as stack:
        said, orgs, consumers = "", {}, {}
        for name, every in (("quick", "1s"), ("slow", "1h")):
            orgs[name] = Org(clock=OrgClock(datetime(2026, 11, 21, 10, tzinfo=UTC), speed=1), seed=5)
            orgs[name].set_usage(0, 5_000_000)
            url = await stack.enter_async_context(server.serve(server.build(orgs[name])))
            said += ORG.format(name=name, url=url, every=every)
        for name in ("left", "right"):
            consumers[name] = await stack.enter_async_context(a_consumer())
            said += SINK.format(name=name, url=consumers[name].url)
        where, ports = stores.url(folder / "store.db"), {}
        for number in range(2):
            path = folder / f"daemon{number}" / "config.toml"
            path.parent.mkdir()
            port = free_port()
            path.write_text(HEAD.format(store=where, port=port) + said)
            daemon = await stack.enter_async_context(a_daemon(path))
            ports[daemon.pid] = port
        store = await stack.enter_async_context(Store(where, upgrade=False))
        http = await stack.enter_async_context(httpx.AsyncClient())
        pair = Pair(orgs, consumers, store, config.load(path, {}), http, ports)
        await pair.begun()
        yield pair


@pytest.mark.usefixtures("_database")
async def test_what_is_ordered_of_a_feed_reaches_whoever_polls_it(tmp_path: Path) -> None:
    """Poll, pause and resume, over HTTP and by command; what was found wakes the sinks of both processes."""
    async with a_pair(tmp_path) as pair:
        lead = pair.insert("slow")
        await pair.tell_the_other("slow", "feeds/slow/Lead/poll")
        for sink in pair.consumers:
            await pair.arrives(sink, lead)

        await pair.tell_the_other("slow", "feeds/slow/Lead/pause")
        lead = pair.insert("slow")
        await pair.tell_the_other("slow", "feeds/slow/Lead/resume")  # it is polled at once
        await pair.arrives("left", lead)
        await pair.order("feeds/slow/Lead/pause", {"reason": "lunch"})
        lead = pair.insert("slow")
        await pair.order("feeds/slow/Lead/resume")
        await pair.arrives("right", lead)

        await pair.tell_the_other("quick", "feeds/quick/Lead/pause")
        await pair.people_arrive("left")  # whatever was under way is over
        lead = pair.insert("quick")
        await pair.people_arrive("left")
        assert pair.got("left", lead) == []
        await pair.order("feeds/quick/Lead/resume")
        await pair.arrives("left", lead)


@pytest.mark.usefixtures("_database")
async def test_what_is_ordered_of_a_sink_reaches_whoever_delivers_to_it(tmp_path: Path) -> None:
    """Pause, resume and replay, over HTTP and by command."""
    async with a_pair(tmp_path) as pair:
        for sink, other in (("left", "right"), ("right", "left")):
            # One by the other daemon, one by a command.
            order = partial(pair.tell_the_other, sink) if sink == "left" else pair.order
            await order(f"sinks/{sink}/pause", {"reason": "lunch"})
            lead = pair.insert("quick")
            await pair.arrives(other, lead)
            await pair.people_arrive(other)
            assert pair.got(sink, lead) == []
            await order(f"sinks/{sink}/resume")
            [event] = await pair.arrives(sink, lead)
            await order("replay", {"event": event["id"], "sink": [sink]})
            _, again = await pair.arrives(sink, lead, 2)
            assert (again["id"], again["replay"]) == (event["id"], True)
