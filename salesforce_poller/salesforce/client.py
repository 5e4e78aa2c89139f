"""One org over HTTP: every request that the org counts goes through :meth:`Org.send`, and nothing else does.

Feeds ask through a ``sharing.py:Seat`` in front of it; ``check.py`` and the ``objects`` command ask it directly. It
never retries by itself, with one exception that only it can see: a session that expired is renewed once and the
request is sent again. When to try a failed turn again is the poller's decision.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

import orjson

from salesforce_poller.clock import Clock
from salesforce_poller.errors import LimitReached, OrgRefused, PollerError, SessionExpired, TryLater
from salesforce_poller.salesforce import auth, troubles, wire
from salesforce_poller.salesforce.questions import Questions, Reader, Request
from salesforce_poller.salesforce.session import Keeper, Session
from salesforce_poller.salesforce.settings import OrgSettings
from salesforce_poller.salesforce.transport import Answer, Transport, Unreachable
from salesforce_poller.salesforce.usage import Usage, read_usage

#: A URI and its headers may have 16,384 bytes together (REST API Developer Guide, 414 and 431); a longer query is
#: sent in a Composite body instead, where that limit does not apply.
LONGEST_URL = 13_500
#: A page has this many rows at most, which is also what it has when nothing is said.
MOST_ROWS = 2000
#: The edge does not know the host (420), or sends us to another one: the instance moved, or the org is gone.
_MOVED = frozenset({301, 302, 307, 308, 420})


_Parts = Mapping[str, Any]


class Meter(Protocol):
    """Counts the calls of one org and decides whether there may be another one."""

    async def admit(self, kind: str) -> None:
        """Count a call that is about to be sent. Raises LimitReached instead when there may be none."""

    def heard(self, usage: Usage | None, error: PollerError | None) -> None:
        """Take note of what an answer tells of the org's limits, and of the error it was, if it was one."""


class Unlimited:
    """The meter of commands that a person starts: they tell beforehand what they cost."""

    async def admit(self, kind: str) -> None:
        """Let it pass."""

    def heard(self, usage: Usage | None, error: PollerError | None) -> None:
        """Nobody asks."""


class Org(Questions):
    """One Salesforce organisation. Use as an async context manager, or call :meth:`close`."""

    def __init__(
        self,
        name: str,
        settings: OrgSettings,
        *,
        clock: Clock,
        meter: Meter | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        self.name = name
        self.api_version = settings.api_version
        #: API requests sent so far that count towards the org's daily limit, by kind.
        self.calls_by_kind: Counter[str] = Counter()
        self._meter = meter or Unlimited()
        self._transport = Transport(settings, clock=clock)
        self._session = Session(name, settings, self._transport, clock=clock, keeper=keeper)
        #: Advice that the org may follow; its own default is left unsaid (REST API, Query Options Header).
        size = settings.page_size
        self._query_headers = {} if size == MOST_ROWS else {"sforce-query-options": f"batchSize={size}"}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        await self._transport.close()

    @property
    def calls(self) -> int:
        """API requests sent so far that count towards the org's daily limit."""
        return self.calls_by_kind.total()

    async def login(self) -> None:
        """Log in now instead of at the first request."""
        await self._session.token()

    async def organization_id(self) -> str:
        """Return the organisation's own id (18 characters)."""
        return await self._session.organization_id()

    def expect(self, organization_id: str) -> None:
        """Refuse to be another organisation than this one, from the next login on."""
        self._session.expect(organization_id)

    def server_now(self) -> datetime:
        """Return Salesforce's time; see ``transport.py``."""
        return self._transport.server_now()

    # ------------------------------------------------------------------ asking

    async def ask(self, *requests: Request) -> list[Any | PollerError]:
        """Answer requests, at most 25 with 5 queries among them (1 call): one alone as it is, several as a Composite.

        Raises what concerns all of them; see :meth:`send`.
        """
        if len(requests) == 1 and len(requests[0].url) <= LONGEST_URL:
            try:
                return [await self.send(requests[0].kind, "GET", requests[0].url, headers=self._headers(requests[0]))]
            except SessionExpired:
                raise
            except PollerError as exc:
                return [exc]
        answer = await self.send("composite", "POST", self._path("composite"), json=self._composite(requests))
        parts = wire.read_parts(answer, len(requests))
        for part in parts:
            if isinstance(part, LimitReached):
                self._meter.heard(None, part)
        return parts

    async def follow(self, url: str) -> bytes:
        """Get the next page of a query (1 call), as it came; see ``wire.py:decode``."""
        page: bytes = await self.send("page", "GET", url, read=wire.received)
        return page

    async def send(
        self,
        kind: str,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        read: Reader = wire.decipher,
    ) -> Any:
        """Send one metered request and return what ``read`` makes of the answer; renew an expired session once.

        Raises:
            LimitReached: the meter or the org would have no more calls.
            PollerError: what ``troubles.rest_error`` makes of a bad answer.
        """
        token = await self._session.token()
        parts: dict[str, Any] = {"headers": dict(headers or {})}
        if json is not None:
            parts["headers"]["content-type"] = "application/json"
            parts["content"] = orjson.dumps(json)
        try:
            return await self._send_once(token, kind, method, path, parts, read)
        except SessionExpired:
            token = await self._session.token(stale=token)
        try:
            return await self._send_once(token, kind, method, path, parts, read)
        except SessionExpired as exc:
            facts = troubles.our_facts("SESSION_REFUSED")
            error = OrgRefused(f"the session was refused again right after logging in ({exc})", facts=facts)
            raise self._session.refused(token, error) from exc

    async def _send_once(  # noqa: PLR0917  # it is the inside of `send`
        self, token: auth.Token, kind: str, method: str, path: str, parts: _Parts, read: Reader
    ) -> Any:
        answer = await self._metered(token, kind, method, path, parts)
        usage = read_usage(answer.headers)
        try:
            told = read(answer.status, answer.headers, answer.body)
        except PollerError as exc:
            self._meter.heard(usage, exc)
            raise
        self._meter.heard(usage, None)
        return told

    async def _metered(self, token: auth.Token, kind: str, method: str, path: str, parts: _Parts) -> Answer:
        headers = {**parts["headers"], "authorization": f"Bearer {token.access_token}"}
        await self._meter.admit(kind)
        self.calls_by_kind[kind] += 1
        try:
            answer = await self._transport.exchange(method, token.instance_url + path, **{**parts, "headers": headers})
        except Unreachable:
            self._session.forget(token)
            raise
        if answer.status in _MOVED:
            self._session.forget(token)
            said = f"HTTP {answer.status}: the org is not here (any more); the next try logs in anew"
            raise TryLater(said, facts=troubles.rest_error(answer.status, answer.headers, answer.body).facts)
        return answer

    def _composite(self, requests: Sequence[Request]) -> dict[str, Any]:
        """Return the body of a Composite request whose parts run in this order, each on its own."""
        parts = [
            {"method": "GET", "url": one.url, "referenceId": wire.part_name(n), "httpHeaders": self._headers(one)}
            for n, one in enumerate(requests)
        ]
        return {"allOrNone": False, "collateSubrequests": False, "compositeRequest": parts}

    def _headers(self, request: Request) -> dict[str, str]:
        return self._query_headers if request.kind == "query" else {}
