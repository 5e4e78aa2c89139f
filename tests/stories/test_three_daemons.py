"""Three real daemons share twenty orgs and one PostgreSQL; one is killed, one sleeps, the database restarts.

The truth log of every org says at the end that nothing is missing and nothing wrong, and that what each consumer was
told of a record came in the order in which it happened.
"""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import servers
import stores
from consumer import Consumer, a_consumer, as_events
from daemons import a_daemon, work
from oracle import judge
from servers import Server
from world import WATCHED

from salesforce_poller.clock import SystemClock
from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org
from salesforce_poller.store.leases import Held, Seen
from salesforce_poller.store.store import Store

ORGS, SINKS, DAEMONS = 20, 3, 3
#: Real daemons take real time.
CLOCK = SystemClock()
#: The daemon's default is 15 seconds; what is waited for here is a part of that.
LEASE = timedelta(seconds=6)
#: Seconds after which something that should long have happened is called stuck.
STUCK = 400
HEAD = """
[store]
url = "{store}"
lease = "{lease}s"
[http]
listen = ""
"""
ORG = """
[orgs.{name}]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
api_budget = 1_000_000
[orgs.{name}.objects.Lead]
fields = ["LastName", "Company", "Status", "Email"]
every = "1s"
sweep_every = "2s"
"""
SINK = """
[sinks.{name}]
type = "webhook"
url = "{url}"
"""


@dataclass
class Customer:
    """One org, and the people who work in it."""

    name: str
    org: Org
    leads: list[str] = field(default_factory=list)
    #: What counts begins there in its truth log.
    since: int = 0
    before: set[str] = field(default_factory=set)

    def work(self, rng: random.Random, times: int) -> None:
        """Have people do so many things."""
        for _ in range(times):
            work(self.org, rng, self.leads)

    def begin(self) -> None:
        """Count from here on."""
        self.since, self.before = len(self.org.truth), set(self.leads)

    def judge(self, consumer: Consumer) -> list[str]:
        """Say what is wrong with what a consumer was told of the records that came into being since."""
        fresh = set(self.leads) - self.before
        told = [event for event in as_events(consumer) if event.org == self.name and event.record_id in fresh]
        truth = [change for change in self.org.truth if change.record_id in fresh]
        return judge(told, truth, WATCHED["Lead"], "Lead", since=self.since)


@dataclass
class Town:
    """Everything that goes on."""

    customers: list[Customer]
    consumers: list[Consumer]
    store: str
    folder: Path
    rng: random.Random

    async def heard_of_all(self) -> None:
        """Work until every consumer has heard of every org: all feeds have started."""
        names = {customer.name for customer in self.customers}
        while any({each["data"]["org"] for each in consumer.accepted} != names for consumer in self.consumers):
            for customer in self.customers:
                customer.leads.append(customer.org.insert("Lead", LastName="first", Company="Acme"))
            await CLOCK.sleep(0.5)

    async def go_on(self, seconds: float) -> None:
        """Let people work for a while."""
        for _ in range(round(seconds / 0.2)):
            for customer in self.rng.sample(self.customers, 5):
                customer.work(self.rng, 1)
            await CLOCK.sleep(0.2)

    async def settled(self) -> None:
        """Wait until every consumer's picture is that of every org."""
        while any(customer.judge(consumer) for customer in self.customers for consumer in self.consumers):
            await CLOCK.sleep(0.5)

    async def until(self, holds: Callable[[list[Seen], list[Held]], bool]) -> None:
        """Look at processes and leases until something holds, people at work meanwhile."""
        async with Store(self.store, writable=False) as store:
            while not holds(*await store.leases.standing()):
                await self.go_on(0.2)

    def log(self) -> str:
        """Return the ends of all logs."""
        found = sorted(self.folder.glob("*/daemon.log"))
        return "\n".join(f"== {path}\n{path.read_text('utf-8')[-3000:]}" for path in found)


@asynccontextmanager
async def a_town(folder: Path, database: Server, seed: int) -> AsyncIterator[Town]:
    """Serve the orgs and the consumers."""
    rng = random.Random(seed)
    async with AsyncExitStack() as stack:
        said, customers, consumers = [], [], []
        for number in range(ORGS):
            org = Org(clock=OrgClock(datetime(2026, 11, 21, 10, tzinfo=UTC), speed=10), seed=seed + number)
            org.set_usage(0, 5_000_000)
            url = await stack.enter_async_context(server.serve(server.build(org)))
            customers.append(Customer(f"org{number}", org))
            said.append(ORG.format(name=f"org{number}", url=url))
        for number in range(SINKS):
            consumers.append(await stack.enter_async_context(a_consumer()))
            said.append(SINK.format(name=f"sink{number}", url=consumers[-1].url))
        where = stores.url(folder / "store.db")
        head = HEAD.format(store=where, lease=LEASE.seconds)
        for number in range(DAEMONS):
            (folder / f"daemon{number}").mkdir()
            (folder / f"daemon{number}" / "config.toml").write_text(head + "".join(said))
        yield Town(customers, consumers, where, folder, rng)


@pytest.fixture
def database() -> Iterator[Server]:
    """A PostgreSQL of this story's own: it is going to be restarted. Its disk is as durable as in earnest."""
    with servers.postgres() as own, stores.stores_in(own):
        yield own


def alive(seen: list[Seen]) -> set[int]:
    """Return the processes that are alive."""
    return {one.process.pid for one in seen if one.alive}


def shares(seen: list[Seen], held: list[Held]) -> dict[int, int]:
    """Count the orgs of each process that is alive."""
    pid_of = {one.process.id: one.process.pid for one in seen if one.alive}
    found = dict.fromkeys(pid_of.values(), 0)
    for one in held:
        if one.taken and one.lease.duty.kind == "org":
            found[pid_of[one.lease.holder]] += 1
    return found


def evenly(*pids: int | None) -> Callable[[list[Seen], list[Held]], bool]:
    """Say when exactly these processes share all orgs evenly."""

    def holds(seen: list[Seen], held: list[Held]) -> bool:
        found = shares(seen, held)
        return set(found) == set(pids) and sum(found.values()) == ORGS and max(found.values()) - min(found.values()) < 2

    return holds


def replaced(pid: int | None) -> Callable[[list[Seen], list[Held]], bool]:
    """Say when everything is held again by others than this process."""

    def holds(seen: list[Seen], held: list[Held]) -> bool:
        own = {one.process.id for one in seen if one.process.pid == pid}
        return len(held) > ORGS and all(one.taken and one.lease.holder not in own for one in held)

    return holds


@pytest.mark.parametrize("seed", [5])
async def test_one_killed_one_asleep_and_the_database_restarted(tmp_path: Path, database: Server, seed: int) -> None:
    """Whatever happens to whom, the others carry on within the lease, and who wakes up writes nothing."""
    async with a_town(tmp_path, database, seed) as town, AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(STUCK):
                configs = [tmp_path / f"daemon{number}" / "config.toml" for number in range(DAEMONS)]
                one, two, three = [await stack.enter_async_context(a_daemon(config)) for config in configs]
                await town.heard_of_all()
                for customer in town.customers:
                    customer.begin()
                await town.until(evenly(one.pid, two.pid, three.pid))
                await town.go_on(2)

                one.send_signal(signal.SIGKILL)
                await town.until(replaced(one.pid))
                await town.until(evenly(two.pid, three.pid))

                two.send_signal(signal.SIGSTOP)
                await town.until(replaced(two.pid))
                await town.go_on(2)
                two.send_signal(signal.SIGCONT)
                await town.until(evenly(two.pid, three.pid))

                await asyncio.to_thread(database.restart)
                await town.go_on(2)
                one = await stack.enter_async_context(a_daemon(configs[0]))
                await town.until(evenly(one.pid, two.pid, three.pid))

                await town.settled()
                for daemon in (one, two, three):
                    daemon.send_signal(signal.SIGTERM)
                assert [await daemon.wait() for daemon in (one, two, three)] == [0, 0, 0]
        except BaseException as exc:
            exc.add_note(town.log())
            raise
        async with Store(town.store, writable=False) as store:
            seen, held = await store.leases.standing()
            assert alive(seen) == set()
            assert not any(one.lease.holder for one in held)
