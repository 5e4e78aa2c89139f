"""What polling costs where nothing happens: 10,000 feeds of 1,000 orgs in one process, and one org's five feeds.

    python -m benchmarks idle                       1,000 orgs of 10 objects, every 60 s, for 5 minutes; takes 8
    python -m benchmarks idle ORGS SECONDS          fewer, or for a shorter time
    python -m benchmarks poll                       5 feeds of one org, every second, for a minute

The daemon is the real program, and the orgs (``quick_org.py``) are a process of their own that speaks TLS, as orgs do.
The orgs say when they were polled: a poll is late by how far it comes behind the earliest of its org's polls, taken
modulo the interval. So what a process needs to get to its request counts as lag, and nothing of ours measures itself.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks import process
from benchmarks.quick_org import OBJECTS
from benchmarks.reached import Reached, share, show
from salesforce_poller.clock import SystemClock

_CLOCK = SystemClock()
_INTERVAL = 60.0
#: Seconds from the start by which the daemon has tidied up: it does so half a minute after it, and then once an hour.
_TIDIED = 45.0
#: A feed's five queries fill a Composite; an org of ten objects is polled by two.
_FEEDS_A_CALL = 5
_HEAD = """\
[store]
url = "sqlite:///{folder}/store.db"
[http]
listen = ""
[sinks.out]
type = "file"
path = "{folder}/events.jsonl"
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many, how often, how long."""

    orgs: int
    objects: int
    #: Seconds.
    every: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured."""

    #: Of one core.
    share_of_core: float
    megabytes: float
    peak_megabytes: float
    #: Seconds by which each poll was late.
    lags: Sequence[float]
    #: Requests with queries in them.
    polls: int
    cpu_a_poll: float
    orgs_share_of_core: float
    connections: int
    #: Seconds from the start of the process until every org had been polled.
    all_polled: float


def report(words: Sequence[str]) -> bool:
    """Measure many idle feeds, and show; returns whether the limits are kept."""
    orgs, seconds = int(words[0]) if words else 1_000, float(words[1]) if words[1:] else 300.0
    plan = Plan(orgs, len(OBJECTS), _INTERVAL, seconds)
    found = asyncio.run(run(plan))
    return show(
        [
            Reached("processor time of the daemon, of one core", 100 * found.share_of_core, "%", 50, 1),
            Reached("due-to-start lag, 99 % of polls", share(found.lags, 0.99), "s", 1.0, 3),
            Reached("memory of the daemon", found.megabytes, "MB", 500),
            Reached("memory of the daemon, at most", found.peak_megabytes, "MB"),
            Reached("due-to-start lag, longest", max(found.lags), "s", digits=3),
            Reached("polls that shared a call", found.polls, "calls"),
            Reached("processor time for each of them", 1000 * found.cpu_a_poll, "ms", digits=2),
            Reached("connections made meanwhile", found.connections, ""),
            Reached("from the start until every org was polled", found.all_polled, "s", digits=1),
            Reached("processor time of the orgs' stand-in", 100 * found.orgs_share_of_core, "%", digits=1),
        ]
    )


def report_poll(_words: Sequence[str]) -> bool:
    """Measure an idle poll of five feeds, and show; returns whether the limit is kept."""
    found = asyncio.run(run(Plan(1, _FEEDS_A_CALL, 1.0, 60.0)))
    return show(
        [
            Reached("an idle poll of 5 feeds, one call", 1000 * found.cpu_a_poll, "ms", 5, 2),
            Reached("polls", found.polls, "calls"),
            Reached("processor time of the org's stand-in", 100 * found.orgs_share_of_core, "%", digits=1),
        ]
    )


async def run(plan: Plan) -> Outcome:
    """Let a daemon poll idle orgs, and watch it once every org has been polled."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority, certificate, key = process.certificates(folder)
        began = _CLOCK.monotonic()
        async with process.quick_orgs(plan.orgs, "--tls", str(certificate), str(key)) as orgs:
            lines = [
                process.org_lines(f"org{number}", port, OBJECTS[: plan.objects], f"{plan.every:g}s", scheme="https")
                for number, port in enumerate(orgs.ports)
            ]
            config = folder / "config.toml"
            config.write_text(_HEAD.format(folder=folder) + "".join(lines))
            async with process.daemon(config, SSL_CERT_FILE=str(authority)) as daemon:
                all_polled = await _until_polled(orgs, daemon, began)
                await _CLOCK.sleep(max(plan.every, _TIDIED - (_CLOCK.monotonic() - began)))
                return await _watch(plan, orgs, daemon, all_polled)


async def _until_polled(orgs: process.QuickOrgs, daemon: asyncio.subprocess.Process, began: float) -> float:
    """Wait until every org was polled; returns after how long."""
    console = Console(stderr=True)
    console.print(f"the daemon is process {daemon.pid}")
    while True:
        told = await orgs.told()
        waiting = sum(not each["polls"] for each in told["asked"])
        passed = _CLOCK.monotonic() - began
        if not waiting:
            return passed
        if daemon.returncode is not None:
            raise RuntimeError(f"the daemon ended with {daemon.returncode}")  # `process.daemon` shows its log
        console.print(f"{passed:.0f} s: {waiting:,} orgs are still to be polled")
        await _CLOCK.sleep(5)


async def _watch(plan: Plan, orgs: process.QuickOrgs, daemon: asyncio.subprocess.Process, all_polled: float) -> Outcome:
    before, cpu, began = await orgs.told(), process.cpu_of(daemon.pid), _CLOCK.monotonic()
    await _CLOCK.sleep(plan.seconds)
    used, passed, after = process.cpu_of(daemon.pid) - cpu, _CLOCK.monotonic() - began, await orgs.told()
    polls = [[at for at in each["polls"] if began <= at < began + passed] for each in after["asked"]]
    lags = [lag for each in polls for lag in late(each, plan.every)]
    count = sum(map(len, polls))
    return Outcome(
        used / passed,
        process.memory_of(daemon.pid),
        process.memory_of(daemon.pid, peak=True),
        lags,
        count,
        used / count,
        (after["cpu"] - before["cpu"]) / passed,
        after["requests"]["connections"] - before["requests"]["connections"],
        all_polled,
    )


def late(polls: Sequence[float], every: float) -> list[float]:
    """Return by how many seconds each of one org's polls came behind its place in the row."""
    # Half an interval before the first, so that one a little before it does not count as an interval late.
    phases = [(at - polls[0] + every / 2) % every for at in polls]
    return [phase - min(phases) for phase in phases]
