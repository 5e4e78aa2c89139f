"""sinks/mirror.py: events become rows, and rows become statements; run against SQLite where the database decides."""

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from builders import a_delivery

from salesforce_poller.delivery import envelope
from salesforce_poller.model import Gap, Kind
from salesforce_poller.sinks import mirror, mirror_columns
from salesforce_poller.sinks.mirror import NoMirrorError, Row, Table
from salesforce_poller.sinks.mirror_columns import Column, Columns, Database

TEN = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
NOW = "2026-11-21T10:00:12.345Z"


def row(position: int = 42, **event: Any) -> Row:
    """Return what an event makes of its table."""
    return mirror.row(envelope.cloudevent(a_delivery(position=position, **event)), NOW)


def table(*columns: tuple[str, str]) -> Table:
    """Return a PostgreSQL table with our own columns and these."""
    everything = [*((name, words.split()[0]) for name, words in mirror.OWN.items()), *columns]
    return Table('"Lead"', {name.lower(): Column(name, kind) for name, kind in everything})


class Little:
    """An SQLite mirror in memory, without any of our hands."""

    def __init__(self, **described: str) -> None:
        fields = {path: [kind] for path, kind in described.items()}
        self.described: Columns = mirror_columns.described([fields], Database.SQLITE)
        self.database = sqlite3.connect(":memory:", isolation_level=None)

    def apply(self, *rows: Row) -> None:
        """Run what the mirror says, row by row."""
        for one in rows:
            for statement in mirror.changes(self._table(one.table), [one], self.described, Database.SQLITE):
                self.database.execute(statement)
            self.database.execute(*mirror.upsert(self._table(one.table), one, Database.SQLITE))

    def one(self, columns: str, of: str = "Lead") -> Any:
        """Return some columns of the only row."""
        [found] = self.database.execute(f'SELECT {columns} FROM "{of}"').fetchall()
        return found

    def types(self) -> dict[str, str]:
        """Return the columns of fields with their types."""
        columns = self._table("Lead").columns.values()
        return {column.name: column.type for column in columns if column.name not in mirror.OWN}

    def _table(self, name: str) -> Table:
        found = self.database.execute("SELECT name, type FROM pragma_table_info(?)", (name,))
        return Table(mirror.quoted(name), {column.lower(): Column(column, kind) for column, kind in found})


def types(record: dict[str, Any] | None, *columns: tuple[str, str], **described: str) -> list[str]:
    """Return what a record makes of a PostgreSQL table, without the part that is always the same."""
    told = mirror_columns.described([{path: [kind] for path, kind in described.items()}], Database.POSTGRESQL)
    found = mirror.changes(table(*columns), [row(record=record)], told, Database.POSTGRESQL)
    return [step for each in found for step in each.removeprefix('ALTER TABLE "Lead" ').split(", ")]


def test_every_field_that_is_described_has_a_column() -> None:
    """With or without a value, from the first event on, in describe's order; the key is there already."""
    described = {"Id": "id", "Name": "string", "Amount": "currency", "Closed": "date", "Seen": "datetime"}
    assert types(None, ("NAME", "text"), **described) == [
        'ADD COLUMN "Amount" numeric',
        'ADD COLUMN "Closed" date',
        'ADD COLUMN "Seen" timestamp with time zone',
    ]


def test_a_described_type_yields_to_a_value() -> None:
    """Where the column is not there yet, at once; a field that is not described has the type of its value."""
    assert types({"A": "odd", "B": 1.5, "C": 1}, A="date", B="int") == [
        'ADD COLUMN "A" text',
        'ADD COLUMN "B" numeric',
        'ADD COLUMN "C" numeric',
    ]


def test_a_column_that_is_there_keeps_its_type_whatever_describe_says() -> None:
    """It has values of its own, and somebody may count on it; what is gone from describe keeps its column."""
    assert types({"A": "2026-11-21"}, ("A", "text"), ("Gone", "date"), A="date") == []


def test_a_column_is_added_with_the_type_of_its_first_value() -> None:
    """Where nothing is described. Text stays text, whatever it looks like; null says nothing; a list is JSON."""
    record = {"Name": "2026-11-21", "Amount": 1.5, "Count": 3, "Open": True, "Tags": ["a"], "Nothing": None}
    assert types(record) == [
        'ADD COLUMN "Name" text',
        'ADD COLUMN "Amount" numeric',
        'ADD COLUMN "Count" numeric',
        'ADD COLUMN "Open" boolean',
        'ADD COLUMN "Tags" text',
    ]


def test_a_value_of_another_type_makes_the_column_text() -> None:
    """Once and for all, as Salesforce had sent it; what somebody else has typed is left to them."""
    assert types({"A": "many"}, ("A", "numeric")) == ['ALTER COLUMN "A" TYPE text USING "A"::text']
    assert types({"A": 1}, ("A", "boolean")) == ['ALTER COLUMN "A" TYPE text USING "A"::text']
    assert types({"A": True}, ("A", "numeric")) == ['ALTER COLUMN "A" TYPE text USING "A"::text']
    assert types({"A": 0.5}, ("A", "bigint")) == ['ALTER COLUMN "A" TYPE numeric USING "A"::numeric']
    assert types({"A": ""}, ("A", "date")) == [
        'ALTER COLUMN "A" TYPE text USING to_char("A"',
        "'YYYY-MM-DD')",
    ]
    assert types({"A": 1, "B": True, "C": None}, ("A", "text"), ("B", "integer"), ("C", "numeric")) == []


def test_two_types_in_one_batch_make_text_at_once() -> None:
    """Whichever comes first."""
    rows = [row(record={"A": value}) for value in (1, "much", 2)]
    assert mirror.changes(table(), rows, {}, Database.POSTGRESQL) == ['ALTER TABLE "Lead" ADD COLUMN "A" text']


def test_a_field_whose_letters_changed_case_is_still_the_same() -> None:
    """As it is in Salesforce."""
    assert types({"LEGACY__C": "x"}, ("Legacy__c", "text")) == []


def test_names_are_quoted() -> None:
    """Reserved words, dots, quotes."""
    assert mirror.quoted('Or"der') == '"Or""der"'


def test_a_table_that_is_somebody_elses_is_left_alone() -> None:
    """Even when it has the name of an object."""
    theirs = Table('"Order"', {"id": Column("id", "integer")})
    with pytest.raises(NoMirrorError, match=r'the table "Order" is no mirror .*choose another prefix or schema'):
        mirror.changes(theirs, [row(object="Order")], {}, Database.POSTGRESQL)


def test_a_deletion_marks_the_row_and_keeps_its_fields() -> None:
    """Without a last state they stay as they were; undeleting takes the marks away."""
    little = Little()
    little.apply(row(1), row(2, kind=Kind.DELETED, record=None, time=TEN + timedelta(hours=1)))
    assert little.one("Name, _deleted, _deleted_at, _kind") == ("Ann Example", 1, "2026-11-21T11:00:00Z", "deleted")
    little.apply(row(3, kind=Kind.UNDELETED, time=TEN + timedelta(hours=2)))
    assert little.one("Name, _deleted, _deleted_at") == ("Ann Example", 0, None)


def test_a_merge_names_the_record_that_survived() -> None:
    """On the row of the one that did not."""
    little = Little()
    little.apply(row(1), row(2, kind=Kind.MERGED, merged_into="00Q5g00000Survivor", record={"Name": "Last"}))
    assert little.one("_deleted, _merged_into, Name") == (1, "00Q5g00000Survivor", "Last")


def test_a_deletion_of_a_record_that_was_never_seen_is_a_row_too() -> None:
    """So that it can be told from a record that was never there."""
    little = Little()
    little.apply(row(1, kind=Kind.DELETED, record=None))
    assert little.one("Id, _deleted") == ("00Q5g00000AbCdEEAV", 1)


def test_an_older_event_changes_nothing() -> None:
    """A replay of one alone, or a repeat after a crash; the same one again changes nothing either."""
    little = Little()
    newer = row(9, record={"Name": "New"}, time=TEN + timedelta(seconds=5))
    little.apply(newer, row(8, record={"Name": "Old"}), row(8, kind=Kind.DELETED, record=None), newer)
    assert little.one("Name, _deleted, _sequence") == ("New", 0, 9)


def test_a_later_event_counts_even_with_an_earlier_stamp() -> None:
    """Deletions may be told with one; what came before it does not come back."""
    little = Little()
    before = row(1, time=TEN + timedelta(seconds=9))
    little.apply(before, row(2, kind=Kind.DELETED, record=None, time=TEN), before)
    assert little.one("_deleted, _sequence, _time") == (1, 2, "2026-11-21T10:00:09Z")


def test_a_new_store_goes_on_where_another_one_ended() -> None:
    """Its sequences begin anew, so a later stamp is enough."""
    little = Little()
    little.apply(row(900), row(3, record={"Name": "New"}, time=TEN + timedelta(days=1)))
    assert little.one("Name, _sequence") == ("New", 3)


def test_a_parent_that_is_gone_takes_its_fields_along() -> None:
    """``Owner`` is null then, and ``Owner.Name`` is no longer what it was."""
    little = Little()
    little.apply(row(1), row(2, record={"Name": "Ann", "Owner": None}))
    assert little.one('Name, "Owner.Name", Status') == ("Ann", None, "Working")


def test_two_orgs_may_have_a_record_of_one_id() -> None:
    """A sandbox and the org that it is a copy of."""
    little = Little()
    little.apply(row(1), row(2, org="uat", record={"Name": "Copy"}))
    found = little.database.execute('SELECT _org, Name FROM "Lead" ORDER BY _org').fetchall()
    assert found == [("acme", "Ann Example"), ("uat", "Copy")]


@pytest.mark.parametrize("value", ["00123", "1e5", 9007199254740993, -1.25e-9, "", "tr\x00ue", "\ufffe", "🚀"])
def test_sqlite_gives_back_what_it_was_given(value: Any) -> None:
    """Numbers that are text above all, which a typed column would make numbers of."""
    little = Little()
    little.apply(row(1, record={"A": 1}), row(2, record={"A": value}))
    [(found, size)] = little.database.execute('SELECT A, length(CAST(A AS BLOB)) FROM "Lead"').fetchall()
    assert (found, type(found), size) == (value, type(value), len(str(value).encode()) if value == found else 0)


@pytest.mark.parametrize("value", [9007199254740993, 0.30000000000000004, 1e22, True, "00123", "1e5"])
def test_sqlite_gives_back_every_digit_from_a_column_of_text_too(value: Any) -> None:
    """A field that describe once told was text, and now holds numbers: they are JSON there."""
    little = Little(A="string")
    little.apply(row(1, record={"A": value}))
    assert little.types() == {"A": "TEXT"}
    assert little.one("A, typeof(A)") == (value if isinstance(value, str) else orjson.dumps(value).decode(), "text")


def test_sqlite_gives_a_type_to_what_is_only_text() -> None:
    """All columns are there with the first event; other types would make numbers of texts."""
    little = Little(Name="string", Amount="currency", Open="boolean", Closed="date")
    little.apply(row(1, record={"Name": None}))
    assert little.types() == {"Name": "TEXT", "Amount": "", "Open": "", "Closed": "TEXT"}


def test_what_is_about_no_record_is_a_notice() -> None:
    """With all that was told; a repeat is the same row."""
    little = Little()
    gap = row(7, kind=Kind.GAP, record_id=None, record=None, gap=Gap("deletions", TEN, TEN, "the log is short"))
    little.apply(gap, gap)
    kind, name, data = little.one("_kind, _object, data", mirror.NOTICES)
    assert (kind, name) == ("gap", "Lead")
    assert '"why":"the log is short"' in data


def test_rows_with_the_same_fields_have_the_same_statement() -> None:
    """So that they travel together."""
    one, other = row(1), row(2, record={**row(1).fields, "Name": None, "Owner.Name": None})
    both = [
        mirror.upsert(table(("Name", "text"), ("Status", "text"), ("Owner.Name", "text")), each, Database.POSTGRESQL)
        for each in (one, other)
    ]
    assert both[0][0] == both[1][0]
    assert "$11::text::text" in both[0][0]
