"""The columns of a mirror's tables: their names and types, and when a type becomes another one. Pure.

Called by ``mirror.py``, which makes statements of it. A type comes from what describe says of the field; where that is
not known, from its first value. A value that its column cannot hold exactly makes the column wider, at last ``text``:
none is refused or altered for its type. That holds for the types that are given here; any other is somebody else's
choice, and is left to them.

SQLite's types are wishes, and most of them alter values: ``NUMERIC`` makes 123 of "00123", ``REAL`` rounds what is
beyond 2^53 (sqlite.org/datatype3.html, "Type Affinity"). So what is text has ``TEXT`` there, and the rest no type at
all, which holds whatever comes.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import Any

#: PostgreSQL cuts longer names off without a word, and two of them might then be one.
_LONGEST_NAME = 63
_TAIL = 8

TEXT = "text"
_BOOLEAN, _BIGINT, _NUMERIC, _DATE, _INSTANT = "boolean", "bigint", "numeric", "date", "timestamp with time zone"
#: By the word that describe has for a field's type ("Field Types", SOAP API Developer Guide); all others are text.
_OF_FIELDS = {
    "boolean": _BOOLEAN,
    "int": _BIGINT,
    "long": _BIGINT,
    "double": _NUMERIC,
    "currency": _NUMERIC,
    "percent": _NUMERIC,
    "date": _DATE,
    "datetime": _INSTANT,
}
#: Fields whose values may be no JSON strings; ``anyType`` is that of a history's old and new values.
_NOT_ONLY_STRINGS = frozenset({"boolean", "int", "long", "double", "currency", "percent", "anyType"})
_LEAST, _MOST = -(2**63), 2**63 - 1
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
#: As REST writes them, to the millisecond, and as others write the same.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?(Z|\+00:?00)", re.ASCII)
#: What goes back to text is what Salesforce had sent, however the server likes to write dates.
_AS_TEXT = {
    _DATE: "to_char({}, 'YYYY-MM-DD')",
    _INSTANT: "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"+0000\"')",
}


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


#: By name in small letters: an API name whose letters changed case is still the same field.
Columns = Mapping[str, Column]


def described(objects: Iterable[Mapping[str, Collection[str]]], database: Database) -> Columns:
    """Return the columns for what describe says of an object, in one org or several: types of fields, by path.

    Fields of one name with types that do not agree share a column that holds both.
    """
    names: dict[str, str] = {}
    types: dict[str, set[str]] = {}
    for path, told in ((path, told) for fields in objects for path, told in fields.items() if path.lower() != "id"):
        name = short(path)
        names.setdefault(name.lower(), name)
        types.setdefault(name.lower(), set()).update(told)
    return {key: Column(name, of_field(types[key], database)) for key, name in names.items()}


def of_field(types: Collection[str], database: Database) -> str:
    """Return the type for a field of one of these types."""
    if database is Database.SQLITE:
        return "" if _NOT_ONLY_STRINGS.intersection(types) else "TEXT"
    found = {_OF_FIELDS.get(each, TEXT) for each in types}
    if len(found) == 1:
        return found.pop()
    return _NUMERIC if found == {_BIGINT, _NUMERIC} else TEXT


def of_value(value: Any, database: Database) -> str:
    """Return the type for a field of which only a value is known. Text may be anything, so it is just text."""
    if database is Database.SQLITE:
        return ""
    return _BOOLEAN if isinstance(value, bool) else _NUMERIC if isinstance(value, int | float) else TEXT


def widened(have: str, value: Any, database: Database) -> str:
    """Return the type that a column must have for this value, which is not None; mostly the one that it has."""
    if database is Database.SQLITE or _fits(value, have):
        return have
    return _NUMERIC if have == _BIGINT and _fits(value, _NUMERIC) else TEXT


def conversion(name: str, have: str, wanted: str) -> str:
    """Return the expression that makes a value of a wider type of what is in a column; ``name`` is quoted."""
    return _AS_TEXT[have].format(name) if have in _AS_TEXT else f"{name}::{wanted}"


@lru_cache(maxsize=10_000)
def short(name: str) -> str:
    """Return a name that every database takes; a long one keeps its beginning, and an end that tells it from others."""
    encoded = name.encode()
    if len(encoded) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:_TAIL]
    return f"{encoded[: _LONGEST_NAME - _TAIL - 1].decode(errors='ignore')}~{digest}"


def _fits(value: Any, type_: str) -> bool:
    """Say whether a column of a type gives back what it was given."""
    if type_ == _BOOLEAN:
        return isinstance(value, bool)
    if type_ == _BIGINT:
        return isinstance(value, int) and not isinstance(value, bool) and _LEAST <= value <= _MOST
    if type_ == _NUMERIC:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if type_ in (_DATE, _INSTANT):
        return isinstance(value, str) and _is_date(value, _DAY if type_ == _DATE else _MOMENT)
    return True


def _is_date(text: str, form: re.Pattern[str]) -> bool:
    """Say whether a text has this form and is in the calendar."""
    if form.fullmatch(text):
        with suppress(ValueError):
            return bool(datetime.fromisoformat(text))
    return False
