"""An org that moves, and one that is another: instance URLs, old addresses, refreshed sandboxes."""

import httpx
import pytest

from salesforce_poller.simulator.org import Org

TOKEN = "/services/oauth2/token"
CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": "simulated-client",
    "client_secret": "simulated-secret",
}


def elsewhere(client: httpx.AsyncClient) -> str:
    """The same server by another name."""
    return f"http://localhost:{client.base_url.port}"


async def move(http: httpx.AsyncClient, **settings: object) -> str:
    """Move the org; returns its new address."""
    new = elsewhere(http)
    assert (await http.post("/simulator/instance", json={"url": new, **settings})).status_code == 200
    return new


async def test_after_a_move_logins_name_the_new_address_and_the_old_one_redirects(
    org: Org, api: httpx.AsyncClient
) -> None:
    """301 with the path and the query as they were sent; the session goes along."""
    new = await move(api)
    told = (await api.post(TOKEN, data=CREDENTIALS)).json()
    assert told["instance_url"] == new
    path = "/services/data/v66.0/query?q=SELECT+Id+FROM+Lead+WHERE+Name+%3D+%27a%26b%27"
    moved = await api.get(path)
    assert (moved.status_code, moved.headers["location"]) == (301, new + path)
    assert "sforce-limit-info" not in moved.headers
    assert org.meter.used(org.clock.now()) == 0
    headers = {"Authorization": api.headers["Authorization"]}
    async with httpx.AsyncClient() as client:
        assert (await client.get(moved.headers["location"], headers=headers)).status_code == 200
        assert (
            (await client.get(f"{new}/services/oauth2/userinfo", headers=headers))
            .json()["urls"]["rest"]
            .startswith(new)
        )


async def test_the_old_address_may_have_no_route(api: httpx.AsyncClient) -> None:
    """420 in HTML; back again, the org is everywhere."""
    await move(api, old_host="no_route")
    refused = await api.get("limits")
    assert (refused.status_code, refused.headers["content-type"]) == (420, "text/html;charset=UTF-8")
    assert "sforce-limit-info" not in refused.headers
    await api.post("/simulator/instance", json={"url": None})
    assert (await api.get("limits")).status_code == 200


async def test_the_login_can_move_along(api: httpx.AsyncClient) -> None:
    """As with a My Domain that is renamed."""
    new = await move(api, login_stays=False)
    moved = await api.post(TOKEN, data=CREDENTIALS)
    assert (moved.status_code, moved.headers["location"]) == (301, new + TOKEN)


@pytest.mark.parametrize(
    "body",
    [
        {"url": "localhost"},
        {"url": "ftp://x"},
        {"url": None, "old_host": "x"},
        {"url": None, "login_stays": 1},
        {"to": "x"},
    ],
)
async def test_a_move_to_nowhere_is_a_mistake(http: httpx.AsyncClient, body: dict[str, object]) -> None:
    """It is said what is wrong, and nothing has changed."""
    refused = await http.post("/simulator/instance", json=body)
    assert (refused.status_code, refused.json()[0]["errorCode"]) in {(400, "INVALID_INPUT"), (400, "MISSING_ARGUMENT")}
    assert (await http.post(TOKEN, data=CREDENTIALS)).json()["instance_url"] == str(http.base_url)


async def test_a_refreshed_sandbox_is_another_organisation(org: Org, api: httpx.AsyncClient) -> None:
    """Sessions and refresh tokens are dead, the id is new everywhere, the records are still there."""
    lead = org.insert("Lead", LastName="Ito", Company="c")
    refresh = {**CREDENTIALS, "grant_type": "refresh_token", "refresh_token": org.app.refresh_token}
    assert (await api.post("/simulator/organization", json={"id": "00D000000000ZZZ"})).json() == {
        "id": "00D000000000ZZZEA2"
    }
    assert (await api.get("limits")).status_code == 401
    assert (await api.post(TOKEN, data=refresh)).status_code == 400
    told = (await api.post(TOKEN, data=CREDENTIALS)).json()
    assert told["access_token"].startswith("00D000000000ZZZ!")
    assert "/id/00D000000000ZZZEA2/" in told["id"]
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    who = (await api.get("/services/oauth2/userinfo", headers=headers)).json()
    assert who["organization_id"] == "00D000000000ZZZEA2"
    rows = (await api.get("query?q=SELECT Id FROM Organization", headers=headers)).json()["records"]
    assert [row["Id"] for row in rows] == ["00D000000000ZZZEA2"]
    assert (await api.get(f"sobjects/Lead/{lead}", headers=headers)).status_code == 200
    for wrong in ("00Q000000000ZZZ", "text"):
        assert (await api.post("/simulator/organization", json={"id": wrong})).status_code == 400
