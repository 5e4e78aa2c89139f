"""Deciphers answers: (status, headers, body) in, values out, or one of our errors. Pure; ``client.py`` does the I/O.

What a bad answer means stands in ``trouble_table.py``.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import orjson

from salesforce_poller.errors import PollerError, TryLater, capped
from salesforce_poller.model import Record, Window
from salesforce_poller.salesforce import instants, rows, troubles

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
        raise _not_json(body) from exc


def _not_json(body: bytes) -> TryLater:
    return TryLater(f"{_what_is_wrong_with(body)}; it is not JSON", facts=troubles.our_facts("NOT_JSON"))


@contextmanager
def expected_shape() -> Iterator[None]:
    """Say TryLater of an answer of another shape: a bad moment (a proxy, a maintenance page), not a defect of ours."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as exc:
        said = f"the answer is not what was asked for ({type(exc).__name__}: {capped(str(exc))})"
        raise TryLater(said, facts=troubles.our_facts("ODD_ANSWER")) from exc


@expected_shape()
def read_page(answer: Any, window: Window) -> Page:
    """Read one page of a query's answer."""
    found = answer["records"]
    if not isinstance(found, list):
        raise TypeError("records")
    return Page(read_records(found, window) if found else [], _following(answer["done"], answer.get("nextRecordsUrl")))


def read_following_page(body: bytes, window: Window) -> Page:
    """Read one page as it came, without making values of all of it at once. Raises TryLater when it is none."""
    try:
        answer = _page_of(body)
    except msgspec.ValidationError:
        return read_page(decode(body), window)  # which says what is wrong
    except (ValueError, RecursionError) as exc:
        raise _not_json(body) from exc
    with expected_shape():
        found = rows.of(window).read_long(answer.records) if answer.records else []
        return Page(found, _following(answer.done, answer.nextRecordsUrl))


def read_records(values: Iterable[dict[str, Any]], window: Window) -> list[Record]:
    """Turn rows into Records: our bookkeeping columns beside the visible ones."""
    return rows.of(window).read(values)


def _following(done: Any, next_url: str | None) -> str | None:
    """Return the next page's address; None behind the last one, which only ``done`` tells."""
    if not done and not next_url:
        raise LookupError("nextRecordsUrl")
    return None if done else next_url


class _Answer(msgspec.Struct):
    """A page whose rows are not read yet."""

    records: list[msgspec.Raw]
    done: bool
    nextRecordsUrl: str | None = None  # noqa: N815  # Salesforce's name


_page_of = msgspec.json.Decoder(_Answer).decode


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


def _what_is_wrong_with(body: bytes) -> str:
    if not body.strip():
        return "the answer is empty"
    return "the answer is a web page" if body.lstrip().startswith(b"<") else "the answer was cut off"
