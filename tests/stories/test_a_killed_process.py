"""A real daemon, killed with SIGKILL at random moments while people work, started again each time."""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from consumer import Consumer, a_consumer, as_events
from oracle import judge
from world import WATCHED

from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org

CONFIG = """
[store]
url = "sqlite:///{folder}/store.db"
[http]
listen = ""
[orgs.acme]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
[orgs.acme.objects.Lead]
fields = ["LastName", "Company", "Status", "Email"]
every = "1s"
sweep_every = "1s"
[sinks.hook]
type = "webhook"
url = "{hook}"
"""
#: Seconds after which a story that should long be over is called stuck.
STUCK = 120


@asynccontextmanager
async def a_daemon(config: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the daemon as a user would; its log lands beside the configuration."""
    with (config.parent / "daemon.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "salesforce_poller", "run", "--config", str(config), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def work(org: Org, rng: random.Random, leads: list[str]) -> None:
    """Have somebody do something in the org."""
    live = [lead for lead in leads if not (org.get("Lead", lead) or {"IsDeleted": True})["IsDeleted"]]
    if len(live) < 5 or rng.random() < 0.4:
        leads.append(org.insert("Lead", LastName=f"L{len(leads)}", Company="Acme"))
        return
    lead = rng.choice(live)
    match rng.randrange(4):
        case 0 | 1:
            org.update(lead, Company=f"Company {rng.randrange(1000)}")
        case 2:
            org.delete(lead)
        case 3:
            org.merge(*rng.sample(live, 2))


@pytest.mark.parametrize("seed", [11])
async def test_killed_at_random_moments_nothing_is_lost(tmp_path: Path, seed: int) -> None:
    """After the last restart the consumer's picture is the org's: nothing missing, nothing invented, in order."""
    rng = random.Random(seed)
    org = Org(clock=OrgClock(datetime(2026, 11, 21, 10, tzinfo=UTC), speed=60), seed=seed)
    leads: list[str] = []
    async with a_consumer() as consumer, server.serve(server.build(org)) as url:
        config = tmp_path / "config.toml"
        config.write_text(CONFIG.format(folder=tmp_path, url=url, hook=consumer.url))
        async with asyncio.timeout(STUCK), a_daemon(config):
            # A change made after the start tells that the feed has started.
            await _started(org, consumer, leads)
        since = len(org.truth)
        leads_before = set(leads)
        for _ in range(3):
            async with asyncio.timeout(STUCK), a_daemon(config) as daemon:
                for _ in range(20):
                    work(org, rng, leads)
                enough = len(consumer.accepted) + rng.randrange(1, 12)
                await consumer.wait_for(lambda enough=enough: len(consumer.accepted) >= enough)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
                daemon.send_signal(signal.SIGKILL)
        async with asyncio.timeout(STUCK), a_daemon(config) as daemon:
            work(org, rng, leads)
            fresh = set(leads) - leads_before
            await consumer.wait_for(lambda: not _judge(consumer, org, since, fresh))
            daemon.send_signal(signal.SIGTERM)
            assert await daemon.wait() == 0, (tmp_path / "daemon.log").read_text()


async def _started(org: Org, consumer: Consumer, leads: list[str]) -> None:
    """Insert leads until one of them is told."""
    while not consumer.accepted:
        leads.append(org.insert("Lead", LastName=f"L{len(leads)}", Company="Acme"))
        try:
            async with asyncio.timeout(1):
                await consumer.wait_for(lambda: bool(consumer.accepted))
        except TimeoutError:
            continue


def _judge(consumer: Consumer, org: Org, since: int, fresh: set[str]) -> list[str]:
    """Judge the records that came into being after the start."""
    events = [event for event in as_events(consumer) if event.record_id in fresh]
    truth = [change for change in org.truth if change.record_id in fresh]
    return judge(events, truth, WATCHED["Lead"], "Lead", since=since)
