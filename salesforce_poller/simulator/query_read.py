"""Reading a value of a row: stored, derived, compound, or found in a parent record.

Used by `query_filter.py` to test and sort rows and by `query_render.py` to show them. A reader is made once per query
and field, and called once per row.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from salesforce_poller.simulator.schema import Field, ObjectType

Row = Mapping[str, Any]
Read = Callable[[Row], Any]

ADDRESS_PARTS = ("City", "Country", "GeocodeAccuracy", "Latitude", "Longitude", "PostalCode", "State", "Street")
KEY_PREFIX = 3
"""Characters of a record id that name its object."""


class Source(Protocol):
    """What a query needs from an org."""

    def type(self, name: str) -> ObjectType | None:
        """The object of that name, whatever its case; None when there is none or the user may not see it."""

    def scan(self, object_name: str, *, deleted: bool) -> Iterable[Row]:
        """The committed rows the user can see (stored fields only); with the recycle bin's when `deleted`."""

    def get(self, object_name: str, record_id: str) -> Row | None:
        """One such row, live or deleted; None when there is none or the user may not see it."""

    def hidden(self, object_name: str) -> frozenset[str]:
        """The API names of fields the user may not see: for a query they do not exist."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A field path, understood: the lookups to follow, then the field to read."""

    steps: tuple[Field, ...]
    field: Field

    @property
    def names(self) -> tuple[str, ...]:
        """The path in the API's own letters: ("Owner", "Name")."""
        return (*(step.relationship_name or "" for step in self.steps), self.field.name)


def reader(reference: Reference, source: Source, now: datetime) -> Read:
    """A function from a row to this value of it; None where a parent is missing."""
    if not reference.steps:
        return field_reader(reference.field, now)
    first, *others = reference.steps
    rest = Reference(tuple(others), reference.field)

    def read(row: Row) -> Any:
        found = parent_of(row, first, source)
        if found is None:
            return None
        type_, parent = found
        wanted = (others[0] if others else reference.field).name
        if type_.field(wanted) is None:  # a polymorphic parent of another object
            return None
        return reader(rest if others else Reference((), type_.fields[wanted]), source, now)(parent)

    return read


def field_reader(field: Field, now: datetime) -> Read:
    """A function from a row to the value of one of its own fields."""
    formula, name = field.formula, field.name
    if formula is not None:
        return lambda row: formula(row, now)
    if field.type == "address":
        return address_reader(name)
    if field.type == "boolean":
        return lambda row: row.get(name) or False  # a checkbox is never null
    return lambda row: row.get(name)


def address_reader(name: str) -> Read:
    """A function from a row to its compound address; None when every part is empty."""
    prefix = name.removesuffix("Address")
    keys = [(part[0].lower() + part[1:], prefix + part) for part in ADDRESS_PARTS]

    def read(row: Row) -> dict[str, Any] | None:
        address = {key: row.get(field) for key, field in keys}
        return address if any(value is not None for value in address.values()) else None

    return read


def parent_of(row: Row, lookup: Field, source: Source) -> tuple[ObjectType, Row] | None:
    """The record a reference field points to and its object; None when empty or not readable."""
    record_id = row.get(lookup.name)
    if not record_id:
        return None
    for name in lookup.reference_to:
        type_ = source.type(name)
        if type_ is not None and type_.key_prefix == record_id[:KEY_PREFIX]:
            parent = source.get(name, record_id)
            return None if parent is None else (type_, parent)
    return None
