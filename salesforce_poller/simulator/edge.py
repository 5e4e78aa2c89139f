"""The org's edge: everything between the socket and the REST API.

Mounted by `server` for every path but the control API's. One request goes: too long? → weather → login or API → headers
and compression → out. What is handled where: logins in `oauth`, the API in `rest`, faults in `weather`.
"""

import gzip
from collections.abc import Awaitable, Callable
from email.utils import format_datetime

import orjson
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.types import Receive, Scope, Send

from salesforce_poller.simulator import errors, faults, releases, request, rest
from salesforce_poller.simulator.call import Answer, Call, refusal
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.faults import FAULTS, Fault
from salesforce_poller.simulator.oauth import endpoints, whoami
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.request import LONGEST_URI, Request

Sleep = Callable[[float], Awaitable[None]]

API = "/services/data/"
COMPRESSION = 1
"""The fastest level: nothing leaves this machine."""

CONSENT = "CookieConsentPolicy=0:1; path=/; expires=Sat, 31-Dec-2033 23:59:59 GMT; Max-Age=31536000"


class Edge:
    """The ASGI application in front of one org. `sleep` makes slow answers slow."""

    def __init__(self, org: Org, *, sleep: Sleep) -> None:
        self._org = org
        self._sleep = sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        try:
            asked = await request.read(HttpRequest(scope, receive))
        except ClientDisconnect:
            return  # whoever asked is gone, in the middle of the question
        fault = self._fault(asked)
        if fault is not None and fault.effect == "reset":
            await hang_up(scope, receive, reset=True)
            return
        if fault is not None and fault.effect == "slow":
            await self._sleep(fault.seconds)
        answered = self._answer(asked, fault)
        start, body = self._compose(asked, answered)
        await send({"type": "http.response.start", "status": answered.status, "headers": start})
        if fault is not None and fault.effect == "truncate":
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            await hang_up(scope, receive, reset=False)
            return
        await send({"type": "http.response.body", "body": body})

    def _fault(self, asked: Request) -> Fault | None:
        """What stands in the way of this request: its own length, or the weather."""
        if asked.uri_size > LONGEST_URI:
            return FAULTS["URI_TOO_LONG"]
        if asked.head_size > LONGEST_URI:
            return FAULTS["HEADERS_TOO_LARGE"]
        target = rest.target(asked.path, asked.params)
        return self._org.weather.strike(target, rest.object_of(self._org, _call(asked, "")))

    def _answer(self, asked: Request, fault: Fault | None) -> Answer:
        if fault is not None and fault.effect in ("answer", "expire_session"):
            answered = rest.faulty(self._org, fault)
            return self._gauged(answered) if asked.path.startswith(API + "v") and fault.body else answered
        try:
            return self._pass(asked.decompressed())
        except ApiError as error:
            return refusal(error)

    def _pass(self, asked: Request) -> Answer:
        """The real answer."""
        if (answered := endpoints.answer(self._org, asked)) is not None:
            return answered
        if asked.path.rstrip("/") == API.rstrip("/"):
            return Answer(body=releases.listing())
        if not asked.path.startswith(API):
            raise errors.not_found()
        return self._gauged(self._call_api(asked))

    def _call_api(self, asked: Request) -> Answer:
        """Log in, pay, be served."""
        try:
            session = whoami.bearer(self._org, asked)
        except ApiError as error:
            return _unauthorised(error)
        if session is None:
            return _unauthorised(ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid"))
        if not self._org.meter.spend(self._org.clock.now()):
            return refusal(ApiError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
        return rest.answer(self._org, _call(asked, session.user_id))

    def _gauged(self, answered: Answer) -> Answer:
        gauge = self._org.meter.gauge(self._org.clock.now())
        headers = {"Sforce-Limit-Info": gauge, **answered.headers}
        return Answer(answered.status, answered.body, headers, answered.media_type)

    def _compose(self, asked: Request, answered: Answer) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Headers and body; without a Content-Length, so that the web server sends it in chunks."""
        body = _encode(answered)
        headers = {**self._standard_headers(), **answered.headers}
        if body:
            headers["Content-Type"] = answered.media_type
            if "gzip" in asked.headers.get("accept-encoding", ""):
                headers["Content-Encoding"] = "gzip"
                body = gzip.compress(body, COMPRESSION)
        if asked.method == "HEAD":
            body = b""
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()], body

    def _standard_headers(self) -> dict[str, str]:
        request_id = f"{self._org.rng.getrandbits(128):032x}"
        return {
            "Vary": "Accept-Encoding",
            "Cache-Control": "no-cache,must-revalidate,max-age=0,no-store,private",
            "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
            "X-Content-Type-Options": "nosniff",
            "X-Robots-Tag": "none",
            "Set-Cookie": CONSENT,
            "X-SFDC-Request-Id": request_id,
            "X-Request-Id": request_id,
            "X-SFDC-Edge-Cache": "none",
        }


async def hang_up(scope: Scope, receive: Receive, *, reset: bool) -> None:
    """Drop the connection, at once and rudely or after what was sent has left, and wait until it is gone.

    `server.serve` puts the means into the request's state; under another web server the exception does it.
    """
    means = scope.get("state", {}).get("hang_up")
    if means is None:
        raise ConnectionResetError("the weather broke the connection")
    means(reset=reset)
    while (await receive())["type"] != "http.disconnect":
        pass


def date_header(org: Org) -> str:
    """The org's time as the Date header tells it."""
    return format_datetime(org.clock.now(), usegmt=True)


def _call(asked: Request, user_id: str) -> Call:
    tunnelled = asked.params.get("_HttpMethod") if asked.method == "POST" else None
    return Call(
        method=tunnelled or asked.method,
        path=asked.path,
        params=asked.params,
        headers=asked.headers,
        body=asked.body,
        user_id=user_id,
    )


def _unauthorised(error: ApiError) -> Answer:
    return Answer(error.status, error.body(), {"WWW-Authenticate": "Token"})


def _encode(answered: Answer) -> bytes:
    if answered.body is None:
        return b""
    return orjson.dumps(answered.body) if answered.media_type == faults.JSON_TYPE else str(answered.body).encode()
