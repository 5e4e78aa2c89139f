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
from salesforce_poller.salesforce import transport, trouble_table
from salesforce_poller.salesforce.client import Org
from salesforce_poller.salesforce.questions import Request
from salesforce_poller.salesforce.settings import OrgSettings
from salesforce_poller.simulator import faults, server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.fault_kinds import page, rest
from salesforce_poller.simulator.org import Org as SimulatedOrg

pytestmark = pytest.mark.both_databases

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
    "INVALID_BATCH_SIZE": "WRITE_REFUSED",
    "REQUIRED_FIELD_MISSING": "WRITE_REFUSED",
    "INVALID_FIELD_FOR_INSERT_UPDATE": "WRITE_REFUSED",
    "DUPLICATES_DETECTED": "WRITE_REFUSED",
    "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE": "SERVER_UNAVAILABLE",
    "REQUEST_RUNNING_TOO_LONG": "TOO_MUCH",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": "INSUFFICIENT_ACCESS",
    "TXN_SECURITY_APEX_ERROR": "TXN_SECURITY",
    "TXN_SECURITY_RUNTIME_ERROR": "TXN_SECURITY",
    "TXN_SECURITY_END_A_SESSION": "TXN_SECURITY",
    "TXN_SECURITY_FAIL_CLOSE": "TXN_SECURITY",
    "TXN_SECURITY_TWO_FA_REQUIRED": "TXN_SECURITY",
    "INVALID_CROSS_REFERENCE_KEY": "ROW_NOT_FOUND",
    "UNSUPPORTED_API_VERSION": "API_VERSION_RETIRED",
    "INVALID_VERSION": "API_VERSION_RETIRED",
    "AGENT_NOT_ATTACHED": "SESSION_NOT_FOR_REST",
    "CONCURRENT_REQUESTS_EXCEEDED": "CONCURRENT_LIMIT",
    "API_CURRENTLY_DISABLED_BY_A_PROBLEM": "API_CURRENTLY_DISABLED",
    "UNABLE_TO_LOCK_ROW_AS_500": "UNABLE_TO_LOCK_ROW",
    "NO_EXTERNAL_ID": "NOT_FOUND",
    "SPAN_TOO_SHORT": "INVALID_REPLICATION_DATE",
    "SPAN_BACKWARDS": "INVALID_REPLICATION_DATE",
    "COVERED_BEYOND_END": "INVALID_REPLICATION_DATE",
    "MULTIPLE_CHOICES": "HTTP_300",
    "NOT_MODIFIED": "OTHER",
    "EMPTY_UNAVAILABLE": "HTTP_503",
    "XML_ERROR": "HTTP_503",
    "EMPTY_BODY": "NOT_JSON",
    "HTML_BODY": "NOT_JSON",
    "OVERSIZED_BODY": "NO_ANSWER",
    "OAUTH_INVALID_PASSWORD": "LOGIN_AUTHENTICATION",
    "OAUTH_CODE_EXPIRED": "LOGIN_CODE",
    "OAUTH_CODE_INVALID": "LOGIN_CODE",
    "OAUTH_INVALID_ASSERTION": "LOGIN_ASSERTION",
    "OAUTH_WRONG_DOMAIN": "LOGIN_DOMAIN",
    "OAUTH_NOT_ADMIN_APPROVED": "LOGIN_NOT_APPROVED",
    "OAUTH_INVALID_APP_ACCESS": "LOGIN_NOT_APPROVED",
    "OAUTH_NO_DESCRIPTION": "LOGIN_GRANT",
    "OAUTH_IP_RESTRICTED_IN_CAPITALS": "LOGIN_IP",
    "OAUTH_INACTIVE_USER_GRANT": "LOGIN_USER_INACTIVE",
    "OAUTH_INVALID_CLIENT_CREDENTIALS": "LOGIN_SECRET",
    "OAUTH_APPROVAL_ERROR": "LOGIN_APP_BLOCKED",
    "OAUTH_UNSUPPORTED_RESPONSE_TYPE": "LOGIN_CONFIGURATION",
    "OAUTH_INVALID_REQUEST": "LOGIN_CONFIGURATION",
    "OAUTH_INVALID_SCOPE": "LOGIN_CONFIGURATION",
    "OAUTH_REDIRECT_URI_MISMATCH": "LOGIN_CONFIGURATION",
    "OAUTH_SERVER_ERROR": "LOGIN_PASSING",
    "OAUTH_TEMPORARILY_UNAVAILABLE": "LOGIN_PASSING",
}
#: Faults that end in no row, and why.
#: Seconds after which a login that was refused is tried again, whatever it was refused for.
_REFUSALS_FORGOTTEN = 7_200
NO_TROUBLE = {"SLOW": "the answer comes, only late", "DRIPPING_BODY": "and so it does here, where nobody sleeps"}
#: Faults that have a test of their own.
APART = {"STALLED_BODY", "OAUTH_BAD_TOKEN", "OAUTH_MISSING_TOKEN"}
#: Rows that no answer of an org leads to: this program finds them out by what it remembers.
NOT_WEATHER = {
    "OTHER_ORGANIZATION": "needs a store that knows another org",
    "ODD_ANSWER": "needs a proxy of its own",
    "DEFECT": "is not Salesforce's",
    "REFRESH_TOKEN": "needs a store without one",
    "SECRET_KEY": "needs a store of another key",
    "TOO_MANY_MISSING": "needs a comparison of ids",
    "SPELLING": "needs a configuration that writes a name otherwise",
    "NOT_POLLABLE": "needs an object that cannot be polled",
    "START_IN_FUTURE": "needs a configuration that is ahead of its time",
}
ERRORS = {
    Action.RETRY: TryLater,
    Action.SLOW_DOWN: LimitReached,
    Action.PAUSE_FEED: Refused,
    Action.STOP_ORG: OrgRefused,
}


class Weathered:
    """A simulated org that stands still in time, and a client of it."""

    def __init__(self, org: SimulatedOrg, url: str, client: Org, clock: FakeClock) -> None:
        self.org, self.url, self.client, self.clock = org, url, client, clock

    async def trouble(self, fault: str | faults.Fault) -> PollerError | None:
        """Ask the client a question in this weather, which lasts; return the error."""
        name = fault if isinstance(fault, str) else fault.name
        self.clock.advance(_REFUSALS_FORGOTTEN)
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
async def an_org(patience: float = 30) -> AsyncIterator[Weathered]:
    """Serve an org; what is slow is slow in no time at all."""

    async def nap(_seconds: float) -> None:
        """Sleep not at all."""

    org = SimulatedOrg(clock=OrgClock(speed=0), seed=7)
    async with server.serve(server.build(org, sleep=nap)) as url:
        secret = SecretStr("simulated-secret")
        settings = OrgSettings(login_url=url, client_id="simulated-client", client_secret=secret, timeout=patience)
        clock = FakeClock()
        async with Org("acme", settings, clock=clock) as client:
            yield Weathered(org, url, client, clock)


def row_of(error: PollerError | None) -> str:
    """Return the row an error comes from; of a session that is refused twice, that of the first answer."""
    if error is None:
        return ""
    if error.facts.trouble == "SESSION_REFUSED":
        assert isinstance(error.__cause__, SessionExpired)
        return error.__cause__.facts.trouble
    return error.facts.trouble


async def test_every_fault_of_the_simulator_ends_in_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them is a surprise: each has a row, which says what happens and what to do."""
    monkeypatch.setattr(transport, "MOST_BYTES", 1_000_000)
    async with an_org() as acme:
        found = {name: row_of(await acme.trouble(name)) for name in faults.FAULTS if name not in APART}
    assert found == EXPECTED | dict.fromkeys(NO_TROUBLE, "")


async def test_an_answer_that_stops_half_way_is_given_up() -> None:
    """The only fault that takes its time: the timeout, here a tenth of a second."""
    async with an_org(patience=0.1) as acme:
        assert row_of(await acme.trouble("STALLED_BODY")) == "NO_ANSWER"


@pytest.mark.parametrize("fault", ["OAUTH_BAD_TOKEN", "OAUTH_MISSING_TOKEN"])
async def test_a_token_that_userinfo_refuses_is_not_accepted(fault: str) -> None:
    """It is asked only for tokens that do not name their org."""
    async with an_org() as acme:
        acme.org.weather.arm(fault)
        settings = OrgSettings(login_url=acme.url, auth="access_token", access_token=SecretStr("opaque"))
        async with Org("acme", settings, clock=FakeClock()) as client:
            with pytest.raises(LoginRefused) as caught:
                await client.organization_id()
    assert caught.value.facts.trouble == "ACCESS_TOKEN"


async def test_one_part_of_a_composite_request_fails_alone() -> None:
    """The outer answer is 200; each part has the error, and the facts, that it would have on its own."""
    async with an_org() as acme:
        acme.org.weather.arm("INSUFFICIENT_ACCESS", object="Lead", times=None)
        path = f"/services/data/v{acme.client.api_version}/sobjects"
        parts = await acme.client.ask(*(Request("describe", f"{path}/{name}/describe") for name in ("Lead", "Contact")))
    refused, good = parts
    assert isinstance(refused, Refused)
    assert (refused.facts.trouble, refused.facts.status) == ("INSUFFICIENT_ACCESS", 403)
    assert not isinstance(good, PollerError)
    assert good["name"] == "Contact"


def fault_of(row: trouble_table.Trouble, *, login: bool) -> faults.Fault:
    """Make the weather of a row: an answer with its status, its code and a piece of its text."""
    code, message = next(iter(row.codes), ""), next(iter(row.pieces), "some text")
    status = next(iter(reversed(row.statuses)), 400)
    if login:
        error = code or ("" if row.codes else "new_error")
        body = orjson.dumps({"error": error, "error_description": message}).decode()
        return faults.Fault(row.name, status, body, where="/services/oauth2/token")
    if not row.codes and not row.pieces:
        return page(row.name, status if row.statuses else 418, "please wait")
    return rest(row.name, status, code, message)


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
        found.add(row_of(await acme.trouble(page("PAGE", 200, "please wait"))))
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
