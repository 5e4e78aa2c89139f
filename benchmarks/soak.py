"""An hour of 200 changes a second in bad weather: memory and files stay as they are, and nothing is lost.

    python -m benchmarks soak [MINUTES] [STORE]     STORE is an address such as postgresql://…; else a new SQLite file

The org, with everybody who works in it, and the receiver live here; the daemon is a process of its own. Every minute
has a weather of its own: two or three faults of Salesforce, each at one request in twenty, and a receiver that fails at
one event in fifty. At the end the sky clears, and the judge of the tests compares what the receiver was told with the
org's truth log, record by record. Faults by which an org asks to be left alone for minutes are left out: they
are about budgets, and there would be nothing to see of the daemon meanwhile.
"""

import asyncio
import os
import random
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import orjson
from aiohttp import web
from rich.console import Console

from benchmarks import process
from benchmarks.reached import Reached, show
from salesforce_poller.clock import SystemClock
from salesforce_poller.model import Event
from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org

#: Changes in a second; leads to begin with; minutes.
RATE, LEADS, MINUTES = 200, 5_000, 60
#: Minutes at the beginning that do not count for memory: caches fill. And those that are compared at either end.
_WARM, _ENDS = 5, 10
#: Memory at the end may be so many times that of the beginning, and as many more files may be open.
_GROWTH, _FILES = 1.15, 3
#: Seconds within which everything has arrived once the sky is clear.
_ARRIVES_WITHIN = 600.0
_WATCHED = ("LastName", "Company", "Status", "Email")
_WEATHER = (
    "UNKNOWN_EXCEPTION",
    "SERVER_UNAVAILABLE",
    "SERVICE_UNAVAILABLE_PAGE",
    "BAD_GATEWAY",
    "GATEWAY_TIMEOUT",
    "INVALID_SESSION_ID",
    "INVALID_QUERY_LOCATOR",
    "UNABLE_TO_LOCK_ROW",
    "REQUEST_RUNNING_TOO_LONG",
    "QUERY_TIMEOUT",
    "CONNECTION_RESET",
    "TRUNCATED_BODY",
    "SLOW",
)
_CLOCK = SystemClock()
_CONFIG = """\
[store]
url = "{store}"
keep_events = "10m"
[http]
listen = ""
[orgs.acme]
login_url = "{org}"
client_id = "simulated-client"
client_secret = "simulated-secret"
api_budget = 1_000_000
[orgs.acme.objects.Lead]
fields = ["LastName", "Company", "Status", "Email"]
every = "2s"
sweep_every = "1m"
[sinks.hook]
type = "webhook"
url = "{hook}"
"""


@dataclass
class Outcome:
    """What was seen."""

    #: Megabytes and open files of the daemon, a minute each.
    memory: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    changes: int = 0
    told: int = 0
    problems: list[str] = field(default_factory=list)
    exit_code: int | None = None


class People:
    """Whoever works in the org: mostly on what is there, so that it stays about as large."""

    def __init__(self, org: Org, rng: random.Random) -> None:
        self._org = org
        self._rng = rng
        self._gone: deque[str] = deque()
        self.live = [org.insert("Lead", LastName=f"L{number}", Company="Acme") for number in range(LEADS)]

    def work(self) -> None:
        """Change something."""
        chance, place = self._rng.random(), self._rng.randrange(len(self.live))
        if chance < 0.97:  # noqa: PLR2004  # the shares of what people do
            self._org.update(self.live[place], Company=f"Company {self._rng.randrange(10**6)}")
        elif chance < 0.98:  # noqa: PLR2004  # as above
            self.live.append(self._org.insert("Lead", LastName="New", Company="Acme"))
        elif chance < 0.99 or not self._gone:  # noqa: PLR2004  # as above
            self.live[place], self.live[-1] = self.live[-1], self.live[place]
            self._gone.append(self.live.pop())
            self._org.delete(self._gone[-1])
        else:
            self.live.append(self._gone.popleft())
            self._org.undelete(self.live[-1])


class Receiver:
    """Takes events in, but for one in fifty at its first try; after a second failure the schedule waits for minutes."""

    def __init__(self, rng: random.Random) -> None:
        self.url = ""
        self.told: list[bytes] = []
        self._failed: set[str] = set()
        self._rng = rng

    async def take(self, request: web.Request) -> web.Response:
        """Take one event."""
        body = await request.read()
        event_id = request.headers["webhook-id"]
        if event_id not in self._failed and self._rng.random() < 0.02:  # noqa: PLR2004  # one in fifty
            self._failed.add(event_id)
            return web.Response(status=503)
        self.told.append(body)
        return web.Response(status=204)


def report(words: Sequence[str]) -> bool:
    """Let it happen, and show; returns whether the limits are kept."""
    minutes = int(words[0]) if words else MINUTES
    with tempfile.TemporaryDirectory(prefix="poller-soak-") as folder:
        store = words[1] if words[1:] else f"sqlite:///{folder}/store.db"
        outcome = asyncio.run(run(Path(folder), store, minutes, random.Random(minutes)))
    for problem in outcome.problems[:20]:
        Console(stderr=True).print(problem)
    ends = max(1, min(_ENDS, (minutes - _WARM) // 2))
    begin, end = outcome.memory[_WARM : _WARM + ends], outcome.memory[-ends:]
    more_files = max(outcome.files[-ends:]) - max(outcome.files[_WARM : _WARM + ends])  # a pause closes connections
    return show(
        [
            Reached("missing, wrong or out of order", len(outcome.problems), "", 0),
            Reached("memory, last minutes to first minutes", median(end) / median(begin), "", _GROWTH, digits=2),
            Reached("open files, last minutes beyond first minutes", more_files, "", _FILES),
            Reached("exit code", outcome.exit_code or 0, "", 0),
            Reached("memory in the first minutes", median(begin), "MB"),
            Reached("memory in the last minutes", median(end), "MB"),
            Reached("changes a second", outcome.changes / (minutes * 60), "", digits=1),
            Reached("changes", outcome.changes, ""),
            Reached("events told", outcome.told, ""),
        ]
    )


async def run(folder: Path, store: str, minutes: int, rng: random.Random) -> Outcome:
    """Let it happen in an empty folder."""
    org, receiver, outcome = Org(clock=OrgClock(_CLOCK.now(), speed=1), seed=1), Receiver(rng), Outcome()
    org.set_usage(0, 5_000_000)
    people, probe = People(org, rng), org.insert("Lead", LastName="Probe", Company="Acme")
    since = len(org.truth)
    async with server.serve(server.build(org)) as url, _receiving(receiver):
        (folder / "config.toml").write_text(_CONFIG.format(store=store, org=url, hook=receiver.url))
        async with process.daemon(folder / "config.toml") as daemon:
            await _begun(org, probe, receiver)
            for minute in range(minutes):
                _turn_the_weather(org, rng)
                await _a_minute(people)
                outcome.memory.append(process.memory_of(daemon.pid))
                outcome.files.append(len(os.listdir(f"/proc/{daemon.pid}/fd")))  # noqa: PTH208  # /proc has no paths to resolve
                done = f"minute {minute + 1} of {minutes}: {outcome.memory[-1]:.0f} MB, {outcome.files[-1]} files"
                Console(stderr=True).print(f"{done}, {len(receiver.told):,} events")
            outcome.changes = len(org.truth) - since
            org.weather.clear()
            outcome.problems = await _judged(org, receiver, since, probe)
            daemon.terminate()
            outcome.exit_code = await daemon.wait()
    outcome.told = len(receiver.told)
    return outcome


@asynccontextmanager
async def _receiving(receiver: Receiver) -> AsyncIterator[None]:
    application = web.Application()
    application.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield
    finally:
        await runner.cleanup()


async def _begun(org: Org, probe: str, receiver: Receiver) -> None:
    """Wait until the feed has started and knows what is there: until a change of one record, not judged, is told."""
    while not receiver.told:
        org.update(probe, Company=f"Begin {len(org.truth)}")
        await _CLOCK.sleep(1)


def _turn_the_weather(org: Org, rng: random.Random) -> None:
    org.weather.clear()
    for fault in rng.sample(_WEATHER, rng.randint(2, 3)):
        org.weather.arm(fault, path="/services/data/", chance=0.05, times=None)


async def _a_minute(people: People) -> None:
    """Work for a minute, at an even pace; what a busy moment held up is made up for."""
    began, done = _CLOCK.monotonic(), 0
    while (passed := _CLOCK.monotonic() - began) < 60:  # noqa: PLR2004  # seconds of a minute
        for _ in range(round(passed * RATE) - done):
            people.work()
            done += 1
        await _CLOCK.sleep(0.05)


async def _judged(org: Org, receiver: Receiver, since: int, probe: str) -> list[str]:
    """Wait until nothing is wrong any more; what is so after that time, stays so."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # where the judge is
    from consumer import as_event
    from oracle import judge

    truth = [change for change in org.truth if change.record_id != probe]
    events: list[Event] = []
    read, until = 0, _CLOCK.monotonic() + _ARRIVES_WITHIN
    while True:
        await _CLOCK.sleep(15)
        fresh = [as_event(orjson.loads(body)) for body in receiver.told[read:]]
        read += len(fresh)
        events += [event for event in fresh if event.record_id != probe]
        problems = judge(events, truth, _WATCHED, "Lead", since=since)
        if not problems or _CLOCK.monotonic() > until:
            return problems
