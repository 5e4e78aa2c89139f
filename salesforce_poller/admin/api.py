"""``/api/…``: how feeds and sinks stand, the events and what was given up, and the orders of ``actions/desk.py``.

JSON in, JSON out; what is wrong comes as ``{"error": "…"}`` with a line that says what would be right. Who may ask
what is decided by ``guard.py``; put into the application by ``server.py``.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from salesforce_poller.actions import orders, overview, sharing
from salesforce_poller.actions.desk import Desk
from salesforce_poller.actions.present import Present
from salesforce_poller.admin import facts
from salesforce_poller.admin.guard import Guard, No
from salesforce_poller.clock import Clock
from salesforce_poller.errors import ConfigError, NotKnown, NotNow, NotUnderstood, PollerError
from salesforce_poller.store.store import Store

#: Bytes; an order is a few names.
_LARGEST_BODY = 65_536
_STATUS: dict[type[PollerError], int] = {NotUnderstood: 400, NotKnown: 404, NotNow: 409, ConfigError: 422}
#: Said of an answer that no proxy and no browser should keep.
_PRIVATE = {"cache-control": "no-store"}


@dataclass(frozen=True, slots=True)
class Api:
    """What the routes need."""

    store: Store
    desk: Desk
    guard: Guard
    present: Present
    clock: Clock


def routes(api: Api) -> list[Route]:
    """Return the routes below ``/api``."""

    async def feeds(request: Request) -> Response:
        return await _answer(
            api.guard.looking(request.headers), lambda: _told(overview.of_feeds(api.store, api.present.feeds))
        )

    async def sinks(request: Request) -> Response:
        return await _answer(
            api.guard.looking(request.headers), lambda: _told(overview.of_sinks(api.store, api.present.sinks))
        )

    async def leases(request: Request) -> Response:
        return await _answer(api.guard.looking(request.headers), lambda: _leases(api))

    async def events(request: Request) -> Response:
        return await _answer(api.guard.acting(request.headers), lambda: _events(api, request.query_params))

    async def dead(request: Request) -> Response:
        return await _answer(api.guard.acting(request.headers), lambda: _dead(api, request.query_params))

    async def order(request: Request) -> Response:
        return await _answer(api.guard.acting(request.headers), lambda: _order(api, request))

    return [
        Route("/api/feeds", feeds),
        Route("/api/sinks", sinks),
        Route("/api/leases", leases),
        Route("/api/events", events),
        Route("/api/dead", dead),
        Route("/api/{order:path}", order, methods=["POST"]),
        Route("/api/{order:path}", order, methods=["GET"]),
    ]


async def _answer(no: No | None, work: Callable[[], Awaitable[Any]]) -> Response:
    if no is not None:
        headers = _PRIVATE | ({"www-authenticate": "Bearer"} if no.status == 401 else {})  # noqa: PLR2004  # HTTP's own number
        return _json({"error": no.why}, no.status, headers)
    try:
        return _json(await work(), 200, _PRIVATE)
    except PollerError as exc:
        status = next((code for kind, code in _STATUS.items() if isinstance(exc, kind)), 503)
        problems = {"problems": exc.problems} if isinstance(exc, ConfigError) else {}
        return _json({"error": str(exc), **problems}, status, _PRIVATE)


def _json(value: Any, status: int, headers: dict[str, str]) -> Response:
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


async def _told(views: Awaitable[Any]) -> Any:
    return await views


async def _leases(api: Api) -> sharing.Sharing:
    found = await sharing.of(api.store, api.present.duties)
    if found is None:
        raise NotKnown("there are no leases: an SQLite store is one process's alone")
    return found


async def _events(api: Api, said: QueryParams) -> list[dict[str, Any]]:
    look = orders.read(orders.Look, _query(said))
    await api.desk.check_names(look)
    selection = look.selection(api.clock.now())
    if look.after is None:
        found = await api.store.repairs.newest(selection, look.limit)
    else:
        found = await api.store.repairs.following(selection, after=look.after, limit=look.limit)
    return [facts.of_event(one) for one in found]


async def _dead(api: Api, said: QueryParams) -> list[dict[str, Any]]:
    look = orders.read(orders.Look, _query(said))
    await api.desk.check_names(look)
    names = look.sink or await api.store.repairs.sinks()
    found = await api.store.repairs.dead(look.selection(api.clock.now()), names, look.limit)
    return [facts.of_dead(one) for one in found]


async def _order(api: Api, request: Request) -> dict[str, Any]:
    path = request.path_params["order"]
    if request.method == "GET":
        raise NotKnown(f"there is no GET /api/{path}; there is feeds, sinks, leases, events and dead")
    return await api.desk.take(path, await _body(request))


def _query(said: QueryParams) -> dict[str, Any]:
    """Read what stands behind the question mark; ``sink`` may stand there several times, the rest once."""
    plain: dict[str, Any] = dict(said)
    if "sink" in said:
        plain["sink"] = said.getlist("sink")
    twice = [key for key in plain if key != "sink" and len(said.getlist(key)) > 1]
    if twice:
        raise NotUnderstood(f"{twice[0]}: stands there twice")
    return plain


async def _body(request: Request) -> dict[str, Any]:
    """Read a JSON object; nothing at all is an empty one. Raises NotUnderstood."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_BODY:
            raise NotUnderstood(f"the body is larger than {_LARGEST_BODY:,} bytes")
    if not body.strip():
        return {}
    try:
        said = orjson.loads(body)
    except ValueError as exc:
        raise NotUnderstood("the body should be JSON, and is not") from exc
    if not isinstance(said, dict):
        raise NotUnderstood('the body should be a JSON object, such as {"object": "Lead", "dry_run": true}')
    return said
