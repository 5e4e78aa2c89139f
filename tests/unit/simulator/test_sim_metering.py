"""What calls cost, how many may be long at once, and what is told about it."""

import asyncio
from typing import Any

import httpx
import pytest

from salesforce_poller.simulator import server, tally
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.concurrency import Concurrency
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.undocumented import Undocumented

ROOT = "/services/data/v66.0"
CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": "simulated-client",
    "client_secret": "simulated-secret",
}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/services/data", "versions"),
        ("/services/data/", "versions"),
        (ROOT, "resources"),
        (f"{ROOT}/", "resources"),
        (f"{ROOT}/limits", "limits"),
        (f"{ROOT}/limits/recordCount", "record_count"),
        (f"{ROOT}/query/", "query"),
        (f"{ROOT}/queryAll", "query_all"),
        (f"{ROOT}/query/0r8xx-2000", "query_more"),
        (f"{ROOT}/queryAll/0r8xx-2000", "query_more"),
        (f"{ROOT}/sobjects", "describe_global"),
        (f"{ROOT}/sobjects/Lead", "rows"),
        (f"{ROOT}/sobjects/Lead/describe/", "describe"),
        (f"{ROOT}/sobjects/Lead/updated/", "updated"),
        (f"{ROOT}/sobjects/Lead/deleted", "deleted"),
        (f"{ROOT}/sobjects/Lead/00Q", "rows"),
        (f"{ROOT}/composite", "composite"),
        (f"{ROOT}/composite/batch", "batch"),
        (f"{ROOT}/composite/graph", "graph"),
        (f"{ROOT}/composite/tree/Lead", "tree"),
        (f"{ROOT}/composite/sobjects", "collections"),
        (f"{ROOT}/composite/sobjects/Lead", "collections"),
        (f"{ROOT}/jobs/query", "jobs"),
        (f"{ROOT}/jobs/query/750xx/results", "jobs"),
        (f"{ROOT}/nonsense", "other"),
        ("/services/oauth2/token", "token"),
        ("/services/oauth2/userinfo", "userinfo"),
        ("/.well-known/openid-configuration", "discovery"),
        ("/id/00D/005", "identity"),
        ("/services/Soap/u/66.0", "soap"),
        ("/elsewhere", "other"),
    ],
)
def test_each_path_has_a_kind(path: str, kind: str) -> None:
    """What a benchmark counts by."""
    assert tally.kind(path) == kind


def part(reference: str, url: str) -> dict[str, Any]:
    """A subrequest of a composite request."""
    return {"method": "GET", "url": f"{ROOT}/{url}", "referenceId": reference}


async def test_a_composite_costs_one_call_and_a_batch_one_per_part(org: Org, api: httpx.AsyncClient) -> None:
    """Versions, tokens, userinfo and introspection cost nothing; /limits costs one. The control API tells all of it."""
    await api.request("DELETE", "/simulator/calls")
    parts = [part("a", "query?q=SELECT Id FROM Lead"), part("b", "sobjects/Lead/describe"), part("c", "limits")]
    await api.post("composite", json={"compositeRequest": parts})
    batch = [{"method": "GET", "url": f"v66.0/{path}"} for path in ("limits", "sobjects/Lead/describe")]
    await api.post("composite/batch", json={"batchRequests": batch})
    await api.post("composite/sobjects/Lead", json={"ids": [], "fields": ["Id"]})
    for path in ("limits", "/services/data", "/services/oauth2/userinfo", "sobjects"):
        await api.get(path)
    await api.post("/services/oauth2/introspect", data=CREDENTIALS)
    told = (await api.get("/simulator/calls")).json()
    assert told["metered"] == org.meter.used(org.clock.now()) == 6
    assert {kind: tuple(count.values()) for kind, count in told["kinds"].items()} == {
        "batch": (1, 0, 2),
        "collections": (1, 0, 1),
        "composite": (1, 0, 1),
        "describe": (0, 2, 0),
        "describe_global": (1, 0, 1),
        "introspect": (1, 0, 0),
        "limits": (1, 2, 1),
        "query": (0, 1, 0),
        "userinfo": (1, 0, 0),
        "versions": (1, 0, 0),
    }


async def test_a_batch_goes_as_far_as_the_allowance(org: Org, api: httpx.AsyncClient) -> None:
    """The parts beyond it are refused one by one."""
    org.set_usage(14_999, 15_000)
    batch = [{"method": "GET", "url": "v66.0/sobjects"}] * 2
    body = (await api.post("composite/batch", json={"batchRequests": batch})).json()
    assert [result["statusCode"] for result in body["results"]] == [200, 403]
    assert body["results"][1]["result"][0]["errorCode"] == "REQUEST_LIMIT_EXCEEDED"
    assert body["hasErrors"] is True


async def test_usage_can_be_switched_one_figure_at_a_time(org: Org, api: httpx.AsyncClient) -> None:
    """The allowance, what others have used, how wrong the gauge is, and what paying orgs get beyond."""
    told = (await api.post("/simulator/usage", json={"max": 3})).json()
    assert told == {"used": 0, "max": 3}
    assert (await api.post("/simulator/usage", json={"used": 3})).json() == {"used": 3, "max": 3}
    assert (await api.get("sobjects")).status_code == 403
    await api.post("/simulator/usage", json={"overage": 1, "lag": 0, "jitter": 0, "app_max": 2})
    assert (await api.get("sobjects")).headers["sforce-limit-info"] == (
        "api-usage=4/3; per-app-api-usage=4/2(appName=simulated-app)"
    )
    assert (await api.get("sobjects")).status_code == 403
    await api.post("/simulator/usage", json={"app_max": None})
    assert (await api.get("sobjects")).headers["sforce-limit-info"] == "api-usage=4/3"
    assert (await api.get("/simulator/usage")).json() == {"used": 4, "max": 3}
    assert org.meter.allowance == 3


@pytest.mark.parametrize("body", [{"user": 1}, {"lag": -1}, {"jitter": "much"}, {"overage": True}])
async def test_a_figure_that_is_none_is_refused(http: httpx.AsyncClient, body: dict[str, Any]) -> None:
    """INVALID_INPUT."""
    refused = await http.post("/simulator/usage", json=body)
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_INPUT")


async def test_limits_need_a_permission(api: httpx.AsyncClient) -> None:
    """View Setup and Configuration; record counts do not."""
    await api.post("/simulator/permissions", json={"view_setup": False})
    refused = await api.get("limits")
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (403, "INSUFFICIENT_ACCESS")
    assert "sforce-limit-info" in refused.headers
    assert (await api.get("limits/recordCount")).status_code == 200
    await api.post("/simulator/permissions", json={"view_setup": True})
    assert (await api.get("limits")).status_code == 200
    assert (await api.post("/simulator/permissions", json={"view_setup": 1})).status_code == 400


async def test_record_counts_may_be_approximate() -> None:
    """By a share that a test chooses; none is still none."""
    org = Org(clock=OrgClock(speed=0), undocumented=Undocumented(record_count_error=0.1))
    org.insert_many("Lead", ({"LastName": "n", "Company": "c"} for _ in range(1000)))
    transport = httpx.ASGITransport(server.build(org))
    async with httpx.AsyncClient(transport=transport, base_url="http://org") as client:
        token = (await client.post("/services/oauth2/token", data=CREDENTIALS)).json()["access_token"]
        headers, params = {"Authorization": f"Bearer {token}"}, {"sObjects": "Lead,Contact"}
        found = [
            (await client.get(f"{ROOT}/limits/recordCount", headers=headers, params=params)).json()["sObjects"]
            for _ in range(5)
        ]
    counts = [each[0]["count"] for each in found]
    assert [each[0]["name"] for each in found] == ["Lead"] * 5
    assert all(900 <= count <= 1100 for count in counts), counts
    assert len(set(counts)) > 1


# ---------------------------------------------------------------------------------------- concurrency


def test_a_developer_edition_may_have_5_long_requests_and_others_25() -> None:
    """Long is from 20 seconds."""
    assert Concurrency("Developer Edition").most == 5
    assert Concurrency("Full Sandbox").most == 25


async def test_while_five_requests_run_for_twenty_seconds_all_others_are_refused(org: Org) -> None:
    """403 ConcurrentPerOrgLongTxn, not metered, until one of them ends; shorter ones are not limited."""
    sleeping, wake = asyncio.Semaphore(0), asyncio.Event()

    async def sleep(_seconds: float) -> None:
        sleeping.release()
        await wake.wait()

    async with server.serve(server.build(org, sleep=sleep)) as url, httpx.AsyncClient(base_url=url) as client:
        token = (await client.post("/services/oauth2/token", data=CREDENTIALS)).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        org.weather.arm("SLOW", times=5)
        long = [asyncio.create_task(client.get(f"{ROOT}/sobjects")) for _ in range(5)]
        for _ in long:
            await sleeping.acquire()
        org.clock.advance(19)
        assert (await client.get(f"{ROOT}/sobjects")).status_code == 200
        org.clock.advance(1)
        refused = await client.get(f"{ROOT}/sobjects")
        assert refused.status_code == 403
        assert refused.json() == [
            {"message": "ConcurrentPerOrgLongTxn Limit exceeded", "errorCode": "REQUEST_LIMIT_EXCEEDED"}
        ]
        assert refused.headers["sforce-limit-info"].startswith("api-usage=")
        assert (await client.get("/services/oauth2/userinfo")).status_code == 200
        stranger = await client.get(f"{ROOT}/sobjects", headers={"Authorization": "Bearer x"})
        assert stranger.status_code == 401
        assert org.meter.used(org.clock.now()) == 1
        wake.set()
        assert [(await each).status_code for each in long] == [200] * 5
        assert (await client.get(f"{ROOT}/sobjects")).status_code == 200


async def test_somebody_else_may_have_long_requests_going(api: httpx.AsyncClient) -> None:
    """Over the control API."""
    await api.post("/simulator/concurrency", json={"others": 5})
    assert "ConcurrentPerOrgLongTxn" in (await api.get("sobjects")).text
    await api.post("/simulator/concurrency", json={"most": 6})
    assert (await api.get("sobjects")).status_code == 200


async def test_sessions_and_logins_can_be_cut_short(org: Org, api: httpx.AsyncClient) -> None:
    """By the org's clock."""
    await api.post("/simulator/sessions", json={"idle": 60, "logins_per_hour": 1})
    org.clock.advance(61)
    assert (await api.get("limits")).status_code == 401
    again = await api.post("/services/oauth2/token", data=CREDENTIALS)
    assert again.json()["error"] == "rate_limit_exceeded"
    assert (await api.get("/simulator/app")).json()["client_id"] == "simulated-client"
    assert (await api.post("/simulator/app", json={"colour": "grey"})).status_code == 400
    assert (await api.post("/simulator/app", json={"run_as": "perhaps"})).status_code == 400
