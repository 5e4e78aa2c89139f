"""The door to a mirror's database: one connection, its transactions, and its tables as they are.

Opened by ``sql.py``; the only file beside the store that knows SQLAlchemy, which gives PostgreSQL and SQLite one face.
What the statements are is decided in ``mirror.py``. Everything here may raise one of :data:`TROUBLE`; what that means,
``judge`` says by ``sql_errors.py``.
"""

import asyncio
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction, create_async_engine
from sqlalchemy.pool import NullPool

from salesforce_poller.model import Receipt
from salesforce_poller.sinks import mirror, sql_errors
from salesforce_poller.sinks.mirror import NoMirrorError, Row, Table
from salesforce_poller.sinks.mirror_columns import Column, Columns, Database, short

#: What may go wrong between us and a database.
TROUBLE = (SQLAlchemyError, sqlite3.Error, OSError, NoMirrorError)
#: Records are people's data: not for everybody on the machine.
_MODE = 0o640
#: Two daemons may mirror into the same tables: only one of them changes these at a time.
_CHANGING = "SELECT pg_advisory_xact_lock(hashtext('salesforce-poller mirror'))"
_COLUMNS = """
    SELECT a.attname, format_type(a.atttypid, -1) FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = coalesce($1::text, current_schema()) AND c.relname = $2::text
        AND a.attnum > 0 AND NOT a.attisdropped
"""
_FACTS = """
    SELECT current_setting('server_version'), coalesce($1::text, current_schema()),
        coalesce(has_schema_privilege(to_regnamespace(quote_ident(coalesce($1::text, current_schema()))), 'CREATE'),
            $1::text IS NOT NULL AND has_database_privilege(current_database(), 'CREATE')),
        current_setting('transaction_read_only'), current_setting('synchronous_commit'), current_setting('fsync')
"""


class Door:
    """A database to mirror into: a file of SQLite's, or a PostgreSQL by its address.

    ``timeout`` bounds a statement, and the wait for a lock. What is in ``secrets`` is in no receipt.
    """

    def __init__(
        self,
        *,
        url: str,
        file: Path | None,
        schema: str | None,
        prefix: str,
        timeout: timedelta,
        secrets: Sequence[str],
    ) -> None:
        self.database = Database.SQLITE if file else Database.POSTGRESQL
        self._file = file
        self._schema = schema
        self._prefix = prefix
        self._timeout = timeout
        self._secrets = secrets
        self._engine = _sqlite(file, timeout) if file else _postgresql(url, timeout)
        self._connection: AsyncConnection | None = None
        #: As they were last seen, by name without the prefix.
        self._tables: dict[str, Table] = {}

    async def write(self, rows: Sequence[Row], described: Mapping[str, Columns]) -> None:
        """Bring rows up to date in the order of their events; those that are alike, together.

        ``described`` are columns that a table shall have, by its name without the prefix.
        """
        connection = await self._connected()
        for name, together in groupby(rows, key=lambda row: row.table):
            of_table = list(together)
            table = await self._table(connection, name, of_table, described.get(name, {}))
            made = [mirror.upsert(table, row, self.database) for row in of_table]
            for statement, alike in groupby(made, key=lambda one: one[0]):
                await connection.exec_driver_sql(statement, [tuple(values) for _, values in alike])

    async def savepoint(self) -> AsyncTransaction:
        """Begin what can be taken back alone."""
        return await (await self._connected()).begin_nested()

    async def commit(self) -> None:
        """Put it on disk."""
        await (await self._connected()).commit()

    async def rollback(self) -> None:
        """Take everything back since the last commit."""
        self.forget()
        await (await self._connected()).rollback()

    def forget(self) -> None:
        """Look at the tables anew: what was thought of them was taken back, or is no longer so."""
        self._tables.clear()

    async def facts(self) -> dict[str, Any]:
        """Return what a check wants to know; an SQLite file is locked for writing and let go."""
        connection = await self._connected()
        if self.database is Database.SQLITE:
            await connection.exec_driver_sql("SELECT 1")
            return {"version": sqlite3.sqlite_version}
        names = ("version", "schema", "may_create", "read_only", "synchronous_commit", "fsync")
        found = await connection.exec_driver_sql(_FACTS, (self._schema,))
        return dict(zip(names, found.one(), strict=True))

    async def drop(self) -> None:
        """Let go of a connection that may be half dead: without a word to the other side, which may not answer."""
        connection, self._connection = self._connection, None
        self.forget()
        if connection is None:
            return
        raw = connection.sync_connection
        if raw is not None and self.database is Database.POSTGRESQL and not raw.invalidated:
            driver: Any = raw.connection.driver_connection
            driver.terminate()
        with suppress(*TROUBLE):
            await connection.invalidate()
        with suppress(*TROUBLE):
            await connection.close()

    async def close(self) -> None:
        """Let go of everything; a transaction that is open comes to nothing."""
        await self.drop()
        await self._engine.dispose()

    def judge(self, exc: BaseException) -> Receipt:
        """Say what an exception means. Its text is the database's own: that of the statement would show values."""
        cause = getattr(exc, "orig", None) or exc
        if isinstance(cause, NoMirrorError):
            return sql_errors.no_mirror(str(cause))
        if isinstance(cause, sqlite3.Error):
            return sql_errors.of_sqlite(getattr(cause, "sqlite_errorname", ""), str(cause))
        text = sql_errors.masked(str(cause), self._secrets)
        if isinstance(cause, TimeoutError):
            text = f"no answer within {self._timeout.total_seconds():g} s"
        if isinstance(cause, OSError):
            return sql_errors.of_connection(f"cannot reach the database: {text}")
        return sql_errors.of_postgresql(getattr(cause, "sqlstate", None) or "", text)

    async def _connected(self) -> AsyncConnection:
        if self._connection is None:
            if self._file:
                await asyncio.to_thread(_prepare, self._file)
            self._connection = await self._engine.connect()
        return self._connection

    async def _table(self, connection: AsyncConnection, name: str, rows: Sequence[Row], described: Columns) -> Table:
        """Return the table, made or changed so that these rows fit."""
        table = self._tables.get(name) or await self._look(connection, name)
        if mirror.changes(table, rows, described, self.database):
            if self.database is Database.POSTGRESQL:
                await connection.exec_driver_sql(_CHANGING)
                await self._make_schema(connection)
                table = await self._look(connection, name)  # somebody else may have been faster
            for statement in mirror.changes(table, rows, described, self.database):
                await connection.exec_driver_sql(statement)
            table = await self._look(connection, name)
        self._tables[name] = table
        return table

    async def _look(self, connection: AsyncConnection, name: str) -> Table:
        own = short(self._prefix + name)
        found: Any
        if self.database is Database.SQLITE:
            found = await connection.exec_driver_sql("SELECT name, type FROM pragma_table_info(?1)", (own,))
        else:
            found = await connection.exec_driver_sql(_COLUMNS, (self._schema, own))
        whole = mirror.quoted(own) if self._schema is None else f"{mirror.quoted(self._schema)}.{mirror.quoted(own)}"
        return Table(whole, {each[0].lower(): Column(each[0], each[1]) for each in found})

    async def _make_schema(self, connection: AsyncConnection) -> None:
        """Make the schema. Whether it is there is asked first: who may not make one may still use it."""
        if self._schema is None:
            return
        found = await connection.exec_driver_sql("SELECT to_regnamespace(quote_ident($1::text))::text", (self._schema,))
        if found.scalar() is None:
            await connection.exec_driver_sql(f"CREATE SCHEMA {mirror.quoted(self._schema)}")


def _postgresql(url: str, timeout: timedelta) -> AsyncEngine:
    """The driver reads the address itself, so that it understands all that libpq's do.

    When we no longer wait, the server does not either: what it would still do then would only be in the way.
    """
    limit = f"'{timeout // timedelta(milliseconds=1)}ms'"

    async def connect(*_args: Any, **_more: Any) -> Any:
        import asyncpg  # noqa: PLC0415  # an extra: imported when such a sink is built

        try:
            made = await asyncpg.connect(url, server_settings={"application_name": "salesforce-poller"})
        except OSError:
            raise  # a certificate that is not trusted is a ValueError too
        except ValueError as exc:  # the address; its text may hold the password
            raise ConnectionError("the url cannot be read") from exc
        try:
            await made.execute(f"SET lock_timeout = {limit}; SET statement_timeout = {limit}")
        except BaseException:
            made.terminate()  # it is nobody's yet
            raise
        return made

    return create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)


def _sqlite(path: Path, timeout: timedelta) -> AsyncEngine:
    """Each commit is on disk, and others may read meanwhile."""
    engine = create_async_engine(URL.create("sqlite+aiosqlite", database=str(path)), poolclass=NullPool)

    @event.listens_for(engine.sync_engine, "connect")
    def _begin_ourselves(connection: Any, _record: Any) -> None:
        try:
            connection.isolation_level = None
            cursor = connection.cursor()
            busy = timeout // timedelta(milliseconds=2)  # so that the answer comes before the time is over
            for pragma in (f"busy_timeout={busy}", "journal_mode=WAL", "synchronous=FULL"):
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()
        except BaseException:
            connection.close()  # it is not the pool's yet, and would keep its thread
            raise

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _prepare(path: Path) -> None:
    """Make the file, for few to read, and see that it opens: where aiosqlite cannot, it leaves a thread behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, _MODE))
    connection = sqlite3.connect(path)
    try:
        connection.execute("SELECT 1 FROM sqlite_master").close()
    finally:
        connection.close()
