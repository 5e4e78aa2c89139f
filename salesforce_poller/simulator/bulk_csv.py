"""What a Bulk API 2.0 query job finds, as CSV: which queries it takes, and how rows are written.

Called by `bulk` when a job is created and when it runs. Everything is quoted, quotes are doubled, null is the empty
string, and date-times end in .000Z, other than in the REST API.
Source: Bulk API 2.0 Developer Guide, "Create a Query Job", "Get Results for a Query Job".
"""

import csv
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from salesforce_poller.simulator import query
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.query_plan import ChildRows, Plan
from salesforce_poller.simulator.query_read import Reference, Row, Source, reader
from salesforce_poller.simulator.query_render import DECIMALS
from salesforce_poller.simulator.soql_tree import FieldGroup

Show = Callable[[Any], str]

DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
LINE_ENDS = {"LF": "\n", "CRLF": "\r\n"}
IN_ORDER_FROM = 50.0
"""The API version from which columns come in the order of the SELECT; before it, they came in alphabetical order."""


@dataclass(frozen=True, slots=True)
class Table:
    """A job's whole result: the header and the rows, each with its line end."""

    header: str
    lines: tuple[str, ...]

    def cut(self, first: int, most: int) -> tuple[str, int]:
        """A set of results that begins with this row (from 0): its text, and how many rows are in it."""
        lines = self.lines[first : first + most]
        return self.header + "".join(lines), len(lines)


NOTHING = Table("", ())


def check(plan: Plan) -> None:
    """Raise API_ERROR or MALFORMED_QUERY for a query that Bulk API 2.0 does not take although SOQL has it.

    Several of the texts are those that clients have recorded; the ones about COUNT() and OFFSET are this simulator's.
    """
    if plan.query.count:
        raise _refused("Aggregate functions not supported in Bulk V2 Query with CSV content type.")
    if plan.query.offset:
        raise _refused("OFFSET not supported in Bulk V2 Query")
    if any(isinstance(item, FieldGroup) and item.group != "STANDARD" for item in plan.query.select):
        message = "The SOQL FIELDS function is not supported with an unbounded set of fields in this API"
        raise ApiError(400, "MALFORMED_QUERY", message)
    for column in plan.columns:
        if isinstance(column, ChildRows):
            raise _refused("Aggregate Relationships not supported in Bulk V2 Query with CSV content type.")
        if column.field.type in ("address", "location"):
            raise _refused("Selecting compound data not supported in Bulk Query")
        if column.field.type == "base64":
            raise _refused("Blob field not supported in Bulk V2 Query with CSV content type")


def write(
    plan: Plan,
    source: Source,
    *,
    deleted: bool,
    now: datetime,
    rng: random.Random,
    delimiter: str,
    line_end: str,
    alphabetical: bool,
) -> Table:
    """Find a query's rows and write them down, as they are committed at this moment."""
    columns = [each for each in plan.columns if isinstance(each, Reference)]
    if alphabetical:
        columns.sort(key=lambda column: column.names)
    cells = [_cell(column, source, now) for column in columns]
    found = query.select_ids(plan, source, deleted=deleted, now=now, rng=rng)
    rows = (source.get(plan.object.name, each) for each in found)
    page = _Page()
    writer = csv.writer(page, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerow([".".join(column.names) for column in columns])
    writer.writerows([cell(row) for cell in cells] for row in rows if row is not None)
    return Table(page.lines[0], tuple(page.lines[1:]))


class _Page:
    """A file for csv to write to, which keeps the lines apart."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        self.lines.append(line)


def _cell(column: Reference, source: Source, now: datetime) -> Callable[[Row], str]:
    read, show = reader(column, source, now), _show(column.field.type)
    return lambda row: "" if (value := read(row)) is None else show(value)


def _show(type_: str) -> Show:
    if type_ == "boolean":
        return lambda value: "true" if value else "false"
    if type_ == "datetime":
        return show_instant
    if type_ == "date":
        return date.isoformat
    if type_ in DECIMALS:
        return lambda value: str(float(value))
    return str


def show_instant(instant: datetime) -> str:
    """2026-11-21T10:00:00.000Z: UTC, milliseconds always zero."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _refused(message: str) -> ApiError:
    return ApiError(400, "API_ERROR", message)
