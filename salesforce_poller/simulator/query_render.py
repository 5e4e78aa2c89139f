"""Rows as the REST API shows them: `attributes` first, fields in the order asked for, parents nested, dates as text.

Called through `query.py` by the query routes, and by the record routes for single rows.
Source: REST API Developer Guide, "Query", "sObject Rows"; SOQL and SOSL Reference, "Relationship Queries".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from salesforce_poller.simulator import query_filter
from salesforce_poller.simulator.query_plan import ChildRows, Plan
from salesforce_poller.simulator.query_read import Reference, Row, Source, field_reader, parent_of
from salesforce_poller.simulator.schema import Field, ObjectType
from salesforce_poller.simulator.soql_errors import SoqlError

Show = Callable[[Row], Any]
Columns = Sequence[Reference | ChildRows]

DECIMALS = ("double", "currency", "percent")


class Renderer:
    """One query's way of showing rows: knows the org, the time, the API version and whether the bin is included."""

    def __init__(self, source: Source, *, deleted: bool, version: str, now: datetime) -> None:
        self._source = source
        self._deleted = deleted
        self._version = version
        self._now = now

    def rows(self, plan: Plan, rows: Iterable[Row]) -> list[dict[str, Any]]:
        """These rows, with the plan's columns."""
        shows = self._shows(plan.object, plan.columns)
        return [self._row(plan.object, row, shows) for row in rows]

    def _row(self, object_type: ObjectType, row: Row, shows: Mapping[str, Show]) -> dict[str, Any]:
        shown: dict[str, Any] = {"attributes": attributes(object_type, row["Id"], self._version)}
        for name, show in shows.items():
            shown[name] = show(row)
        return shown

    def _shows(self, object_type: ObjectType, columns: Columns) -> dict[str, Show]:
        """For each key of the JSON object, how to get its value from a row; one key may serve many columns."""
        parents: dict[str, list[Reference]] = {}
        shows: dict[str, Show] = {}
        for column in columns:
            if isinstance(column, ChildRows):
                shows[column.relationship_name] = self._children(column)
            elif column.steps:
                relationship = column.names[0]
                rest = Reference(column.steps[1:], column.field)
                parents.setdefault(relationship, []).append(rest)
                shows[relationship] = self._parent(column.steps[0], parents[relationship])
            else:
                field = object_type.field(column.field.name)  # a polymorphic parent may lack it
                shows[column.field.name] = _nothing if field is None else show_field(field, self._now)
        return shows

    def _parent(self, lookup: Field, columns: list[Reference]) -> Show:
        ready: dict[str, dict[str, Show]] = {}

        def show(row: Row) -> dict[str, Any] | None:
            found = parent_of(row, lookup, self._source)
            if found is None:
                return None
            object_type, parent = found
            if object_type.name not in ready:
                ready[object_type.name] = self._shows(object_type, columns)
            return self._row(object_type, parent, ready[object_type.name])

        return show

    def _children(self, child: ChildRows) -> Show:
        grouped: dict[str, list[Row]] | None = None

        def show(row: Row) -> dict[str, Any] | None:
            nonlocal grouped
            if grouped is None:  # one scan for the whole page
                grouped = self._grouped(child)
            plan = child.plan
            rows = grouped.get(row["Id"], [])[plan.query.offset :][: plan.query.limit]
            if not rows:
                return None
            return {"totalSize": len(rows), "done": True, "records": self.rows(plan, rows)}

        return show

    def _grouped(self, child: ChildRows) -> dict[str, list[Row]]:
        matches = query_filter.matcher(child.plan, self._source, self._now)
        rows = [row for row in self._source.scan(child.plan.object.name, deleted=self._deleted) if matches(row)]
        query_filter.sort(rows, child.plan, self._source, self._now)
        grouped: dict[str, list[Row]] = {}
        for row in rows:
            grouped.setdefault(row.get(child.field.name) or "", []).append(row)
        return grouped


def record(
    object_type: ObjectType,
    row: Row,
    *,
    version: str,
    now: datetime,
    fields: Sequence[str] | None,
    hidden: frozenset[str],
) -> dict[str, Any]:
    """A record as GET /sobjects/X/id shows it: these fields, or all the user can see, compound ones included.

    Raises SoqlError (INVALID_FIELD) for a field that does not exist or is hidden.
    """
    shown: dict[str, Any] = {"attributes": attributes(object_type, row["Id"], version)}
    for name in object_type.fields if fields is None else fields:
        field = object_type.field(name)
        if field is not None and field.name not in hidden:
            shown[field.name] = show_field(field, now)(row)
        elif fields is not None:
            raise SoqlError("INVALID_FIELD", f"No such column '{name}' on sobject of type {object_type.name}")
    return shown


def attributes(object_type: ObjectType, record_id: str, version: str) -> dict[str, str]:
    """What every record begins with: its object and its URL."""
    return {"type": object_type.name, "url": f"/services/data/v{version}/sobjects/{object_type.name}/{record_id}"}


def show_field(field: Field, now: datetime) -> Show:
    """A function from a row to the JSON of one of its fields."""
    read = field_reader(field, now)
    if field.type in DECIMALS:
        return lambda row: None if (value := read(row)) is None else float(value)
    if field.type == "datetime":
        return lambda row: None if (value := read(row)) is None else show_instant(value)
    if field.type == "date":
        return lambda row: None if (value := read(row)) is None else show_day(value)
    return read


def show_instant(instant: datetime) -> str:
    """2026-11-21T10:00:00.000+0000: UTC, an offset without a colon, milliseconds always zero."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def show_day(day: date) -> str:
    """2026-11-21."""
    return day.isoformat()


def _nothing(_row: Row) -> None:
    return None
