"""The web-server flow and what follows from it: codes, PKCE, refresh tokens, rotation, five approvals, revocation."""

import base64
import hashlib
from dataclasses import replace
from typing import Any

import httpx
import pytest

from salesforce_poller.simulator.org import Org

AUTHORIZE, TOKEN = "/services/oauth2/authorize", "/services/oauth2/token"
CLIENT = {"client_id": "simulated-client", "client_secret": "simulated-secret"}
BACK = "http://localhost:1717/OauthRedirect"
VERIFIER = "a-long-secret-that-only-the-app-knows-0123456789"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
ASKED = {"response_type": "code", "client_id": "simulated-client", "redirect_uri": BACK, "state": "s 1"}


async def authorize(http: httpx.AsyncClient, **changes: str) -> dict[str, str]:
    """What comes back to the app in the redirect's query."""
    response = await http.get(AUTHORIZE, params={**ASKED, **changes})
    assert response.status_code == 302, response.text
    location = httpx.URL(response.headers["location"])
    assert str(location.copy_with(query=None)) == BACK
    return dict(location.params)


async def exchange(http: httpx.AsyncClient, code: str, **changes: str) -> httpx.Response:
    """Fetch the tokens for a code."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, **CLIENT, **changes}
    return await http.post(TOKEN, data=form)


async def refresh(http: httpx.AsyncClient, token: str, client: dict[str, str] = CLIENT) -> httpx.Response:
    """Use a refresh token."""
    return await http.post(TOKEN, data={"grant_type": "refresh_token", "refresh_token": token, **client})


async def approve(http: httpx.AsyncClient) -> str:
    """Go through the whole flow; returns the refresh token."""
    return str((await exchange(http, (await authorize(http))["code"])).json()["refresh_token"])


EXPIRED = {"error": "invalid_grant", "error_description": "expired access/refresh token"}


async def test_a_code_comes_back_with_the_state_and_buys_a_session(org: Org, http: httpx.AsyncClient) -> None:
    """With a refresh token; the session is the integration user's."""
    back = await authorize(http)
    assert back["state"] == "s 1"
    body = (await exchange(http, back["code"])).json()
    assert set(body) == {
        *("access_token", "refresh_token", "signature", "scope", "instance_url", "id", "token_type", "issued_at")
    }
    assert body["id"].endswith(org.integration_user)
    assert "refresh_token" not in (await refresh(http, body["refresh_token"])).json()


async def test_a_scope_without_refresh_token_gets_none(http: httpx.AsyncClient) -> None:
    """What was approved is what is given."""
    body = (await exchange(http, (await authorize(http, scope="api id"))["code"])).json()
    assert ("refresh_token" in body, body["scope"]) == (False, "api id")


async def test_a_code_is_good_for_one_use_within_fifteen_minutes(org: Org, http: httpx.AsyncClient) -> None:
    """By the org's clock; what was never a code is called invalid, not expired."""
    first, second, third = [(await authorize(http))["code"] for _ in range(3)]
    assert (await exchange(http, first)).status_code == 200
    org.clock.advance(15 * 60)
    assert (await exchange(http, second)).status_code == 200
    org.clock.advance(1)
    for code, description in ((first, "expired"), (third, "expired"), ("nonsense", "invalid")):
        refused = (await exchange(http, code)).json()
        assert refused == {"error": "invalid_grant", "error_description": f"{description} authorization code"}


async def test_the_code_verifier_has_to_fit_the_challenge(http: httpx.AsyncClient) -> None:
    """PKCE: a challenge that was sent is checked, and one attempt is all there is."""
    for verifier, status in ((VERIFIER, 200), ("other", 400), ("", 400)):
        back = await authorize(http, code_challenge=CHALLENGE, code_challenge_method="S256")
        response = await exchange(http, back["code"], **({"code_verifier": verifier} if verifier else {}))
        assert response.status_code == status, verifier
    assert response.json() == {"error": "invalid_grant", "error_description": "invalid code verifier"}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "other"}, "invalid_client_id"),
        ({"client_secret": "other"}, "invalid_client"),
        ({"redirect_uri": BACK + "/"}, "redirect_uri_mismatch"),
    ],
)
async def test_the_exchange_has_to_come_from_the_same_app(
    http: httpx.AsyncClient, changes: dict[str, str], error: str
) -> None:
    """The client, its secret and the redirect URI are checked again."""
    response = await exchange(http, (await authorize(http))["code"], **changes)
    assert (response.status_code, response.json()["error"]) == (400, error)


async def test_a_public_client_needs_no_secret_but_may_not_send_a_wrong_one(org: Org, http: httpx.AsyncClient) -> None:
    """In this flow and with a refresh token; nowhere else."""
    org.app = replace(org.app, secret_required=False)
    public = {"client_id": "simulated-client"}
    form = {"grant_type": "authorization_code", "code": (await authorize(http))["code"], "redirect_uri": BACK}
    tokens = (await http.post(TOKEN, data={**form, **public})).json()
    assert (await refresh(http, tokens["refresh_token"], public)).status_code == 200
    assert (await refresh(http, tokens["refresh_token"], {**public, "client_secret": "x"})).status_code == 400
    nobody = await http.post(TOKEN, data={"grant_type": "client_credentials", **public})
    assert nobody.json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": "http://localhost:1717/elsewhere"}, "redirect_uri_mismatch"),
        ({"redirect_uri": ""}, "redirect_uri_mismatch"),
        ({"client_id": "other"}, "invalid_client_id"),
    ],
)
async def test_an_app_that_may_be_somebody_else_is_not_redirected_to(
    http: httpx.AsyncClient, changes: dict[str, str], error: str
) -> None:
    """The person sees a page; an address that is not registered sees nothing."""
    response = await http.get(AUTHORIZE, params={**ASKED, **changes})
    assert (response.status_code, "location" in response.headers) == (400, False)
    assert response.text.startswith(f"error={error}&error_description=")


@pytest.mark.parametrize(
    ("changes", "settings", "error"),
    [
        ({"response_type": "token"}, {}, "unsupported_response_type"),
        ({"scope": "api everything"}, {}, "invalid_scope"),
        ({"code_challenge": "x", "code_challenge_method": "plain"}, {}, "invalid_request"),
        ({}, {"require_pkce": True}, "invalid_request"),
        ({}, {"denial": ("access_denied", "end-user denied authorization")}, "access_denied"),
        ({}, {"denial": ("OAUTH_APP_BLOCKED", "this app is blocked by admin")}, "OAUTH_APP_BLOCKED"),
    ],
)
async def test_other_refusals_come_back_in_the_redirect(
    org: Org, http: httpx.AsyncClient, changes: dict[str, str], settings: dict[str, Any], error: str
) -> None:
    """With the state, and no code."""
    org.app = replace(org.app, **settings)
    back = await authorize(http, **changes)
    assert (back["error"], back["state"], "code" in back) == (error, "s 1", False)
    assert back["error_description"]


async def test_with_rotation_each_refresh_token_works_once(org: Org, http: httpx.AsyncClient) -> None:
    """The answer has the next one; without rotation it has none, and the old one goes on."""
    first = await approve(http)
    org.app = replace(org.app, rotate_refresh_tokens=True)
    second = (await refresh(http, first)).json()["refresh_token"]
    assert second != first
    assert (await refresh(http, first)).json() == EXPIRED
    third = (await refresh(http, second)).json()["refresh_token"]
    org.app = replace(org.app, rotate_refresh_tokens=False)
    for _ in range(2):
        assert "refresh_token" not in (await refresh(http, third)).json()


async def test_a_sixth_approval_silently_ends_the_oldest(org: Org, http: httpx.AsyncClient) -> None:
    """Five per user and app: a second installation can take the first one's token away. Rotation is no approval."""
    tokens = [org.app.refresh_token, *[await approve(http) for _ in range(4)]]
    org.app = replace(org.app, rotate_refresh_tokens=True)
    tokens[0] = (await refresh(http, tokens[0])).json()["refresh_token"]
    tokens[0] = (await refresh(http, tokens[0])).json()["refresh_token"]
    org.app = replace(org.app, rotate_refresh_tokens=False)
    assert [(await refresh(http, token)).status_code for token in tokens] == [200] * 5
    await approve(http)
    answers = [(await refresh(http, token)).status_code for token in tokens]
    assert sorted(answers) == [200] * 4 + [400]


async def test_revoking_a_refresh_token_ends_its_sessions_and_an_access_token_only_itself(
    org: Org, http: httpx.AsyncClient
) -> None:
    """Other approvals live on."""
    other = await approve(http)
    tokens = (await exchange(http, (await authorize(http))["code"])).json()
    again = (await refresh(http, tokens["refresh_token"])).json()["access_token"]
    now = org.clock.now()
    assert (await http.post("/services/oauth2/revoke", data={"token": again})).status_code == 200
    assert org.sessions.find(again, now) is None
    assert org.sessions.find(tokens["access_token"], now) is not None
    assert (await http.post("/services/oauth2/revoke", data={"token": tokens["refresh_token"]})).status_code == 200
    assert org.sessions.find(tokens["access_token"], now) is None
    assert (await refresh(http, tokens["refresh_token"])).json() == EXPIRED
    assert (await refresh(http, other)).status_code == 200


async def test_an_administrator_can_end_every_approval(http: httpx.AsyncClient) -> None:
    """Over the control API."""
    token = await approve(http)
    await http.post("/simulator/approvals/revoke")
    assert (await refresh(http, token)).json() == EXPIRED
    await http.post("/simulator/app", json={"refresh_token": "another"})
    assert (await refresh(http, "another")).status_code == 200
