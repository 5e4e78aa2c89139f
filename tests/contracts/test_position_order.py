"""store/appending.py on PostgreSQL: a reader of ``position > cursor`` passes over no event of a slower writer.

A number out of a sequence is taken before the commit: whoever commits first shows a later number, readers go on behind
it, and the slower writer's events are never told. Here several processes, which are stores of their own with
connections of their own, write into one database while a dispatcher reads. SQLite has one writer at a time anyway.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import stores
from builders import NOON, an_event, watermarks
from delivery_house import House
from fakes import FakeSink
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from salesforce_poller.model import Event
from salesforce_poller.store import appending
from salesforce_poller.store.store import Store

pytestmark = pytest.mark.usefixtures("stores_on_postgresql")

#: Seconds after which a test is called stuck.
STUCK = 60
WRITERS = 4
PAGES = 12


@pytest.fixture
def where(tmp_path: Path) -> str:
    """Where the store is that all share."""
    return stores.url(tmp_path / "store.db")


@pytest.fixture
async def processes(where: str) -> AsyncIterator[list[Store]]:
    """Several processes that have it open."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Store(where)) for _ in range(WRITERS)]


@pytest.fixture
async def house(where: str) -> AsyncIterator[House]:
    """One more process, which delivers to ``crm``."""
    async with Store(where) as store:
        await store.outbox.ensure_sinks(["crm"])
        yield House(store)


def some_events(writer: str, *numbers: int) -> list[Event]:
    """Return events of a writer's own org and records."""
    return [an_event(id=f"{writer}{number}", org=writer, record_id=f"{writer}{number}") for number in numbers]


async def commit(store: Store, writer: str, *numbers: int) -> int:
    """Commit a page, as the poller does."""
    page = some_events(writer, *numbers)
    return await store.feeds.commit_page(writer, "Lead", events=page, sightings=[], marks=watermarks(), at=NOON)


async def until_they_wait(where: str, tasks: list[asyncio.Task[int]]) -> None:
    """Look until each of these waits for what somebody else has locked."""
    question = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while (await asyncio.to_thread(stores.rows, where, question)) != [(len(tasks),)]:
        assert not any(one.done() for one in tasks), "it did not wait"


class RolledBack(Exception):
    """What was begun is not to be."""


@asynccontextmanager
async def writing(store: Store) -> AsyncIterator[AsyncConnection]:
    """One transaction, as the store's own are."""
    async with store._database.write() as connection:
        yield connection


async def positions(where: str) -> list[tuple[int, str]]:
    """Return the events that are on disk, in order."""
    found = await asyncio.to_thread(stores.rows, where, "SELECT position, id FROM events ORDER BY position")
    return [(int(position), str(event_id)) for position, event_id in found]


@pytest.mark.parametrize("commits", [True, False], ids=["commits", "is rolled back"])
async def test_who_comes_later_waits_for_a_slow_writer_and_readers_skip_nothing(
    where: str, processes: list[Store], house: House, *, commits: bool
) -> None:
    """The first of three has its positions, and takes its time. If it gives up, there is no hole either."""
    slow, *others, _ = processes
    sink = FakeSink()
    dispatcher = house.dispatcher(sink)
    quick: list[asyncio.Task[int]] = []
    async with asyncio.timeout(STUCK):
        try:
            async with writing(slow) as connection:
                await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
                assert await connection.run_sync(appending.append, some_events("a", 1, 2, 3), NOON)
                for store, writer in zip(others, "bc", strict=True):
                    quick.append(asyncio.create_task(commit(store, writer, 1, 2)))
                    await until_they_wait(where, quick)
                assert await positions(where) == []
                await house.until_quiet(dispatcher)
                assert (sink.accepted, (await house.store.outbox.sink("crm")).cursor) == ([], 0)
                assert not any(one.done() for one in quick)
                if not commits:
                    raise RolledBack  # noqa: TRY301  # out of the transaction
        except RolledBack:
            assert not commits
        assert await asyncio.gather(*quick) == [2, 2]
        await house.until_quiet(dispatcher)
    first = ["a1", "a2", "a3"] if commits else []
    assert sorted(sink.accepted) == [*first, "b1", "b2", "c1", "c2"]
    # Of two who wait for a row PostgreSQL may let the later one go first: the other finds it changed, and waits anew.
    either = [[*first, "b1", "b2", "c1", "c2"], [*first, "c1", "c2", "b1", "b2"]]
    assert await positions(where) in [list(enumerate(one, 1)) for one in either], "no hole, each page in one piece"
    assert await house.store.outbox.missed("crm") == 0


@pytest.mark.parametrize("seed", range(3))
async def test_whoever_reads_on_behind_what_it_saw_sees_everything_in_order(
    where: str, processes: list[Store], house: House, seed: int
) -> None:
    """Several write at random, take their time before they commit, or give up; somebody reads all the while."""
    rng = random.Random(seed)
    plans = [(store, writer, random.Random(rng.random())) for store, writer in zip(processes, "abcd", strict=True)]
    ended = asyncio.Event()
    seen: list[tuple[int, str]] = []

    async def read_on() -> None:
        over = False
        while not over:
            over = ended.is_set()  # before the last look, and not after it
            found = await house.store.outbox.read("crm", rng.randrange(1, 6), after=seen[-1][0] if seen else 0)
            seen.extend((one.position, one.event.id) for one in found)
            over = over and not found

    async with asyncio.timeout(STUCK), asyncio.TaskGroup() as group:
        group.create_task(read_on())
        await asyncio.gather(*(write_at_random(*plan) for plan in plans))
        ended.set()
    there = await positions(where)
    assert seen == there, f"seed {seed}: {set(there) - set(seen)} were skipped"
    assert [position for position, _ in there] == list(range(1, len(there) + 1)), f"seed {seed}: there are holes"
    assert len({event_id[0] for _, event_id in there}) == WRITERS


async def write_at_random(store: Store, writer: str, rng: random.Random) -> None:
    """Write pages of any size, and ask for something else between the last event and the commit."""
    for page in range(PAGES):
        try:
            async with writing(store) as connection:
                numbers = range(page * 10, page * 10 + rng.randrange(1, 5))
                await connection.run_sync(appending.append, some_events(writer, *numbers), NOON)
                for _ in range(rng.randrange(6)):
                    await connection.execute(text("SELECT 1"))
                if rng.random() < 0.2:
                    raise RolledBack  # noqa: TRY301  # out of the transaction
        except RolledBack:
            continue
