"""Logging in: grants, refusals, and what a token is good for."""

import base64
import hashlib
import hmac
from dataclasses import replace

import httpx
import pytest

from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.connected_app import ConnectedApp
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.server import build

TOKEN = "/services/oauth2/token"
CLIENT = {"client_id": "simulated-client", "client_secret": "simulated-secret"}
CREDENTIALS = {"grant_type": "client_credentials", **CLIENT}


async def test_client_credentials_work_in_the_body_and_in_basic(org: Org, http: httpx.AsyncClient) -> None:
    """The keys are the documented ones: no expires_in, issued_at a string of milliseconds."""
    in_body = await http.post(TOKEN, data=CREDENTIALS)
    in_header = await http.post(
        TOKEN, data={"grant_type": "client_credentials"}, auth=("simulated-client", "simulated-secret")
    )
    for response in (in_body, in_header):
        body = response.json()
        assert response.status_code == 200
        assert set(body) == {
            *("access_token", "signature", "scope", "instance_url", "id", "token_type", "issued_at"),
            "api_instance_url",
        }
        assert body["access_token"].startswith(org.organization_id[:15] + "!")
        assert body["token_type"] == "Bearer"
        assert body["instance_url"] == str(http.base_url)
        assert body["id"].endswith(f"/id/{org.organization_id}/{org.integration_user}")
        assert body["issued_at"] == "1795255230000"
        assert response.headers["cache-control"] == "no-store"
        assert "sforce-limit-info" not in response.headers


async def test_the_signature_proves_the_identity(http: httpx.AsyncClient) -> None:
    """HMAC-SHA256 over id and issued_at with the client's secret."""
    body = (await http.post(TOKEN, data=CREDENTIALS)).json()
    digest = hmac.new(b"simulated-secret", (body["id"] + body["issued_at"]).encode(), hashlib.sha256).digest()
    assert body["signature"] == base64.b64encode(digest).decode()


async def test_a_refresh_token_and_a_password_work_too(org: Org, http: httpx.AsyncClient) -> None:
    """Their answers lack what client credentials have."""
    refresh = {**CLIENT, "grant_type": "refresh_token", "refresh_token": org.app.refresh_token}
    password = {**CLIENT, "grant_type": "password", "username": org.app.username, "password": org.app.password}
    assert "api_instance_url" not in (await http.post(TOKEN, data=refresh)).json()
    assert "scope" not in (await http.post(TOKEN, data=password)).json()


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"client_id": "other"}, "invalid_client_id", "client identifier invalid"),
        ({"client_secret": "other"}, "invalid_client", "invalid client credentials"),
        ({"grant_type": "magic"}, "unsupported_grant_type", "grant type not supported"),
        ({"grant_type": ""}, "unsupported_grant_type", "grant type not supported"),
        ({"grant_type": "refresh_token", "refresh_token": "old"}, "invalid_grant", "expired access/refresh token"),
        ({"grant_type": "password", "username": "u", "password": "p"}, "invalid_grant", "authentication failure"),
    ],
)
async def test_refusals_have_their_own_shape_and_are_all_400(
    http: httpx.AsyncClient, changes: dict[str, str], error: str, description: str
) -> None:
    """401 is not used here."""
    response = await http.post(TOKEN, data={**CREDENTIALS, **changes})
    assert (response.status_code, response.headers["cache-control"]) == (400, "no-store")
    assert response.json() == {"error": error, "error_description": description}


@pytest.mark.parametrize("header", ["Basic !!!", "Basic " + base64.b64encode(b"other:x").decode()])
async def test_a_basic_header_that_is_wrong_is_a_wrong_client(http: httpx.AsyncClient, header: str) -> None:
    """Whatever the body says."""
    response = await http.post(TOKEN, data=CREDENTIALS, headers={"Authorization": header})
    assert response.json()["error"] == "invalid_client_id"


async def test_client_credentials_need_a_run_as_user_and_a_my_domain_host() -> None:
    """Both mistakes are common on the first day."""
    org = Org(clock=OrgClock(), app=ConnectedApp(run_as=False))
    transport = httpx.ASGITransport(build(org))
    async with httpx.AsyncClient(transport=transport, base_url="http://acme.my.salesforce.com") as client:
        nobody = (await client.post(TOKEN, data=CREDENTIALS)).json()
    async with httpx.AsyncClient(transport=transport, base_url="http://login.salesforce.com") as client:
        wrong_host = (await client.post(TOKEN, data=CREDENTIALS)).json()
    assert nobody == {"error": "invalid_grant", "error_description": "no client credentials user enabled"}
    assert wrong_host == {"error": "invalid_grant", "error_description": "request not supported on this domain"}


async def test_without_a_good_token_the_api_answers_401(org: Org, http: httpx.AsyncClient) -> None:
    """And calls that are refused so are not metered."""
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "OAuth nonsense"}):
        response = await http.get("/services/data/v66.0/limits", headers=headers)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Token")
        assert response.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]
    wrong_scheme = await http.get("/services/data/v66.0/limits", headers={"Authorization": "Basic abc"})
    assert (wrong_scheme.status_code, wrong_scheme.json()[0]["errorCode"]) == (401, "INVALID_AUTH_HEADER")
    assert org.meter.used(org.clock.now()) == 0


async def test_a_session_dies_after_two_idle_hours_or_on_demand(org: Org, api: httpx.AsyncClient) -> None:
    """There is no other sign than 401; using it keeps it alive."""
    for _ in range(3):
        org.clock.advance(7200)
        assert (await api.get("limits")).status_code == 200
    org.clock.advance(7201)
    assert (await api.get("limits")).status_code == 401


async def test_userinfo_introspection_and_revocation(org: Org, api: httpx.AsyncClient) -> None:
    """Who am I, until when, and no longer."""
    token = api.headers["Authorization"].removeprefix("Bearer ")
    who = (await api.get("/services/oauth2/userinfo")).json()
    assert (who["organization_id"], who["user_id"]) == (org.organization_id, org.integration_user)
    assert "{version}" in who["urls"]["query"]
    assert who["urls"]["partner"].endswith("/services/Soap/u/{version}/" + org.organization_id[:15])
    identity = (await api.get(httpx.URL(who["sub"]).path)).json()
    assert (identity["id"], identity["user_id"]) == (who["sub"], org.integration_user)
    known = (await api.post("/services/oauth2/introspect", data={**CLIENT, "token": token})).json()
    assert (known["active"], known["exp"] - known["iat"]) == (True, 7200)
    stranger = await api.post("/services/oauth2/introspect", data={"token": token})
    assert stranger.json()["error"] == "invalid_client_id"
    assert (await api.post("/services/oauth2/revoke", data={"token": token})).content == b""
    again = await api.post("/services/oauth2/revoke", data={"token": token})
    assert (again.status_code, again.json()["error"]) == (400, "invalid_token")
    gone = (await api.post("/services/oauth2/introspect", data={**CLIENT, "token": token})).json()
    assert gone == {"active": False}
    for path in ("/services/oauth2/userinfo", httpx.URL(who["sub"]).path):
        bad = await api.get(path)
        assert (bad.status_code, bad.text) == (403, "Bad_OAuth_Token")
    del api.headers["Authorization"]
    missing = await api.get("/services/oauth2/userinfo")
    assert (missing.status_code, missing.text) == (403, "Missing_OAuth_Token")


async def test_discovery_names_the_endpoints_and_the_token_endpoint_wants_a_post(http: httpx.AsyncClient) -> None:
    """Everything is on the org's own host."""
    found = (await http.get("/.well-known/openid-configuration")).json()
    assert found["token_endpoint"] == f"{http.base_url}{TOKEN}".replace("//services", "/services")
    assert (await http.get(TOKEN)).status_code == 405


async def test_a_storm_can_break_over_the_token_endpoint(org: Org, http: httpx.AsyncClient) -> None:
    """With the token endpoint's own error shape."""
    org.weather.arm("OAUTH_LOGIN_RATE")
    refused = await http.post(TOKEN, data=CREDENTIALS)
    assert refused.json() == {"error": "rate_limit_exceeded", "error_description": "login rate exceeded"}
    assert (await http.post(TOKEN, data=CREDENTIALS)).status_code == 200


async def test_a_password_from_elsewhere_needs_the_security_token(org: Org, http: httpx.AsyncClient) -> None:
    """Directly behind it; from a trusted network both are right."""
    app = org.app
    form = {**CLIENT, "grant_type": "password", "username": app.username}
    both = app.password + app.security_token
    assert (await http.post(TOKEN, data={**form, "password": both})).status_code == 200
    org.app = replace(app, trusted_network=False)
    assert (await http.post(TOKEN, data={**form, "password": both})).status_code == 200
    refused = (await http.post(TOKEN, data={**form, "password": app.password})).json()
    assert refused == {"error": "invalid_grant", "error_description": "authentication failure"}


async def test_a_user_may_log_in_3600_times_an_hour(org: Org, http: httpx.AsyncClient) -> None:
    """By the org's clock, whatever the flow; refused logins are not counted, and other users are not touched."""
    now = org.clock.now()
    for _ in range(3599):
        assert org.login_rate.admit(org.integration_user, now)
    assert (await http.post(TOKEN, data=CREDENTIALS)).status_code == 200
    refused = await http.post(TOKEN, data=CREDENTIALS)
    assert refused.status_code == 400
    assert refused.json() == {"error": "rate_limit_exceeded", "error_description": "login rate exceeded"}
    login = (
        "<n:login xmlns:n='urn:partner.soap.sforce.com'>"
        f"<n:username>{org.app.username}</n:username><n:password>{org.app.password}</n:password></n:login>"
    )
    namespace = "http://schemas.xmlsoap.org/soap/envelope/"
    envelope = f"<e:Envelope xmlns:e='{namespace}'><e:Body>{login}</e:Body></e:Envelope>"
    assert "login rate exceeded" in (await http.post("/services/Soap/u/66.0", content=envelope)).text
    assert org.login_rate.admit(org.people[0], now)
    org.clock.advance(3599)
    assert (await http.post(TOKEN, data=CREDENTIALS)).status_code == 400
    org.clock.advance(1)
    assert (await http.post(TOKEN, data=CREDENTIALS)).status_code == 200


async def test_401s_that_no_new_token_would_cure(org: Org, api: httpx.AsyncClient) -> None:
    """The session lives on; logging in again would go on for ever."""
    texts = {
        "SESSION_NOT_FOR_REST": "This session is not valid for use with the REST API",
        "AGENT_NOT_ATTACHED": "Connected app is not attached to Agent",
    }
    for fault, text in texts.items():
        org.weather.arm(fault)
        response = await api.get("limits")
        assert (response.status_code, response.json()[0]["message"]) == (401, text)
        assert (await api.get("limits")).status_code == 200


async def test_a_user_who_is_deactivated_is_out(org: Org, api: httpx.AsyncClient) -> None:
    """The session is dead at once, and there is no other."""
    org.update(org.integration_user, IsActive=False)
    assert (await api.get("limits")).status_code == 401
    assert (await api.post(TOKEN, data=CREDENTIALS)).json()["error"] == "inactive_user"
