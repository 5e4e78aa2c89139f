"""How a row is born, changed and stamped: pure functions over the catalogue.

Called by the statements in `transactions`; what they return goes into the `workspace`. Rows hold the stored
fields only: derived ones (formulas, a person's Name) are computed when read, by the query side.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from salesforce_poller.simulator import errors, ids
from salesforce_poller.simulator.catalogue import Field, ObjectType
from salesforce_poller.simulator.changes import Row
from salesforce_poller.simulator.errors import ApiError

AUDIT = ("CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById")
"""Only these system fields may be given, and only on insert ("Set Audit Fields upon Record Creation")."""

SYSTEM = ("Id", "IsDeleted", "SystemModstamp", *AUDIT)

NUMBERS = ("int", "double", "currency", "percent")


def canonical(type_: ObjectType, given: Mapping[str, Any], *, forbidden: tuple[str, ...]) -> dict[str, Any]:
    """The given values under the API's own field names and as rows hold them.

    Raises INVALID_FIELD for an unknown field, INVALID_FIELD_FOR_INSERT_UPDATE for a derived or forbidden one, and
    what `coerce` raises.
    """
    values: dict[str, Any] = {}
    for name, value in given.items():
        field = type_.field(name)
        if field is None:
            raise errors.no_such_column(type_.name, name)
        if not field.stored or field.name in forbidden:
            raise not_writable((field.name,))
        values[field.name] = coerce(field, value)
    return values


def not_writable(names: tuple[str, ...]) -> ApiError:
    """Fields a client may not set."""
    message = (
        f"Unable to create/update fields: {', '.join(names)}. Please check the security settings of this field "
        "and verify that it is read/write for your profile or permission set."
    )
    return ApiError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, names)


def coerce(field: Field, value: Any) -> Any:
    """The value as rows hold it: date-times tz-aware in whole seconds, dates as dates, references as 18 characters.

    Raises JSON_PARSER_ERROR for a value of the wrong kind, MALFORMED_ID for a broken reference and
    STRING_TOO_LONG for text beyond the field's length.
    """
    if value is None:
        return False if field.type == "boolean" else None
    if field.type in ("datetime", "date"):
        return _datetime(field, value) if field.type == "datetime" else _date(field, value)
    if field.type == "boolean":
        return _expect(field, value, isinstance(value, bool))
    if field.type in NUMBERS:
        return _expect(field, value, isinstance(value, int | float) and not isinstance(value, bool))
    text: str = _expect(field, value, isinstance(value, str))
    return _reference(field, text) if field.type == "reference" else _text(field, text)


@dataclass(frozen=True, slots=True)
class Blank:
    """An object's form before anybody has filled it in; made once per object, since rows are born by the thousand."""

    type: ObjectType
    values: Row
    numbered: tuple[tuple[str, str], ...]
    """The auto-number fields with their formats."""


def blank(type_: ObjectType) -> Blank:
    """The object's stored fields with their defaults."""
    stored = [field for field in type_.fields.values() if field.stored]
    values = {field.name: bool(field.default) if field.type == "boolean" else field.default for field in stored}
    numbered = tuple((field.name, field.auto_number) for field in stored if field.auto_number is not None)
    return Blank(type_, values, numbered)


def fresh(form: Blank, values: Mapping[str, Any], *, record_id: str, number: int, at: datetime, by: str) -> Row:
    """A new row: defaults, then the stamps, then the given values. `number` feeds an auto-number field."""
    born = {"Id": record_id, "OwnerId": by, "CreatedDate": at, "CreatedById": by}
    born.update({"LastModifiedDate": at, "LastModifiedById": by, "SystemModstamp": at})
    row = {**form.values, **{name: value for name, value in born.items() if name in form.values}}
    row.update((name, text.format(number)) for name, text in form.numbered)
    row.update(values)  # after the stamps: a data load may back-date the audit fields, but never SystemModstamp
    return row


def differing(row: Row, values: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the fields that would get another value."""
    return tuple(name for name, value in values.items() if row[name] != value)


def saved(type_: ObjectType, row: Row, *, at: datetime, by: str) -> Row:
    """The row after a user's save: both stamps move, whether or not a value did."""
    stamps = {"LastModifiedDate": at, "LastModifiedById": by}
    kept = {name: value for name, value in stamps.items() if name in type_.fields}
    return touched(type_, {**row, **kept}, at=at)


def touched(type_: ObjectType, row: Row, *, at: datetime) -> Row:
    """The row after something that moves only SystemModstamp: a deletion, a re-stamping job."""
    return {**row, "SystemModstamp": at} if "SystemModstamp" in type_.fields else row


def _expect(field: Field, value: Any, right: bool) -> Any:
    if not right:
        raise _wrong_kind(field, value)
    return value


def _wrong_kind(field: Field, value: Any) -> ApiError:
    message = f"Cannot deserialize instance of {field.type} from {value!r} for field {field.name}"
    return ApiError(400, "JSON_PARSER_ERROR", message)


def _datetime(field: Field, value: Any) -> datetime:
    try:
        instant = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _wrong_kind(field, value) from None
    if instant.tzinfo is None:
        raise _wrong_kind(field, value)
    return instant.astimezone(UTC).replace(microsecond=0)


def _date(field: Field, value: Any) -> date:
    if isinstance(value, date):
        return value.date() if isinstance(value, datetime) else value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise _wrong_kind(field, value) from None


def _text(field: Field, text: str) -> str | None:
    if field.length and len(text) > field.length:
        message = f"{field.label}: data value too large: {text[:80]} (max length={field.length})"
        raise ApiError(400, "STRING_TOO_LONG", message, (field.name,))
    return text or None  # Salesforce keeps no empty strings


def _reference(field: Field, text: str) -> str | None:
    if not text:
        return None
    if not ids.is_id(text):
        message = f"{field.label}: id value of incorrect type: {text}"
        raise ApiError(400, "MALFORMED_ID", message, (field.name,))
    return ids.to18(text)
