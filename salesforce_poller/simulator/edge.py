"""The org's edge: everything between the socket and the REST API.

Mounted by `server` for every path but the control API's. One request goes: too long? → weather → moved? → login or
API → headers and compression → out. What is handled where: logins in `oauth`, the API in `rest`, faults in `weather`,
the way out in `departure`.
"""

import gzip
from contextlib import nullcontext
from email.utils import format_datetime

import orjson
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.types import Receive, Scope, Send

from salesforce_poller.simulator import errors, fault_kinds, releases, request, rest, tally
from salesforce_poller.simulator.call import Answer, Call, refusal
from salesforce_poller.simulator.departure import Line, Parcel, Sleep, hang_up, leave
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.fault_kinds import Fault
from salesforce_poller.simulator.faults import FAULTS
from salesforce_poller.simulator.oauth import endpoints, whoami
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.request import LONGEST_URI, Request

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
        line = Line(scope, receive, send)
        try:
            asked = await request.read(HttpRequest(scope, receive))
        except ClientDisconnect:
            return  # whoever asked is gone, in the middle of the question
        self._org.tally.request(tally.kind(asked.path))
        fault = self._fault(asked)
        if fault is not None and fault.effect == "reset":
            await hang_up(line, reset=True)
            return
        answered = await self._work(asked, fault)
        await leave(self._pack(asked, answered), line, fault, sleep=self._sleep)

    async def _work(self, asked: Request, fault: Fault | None) -> Answer:
        """What the org does while a request runs; API requests that run for long have a limit of their own."""
        api = asked.path.startswith(API)
        with self._org.concurrency.visit(self._org.clock.now()) if api else nullcontext(True) as admitted:
            if fault is not None and fault.effect == "slow":
                await self._sleep(fault.seconds)
            return self._answer(asked, fault, admitted=admitted)

    def _fault(self, asked: Request) -> Fault | None:
        """What stands in the way of this request: its own length, or the weather."""
        if asked.uri_size > LONGEST_URI:
            return FAULTS["URI_TOO_LONG"]
        if asked.head_size > LONGEST_URI:
            return FAULTS["HEADERS_TOO_LARGE"]
        target = rest.target(asked.path, asked.params)
        return self._org.weather.strike(target, rest.object_of(self._org, _call(asked, "")))

    def _answer(self, asked: Request, fault: Fault | None, *, admitted: bool) -> Answer:
        if fault is not None and fault.effect in ("answer", "expire_session"):
            answered = rest.faulty(self._org, fault)
            return self._gauged(answered) if asked.path.startswith(API + "v") and fault.body else answered
        try:
            return self._pass(asked.decompressed(), admitted=admitted)
        except ApiError as error:
            return refusal(error)

    def _pass(self, asked: Request, *, admitted: bool) -> Answer:
        """The real answer."""
        if self._org.instance.is_elsewhere(asked):
            return self._moved(asked)
        if (answered := endpoints.answer(self._org, asked)) is not None:
            return answered
        if asked.path.rstrip("/") == API.rstrip("/"):
            return Answer(body=releases.listing())
        if not asked.path.startswith(API):
            raise errors.not_found()
        return self._gauged(self._call_api(asked, admitted=admitted))

    def _moved(self, asked: Request) -> Answer:
        """Where the org is now, or that nobody knows."""
        instance = self._org.instance
        if instance.url is None or instance.old_host == "no_route":
            return rest.faulty(self._org, FAULTS["EDGE_HAS_NO_ROUTE"])
        return Answer(301, None, {"Location": instance.url + asked.uri})

    def _call_api(self, asked: Request, *, admitted: bool) -> Answer:
        """Log in, pay, be served."""
        try:
            session = whoami.bearer(self._org, asked)
        except ApiError as error:
            return _unauthorised(error)
        if session is None:
            return _unauthorised(ApiError(401, "INVALID_SESSION_ID", "Session expired or invalid"))
        if not admitted:
            return refusal(ApiError(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded"))
        kind = tally.kind(asked.path)
        try:
            if kind != tally.PAID_BY_PART:
                self._org.pay(kind)
        except ApiError as error:
            return refusal(error)
        return rest.answer(self._org, _call(asked, session.user_id))

    def _gauged(self, answered: Answer) -> Answer:
        gauge = self._org.meter.gauge(self._org.clock.now())
        headers = {"Sforce-Limit-Info": gauge, **answered.headers}
        return Answer(answered.status, answered.body, headers, answered.media_type)

    def _pack(self, asked: Request, answered: Answer) -> Parcel:
        """Headers and body; without a Content-Length, so that the web server sends it in chunks."""
        plain = b"" if asked.method == "HEAD" else _encode(answered)
        headers, body = {**self._standard_headers(), **answered.headers}, plain
        if answered.body is not None:
            headers["Content-Type"] = answered.media_type
        if plain and "gzip" in asked.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(plain, COMPRESSION)
        lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        return Parcel(answered.status, lines, body, plain)

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
    return orjson.dumps(answered.body) if answered.media_type == fault_kinds.JSON_TYPE else str(answered.body).encode()
