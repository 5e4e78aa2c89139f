"""The control API: tests in any language change the org and its weather with it. JSON, no login, not metered.

    GET  /simulator/clock                     {"now", "speed"}
    POST /simulator/clock                     {"advance": seconds} | {"set": instant} | {"speed": factor}
    POST /simulator/statements                one statement, committed at once (see below) -> {"result"}
    POST /simulator/transactions              -> {"transaction": number}; {"by": user id} for somebody else's work
    POST /simulator/transactions/N/statements one statement inside it
    POST /simulator/transactions/N/commit     and .../rollback
    POST /simulator/hide                      {"record": id} | {"object": name} | {"object": name, "field": name}
    POST /simulator/show                      the same
    GET  /simulator/weather                   what is armed, and the names of all faults
    POST /simulator/weather                   {"fault": name, "path", "object", "times", "chance", "after"}
    DELETE /simulator/weather                 fine weather
    GET  /simulator/truth?after=N             every committed change with a number above N
    POST /simulator/sessions/expire           the next request of everybody gets 401
    POST /simulator/usage                     {"used": calls, "max": calls}
    POST /simulator/delete-log/purge          getDeleted has lost everything up to now

A statement is {"do": "insert", "object": name, "fields": {…}}, {"do": "restamp", "object": name},
{"do": "update", "id": id, "fields": {…}}, {"do": "merge", "id": winner, "losers": [id, …]},
{"do": "convert", "id": lead, "opportunity_name": name}, or delete, undelete, purge or hard_delete with an "id".
Errors have the REST API's shape. Mounted by `server.build`; the statements are those of `transactions`.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from salesforce_poller.simulator import statements
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.faults import FAULTS
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.transactions import Transaction
from salesforce_poller.simulator.weather import Armed

Body = Mapping[str, Any]
ARMING = {"path", "object", "times", "chance", "after"}


def routes(org: Org) -> list[Route]:
    """The control API of one org, to be mounted under /simulator."""
    control = Control(org)
    table: list[tuple[str, str, Callable[[Request, Body], Any]]] = [
        ("GET", "/clock", control.read_clock),
        ("POST", "/clock", control.change_clock),
        ("POST", "/statements", control.statement),
        ("POST", "/transactions", control.begin),
        ("POST", "/transactions/{number:int}/statements", control.statement_inside),
        ("POST", "/transactions/{number:int}/commit", control.commit),
        ("POST", "/transactions/{number:int}/rollback", control.rollback),
        ("POST", "/hide", control.hide),
        ("POST", "/show", control.show),
        ("GET", "/weather", control.read_weather),
        ("POST", "/weather", control.arm),
        ("DELETE", "/weather", control.clear_weather),
        ("GET", "/truth", control.truth),
        ("POST", "/sessions/expire", control.expire_sessions),
        ("POST", "/usage", control.set_usage),
        ("POST", "/delete-log/purge", control.purge_delete_log),
    ]
    return [Route(path, _endpoint(handler), methods=[method]) for method, path, handler in table]


class Control:
    """The handlers; each takes the request and its JSON body and returns JSON to be."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._transactions: dict[int, Transaction] = {}

    def read_clock(self, _request: Request, _body: Body) -> Any:
        """The org's time and pace."""
        return {"now": self._org.clock.now(), "speed": self._org.clock.speed}

    def change_clock(self, request: Request, body: Body) -> Any:
        """Advance, set or speed up."""
        clock = self._org.clock
        if "set" in body:
            clock.set(_instant(body["set"]))
        if "advance" in body:
            clock.advance(float(body["advance"]))
        if "speed" in body:
            clock.set_speed(float(body["speed"]))
        return self.read_clock(request, body)

    def statement(self, _request: Request, body: Body) -> Any:
        """One statement in a transaction of its own."""
        with self._org.begin() as transaction:
            return {"result": statements.run(transaction, body)}

    def begin(self, _request: Request, body: Body) -> Any:
        """Open a transaction that lasts until it is committed or rolled back."""
        transaction = self._org.begin(by=body.get("by"))
        self._transactions[transaction.number] = transaction
        return {"transaction": transaction.number}

    def statement_inside(self, request: Request, body: Body) -> Any:
        """One statement of an open transaction."""
        return {"result": statements.run(self._open(request), body)}

    def commit(self, request: Request, _body: Body) -> Any:
        """Make an open transaction's rows visible."""
        self._open(request).commit()
        del self._transactions[request.path_params["number"]]

    def rollback(self, request: Request, _body: Body) -> Any:
        """Forget an open transaction."""
        self._open(request).rollback()
        del self._transactions[request.path_params["number"]]

    def hide(self, _request: Request, body: Body) -> Any:
        """Take a record, a field or an object out of the API user's sight."""
        if "record" in body:
            self._org.hide_record(body["record"])
        elif "field" in body:
            self._org.hide_field(body["object"], body["field"])
        else:
            self._org.disable_object(body["object"])

    def show(self, _request: Request, body: Body) -> Any:
        """And back."""
        if "record" in body:
            self._org.show_record(body["record"])
        elif "field" in body:
            self._org.show_field(body["object"], body["field"])
        else:
            self._org.enable_object(body["object"])

    def read_weather(self, _request: Request, _body: Body) -> Any:
        """What may strike, and what could."""
        return {"armed": [_told(each) for each in self._org.weather.armed()], "faults": list(FAULTS)}

    def arm(self, _request: Request, body: Body) -> Any:
        """Arm a fault of the table."""
        unknown = set(body) - ARMING - {"fault"}
        if unknown:
            raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}")
        options = {name: value for name, value in body.items() if name in ARMING}
        return _told(self._org.weather.arm(str(body["fault"]), **options))

    def clear_weather(self, _request: Request, _body: Body) -> Any:
        """Disarm everything."""
        self._org.weather.clear()

    def truth(self, request: Request, _body: Body) -> Any:
        """The committed changes after a number."""
        after = int(request.query_params.get("after", "0"))
        return {"changes": [asdict(change) for change in self._org.truth[after:]]}

    def expire_sessions(self, _request: Request, _body: Body) -> Any:
        """End every session."""
        self._org.expire_sessions()

    def set_usage(self, _request: Request, body: Body) -> Any:
        """Pretend that calls were made."""
        self._org.set_usage(int(body["used"]), int(body["max"]))

    def purge_delete_log(self, _request: Request, _body: Body) -> Any:
        """Forget which records were deleted."""
        self._org.storage.purge_delete_log()

    def _open(self, request: Request) -> Transaction:
        number = request.path_params["number"]
        if number not in self._transactions:
            raise ApiError(404, "NOT_FOUND", f"no open transaction has the number {number}")
        return self._transactions[number]


def _endpoint(handler: Callable[[Request, Body], Any]) -> Callable[[Request], Awaitable[Response]]:
    """A handler as Starlette wants it; what is wrong with the request is said in the REST API's error shape."""

    async def endpoint(request: Request) -> Response:
        raw = await request.body()
        try:
            body = orjson.loads(raw) if raw else {}
            return _respond(200, handler(request, body))
        except ApiError as error:
            return _respond(error.status, error.body())
        except KeyError as error:
            return _respond(400, ApiError(400, "MISSING_ARGUMENT", f"{error} is missing").body())
        except (TypeError, ValueError) as error:
            return _respond(400, ApiError(400, "INVALID_INPUT", str(error)).body())

    return endpoint


def _respond(status: int, body: Any) -> Response:
    return Response(orjson.dumps({} if body is None else body), status, media_type="application/json")


def _told(armed: Armed) -> dict[str, Any]:
    return {
        "fault": armed.fault.name,
        "path": armed.path,
        "object": armed.object,
        "left": armed.left,
        "chance": armed.chance,
        "after": armed.after,
        "struck": armed.struck,
    }


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"not an instant, since it has no offset: {text}")
    return instant
