"""store/together.py: who comes while a transaction is under way shares the next, and hears how it ended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from builders import NOON, watermarks
from sqlalchemy import Executable, Select, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from salesforce_poller.errors import StoreError
from salesforce_poller.store.database import Database
from salesforce_poller.store.sqlite import SqliteFile
from salesforce_poller.store.store import Store
from salesforce_poller.store.tables import calls
from salesforce_poller.store.together import Row, Take, Together

ALL: Select[int] = select(func.count()).select_from(calls)


def a_row(_dialect: str) -> Executable:
    """A row that must not be there yet."""
    return insert(calls)


def nonsense(_dialect: str) -> Executable:
    """No database takes this."""
    return text("INSERT INTO nowhere VALUES (1)")


def call(minute: int) -> Row:
    """The row of a minute."""
    return {"org": "acme", "minute": minute, "calls": 1}


class Counted:
    """A database whose transactions are counted."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.transactions = 0
        self.together = Together(self.write)

    async def write(self, take: Take) -> None:
        """One transaction."""
        self.transactions += 1
        await self.database._visit(take)

    async def rows(self) -> int:
        """Count what is on disk."""
        async with self.database.read() as connection:
            return (await connection.execute(ALL)).scalar_one()


@pytest.fixture
async def counted(tmp_path: Path) -> AsyncIterator[Counted]:
    """A new one."""
    database = Database(SqliteFile(str(tmp_path / "store.db")))
    await database.open()
    made = Counted(database)
    yield made
    await made.together.rest()
    await database.close()


async def test_a_hundred_callers_share_a_transaction_and_find_their_rows_on_disk(counted: Counted) -> None:
    """One for the first, perhaps, and one for all who came meanwhile."""

    async def put(minute: int) -> None:
        await counted.together.put((a_row, call(minute)))
        async with counted.database.read() as connection:
            mine = ALL.where(calls.c.minute == minute)
            assert (await connection.execute(mine)).scalar_one() == 1

    await asyncio.gather(*(put(minute) for minute in range(100)))
    assert counted.transactions <= 2


async def test_all_who_shared_a_transaction_hear_that_it_failed_and_the_next_one_works(counted: Counted) -> None:
    """Nothing of it is on disk."""
    ends = await asyncio.gather(
        counted.together.put((a_row, call(1))),
        counted.together.put((nonsense, {})),
        counted.together.put((a_row, call(2)), (a_row, call(3))),
        return_exceptions=True,
    )
    assert [type(end) for end in ends] == [StoreError] * 3
    assert await counted.rows() == 0
    await counted.together.put((a_row, call(1)))
    assert await counted.rows() == 1


async def test_who_waits_for_a_transaction_that_cannot_begin_hears_of_it(tmp_path: Path) -> None:
    """And does not wait for ever."""

    async def away(_take: Take) -> None:
        raise StoreError("the database is away")

    with pytest.raises(StoreError, match="away"):
        await Together(away).put((a_row, call(1)))


async def test_a_caller_that_is_called_off_takes_nobody_with_it(counted: Counted) -> None:
    """The row of the others is written; its own may be."""
    gone = asyncio.create_task(counted.together.put((a_row, call(1))))
    stays = asyncio.create_task(counted.together.put((a_row, call(2))))
    await asyncio.sleep(0)  # noqa: TID251  # a turn of the loop, not a wait
    gone.cancel()
    await stays
    assert gone.cancelled()
    assert await counted.rows() >= 1


async def test_what_a_caller_wanted_who_was_called_off_before_is_not_written(counted: Counted) -> None:
    """Who works in its place by then has looked at the rows, and must not find others."""
    async with counted.database.write():
        gone = asyncio.create_task(counted.together.put((a_row, call(1))))
        await asyncio.sleep(0)  # noqa: TID251  # a turn of the loop, not a wait
        gone.cancel()
        await asyncio.wait([gone])
    assert gone.cancelled()
    await counted.together.put((a_row, call(2)))
    assert await counted.rows() == 1


async def test_a_database_is_closed_after_what_is_under_way(tmp_path: Path) -> None:
    """Also where the caller does not wait for it any more."""
    taken, loop = asyncio.Event(), asyncio.get_running_loop()

    def noted(dialect: str) -> Executable:
        loop.call_soon_threadsafe(taken.set)
        return a_row(dialect)

    database = Database(SqliteFile(str(tmp_path / "store.db")))
    await database.open()
    gone = asyncio.create_task(database.put((noted, call(1))))
    await taken.wait()
    gone.cancel()
    await database.close()
    again = Database(SqliteFile(str(tmp_path / "store.db")))
    await again.open()
    async with again.read() as connection:
        assert (await connection.execute(ALL)).scalar_one() == 1
    await again.close()


async def test_feeds_that_begin_together_look_at_their_watermarks_together(tmp_path: Path) -> None:
    """One look for an org of ten objects; who asks later looks anew."""
    looks: list[AsyncConnection] = []
    async with Store(str(tmp_path / "store.db")) as store:
        read = store._database.read

        @asynccontextmanager
        async def counted() -> AsyncIterator[AsyncConnection]:
            async with read() as connection:
                looks.append(connection)
                yield connection

        store._database.read = counted  # type: ignore[method-assign]  # counts, and is otherwise the same
        names = [f"Thing{number}__c" for number in range(10)]
        assert await asyncio.gather(*(store.feeds.watermarks("acme", name) for name in names)) == [None] * 10
        assert len(looks) == 1
        await store.feeds.commit_page("acme", names[3], events=[], sightings=[], marks=watermarks(), at=NOON)
        found = await asyncio.gather(*(store.feeds.watermarks("acme", name) for name in names))
        assert found == [watermarks() if name == names[3] else None for name in names]


async def test_a_look_that_fails_is_told_to_all_and_the_next_one_looks_anew(tmp_path: Path) -> None:
    """Nobody is left with the failure of another moment."""
    async with Store(str(tmp_path / "store.db")) as store:
        read = store._database.read

        @asynccontextmanager
        async def away() -> AsyncIterator[AsyncConnection]:
            raise StoreError("the database is away")
            yield

        store._database.read = away  # type: ignore[method-assign]  # as a server that is being restarted
        asked = [store.feeds.watermarks("acme", name) for name in ("Lead", "Contact")]
        ends = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(end) for end in ends] == [StoreError] * 2
        store._database.read = read  # type: ignore[method-assign]  # it is there again
        assert await store.feeds.watermarks("acme", "Lead") is None
