"""A real daemon, killed with SIGKILL at random moments while people work, started again each time."""

import asyncio
import random
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
import stores
from consumer import Consumer, a_consumer, as_events
from daemons import STUCK, a_daemon, lead_until, work
from oracle import judge
from world import WATCHED

from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org

pytestmark = pytest.mark.both_databases

CONFIG = """
[store]
url = "{store}"
[http]
listen = ""
[orgs.acme]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
api_budget = 1_000_000
[orgs.acme.objects.Lead]
fields = ["LastName", "Company", "Status", "Email"]
every = "1s"
sweep_every = "1s"
[sinks.hook]
type = "webhook"
url = "{hook}"
"""


@pytest.mark.parametrize("seed", [11])
async def test_killed_at_random_moments_nothing_is_lost(tmp_path: Path, seed: int) -> None:
    """After the last restart the consumer's picture is the org's: nothing missing, nothing invented, in order."""
    rng = random.Random(seed)
    org = Org(clock=OrgClock(datetime(2026, 11, 21, 10, tzinfo=UTC), speed=60), seed=seed)
    org.set_usage(0, 5_000_000)  # so that polls come every second
    leads: list[str] = []
    async with a_consumer() as consumer, server.serve(server.build(org)) as url:
        config = tmp_path / "config.toml"
        config.write_text(CONFIG.format(store=stores.url(tmp_path / "store.db"), url=url, hook=consumer.url))
        async with asyncio.timeout(STUCK), a_daemon(config):
            # A change made after the start tells that the feed has started.
            await lead_until(org, consumer, leads, lambda: bool(consumer.accepted))
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


def _judge(consumer: Consumer, org: Org, since: int, fresh: set[str]) -> list[str]:
    """Judge the records that came into being after the start."""
    events = [event for event in as_events(consumer) if event.record_id in fresh]
    truth = [change for change in org.truth if change.record_id in fresh]
    return judge(events, truth, WATCHED["Lead"], "Lead", since=since)
