"""WHERE and ORDER BY, compiled once into plain functions of a row: a scan of 100,000 rows calls nothing slow.

Called by `query.py`. Source: SOQL and SOSL Reference, "Comparison Operators", "ORDER BY".
"""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from salesforce_poller.simulator import ids, query_dates
from salesforce_poller.simulator.query_check import IDS, TEXTS
from salesforce_poller.simulator.query_plan import Plan
from salesforce_poller.simulator.query_read import Read, Reference, Row, Source, reader
from salesforce_poller.simulator.schema import Field
from salesforce_poller.simulator.soql import unescape
from salesforce_poller.simulator.soql_tree import Comparison, Condition, Every, Literal, Negation, RelativeDate

Test = Callable[[Any], bool]
"""Does this value of a field pass?"""
Matches = Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class Span:
    """What a date literal covers: from `first` up to but without `after` (both dates, or both datetimes)."""

    first: Any
    after: Any

    def holds(self, value: Any) -> bool:
        """Whether the value lies in it."""
        return bool(self.first <= value < self.after)


_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def matcher(plan: Plan, source: Source, now: datetime) -> Matches:
    """The WHERE clause as a function of a row."""
    if plan.query.where is None:
        return lambda _row: True
    return _condition(plan.query.where, plan, source, now)


def sort(rows: list[Row], plan: Plan, source: Source, now: datetime) -> None:
    """Sort in place by ORDER BY; rows that tie keep the order they came in.

    Nulls come first unless said otherwise, ascending or not; text sorts without regard to case.
    """
    for term in reversed(plan.query.order):  # the sort is stable, so the first term has the last word
        reference = plan.references[term.name]
        key = _sort_key(reference, reader(reference, source, now), nulls_high=term.nulls_last != term.descending)
        rows.sort(key=key, reverse=term.descending)


def is_total(plan: Plan) -> bool:
    """Whether ORDER BY leaves no ties: one of its fields is the record's own Id or another unique one."""
    references = (plan.references[term.name] for term in plan.query.order)
    return any(
        not each.steps and (each.field.type == "id" or (each.field.unique and not each.field.nillable))
        for each in references
    )


def _sort_key(reference: Reference, read: Read, *, nulls_high: bool) -> Callable[[Row], Any]:
    if not reference.steps and not reference.field.nillable and reference.field.type not in TEXTS:
        return read  # the hot path: stamps and ids
    fold = _fold if reference.field.type in TEXTS else _same

    def key(row: Row) -> tuple[bool, Any]:
        value = fold(read(row))
        return (value is None) == nulls_high, value

    return key


def _condition(condition: Condition, plan: Plan, source: Source, now: datetime) -> Matches:
    if isinstance(condition, Comparison):
        reference = plan.references[condition.name]
        return _joined(reader(reference, source, now), _test(condition, reference.field, now))
    if isinstance(condition, Negation):
        inner = _condition(condition.condition, plan, source, now)
        return lambda row: not inner(row)
    parts = [_condition(each, plan, source, now) for each in condition.conditions]
    return _every(parts) if isinstance(condition, Every) else _some(parts)


def _joined(read: Read, test: Test) -> Matches:
    return lambda row: test(read(row))


def _every(parts: Sequence[Matches]) -> Matches:
    def matches(row: Row) -> bool:
        for part in parts:  # noqa: SIM110  all() with a generator costs twice the time, once per row
            if not part(row):
                return False
        return True

    return matches


def _some(parts: Sequence[Matches]) -> Matches:
    def matches(row: Row) -> bool:
        for part in parts:  # noqa: SIM110  any() with a generator costs twice the time, once per row
            if part(row):
                return True
        return False

    return matches


def _test(comparison: Comparison, field: Field, now: datetime) -> Test:
    values = [_comparable(literal, field, now) for literal in comparison.values]
    match comparison.operator:
        case "=" | "IN":
            return _among(values, field)
        case "!=" | "NOT IN":  # true for null as well, unlike SQL
            return _not(_among(values, field))
        case "LIKE":
            return _like(comparison.values[0])
        case "INCLUDES":
            return _includes(values)
        case "EXCLUDES":
            return _not(_includes(values))
        case ordering:
            return _ordered(ordering, values[0], field)


def _among(values: list[Any], field: Field) -> Test:
    """Equal to one of them; a date literal stands for all its moments."""
    spans = [value for value in values if isinstance(value, Span)]
    plain = frozenset(value for value in values if not isinstance(value, Span))
    fold = _fold if field.type in TEXTS else _same
    if not spans:
        return lambda value: fold(value) in plain
    return lambda value: value in plain or (value is not None and any(span.holds(value) for span in spans))


def _ordered(ordering: str, bound: Any, field: Field) -> Test:
    """Before or after it; null is neither."""
    if bound is None:
        return lambda _value: False
    if isinstance(bound, Span):  # > TODAY is from tomorrow on, <= TODAY is until tomorrow
        limit = bound.first if ordering in ("<", ">=") else bound.after
        compare = operator.lt if ordering.startswith("<") else operator.ge
    else:
        limit, compare = bound, _ORDERINGS[ordering]
    fold = _fold if field.type in TEXTS else _same

    def test(value: Any) -> bool:
        folded = fold(value)
        return folded is not None and bool(compare(folded, limit))

    return test


def _like(literal: Literal) -> Test:
    pattern = re.compile(_pattern(literal.source[1:-1]), re.IGNORECASE | re.DOTALL)
    return lambda value: value is not None and pattern.fullmatch(value) is not None


def _pattern(source: str) -> str:
    """A LIKE pattern as a regular expression: % is anything, _ one character, a backslash takes the magic away."""
    magic = {"%": ".*", "_": "."}
    pieces = re.findall(r"\\.|[^\\]", source, flags=re.DOTALL)
    return "".join(magic.get(piece) or re.escape(unescape(piece)) for piece in pieces)


def _includes(values: list[str | None]) -> Test:
    """One of the literals has all its semicolon-separated parts among the chosen ones."""
    groups = [frozenset(value.split(";")) for value in values if value]

    def test(value: str | None) -> bool:
        chosen = frozenset((_fold(value) or "").split(";"))
        return any(group <= chosen for group in groups)

    return test


def _not(test: Test) -> Test:
    return lambda value: not test(value)


def _comparable(literal: Literal, field: Field, now: datetime) -> Any:
    """The literal as rows' values are compared with it."""
    value = literal.value
    if isinstance(value, RelativeDate):
        if field.type == "datetime":
            return Span(*query_dates.instants(value, now))
        return Span(*query_dates.days(value, now.astimezone(UTC).date()))
    if field.type in IDS and value:
        return ids.to18(value)
    return _fold(value) if field.type in TEXTS else (value if value != "" else None)


def _fold(value: str | None) -> str | None:
    """Text without regard to case; empty text is null."""
    return value.lower() if value else None


def _same(value: Any) -> Any:
    return value
