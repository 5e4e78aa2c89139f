"""The real daemon in a process of its own, and people at work in the org meanwhile: what stories about kills share.

Used by ``test_a_killed_process.py``, ``test_a_killed_backfill.py`` and ``test_a_killed_login.py`` in ``stories``;
what the daemon delivers is taken in by ``consumer.py``.
"""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from consumer import Consumer

from salesforce_poller.app import App
from salesforce_poller.crew import everything
from salesforce_poller.simulator.org import Org

#: Seconds after which a story that should long be over is called stuck.
STUCK = 120


@asynccontextmanager
async def a_daemon(config: Path, *program: str, said: int | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the daemon as a user would; its log lands beside the configuration.

    Args:
        config: the configuration's file.
        program: what to run instead of ``-m salesforce_poller``.
        said: where standard output goes; the log, unless it is said.
    """
    command = program or ("-m", "salesforce_poller")
    with (config.parent / "daemon.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, "run", "--config", str(config), stdout=said or log, stderr=log
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def at_work(house: App) -> None:
    """Have a house that is built in here, and not run, hold its leases where the store is shared; say it again in time.

    On a clock that jumps a lease is over with each jump, until it is said anew.
    """
    membership = house.membership
    if membership is None:
        return
    await membership.beat()
    async with asyncio.timeout(STUCK):
        while not set(everything(house.config)) <= set(membership.held):
            await membership.look(house.apply)
            await asyncio.gather(*membership._settling)


def work(org: Org, rng: random.Random, leads: list[str]) -> None:
    """Have somebody do something to some of these leads, or create one, which joins them."""
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


async def lead_until(org: Org, consumer: Consumer, leads: list[str], enough: Callable[[], bool]) -> None:
    """Insert a lead each second until what the consumer was told is enough: that feeds have started, for example."""
    while not enough():
        leads.append(org.insert("Lead", LastName=f"L{len(leads)}", Company="Acme"))
        try:
            async with asyncio.timeout(1):
                await consumer.wait_for(enough)
        except TimeoutError:
            continue
