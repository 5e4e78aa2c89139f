"""Deciphers answers: (status, headers, body) in, values out, or one of our errors. Pure; ``client.py`` does the I/O.

The table of errors follows the REST API Developer Guide, *Status Codes and Error Responses*; the errorCode decides
before the status, because a 403 alone can mean six things.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from salesforce_poller.errors import (
    FieldsUnknown,
    LocatorLost,
    ObjectUnknown,
    PollerError,
    Refused,
    ReplicationDateInvalid,
    SessionExpired,
    TooMuch,
    TryLater,
    capped,
)
from salesforce_poller.model import Record, Window
from salesforce_poller.salesforce import instants

#: Codes that pass by themselves, whatever the status.
_PASSING = {
    "UNABLE_TO_LOCK_ROW", "API_CURRENTLY_DISABLED", "SERVER_UNAVAILABLE", "TXN_SECURITY_METERING_ERROR",
    "UNKNOWN_EXCEPTION", "INTERNAL_ERROR", "API_ERROR", "CANNOT_EXECUTE_FLOW_TRIGGER",
}  # fmt: skip
_TOO_MUCH = {"EXCEEDED_ID_LIMIT", "QUERY_TIMEOUT", "OPERATION_TOO_LARGE", "REQUEST_RUNNING_TOO_LONG"}
#: Statuses that pass by themselves, when no code says otherwise. 406 and 420 come without a useful body.
_PASSING_STATUSES = {406, 420, 429, 500, 502, 503, 504}
#: 401 texts that no new login cures; logging in again would loop for ever.
_INCURABLE_401 = ("not valid for use with the rest api", "connected app is not attached to agent")
#: Pauses in seconds: the daily limit rolls over 24 hours, the concurrent one passes with the requests that hold it.
_DAILY_LIMIT_PAUSE, _CONCURRENT_LIMIT_PAUSE = 900.0, 20.0
_OK = range(200, 300)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a query's answer."""

    records: tuple[Record, ...]
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
    if status in _OK:
        try:
            return orjson.loads(body) if body else None
        except orjson.JSONDecodeError as exc:
            raise TryLater("the answer was cut off or is not JSON") from exc
    raise error_of(status, headers, body)


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> PollerError:  # noqa: PLR0911  # a table in code, a line a row
    """Return the error that a bad answer means."""
    code, message = _code_and_message(body)
    said = f"{code or f'HTTP {status}'}: {capped(message)}" if message else code or f"HTTP {status}"
    request_id = headers.get("x-sfdc-request-id")
    told = f"{said} (request {request_id})" if request_id else said
    by_code: dict[str, type[Refused]] = {"INVALID_FIELD": FieldsUnknown, "INVALID_TYPE": ObjectUnknown}
    if code == "REQUEST_LIMIT_EXCEEDED":
        daily = "totalrequests" in message.lower()
        return TryLater(told, _DAILY_LIMIT_PAUSE if daily else _CONCURRENT_LIMIT_PAUSE)
    if status == 401 or code == "INVALID_SESSION_ID":  # noqa: PLR2004  # unauthorized
        incurable = any(text in message.lower() for text in _INCURABLE_401)
        return Refused(told, code=code, status=status) if incurable else SessionExpired(told)
    if code == "INVALID_QUERY_LOCATOR":
        return LocatorLost(told)
    if code == "INVALID_REPLICATION_DATE":
        return ReplicationDateInvalid(told)
    if code in _TOO_MUCH:
        return TooMuch(told)
    if code in by_code:
        return by_code[code](told, code=code, status=status)
    if code in _PASSING or (status in _PASSING_STATUSES and not _is_final(code)):
        return TryLater(told, _retry_after(headers))
    if status == 404:  # noqa: PLR2004  # not found
        return ObjectUnknown(told, code=code, status=status)
    return Refused(told, code=code, status=status)


@contextmanager
def expected_shape() -> Iterator[None]:
    """Say TryLater of an answer of another shape: a bad moment (a proxy, a maintenance page), not a defect of ours."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as exc:
        raise TryLater(f"the answer is not what was asked for ({type(exc).__name__}: {capped(str(exc))})") from exc


@expected_shape()
def read_page(answer: Any, window: Window) -> Page:
    """Read one page of a query's answer."""
    records = tuple(read_record(row, window) for row in answer["records"])
    return Page(records, None if answer["done"] else answer["nextRecordsUrl"])


def read_record(row: Mapping[str, Any], window: Window) -> Record:
    """Turn one row into a Record: our bookkeeping columns beside the visible ones."""
    created = row.get("CreatedDate")
    shown = {path.partition(".")[0] for path in window.visible}
    return Record(
        id=row["Id"],
        stamp=instants.parse(row[window.stamp_field]),
        created=instants.parse(created) if created else None,
        deleted=bool(row.get("IsDeleted", False)),
        merged_into=row.get("MasterRecordId"),
        changed_by=row.get("LastModifiedById"),
        fields={name: _without_attributes(value) for name, value in row.items() if name in shown},
    )


@expected_shape()
def read_parts(answer: Any, count: int) -> list[Any | PollerError]:
    """Open a Composite answer: each part by its own status, since the outer 200 says nothing.

    An error stands in its answer's place.

    Raises:
        TryLater: when there are not as many parts as were asked for.
    """
    parts = answer["compositeResponse"]
    if len(parts) != count:
        raise ValueError(f"{len(parts)} parts instead of {count}")
    return [_read_part(part["httpStatusCode"], part["body"]) for part in parts]


def _read_part(status: int, body: Any) -> Any | PollerError:
    return body if status in _OK else error_of(status, {}, orjson.dumps(body))


@expected_shape()
def read_organization_id(answer: Any) -> str:
    """Read the organisation's id (18 characters) from a userinfo answer."""
    return str(answer["organization_id"])


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


def _code_and_message(body: bytes) -> tuple[str, str]:
    """Find errorCode and message in the usual array; HTML, plain text and nothing at all happen too."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        text = body[:2000].decode("utf-8", "replace").strip()
        return "", "" if text.startswith("<") else text
    first = next(iter(answer), {}) if isinstance(answer, Iterable) and not isinstance(answer, dict | str) else answer
    if not isinstance(first, dict):
        return "", "" if first is None else str(first)
    return str(first.get("errorCode") or first.get("error") or ""), str(first.get("message") or "")


def _is_final(code: str) -> bool:
    """Say whether a code on a passing status still means that a person must act."""
    return code in {"API_DISABLED_FOR_ORG", "FUNCTIONALITY_NOT_ENABLED", "TRIAL_EXPIRED", "ORG_LOCKED"}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None
