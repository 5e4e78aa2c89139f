"""How long a change takes from the org to a webhook's receiver: one feed, every second.

    python -m benchmarks latency                    takes three minutes

The org is the simulator. It and the receiver live here, the daemon is a process of its own; what counts is the time
from the instant at which a new record could be seen by a query to the arrival of its webhook. A poll a second finds a
change half a second after it was made, on average, and a second at most: what is beyond that is ours.
"""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import orjson
from aiohttp import web

from benchmarks import process
from benchmarks.reached import Reached, share, show
from salesforce_poller.clock import SystemClock
from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org

CHANGES = 250
#: Seconds.
_INTERVAL = 1.0
#: Changes are so far apart: by the golden ratio they come at all places between two polls, equally often.
_APART = _INTERVAL * 0.6180339887
_STUCK = 60.0
_CLOCK = SystemClock()
_CONFIG = """\
[store]
url = "sqlite:///{folder}/store.db"
[http]
listen = ""
[orgs.acme]
login_url = "{org}"
client_id = "simulated-client"
client_secret = "simulated-secret"
[orgs.acme.objects.Lead]
every = "1s"
[sinks.hook]
type = "webhook"
url = "{hook}"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""


@dataclass
class Arrivals:
    """A receiver of webhooks that remembers when each record was first told of, in monotonic seconds."""

    url: str = ""
    at: dict[str, float] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, request: web.Request) -> web.Response:
        """Take one event."""
        now = _CLOCK.monotonic()
        self.at.setdefault(orjson.loads(await request.read())["data"]["record_id"], now)
        self.arrived.set()
        return web.Response(status=204)

    async def has(self, records: Sequence[str]) -> None:
        """Wait until all these records were told of. Raises TimeoutError when nothing comes any more."""
        while not self.at.keys() >= set(records):
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), _STUCK)


@asynccontextmanager
async def receiving() -> AsyncIterator[Arrivals]:
    """Receive webhooks on a free port of this machine."""
    arrivals = Arrivals()
    application = web.Application()
    application.router.add_post("/hook", arrivals.take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    arrivals.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield arrivals
    finally:
        await runner.cleanup()


def report(_words: Sequence[str]) -> bool:
    """Measure, and show; returns whether the limits are kept."""
    delays = asyncio.run(run())
    half, longest = 1000 * median(delays), 1000 * share(delays, 0.99)
    return show(
        [
            Reached("visible in the org to received, median: off half the interval", abs(half - 500), "ms", 60),
            Reached("visible in the org to received, 99 %: off the interval", abs(longest - 1000), "ms", 250),
            Reached("median", half, "ms"),
            Reached("99 %", longest, "ms"),
            Reached("longest", 1000 * max(delays), "ms"),
            Reached("changes", len(delays), ""),
        ]
    )


async def run() -> list[float]:
    """Return after how many seconds each change was received."""
    org = Org(clock=OrgClock(_CLOCK.now(), speed=1), seed=1)
    org.set_usage(0, 1_000_000)  # a poll a second needs 86,400 calls a day
    with tempfile.TemporaryDirectory() as name:
        async with receiving() as arrivals, server.serve(server.build(org)) as url:
            config = Path(name) / "config.toml"
            config.write_text(_CONFIG.format(folder=name, org=url, hook=arrivals.url))
            async with process.daemon(config):
                await _begin(org, arrivals)
                visible: dict[str, float] = {}
                began = _CLOCK.monotonic() + random.Random(1).random()
                for number in range(CHANGES):
                    await _CLOCK.sleep(began + number * _APART - _CLOCK.monotonic())
                    record = org.insert("Lead", LastName=f"Lead {number}", Company="Acme")
                    visible[record] = _CLOCK.monotonic()
                await arrivals.has(list(visible))
    return [arrivals.at[record] - at for record, at in visible.items()]


async def _begin(org: Org, arrivals: Arrivals) -> None:
    """Change something until it arrives: the feed has begun."""
    while not arrivals.at:
        org.insert("Lead", LastName="First", Company="Acme")
        await _CLOCK.sleep(1)
