"""store/moving.py: all of a store arrives in PostgreSQL, or nothing; the file stays as it is."""

import asyncio
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stores
from builders import NOON, an_event
from polling_builders import LEAD, a_sighting, some_marks
from servers import Server
from sqlalchemy import Boolean, Float, Integer, LargeBinary, Table, create_engine, insert
from sqlalchemy.types import BigInteger

from salesforce_poller.errors import NoStore, StoreAway, StoreError, StoreInUse
from salesforce_poller.store import moving, schema
from salesforce_poller.store.store import Store
from salesforce_poller.store.tables import Instant, metadata

#: Rows of the tables of the example that grow, more than one batch; and of the others.
MANY, FEW = 1_201, 3
COPIED = [table for table in metadata.sorted_tables if table.name not in moving._OF_PROCESSES]
_numbers = itertools.count()


@pytest.fixture
def empty(store_server: Server) -> Iterator[str]:
    """A database without anything in it."""
    name = f"empty{next(_numbers)}"
    stores.ask(store_server, f"CREATE DATABASE {name}")
    yield stores.address(store_server, name)
    stores.ask(store_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A store in a file, with rows in every table."""
    path = tmp_path / "store.db"
    async with Store(str(path)):
        pass
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM counters")
        for table in COPIED:
            rows = MANY if table.name in ("sightings", "events", "parked") else FEW
            connection.execute(insert(table), [_row(table, number) for number in range(1, rows + 1)])
    engine.dispose()
    return path


def _row(table: Table, number: int) -> dict[str, Any]:
    return {column.name: _value(table, column, number) for column in table.columns}


def _value(table: Table, column: Any, number: int) -> Any:
    """Return something that tells columns and rows apart; every other one is null where it can be."""
    of_three = {("sightings", "feed_id"): number % 3 + 1, ("parked", "sink"): f"name {number % 3 + 1}"}
    if (table.name, column.name) in of_three:
        return of_three[table.name, column.name]
    if column.nullable and number % 2:
        return None
    if isinstance(column.type, BigInteger):
        number += 2**40
    makes: dict[type[Any], Callable[[], Any]] = {
        Instant: lambda: NOON + timedelta(milliseconds=number),
        Boolean: lambda: number % 2 == 0,
        LargeBinary: lambda: bytes([number % 256, 0, 255]),
        Float: lambda: number / 3,
        Integer: lambda: number,  # BigInteger is one
    }
    for kind, make in makes.items():
        if isinstance(column.type, kind):
            return make()
    return f"{column.name[:9]} {number}"


def dump(where: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return all that is in a store, told apart by table, in an order that does not depend on the database."""
    asked = {table.name: ", ".join(column.name for column in table.columns) for table in COPIED}
    return {name: sorted(stores.rows(where, f"SELECT {names} FROM {name}"), key=repr) for name, names in asked.items()}


def of_sqlite(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all that is in a file, with true and false as PostgreSQL has them."""
    found = dump(f"sqlite:///{path}")
    for table in COPIED:
        truths = [isinstance(column.type, Boolean) for column in table.columns]
        rows = [tuple(bool(v) if t else v for v, t in zip(row, truths, strict=True)) for row in found[table.name]]
        found[table.name] = sorted(rows, key=repr)
    return found


def tables_of(where: str) -> list[str]:
    """Return what tables there are."""
    asked = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    return [name for (name,) in stores.rows(where, asked)]


async def move(path: Path, url: str, told: Callable[[str, int], None] = lambda _name, _rows: None) -> dict[str, int]:
    """Copy it; returns what was said to be there."""
    async with moving.source(path) as source:
        await source.copy_to(url, told)
        return dict(source.counts)


async def test_every_row_of_every_table_arrives_as_it_was(path: Path, empty: str) -> None:
    """Secrets sealed, nulls null; also of tables that this test has never heard of."""
    before = path.read_bytes()  # noqa: ASYNC240  # nobody else is in this loop
    heard: list[tuple[str, int]] = []
    counts = await move(path, empty, lambda name, rows: heard.append((name, rows)))
    assert dump(empty) == of_sqlite(path)
    assert counts == {name: len(rows) for name, rows in dump(empty).items()}
    assert min(counts.values()) == FEW
    assert [rows for name, rows in heard if name == "sightings"] == [500, 1_000, MANY]
    assert path.read_bytes() == before  # noqa: ASYNC240  # nobody else is in this loop


async def test_a_store_that_was_moved_goes_on(tmp_path: Path, empty: str) -> None:
    """Marks and sightings are known, a new feed gets a number of its own, positions and sinks go on behind the last."""
    path = tmp_path / "store.db"
    page: dict[str, Any] = {"marks": some_marks(), "at": NOON}
    async with Store(str(path)) as store:
        await store.outbox.ensure_sinks(["crm"])
        await store.feeds.commit_page("acme", "Lead", events=[an_event()], sightings=[a_sighting()], **page)
        owed = await store.outbox.backlog("crm")
    await move(path, empty)
    async with Store(empty) as store:
        assert await store.feeds.watermarks("acme", "Lead") == some_marks()
        assert await store.feeds.sightings("acme", "Lead", [LEAD]) == {LEAD: a_sighting()}
        assert await store.outbox.backlog("crm") == owed
        await store.feeds.commit_page("acme", "Contact", events=[an_event(id="new")], sightings=[], **page)
        assert [position for position, _ in await store.outbox.events()] == [2, 1]


async def test_a_nul_that_an_old_version_let_in_is_replaced(path: Path, empty: str) -> None:
    """PostgreSQL takes none; what was said stays readable."""
    with closing(sqlite3.connect(path)) as beside, beside:
        beside.execute("UPDATE troubles SET error = 'a' || char(0) || 'b'")
    await move(path, empty)
    assert stores.rows(empty, "SELECT DISTINCT error FROM troubles") == [("a\N{REPLACEMENT CHARACTER}b",)]


async def test_nothing_is_left_of_a_copy_that_fails(path: Path, empty: str) -> None:
    """Not even the tables: the next try finds it empty, and so does a daemon."""
    with closing(sqlite3.connect(path)) as beside, beside:
        beside.execute("UPDATE sightings SET record_id = 'longer than eighteen' WHERE record_id LIKE '% 1200'")
    with pytest.raises(StoreError, match="sightings cannot be copied: value too long"):
        await move(path, empty)
    assert tables_of(empty) == []
    with closing(sqlite3.connect(path)) as beside, beside:
        beside.execute("UPDATE sightings SET record_id = 'short' WHERE record_id LIKE 'longer%'")
    await move(path, empty)


async def test_nothing_is_left_of_a_copy_that_is_broken_off(path: Path, empty: str) -> None:
    """Ctrl-C, for example."""
    moved: asyncio.Task[Any]

    def told(name: str, _rows: int) -> None:
        if name == "sightings":
            moved.cancel()

    moved = asyncio.create_task(move(path, empty, told))
    with pytest.raises(asyncio.CancelledError):
        await moved
    assert tables_of(empty) == []
    await opening(str(path))  # and the file's lock is free


async def opening(where: str) -> None:
    """Open a store and close it again."""
    async with Store(where):
        pass


async def test_nothing_is_left_when_rows_are_missing_at_the_end(path: Path, empty: str) -> None:
    """They are counted over there before they are kept."""
    async with moving.source(path) as source:
        source.counts = {**source.counts, "events": MANY + 1}
        with pytest.raises(StoreError, match=r"events: 1,201 rows arrived, of 1,202"):
            await source.copy_to(empty, lambda _name, _rows: None)
    assert tables_of(empty) == []


async def test_a_daemon_that_starts_over_there_meanwhile_waits_for_the_whole(path: Path, empty: str) -> None:
    """It finds no tables of its own making, but the store."""
    found: list[int] = []
    starting: list[asyncio.Task[None]] = []

    async def start() -> None:
        async with Store(empty) as store:
            found.append(len(await store.pauses.all()))

    def told(_name: str, _rows: int) -> None:
        assert not found
        if not starting:
            starting.append(asyncio.create_task(start()))

    await move(path, empty, told)
    await starting[0]
    assert found == [FEW]


async def test_what_is_not_empty_is_refused_and_stays(path: Path, empty: str) -> None:
    """One event is enough; a schema without rows is not."""
    async with Store(empty) as store:
        await store.feeds.commit_page("a", "Lead", events=[], sightings=[], marks=some_marks(), at=NOON)
    there = dump(empty)
    with pytest.raises(StoreError, match="is not empty: there are rows in feeds"):
        await move(path, empty)
    assert dump(empty) == there
    stores.rows(empty, "DELETE FROM feeds")
    await move(path, empty)
    with pytest.raises(StoreError, match="is not empty: there are rows in calls, counters"):
        await move(path, empty)


async def test_tables_of_other_people_are_left_alone(path: Path, empty: str) -> None:
    """A table of the same name is a refusal, others are no matter."""
    stores.rows(empty, "CREATE TABLE orders (id int)")
    stores.rows(empty, "CREATE TABLE events (id int)")
    with pytest.raises(StoreError, match="tables of these names that are not this program's: events"):
        await move(path, empty)
    assert tables_of(empty) == ["events", "orders"]
    stores.rows(empty, "DROP TABLE events")
    await move(path, empty)


async def test_a_daemon_must_not_run_on_the_file(path: Path, empty: str) -> None:
    """What it did meanwhile would be missing."""
    async with Store(str(path)):
        with pytest.raises(StoreInUse):
            await move(path, empty)
    assert tables_of(empty) == []


async def test_no_daemon_begins_on_the_file_meanwhile(path: Path) -> None:
    """It would go on in what is left behind."""
    async with moving.source(path):
        with pytest.raises(StoreInUse):
            await opening(str(path))


async def test_a_file_that_is_not_there_or_of_another_version_is_refused(tmp_path: Path, path: Path) -> None:
    """None is made, and none is changed."""
    nothing = tmp_path / "nothing.db"
    with pytest.raises(NoStore):
        async with moving.source(nothing):
            pass
    assert not nothing.exists()
    with closing(sqlite3.connect(path)) as beside, beside:
        beside.execute("UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(StoreError, match="`salesforce-poller db upgrade`"):
        async with moving.source(path):
            pass
    assert schema.missing("0001")


async def test_a_server_that_is_not_there_is_said_to_be(path: Path) -> None:
    """Without the password."""
    with pytest.raises(StoreAway) as caught:
        await move(path, "postgresql://me:hush@127.0.0.1:1/db")
    assert "hush" not in str(caught.value)
