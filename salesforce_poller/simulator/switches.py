"""The control API's switches: how the org lets people in, where it is, what it allows, and what was asked of it.

A part of `control`, whose caption lists the paths; each handler takes the request and its JSON body and returns JSON.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter
from starlette.requests import Request

from salesforce_poller.simulator import connected_app
from salesforce_poller.simulator.bulk import BulkSettings
from salesforce_poller.simulator.faults import FAULTS
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.weather import Armed

Body = Mapping[str, Any]
BULK = TypeAdapter(BulkSettings)
ARMING = frozenset({"path", "object", "times", "chance", "after", "seconds", "size"})
USAGE = frozenset({"used", "max", "lag", "jitter", "app_max", "overage"})


class Switches:
    """The handlers."""

    def __init__(self, org: Org) -> None:
        self._org = org

    # ---------------------------------------------------------------------------------------- weather

    def read_weather(self, _request: Request, _body: Body) -> Any:
        """What may strike, and what could."""
        return {"armed": [_told(each) for each in self._org.weather.armed()], "faults": list(FAULTS)}

    def arm(self, _request: Request, body: Body) -> Any:
        """Arm a fault of the table."""
        _known(body, ARMING | {"fault"})
        options = {name: value for name, value in body.items() if name in ARMING}
        return _told(self._org.weather.arm(str(body["fault"]), **options))

    def clear_weather(self, _request: Request, _body: Body) -> Any:
        """Disarm everything."""
        self._org.weather.clear()

    # ---------------------------------------------------------------------------------------- logging in

    def read_app(self, _request: Request, _body: Body) -> Any:
        """How the connected app is set up."""
        return asdict(self._org.app)

    def change_app(self, request: Request, body: Body) -> Any:
        """Set it up differently."""
        self._org.change_app(connected_app.changed(self._org.app, body))
        return self.read_app(request, body)

    def set_sessions(self, _request: Request, body: Body) -> Any:
        """How long a session lives unused, and how often a user may log in."""
        _known(body, {"idle", "logins_per_hour"})
        if "idle" in body:
            self._org.sessions.idle = timedelta(seconds=_number(body, "idle"))
        if "logins_per_hour" in body:
            self._org.login_rate.most = int(_number(body, "logins_per_hour"))

    def expire_sessions(self, _request: Request, _body: Body) -> Any:
        """End every session."""
        self._org.expire_sessions()

    def revoke_approvals(self, _request: Request, _body: Body) -> Any:
        """End every refresh token."""
        self._org.approvals.clear()

    # ---------------------------------------------------------------------------------------- where, and who

    def move_instance(self, _request: Request, body: Body) -> Any:
        """Be somewhere else."""
        _known(body, {"url", "old_host", "login_stays"})
        options = {name: value for name, value in body.items() if name != "url"}
        self._org.instance.move(body["url"], **options)

    def change_organization(self, _request: Request, body: Body) -> Any:
        """Be another organisation, as a refreshed sandbox is."""
        self._org.become(str(body["id"]))
        return {"id": self._org.organization_id}

    def set_permissions(self, _request: Request, body: Body) -> Any:
        """What the API user may do."""
        _known(body, {"view_setup"})
        if not isinstance(body["view_setup"], bool):
            raise ValueError("view_setup: must be true or false")  # noqa: TRY004  # bad input
        self._org.access.view_setup = body["view_setup"]

    # ---------------------------------------------------------------------------------------- query jobs

    def read_bulk(self, _request: Request, _body: Body) -> Any:
        """How query jobs are treated."""
        settings = asdict(self._org.bulk.settings)
        return {name: sorted(value) if isinstance(value, set) else value for name, value in settings.items()}

    def change_bulk(self, request: Request, body: Body) -> Any:
        """Treat query jobs otherwise from now on."""
        self._org.bulk.settings = BULK.validate_python({**asdict(self._org.bulk.settings), **body})
        return self.read_bulk(request, body)

    # ---------------------------------------------------------------------------------------- metering

    def read_usage(self, _request: Request, _body: Body) -> Any:
        """The truth that Sforce-Limit-Info only approaches."""
        meter = self._org.meter
        return {"used": meter.used(self._org.clock.now()), "max": meter.allowance}

    def set_usage(self, request: Request, body: Body) -> Any:
        """Pretend that calls were made; how much is allowed, and how wrong the gauge is."""
        _known(body, USAGE)
        meter, now = self._org.meter, self._org.clock.now()
        if "used" in body or "max" in body:
            used, allowance = body.get("used", meter.used(now)), body.get("max", meter.allowance)
            if "used" in body:
                self._org.set_usage(int(used), int(allowance))
            meter.allowance = int(allowance)
        if "lag" in body:
            meter.lag = timedelta(seconds=_number(body, "lag"))
        meter.jitter = int(_number(body, "jitter", meter.jitter))
        meter.overage = int(_number(body, "overage", meter.overage))
        if "app_max" in body:
            meter.app_allowance = None if body["app_max"] is None else int(_number(body, "app_max"))
        return self.read_usage(request, body)

    def set_concurrency(self, _request: Request, body: Body) -> Any:
        """Pretend that others have long requests going."""
        _known(body, {"others", "most"})
        self._org.concurrency.others = int(_number(body, "others", self._org.concurrency.others))
        self._org.concurrency.most = int(_number(body, "most", self._org.concurrency.most))

    def read_calls(self, _request: Request, _body: Body) -> Any:
        """The calls by kind."""
        return self._org.tally.report()

    def clear_calls(self, _request: Request, _body: Body) -> Any:
        """Count anew."""
        self._org.tally.clear()


def _known(body: Body, names: frozenset[str] | set[str]) -> None:
    if unknown := set(body) - names:
        raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}; there are {', '.join(sorted(names))}")


def _number(body: Body, name: str, default: float = 0) -> float:
    """A number of the body; raises ValueError for what is none, or negative."""
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"{name}: must be a number from 0, not {value!r}")
    return value


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
