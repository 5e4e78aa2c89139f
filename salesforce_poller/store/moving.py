"""Moves a store from an SQLite file into an empty PostgreSQL database. For ``salesforce-poller db migrate-to``.

All of it is one transaction on the other side, the schema included: a store that is copied by half is never seen, by
nobody, and the file is only read. While it lasts we have the file's lock, so that no daemon goes on in what is left
behind, and the locks of the tables, so that none begins in what is not there yet.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import BigInteger, Connection, Table, Text, func, inspect, select, text, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from salesforce_poller.errors import NoStore, StoreAway, StoreError, capped
from salesforce_poller.store import schema
from salesforce_poller.store.database import Database
from salesforce_poller.store.postgresql import Postgresql
from salesforce_poller.store.sqlite import SqliteFile
from salesforce_poller.store.tables import EVENTS, Instant, Words, counters, metadata

#: Rows that are in memory at a time: some have hundreds of kilobytes.
_ROWS = 500
#: About processes that were alive, and not about what they have done: nothing to take along.
_OF_PROCESSES = frozenset({"processes", "leases"})
#: Between two batches we read from a file, which takes a moment on a slow disk; a daemon's transactions are quicker.
_STANDSTILL = "SET LOCAL idle_in_transaction_session_timeout = '5min'"
_WORDS = Words()

#: Told after each batch: the table, and how many of its rows are copied.
Told = Callable[[str, int], None]


class Source:
    """A store in a file as it is at one moment; nobody writes to it meanwhile."""

    def __init__(self, connection: AsyncConnection, name: str, counts: Mapping[str, int]) -> None:
        self._connection = connection
        self.name = name
        #: How many rows there are to copy, by table; in the order in which they are.
        self.counts = counts

    async def copy_to(self, url: str, told: Told) -> None:
        """Copy it all into an empty PostgreSQL database, and count it there.

        Raises:
            StoreAway: the server is not there, or went away.
            StoreError: there is something in the database already, it may not be written, or it does not take what is
                copied; nothing has changed there.
        """
        door = Postgresql(url, limit=None)
        database = Database(door, upgrade=False)
        try:
            async with database.write() as target:
                await target.run_sync(_make_ready, door)
                for name in self.counts:
                    await self._copy(target, metadata.tables[name], told)
                await self._prove(target)
                for name in self.counts:
                    await target.execute(text(f"ANALYZE {name}"))  # our own name; else the first hours would be slow
        finally:
            await database.close()

    async def _copy(self, target: AsyncConnection, table: Table, told: Told) -> None:
        raw: Any = (await target.get_raw_connection()).driver_connection
        names = [column.name for column in table.columns]
        done = 0
        async with self._rows(table) as batches:
            async for rows in batches:
                try:
                    await raw.copy_records_to_table(table.name, records=rows, columns=names)
                except (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError) as exc:
                    raise StoreAway(f"the server went away while {table.name} were copied: {_said(exc)}") from exc
                except (asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
                    raise StoreError(f"{table.name} cannot be copied: {_said(exc)}") from exc
                done += len(rows)
                told(table.name, done)
        await target.run_sync(_number_on, table)

    @asynccontextmanager
    async def _rows(self, table: Table) -> AsyncIterator[AsyncIterator[Sequence[Any]]]:
        """Read a table in batches, as PostgreSQL takes it: instants as numbers, and no NUL in what others said."""
        wanted = [
            type_coerce(column, BigInteger).label(column.name) if isinstance(column.type, Instant) else column
            for column in table.columns
        ]
        words = [number for number, column in enumerate(table.columns) if isinstance(column.type, Words)]
        found = await self._connection.stream(select(*wanted), execution_options={"yield_per": _ROWS})

        async def batches() -> AsyncIterator[Sequence[Any]]:
            async for rows in found.partitions(_ROWS):
                yield [self._cleaned(row, words) for row in rows] if words else rows

        try:
            yield batches()
        finally:
            await found.close()

    def _cleaned(self, row: Any, words: Sequence[int]) -> list[Any]:
        values = list(row)
        for number in words:
            values[number] = _WORDS.process_bind_param(values[number], self._connection.dialect)
        return values

    async def _prove(self, target: AsyncConnection) -> None:
        """See that each table has as many rows as it should."""
        for name, wanted in self.counts.items():
            found = (await target.execute(select(func.count()).select_from(metadata.tables[name]))).scalar_one()
            if found != wanted:
                raise StoreError(
                    f"{name}: {found:,} rows arrived, of {wanted:,}; nothing was kept, the file is as it was"
                )


@asynccontextmanager
async def source(path: Path) -> AsyncIterator[Source]:
    """Take a store in a file for copying: no daemon can start on it until the block is left.

    Raises:
        NoStore: there is none.
        StoreInUse: a daemon is running.
        StoreError: it is no store, or its schema is not this program's: upgrade it first.
    """
    await asyncio.to_thread(_see_that_it_is_there, path)
    database = Database(SqliteFile(str(path)), upgrade=False)
    await database.open()
    try:
        async with database.read() as connection:
            names = [str(table.name) for table in metadata.sorted_tables if table.name not in _OF_PROCESSES]
            counts = {
                name: (await connection.execute(select(func.count()).select_from(metadata.tables[name]))).scalar_one()
                for name in names
            }
            yield Source(connection, database.name, counts)
    finally:
        await database.close()


def _see_that_it_is_there(path: Path) -> None:
    if not path.exists():
        raise NoStore(f"there is no store at {path.resolve()}")


def _make_ready(target: Connection, door: Postgresql) -> None:
    """Make the tables, keep everybody else out of them, and see that nothing is in them. Raises StoreError."""
    target.execute(text(_STANDSTILL))
    door.take_turns(target)
    strange = sorted(metadata.tables.keys() & inspect(target).get_table_names())
    if strange and schema.version(target) is None:
        raise StoreError(f"{door.name} has tables of these names that are not this program's: {', '.join(strange)}")
    schema.upgrade(target)
    target.execute(text(f"LOCK TABLE {', '.join(metadata.tables)} IN ACCESS EXCLUSIVE MODE"))
    full = [name for name, table in metadata.tables.items() if target.execute(_anything_in(table)).first()]
    if full:
        raise StoreError(
            f"{door.name} is not empty: there are rows in {', '.join(sorted(full))}. "
            "A store is copied into an empty database only: make a new one, or drop these tables and alembic_version"
        )
    target.execute(counters.delete())


def _anything_in(table: Table) -> Any:
    """Ask for a row; a counter that has counted nothing is none."""
    if table is counters:
        return select(counters.c.last).where((counters.c.name != EVENTS) | (counters.c.last > 0)).limit(1)
    return select(*table.columns).limit(1)


def _number_on(target: Connection, table: Table) -> None:
    """Let the database number new rows behind those that were copied."""
    column = table.autoincrement_column
    if column is None:
        return
    found = target.execute(select(func.pg_get_serial_sequence(table.name, column.name), func.max(column)))
    sequence, last = found.one()
    if sequence and last:
        target.execute(select(func.setval(type_coerce(sequence, Text), last)))


def _said(exc: BaseException) -> str:
    return capped(str(exc)) or type(exc).__name__
