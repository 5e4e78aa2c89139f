"""The hands of this room: the only file here that imports httpx. Requests in, whole answers out, nothing in between.

Used by ``session.py`` (logging in) and ``client.py`` (everything else). It never retries and never interprets; it knows
three things: how long an answer may take, how large it may be, and what time it was over there.
"""

import asyncio
import os
import ssl
import sys
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from importlib.util import find_spec
from typing import Any
from urllib.request import getproxies

from salesforce_poller import lean
from salesforce_poller.clock import Clock
from salesforce_poller.errors import ConfigError, TryLater, capped
from salesforce_poller.salesforce import instants, troubles, wire
from salesforce_poller.salesforce.settings import OrgSettings

with lean.hidden("click"):
    import httpx

#: What every request says. The option is who calls, for the org's own logs and Change Data Capture's changeOrigin; the
#: encodings are those that httpx can read by itself.
_HEADERS = {
    "accept": "application/json",
    "accept-encoding": "gzip, deflate",
    "connection": "keep-alive",
    "user-agent": f"python-httpx/{httpx.__version__}",
    "sforce-call-options": "client=salesforce-poller",
}
#: httpx's own timeouts, one for each piece of an exchange, would end later than ours for the whole of it.
_NO_TIMEOUTS = {"timeout": httpx.Timeout(None).as_dict()}
#: Any number of connections: requests that ask for one when there are none left, and are given up before they get it,
#: leave their places in httpcore's pool taken, until nothing can be asked any more. How many ride, ``sharing.py`` says.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20)
#: The largest answer that is taken in, decompressed, in bytes: five pages of 2,000 wide rows stay far below it.
MOST_BYTES = 256 * 1024 * 1024


# httpcore asks for sniffio with every lock that it makes, dozens of times a request. Where it is not installed, Python
# looks through all its folders each time, a tenth of what a request costs, unless it is told that there is none.
if find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # Python's own way to say so; mypy knows modules only


class Unreachable(TryLater):
    """Nobody answers at the address that the last login told."""

    def __init__(self, message: str) -> None:
        super().__init__(message, facts=troubles.our_facts("UNREACHABLE"))


class NoAnswer(TryLater):
    """Somebody was there, and no whole answer came: the question may have been too much for it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, facts=troubles.our_facts("NO_ANSWER"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status, headers (any letter case finds them) and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """One pool of connections for one org.

    Raises:
        ConfigError: a proxy or certificates that the environment names cannot be used.
    """

    def __init__(self, settings: OrgSettings, *, clock: Clock) -> None:
        self._timeout = settings.timeout
        self._clock = clock
        try:
            trusted = _trusted()
            # httpx's client adds cookies, redirects and logins, none of which we want: a fifth of what a request costs.
            # It is needed where some addresses are reached by proxies, and others not.
            way = httpx.AsyncClient if _proxied() else httpx.AsyncHTTPTransport
            self._http: httpx.AsyncClient | httpx.AsyncHTTPTransport = way(verify=trusted, limits=_LIMITS)
        except OSError as exc:  # ssl.SSLError is one too
            raise ConfigError(
                [f"cannot read the certificates that SSL_CERT_FILE or SSL_CERT_DIR names: {exc.strerror or exc}"]
            ) from exc
        except (ImportError, ValueError, httpx.InvalidURL) as exc:
            # Never their own words: the address of a proxy may hold a password.
            raise ConfigError(
                [
                    "HTTP_PROXY, HTTPS_PROXY or ALL_PROXY cannot be used; they should be like http://proxy.example.com:3128"
                ]
            ) from exc
        self._closed = False
        #: The latest address, and how it was written: all of an org's polls go to the same one, and reading it takes as
        #: long as making the rest of a request.
        self._address, self._written = httpx.URL(""), ""
        self._server_time: tuple[datetime, float] | None = None

    async def close(self) -> None:
        """Hang up; nothing may be sent any more."""
        self._closed = True
        await self._http.aclose()

    def server_now(self) -> datetime:
        """Return Salesforce's time: its last ``Date`` header, moved on by the time since. Never our own clock.

        Raises:
            TryLater: when it has not answered anything yet.
        """
        if self._server_time is None:
            raise TryLater("Salesforce has not told its time yet")
        at, heard = self._server_time
        return at + timedelta(seconds=self._clock.monotonic() - heard)

    async def exchange(self, method: str, url: str, **parts: Any) -> Answer:
        """Send a request and return the whole answer, whatever its status.

        ``parts`` are httpx's; the names of ``headers`` are in small letters.

        Raises:
            Unreachable: nobody answers there.
            NoAnswer: the answer did not come, was cut off or is larger than ``MOST_BYTES``.
            TryLater: the address makes no sense, or anything else went wrong on the way.
        """
        host = url.partition("://")[2].partition("/")[0]
        try:
            request = self._request(method, url, **parts)
            # For the whole: a server that drips would never be given up if each piece of its answer had as long.
            async with asyncio.timeout(self._timeout), aclosing(await self._send(request)) as response:
                answer = Answer(response.status_code, response.headers, await _body(response, host))
        except httpx.ConnectError as exc:
            raise Unreachable(f"cannot reach {host}: {capped(str(exc)) or type(exc).__name__}") from exc
        except httpx.LocalProtocolError as exc:
            # Never its own words: it repeats the header that it does not like, which may be the one with the token.
            raise NoAnswer(f"no answer from {host}: this request cannot be sent") from exc
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise NoAnswer(f"no answer from {host}: {capped(str(exc)) or type(exc).__name__}") from exc
        except TimeoutError as exc:
            raise NoAnswer(f"no whole answer from {host} within {self._timeout:g}s") from exc
        if "date" in answer.headers:
            with wire.expected_shape():
                self._server_time = (instants.http_date(answer.headers["date"]), self._clock.monotonic())
        return answer

    def _request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **parts: Any
    ) -> httpx.Request:
        if url != self._written:
            self._address, self._written = httpx.URL(url), url
        said = {**_HEADERS, **(headers or {})}
        return httpx.Request(method, self._address, headers=said, extensions=_NO_TIMEOUTS, **parts)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """Return the answer as soon as its headers are there."""
        if self._closed:
            raise RuntimeError("a request to an org after its transport was closed")
        if isinstance(self._http, httpx.AsyncClient):
            return await self._http.send(request, stream=True, follow_redirects=False)
        return await self._http.handle_async_request(request)


def _proxied() -> bool:
    """Say whether httpx, which asks the same function, would find proxies in the environment."""
    found = getproxies()
    return any(found.get(scheme) for scheme in ("http", "https", "all"))


def _trusted() -> ssl.SSLContext:
    """Return whom all orgs are trusted by: reading the authorities takes 50 ms, and an org need not spend them anew."""
    return _authorities(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@lru_cache(maxsize=1)
def _authorities(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context()  # which reads those two from the environment itself


async def _body(response: httpx.Response, host: str) -> bytes:
    pieces, size = [], 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > MOST_BYTES:
            raise NoAnswer(f"the answer from {host} is larger than {MOST_BYTES // 2**20} MB")
        pieces.append(piece)
    return b"".join(pieces)
