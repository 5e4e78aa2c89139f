"""``salesforce-poller db``: what is said of a store, its schema brought up to date, moving it; as people see it."""

import io
import itertools
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import pytest
import stores
from builders import NOON, an_event
from fakes import FakeClock
from polling_builders import a_sighting, some_marks
from servers import Server

from salesforce_poller import config, printing
from salesforce_poller.commands import db
from salesforce_poller.errors import NotUnderstood, StoreInUse
from salesforce_poller.store import condition, schema
from salesforce_poller.store.store import Store

CONFIG = """
[store]
url = "{url}"
[orgs.acme]
login_url = "https://acme.my.salesforce.com"
client_id = "me"
client_secret = "mine"
[orgs.acme.objects.Lead]
[sinks.screen]
type = "stdout"
"""
HEAD = schema.head()
_numbers = itertools.count()


@pytest.fixture
def empty(store_server: Server) -> Iterator[str]:
    """A database without anything in it."""
    name = f"bare{next(_numbers)}"
    stores.ask(store_server, f"CREATE DATABASE {name}")
    yield stores.address(store_server, name)
    stores.ask(store_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store could be and none is yet."""
    url: str = f"sqlite:///{tmp_path}/store.db" if request.param == "sqlite" else request.getfixturevalue("empty")
    return url


def settings(url: str) -> config.Config:
    """Return a configuration with its store there."""
    return config.parse(CONFIG.format(url=url), {})


async def fill(url: str) -> None:
    """Have a daemon been there."""
    async with Store(url) as store:
        page: dict[str, Any] = {"events": [an_event()], "sightings": [a_sighting()], "marks": some_marks()}
        await store.feeds.commit_page("acme", "Lead", at=NOON, **page)


def make_older(url: str) -> None:
    """Let it be as the version before left it."""
    named = [f"ALTER TABLE {name} DROP COLUMN version" for name in ("feeds", "sinks", "events")]
    for statement in (*named, "DROP TABLE counters", "UPDATE alembic_version SET version_num = '0007'"):
        if url.startswith("sqlite"):
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as beside, beside:
                beside.execute(statement)
        else:
            stores.rows(url, statement)
    later = {"processes", "leases"} & schema_tables(url)
    for name in later:
        stores.rows(url, f"DROP TABLE {name}")


def schema_tables(url: str) -> set[str]:
    """Return the names of the tables there."""
    catalogue = "sqlite_master WHERE type = 'table'" if url.startswith("sqlite") else "pg_tables"
    column = "name" if url.startswith("sqlite") else "tablename"
    return {name for (name,) in stores.rows(url, f"SELECT {column} FROM {catalogue}")}


class TestUpgrade:
    """Makes the schema, or brings it up to date."""

    async def test_it_says_from_what_to_what(self, bare: str, capsys: pytest.CaptureFixture[str]) -> None:
        """From nothing, from an older version, and where there is nothing to do."""
        await db.show_upgrade(settings(bare), as_json=True)
        await db.show_upgrade(settings(bare), as_json=True)
        make_older(bare)
        await db.show_upgrade(settings(bare), as_json=True)
        told = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert told == [{"from": had, "to": HEAD} for had in (None, HEAD, "0007")]
        make_older(bare)
        await db.show_upgrade(settings(bare), as_json=False)
        await db.show_upgrade(settings(bare), as_json=False)
        shown = capsys.readouterr().out
        assert f"The schema is {HEAD} now; before: 0007." in shown
        assert f"The schema is up to date: {HEAD}." in shown

    async def test_a_file_that_a_daemon_has_is_refused(self, tmp_path: Path) -> None:
        """Its schema is that daemon's."""
        url = f"sqlite:///{tmp_path}/store.db"
        async with Store(url):
            with pytest.raises(StoreInUse, match="stop it first"):
                await db.show_upgrade(settings(url), as_json=False)


class TestCheck:
    """Says whether a daemon can work with the store, and changes nothing."""

    async def test_what_is_well_is_described(self, bare: str, capsys: pytest.CaptureFixture[str]) -> None:
        """Also while a daemon has it."""
        await fill(bare)
        async with Store(bare):
            assert await db.show_condition(settings(bare), as_json=True)
        told = orjson.loads(capsys.readouterr().out)
        assert (told["ok"], told["schema"], told["wanted"], told["pending"]) == (True, HEAD, HEAD, [])
        assert told["rows"] == {"events": 1, "sightings": 1, "parked": 0}
        assert told["kind"] == bare.partition(":")[0]
        assert told["bytes"] > 0
        assert await db.show_condition(settings(bare), as_json=False)
        shown = capsys.readouterr().out
        assert "1 events, 1 sightings, 0 parked" in shown
        assert "A daemon can work with it" in shown

    async def test_an_older_schema_is_not_well_and_what_it_lacks_is_named(
        self, bare: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """And it stays as it is."""
        await fill(bare)
        make_older(bare)
        assert not await db.show_condition(settings(bare), as_json=False)
        shown = capsys.readouterr().out
        assert "pending: 0008 Give positions from a counter of our own" in shown
        assert "`salesforce-poller db upgrade`" in shown
        assert (await condition.examine(bare)).schema == "0007"

    async def test_a_newer_schema_is_not_well(self, bare: str) -> None:
        """The program must be upgraded, not the store."""
        await fill(bare)
        statement = "UPDATE alembic_version SET version_num = '9999'"
        if bare.startswith("sqlite"):
            with closing(sqlite3.connect(bare.removeprefix("sqlite:///"))) as beside, beside:
                beside.execute(statement)
        else:
            stores.rows(bare, statement)
        found = await condition.examine(bare)
        assert not found.good
        assert "upgrade the program" in found.problems[0]

    async def test_nothing_is_not_well_and_not_made(self, tmp_path: Path, empty: str) -> None:
        """Neither a file nor a table."""
        nothing = await condition.examine(f"sqlite:///{tmp_path}/store.db")
        assert "there is no store" in nothing.problems[0]
        assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240  # nobody else is in this loop
        found = await condition.examine(empty)
        assert "there is nothing in it yet" in found.problems[0]
        assert "events" not in schema_tables(empty)

    async def test_a_server_that_is_not_there_is_not_well(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Said in one line, without the password."""
        assert not await db.show_condition(settings("postgresql://me:hush@127.0.0.1:1/db"), as_json=True)
        told = capsys.readouterr().out
        assert orjson.loads(told)["problems"]
        assert "hush" not in told

    async def test_settings_that_lose_what_was_committed_are_told(self, empty: str) -> None:
        """A note, since a test server may be set up like that; ours is."""
        await fill(empty)
        database = empty.rpartition("/")[2]
        stores.rows(empty, f"ALTER DATABASE {database} SET synchronous_commit = 'local'")
        found = await condition.examine(empty)
        assert found.good
        assert [one.split()[0] for one in found.warnings] == ["fsync", "synchronous_commit"]

    def test_a_pooler_that_drops_our_settings_is_told_of(self) -> None:
        """PgBouncer does, when it is told to."""
        well = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "standstill": "5s"}
        assert list(condition._weak(well)) == []
        [told] = condition._weak(well | {"standstill": "0"})
        assert "ALTER ROLE … SET idle_in_transaction_session_timeout" in told

    async def test_what_the_user_may_not_do_is_told(self, empty: str, store_server: Server) -> None:
        """By table, and for making tables where some are to be made."""
        stores.ask(store_server, "DROP ROLE IF EXISTS guest", "CREATE ROLE guest LOGIN")
        as_guest = empty.replace("postgres@", "guest@")
        found = await condition.examine(as_guest)
        assert any("GRANT CREATE ON SCHEMA" in one for one in found.problems)
        await fill(empty)
        stores.rows(empty, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest")
        stores.rows(empty, "GRANT ALL ON parked TO guest")
        found = await condition.examine(as_guest)
        assert any("may not read and write" in one and "sightings" in one for one in found.problems)
        assert not any("parked" in one for one in found.problems)
        stores.rows(empty, "ALTER DATABASE " + empty.rpartition("/")[2] + " SET default_transaction_read_only = on")
        assert any("read only by default" in one for one in (await condition.examine(empty)).problems)


class TestMigrateTo:
    """Moves a file's store, and says what to do then."""

    @pytest.mark.parametrize("given", ["env:STORE_URL", "file:address.txt", "-", "postgresql://me@db/poller"])
    def test_the_address_can_come_from_where_nobody_sees_it(
        self, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A line that ends in a newline is the same address."""
        monkeypatch.chdir(tmp_path)
        url = "postgresql://me@db/poller"
        (tmp_path / "address.txt").write_text(f"{url}\n")
        assert db.target_of(given, {"STORE_URL": url}, io.StringIO(f"{url}\n")) == url

    @pytest.mark.parametrize(
        "given",
        ["env:NOWHERE", "file:/no/where", "-", "mysql://me:hush@db/x", "postgresql://me:hush@db", "sqlite:///x"],
    )
    def test_what_is_no_address_of_postgresql_is_refused_unseen(self, given: str) -> None:
        """It may hold a password."""
        with pytest.raises(NotUnderstood) as caught:
            db.target_of(given, {}, io.StringIO(""))
        assert "hush" not in str(caught.value)

    async def test_it_says_how_much_how_far_and_what_to_do(
        self, tmp_path: Path, empty: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """And the store is there."""
        url = f"sqlite:///{tmp_path}/store.db"
        await fill(url)
        secret = empty.replace("postgres@", "postgres:hush@")
        await db.show_move(settings(url), secret, given="env:STORE_URL", clock=FakeClock(), as_json=False)
        out, err = capsys.readouterr()
        assert "4 rows: 1 counters, 1 events, 1 feeds, 1 sightings" in " ".join(err.split())
        assert 'url = { env = "STORE_URL" }' in out
        assert "hush" not in out + err
        assert (await condition.examine(empty)).rows == {"events": 1, "sightings": 1, "parked": 0}

    async def test_programs_are_told_the_rows(
        self, tmp_path: Path, empty: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Of each table; and whoever writes a password on a command line hears of it."""
        url = f"sqlite:///{tmp_path}/store.db"
        await fill(url)
        secret = empty.replace("postgres@", "postgres:hush@")
        await db.show_move(settings(url), secret, given=secret, clock=FakeClock(), as_json=True)
        out, err = capsys.readouterr()
        assert orjson.loads(out)["rows"]["sightings"] == 1
        assert "Others could read that password" in err
        assert "hush" not in out + err

    async def test_a_store_in_postgresql_is_not_moved(self, empty: str) -> None:
        """There is pg_dump for that."""
        with pytest.raises(NotUnderstood, match="in PostgreSQL already"):
            await db.show_move(settings(empty), empty, given="-", clock=FakeClock(), as_json=False)

    def test_progress_is_a_line_a_second_where_nobody_looks_at_a_terminal(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """And none in between."""
        clock = FakeClock()
        with db._shown(printing.console(stderr=True), {"events": 3_000}, clock) as told:
            for done in (500, 1_000, 1_500):
                clock.advance(0.6)
                told("events", done)
        assert capsys.readouterr().err == f"events: 1,000 of 3,000{os.linesep}"
