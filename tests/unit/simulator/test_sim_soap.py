"""The SOAP login: what simple-salesforce and jsforce send, and how the org refuses."""

import asyncio
import re
from dataclasses import replace

import httpx
import pytest
from simple_salesforce.exceptions import SalesforceAuthenticationFailed
from simple_salesforce.login import SalesforceLogin

from salesforce_poller.simulator.org import Org

SOAP = "/services/Soap/u/66.0"
HEADERS = {"Content-Type": "text/xml", "SOAPAction": "login"}
LOGIN = (
    "<n:login xmlns:n='urn:partner.soap.sforce.com'><n:username>{}</n:username><n:password>{}</n:password></n:login>"
)


def envelope(body: str) -> str:
    """A SOAP request."""
    return f'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>{body}</e:Body></e:Envelope>'


async def login(http: httpx.AsyncClient, username: str, password: str, path: str = SOAP) -> httpx.Response:
    """Log in, or try to."""
    return await http.post(path, content=envelope(LOGIN.format(username, password)), headers=HEADERS)


def values(response: httpx.Response) -> dict[str, str]:
    """The leaves of an answer, the way jsforce finds them: by regular expression."""
    return dict(re.findall(r"<((?:sf:)?\w+)>([^<]*)</\1>", response.text))


async def test_a_login_answers_with_a_session_that_the_rest_api_takes(org: Org, http: httpx.AsyncClient) -> None:
    """LoginResult: sessionId, serverUrl, userId, and GetUserInfoResult."""
    response = await login(http, org.app.username.upper(), org.app.password)
    told = values(response)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/xml;charset=UTF-8")
    assert told["serverUrl"] == f"{http.base_url}{SOAP}/{org.organization_id[:15]}".replace("//services", "/services")
    assert (told["userId"], told["organizationId"]) == (org.integration_user, org.organization_id)
    assert (told["sandbox"], told["userName"], told["sessionSecondsValid"]) == ("false", org.app.username, "7200")
    assert '<roleId xsi:nil="true"/>' in response.text
    headers = {"Authorization": f"Bearer {told['sessionId']}"}
    assert (await http.get("limits", headers=headers)).status_code == 200
    assert "sforce-limit-info" not in response.headers


async def test_the_security_token_may_follow_the_password_and_must_from_elsewhere(
    org: Org, http: httpx.AsyncClient
) -> None:
    """LOGIN_MUST_USE_SECURITY_TOKEN says that the password alone was right."""
    app = org.app
    assert (await login(http, app.username, app.password + app.security_token)).status_code == 200
    org.app = replace(app, trusted_network=False)
    assert (await login(http, app.username, app.password + app.security_token)).status_code == 200
    refused = await login(http, app.username, app.password)
    assert (refused.status_code, values(refused)["sf:exceptionCode"]) == (500, "LOGIN_MUST_USE_SECURITY_TOKEN")
    assert "Are you at a new location?" in values(refused)["sf:exceptionMessage"]


@pytest.mark.parametrize(("username", "password"), [("other", "simulated-password"), ("", ""), (None, "wrong")])
async def test_a_wrong_name_or_password_is_a_login_fault(
    org: Org, http: httpx.AsyncClient, username: str | None, password: str
) -> None:
    """HTTP 500; faultcode, faultstring and detail say the same."""
    refused = await login(http, org.app.username if username is None else username, password)
    told = values(refused)
    assert (refused.status_code, told["faultcode"]) == (500, "sf:INVALID_LOGIN")
    assert told["sf:exceptionCode"] == "INVALID_LOGIN"
    assert told["sf:exceptionMessage"] == "Invalid username, password, security token; or user locked out."
    assert told["faultstring"] == f"INVALID_LOGIN: {told['sf:exceptionMessage']}"


@pytest.mark.parametrize(
    ("path", "body", "code", "text"),
    [
        (
            SOAP,
            envelope("<q:query xmlns:q='urn:partner.soap.sforce.com'/>"),
            "soapenv:Client",
            "No operation available",
        ),
        (SOAP, envelope(""), "soapenv:Client", "exactly one call"),
        (SOAP, "<a>", "soapenv:Client", "not well-formed"),
        (SOAP, "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "soapenv:Client", "DOCTYPE"),
        (SOAP, "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>".encode("utf-16"), "soapenv:Client", "UTF-8"),
        ("/services/Soap/u/20.0", envelope(""), "sf:UNSUPPORTED_API_VERSION", "Invalid Api version"),
    ],
)
async def test_everything_else_is_a_fault_of_the_protocol(
    http: httpx.AsyncClient, path: str, body: str | bytes, code: str, text: str
) -> None:
    """Other calls, no calls, no XML, tricks with XML, retired versions."""
    refused = await http.post(path, content=body, headers=HEADERS)
    assert (refused.status_code, values(refused)["faultcode"]) == (500, code)
    assert text in values(refused)["faultstring"]


async def test_the_enterprise_api_logs_in_too_and_the_namespace_decides(org: Org, http: httpx.AsyncClient) -> None:
    """The partner API's login is no operation of the enterprise API."""
    refused = await login(http, org.app.username, org.app.password, "/services/Soap/c/66.0")
    assert values(refused)["faultcode"] == "soapenv:Client"
    body = envelope(LOGIN.format(org.app.username, org.app.password)).replace("urn:partner", "urn:enterprise")
    response = await http.post("/services/Soap/c/66.0", content=body, headers=HEADERS)
    assert "/services/Soap/c/66.0/" in values(response)["serverUrl"]


async def test_simple_salesforce_logs_in(org: Org, http: httpx.AsyncClient) -> None:
    """A client that others wrote reads the answer, and the fault."""
    base = str(http.base_url).rstrip("/")

    def attempt(password: str) -> tuple[str, str]:
        return SalesforceLogin(
            username=org.app.username, password=password, security_token="", scratch_url=base, sf_version="66.0"
        )

    token, instance = await asyncio.to_thread(attempt, org.app.password)
    assert org.sessions.find(token, org.clock.now()) is not None
    assert base == f"http://{instance}"
    with pytest.raises(SalesforceAuthenticationFailed, match="INVALID_LOGIN"):
        await asyncio.to_thread(attempt, "wrong")
