"""sinks/sql.py: the contract, for PostgreSQL and for SQLite, and what only a mirror can do.

A mirror has rows and no messages, so beside the table there is a diary here, which a trigger of the database writes.
"""

import asyncio
import secrets
import sqlite3
import stat
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest
import servers
from broker_contract import SECRET, BrokerContract, apart, events_of, eventually
from certificates import Certificates
from fakes import FakeClock
from servers import Server
from sink_contract import SinkContract, dressed, verdicts

from salesforce_poller.model import Kind, Receipt, Verdict
from salesforce_poller.sinks import mirror
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.sinks.mirror import Table
from salesforce_poller.sinks.mirror_columns import Database
from salesforce_poller.sinks.sql import Sql, SqlSettings

HARD = {
    "Name": "Zoë 株式会社 🚀 \u2028 \r\n \x1b[0m \ufffe",
    "Order": '"; --',
    "select": "it's",
    "Description": "x" * 1_000_000,
}
DIARY = """
    ALTER TABLE {0}."Lead" ADD "Description" text CHECK (length("Description") <= 2000000);
    CREATE TABLE {0}.diary (n bigint GENERATED ALWAYS AS IDENTITY, id text, partitionkey text);
    CREATE FUNCTION {0}.write() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO {0}.diary (id, partitionkey) VALUES (NEW."_event_id", NEW."Id"); RETURN NULL; END $$;
    CREATE TRIGGER diary AFTER INSERT OR UPDATE ON {0}."Lead" FOR EACH ROW EXECUTE FUNCTION {0}.write();
"""


def a_mirror(url: str, **settings: Any) -> Sql:
    """Return a mirror in that database."""
    return Sql(SqlSettings(type="sql", url=url, **settings), FakeClock())


async def accepts(sink: Sql, *events: Dressed) -> None:
    """Open the mirror where it is not, and have it take all of these."""
    if sink._door is None:
        await sink.open()
    assert await verdicts(sink, events) == [Verdict.ACCEPTED] * len(events)


class TestPostgres(BrokerContract):
    """The contract of everything with a server, in a schema of each test's own."""

    timeout = 1.0

    @pytest.fixture(autouse=True)
    def _schema(self, postgres_server: Server) -> None:
        self._server = postgres_server
        postgres_server.start()
        self.schema = f"t{secrets.token_hex(6)}"
        table = Table(f'{self.schema}."Lead"')
        [made] = mirror.changes(table, [mirror.row(dressed(record=None).cloudevent, "")], {}, Database.POSTGRESQL)
        self.sql(f"CREATE SCHEMA {self.schema}; {made}; {DIARY.format(self.schema)}")

    def sql(self, text: str, *values: Any) -> list[Any]:
        """Ask the server itself; several statements only without values."""

        async def ask() -> list[Any]:
            connection = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{self.server.port}/postgres")
            try:
                if text.lstrip().upper().startswith("SELECT"):
                    return [tuple(each) for each in await connection.fetch(text, *values)]
                await connection.execute(text, *values)
                return []
            finally:
                await connection.close()

        return apart(ask)

    @property
    def server(self) -> Server:
        return self._server

    def a_sink(self) -> Sql:
        return self.sink_at(self.server.port)

    def sink_at(self, port: int, **settings: Any) -> Sql:
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        return a_mirror(url, **{"database_schema": self.schema, "timeout": f"{self.timeout}s"} | settings)

    def received(self) -> list[bytes]:
        rows = self.sql(f"SELECT id, partitionkey FROM {self.schema}.diary ORDER BY n")
        return [orjson.dumps({"id": id_, "partitionkey": key}) for id_, key in rows]

    def repeat_ids(self) -> list[str]:
        return [row[0] for row in self.sql(f"SELECT id FROM {self.schema}.diary ORDER BY n")]

    def too_large(self) -> Dressed:
        return dressed(2, id="2", record_id="001B", record={"Description": "x" * 2_000_001})

    async def with_wrong_login(self) -> Receipt:
        self.sql(f"CREATE ROLE {self.schema} LOGIN PASSWORD 'right'")
        rules = self.server.folder / "data" / "pg_hba.conf"
        before = rules.read_text("utf-8")
        rules.write_text(f"host all {self.schema} 127.0.0.1/32 scram-sha-256\n{before}", encoding="utf-8")
        self.sql("SELECT pg_reload_conf()")
        url = f"postgresql://{self.schema}:{SECRET}@127.0.0.1:{self.server.port}/postgres"
        sink = a_mirror(url, timeout="5s")
        await sink.open()

        async def refused() -> bool:
            return (await sink.send([dressed()]))[0].verdict is not Verdict.ACCEPTED

        await eventually(refused, "the server has read its rules anew")
        [receipt] = await sink.send([dressed()])
        await sink.close()
        rules.write_text(before, encoding="utf-8")
        self.sql("SELECT pg_reload_conf()")
        return receipt

    # ------------------------------------------------------------------ what a mirror keeps instead of messages

    async def test_what_it_accepts_has_arrived(self) -> None:
        """As a row."""
        sink = self.a_sink()
        await accepts(sink, dressed())
        await sink.close()
        found = self.rows('"_org", "Id", "Name", "Owner.Name", "_deleted", "_sequence", "_kind"')
        assert found == [("acme", "00Q5g00000AbCdEEAV", "Ann Example", "Ann", False, 42, "updated")]

    async def test_it_carries_any_text_and_any_size(self) -> None:
        """All but NUL, which PostgreSQL does not take; names that are words of SQL as well."""
        sink = self.a_sink()
        await accepts(sink, dressed(record=HARD))
        await sink.close()
        assert self.rows('"Name", "Order", "select", "Description"') == [tuple(HARD.values())]

    def rows(self, columns: str, table: str = "Lead") -> list[Any]:
        """Return some columns of the mirror."""
        return self.sql(f'SELECT {columns} FROM {self.schema}."{table}" ORDER BY "_sequence"')

    def types(self) -> dict[str, str]:
        """Return the columns of fields with their types."""
        names = "SELECT column_name::text, data_type::text FROM information_schema.columns"
        where = "WHERE table_schema = $1 AND table_name = 'Lead' ORDER BY ordinal_position"
        return {name: kind for name, kind in self.sql(f"{names} {where}", self.schema) if name not in mirror.OWN}

    # ------------------------------------------------------------------ what only PostgreSQL can do

    async def test_a_number_that_becomes_text_keeps_what_was_there(self) -> None:
        """Digit for digit."""
        sink = self.a_sink()
        values = [123456789012345678, 0.1, 1e22, "many", True, None]
        await accepts(sink, *(dressed(n, record_id=f"00{n}", record={"A": one}) for n, one in enumerate(values[:3])))
        assert self.types() == {"Description": "text", "A": "numeric"}
        await accepts(sink, *(dressed(n, record_id=f"00{n}", record={"A": values[n]}) for n in (3, 4, 5)))
        await sink.close()
        assert self.types() == {"Description": "text", "A": "text"}
        texts = ["123456789012345678", "0.1", "10000000000000000000000", "many", "true", None]
        assert [value for (value,) in self.rows('"A"')] == texts

    async def test_a_row_that_the_database_refuses_is_refused_alone(self) -> None:
        """With what comes behind it of the same record; the rest of the batch is there."""
        sink = self.a_sink()
        await sink.open()
        owed = events_of(["001A", "001B", "001C"], rounds=2)
        owed[1] = dressed(2, id="2", record_id="001B", record={"Name": "nul\x00"})
        receipts = await sink.send(owed)
        await sink.close()
        wanted = [Verdict.ACCEPTED] * 3 + [Verdict.ACCEPTED, Verdict.TRY_LATER, Verdict.ACCEPTED]
        wanted[1] = Verdict.REFUSED
        assert [each.verdict for each in receipts] == wanted
        assert receipts[1].detail == 'PostgreSQL: invalid byte sequence for encoding "UTF8": 0x00 (22021)'
        assert not receipts[1].general
        assert self.rows('"Id", "_sequence"') == [("001A", 4), ("001C", 6)]

    async def test_more_columns_than_a_table_can_have_are_about_the_event(self) -> None:
        """Nothing of it is there, and others pass."""
        sink = self.sink_at(self.server.port, timeout="20s")
        await sink.open()
        [receipt] = await sink.send([dressed(1, record={f"Field{n}__c": n for n in range(1_700)})])
        assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, False)
        assert receipt.detail == "PostgreSQL: tables can have at most 1600 columns (54011)"
        await accepts(sink, dressed(2, record_id="001B"))
        await sink.close()
        assert list(self.types()) == ["Description", "Name", "Status", "Owner.Name"]

    async def test_a_type_and_a_column_of_somebody_elses_are_served(self) -> None:
        """Values are cast; what cannot be is refused, and nothing is cut off."""
        more = 'ADD "CreatedDate" timestamptz, ADD "Code" varchar(3), ADD mine text DEFAULT \'kept\''
        self.sql(f'ALTER TABLE {self.schema}."Lead" {more}')
        sink = self.a_sink()
        await accepts(sink, dressed(1, record={"CreatedDate": "2026-11-21T10:00:00.000+0000", "Code": "abc"}))
        [receipt] = await sink.send([dressed(2, record={"Code": "abcd"})])
        assert receipt.verdict is Verdict.REFUSED
        await sink.close()
        found = self.rows('("CreatedDate" AT TIME ZONE \'UTC\')::text, "Code", mine')
        assert found == [("2026-11-21 10:00:00", "abc", "kept")]

    async def test_two_mirrors_of_two_daemons_make_their_tables_together(self) -> None:
        """In one schema, which neither has seen: none fails for the other's being faster."""
        self.sql(f"DROP SCHEMA {self.schema} CASCADE")
        sinks = [self.a_sink() for _ in range(6)]
        for sink in sinks:
            await sink.open()
        sends = (sink.send([dressed(n, org=f"org{n}", record={f"F{n}": 1})]) for n, sink in enumerate(sinks))
        receipts = [each for [each] in await asyncio.gather(*sends)]
        assert [each.verdict for each in receipts] == [Verdict.ACCEPTED] * 6, receipts
        for sink in sinks:
            await sink.close()
        assert len(self.rows('"F0", "F5"')) == 6

    async def test_a_table_that_was_changed_behind_its_back_is_looked_at_anew(self) -> None:
        """A column or the whole table is gone: one answer is lost, the next is good."""
        sink = self.a_sink()
        await accepts(sink, dressed(1))
        for change in (f'ALTER TABLE {self.schema}."Lead" DROP "Status"', f'DROP TABLE {self.schema}."Lead"'):
            self.sql(change)
            [receipt] = await sink.send([dressed(2)])
            assert receipt.verdict is Verdict.TRY_LATER
            await accepts(sink, dressed(2))
        await sink.close()
        assert self.rows('"Status"') == [("Working",)]

    async def test_a_table_that_somebody_locks_is_an_answer_in_time(self) -> None:
        """And the wait for it ends at the server too."""
        blocker = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{self.server.port}/postgres")
        sink = self.a_sink()
        await sink.open()
        async with blocker.transaction():
            await blocker.execute(f'LOCK TABLE {self.schema}."Lead"')
            [receipt] = await sink.send([dressed()])
            assert receipt.verdict is Verdict.TRY_LATER

            async def nobody_waits() -> bool:
                return not await blocker.fetch("SELECT 1 FROM pg_locks WHERE NOT granted")

            await eventually(nobody_waits, "no lock is waited for")
        await blocker.close()
        await accepts(sink, dressed())
        await sink.close()

    async def test_check_says_what_the_user_may_not_do(self) -> None:
        """And what the database lets go of."""
        self.sql(f"CREATE ROLE {self.schema} LOGIN; ALTER ROLE {self.schema} SET synchronous_commit = off")
        sink = a_mirror(f"postgresql://{self.schema}@127.0.0.1:{self.server.port}/postgres", timeout="5s")
        await sink.open()
        receipt = await sink.probe()
        assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)
        assert receipt.detail == "the user may not make tables in the schema public"
        assert await sink.warnings() == [
            "synchronous_commit is off: a crash can lose the last rows that were confirmed"
        ]
        [sent] = await sink.send([dressed()])
        assert (sent.verdict, sent.general) == (Verdict.REFUSED, True)
        await sink.close()

    async def test_a_database_that_is_not_there_is_about_the_whole_sink(self) -> None:
        """Not about the event."""
        sink = a_mirror(f"postgresql://postgres@127.0.0.1:{self.server.port}/nowhere")
        await sink.open()
        [receipt] = await sink.send([dressed()])
        await sink.close()
        assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)
        assert receipt.detail == 'PostgreSQL: database "nowhere" does not exist (3D000)'


async def test_what_libpq_knows_of_tls_is_understood(some_certificates: Certificates) -> None:
    """``sslmode`` and ``sslrootcert`` in the address; a server that somebody else vouches for is not trusted."""
    with servers.postgres(tls=some_certificates) as server:
        where = f"postgresql://postgres@localhost:{server.tls_port}/postgres?sslmode=verify-full"
        trusting = a_mirror(f"{where}&sslrootcert={some_certificates.ca}", database_schema="tls")
        await accepts(trusting, dressed())
        await trusting.close()
        wary = a_mirror(f"{where}&sslrootcert={some_certificates.other_ca}")
        await wary.open()
        [receipt] = await wary.send([dressed()])
        await wary.close()
    assert receipt.verdict is Verdict.TRY_LATER
    assert "certificate verify failed" in receipt.detail


class TestSqlite(SinkContract):
    """The contract, with a file that has to be made."""

    @pytest.fixture(autouse=True)
    def _somewhere(self, tmp_path: Path) -> None:
        self.path = tmp_path / "new" / "mirror.db"

    def a_sink(self) -> Sql:
        return a_mirror(f"sqlite:///{self.path}")

    def a_broken_sink(self) -> Sql:
        return a_mirror("sqlite:////proc/nowhere/mirror.db")

    def received(self) -> list[bytes]:
        return [orjson.dumps(each) for each in self.rows("*")] if self.path.exists() and self.tables() else []

    def tables(self) -> list[str]:
        """Return the names of all tables."""
        return [name for (name,) in self.ask("SELECT name FROM sqlite_master WHERE type = 'table'")]

    def ask(self, text: str) -> list[Any]:
        """Ask the file itself."""
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(text).fetchall()
        finally:
            connection.close()

    def rows(self, columns: str, table: str = "Lead") -> list[Any]:
        """Return some columns of the mirror."""
        return self.ask(f'SELECT {columns} FROM "{table}" ORDER BY _sequence')

    # ------------------------------------------------------------------ what a mirror keeps instead of messages

    async def test_what_it_accepts_has_arrived(self) -> None:
        """As a row, in a file that is not for everybody."""
        sink = self.a_sink()
        await accepts(sink, dressed())
        await sink.close()
        found = self.rows('_org, Id, Name, "Owner.Name", _deleted, _synced_at')
        assert found == [("acme", "00Q5g00000AbCdEEAV", "Ann Example", "Ann", 0, "2026-11-21T10:00:00.000Z")]
        assert stat.S_IMODE(self.path.stat().st_mode) & 0o007 == 0

    async def test_it_keeps_the_order(self) -> None:
        """The last event of a record is what is left, whatever came between."""
        sink = self.a_sink()
        kinds = [Kind.CREATED, Kind.DELETED, Kind.UNDELETED, Kind.UPDATED]
        events = [
            dressed(n, id=f"{n}", kind=kinds[n % 4], record={"Name": n} if n % 4 != 1 else None) for n in range(8)
        ]
        await accepts(sink, *events)
        await sink.close()
        assert self.rows("_event_id, Name, _deleted, _kind") == [("7", 7, 0, "updated")]

    async def test_it_carries_any_text_and_any_size(self) -> None:
        """NUL included."""
        sink = self.a_sink()
        await accepts(sink, dressed(record=HARD | {"Nul": "a\x00b"}))
        await sink.close()
        assert self.rows('Name, "Order", "select", Description, Nul') == [(*HARD.values(), "a\x00b")]

    # ------------------------------------------------------------------ what only SQLite can do

    async def test_a_reader_does_not_stop_it_and_a_writer_is_an_answer(self) -> None:
        """Somebody in the middle of a query, and somebody in the middle of a change."""
        sink = a_mirror(f"sqlite:///{self.path}", timeout="200ms")
        await accepts(sink, dressed(1))
        reader = sqlite3.connect(self.path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute('SELECT * FROM "Lead"').fetchone()
        await accepts(sink, dressed(2))
        reader.execute("COMMIT")
        reader.execute("BEGIN IMMEDIATE")
        [receipt] = await sink.send([dressed(3)])
        assert (receipt.verdict, receipt.detail) == (Verdict.TRY_LATER, "SQLite: database is locked (SQLITE_BUSY)")
        reader.execute("ROLLBACK")
        await accepts(sink, dressed(3))
        reader.close()
        await sink.close()

    async def test_a_full_disk_is_an_answer_and_loses_nothing(self) -> None:
        """As the database itself says it, of a limit on its pages."""
        sink = self.a_sink()
        await accepts(sink, dressed(1))
        assert sink._door is not None
        connection = await sink._door._connected()
        await connection.exec_driver_sql("PRAGMA max_page_count = 20")
        await connection.rollback()
        [receipt] = await sink.send([dressed(2, record={"Description": "x" * 200_000})])
        expected = (Verdict.TRY_LATER, "SQLite: database or disk is full (SQLITE_FULL)")
        assert (receipt.verdict, receipt.detail) == expected
        await accepts(
            sink, dressed(2, record={"Description": "x" * 200_000})
        )  # over a new connection, without the limit
        await sink.close()

    async def test_a_file_that_is_no_database_is_about_the_whole_sink(self) -> None:
        """And is left as it is."""
        self.path.parent.mkdir()
        self.path.write_text("not a database, but somebody's letter to a friend")
        sink = self.a_sink()
        await sink.open()
        [receipt] = await sink.send([dressed()])
        await sink.close()
        assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)
        assert self.path.read_text().startswith("not a database")

    async def test_gaps_are_notices(self) -> None:
        """In a table beside those of the objects, with the prefix that all of them have."""
        sink = a_mirror(f"sqlite:///{self.path}", prefix="sf_")
        await accepts(sink, dressed(1, kind=Kind.GAP, record_id=None, record=None), dressed(2))
        await sink.close()
        assert sorted(self.tables()) == ["sf_Lead", "sf__notices"]
        assert self.rows("_kind, _object", "sf__notices") == [("gap", "Lead")]

    async def test_a_table_of_somebody_elses_costs_only_its_own_object(self) -> None:
        """Its events are refused, and those of others go on."""
        self.path.parent.mkdir()
        self.ask('CREATE TABLE "order" (id INTEGER)')
        sink = self.a_sink()
        await sink.open()
        receipts = await sink.send([dressed(1, object="Order", record_id="801"), dressed(2)])
        await sink.close()
        assert [each.verdict for each in receipts] == [Verdict.REFUSED, Verdict.ACCEPTED]
        assert "is no mirror" in receipts[0].detail


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://host/db", 'should be "postgresql://user:password@host/database" or "sqlite:///FILE"'),
        ("sqlite:///:memory:", "should be a file"),
        ("sqlite:///", "should be"),
        ("postgresql://user:hush@host:port/db", "should have a number behind the host's colon"),
    ],
)
def test_an_address_that_cannot_be_is_refused_without_repeating_it(url: str, problem: str) -> None:
    """It may hold a password."""
    with pytest.raises(ValueError, match=problem) as caught:
        SqlSettings(type="sql", url=url)
    assert "hush" not in caught.value.errors()[0]["msg"]  # type: ignore[attr-defined]  # pydantic's


def test_a_library_that_is_missing_is_named_for_postgresql_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror in SQLite needs nothing more."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ValueError, match=r"pip install 'salesforce-poller\[sql\]'"):
        SqlSettings(type="sql", url="postgresql://host/db")
    assert SqlSettings(type="sql", url="sqlite:///mirror.db").file == Path("mirror.db")
