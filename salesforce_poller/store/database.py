"""The one file that opens the database: connections, transactions, the schema's version. ``lock.py`` guards it.

SQLite runs in WAL mode with ``synchronous=FULL``: what is committed is on disk. One connection writes (SQLite has one
writer anyway), others read beside it. Used by ``feeds.py`` and ``outbox.py``; opened by ``store.py``.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from salesforce_poller.errors import SchemaTooNew, StoreError, capped
from salesforce_poller.store.lock import Lock

#: Milliseconds to wait for another connection of this process, or for a reading command, to let go.
_BUSY_TIMEOUT = 5000


class Database:
    """An open database file. ``writable=False`` is for looking at a store that a daemon may be using."""

    def __init__(self, path: str, *, writable: bool = True) -> None:
        self._path = Path(path).resolve()  # one file has one lock, by whatever name it is opened
        self.lock = Lock(self._path)
        self._writable = writable
        self._write_lock = asyncio.Lock()
        self._writer = _engine(self._path, begin="BEGIN IMMEDIATE")
        self._reader = _engine(self._path, begin="BEGIN")

    async def open(self) -> None:
        """Take the lock, bring the schema up to date.

        Raises:
            StoreInUse: another process has the file.
            SchemaTooNew: a newer version of this program wrote it.
            StoreError: it is no database, or cannot be written.
        """
        if self._writable:
            self.lock.take()
        elif not self._path.exists():
            raise StoreError(f"there is no store at {self._path}; it is made by the first `salesforce-poller run`")
        try:
            if self._writable:
                # It holds the records' last values: for nobody else's eyes. SQLite gives its other files the same mode.
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            # First without aiosqlite: where it cannot open a file, it leaves a thread behind.
            sqlite3.connect(self._path).close()
            async with (self._writer if self._writable else self._reader).connect() as connection:
                await connection.run_sync(_upgrade if self._writable else _check_version)
        except (DBAPIError, sqlite3.Error, OSError) as exc:
            await self.close()
            raise StoreError(f"cannot use the store {self._path}: {capped(str(exc.__cause__ or exc))}") from exc
        except StoreError:
            await self.close()
            raise

    async def close(self) -> None:
        """Close every connection and give the lock back."""
        await self._writer.dispose()
        await self._reader.dispose()
        self.lock.release()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """One consistent look at the database."""
        with self._our_errors():
            async with self._reader.begin() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: all of it is on disk when this returns, or none of it ever will be."""
        with self._our_errors():
            async with self._write_lock, self._writer.begin() as connection:
                yield connection

    @contextmanager
    def _our_errors(self) -> Iterator[None]:
        """Say a full disk, a lost file or a broken page in our own words."""
        try:
            yield
        except DBAPIError as exc:
            raise StoreError(f"the store {self._path} failed: {capped(str(exc.orig))}") from exc


def migrations_folder() -> Path:
    """Find the migrations: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def _engine(path: Path, *, begin: str) -> AsyncEngine:
    engine = create_async_engine(URL.create("sqlite+aiosqlite", database=str(path)))

    @event.listens_for(engine.sync_engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        try:
            connection.isolation_level = None  # we say BEGIN ourselves, below
            cursor = connection.cursor()
            for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_BUSY_TIMEOUT}", "foreign_keys=ON"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()
        except BaseException:
            connection.close()  # it is not the pool's yet, and would keep its thread
            raise

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _alembic() -> AlembicConfig:
    config = AlembicConfig()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))  # "%" is ConfigParser's
    return config


def _check_version(connection: Connection) -> None:
    """Refuse a schema that is not exactly ours. Looking at an older one would need an upgrade first."""
    have = _known_version(connection)
    head = ScriptDirectory.from_config(_alembic()).get_current_head()
    if have != head:
        raise StoreError("the store is of an older version; `salesforce-poller run` upgrades it")


def _upgrade(connection: Connection) -> None:
    _known_version(connection)
    connection.rollback()
    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    connection.commit()


def _known_version(connection: Connection) -> str | None:
    have = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(_alembic()).walk_revisions()}
    if have is not None and have not in known:
        raise SchemaTooNew(
            f"a newer version of salesforce-poller wrote this store (schema {have}); upgrade the program"
        )
    return have
