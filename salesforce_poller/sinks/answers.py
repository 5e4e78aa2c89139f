"""What an HTTP answer means to a webhook. Pure: an answer in, a Receipt out, and nothing of our secrets in it.

Called by ``webhook.py`` and ``oauth2.py``; ``transport.py`` has the answers. The rules
are those of Standard Webhooks 1.0.0 ("Deliverability and reliability") and of the CloudEvents HTTP webhook
specification: only 2xx is a yes, redirects are not followed, 410 means stop.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, unquote_plus, urlsplit

from salesforce_poller.errors import capped
from salesforce_poller.model import Receipt, Verdict

#: 4xx that speak of the moment and not of the request.
_PASSING = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
#: 4xx that speak of the address or the key and not of the event: the whole sink is set up wrongly.
_GENERAL = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
)
#: Shorter words are no secrets, and masking them would make a text unreadable.
_SECRET = 6
#: A part of a path from this length on is taken for a key, as in the addresses of Slack and its like.
_SECRET_PART = 16
#: Bytes of an answer that are kept for the operator.
_HEAD = 4096
#: Headers of answers whose values are secrets, or may be.
_SENSITIVE = frozenset(
    ("authorization", "authentication-info", "proxy-authentication-info", "cookie", "set-cookie", "set-cookie2")
) | {f"x-{word}" for word in ("amz-security-token", "api-key", "auth-token", "csrf-token", "xsrf-token")}


#: A yes says nothing more than its status, so there is one receipt for each of them.
_YES = {status: Receipt(Verdict.ACCEPTED, reference=str(status)) for status in range(200, 300)}


class Answer(NamedTuple):
    """What came back over HTTP."""

    status: int
    reason: str
    #: Does not care about case.
    headers: Mapping[str, str]
    #: The beginning of the body.
    text: str


def accepted(status: int) -> Receipt | None:
    """Return the receipt of a yes; None when it is none. Most answers go no further than here."""
    return _YES.get(status)


def receipt(answer: Answer, now: datetime, secrets: Iterable[str] = ()) -> Receipt:
    """Return what the other side said; ``now`` is machine time, UTC; ``secrets`` are masked wherever they come back."""
    if yes := accepted(answer.status):
        return yes
    verdict, status, headers = _verdict(answer.status), answer.status, answer.headers
    text = masked(answer.text, secrets)
    detail = f"HTTP {status}"
    if 300 <= status < 400:  # noqa: PLR2004  # the class of redirects
        detail += f" redirects to {_host(headers.get('Location', ''))}; redirects are not followed"
    elif text.strip():
        detail += f": {text}"
    wish = retry_after(headers["Retry-After"], now) if "Retry-After" in headers else None
    general = status in _GENERAL or 300 <= status < 400  # noqa: PLR2004  # the class of redirects
    return Receipt(verdict, capped(detail), wish, str(status), general, head(answer, secrets))


def head(answer: Answer, secrets: Iterable[str]) -> str:
    """Return the answer as the operator may see it: status line, headers, the beginning of the body; 4 KB at most."""
    lines = [f"HTTP {answer.status} {answer.reason}".rstrip()]
    lines += [f"{name}: {_shown(name.lower(), value)}" for name, value in answer.headers.items()]
    whole = masked("\n".join([*lines, "", answer.text]).rstrip(), secrets)
    plain = "".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in whole.replace("\r\n", "\n"))
    return plain.encode(errors="replace")[:_HEAD].decode(errors="ignore")


def retry_after(value: str, now: datetime) -> float | None:
    """Return the seconds a ``Retry-After`` header asks for (RFC 9110, 10.2.3); None when it cannot be read."""
    if re.fullmatch(r"[0-9]{1,10}", value):
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):  # the latter for a time zone beyond all numbers
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())


def secrets_of(url: str, headers: Iterable[str]) -> tuple[str, ...]:
    """Return what must not be repeated from an answer that quotes our request.

    The query, long parts of the path (which are keys where the whole address is the secret), and values of headers.
    Longest first, so that a whole is masked before its parts.
    """
    parts = urlsplit(url)
    values = [value for _, value in parse_qsl(parts.query)]
    keys = [key for part in parts.path.split("/") if len(part) >= _SECRET_PART for key in (part, unquote(part))]
    words = [word for value in headers for word in (value, *value.split())]
    found = {parts.query, unquote_plus(parts.query), *values, *keys, *words}
    return tuple(sorted((each for each in found if len(each) >= _SECRET), key=len, reverse=True))


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return the text without these secrets."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _verdict(status: int) -> Verdict:
    """Return what a status means that is no yes."""
    if status == HTTPStatus.GONE:
        return Verdict.GONE
    if status >= 500 or status in _PASSING:  # noqa: PLR2004  # the class of server errors
        return Verdict.TRY_LATER
    return Verdict.REFUSED


def _shown(name: str, value: str) -> str:
    if name in _SENSITIVE:
        return "***"
    return value.partition("?")[0] + "?***" if name == "location" and "?" in value else value


def _host(location: str) -> str:
    """Return the host alone: the rest of an address may hold secrets."""
    try:
        return urlsplit(location).hostname or "the same host"
    except ValueError:
        return "an address that cannot be read"
