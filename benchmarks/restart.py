"""How soon a daemon works again that was killed, with a million sightings and 100,000 events that it still owes.

    python -m benchmarks restart                    takes a few minutes, most of which fill the store

Measured from the start of the process, imports and all, to the first poll that the org sees, and to the first of the
owed events that the receiver gets. The first start takes in a store that it has not seen; then the process is killed
with SIGKILL in mid-work and started again.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from benchmarks import process
from benchmarks.latency import Arrivals, receiving
from benchmarks.quick_org import OBJECTS
from benchmarks.reached import Reached, show
from benchmarks.stores import fill
from salesforce_poller.clock import SystemClock

SIGHTINGS, OWED = 1_000_000, 100_000
_WITHIN = 3.0
_LOOK_EVERY = 0.01
_STUCK = 60.0
_CLOCK = SystemClock()
CONFIG = """\
[store]
url = "sqlite:///{folder}/store.db"
[http]
listen = ""
[sinks.hook]
type = "webhook"
url = "{hook}"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""


def report(words: Sequence[str]) -> bool:
    """Measure, and show; returns whether the limits are kept. ``words``: how many sightings and events instead."""
    sightings, owed = (int(words[0]), int(words[1])) if words else (SIGHTINGS, OWED)
    figures = []
    for which, (polled, delivered) in zip(
        ("start", "restart after a kill"), asyncio.run(run(sightings, owed)), strict=True
    ):
        figures += [
            Reached(f"{which}: until the first poll", polled, "s", _WITHIN, 2),
            Reached(f"{which}: until the first delivery", delivered, "s", _WITHIN, 2),
        ]
    return show([*figures, Reached("sightings", sightings, ""), Reached("events owed", owed, "")])


async def run(sightings: int, owed: int) -> list[tuple[float, float]]:
    """Return, of a start and of a restart, the seconds until the first poll and until the first delivery."""
    with tempfile.TemporaryDirectory() as name:
        folder, now = Path(name), _CLOCK.now()
        await fill(folder, OBJECTS, sightings=sightings, owed=owed, now=now, past=now - timedelta(days=1))
        async with process.quick_orgs(1) as orgs, receiving() as arrivals:
            config = folder / "config.toml"
            lines = process.org_lines("a", orgs.ports[0], OBJECTS, "10s")
            config.write_text(CONFIG.format(folder=folder, hook=arrivals.url) + lines)
            return [await _started(config, orgs, arrivals) for _ in range(2)]


async def _started(config: Path, orgs: process.QuickOrgs, arrivals: Arrivals) -> tuple[float, float]:
    """Start a daemon, wait until it works, let it work for a second and kill it."""
    before = len((await orgs.told())["asked"][0]["polls"])
    arrivals.arrived.clear()
    began = _CLOCK.monotonic()
    async with process.daemon(config) as daemon:
        async with asyncio.timeout(_STUCK):
            await arrivals.arrived.wait()
            delivered = _CLOCK.monotonic() - began
            while len(polls := (await orgs.told())["asked"][0]["polls"]) == before:
                await _CLOCK.sleep(_LOOK_EVERY)
        await _CLOCK.sleep(1)
        daemon.kill()
    return polls[before] - began, delivered
