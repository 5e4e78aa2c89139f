"""store/ on SQLite alone: one file, one process, one schema. What is in it is in ``test_store.py``.

The schema on PostgreSQL is in ``test_store_schema.py``, several processes on it in ``test_leases.py``.
"""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from builders import NOON, an_event
from polling_builders import some_marks
from sqlalchemy import create_engine, event

from salesforce_poller.errors import NoStore, SchemaTooNew, StoreError, StoreInUse
from salesforce_poller.store import schema
from salesforce_poller.store.sqlite import SqliteFile
from salesforce_poller.store.store import Store
from salesforce_poller.store.tables import metadata

HOLDER = """
import asyncio, sys
from salesforce_poller.store.sqlite import SqliteFile
from salesforce_poller.store.store import Store

async def hold() -> None:
    async with Store(sys.argv[1]):
        print("open", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(hold())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store will be."""
    return tmp_path / "store.db"


async def commit(store: Store, event_id: str = "1") -> None:
    """Commit a page with one event."""
    page = [an_event(id=event_id)]
    await store.feeds.commit_page("acme", "Lead", events=page, sightings=[], marks=some_marks(), at=NOON)


async def ids(store: Store) -> list[str]:
    """Return the ids of all events, newest first."""
    return [event.id for _, event in await store.outbox.events()]


async def opening(path: Path, *, writable: bool = True) -> None:
    """Open a store and close it again."""
    async with Store(str(path), writable=writable):
        pass


def ask(path: Path, statement: str) -> list[tuple[object, ...]]:
    """Say something to the file behind the store's back."""
    connection = sqlite3.connect(path)
    try:
        with connection:
            return connection.execute(statement).fetchall()
    finally:
        connection.close()


class TestOneProcess:
    """On SQLite a second process is refused."""

    async def test_a_second_store_is_refused_until_the_first_is_closed(self, path: Path) -> None:
        """By whatever name it is opened."""
        link = path.with_name("link.db")
        link.symlink_to(path)
        async with Store(str(path)):
            for name in (path, link, path.parent / ".." / path.parent.name / path.name):
                with pytest.raises(StoreInUse, match="another process"):
                    await opening(name)
        await opening(path)

    async def test_a_second_process_is_refused_and_a_dead_one_is_not_waited_for(self, path: Path) -> None:
        """The lock is the system's: it goes with the process, however it ends."""
        holder = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDER, str(path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"open\n"
        with pytest.raises(StoreInUse):
            await opening(path)
        await opening(path, writable=False)
        holder.kill()
        await holder.communicate()
        await opening(path)

    async def test_reading_beside_a_writer_sees_what_is_committed(self, path: Path) -> None:
        """The daemon is not disturbed by ``status``, not even in the middle of a transaction."""
        async with Store(str(path)) as store:
            await commit(store)
            async with store._database.write(), Store(str(path), writable=False) as looked_at:
                assert await ids(looked_at) == ["1"]

    async def test_names_that_look_like_addresses_are_names(self, tmp_path: Path) -> None:
        """A question mark would make two names of one file, with two locks."""
        odd = tmp_path / "a store?mode=ro&x=%41#1.db"
        async with Store(str(odd)) as store:
            await commit(store)
        assert ask(odd, "SELECT count(*) FROM events") == [(1,)]


class TestSchema:
    """The schema's version."""

    async def test_migrations_make_the_tables_of_the_code(self, path: Path) -> None:
        """Alembic finds no difference, and SQLite, asked for its own words, not one in defaults or keys either."""
        await opening(path)
        engine = create_engine(f"sqlite:///{path}")
        with engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        engine.dispose()
        by_code = path.with_name("by_code.db")
        engine = create_engine(f"sqlite:///{by_code}")
        metadata.create_all(engine)
        engine.dispose()
        assert shape(path) == shape(by_code)

    def test_the_scripts_are_called_as_alembic_finds_them(self) -> None:
        """Their names tell the versions, so that Alembic need not be imported where there is nothing to run."""
        scripts = ScriptDirectory.from_config(schema.alembic())
        assert schema.versions() == [one.revision for one in scripts.walk_revisions()][::-1]
        assert schema.head() == scripts.get_current_head()

    async def test_a_store_of_the_first_version_keeps_what_it_holds(self, path: Path) -> None:
        """An upgrade adds; progress and events stay."""
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            config = schema.alembic()
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
        engine.dispose()
        ask(
            path,
            "INSERT INTO feeds (org, object, started_at, organization_id, seen_through, settled_through,"
            " deleted_through, backfill_until, backfill_done, primed)"
            " VALUES ('acme', 'Lead', 1, '00D', 2000, 1000, 1000, 1000, 1, 1)",
        )
        async with Store(str(path)) as store:
            marks = await store.feeds.watermarks("acme", "Lead")
            assert marks is not None
            assert (marks.organization_id, marks.primed) == ("00D", True)

    async def test_an_empty_database_is_brought_up_to_date(self, path: Path) -> None:
        """The oldest schema there can be. Looking at it is refused, and changes nothing."""
        ask(path, "VACUUM")
        with pytest.raises(NoStore, match="made by the first `salesforce-poller run`"):
            await opening(path, writable=False)
        assert ask(path, "SELECT * FROM sqlite_master") == []
        async with Store(str(path)) as store:
            await commit(store)

    @pytest.mark.parametrize("writable", [True, False])
    async def test_a_newer_schema_is_refused_and_left_alone(self, path: Path, writable: bool) -> None:
        """A downgrade of the program must not destroy what a newer one wrote."""
        async with Store(str(path)) as store:
            await commit(store)
        ask(path, "UPDATE alembic_version SET version_num = '9999'")
        for _ in range(2):
            with pytest.raises(SchemaTooNew, match="schema 9999"):
                await opening(path, writable=writable)
        assert ask(path, "SELECT count(*) FROM events") == [(1,)]


def shape(path: Path) -> list[object]:
    """Return everything that SQLite knows of a file's tables but the order in which they were told."""
    tables = [str(name) for (name,) in ask(path, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    columns = 'name, type, "notnull", dflt_value, pk'
    return [
        (
            table,
            ask(path, f"SELECT {columns} FROM pragma_table_info('{table}') ORDER BY name"),
            ask(path, f'SELECT "from", "table", "to", on_delete FROM pragma_foreign_key_list(\'{table}\')'),
            ask(
                path,
                f"SELECT one.\"unique\", one.origin, part.name FROM pragma_index_list('{table}') AS one"
                " JOIN pragma_index_info(one.name) AS part ORDER BY one.origin, one.name, part.seqno",
            ),
            ask(path, f"SELECT sql LIKE '%AUTOINCREMENT%' FROM sqlite_master WHERE name = '{table}'"),
        )
        for table in tables
        if "alembic" not in table
    ]


@pytest.fixture
def diary(path: Path) -> Path:
    """A file that is something else."""
    path.write_text("my diary, " * 1000)
    return path


@pytest.fixture
def folder(path: Path) -> Path:
    """A folder in the file's place."""
    path.mkdir()
    return path


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Path]:
    """A place in a folder that was mounted read-only, or for somebody else."""
    tmp_path.chmod(0o500)
    yield tmp_path / "store.db"
    tmp_path.chmod(0o700)


def modes_in(folder: Path) -> set[int]:
    """Return who may do what with the files of a folder."""
    return {path.stat().st_mode & 0o777 for path in folder.iterdir()}


class TestFile:
    """Files that are something else, and places where no file can be."""

    @pytest.mark.parametrize("writable", [True, False])
    async def test_a_file_that_is_no_database_is_refused_and_left_alone(self, diary: Path, writable: bool) -> None:
        """Somebody mistook a path; the lock is given back."""
        for _ in range(2):
            with pytest.raises(StoreError, match="not a database") as caught:
                await opening(diary, writable=writable)
            assert not isinstance(caught.value, StoreInUse)
        with diary.open() as file:
            assert file.read(8) == "my diary"

    async def test_looking_needs_a_store_and_does_not_make_one(self, path: Path) -> None:
        """``status`` before the first ``run``."""
        for _ in range(2):
            with pytest.raises(StoreError, match="there is no store at"):
                await opening(path, writable=False)

    async def test_a_folder_is_made_where_it_can_be(self, tmp_path: Path) -> None:
        """The first run on a fresh volume."""
        await opening(tmp_path / "new" / "deep" / "store.db")

    async def test_a_folder_that_cannot_be_made_is_a_problem(self, diary: Path) -> None:
        """A file stands in its way."""
        with pytest.raises(StoreError, match="cannot use the store"):
            await opening(diary / "store.db")

    async def test_the_store_is_for_nobody_elses_eyes(self, tmp_path: Path) -> None:
        """It holds the last values of the org's records."""
        async with Store(str(tmp_path / "private.db")):
            assert modes_in(tmp_path) == {0o600}

    async def test_a_folder_in_the_files_place_is_a_problem(self, folder: Path) -> None:
        """Said in one line."""
        with pytest.raises(StoreError, match="Is a directory"):
            await opening(folder)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    async def test_a_folder_that_cannot_be_written_is_a_problem(self, guarded: Path) -> None:
        """Whoever started the daemon reads the system's word for it."""
        with pytest.raises(StoreError, match="Permission denied"):
            await opening(guarded)


async def test_what_is_parked_is_looked_through_once_to_prune_and_not_for_each_event(path: Path) -> None:
    """The writer would be busy for half a minute at a time where a hundred thousand deliveries were given up."""
    asked: list[tuple[str, Any]] = []
    async with Store(str(path)) as store:
        assert isinstance(store._door, SqliteFile)
        engine = store._door._writer.sync_engine
        event.listen(engine, "before_cursor_execute", lambda *said: asked.append((said[2], said[3])))
        await store.outbox.ensure_sinks(["crm"])
        await store.outbox.prune(NOON, ["crm"])
    [(statement, parameters)] = [each for each in asked if "parked" in each[0]]
    with closing(sqlite3.connect(path)) as beside:
        plan = [row[3] for row in beside.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert any("parked" in step for step in plan)
    assert not any("CORRELATED" in step for step in plan), plan


async def test_a_new_file_has_large_pages_and_waits_for_the_disk(tmp_path: Path) -> None:
    """A page of records is many writes less; what is said of it later changes nothing."""
    async with Store(str(tmp_path / "store.db")) as store:
        async with store._database.write() as connection:
            said = [
                (await connection.exec_driver_sql(f"PRAGMA {one}")).scalar_one() for one in ("page_size", "synchronous")
            ]
        assert said == [16_384, 2]
