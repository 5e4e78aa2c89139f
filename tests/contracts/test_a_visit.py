"""store/sqlite.py: what is done in a thread in one go, and who is called away from it."""

import asyncio
import gc
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select, text

from salesforce_poller.store.database import Database
from salesforce_poller.store.sqlite import SqliteFile
from salesforce_poller.store.tables import calls

SECRET = "Anna's salary"
STUCK = 30.0


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A new one."""
    made = Database(SqliteFile(str(tmp_path / "store.db")))
    await made.open()
    yield made
    await made.close()


def write(connection: Connection, minute: int) -> None:
    """Write the row of a minute."""
    connection.execute(insert(calls), {"org": "acme", "minute": minute, "calls": 1})


def count(connection: Connection) -> int:
    """Count what is on disk."""
    return connection.execute(select(func.count()).select_from(calls)).scalar_one()


async def test_who_is_called_away_goes_when_the_transaction_has_ended(database: Database) -> None:
    """The next one finds the file free, and what was written."""
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(connection: Connection) -> None:
        write(connection, 1)
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(STUCK)

    async with asyncio.timeout(STUCK):
        gone = asyncio.create_task(database.write_at_once(work))
        await begun.wait()
        gone.cancel()
        await asyncio.sleep(0)  # noqa: TID251  # a turn of the loop, not a wait
        gone.cancel()  # impatiently
        await asyncio.sleep(0)  # noqa: TID251  # as above
        assert not gone.done()
        go_on.set()
        await asyncio.wait([gone])
    assert gone.cancelled()
    await database.write_at_once(lambda connection: write(connection, 2))
    assert await database.look(count) == 2


async def test_what_fails_when_its_caller_is_gone_tells_no_log_what_was_to_be_written(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Errors that nobody has heard of are logged by asyncio, and SQLAlchemy's name what was handed over."""
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work(connection: Connection) -> None:
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(STUCK)
        connection.execute(text("INSERT INTO nowhere VALUES (:secret)"), {"secret": SECRET})

    with caplog.at_level(logging.DEBUG):
        async with asyncio.timeout(STUCK):
            gone = asyncio.create_task(database.write_at_once(work))
            await begun.wait()
            gone.cancel()
            await asyncio.sleep(0)  # noqa: TID251  # a turn of the loop, not a wait
            go_on.set()
            await asyncio.wait([gone])
        assert gone.cancelled()
        del gone
        gc.collect()
        await asyncio.sleep(0)  # noqa: TID251  # as above
    assert SECRET not in caplog.text
    assert "never retrieved" not in caplog.text


async def test_an_error_that_no_future_takes_is_told_as_another(database: Database) -> None:
    """Whoever waited for it would wait for ever."""

    def work(connection: Connection) -> None:
        write(connection, 1)
        next(iter(()))

    async with asyncio.timeout(STUCK):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await database.write_at_once(work)
        assert await database.look(count) == 0
        await database.write_at_once(lambda connection: write(connection, 1))
        assert await database.look(count) == 1


async def test_errors_do_not_say_what_was_handed_over(database: Database) -> None:
    """Not even to who asks for all of it: a defect's whole text ends up in a log."""

    def work(connection: Connection) -> None:
        connection.execute(text("INSERT INTO nowhere VALUES (:secret)"), {"secret": SECRET})

    with pytest.raises(Exception, match="nowhere") as told:
        await database.write_at_once(work)
    error: BaseException | None = told.value
    while error is not None:
        assert SECRET not in str(error)
        error = error.__cause__
