"""Looks answers up in ``trouble_table.py`` and makes our errors of them. Pure; called by ``wire.py`` and ``auth.py``.

An error carries the facts of its row, so that a log, ``status`` and ``/readyz`` can say what happened, to whom, what
Salesforce said, and what to do about it. A store keeps only the row's name; :func:`named` finds the rest again.
"""

import re
from collections.abc import Iterable, Mapping

import orjson

from salesforce_poller.errors import (
    Action,
    Facts,
    FieldsUnknown,
    LimitReached,
    LocatorLost,
    LoginRefused,
    ObjectUnknown,
    OrgRefused,
    PollerError,
    Refused,
    ReplicationDateInvalid,
    SessionExpired,
    TooMuch,
    TryLater,
    capped,
)
from salesforce_poller.salesforce.trouble_table import LOGIN, OURS, REST, Trouble

#: The error that makes the caller do it; what needs more than a message is made in :func:`_error`.
_ERRORS: dict[Action, type[PollerError]] = {
    Action.LOG_IN: SessionExpired,
    Action.RESTART_PAGE: LocatorLost,
    Action.HALVE: TooMuch,
    Action.TELL_GAP: ReplicationDateInvalid,
    Action.DROP_FIELD: FieldsUnknown,
    Action.PAUSE_FEED: Refused,
    Action.STOP_ORG: OrgRefused,
}
#: Rows that say that the object is not there, or not for this user.
_OBJECT_GONE = {"INVALID_TYPE", "NOT_FOUND", "HTTP_404"}
_BY_NAME = {row.name: row for row in (*REST, *LOGIN, *OURS)}
#: An error's text is looked for in the first bytes of a body only.
_ENOUGH = 100_000
_SESSION = re.compile(r"\b(00D\w{12,15})![^\s\"'<>]+")
#: No errorCode and no request id is longer.
_NAME_LIMIT = 80


def named(name: str) -> Trouble | None:
    """Return the row of this name; None when there is none (any more)."""
    return _BY_NAME.get(name)


def rest_error(status: int, headers: Mapping[str, str], body: bytes) -> PollerError:
    """Return the error that a bad answer of the REST API means."""
    code, message = _code_and_message(body)
    row = _first(REST, status, code, message)
    said = f"{code or f'HTTP {status}'}: {capped(message)}" if message else code or f"HTTP {status}"
    facts = _facts(row, code, status, message, headers.get("x-sfdc-request-id", ""))
    told = f"{said} (request {facts.request_id})" if facts.request_id else said
    return _error(row, told, facts, _retry_after(headers))


def login_error(status: int, headers: Mapping[str, str], body: bytes) -> PollerError:
    """Return the error that a bad answer of the token endpoint means."""
    answer = _json(body)
    answer = answer if isinstance(answer, dict) else {}
    code, message = _name(answer.get("error")), _text(answer.get("error_description"))
    row = _first(LOGIN, status, code, message)
    said = capped(f"{code}: {message}" if message else code) or f"HTTP {status} without an explanation"
    facts = _facts(row, code, status, message, headers.get("x-sfdc-request-id", ""))
    if row.action is Action.STOP_ORG:
        return LoginRefused(f"login refused: {said}", facts=facts)
    # Whatever it is, it is no limit of API requests: those have a ledger, and logins are not in it.
    return TryLater(f"login did not work this time ({said})", row.pause or _retry_after(headers), facts=facts)


def our_facts(name: str) -> Facts:
    """Return the facts of what this program found out by itself: a row of ``OURS``."""
    return _facts(_BY_NAME[name], "", None, "", "")


def _first(rows: Iterable[Trouble], status: int, code: str, message: str) -> Trouble:
    """Find the first row that fits; the last one of each table fits everything."""
    return next(row for row in rows if row.fits(status, code, message))


def _facts(row: Trouble, code: str, status: int | None, message: str, request_id: str) -> Facts:
    return Facts(
        trouble=row.name,
        code=code,
        status=status,
        said=capped(message),
        means=row.means,
        advice=row.advice,
        help_url=row.help_url,
        request_id=capped(request_id, _NAME_LIMIT),
        action=row.action,
        scope=row.scope,
    )


def _error(row: Trouble, told: str, facts: Facts, retry_after: float | None) -> PollerError:
    pause = max(row.pause or 0.0, retry_after or 0.0) if row.pause or retry_after is not None else None
    if row.action is Action.RETRY:
        return TryLater(told, pause, facts=facts)
    if row.action is Action.SLOW_DOWN:
        return LimitReached(told, pause, daily=row.name == "DAILY_LIMIT", facts=facts)
    if row.name in _OBJECT_GONE:
        return ObjectUnknown(told, facts=facts)
    return _ERRORS[row.action](told, facts=facts)


def _code_and_message(body: bytes) -> tuple[str, str]:
    """Find errorCode and message in the usual array; HTML, plain text and nothing at all happen too."""
    answer = _json(body)
    if answer is None:
        text = body[:_ENOUGH].decode("utf-8", "replace").strip()
        return "", "" if text.startswith("<") or text == "null" else _text(text)
    first = next(iter(answer), None) if isinstance(answer, list) else answer
    if not isinstance(first, dict):
        return "", _text(first)
    return _name(first.get("errorCode") or first.get("error")), _text(first.get("message"))


def _json(body: bytes) -> object:
    """Read JSON; None when it is none, or too much to be an explanation."""
    if len(body) > _ENOUGH:
        return None
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _text(value: object) -> str:
    """Return foreign text without what looks like a session: its first part names the org, the rest is a secret."""
    return "" if value is None else _SESSION.sub(r"\1!…", str(value))


def _name(value: object) -> str:
    return capped(_text(value), _NAME_LIMIT)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isdecimal() else None
