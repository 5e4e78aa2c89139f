"""store/ on PostgreSQL, where transactions run side by side: nobody waits in a ring, and nothing that is owed goes.

SQLite has one writer at a time. Each process here is a store of its own with connections of its own.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import stores
from builders import NOON, an_event, watermarks
from sqlalchemy import insert, text

from salesforce_poller.model import Delivery, Ordering, Parked
from salesforce_poller.store import outbox
from salesforce_poller.store.selection import Selection
from salesforce_poller.store.store import Store
from salesforce_poller.store.tables import sinks

pytestmark = pytest.mark.usefixtures("stores_on_postgresql")

#: Seconds after which a test is called stuck.
STUCK = 120
SINKS = ["audit", "crm", "lake"]
RECORDS = "ABCDEFGH"
#: How many wait for what others have locked.
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
LATER = NOON + timedelta(days=1)


@pytest.fixture
def where(tmp_path: Path) -> str:
    """Where the store is that all share."""
    return stores.url(tmp_path / "store.db")


@pytest.fixture
async def processes(where: str) -> AsyncIterator[list[Store]]:
    """Several processes that have it open."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Store(where)) for _ in range(3)]


async def test_processes_that_start_together_with_sinks_in_any_order_do_not_wait_in_a_ring(
    where: str, processes: list[Store]
) -> None:
    """Their files may name the same sinks in another order; a third one holds both up in the middle of it."""
    first, second, third = processes
    names = ["a", "b", "c", "d", "e"]
    async with asyncio.timeout(STUCK):
        async with third._database.write() as connection:
            await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            await connection.execute(insert(sinks).values(name="c", cursor=0))
            begun = [
                asyncio.create_task(first.outbox.ensure_sinks(names)),
                asyncio.create_task(second.outbox.ensure_sinks(names[::-1])),
            ]
            while await asyncio.to_thread(stores.rows, where, WAITING) != [(2,)]:
                pass
        await asyncio.gather(*begun)
    assert await first.repairs.sinks() == names


class Work:
    """What pollers, dispatchers, upkeep and people do to a store, at random."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.number = 0
        self.done = 0

    async def poll(self, store: Store, org: str) -> None:
        """Commit a page."""
        page = []
        for _ in range(self.rng.randrange(1, 8)):
            self.number += 1
            page.append(an_event(id=f"{self.number:032x}", org=org, record_id=self.rng.choice(RECORDS)))
        await store.feeds.commit_page(org, "Lead", events=page, sightings=[], marks=watermarks(), at=NOON)

    async def dispatch(self, store: Store, sink: str) -> None:
        """Read on, deliver some, park some, give some up, and tell of it; as a round does."""
        standing = await store.outbox.standing(sink, LATER, Ordering.NONE, tried=20, untried=50)
        fresh = await store.outbox.read(sink, 10)
        fates = [(one, self.rng.random()) for one in standing.due]
        await store.outbox.settle(
            replace(standing.state, cursor=fresh[-1].position if fresh else standing.state.cursor),
            park=[self.parked(one) for one in fresh if self.rng.random() < 0.5],
            again=[self.parked(one) for one, fate in fates if fate < 0.4],
            done=[one.position for one, fate in fates if fate > 0.7],
            back_at=LATER if self.rng.random() < 0.2 else None,
            alerts=[an_event(id=f"alert {self.rng.random():.20f}", org="ops")] if self.rng.random() < 0.2 else [],
            at=NOON,
        )

    def parked(self, one: Delivery) -> Parked:
        """Return it as failed, or given up."""
        return Parked(one.but(attempts=one.attempts + 1), NOON, "HTTP 503", dead=self.rng.random() < 0.5)

    async def replay(self, store: Store, _sink: str) -> None:
        """Owe any of them to all sinks once more."""
        positions = self.rng.sample(range(1, self.number + 2), k=min(self.number, 20))
        await store.repairs.owe(dict.fromkeys(self.rng.sample(SINKS, 3), positions), NOON)

    async def requeue(self, store: Store, sink: str) -> None:
        """Owe the dead."""
        await store.repairs.requeue(Selection(), [sink], NOON)

    async def drop(self, store: Store, sink: str) -> None:
        """Let go of the dead."""
        await store.repairs.drop(Selection(record=self.rng.choice(RECORDS)), [sink])

    async def prune(self, store: Store, _sink: str) -> None:
        """Tidy up."""
        await store.outbox.prune(LATER, SINKS)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_done_side_by_side_nobody_waits_in_a_ring(
    where: str, processes: list[Store], seed: int
) -> None:
    """A dispatcher for each sink, a poller for each of two orgs, upkeep in each process, and people everywhere."""
    work = Work(seed)
    await processes[0].outbox.ensure_sinks(SINKS)
    jobs: list[tuple[Callable[[Store, str], Awaitable[None]], Store, str]] = []
    for store, sink in zip(processes, SINKS, strict=True):
        jobs += [(work.dispatch, store, sink), (work.prune, store, sink), (work.replay, store, sink)]
        jobs += [(work.requeue, store, SINKS[0]), (work.drop, store, SINKS[0])]
    jobs += [(work.poll, processes[0], "acme"), (work.poll, processes[1], "beta")]

    async def busy(job: Callable[[Store, str], Awaitable[None]], store: Store, name: str) -> None:
        for _ in range(12):
            await job(store, name)
            work.done += 1

    async with asyncio.timeout(STUCK):
        failed = [one for one in await asyncio.gather(*(busy(*job) for job in jobs), return_exceptions=True) if one]
    assert [str(one) for one in failed] == [], f"seed {seed}"
    assert work.done == len(jobs) * 12
    gone = "SELECT position FROM parked WHERE position NOT IN (SELECT position FROM events)"
    assert await asyncio.to_thread(stores.rows, where, gone) == [], f"seed {seed}: pruned though it is owed"


async def test_pruning_looks_at_what_is_parked_once_and_not_for_each_event(processes: list[Store]) -> None:
    """With NOT IN, PostgreSQL went through all of it again for every event, as soon as there was much."""
    first, *_ = processes
    await first.outbox.ensure_sinks(SINKS)
    async with first._database.write() as connection:
        query = outbox._prunable(connection.dialect.name, LATER, SINKS).limit(500)
        said = query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
        plan = "\n".join((await connection.execute(text(f"EXPLAIN {said}"))).scalars())
    assert "Anti Join" in plan
    assert "SubPlan" not in plan
