"""The hands of this room: the only file here that imports httpx; ``auth``, ``soql``, ``wire`` and ``describe`` think.

Called by ``polling/poller.py`` (every turn), ``check.py`` and the ``objects`` command. It never retries by itself, with
one exception that only it can see: a session that expired is renewed once and the request is sent again. When to try
a failed turn again is the poller's decision.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpx

from salesforce_poller.clock import Clock
from salesforce_poller.errors import LoginRefused, Refused, SessionExpired, TryLater, capped
from salesforce_poller.model import Record, Window
from salesforce_poller.salesforce import auth, describe, instants, soql, wire
from salesforce_poller.salesforce.settings import OrgSettings

#: A URI and its headers may have 16,384 bytes together (REST API Developer Guide, 414 and 431); a longer query is
#: sent in a Composite body instead, where that limit does not apply.
LONGEST_URL = 13_500
#: The edge does not know the host (420), or sends us to another one: the instance moved, or the org is gone.
_MOVED = frozenset({301, 302, 307, 308, 420})
#: Says who calls in the org's own logs and in Change Data Capture's changeOrigin.
_HEADERS = {"accept": "application/json", "sforce-call-options": "client=salesforce-poller"}


class _Unreachable(TryLater):
    """Nobody answers at the address that the last login told."""


class Org:
    """One Salesforce organisation over HTTP. Use as an async context manager, or call :meth:`close`.

    Every method raises the errors of ``salesforce_poller.errors`` and no others.
    """

    def __init__(self, name: str, settings: OrgSettings, *, clock: Clock) -> None:
        self.name = name
        #: API requests sent so far that count towards the org's daily limit.
        self.calls = 0
        self._settings = settings
        self._clock = clock
        self._http = httpx.AsyncClient(
            timeout=settings.timeout, headers=_HEADERS, follow_redirects=False, trust_env=True
        )
        self._token: auth.Token | None = None
        self._organization_id: str | None = None
        self._login_lock = asyncio.Lock()
        self._server_time: tuple[datetime, float] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()

    # ------------------------------------------------------------------ who and when

    async def login(self) -> None:
        """Log in now instead of at the first request."""
        await self._session(stale=None)

    async def organization_id(self) -> str:
        """Return the organisation's own id (18 characters); it names the source of every event."""
        if self._organization_id is None:
            token = await self._session(stale=None)
            self._organization_id = token.organization_id or await self._ask_organization_id(token)
        return self._organization_id

    def server_now(self) -> datetime:
        """Return Salesforce's time: its last ``Date`` header, moved on by the time since. Never our own clock.

        Raises:
            TryLater: when it has not answered anything yet.
        """
        if self._server_time is None:
            raise TryLater("Salesforce has not told its time yet")
        at, heard = self._server_time
        return at + timedelta(seconds=self._clock.monotonic() - heard)

    # ------------------------------------------------------------------ what there is

    async def describe_global(self) -> tuple[describe.ObjectSummary, ...]:
        """List the org's objects (1 call)."""
        return describe.read_global(await self._get(self._path("sobjects")))

    async def describe(self, object_name: str) -> describe.ObjectInfo:
        """Describe one object (1 call). Raises ObjectUnknown when this user cannot see it."""
        if not soql.is_name(object_name):
            raise Refused(f"not the API name of an object: {capped(object_name)}")
        return describe.read_object(await self._get(self._path(f"sobjects/{object_name}/describe")))

    # ------------------------------------------------------------------ what changed

    async def pages(self, window: Window) -> AsyncGenerator[wire.Page]:
        """Ask for a window through queryAll and follow its pages (1 call each), one page in memory at a time.

        queryAll, because it also returns deleted and merged rows (REST API Developer Guide, QueryAll).
        Raises LocatorLost when a page's locator was released; the caller goes on from its last committed row.
        """
        answer = await self._query(soql.render(window))
        while True:
            page = wire.read_page(answer, window)
            yield page
            if page.next_url is None:
                return
            answer = await self._get(page.next_url)

    async def records(self, window: Window, ids: Sequence[str]) -> AsyncGenerator[Record]:
        """Read certain records of a window's object, deleted ones included (1 call for every 400 ids)."""
        for batch in soql.id_batches(ids):
            answer = await self._query(soql.render_by_ids(window, batch))
            while True:
                page = wire.read_page(answer, window)
                for record in page.records:
                    yield record
                if page.next_url is None:
                    break
                answer = await self._get(page.next_url)

    async def covered_until(self, object_name: str, start: datetime, end: datetime) -> datetime:
        """Return getUpdated's ``latestDateCovered`` (1 call): everything stamped before it is committed."""
        answer = await self._get(self._path(f"sobjects/{object_name}/updated/"), _span(start, end))
        return wire.read_updated(answer)

    async def deleted(self, object_name: str, start: datetime, end: datetime) -> wire.DeletedIds:
        """Ask the delete log (1 call)."""
        answer = await self._get(self._path(f"sobjects/{object_name}/deleted/"), _span(start, end))
        return wire.read_deleted(answer)

    # ------------------------------------------------------------------ the wire

    def _path(self, resource: str) -> str:
        return f"/services/data/v{self._settings.api_version}/{resource}"

    async def _query(self, query: str) -> Any:
        path, parameters = self._path("queryAll"), {"q": query}
        url = f"{path}?{urlencode(parameters)}"
        if len(url) <= LONGEST_URL:
            return await self._get(path, parameters)
        body = {"compositeRequest": [{"method": "GET", "url": url, "referenceId": "query"}]}
        answer = await self._send("POST", self._path("composite"), json=body)
        return wire.read_first_part(answer)

    async def _get(self, path: str, parameters: Mapping[str, str] | None = None) -> Any:
        return await self._send("GET", path, params=parameters)

    async def _send(self, method: str, path: str, **parts: Any) -> Any:
        """Send one metered request; renew an expired session once."""
        token = await self._session(stale=None)
        try:
            return await self._send_once(token, method, path, **parts)
        except SessionExpired:
            token = await self._session(stale=token)
        try:
            return await self._send_once(token, method, path, **parts)
        except SessionExpired as exc:
            raise Refused(f"the session was refused again right after logging in ({exc})", status=401) from exc

    async def _send_once(self, token: auth.Token, method: str, path: str, **parts: Any) -> Any:
        headers = {"authorization": f"Bearer {token.access_token}"}
        self.calls += 1
        try:
            response = await self._exchange(method, token.instance_url + path, headers=headers, **parts)
        except _Unreachable:
            self._forget(token)
            raise
        if response.status_code in _MOVED:
            self._forget(token)
            raise TryLater(f"HTTP {response.status_code}: the org is not here (any more); the next try logs in anew")
        return wire.decipher(response.status_code, response.headers, response.content)

    async def _session(self, stale: auth.Token | None) -> auth.Token:
        """Return a session that is not the stale one; however many polls meet a 401, one of them logs in."""
        async with self._login_lock:
            if self._token is None or self._token is stale:
                self._token = await self._log_in(stale)
            return self._token

    def _forget(self, token: auth.Token) -> None:
        """Log in anew next time: only a login tells where an org is that was moved to another instance."""
        if self._token is token:
            self._token = None

    async def _log_in(self, stale: auth.Token | None) -> auth.Token:
        self._organization_id = None  # a refreshed sandbox answers to the same name
        if self._settings.auth == "access_token":
            if stale is not None:
                raise LoginRefused("the access token is not accepted any more; put a new one into the configuration")
            return auth.given_token(self._settings)
        form = auth.token_request(self._settings)
        response = await self._exchange("POST", self._settings.login_url + auth.TOKEN_PATH, data=form)
        return auth.read_token(response.status_code, response.content)

    async def _ask_organization_id(self, token: auth.Token) -> str:
        """Ask userinfo, which is not metered, when the token itself does not tell."""
        headers = {"authorization": f"Bearer {token.access_token}"}
        response = await self._exchange("GET", token.instance_url + auth.USERINFO_PATH, headers=headers)
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise LoginRefused("the access token is not accepted (userinfo)", status=response.status_code)
        answer = wire.decipher(response.status_code, response.headers, response.content)
        return wire.read_organization_id(answer)

    async def _exchange(self, method: str, url: str, **parts: Any) -> httpx.Response:
        host = url.partition("://")[2].partition("/")[0]
        try:
            # httpx waits as long for each piece of an answer; a server that drips would never be given up.
            async with asyncio.timeout(self._settings.timeout):
                response = await self._http.request(method, url, **parts)
        except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
            raise _Unreachable(f"cannot reach {host}: {capped(str(exc)) or type(exc).__name__}") from exc
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise TryLater(f"no answer from {host}: {capped(str(exc)) or type(exc).__name__}") from exc
        except TimeoutError as exc:
            raise TryLater(f"no whole answer from {host} within {self._settings.timeout:g}s") from exc
        if "date" in response.headers:
            with wire.expected_shape():
                self._server_time = (instants.http_date(response.headers["date"]), self._clock.monotonic())
        return response


def _span(start: datetime, end: datetime) -> dict[str, str]:
    return {"start": instants.literal(start), "end": instants.literal(end)}
