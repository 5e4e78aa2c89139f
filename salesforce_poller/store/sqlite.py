"""The door to a file of SQLite's: WAL mode with ``synchronous=FULL``, so that what is committed is on disk.

One writes at a time (SQLite has one writer anyway), others read beside it. ``lock.py`` keeps other processes out. What
is done in one go is done by plain connections, each in a thread of its own; the rest goes through aiosqlite.
"""

import asyncio
import functools
import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from salesforce_poller.errors import NoStore, StoreError
from salesforce_poller.store.database import Begin, Work
from salesforce_poller.store.lock import Lock

T = TypeVar("T")
#: Milliseconds to wait for another connection of this process, or for a reading command, to let go.
_BUSY_TIMEOUT = 5000
#: Of the readers; and for how many seconds somebody waits for one of them before that is an error.
_CONNECTIONS, _PATIENCE = 5, 300.0
#: Bytes of a page, of a file that is made now; SQLite's own 4 KB are four times as many writes for a page of records.
_PAGE = 16_384
#: Pages in the write-ahead log before they are taken over into the file: 32 MB. With SQLite's own 4 MB that happened
#: with each page of 2,000 records, and the same pages of the file were written again and again.
_CHECKPOINT = 2_000
#: Kilobytes of pages that a connection keeps: SQLite's own 2,000 for who writes; for the others the system keeps them.
_KEPT, _KEPT_LOOKING = 2_000, 500
#: What is set for each connection.
_PRAGMAS = (
    f"page_size={_PAGE}",  # has to be said first
    "journal_mode=WAL",
    "synchronous=FULL",
    f"wal_autocheckpoint={_CHECKPOINT}",
    f"busy_timeout={_BUSY_TIMEOUT}",
    "foreign_keys=ON",
)


class SqliteFile:
    """A file. Satisfies ``database.py:Door``."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).resolve()  # one file has one lock, by whatever name it is opened
        self.lock = Lock(self._path)
        self._turn = asyncio.Lock()
        self._writer, writing = _engines(self._path, begin="BEGIN IMMEDIATE", kept=_KEPT)
        self._reader, reading = _engines(self._path, begin="BEGIN", kept=_KEPT_LOOKING)
        self._writes, self._looks = _Room(writing, "store-writes"), _Room(reading, "store-looks")

    @property
    def name(self) -> str:
        """See ``Door``."""
        return str(self._path)

    async def prepare(self, *, writable: bool) -> None:
        """See ``Door``."""
        if writable:
            self.lock.take()
        elif not self._path.exists():
            raise NoStore(f"there is no store at {self._path}; it is made by the first `salesforce-poller run`")
        try:
            if writable:
                # It holds the records' last values: for nobody else's eyes. SQLite gives its other files the same mode.
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            # First without aiosqlite: where it cannot open a file, it leaves a thread behind.
            sqlite3.connect(self._path).close()
        except (sqlite3.Error, OSError) as exc:
            raise StoreError(f"cannot use the store {self._path}: {exc}") from exc

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """See ``Door``."""
        return self._reader.begin()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """See ``Door``. One at a time, in the order of asking."""
        async with self._turn, self._writer.begin() as connection:
            yield connection

    async def look(self, work: Work[T]) -> T:
        """See ``Door``."""
        return await self._looks.do(work)

    async def visit(self, begin: Begin[T]) -> T:
        """See ``Door``."""
        async with self._turn:
            return await self._writes.do(begin())

    def take_turns(self, connection: Connection) -> None:
        """See ``Door``: who may write is alone."""

    def tell(self, connection: Connection, texts: Sequence[str]) -> None:
        """See ``Door``: there is nobody else."""

    def is_away(self, error: BaseException) -> bool:  # noqa: ARG002  # the door's signature
        """See ``Door``: a file does not come back by itself."""
        return False

    async def close(self) -> None:
        """See ``Door``."""
        await self._writes.close()
        await self._looks.close()
        await self._writer.dispose()
        await self._reader.dispose()
        self.lock.release()


class _Room:
    """A thread with a connection: what is done there goes to it once, and comes back once."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._thread: ThreadPoolExecutor | None = None
        self._held: Connection | None = None

    async def do(self, work: Work[T]) -> T:
        """Let ``work`` be a transaction. Whoever is called away meanwhile goes when it has ended."""
        self._thread = self._thread or ThreadPoolExecutor(1, thread_name_prefix=self._name)
        doing = asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)
        try:
            return await asyncio.shield(doing)
        finally:
            while not doing.done():  # the file is not free for the next one before
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([doing])
            if not doing.cancelled():  # what nobody hears of, asyncio would log; it may hold what was to be written
                doing.exception()

    async def close(self) -> None:
        """Close the connection."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            await asyncio.get_running_loop().run_in_executor(thread, self._let_go)
            thread.shutdown(wait=False)
        self._engine.dispose()

    def _transact(self, work: Work[T]) -> T:
        if self._held is None:
            self._held = self._engine.connect()
        try:
            with self._held.begin():
                return work(self._held)
        except StopIteration as exc:  # the one error that no future takes: who waits would do so for ever
            self._begin_anew()
            raise RuntimeError("what is done in a transaction let a StopIteration out") from exc
        except BaseException:
            self._begin_anew()
            raise

    def _begin_anew(self) -> None:
        """Let the next one have a new connection, whatever it was."""
        assert self._held is not None
        self._held.invalidate()
        self._let_go()

    def _let_go(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            held.close()


def _engines(path: Path, *, begin: str, kept: int) -> tuple[AsyncEngine, Engine]:
    """Return the same for the event loop and for threads; neither connects before it is asked to."""
    plain = create_engine(URL.create("sqlite", database=str(path)), hide_parameters=True)
    url = URL.create("sqlite+aiosqlite", database=str(path))
    # A few threads read as fast as many, and those beyond the pool's size would be started anew for each look.
    engine = create_async_engine(
        url, pool_size=_CONNECTIONS, max_overflow=0, pool_timeout=_PATIENCE, hide_parameters=True
    )

    # A statement of many rows keeps each page as it was, in case that it fails; in a file if nobody says otherwise, as
    # many bytes again as the rows. In memory, but not where the schema is changed: that sorts whole tables.
    for each, more in ((plain, ("temp_store=MEMORY",)), (engine.sync_engine, ())):
        event.listen(each, "connect", functools.partial(_prepare, pragmas=(*_PRAGMAS, f"cache_size=-{kept}", *more)))

    @event.listens_for(engine.sync_engine, "invalidate")
    def _undo(connection: Any, _record: Any, _error: BaseException | None) -> None:
        # Whoever was called away in the middle of a transaction leaves a look at the tables open, which keeps the
        # connection alive behind its end, and everybody else locked out, until somebody collects the garbage.
        with suppress(sqlite3.Error, ValueError):  # the latter: it is closed already
            connection.rollback()

    @event.listens_for(plain, "begin")
    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine, plain


def _prepare(connection: Any, _record: Any, *, pragmas: Sequence[str]) -> None:
    """Set up a new connection."""
    try:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except BaseException:
        connection.close()  # it is not the pool's yet, and would keep its thread
        raise
