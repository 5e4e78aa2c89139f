"""store/schema.py on PostgreSQL: the tables that migrations make, and who makes them.

On SQLite they are in ``test_store_file.py``.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import stores
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from builders import NOON, an_event
from polling_builders import some_marks
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from salesforce_poller.errors import NoStore, SchemaTooNew, StoreError
from salesforce_poller.store import schema
from salesforce_poller.store.postgresql import Postgresql
from salesforce_poller.store.store import Store
from salesforce_poller.store.tables import metadata

pytestmark = pytest.mark.usefixtures("stores_on_postgresql")

#: Seconds after which a test is called stuck.
STUCK = 60


@pytest.fixture
def where(tmp_path: Path) -> str:
    """A database in which there is nothing yet."""
    return stores.empty(tmp_path / "store.db")


async def opening(where: str, *, writable: bool = True) -> None:
    """Open a store and close it again."""
    async with Store(where, writable=writable):
        pass


async def on_it(where: str, work: Any) -> Any:
    """Do something with a connection of SQLAlchemy's."""
    door = Postgresql(where)
    try:
        async with door.writing() as connection:
            return await connection.run_sync(work)
    finally:
        await door.close()


def at_version(revision: str) -> Any:
    """Return what brings a database to an older version."""

    def upgrade(connection: Connection) -> None:
        config = schema.alembic()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    return upgrade


def shape(where: str) -> list[Any]:
    """Return everything that PostgreSQL knows of the tables but the order in which columns were told."""
    ours = "table_schema = 'public' AND table_name != 'alembic_version'"
    return [
        stores.rows(
            where,
            "SELECT table_name, column_name, data_type, character_maximum_length, collation_name, is_nullable,"
            f" column_default FROM information_schema.columns WHERE {ours} ORDER BY 1, 2",
        ),
        stores.rows(
            where,
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace AND conname NOT LIKE 'alembic%' ORDER BY 1, 2",
        ),
        stores.rows(
            where,
            "SELECT tablename, indexname, indexdef FROM pg_indexes"
            " WHERE schemaname = 'public' AND tablename != 'alembic_version' ORDER BY 1, 2",
        ),
    ]


async def test_migrations_make_the_tables_of_the_code(where: str, tmp_path: Path) -> None:
    """Alembic finds no difference, and PostgreSQL, asked for its own words, not one in types, keys or languages."""
    await opening(where)
    assert await on_it(where, lambda one: compare_metadata(MigrationContext.configure(one), metadata)) == []
    by_code = stores.empty(tmp_path / "by_code.db")
    await on_it(by_code, metadata.create_all)
    told, wanted = shape(where), shape(by_code)
    for ours, codes in zip(told, wanted, strict=True):
        assert ours == codes
        assert len(ours) > 10


async def test_a_store_of_the_first_version_keeps_what_it_holds(where: str) -> None:
    """An upgrade adds; progress and events stay, and new events come behind them."""
    await on_it(where, at_version("0001"))
    stores.rows(
        where,
        "INSERT INTO feeds (org, object, started_at, organization_id, seen_through, settled_through,"
        " deleted_through, backfill_until, backfill_done, primed)"
        " VALUES ('acme', 'Lead', 1, '00D', 2000, 1000, 1000, 1000, true, true)",
    )
    stores.rows(where, "INSERT INTO sinks (name, cursor, paused, last_error) VALUES ('crm', 41, '', '')")
    with pytest.raises(StoreError, match="of an older version; `salesforce-poller db upgrade` or the next"):
        await opening(where, writable=False)
    async with Store(where) as store:
        marks = await store.feeds.watermarks("acme", "Lead")
        assert marks is not None
        assert (marks.organization_id, marks.primed) == ("00D", True)
        page: dict[str, Any] = {"events": [an_event()], "sightings": [], "marks": some_marks(), "at": NOON}
        await store.feeds.commit_page("acme", "Lead", **page)
        assert [position for position, _ in await store.outbox.events()] == [42], "behind what the sink has had"


async def test_a_database_with_nothing_in_it_is_not_looked_at(where: str) -> None:
    """Looking changes nothing; the first ``run`` makes the tables."""
    with pytest.raises(NoStore, match="made by the first `salesforce-poller run`"):
        await opening(where, writable=False)
    assert stores.rows(where, "SELECT 1 FROM information_schema.tables WHERE table_schema = 'public'") == []


@pytest.mark.parametrize("writable", [True, False])
async def test_a_newer_schema_is_refused_and_left_alone(where: str, writable: bool) -> None:
    """A downgrade of the program must not destroy what a newer one wrote."""
    async with Store(where) as store:
        await store.outbox.ensure_sinks(["crm"])
    stores.rows(where, "UPDATE alembic_version SET version_num = '9999'")
    for _ in range(2):
        with pytest.raises(SchemaTooNew, match="schema 9999"):
            await opening(where, writable=writable)
    assert stores.rows(where, "SELECT name FROM sinks") == [("crm",)]


class GaveUp(Exception):
    """The first of two processes does not bring it to an end."""


@pytest.mark.parametrize("ends", [True, False], ids=["is done with it", "dies over it"])
@pytest.mark.parametrize("before", [None, "0001"], ids=["an empty one", "an old one"])
async def test_of_two_processes_that_start_together_one_waits_for_the_other(
    where: str, before: str | None, *, ends: bool
) -> None:
    """Two replicas of a deployment meet a schema that is not theirs: one upgrades it, the other finds it done."""
    if before:
        await on_it(where, at_version(before))
    first, second = Store(where), Store(where)
    async with asyncio.timeout(STUCK):
        try:
            async with first._door.writing() as connection:
                await patiently(connection)
                await connection.run_sync(first._database._upgrade)
                start = asyncio.create_task(second.__aenter__())
                await until_it_waits(where, start)
                if not ends:
                    raise GaveUp  # noqa: TRY301  # out of the transaction
        except GaveUp:
            assert not ends
        await start
    assert await second.feeds.health() == []
    await second.__aexit__(None, None, None)
    await first._door.close()
    assert stores.rows(where, "SELECT version_num FROM alembic_version") == [(schema.head(),)]


async def patiently(connection: AsyncConnection) -> None:
    """Let this transaction stand still for as long as a slow machine needs to see that the other one waits."""
    await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


async def until_it_waits(where: str, start: asyncio.Task[Any]) -> None:
    """Look until somebody waits for an advisory lock."""
    question = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    while await asyncio.to_thread(stores.rows, where, question) != [(1,)]:
        assert not start.done(), "it did not wait"
