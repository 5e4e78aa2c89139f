"""Bulk API 2.0 query jobs: what to ask for, and how their CSV becomes the very same records that REST gives. Pure.

``questions.py`` asks; ``polling/backfill.py`` and ``polling/reconcile.py`` decide when. CSV has text only, so a value
is made again what REST would have sent, by the type that describe tells of its field. Types for which that is not
certain are not read by Bulk at all: a record must not depend on the way it came.

Three things are taken for granted, since nothing is written about them: that REST never has an empty text where CSV has
nothing (both write null then), that a parent is null exactly where its ``Id`` is empty, and that both write the same
letters of a text and the same digits of a number.
Source: Bulk API 2.0 and Bulk API Developer Guide, "Query Jobs", "Get Results for a Query Job", "SOQL Considerations".
"""

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from salesforce_poller.errors import (
    BulkRefused,
    FieldsUnknown,
    JobLost,
    LocatorLost,
    OrgRefused,
    PollerError,
    Refused,
    TooMuch,
    TryLater,
    capped,
)
from salesforce_poller.model import Record, Window
from salesforce_poller.salesforce import soql, troubles, wire

#: The longest text of a record has 131,072 characters; rich text is longer by its markup.
csv.field_size_limit(16 * 1024 * 1024)

_OK, _NO_CONTENT = 200, 204
_BAD_REQUEST, _CONFLICT = 400, 409
#: What the last page says in the place of a locator: a text, not a null.
_NO_LOCATOR = "null"


class State(Enum):
    """Where a job is; whatever else Salesforce may say counts as running."""

    RUNNING = "running"
    COMPLETE = "complete"
    LOST = "lost"


_STATES = {"JobComplete": State.COMPLETE, "Failed": State.LOST, "Aborted": State.LOST}


@dataclass(frozen=True, slots=True)
class Job:
    """What a job says of itself."""

    state: State
    #: Rows it has found; counts when it is complete.
    rows: int
    #: Why it is lost, in Salesforce's words.
    why: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """One page of what a job found."""

    text: str
    #: Where to go on; None at the end.
    locator: str | None
    #: How many rows are in the text, if the answer says so.
    rows: int | None


# ---------------------------------------------------------------------- values


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"not a number that JSON has: {text!r}")
    return number


def _instant(text: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text):
        raise ValueError(f"not an instant as Bulk writes it: {text!r}")
    return text.removesuffix("Z") + "+0000"


def _day(text: str) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(f"not a day: {text!r}")
    return text


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"neither true nor false: {text!r}")
    return text == "true"


#: From the text of a cell to REST's JSON, by the type that describe tells. Left out on purpose are ``time`` (how CSV
#: writes it is not documented) and ``anyType`` (a text "5" may have been a number).
_READERS: Mapping[str, Callable[[str], Any]] = {
    **dict.fromkeys(
        ("id", "reference", "string", "textarea", "picklist", "multipicklist", "combobox", "email", "phone", "url"), str
    ),
    "encryptedstring": str,
    "boolean": _flag,
    "int": int,
    "long": int,
    **dict.fromkeys(("double", "currency", "percent"), _number),
    "date": _day,
    "datetime": _instant,
}

Types = Mapping[str, AbstractSet[str]]


def unfaithful(columns: Sequence[str], types: Types) -> list[str]:
    """Name the columns whose values might not come out as REST writes them."""
    return [path for path in columns if _reader(path, types) is None]


def _reader(path: str, types: Types) -> Callable[[str], Any] | None:
    """Return how to read a column; None where its types are not known, or do not agree."""
    readers = {_READERS.get(one) for one in types.get(path, ())}
    return readers.pop() if len(readers) == 1 else None


# ---------------------------------------------------------------------- questions


def query(window: Window) -> str:
    """Write the query of a window's job: in no order, and with the Id of each parent, which tells whether it is null.

    Ordering would only cost: the pages of a job come in the order of the job (SOQL Considerations).
    """
    return soql.render_unordered(replace(window, select=columns_of(window)))


def columns_of(window: Window) -> tuple[str, ...]:
    """Return the columns that the job of a window has."""
    parents = (f"{parent}.Id" for path in window.select for parent in _parents(path))
    return tuple(dict.fromkeys([*window.select, *parents]))


def body(soql_query: str) -> dict[str, str]:
    """Return what creates a job; ``queryAll`` brings deleted records as well."""
    said = {"operation": "queryAll", "query": soql_query}
    return {**said, "contentType": "CSV", "columnDelimiter": "COMMA", "lineEnding": "LF"}


# ---------------------------------------------------------------------- answers


@wire.expected_shape()
def read_created(answer: Any) -> str:
    """Return the id of a job that was created."""
    return str(answer["id"])


@wire.expected_shape()
def read_job(answer: Any) -> Job:
    """Read what a job says of itself."""
    state = str(answer["state"])
    why = capped(f"{state}: {answer.get('errorMessage') or 'without an explanation'}")
    return Job(_STATES.get(state, State.RUNNING), int(answer.get("numberRecordsProcessed") or 0), why)


def read_results(status: int, headers: Mapping[str, str], content: bytes) -> Results:
    """Read a page of results; satisfies ``client.py:Reader``. Raises what ``troubles.rest_error`` makes of others."""
    if status == _NO_CONTENT:
        raise TryLater("the job's results are not there yet", facts=troubles.our_facts("ODD_ANSWER"))
    if status != _OK:
        raise troubles.rest_error(status, headers, content)
    locator, rows = headers.get("sforce-locator", _NO_LOCATOR), headers.get("sforce-numberofrecords", "")
    with wire.expected_shape():
        return Results(
            content.decode("utf-8-sig"),
            None if locator in (_NO_LOCATOR, "") else locator,
            int(rows) if rows.isdecimal() else None,
        )


def read_records(results: Results, window: Window, types: Types) -> list[Record]:
    """Turn a page of results into records, as ``wire.read_records`` makes them of REST's rows.

    Raises:
        JobLost: a column that the window selects is not there: the feed's fields have changed since.
        BulkRefused: a value is not of its field's type, so that we may not be reading it right.
        TryLater: the page was cut off.
    """
    header, rows = _table(results)
    if not header:
        return []
    places = {name.lower(): place for place, name in enumerate(header)}
    if missing := [path for path in columns_of(window) if path.lower() not in places]:
        raise JobLost(f"the job was created without {', '.join(missing)}")
    try:
        readers = [_Cell.of(path, places, types) for path in window.select]
        return wire.read_records((_nested(row, readers) for row in rows), window)
    except (LookupError, TypeError, ValueError) as exc:
        raise BulkRefused(f"a value is not what its field's type promises: {capped(str(exc))}") from exc


def read_ids(results: Results) -> list[str]:
    """Read a page of results that has ids only."""
    return [row[0] for row in _table(results)[1]]


def _table(results: Results) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows; where there are no rows, there may be no header either."""
    try:
        lines = list(csv.reader(io.StringIO(results.text, newline=""), strict=True))
    except csv.Error as exc:
        raise TryLater(f"the page was cut off ({exc})", facts=troubles.our_facts("ODD_ANSWER")) from exc
    header, rows = (lines[0], lines[1:]) if lines else ([], [])
    if results.rows not in (None, len(rows)) or any(len(row) != len(header) for row in rows):
        said = f"the page was cut off: {len(rows)} rows instead of {results.rows}"
        raise TryLater(said, facts=troubles.our_facts("ODD_ANSWER"))
    return header, rows


@dataclass(frozen=True, slots=True)
class _Cell:
    """One column: where its value goes, where it comes from and how it is read."""

    path: tuple[str, ...]
    place: int
    read: Callable[[str], Any]
    #: For each parent on the way, the place of its Id.
    parents: tuple[int, ...]

    @classmethod
    def of(cls, path: str, places: Mapping[str, int], types: Types) -> "_Cell":
        read = _reader(path, types)
        if read is None:
            raise TypeError(f"{path} is of a type that is not read from CSV")
        parents = tuple(places[f"{parent}.Id".lower()] for parent in _parents(path))
        return cls(tuple(path.split(".")), places[path.lower()], read, parents)


def _nested(row: Sequence[str], cells: Sequence[_Cell]) -> dict[str, Any]:
    """Return a row as REST nests it: an empty cell is null, a parent without an Id too."""
    nested: dict[str, Any] = {}
    for cell in cells:
        here: dict[str, Any] | None = nested
        for name, place in zip(cell.path, cell.parents, strict=False):
            assert here is not None
            here = here.setdefault(name, {} if row[place] else None)
            if here is None:
                break
        if here is not None:
            text = row[cell.place]
            here[cell.path[-1]] = cell.read(text) if text else None
    return nested


def _parents(path: str) -> Iterator[str]:
    """Name the parents on the way to a field: ``Account.Owner.Name`` → ``Account``, ``Account.Owner``."""
    names = path.split(".")
    return (".".join(names[:depth]) for depth in range(1, len(names)))


# ---------------------------------------------------------------------- errors


def of_creation(error: PollerError) -> PollerError:
    """Return what an error means that came instead of a new job: most refusals are of Bulk only, and REST may do.

    An object that Bulk does not know is INVALIDENTITY, one that only admins may read there API_ERROR, and the jobs or
    the storage of the day may be used up (LIMIT_EXCEEDED).
    """
    facts = error.facts
    of_rest_too = isinstance(error, OrgRefused | FieldsUnknown) or facts.code == "INVALID_TYPE"
    of_bulk = isinstance(error, Refused | TooMuch) or (facts.code == "API_ERROR" and facts.status == _BAD_REQUEST)
    return BulkRefused(str(error), facts=facts) if of_bulk and not of_rest_too else error


def of_reading(error: PollerError) -> PollerError:
    """Return what an error means that came instead of a job or its results.

    Jobs are gone after seven days (404), and are only read by the API version that created them (409).
    """
    gone = error.facts.code in ("NOT_FOUND", "INVALIDJOBSTATE") or error.facts.status in (404, _CONFLICT)
    return JobLost(str(error), facts=error.facts) if gone or isinstance(error, LocatorLost) else error
