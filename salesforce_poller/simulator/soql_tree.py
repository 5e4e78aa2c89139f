"""What a SOQL query says, as values: built by `soql.py`, checked by `query_plan.py`, compiled by `query_filter.py`.

Everything that an error message may point at knows where in the text it stands (`at`, counted from 0).
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Name:
    """A field, relationship path (Owner.Name) or object, as written."""

    text: str
    at: int

    @property
    def parts(self) -> list[str]:
        """The names between the dots."""
        return self.text.split(".")


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """FIELDS(ALL), FIELDS(STANDARD) or FIELDS(CUSTOM)."""

    group: str
    at: int


@dataclass(frozen=True, slots=True)
class RelativeDate:
    """A date literal such as LAST_N_DAYS:7; its meaning depends on what day it is."""

    name: str
    """In capitals, without the number."""
    count: int
    """The number after the colon; 1 where there is none."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A value in a WHERE clause."""

    kind: str
    """string, datetime, date, number, boolean, null or relative."""
    value: Any
    """str, datetime (UTC, whole seconds), date, int or float, bool, None or RelativeDate."""
    source: str
    """As written; a LIKE pattern needs its escapes."""
    at: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One test of one field."""

    name: Name
    operator: str
    """In capitals, one space: =, !=, <, <=, >, >=, LIKE, IN, NOT IN, INCLUDES, EXCLUDES."""
    values: tuple[Literal, ...]
    """One, except for the last four operators."""


@dataclass(frozen=True, slots=True)
class Every:
    """Conditions joined by AND."""

    conditions: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Some:
    """Conditions joined by OR."""

    conditions: "tuple[Condition, ...]"


@dataclass(frozen=True, slots=True)
class Negation:
    """NOT and a condition."""

    condition: "Condition"


Condition = Comparison | Every | Some | Negation


@dataclass(frozen=True, slots=True)
class Order:
    """One term of ORDER BY."""

    name: Name
    descending: bool
    nulls_last: bool


@dataclass(frozen=True, slots=True)
class Query:
    """A whole query, or a parent-to-child subquery (whose object is a relationship name)."""

    text: str
    """The text all positions refer to; a subquery's is the whole query."""
    select: "tuple[Name | FieldGroup | Query, ...]"
    count: bool
    """SELECT COUNT(): no rows, only how many."""
    object: Name
    where: Condition | None
    order: tuple[Order, ...]
    limit: int | None
    offset: int
    at: int
    """Where it begins; not 0 for a subquery."""
