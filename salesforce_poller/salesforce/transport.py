"""The hands of this room: the only file here that imports httpx. Requests in, whole answers out, nothing in between.

Used by ``session.py`` (logging in) and ``client.py`` (everything else). It never retries and never interprets; it knows
three things: how long an answer may take, how large it may be, and what time it was over there.
"""

import asyncio
import os
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from salesforce_poller import lean
from salesforce_poller.clock import Clock
from salesforce_poller.errors import ConfigError, TryLater, capped
from salesforce_poller.salesforce import instants, troubles, wire
from salesforce_poller.salesforce.settings import OrgSettings

with lean.hidden("click"):
    import httpx

#: Says who calls in the org's own logs and in Change Data Capture's changeOrigin.
_HEADERS = {"accept": "application/json", "sforce-call-options": "client=salesforce-poller"}
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
            self._http = httpx.AsyncClient(
                timeout=settings.timeout, headers=_HEADERS, follow_redirects=False, trust_env=True, verify=_trusted()
            )
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
        self._server_time: tuple[datetime, float] | None = None

    async def close(self) -> None:
        """Hang up."""
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
        """Send a request and return the whole answer, whatever its status. ``parts`` are httpx's.

        Raises:
            Unreachable: nobody answers there.
            NoAnswer: the answer did not come, was cut off or is larger than ``MOST_BYTES``.
            TryLater: the address makes no sense, or anything else went wrong on the way.
        """
        host = url.partition("://")[2].partition("/")[0]
        try:
            # httpx waits as long for each piece of an answer; a server that drips would never be given up.
            async with asyncio.timeout(self._timeout), self._http.stream(method, url, **parts) as response:
                answer = Answer(response.status_code, response.headers, await _body(response, host))
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
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
