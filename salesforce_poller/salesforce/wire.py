"""Deciphers answers: (status, headers, body) in, values out, or one of our errors. Pure; ``client.py`` does the I/O.

What a bad answer means stands in ``trouble_table.py``.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from salesforce_poller.errors import PollerError, TryLater, capped
from salesforce_poller.model import Record, Window
from salesforce_poller.salesforce import instants, troubles

_OK, _NO_CONTENT = range(200, 300), 204


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a query's answer."""

    records: list[Record]
    #: The next page's address; None on the last page. Only this decides, never the number of rows.
    next_url: str | None


@dataclass(frozen=True, slots=True)
class DeletedIds:
    """What the delete log says of a window."""

    #: (id, deletedDate) of every deletion the log knows.
    deleted: tuple[tuple[str, datetime], ...]
    earliest_available: datetime
    latest_covered: datetime


def decipher(status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """Return the JSON of a good answer.

    Raises:
        PollerError: the member of the tree in ``errors.py`` that says what to do.
    """
    received(status, headers, body)
    return None if status == _NO_CONTENT else decode(body)


def received(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the body of a good answer as it is, for :func:`decode`; raises like :func:`decipher`."""
    if status not in _OK:
        raise troubles.rest_error(status, headers, body)
    return body


def decode(body: bytes) -> Any:
    """Return the JSON of a body. Raises TryLater when it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise TryLater(f"{_what_is_wrong_with(body)}; it is not JSON", facts=troubles.our_facts("NOT_JSON")) from exc


@contextmanager
def expected_shape() -> Iterator[None]:
    """Say TryLater of an answer of another shape: a bad moment (a proxy, a maintenance page), not a defect of ours."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as exc:
        said = f"the answer is not what was asked for ({type(exc).__name__}: {capped(str(exc))})"
        raise TryLater(said, facts=troubles.our_facts("ODD_ANSWER")) from exc


@expected_shape()
def read_page(answer: Any, window: Window) -> Page:
    """Read one page of a query's answer."""
    rows = answer["records"]
    return Page([] if rows == [] else read_records(rows, window), None if answer["done"] else answer["nextRecordsUrl"])


def read_records(rows: Iterable[dict[str, Any]], window: Window) -> list[Record]:
    """Turn rows into Records: our bookkeeping columns beside the visible ones. Uses the rows up."""
    shown = {path.partition(".")[0] for path in window.visible}
    parents = {path.partition(".")[0] for path in window.visible if "." in path}
    records: list[Record] = []
    complete: list[str] = []  # the names of a row with all that is shown and no more; its neighbours have the same
    for row in rows:
        row.pop("attributes", None)
        names = [*row]
        if names != complete and row.keys() == shown:
            complete = names
        fields = row if names == complete else {name: value for name, value in row.items() if name in shown}
        for name in parents and parents & fields.keys():
            fields[name] = _without_attributes(fields[name])
        records.append(_record(row, window.stamp_field, fields))
    return records


def _record(row: dict[str, Any], stamp_field: str, fields: dict[str, Any]) -> Record:
    created, get = row.get("CreatedDate"), row.get
    return Record(
        row["Id"],
        instants.parse(row[stamp_field]),
        instants.parse(created) if created else None,
        bool(get("IsDeleted", False)),
        get("MasterRecordId"),
        get("LastModifiedById"),
        fields,
    )


@expected_shape()
def read_ids(answer: Any) -> tuple[list[str], str | None]:
    """Read the ids of one page of a query's answer, and the next page's address; None on the last page."""
    return [str(row["Id"]) for row in answer["records"]], None if answer["done"] else answer["nextRecordsUrl"]


@expected_shape()
def read_parts(answer: Any, count: int) -> list[Any | PollerError]:
    """Open a Composite answer: each part by its own status, since the outer 200 says nothing.

    An error stands in its answer's place.

    Raises:
        TryLater: when there are not as many parts as were asked for, or not those.
    """
    parts = answer["compositeResponse"]
    if len(parts) != count:
        raise ValueError(f"{len(parts)} parts instead of {count}")
    # By name and not by place: the rows of one object must never be taken for those of another.
    named = {part["referenceId"]: _read_part(part["httpStatusCode"], part["body"]) for part in parts}
    return [named[part_name(place)] for place in range(count)]


def part_name(place: int) -> str:
    """Return what the part at a place of a Composite request is called, there and in the answer (referenceId)."""
    return f"part{place}"


def _read_part(status: int, body: Any) -> Any | PollerError:
    return body if status in _OK else troubles.rest_error(status, {}, orjson.dumps(body))


@expected_shape()
def read_organization_id(answer: Any) -> str:
    """Read the organisation's id (18 characters) from a userinfo answer."""
    return str(answer["organization_id"])


@expected_shape()
def read_username(answer: Any) -> str:
    """Read the user's name from a userinfo answer."""
    return str(answer["preferred_username"])


@expected_shape()
def read_updated(answer: Any) -> datetime:
    """Read ``latestDateCovered`` of a getUpdated answer; its ids are not needed (see ``polling/plan.py``)."""
    return instants.parse(answer["latestDateCovered"])


@expected_shape()
def read_deleted(answer: Any) -> DeletedIds:
    """Read a getDeleted answer."""
    return DeletedIds(
        tuple((row["id"], instants.parse(row["deletedDate"])) for row in answer["deletedRecords"]),
        instants.parse(answer["earliestDateAvailable"]),
        instants.parse(answer["latestDateCovered"]),
    )


def _without_attributes(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_attributes(inner) for name, inner in value.items() if name != "attributes"}
    return value


def _what_is_wrong_with(body: bytes) -> str:
    if not body.strip():
        return "the answer is empty"
    return "the answer is a web page" if body.lstrip().startswith(b"<") else "the answer was cut off"
