"""The weather: what faults look like on the wire, and when they strike."""

import random

import httpx
import pytest

from salesforce_poller.simulator.faults import FAULTS, Fault
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.weather import Weather

QUERY = "/services/data/v66.0/query?q=SELECT Id FROM Lead"


def weather() -> Weather:
    """Weather with a seed."""
    return Weather(random.Random(3))


def strikes(sky: Weather, number: int) -> list[bool]:
    """Which of so many requests are struck."""
    return [sky.strike(QUERY, "Lead") is not None for _ in range(number)]


def test_a_fault_strikes_once_unless_told_otherwise() -> None:
    """Then it is gone from the list."""
    sky = weather()
    armed = sky.arm("QUERY_TIMEOUT")
    assert strikes(sky, 3) == [True, False, False]
    assert sky.armed() == []
    assert armed.struck == 1


def test_a_fault_strikes_n_times_after_m_requests_or_always() -> None:
    """And `clear` ends it."""
    sky = weather()
    sky.arm("QUERY_TIMEOUT", times=2, after=1)
    assert strikes(sky, 4) == [False, True, True, False]
    sky.arm("QUERY_TIMEOUT", times=None)
    assert strikes(sky, 50) == [True] * 50
    sky.clear()
    assert strikes(sky, 2) == [False, False]


def test_a_fault_can_strike_by_chance() -> None:
    """The org's seed decides, so a failure can be repeated."""
    sky = weather()
    sky.arm("QUERY_TIMEOUT", times=None, chance=0.5)
    struck = sum(strikes(sky, 200))
    assert 60 < struck < 140, struck


@pytest.mark.parametrize(
    ("path", "about", "struck"),
    [
        (None, None, True),
        ("/query", None, True),
        (r"FROM\s+Lead\b", None, True),
        ("/updated", None, False),
        (None, "lead", True),
        (None, "Contact", False),
        ("/updated", "Lead", False),
    ],
)
def test_a_fault_can_be_meant_for_a_path_or_an_object(path: str | None, about: str | None, struck: bool) -> None:
    """A part of the decoded path and query, a pattern in it, or an object's name."""
    sky = weather()
    sky.arm("QUERY_TIMEOUT", path=path, object=about)
    assert strikes(sky, 1) == [struck]


def test_api_faults_leave_the_token_endpoint_alone_and_the_other_way_round() -> None:
    """Unless a path says otherwise."""
    sky = weather()
    sky.arm("QUERY_TIMEOUT")
    assert sky.strike("/services/oauth2/token", None) is None
    sky.clear()
    sky.arm("OAUTH_LOGIN_RATE")
    assert sky.strike(QUERY, "Lead") is None


def test_only_faults_with_an_error_body_reach_a_part_of_a_composite_request() -> None:
    """HTML, empty answers and broken connections are for whole requests."""
    sky = weather()
    for name in ("BAD_GATEWAY", "NOT_ACCEPTABLE", "CONNECTION_RESET", "QUERY_TIMEOUT"):
        sky.arm(name, times=None)
    found = sky.strike(QUERY, "Lead", subrequest=True)
    assert found is FAULTS["QUERY_TIMEOUT"]


def test_an_unknown_fault_is_a_mistake() -> None:
    """And the message names those that exist."""
    with pytest.raises(ValueError, match="UNABLE_TO_LOCK_ROW"):
        weather().arm("FROGS")


def test_the_table_has_every_status_a_client_must_understand() -> None:
    """REST API Developer Guide, Status Codes and Error Responses, and what the edge adds."""
    statuses = {fault.status for fault in FAULTS.values() if fault.effect in ("answer", "expire_session")}
    assert statuses == {
        *(200, 300, 304, 400, 401, 403, 404, 405, 406, 409, 410, 412, 413, 414, 415, 420, 428, 429, 431),
        *(500, 502, 503, 504),
    }


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.effect == "answer"])
async def test_every_fault_arrives_as_it_is_written(org: Org, api: httpx.AsyncClient, name: str) -> None:
    """Status, body and content type; the next request is answered."""
    fault = FAULTS[name]
    org.weather.arm(name, path="/limits")
    response = await api.get("limits")
    assert response.status_code == fault.status
    if fault.body.startswith(("[", "{")):
        assert response.text == fault.body.replace('": ', '":').replace(', "', ',"')
    else:
        assert response.text == fault.body
    assert (await api.get("limits")).status_code == 200


async def test_an_expired_session_is_really_dead(org: Org, api: httpx.AsyncClient) -> None:
    """401 with WWW-Authenticate, again and again until the client logs in."""
    org.weather.arm("INVALID_SESSION_ID")
    for _ in range(2):
        response = await api.get("limits")
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Token")
        assert response.json() == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


async def test_a_reset_connection_and_a_truncated_body(org: Org, api: httpx.AsyncClient) -> None:
    """On the wire they are what they say, and the server goes on."""
    org.weather.arm("CONNECTION_RESET")
    with pytest.raises(httpx.ReadError):
        await api.get("limits")
    org.weather.arm("TRUNCATED_BODY")
    with pytest.raises(httpx.RemoteProtocolError):
        await api.get("limits")
    assert (await api.get("limits")).status_code == 200


async def test_a_slow_answer_is_the_real_one_late(org: Org, api: httpx.AsyncClient, slept: list[float]) -> None:
    """By as many seconds as the fault says."""
    org.weather.arm(Fault("HALF_A_MINUTE", effect="slow", seconds=30))
    assert (await api.get("limits")).status_code == 200
    assert slept == [30]


async def test_faults_find_the_object_of_any_request(org: Org, api: httpx.AsyncClient) -> None:
    """In the path, in the outer FROM, behind a locator, in a composite's part."""
    org.insert_many("Lead", ({"LastName": "n", "Company": "c"} for _ in range(201)))
    org.insert("Account", Name="a")
    params = {"q": "SELECT Id FROM Lead"}
    page = (await api.get("query", params=params, headers={"Sforce-Query-Options": "batchSize=200"})).json()
    org.weather.arm("QUERY_TIMEOUT", object="Lead", times=None)
    part = {"method": "GET", "url": "/services/data/v66.0/sobjects/Lead/describe", "referenceId": "a"}
    other = {"method": "GET", "url": "/services/data/v66.0/query?q=SELECT+Id+FROM+Account", "referenceId": "b"}
    composite = (await api.post("composite", json={"compositeRequest": [part, other]})).json()["compositeResponse"]
    assert [each["httpStatusCode"] for each in composite] == [400, 200]
    assert composite[0]["body"][0]["errorCode"] == "QUERY_TIMEOUT"
    for path in (
        "query?q=SELECT Id FROM lead",
        page["nextRecordsUrl"],
        "sobjects/Lead",
        "composite/sobjects/Lead?ids=x",
    ):
        assert (await api.get(path)).status_code == 400, path
    children = {"q": "SELECT Id, (SELECT Id FROM Contacts) FROM Account"}
    assert (await api.get("query", params=children)).status_code == 200
