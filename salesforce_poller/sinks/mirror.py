"""What a mirror's tables look like, and the statements that keep them in step with the org. Pure: values in, SQL out.

Called by ``sql.py``, which runs the statements. An object is a table, a record a row, a field a column of the same name
(``"Owner.Name"`` for a field of a parent). Columns of our own begin with ``_``, which no name in Salesforce does.

A value is never altered or refused for its type. SQLite gets columns without a type, which hold whatever comes. In
PostgreSQL a column is ``boolean`` or ``numeric`` as long as nothing else was seen, and ``text`` from then on; dates and
times stay the text that Salesforce sent, which sorts as it should. Every value travels as text and is cast to what the
column is by then, so that a column to which somebody has given another type is served as well.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

import orjson

from salesforce_poller.model import Kind

#: Events that are about no record, such as gaps.
NOTICES = "_notices"
#: PostgreSQL cuts longer names off without a word, and two of them might then be one.
_LONGEST_NAME = 63
_TAIL = 8


class NoMirrorError(Exception):
    """There is such a table, and it is none of ours."""


class Database(Enum):
    """Whose SQL it is."""

    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the database has it."""

    name: str
    #: In the database's own words; empty in SQLite where it has none.
    type: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the database has it; without columns when there is none yet."""

    #: As it is written in a statement: quoted, and with its schema.
    name: str
    #: By name in small letters: an API name whose letters changed case is still the same field.
    columns: Mapping[str, Column] = field(default_factory=dict)


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


def changes(table: Table, rows: Sequence[Row], database: Database) -> list[str]:
    """Return the statements that make a table fit for these rows of it; none when it is.

    Raises:
        NoMirrorError: there is such a table, and it is none of ours.
    """
    own = _OF_NOTICES if rows[0].table == NOTICES else OWN
    if not table.columns:
        return [_create(table.name, own, database), *_fitting(Table(table.name, _as_columns(own)), rows, database)]
    if lacking := [name for name in own if name.lower() not in table.columns]:
        raise NoMirrorError(
            f"the table {table.name} is no mirror (it has no column {lacking[0]}); choose another prefix or schema"
        )
    return _fitting(table, rows, database)


def upsert(table: Table, one: Row, database: Database) -> tuple[str, list[Any]]:
    """Return the statement that brings one row up to date, and its values.

    The statement is the same for every row with the same fields. It leaves a row alone that a later event has written:
    one of a higher sequence, unless its time says that the sequence is another store's.
    """
    named = {**one.own, **dict(_of(table, one.fields))}
    columns = tuple(table.columns[name.lower()] for name in named)
    return _statement(table.name, columns, database), [_value(value, database) for value in named.values()]


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


@lru_cache(maxsize=10_000)
def short(name: str) -> str:
    """Return a name that every database takes; a long one keeps its beginning, and an end that tells it from others."""
    encoded = name.encode()
    if len(encoded) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:_TAIL]
    return f"{encoded[: _LONGEST_NAME - _TAIL - 1].decode(errors='ignore')}~{digest}"


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


def _fitting(table: Table, rows: Sequence[Row], database: Database) -> list[str]:
    """Return what adds and widens columns. A column is added with its first value: null says nothing of its type."""
    wanted: dict[str, Column] = {}
    for path, value in ((path, value) for one in rows for path, value in one.fields.items() if value is not None):
        name, kind = short(path), _type(value, database)
        known = wanted.get(name.lower()) or table.columns.get(name.lower())
        if known is None:
            wanted[name.lower()] = Column(name, kind)
        elif kind and known.type in ("boolean", "numeric") and known.type != kind:
            wanted[name.lower()] = Column(known.name, "text")
    steps = []
    for key, column in wanted.items():
        name = quoted(column.name)
        if key not in table.columns:
            steps.append(f"ADD COLUMN {name} {column.type}".rstrip())
        elif column.type != table.columns[key].type:
            steps.append(f"ALTER COLUMN {name} TYPE text USING {name}::text")
    if database is Database.POSTGRESQL and steps:
        steps = [", ".join(steps)]  # SQLite takes one at a time
    return [f"ALTER TABLE {table.name} {step}" for step in steps]


def _as_columns(own: Mapping[str, str]) -> dict[str, Column]:
    return {name.lower(): Column(name, words.split()[0]) for name, words in own.items()}


def _in_sqlite(words: str) -> str:
    """Return our own types in SQLite's words; instants are text there."""
    kind, *rest = words.split()
    return " ".join([{"bigint": "INTEGER", "boolean": "INTEGER"}.get(kind, "TEXT"), *rest])


def _type(value: Any, database: Database) -> str:
    if database is Database.SQLITE:
        return ""
    return "boolean" if isinstance(value, bool) else "numeric" if isinstance(value, int | float) else "text"


def _place(number: int, column: Column, database: Database) -> str:
    return f"?{number}" if database is Database.SQLITE else f"${number}::text::{column.type}"


def _value(value: Any, database: Database) -> Any:
    """Return a value as its driver takes it: SQLite as it is, PostgreSQL as text. What is no plain value is JSON."""
    if value is None or isinstance(value, str):
        return value
    if database is Database.SQLITE and isinstance(value, bool | int | float):
        return value
    return orjson.dumps(value).decode()


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))
