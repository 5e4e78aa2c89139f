"""tests/stores.py: what is marked ``both_databases`` runs on both, and not twice on one."""

from pathlib import Path

import pytest
import stores

from salesforce_poller.store.store import Store


@pytest.fixture
def where(tmp_path: Path) -> str:
    """Where a store will be; made by a fixture, as in most tests."""
    return stores.url(tmp_path / "store.db")


@pytest.mark.both_databases
async def test_a_marked_test_runs_where_its_name_says(where: str, request: pytest.FixtureRequest) -> None:
    """The store is asked itself, behind the back of all who might only say so."""
    async with Store(where) as store:
        await store.outbox.ensure_sinks(["crm"])
    assert stores.rows(where, "SELECT name FROM sinks") == [("crm",)]
    asked = "SELECT version()" if request.node.name.endswith("[postgresql]") else "SELECT 'SQLite ' || sqlite_version()"
    [(says,)] = stores.rows(where, asked)
    assert str(says).startswith("PostgreSQL" if "[postgresql]" in request.node.name else "SQLite")
    assert stores.on_postgresql() == ("[postgresql]" in request.node.name)


def test_a_test_without_the_mark_runs_on_a_file(where: str) -> None:
    """Also after one that did not."""
    assert where.startswith("sqlite")
    assert not stores.on_postgresql()


@pytest.mark.both_databases
@pytest.mark.sqlite_only("it says so")
def test_a_test_may_be_left_out_on_postgresql(where: str) -> None:
    """It is about files."""
    assert where.startswith("sqlite")


@pytest.mark.both_databases
async def test_what_a_dead_process_leaves_is_what_it_had_committed(tmp_path: Path) -> None:
    """Nothing that it does afterwards reaches what it left."""
    path = tmp_path / "store.db"
    async with Store(stores.url(path)) as dying:
        await dying.outbox.ensure_sinks(["committed"])
        with pytest.raises(Exception, match="the store"):  # noqa: PT012  # the death is in the middle of a transaction
            async with dying._database.write():
                left = stores.bury(path)
                raise RuntimeError(f"the store {path} is another one now")
        async with Store(stores.url(left)) as heir:
            assert await heir.repairs.sinks() == ["committed"]


@pytest.mark.both_databases
async def test_a_store_that_was_forgotten_is_empty(tmp_path: Path) -> None:
    """Though it may have the same database."""
    for _ in range(2):
        async with Store(stores.url(tmp_path / "store.db")) as store:
            assert await store.repairs.sinks() == []
            await store.outbox.ensure_sinks(["crm"])
        stores.forget(tmp_path / "store.db")
