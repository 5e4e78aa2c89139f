"""How soon a killed process is replaced: three daemons share 100 orgs and a PostgreSQL, and one dies.

    python -m benchmarks failover                   takes two minutes; needs PostgreSQL's programs

The lease is the default of 15 seconds. What counts is the time from SIGKILL until another process holds each lease that
the dead one had, as the database has it; and until the org that waited longest was polled again.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from benchmarks import process
from benchmarks.quick_org import OBJECTS
from benchmarks.reached import Reached, show
from salesforce_poller.clock import SystemClock
from salesforce_poller.errors import NoStore
from salesforce_poller.store.leases import Held, Seen
from salesforce_poller.store.store import Store

ORGS, DAEMONS, LEASE = 100, 3, 15.0
_STUCK = 120.0
_CLOCK = SystemClock()
_HEAD = """\
[store]
url = "{store}"
[http]
listen = ""
[sinks.out]
type = "file"
path = "{folder}/events.jsonl"
"""
Standing = tuple[Sequence[Seen], Sequence[Held]]


def report(_words: Sequence[str]) -> bool:
    """Measure, and show; returns whether the limit is kept."""
    times = asyncio.run(run())
    return show(
        [
            Reached("from the kill until others hold all its leases", times[0], "s", LEASE, 1),
            Reached("from the kill until its orgs are polled by others", times[1], "s", digits=1),
            Reached("orgs that it had", times[2], ""),
        ]
    )


async def run() -> tuple[float, float, int]:
    """Let it happen; returns the seconds until all was held, until all was polled, and how many orgs were concerned."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # where servers are started from
    import servers

    with tempfile.TemporaryDirectory() as name, servers.postgres() as database:
        folder, store = Path(name), f"postgresql://postgres@127.0.0.1:{database.port}/postgres"
        async with process.quick_orgs(ORGS) as orgs, AsyncExitStack() as stack:
            lines = [process.org_lines(f"org{at}", port, OBJECTS[:2], "1s") for at, port in enumerate(orgs.ports)]
            daemons = []
            for number in range(DAEMONS):
                (folder / str(number)).mkdir()
                config = folder / str(number) / "config.toml"
                config.write_text(_HEAD.format(store=store, folder=config.parent) + "".join(lines))
                daemons.append(await stack.enter_async_context(process.daemon(config)))
            async with _store(store) as looking:
                await _until(looking, _evenly)
                await _CLOCK.sleep(5)
                seen, table = await looking.leases.standing()
                [dead] = [one.process.id for one in seen if one.process.pid == daemons[0].pid]
                orphans = [one.lease.duty.name for one in table if one.lease.holder == dead]
                places = [int(name.removeprefix("org")) for name in orphans if name.startswith("org")]
                daemons[0].kill()
                killed = _CLOCK.monotonic()
                await _until(looking, lambda found: all(one.taken and one.lease.holder != dead for one in found[1]))
                held = _CLOCK.monotonic() - killed
            return held, await _polled_since(orgs, places, killed) - killed, len(places)


async def _polled_since(orgs: process.QuickOrgs, places: Sequence[int], instant: float) -> float:
    """Wait until each of these orgs was polled after an instant; returns when the last of them was."""
    while True:
        asked = (await orgs.told())["asked"]
        first = [next((float(at) for at in asked[place]["polls"] if at > instant + 1), None) for place in places]
        found = [at for at in first if at is not None]
        if len(found) == len(places):
            return max(found)
        await _CLOCK.sleep(0.2)


async def _until(store: Store, holds: Callable[[Standing], bool]) -> None:
    """Look until something holds. Raises TimeoutError when it does not."""
    until = _CLOCK.monotonic() + _STUCK
    while not holds(await store.leases.standing()):
        if _CLOCK.monotonic() > until:
            raise TimeoutError(f"the daemons do not come to rest: {await store.leases.standing()}"[:2000])
        await _CLOCK.sleep(0.05)


@asynccontextmanager
async def _store(url: str) -> AsyncIterator[Store]:
    """Look into the store, once the first daemon has made it."""
    while True:
        try:
            async with Store(url, writable=False) as store:
                yield store
                return
        except NoStore:
            await _CLOCK.sleep(0.2)


def _evenly(found: Standing) -> bool:
    seen, table = found
    held = [sum(one.lease.holder == each.process.id for one in table) for each in seen if each.alive]
    return (
        len(held) == DAEMONS and sum(held) == len(table) > ORGS and max(held) - min(held) <= DAEMONS
    )  # evenly by kind, of which there are three
