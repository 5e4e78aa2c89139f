"""What an HTTP answer means to a webhook. Pure: a status, headers and the head of a text in, a Receipt out.

Called by ``webhook.py``. The rules are those of Standard Webhooks 1.0.0 ("Deliverability and reliability") and of the
CloudEvents HTTP webhook specification: only 2xx is a yes, redirects are not followed, 410 means stop.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote_plus, urlsplit

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


def receipt(status: int, headers: Mapping[str, str], text: str, now: datetime) -> Receipt:
    """Return what the other side said. ``headers`` must not care about case; ``now`` is machine time, UTC."""
    verdict = _verdict(status)
    if verdict is Verdict.ACCEPTED:
        return Receipt(verdict, reference=str(status))
    detail = f"HTTP {status}"
    if 300 <= status < 400:  # noqa: PLR2004  # the class of redirects
        detail += f" redirects to {_host(headers.get('Location', ''))}; redirects are not followed"
    elif text.strip():
        detail += f": {text}"
    wish = retry_after(headers["Retry-After"], now) if "Retry-After" in headers else None
    return Receipt(verdict, capped(detail), wish, str(status), general=status in _GENERAL or 300 <= status < 400)  # noqa: PLR2004  # the class of redirects


def retry_after(value: str, now: datetime) -> float | None:
    """Return the seconds a ``Retry-After`` header asks for (RFC 9110, 10.2.3); None when it cannot be read."""
    if re.fullmatch(r"[0-9]{1,10}", value):
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())


def secrets_of(url: str, headers: Iterable[str]) -> tuple[str, ...]:
    """Return what must not be repeated from an answer that quotes our request: the query, and values of headers.

    Longest first, so that a whole is masked before its parts.
    """
    query = urlsplit(url).query
    values = [value for _, value in parse_qsl(query)]
    words = [word for value in headers for word in (value, *value.split())]
    found = {query, unquote_plus(query), *values, *words}
    return tuple(sorted((each for each in found if len(each) >= _SECRET), key=len, reverse=True))


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return the text without these secrets."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _verdict(status: int) -> Verdict:
    if 200 <= status < 300:  # noqa: PLR2004  # the class of successes
        return Verdict.ACCEPTED
    if status == HTTPStatus.GONE:
        return Verdict.GONE
    if status >= 500 or status in _PASSING:  # noqa: PLR2004  # the class of server errors
        return Verdict.TRY_LATER
    return Verdict.REFUSED


def _host(location: str) -> str:
    """Return the host alone: the rest of an address may hold secrets."""
    try:
        return urlsplit(location).hostname or "the same host"
    except ValueError:
        return "an address that cannot be read"
