"""The table of troubles walked through the simulated org's weather: real client, real HTTP, every fault and every row.

The simulator's faults are somebody else's reading of Salesforce; here the two readings meet.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from fakes import FakeClock
from pydantic import SecretStr

from salesforce_poller.errors import (
    Action,
    LimitReached,
    LoginRefused,
    OrgRefused,
    PollerError,
    Refused,
    Scope,
    SessionExpired,
    TryLater,
)
from salesforce_poller.salesforce import trouble_table
from salesforce_poller.salesforce.client import Org
from salesforce_poller.salesforce.settings import OrgSettings
from salesforce_poller.simulator import faults, server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org as SimulatedOrg

#: Each ready-made fault of the simulator, and the row of our table that it must end in.
EXPECTED = {
    "MALFORMED_QUERY": "QUERY_REFUSED",
    "INVALID_FIELD": "INVALID_FIELD",
    "INVALID_TYPE": "INVALID_TYPE",
    "MALFORMED_ID": "QUERY_REFUSED",
    "INVALID_QUERY_LOCATOR": "INVALID_QUERY_LOCATOR",
    "INVALID_REPLICATION_DATE": "INVALID_REPLICATION_DATE",
    "YOUNG_ORG": "INVALID_REPLICATION_DATE",
    "EXCEEDED_ID_LIMIT": "TOO_MUCH",
    "JSON_PARSER_ERROR": "WRITE_REFUSED",
    "LIMIT_EXCEEDED": "TOO_MUCH",
    "UNABLE_TO_LOCK_ROW": "UNABLE_TO_LOCK_ROW",
    "QUERY_TIMEOUT": "TOO_MUCH",
    "QUERY_TOO_COMPLICATED": "QUERY_TOO_COMPLICATED",
    "OPERATION_TOO_LARGE": "TOO_MUCH",
    "CANNOT_EXECUTE_FLOW_TRIGGER": "CANNOT_EXECUTE_FLOW_TRIGGER",
    "FIELD_CUSTOM_VALIDATION_EXCEPTION": "WRITE_REFUSED",
    "INVALID_AUTH_HEADER": "INVALID_SESSION_ID",
    "INVALID_SESSION_ID": "INVALID_SESSION_ID",
    "SESSION_NOT_FOR_REST": "SESSION_NOT_FOR_REST",
    "REQUEST_LIMIT_EXCEEDED": "DAILY_LIMIT",
    "CONCURRENT_LIMIT_EXCEEDED": "CONCURRENT_LIMIT",
    "API_DISABLED_FOR_ORG": "API_DISABLED_FOR_ORG",
    "API_CURRENTLY_DISABLED": "API_DISABLED_FOR_USER",
    "INSUFFICIENT_ACCESS": "INSUFFICIENT_ACCESS",
    "INSUFFICIENT_ACCESS_OR_READONLY": "INSUFFICIENT_ACCESS",
    "FUNCTIONALITY_NOT_ENABLED": "FUNCTIONALITY_NOT_ENABLED",
    "TXN_SECURITY_METERING_ERROR": "TXN_SECURITY_METERING_ERROR",
    "TXN_SECURITY_NO_ACCESS": "TXN_SECURITY",
    "NOT_FOUND": "NOT_FOUND",
    "ENTITY_IS_DELETED": "ROW_NOT_FOUND",
    "METHOD_NOT_ALLOWED": "HTTP_405",
    "NOT_ACCEPTABLE": "HTTP_406",
    "CONFLICT": "HTTP_409",
    "GONE": "API_VERSION_RETIRED",
    "PRECONDITION_FAILED": "HTTP_412",
    "CONTENT_TOO_LARGE": "HTTP_413",
    "URI_TOO_LONG": "HTTP_414",
    "UNSUPPORTED_MEDIA_TYPE": "HTTP_415",
    "EDGE_HAS_NO_ROUTE": "HTTP_420",
    "PRECONDITION_REQUIRED": "HTTP_428",
    "TOO_MANY_REQUESTS": "HTTP_429",
    "HEADERS_TOO_LARGE": "HTTP_431",
    "UNKNOWN_EXCEPTION": "UNKNOWN_EXCEPTION",
    "INTERNAL_ERROR": "UNKNOWN_EXCEPTION",
    "API_ERROR": "UNKNOWN_EXCEPTION",
    "BAD_GATEWAY": "HTTP_502",
    "SERVER_UNAVAILABLE": "SERVER_UNAVAILABLE",
    "SERVICE_UNAVAILABLE_PAGE": "HTTP_503",
    "GATEWAY_TIMEOUT": "HTTP_504",
    "CONNECTION_RESET": "NO_ANSWER",
    "TRUNCATED_BODY": "NO_ANSWER",
    "OAUTH_EXPIRED_TOKEN": "LOGIN_TOKEN_EXPIRED",
    "OAUTH_AUTHENTICATION_FAILURE": "LOGIN_AUTHENTICATION",
    "OAUTH_NOT_APPROVED": "LOGIN_NOT_APPROVED",
    "OAUTH_NO_RUN_AS_USER": "LOGIN_RUN_AS",
    "OAUTH_AUDIENCE": "LOGIN_AUDIENCE",
    "OAUTH_IP_RESTRICTED": "LOGIN_IP",
    "OAUTH_INACTIVE_USER": "LOGIN_USER_INACTIVE",
    "OAUTH_INVALID_CLIENT_ID": "LOGIN_CLIENT_ID",
    "OAUTH_INVALID_CLIENT": "LOGIN_SECRET",
    "OAUTH_INACTIVE_ORG": "LOGIN_ORG_INACTIVE",
    "OAUTH_APP_BLOCKED": "LOGIN_APP_BLOCKED",
    "OAUTH_UNSUPPORTED_GRANT_TYPE": "LOGIN_FLOW",
    "OAUTH_LOGIN_RATE": "LOGIN_RATE",
    "OAUTH_UNKNOWN_ERROR": "LOGIN_PASSING",
}
#: Faults that end in no row, and why.
NO_TROUBLE = {"SLOW": "the answer comes, only late"}
#: Rows that no answer of an org leads to: this program finds them out by what it remembers.
NOT_WEATHER = {
    "OTHER_ORGANIZATION": "needs a store that knows another org",
    "ODD_ANSWER": "needs a proxy of its own",
    "DEFECT": "is not Salesforce's",
}
ERRORS = {
    Action.RETRY: TryLater,
    Action.SLOW_DOWN: LimitReached,
    Action.PAUSE_FEED: Refused,
    Action.STOP_ORG: OrgRefused,
}


class Weathered:
    """A simulated org that stands still in time, and a client of it."""

    def __init__(self, org: SimulatedOrg, url: str, client: Org) -> None:
        self.org, self.url, self.client = org, url, client

    async def trouble(self, fault: str | faults.Fault) -> PollerError | None:
        """Ask the client a question in this weather, which lasts; return the error."""
        name = fault if isinstance(fault, str) else fault.name
        if login := name.startswith(("OAUTH_", "LOGIN_")):
            self.client._session._token = None
        self.org.weather.arm(fault, path="/services/oauth2/token" if login else "/services/data/", times=None)
        try:
            await self.client.describe_global()
        except PollerError as error:
            return error
        finally:
            self.org.weather.clear()
        return None


@asynccontextmanager
async def an_org() -> AsyncIterator[Weathered]:
    """Serve an org; what is slow is slow in no time at all."""

    async def nap(_seconds: float) -> None:
        """Sleep not at all."""

    org = SimulatedOrg(clock=OrgClock(speed=0), seed=7)
    async with server.serve(server.build(org, sleep=nap)) as url:
        settings = OrgSettings(login_url=url, client_id="simulated-client", client_secret=SecretStr("simulated-secret"))
        async with Org("acme", settings, clock=FakeClock()) as client:
            yield Weathered(org, url, client)


def row_of(error: PollerError | None) -> str:
    """Return the row an error comes from; of a session that is refused twice, that of the first answer."""
    if error is None:
        return ""
    if error.facts.trouble == "SESSION_REFUSED":
        assert isinstance(error.__cause__, SessionExpired)
        return error.__cause__.facts.trouble
    return error.facts.trouble


async def test_every_fault_of_the_simulator_ends_in_its_row() -> None:
    """None of them is a surprise: each has a row, which says what happens and what to do."""
    async with an_org() as acme:
        found = {name: row_of(await acme.trouble(name)) for name in faults.FAULTS}
    assert found == EXPECTED | dict.fromkeys(NO_TROUBLE, "")


def fault_of(row: trouble_table.Trouble, *, login: bool) -> faults.Fault:
    """Make the weather of a row: an answer with its status, its code and a piece of its text."""
    code, message = next(iter(row.codes), ""), next(iter(row.pieces), "some text")
    status = next(iter(reversed(row.statuses)), 400)
    if login:
        error = code or ("" if row.codes else "new_error")
        body = orjson.dumps({"error": error, "error_description": message}).decode()
        return faults.Fault(row.name, status, body, where="/services/oauth2/token")
    if not row.codes and not row.pieces:
        return faults.page(row.name, status if row.statuses else 418, "please wait")
    return faults.rest(row.name, status, code, message)


@pytest.mark.parametrize(
    ("rows", "login"), [(trouble_table.REST, False), (trouble_table.LOGIN, True)], ids=["rest", "login"]
)
async def test_every_row_is_met_by_a_real_client(rows: tuple[trouble_table.Trouble, ...], *, login: bool) -> None:
    """With the action, the scope, the advice and the address of its row."""
    async with an_org() as acme:
        for row in rows:
            error = await acme.trouble(fault_of(row, login=login))
            assert error is not None, row.name
            assert row_of(error) == row.name
            if isinstance(error.__cause__, SessionExpired):
                error = error.__cause__
            facts = error.facts
            assert (facts.action, facts.scope, facts.advice, facts.help_url) == (
                row.action, row.scope, row.advice, row.help_url,
            ), row.name  # fmt: skip
            assert isinstance(error, TryLater if row.name == "LOGIN_RATE" else ERRORS.get(row.action, PollerError))
            assert isinstance(error, SessionExpired) == (row.action is Action.LOG_IN), row.name
            assert isinstance(error, LoginRefused) == (login and row.action is Action.STOP_ORG), row.name


async def refused(url: str) -> str:
    """Show an access token that nobody accepts at an address; return the row of what happens."""
    settings = OrgSettings(login_url=url, auth="access_token", access_token=SecretStr("00D5g000008abcd!x"))
    async with Org("acme", settings, clock=FakeClock()) as client:
        with pytest.raises(PollerError) as caught:
            await client.describe_global()
    return caught.value.facts.trouble


async def test_what_the_client_finds_out_itself_has_its_rows() -> None:
    """Nobody there, half an answer, a web page, a session that dies at birth, a token that nobody takes."""
    async with an_org() as acme:
        found = {row_of(await acme.trouble("TRUNCATED_BODY"))}
        found.add(row_of(await acme.trouble(faults.page("PAGE", 200, "please wait"))))
        error = await acme.trouble("INVALID_SESSION_ID")
        assert isinstance(error, OrgRefused)
        found.add(error.facts.trouble)
        found.add(await refused(acme.url))
    found.add(await refused(acme.url))
    assert found | NOT_WEATHER.keys() == {row.name for row in trouble_table.OURS}


async def test_an_expired_session_is_renewed_once_and_nobody_notices() -> None:
    """The action of its row: log in again, once."""
    async with an_org() as acme:
        acme.org.weather.arm("INVALID_SESSION_ID", times=1)
        assert await acme.client.describe_global()


async def test_limits_say_which_one_and_how_long() -> None:
    """The daily one comes back over a day, the concurrent one with the requests that hold it."""
    names = ("REQUEST_LIMIT_EXCEEDED", "CONCURRENT_LIMIT_EXCEEDED", "TOO_MANY_REQUESTS")
    async with an_org() as acme:
        found = [await acme.trouble(name) for name in names]
    limits = [one for one in found if isinstance(one, LimitReached)]
    assert [(one.daily, one.retry_after) for one in limits] == [(True, 900), (False, 20), (False, 2)]
    assert {one.facts.scope for one in limits} == {Scope.ORG}
