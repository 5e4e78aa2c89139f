"""Whether polls and deliveries wait while a million delivered events are pruned.

    python -m benchmarks prune                      takes some minutes, most of which fill the store

A daemon starts with the events in its store, and begins to prune at once. Meanwhile it polls a feed every second, and
the org has a new record each time, which goes to a webhook. A poll is late by how far it comes behind the earliest,
taken modulo a second; a delivery by how much longer it takes from the org's answer to the receiver than the median
does once everything is pruned.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median

import orjson
from rich.console import Console

from benchmarks import process
from benchmarks.idle import late
from benchmarks.latency import receiving
from benchmarks.reached import Reached, show
from benchmarks.restart import CONFIG
from benchmarks.stores import fill
from salesforce_poller.clock import SystemClock

EVENTS = 1_000_000
_MOST = 100.0
#: Seconds to watch after everything was pruned.
_QUIET = 30.0
_STUCK = 1_800.0
_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured, in seconds."""

    pruned: int
    pruning: float
    #: By how much each poll was late, and how long each delivery took: while it was pruned, and after that.
    late: tuple[Sequence[float], Sequence[float]]
    took: tuple[Sequence[float], Sequence[float]]


def report(words: Sequence[str]) -> bool:
    """Measure, and show; returns whether the limits are kept. ``words``: how many events instead of a million."""
    found = asyncio.run(run(int(words[0]) if words else EVENTS))
    usual = median(found.took[1])
    return show(
        [
            Reached("latest poll while events are pruned", 1000 * max(found.late[0]), "ms", _MOST),
            Reached("slowest delivery meanwhile, beyond the usual", 1000 * (max(found.took[0]) - usual), "ms", _MOST),
            Reached("latest poll afterwards", 1000 * max(found.late[1]), "ms"),
            Reached("slowest delivery afterwards, beyond the usual", 1000 * (max(found.took[1]) - usual), "ms"),
            Reached("from the org's answer to the receiver, usually", 1000 * usual, "ms"),
            Reached("events pruned", found.pruned, ""),
            Reached("time that it took", found.pruning, "s", digits=1),
            Reached("polls and deliveries meanwhile", len(found.took[0]), ""),
        ]
    )


async def run(events: int) -> Outcome:
    """Let a daemon prune."""
    with tempfile.TemporaryDirectory() as name:
        folder, now = Path(name), _CLOCK.now()
        await fill(folder, ["Lead"], old=events, now=now, past=now - timedelta(days=8))
        async with process.quick_orgs(1, "--rows") as orgs, receiving() as arrivals:
            config = folder / "config.toml"
            lines = process.org_lines("a", orgs.ports[0], ["Lead"], "1s")
            config.write_text(CONFIG.format(folder=folder, hook=arrivals.url) + lines)
            async with process.daemon(config):
                while not arrivals.at:
                    await _CLOCK.sleep(0.01)
                began = _CLOCK.monotonic()
                pruned = await _tidied(folder / "daemon.log")
                ended = _CLOCK.monotonic()
                await _CLOCK.sleep(_QUIET)
                asked = (await orgs.told())["asked"][0]
    took = {at: arrivals.at[row] - at for row, at in asked["rows"].items() if row in arrivals.at}
    lags = dict(zip(asked["polls"], late(asked["polls"], 1.0), strict=True))
    return Outcome(
        pruned,
        ended - began,
        ([lag for at, lag in lags.items() if at < ended], [lag for at, lag in lags.items() if at >= ended]),
        ([one for at, one in took.items() if at < ended], [one for at, one in took.items() if at >= ended]),
    )


async def _tidied(log: Path) -> int:
    """Wait until the daemon says that it has tidied; returns how many events it has pruned."""
    console = Console(stderr=True)
    async with asyncio.timeout(_STUCK):
        while (told := _told(log)) is None:
            console.print("pruning …")
            await _CLOCK.sleep(5)
    return told


def _told(log: Path) -> int | None:
    lines = [orjson.loads(line) for line in log.read_bytes().splitlines() if line.startswith(b"{")]
    return next((int(line["events"]) for line in lines if line.get("event") == "store.tidied"), None)
