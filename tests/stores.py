"""A store in each kind of database: tests that are marked ``both_databases`` run once on SQLite and once on PostgreSQL.

:func:`url` is all that most of them must ask: the address of the store that belongs to a path, a file of that name or a
database of its own on the run's private PostgreSQL, copied from one whose schema is up to date. The same path is the
same store, for as long as the test runs. The fixtures are in ``server_fixtures.py``.

What else tests do to a store behind its back is here too, in the words of either: :func:`rows` asks it, :func:`broken`
has it fail, :func:`bury` lets the process die that has it open, :func:`forget` empties it.
"""

import asyncio
import functools
import itertools
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import asyncpg
import pytest
from servers import Server

from salesforce_poller.store.store import Store
from salesforce_poller.store.tables import EVENTS, counters, metadata

SQLITE, POSTGRESQL = "sqlite", "postgresql"
_TEMPLATE = "a_store"
_SQLITE = "sqlite:///"
_numbers = itertools.count(1)


class _Place(Protocol):
    """Where stores are made. Its methods do what the functions of the same names say."""

    def url(self, path: Path) -> str: ...
    def bury(self, path: Path) -> Path: ...
    def forget(self, path: Path) -> None: ...
    def contents(self, path: Path) -> bytes: ...


# ---------------------------------------------------------------------- what tests ask


def url(path: Path) -> str:
    """Return the address of the store that belongs to this path; on PostgreSQL, make it."""
    return _Present.place.url(path)


def empty(path: Path) -> str:
    """Return the address of a new database in which there is nothing, not even a schema. PostgreSQL only."""
    place = _Present.place
    assert isinstance(place, _Databases)
    return place.empty(path)


def copied(path: Path) -> str:
    """Return the address of a new store as it is after its first opening, which takes longer than many a life."""
    if not on_postgresql():
        path.write_bytes(_empty_file())
    return url(path)


def on_postgresql() -> bool:
    """Say which kind it is now."""
    return isinstance(_Present.place, _Databases)


def rows(where: str, statement: str) -> list[tuple[Any, ...]]:
    """Ask the database behind a store's back; ``where`` is what :func:`url` returned."""
    if where.startswith(_SQLITE):
        with closing(sqlite3.connect(where.removeprefix(_SQLITE))) as beside, beside:
            return beside.execute(statement).fetchall()

    async def go() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(where)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    found: list[tuple[Any, ...]] = apart(go())
    return found


@contextmanager
def broken(where: str, table: str, event: str, why: str) -> Iterator[None]:
    """Have the database refuse what a word of SQL's does to a table, as a full disk or a bad page would."""
    if where.startswith(_SQLITE):
        rows(where, f"CREATE TRIGGER broken BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, '{why}'); END")
    else:
        body = f"BEGIN RAISE EXCEPTION '{why}'; END"
        rows(where, f"CREATE OR REPLACE FUNCTION breaks() RETURNS trigger LANGUAGE plpgsql AS '{_quoted(body)}'")
        rows(where, f"CREATE TRIGGER broken BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION breaks()")
    yield
    rows(where, "DROP TRIGGER broken" if where.startswith(_SQLITE) else f"DROP TRIGGER broken ON {table}")


def bury(path: Path) -> Path:
    """Let the process die that has the store of this path open; returns the path of what it leaves.

    That is what was on disk at this moment. Whatever the dead one still does, since it is one of our own loop's, it
    does to a store that nobody looks at (a file's copy is what is left), or that is gone (on PostgreSQL).
    """
    return _Present.place.bury(path)


def forget(path: Path) -> None:
    """Let go of a store that nobody has open; one that is made next may come out of the same database, emptied."""
    _Present.place.forget(path)


def contents(path: Path) -> bytes:
    """Return the bytes of the store that are on disk."""
    return _Present.place.contents(path)


# ---------------------------------------------------------------------- files


class _Files:
    """Stores that are files of SQLite's."""

    def url(self, path: Path) -> str:
        return f"{_SQLITE}{path}"

    def bury(self, path: Path) -> Path:
        left = path.with_name(f"left-{next(_numbers)}.db")
        for end in ("", "-wal"):  # in this order, a checkpoint in between does no harm
            with suppress(FileNotFoundError):
                shutil.copy(f"{path}{end}", f"{left}{end}")
        return left

    def forget(self, path: Path) -> None:
        for one in path.parent.glob(f"{path.name}*"):
            one.unlink()

    def contents(self, path: Path) -> bytes:
        return b"".join(one.read_bytes() for one in sorted(path.parent.glob(f"{path.name}*")))


@functools.cache
def _empty_file() -> bytes:
    async def make(path: Path) -> None:
        async with Store(str(path)):
            pass

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        apart(make(path))
        return path.read_bytes()


# ---------------------------------------------------------------------- databases


class _Databases:
    """Stores that are databases of a server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        #: By the path that they belong to, and those that are nobody's.
        self._made: dict[Path, str] = {}
        self._free: list[str] = []

    def url(self, path: Path) -> str:
        path = path.resolve()
        if path not in self._made:
            self._made[path] = self._free.pop() if self._free else self._new()
        return address(self._server, self._made[path])

    def empty(self, path: Path) -> str:
        self._made[path.resolve()] = self._new("template1")
        return self.url(path)

    def bury(self, path: Path) -> Path:
        # Ended by the server, so that nothing is committed any more; renamed, so that nobody finds back to it.
        name, left = self._made.pop(path.resolve()), f"store_{next(_numbers)}"
        ask(self._server, _cut_off(name), f"ALTER DATABASE {name} RENAME TO {left}")
        self._made[path.with_name(left).resolve()] = left
        return path.with_name(left)

    def forget(self, path: Path) -> None:
        # A tenth of the time that it takes to make a new one; TRUNCATE would need as long, for so few rows.
        name = self._made.pop(path.resolve())
        tables = [table for table in reversed(metadata.sorted_tables) if table is not counters]
        emptied = "; ".join(f"DELETE FROM {table.name}" for table in tables)
        again = f"UPDATE {counters.name} SET last = 0 WHERE name = '{EVENTS}'"
        ask(self._server, f"{emptied}; {again}", database=name)
        self._free.append(name)

    def contents(self, path: Path) -> bytes:
        where = self.url(path)
        [(folder,)] = rows(where, "SELECT oid FROM pg_database WHERE datname = current_database()")
        ask(self._server, "CHECKPOINT")
        files = (self._server.folder / "data" / "base" / str(folder)).iterdir()
        return b"".join(each.read_bytes() for each in sorted(files))

    def drop(self) -> None:
        """Drop all of them."""
        ask(self._server, *(f"DROP DATABASE {name} WITH (FORCE)" for name in [*self._made.values(), *self._free]))

    def _new(self, template: str = _TEMPLATE) -> str:
        name = f"store_{next(_numbers)}"
        # Copied as files: a third of the time that it takes through the log, with fsync off.
        ask(self._server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        return name


def _cut_off(database: str) -> str:
    """Return the statement that ends all connections to a database, and waits until they have ended."""
    return f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = {_literal(database)}"


def _literal(said: str) -> str:
    return f"'{_quoted(said)}'"


def _quoted(said: str) -> str:
    return said.replace("'", "''")


# ---------------------------------------------------------------------- for fixtures and conftest.py


class _Present:
    """Where stores are made at the moment; one test runs at a time."""

    place: _Place = _Files()


@contextmanager
def stores_in(server: Server | None) -> Iterator[None]:
    """Have :func:`url` make databases there, or files; databases are gone afterwards."""
    if server is None:
        yield
        return
    _make_template(server)
    databases = _Databases(server)
    _Present.place = databases
    try:
        yield
    finally:
        _Present.place = _Files()
        databases.drop()


def ask(server: Server, *statements: str, database: str = "postgres") -> None:
    """Say something to the server, each statement in a transaction of its own."""

    async def go() -> None:
        connection = await asyncpg.connect(address(server, database))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    if statements:
        apart(go())


def apart(work: Coroutine[Any, Any, Any]) -> Any:
    """Run something in a loop of its own: whoever asks may be in one."""
    found: list[Any] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(asyncio.run(work))
        except BaseException as exc:  # noqa: BLE001  # carried over to whoever asked
            failed.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


def address(server: Server, database: str) -> str:
    """Return the address of a database."""
    return f"postgresql://postgres@127.0.0.1:{server.port}/{database}"


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Run a marked test once on each, unless it is about SQLite's files; called for every test by ``conftest.py``."""
    if metafunc.definition.get_closest_marker("both_databases"):
        kinds = [SQLITE] if metafunc.definition.get_closest_marker("sqlite_only") else [SQLITE, POSTGRESQL]
        metafunc.parametrize("database_kind", kinds, indirect=True, scope="function")


_with_template: set[int] = set()


def _make_template(server: Server) -> None:
    if server.port in _with_template:
        return

    async def make() -> None:
        async with Store(address(server, _TEMPLATE)):
            pass

    ask(server, f"CREATE DATABASE {_TEMPLATE}")
    apart(make())
    _with_template.add(server.port)
