"""The door to HTTP for webhooks: one session, and :meth:`Transport.ask` for each request.

The only file that imports aiohttp. Called by ``webhook.py``, for events and for the tokens of ``oauth2.py``. It returns
an Answer, or the Receipt that says why there is none; what an answer means is decided in ``answers.py``. Which
addresses are in bounds is decided in ``addresses.py`` and asked when a socket is made: that address is connected to, so
that no name can mean one thing to the check and another to the connection.

aiohttp is the fastest client measured: 20 posts of 1 KB at a time to a server on this machine went at 6,100/s (p99
5 ms), with httpx over the aiohttp transport at 1,800/s (16 ms), with httpx at 290/s (380 ms).
"""

import base64
import io
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import aiohttp
from yarl import URL

from salesforce_poller.errors import capped
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import addresses, answers, pem
from salesforce_poller.sinks.answers import Answer
from salesforce_poller.sinks.webhook_settings import WebhookSettings

#: Bytes of an answer's body that are read: enough for the operator.
HEAD = 4096
#: Bytes of a body from which on aiohttp wants it as a file, so that other requests have their turn meanwhile.
_LARGE = 1 << 20


class _OutOfBoundsError(OSError):
    """An address that must not be connected to."""


class Transport:
    """A session that goes where the settings let it go, and shows what they say of us."""

    def __init__(self, settings: WebhookSettings, secrets: Iterable[str]) -> None:
        self._timeout = settings.timeout.total_seconds()
        self._connect_timeout = settings.connect_timeout.total_seconds()
        self._connections = settings.concurrency
        self._tls = pem.context(settings.ca, settings.client_certificate, settings.client_key)
        self._networks = settings.networks
        self._proxy = URL(settings.proxy.get_secret_value()) if settings.proxy else None
        #: What no receipt may repeat.
        self._secrets = (*secrets, *answers.secrets_of("", [self._proxy.raw_password or ""] if self._proxy else []))
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        """Make the session. The environment's proxies and netrc are not used, cookies are not kept."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._connections,
                ssl=self._tls or True,
                socket_factory=None if self._proxy else _guarded(self._networks),
            ),
            timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=self._connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "salesforce-poller", "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close every connection. May be called twice, and without :meth:`open`."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def ask(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None = None, *, head: int = HEAD
    ) -> Answer | Receipt:
        """Send one request; return the answer with ``head`` bytes of its text, or why there is none."""
        if self._session is None:
            return Receipt(Verdict.TRY_LATER, "the sink is not open")
        options = {"headers": headers} if self._proxy is None else _proxied(self._proxy, url, headers)
        try:
            data = io.BytesIO(body) if body is not None and len(body) > _LARGE else body
            async with self._session.request(method, url, data=data, allow_redirects=False, **options) as response:
                text = "" if response.content.at_eof() else await _beginning(response, head)
                return Answer(response.status, response.reason or "", response.headers, text)
        except (aiohttp.ClientError, OSError) as exc:  # a TimeoutError is an OSError
            return self._unanswered(exc)

    def _unanswered(self, exc: aiohttp.ClientError | OSError) -> Receipt:  # noqa: PLR0911  # a table in code
        """Say why there is no answer. That a proxy is in the way is no fault of the receiver's."""
        match exc:
            case aiohttp.ConnectionTimeoutError():
                return _later(f"no connection within {min(self._connect_timeout, self._timeout):g} s")
            case TimeoutError():
                return _later(f"no answer within {self._timeout:g} s")
            case aiohttp.ClientHttpProxyError():
                return _later(f"the proxy answers HTTP {exc.status} {exc.message}", general=True)
            case aiohttp.ClientProxyConnectionError():
                return _later(f"cannot connect to the proxy {exc.host}:{exc.port}: {_reason(exc)}", general=True)
            case aiohttp.ClientConnectorError(os_error=_OutOfBoundsError() as refused):
                return Receipt(Verdict.REFUSED, capped(f"{exc.host}: {refused}"), general=True)
            case aiohttp.ClientSSLError():
                return _later(f"TLS with {exc.host}:{exc.port}: {exc.os_error}")
            case aiohttp.ClientConnectorError():
                return _later(f"cannot connect to {exc.host}:{exc.port}: {_reason(exc)}")
        return _later(answers.masked(f"{type(exc).__name__}: {exc}", self._secrets))


def _proxied(proxy: URL, url: URL, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the options of a request that goes through a proxy, which is shown its own credentials and no others."""
    options: dict[str, Any] = {"headers": headers, "proxy": proxy.with_user(None)}
    if proxy.user is None:
        return options
    pair = f"{proxy.user}:{proxy.password or ''}"
    shown = {"Proxy-Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return options | ({"proxy_headers": shown} if url.scheme == "https" else {"headers": {**headers, **shown}})


def _later(detail: str, *, general: bool = False) -> Receipt:
    return Receipt(Verdict.TRY_LATER, capped(detail), general=general)


def _reason(exc: aiohttp.ClientConnectorError) -> str:
    return exc.os_error.strerror or str(exc.os_error)


def _guarded(networks: list[str]) -> Callable[[aiohttp.AddrInfoType], socket.socket]:
    """Return what makes sockets for addresses that are in bounds, and raises for others."""

    def make(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, where = info
        address = addresses.read(str(where[0]))
        refusal = "no address" if address is None else addresses.refusal(address, networks)
        if refusal:
            raise _OutOfBoundsError(refusal)
        return socket.socket(family, kind, protocol)

    return make


async def _beginning(response: aiohttp.ClientResponse, limit: int) -> str:
    """Read a little of the body, which also frees the connection for the next request when that is all of it."""
    head = b""
    try:
        while len(head) < limit and (chunk := await response.content.read(limit - len(head))):
            head += chunk
    except (aiohttp.ClientError, TimeoutError):
        pass  # the status is the answer, whatever becomes of the text behind it
    return head.decode(errors="replace")
