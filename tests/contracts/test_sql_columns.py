"""sinks/sql.py: the columns of a mirror come from describe, in both databases; nothing is refused or altered for it."""

import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from broker_contract import apart
from fakes import FakeClock
from servers import Server
from sink_contract import dressed, verdicts

from salesforce_poller.errors import StoreError
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import mirror
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.sinks.sql import Sql, SqlSettings

LEAD = {
    "Id": ["id"],
    "Name": ["string"],
    "Open": ["boolean"],
    "Count": ["int"],
    "Amount": ["currency"],
    "Closed": ["date"],
    "Seen": ["datetime"],
    "Owner.Name": ["picklist", "string"],
}
TYPED = {
    "Name": "text",
    "Open": "boolean",
    "Count": "bigint",
    "Amount": "numeric",
    "Closed": "date",
    "Seen": "timestamp with time zone",
    "Owner.Name": "text",
}
#: SQLite's other types would alter values.
IN_SQLITE = {
    "Name": "TEXT",
    "Open": "",
    "Count": "",
    "Amount": "",
    "Closed": "TEXT",
    "Seen": "TEXT",
    "Owner.Name": "TEXT",
}
RECORD = {
    "Name": "00123",
    "Open": True,
    "Count": 9007199254740993,
    "Amount": 0.1,
    "Closed": "2026-11-21",
    "Seen": "2026-11-21T10:00:00.120+0000",
    "Owner": {"Name": "Ann"},
}


class Told:
    """What a store says of objects."""

    def __init__(self, *orgs: Mapping[str, Sequence[str]]) -> None:
        self.leads = {f"org{n}": fields for n, fields in enumerate(orgs)}
        self.broken = False

    async def of(self, org: str, object_name: str) -> Mapping[str, Sequence[str]] | None:
        """Satisfy ``salesforce_poller.sinks.base.Describe``."""
        if self.broken:
            raise StoreError("the store /x failed: disk I/O error")
        return self.leads.get(org) if object_name == "Lead" else None


class Postgres:
    """A schema of a test's own, in a server that writes dates in the German way, and is in Tokyo."""

    typed = TYPED

    def __init__(self, port: int) -> None:
        self._url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        self._schema = f"t{secrets.token_hex(6)}"

    def sink(self, told: Told, **settings: Any) -> Sql:
        """Return a mirror that is told of objects."""
        url = f"{self._url}?DateStyle=German&TimeZone=Asia/Tokyo"
        sink = Sql(SqlSettings(type="sql", url=url, database_schema=self._schema, **settings), FakeClock())
        sink.learn(told.of)
        return sink

    def rows(self, columns: str) -> list[Any]:
        """Return some columns of the mirror."""
        return self._ask(f'SELECT {columns} FROM {self._schema}."Lead" ORDER BY "_sequence"')

    def types(self) -> dict[str, str]:
        """Return the columns of fields with their types."""
        names = "SELECT column_name::text, data_type::text FROM information_schema.columns"
        where = f"WHERE table_schema = '{self._schema}' AND table_name = 'Lead' ORDER BY ordinal_position"
        return {name: kind for name, kind in self._ask(f"{names} {where}") if name not in mirror.OWN}

    def _ask(self, text: str) -> list[Any]:
        async def ask() -> list[Any]:
            connection = await asyncpg.connect(self._url)
            try:
                return [tuple(each) for each in await connection.fetch(text)]
            finally:
                await connection.close()

        return apart(ask)


class Sqlite:
    """A file."""

    typed = IN_SQLITE

    def __init__(self, path: Path) -> None:
        self._path = path

    def sink(self, told: Told, **settings: Any) -> Sql:
        """Return a mirror that is told of objects."""
        sink = Sql(SqlSettings(type="sql", url=f"sqlite:///{self._path}", **settings), FakeClock())
        sink.learn(told.of)
        return sink

    def rows(self, columns: str) -> list[Any]:
        """Return some columns of the mirror."""
        return self._ask(f'SELECT {columns} FROM "Lead" ORDER BY _sequence')

    def types(self) -> dict[str, str]:
        """Return the columns of fields with their types."""
        return {
            name: kind
            for name, kind in self._ask("SELECT name, type FROM pragma_table_info('Lead')")
            if name not in mirror.OWN
        }

    def _ask(self, text: str) -> list[Any]:
        with closing(sqlite3.connect(self._path)) as connection:
            return connection.execute(text).fetchall()


@pytest.fixture
def postgres(postgres_server: Server) -> Postgres:
    """An empty schema."""
    postgres_server.start()
    return Postgres(postgres_server.port)


@pytest.fixture
def sqlite(tmp_path: Path) -> Sqlite:
    """No file yet."""
    return Sqlite(tmp_path / "mirror.db")


@pytest.fixture(params=["postgres", "sqlite"])
def database(request: pytest.FixtureRequest) -> Postgres | Sqlite:
    """Both."""
    found: Postgres | Sqlite = request.getfixturevalue(request.param)
    return found


def lead(number: int, record: Mapping[str, Any] | None, org: str = "org0") -> Dressed:
    """Return an event of a lead of its own."""
    return dressed(number, id=f"{number}", org=org, record_id=f"00Q{number}", record=record)


async def accepts(sink: Sql, *events: Dressed) -> None:
    """Open the mirror, have it take all of these, and close it."""
    await sink.open()
    found = await verdicts(sink, events)
    await sink.close()
    assert found == [Verdict.ACCEPTED] * len(events)


async def test_all_columns_are_there_with_the_first_record(database: Postgres | Sqlite) -> None:
    """In describe's order, with its types, whether there is a value in them or not."""
    await accepts(database.sink(Told(LEAD)), lead(1, None))
    assert database.types() == database.typed
    assert list(database.types()) == list(database.typed)


async def test_a_field_that_appears_in_describe_has_a_column_with_the_next_record(database: Postgres | Sqlite) -> None:
    """One that disappears keeps its own; one that only a record has, gets one by its value."""
    told = Told({"Name": ["string"], "Open": ["boolean"]})
    sink = database.sink(told)
    await sink.open()
    assert await verdicts(sink, [lead(1, {"Name": "Ann"})]) == [Verdict.ACCEPTED]
    told.leads["org0"] = {"Name": ["string"], "Closed": ["date"]}
    assert await verdicts(sink, [lead(2, {"Name": "Bob", "Odd": "x"})]) == [Verdict.ACCEPTED]
    await sink.close()
    assert list(database.types()) == ["Name", "Open", "Closed", "Odd"]


async def test_a_sink_of_few_fields_has_columns_for_these(database: Postgres | Sqlite) -> None:
    """A parent's name means all that is read of the parent, as it does in what is sent."""
    await accepts(database.sink(Told(LEAD), fields=["name", "Owner", "Close"]), lead(1, None))
    assert list(database.types()) == ["Name", "Owner.Name"]


async def test_two_orgs_share_a_table(database: Postgres | Sqlite) -> None:
    """With the fields of both; where they do not agree, with a type that holds both."""
    told = Told({"Size": ["int"], "Name": ["string"]}, {"Size": ["string"], "Open": ["boolean"]})
    both = lead(1, {"Size": 7}), lead(2, {"Size": "large", "Open": False}, org="org1")
    await accepts(database.sink(told), *both)
    assert list(database.types()) == ["Size", "Name", "Open"]
    assert [str(size) for (size,) in database.rows('"Size"')] == ["7", "large"]


async def test_an_org_of_which_nothing_is_known_has_columns_by_its_values(database: Postgres | Sqlite) -> None:
    """A store from before describe was kept in it, or a sample that never was in an org."""
    await accepts(database.sink(Told()), lead(1, RECORD | {"Nothing": None}))
    assert list(database.types()) == list(database.typed)
    assert database.types()["Closed"] == ("text" if isinstance(database, Postgres) else "")


async def test_a_store_that_cannot_be_read_is_an_answer(database: Postgres | Sqlite) -> None:
    """And nothing is written with columns by guess."""
    told = Told(LEAD)
    sink = database.sink(told)
    await sink.open()
    told.broken = True
    assert (
        await sink.send([lead(1, RECORD), lead(2, RECORD)])
        == [Receipt(Verdict.TRY_LATER, "cannot tell what columns there are: the store /x failed: disk I/O error")] * 2
    )
    told.broken = False
    assert await verdicts(sink, [lead(1, RECORD)]) == [Verdict.ACCEPTED]
    await sink.close()
    assert database.types() == database.typed


async def test_postgresql_keeps_every_digit_and_instant(postgres: Postgres) -> None:
    """As values that it can calculate with."""
    await accepts(postgres.sink(Told(LEAD)), lead(1, RECORD))
    [found] = postgres.rows(", ".join(mirror.quoted(name) for name in TYPED))
    seen = datetime(2026, 11, 21, 10, 0, 0, 120_000, tzinfo=UTC)
    assert found == ("00123", True, 9007199254740993, Decimal("0.1"), date(2026, 11, 21), seen, "Ann")


async def test_sqlite_keeps_every_value_as_it_was(sqlite: Sqlite) -> None:
    """Numbers as numbers, and texts that look like numbers as texts."""
    await accepts(sqlite.sink(Told(LEAD)), lead(1, RECORD), lead(2, {name: "007" for name in TYPED if "." not in name}))
    found = sqlite.rows(", ".join(mirror.quoted(name) for name in IN_SQLITE))
    assert found[0] == ("00123", 1, 9007199254740993, 0.1, "2026-11-21", RECORD["Seen"], "Ann")
    assert found[1] == (*("007",) * 6, None)


async def test_a_value_that_does_not_fit_makes_its_column_text_as_salesforce_had_sent_it(postgres: Postgres) -> None:
    """A formula's odd text, or a field that became another: what was there reads as before, wherever the server is."""
    odd = {"Open": "maybe", "Count": 2**64 - 1, "Amount": "1,5", "Closed": "soon", "Seen": "2026-11-21"}
    sink = postgres.sink(Told(LEAD))
    await accepts(sink, lead(1, RECORD))
    await accepts(sink, lead(2, odd))
    await accepts(sink, lead(3, RECORD))
    widened = dict.fromkeys(("Open", "Amount", "Closed", "Seen"), "text") | {"Count": "numeric"}
    assert postgres.types() == TYPED | widened
    first, second, third = postgres.rows('"Open", "Count", "Amount", "Closed", "Seen"')
    assert first == third == ("true", 9007199254740993, "0.1", "2026-11-21", RECORD["Seen"])
    assert second == tuple(odd.values())
