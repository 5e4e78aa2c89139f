"""What a mirror's tables look like, and the statements that keep them in step with the org. Pure: values in, SQL out.

Called by ``sql.py``, which runs the statements. An object is a table, a record a row, a field a column of the same name
(``"Owner.Name"`` for a field of a parent). Columns of our own begin with ``_``, which no name in Salesforce does.

A table has a column for each field that describe tells, before there is a value in it, and one for each field of a
record that describe does not tell; none is ever dropped. Their types are thought out in ``mirror_columns.py``. To
PostgreSQL every value travels as text and is cast to what the column is by then, so that a column to which somebody has
given another type is served as well.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from salesforce_poller.model import Kind
from salesforce_poller.sinks import mirror_columns
from salesforce_poller.sinks.mirror_columns import Column, Columns, Database, short

#: Events that are about no record, such as gaps.
NOTICES = "_notices"


class NoMirrorError(Exception):
    """There is such a table, and it is none of ours."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the database has it; without columns when there is none yet."""

    #: As it is written in a statement: quoted, and with its schema.
    name: str
    columns: Columns = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """What one event makes of a table."""

    #: The table's name, without the prefix.
    table: str
    #: Values of our own columns.
    own: Mapping[str, Any]
    #: Fields by path; None where the event says nothing of them, so that they stay as they are.
    fields: Mapping[str, Any]


#: Our own columns of a record's table, with their types in PostgreSQL. A value of the first two is one record.
OWN: Mapping[str, str] = {
    "_org": "text NOT NULL",
    "Id": "text NOT NULL",
    "_deleted": "boolean NOT NULL",
    "_deleted_at": "timestamptz",
    "_merged_into": "text",
    "_kind": "text NOT NULL",
    "_event_id": "text NOT NULL",
    "_sequence": "bigint NOT NULL",
    "_time": "timestamptz NOT NULL",
    "_synced_at": "timestamptz NOT NULL",
}
_OF_NOTICES: Mapping[str, str] = {
    "_org": "text NOT NULL",
    "_event_id": "text NOT NULL",
    "_kind": "text NOT NULL",
    "_object": "text NOT NULL",
    "_sequence": "bigint NOT NULL",
    "_time": "timestamptz NOT NULL",
    "_synced_at": "timestamptz NOT NULL",
    "data": "text NOT NULL",
}


def row(event: Mapping[str, Any], synced_at: str) -> Row:
    """Return what a CloudEvent makes of its table; ``synced_at`` is machine time as RFC 3339."""
    data = event["data"]
    own = {"_org": data["org"], "_event_id": event["id"], "_kind": data["kind"], "_time": event["time"]}
    own |= {"_sequence": int(event["sequence"]), "_synced_at": synced_at}
    if data["record_id"] is None:
        return Row(NOTICES, own | {"_object": data["object"] or "", "data": orjson.dumps(data).decode()}, {})
    gone = data["kind"] in (Kind.DELETED, Kind.MERGED)
    own |= {"Id": data["record_id"], "_deleted": gone, "_deleted_at": event["time"] if gone else None}
    own["_merged_into"] = data["merged_into"] if gone else None
    fields = {path: value for path, value in _flat(data["record"] or {}, "") if path.lower() != "id"}
    return Row(data["object"], own, fields)


def changes(table: Table, rows: Sequence[Row], described: Columns, database: Database) -> list[str]:
    """Return the statements that make a table fit for these rows of it, and give it what is described; none when it is.

    Raises:
        NoMirrorError: there is such a table, and it is none of ours.
    """
    own = _OF_NOTICES if rows[0].table == NOTICES else OWN
    if not table.columns:
        made = Table(table.name, _as_columns(own))
        return [_create(table.name, own, database), *_fitting(made, rows, described, database)]
    if lacking := [name for name in own if name.lower() not in table.columns]:
        raise NoMirrorError(
            f"the table {table.name} is no mirror (it has no column {lacking[0]}); choose another prefix or schema"
        )
    return _fitting(table, rows, described, database)


def upsert(table: Table, one: Row, database: Database) -> tuple[str, list[Any]]:
    """Return the statement that brings one row up to date, and its values.

    The statement is the same for every row with the same fields. It leaves a row alone that a later event has written:
    one of a higher sequence, unless its time says that the sequence is another store's.
    """
    named = {**one.own, **dict(_of(table, one.fields))}
    columns = tuple(table.columns[name.lower()] for name in named)
    values = [_value(value, column, database) for value, column in zip(named.values(), columns, strict=True)]
    return _statement(table.name, columns, database), values


@lru_cache(maxsize=1_000)
def _statement(table: str, columns: tuple[Column, ...], database: Database) -> str:
    names = [each.name for each in columns]
    of_records = "Id" in names
    key = ["_org", "Id" if of_records else "_event_id"]
    places = ", ".join(_place(number, column, database) for number, column in enumerate(columns, start=1))
    statement = f"INSERT INTO {table} AS t ({_names(names)}) VALUES ({places}) ON CONFLICT ({_names(key)}) DO "  # noqa: S608  # names are quoted, values apart
    if not of_records:
        return f"{statement}NOTHING"
    latest = "max" if database is Database.SQLITE else "greatest"
    setting = [
        f'"_time" = {latest}(excluded."_time", t."_time")' if name == "_time" else f"{q} = excluded.{q}"
        for name in names
        if name not in key and (q := quoted(name))
    ]
    newer = 'excluded."_time" > t."_time" OR excluded."_sequence" >= t."_sequence"'
    return f"{statement}UPDATE SET {', '.join(setting)} WHERE {newer}"


def quoted(name: str) -> str:
    """Return a name as an identifier: reserved words, dots and letters of either case are just letters in it."""
    return '"' + name.replace('"', '""') + '"'


def _flat(record: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    """Yield fields by path, those of parents under the parent's; a list is one value."""
    for name, value in record.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _of(table: Table, fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the columns that an event speaks of. A parent that is not there takes all of its fields with it."""
    for path, value in fields.items():
        if short(path).lower() in table.columns:
            yield short(path), value
        elif value is None:
            below = f"{path.lower()}."
            yield from ((column.name, None) for key, column in table.columns.items() if key.startswith(below))


def _create(name: str, own: Mapping[str, str], database: Database) -> str:
    """A table begins with our own columns; those of the object are added as they appear."""
    bare = database is Database.SQLITE
    columns = [f"{quoted(each)} {_in_sqlite(words) if bare else words}" for each, words in own.items()]
    return f"CREATE TABLE IF NOT EXISTS {name} ({', '.join(columns)}, PRIMARY KEY ({_names(list(own)[:2])}))"


def _fitting(table: Table, rows: Sequence[Row], described: Columns, database: Database) -> list[str]:
    """Return what adds and widens columns. Where nothing is described, null adds none: it says nothing of a type."""
    wanted = {key: column for key, column in described.items() if key not in table.columns}
    for path, value in ((path, value) for one in rows for path, value in one.fields.items() if value is not None):
        name = short(path)
        known = wanted.get(name.lower()) or table.columns.get(name.lower())
        if known is None:
            wanted[name.lower()] = Column(name, mirror_columns.of_value(value, database))
        elif (kind := mirror_columns.widened(known.type, value, database)) != known.type:
            wanted[name.lower()] = Column(known.name, kind)
    steps = []
    for key, column in wanted.items():
        name, known = quoted(column.name), table.columns.get(key)
        if known is None:
            steps.append(f"ADD COLUMN {name} {column.type}".rstrip())
        else:
            using = mirror_columns.conversion(name, known.type, column.type)
            steps.append(f"ALTER COLUMN {name} TYPE {column.type} USING {using}")
    if database is Database.POSTGRESQL and steps:
        steps = [", ".join(steps)]  # SQLite takes one at a time
    return [f"ALTER TABLE {table.name} {step}" for step in steps]


def _as_columns(own: Mapping[str, str]) -> dict[str, Column]:
    return {name.lower(): Column(name, words.split()[0]) for name, words in own.items()}


def _in_sqlite(words: str) -> str:
    """Return our own types in SQLite's words; instants are text there."""
    kind, *rest = words.split()
    return " ".join([{"bigint": "INTEGER", "boolean": "INTEGER"}.get(kind, "TEXT"), *rest])


def _place(number: int, column: Column, database: Database) -> str:
    return f"?{number}" if database is Database.SQLITE else f"${number}::text::{column.type}"


def _value(value: Any, column: Column, database: Database) -> Any:
    """Return a value as its driver takes it. What is no plain value is JSON, and for a column of text, numbers are.

    SQLite itself would make text of a number with 15 digits.
    """
    if value is None or isinstance(value, str):
        return value
    if database is Database.SQLITE and column.type != "TEXT" and isinstance(value, bool | int | float):
        return value
    return orjson.dumps(value).decode()


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))
