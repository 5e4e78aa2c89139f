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
    POST /simulator/weather                   {"fault": name, "path", "object", "times", "chance", "after",
                                              "seconds" between the pieces of a slow one, "size" of an oversized one}
    DELETE /simulator/weather                 fine weather
    GET  /simulator/truth?after=N             every committed change with a number above N
    GET  /simulator/app                       the connected app: credentials, certificate, redirect URIs, policies
    POST /simulator/app                       any of its settings (see `connected_app`): {"certificate": PEM text,
                                              "rotate_refresh_tokens": true, "denial": ["access_denied", text], ...}
    POST /simulator/sessions                  {"idle": seconds a session lives unused, "logins_per_hour": per user}
    POST /simulator/sessions/expire           the next request of everybody gets 401
    POST /simulator/approvals/revoke          no refresh token is good any more
    POST /simulator/instance                  {"url": where the org is from now on, "old_host": "redirect" | "no_route",
                                              "login_stays": true}; {"url": null}: everywhere again
    POST /simulator/organization              {"id": organisation id}: a refreshed sandbox; nobody is logged in
    POST /simulator/permissions               {"view_setup": false}: /limits is refused
    GET  /simulator/usage                     {"used", "max"}: the truth behind Sforce-Limit-Info
    POST /simulator/usage                     {"used": calls, "max": calls, "lag": seconds, "jitter": calls,
                                              "app_max": calls | null, "overage": calls above max that still pass}
    POST /simulator/concurrency               {"others": long requests of somebody else's, "most": how many may be}
    GET  /simulator/calls                     the calls so far, by kind: on their own, as parts, and what they cost
    DELETE /simulator/calls                   count anew
    POST /simulator/delete-log/purge          getDeleted has lost everything up to now
    GET  /simulator/bulk                      how query jobs are treated: the keys of `bulk.BulkSettings`
    POST /simulator/bulk                      change some of it: {"queue_seconds", "run_seconds", "failure", …}

A statement is {"do": "insert", "object": name, "fields": {…}}, {"do": "restamp", "object": name},
{"do": "insert_many", "object": name, "records": [{…}, …]},
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
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.switches import Switches
from salesforce_poller.simulator.transactions import Transaction

Body = Mapping[str, Any]


def routes(org: Org) -> list[Route]:
    """The control API of one org, to be mounted under /simulator."""
    control, switches = Control(org), Switches(org)
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
        ("GET", "/weather", switches.read_weather),
        ("POST", "/weather", switches.arm),
        ("DELETE", "/weather", switches.clear_weather),
        ("GET", "/truth", control.truth),
        ("GET", "/app", switches.read_app),
        ("POST", "/app", switches.change_app),
        ("POST", "/sessions", switches.set_sessions),
        ("POST", "/sessions/expire", switches.expire_sessions),
        ("POST", "/approvals/revoke", switches.revoke_approvals),
        ("POST", "/instance", switches.move_instance),
        ("POST", "/organization", switches.change_organization),
        ("POST", "/permissions", switches.set_permissions),
        ("GET", "/usage", switches.read_usage),
        ("POST", "/usage", switches.set_usage),
        ("POST", "/concurrency", switches.set_concurrency),
        ("GET", "/calls", switches.read_calls),
        ("DELETE", "/calls", switches.clear_calls),
        ("POST", "/delete-log/purge", control.purge_delete_log),
        ("GET", "/bulk", switches.read_bulk),
        ("POST", "/bulk", switches.change_bulk),
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

    def truth(self, request: Request, _body: Body) -> Any:
        """The committed changes after a number."""
        after = int(request.query_params.get("after", "0"))
        return {"changes": [asdict(change) for change in self._org.truth[after:]]}

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


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"not an instant, since it has no offset: {text}")
    return instant
