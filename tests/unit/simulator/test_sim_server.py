"""The org over HTTP: headers, versions, limits, describe, queries and their pages, and the control API."""

import asyncio
import gzip
import re
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from salesforce_poller.simulator import edge, server
from salesforce_poller.simulator.org import Org


def leads(org: Org, number: int) -> list[str]:
    """So many leads in one second."""
    return org.insert_many("Lead", ({"LastName": f"n{place}", "Company": "c"} for place in range(number)))


async def query(api: httpx.AsyncClient, soql: str, **more: Any) -> dict[str, Any]:
    """The body of a query's answer."""
    response = await api.get("query", params={"q": soql}, **more)
    body: dict[str, Any] = response.json()
    return body


# ---------------------------------------------------------------------------------------- protocol


async def test_every_answer_tells_the_orgs_time_and_comes_from_the_edge(org: Org, api: httpx.AsyncClient) -> None:
    """Clients take the time from Date, never from their own clock."""
    org.clock.advance(3600)
    for path in ("limits", "nonsense", "/services/data", "/simulator/clock", "/nowhere"):
        headers = (await api.get(path)).headers
        assert headers["date"] == "Sat, 21 Nov 2026 11:00:30 GMT"
        assert headers["server"] == "sfdcedge"


async def test_api_answers_have_salesforces_headers_and_no_content_length(api: httpx.AsyncClient) -> None:
    """Chunked, compressed when asked, with a request id that is new each time."""
    first, second = [await api.get("limits") for _ in range(2)]
    assert first.headers["content-type"] == "application/json;charset=UTF-8"
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in first.headers
    assert re.fullmatch("[0-9a-f]{32}", first.headers["x-sfdc-request-id"])
    assert first.headers["x-sfdc-request-id"] != second.headers["x-sfdc-request-id"]
    plain = await api.get("limits", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == second.json()


async def test_request_bodies_may_be_compressed(api: httpx.AsyncClient) -> None:
    """Content-Encoding: gzip works in both directions."""
    body = gzip.compress(b'{"LastName": "Ito", "Company": "c"}')
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert (await api.post("sobjects/Lead", content=body, headers=headers)).status_code == 201
    broken = await api.post("sobjects/Lead", content=body[:20], headers=headers)
    assert (broken.status_code, broken.json()[0]["errorCode"]) == (400, "INVALID_CONTENT_ENCODING")


async def test_versions_need_no_login_and_tell_no_limit(http: httpx.AsyncClient) -> None:
    """From 31.0, the oldest that is not retired, to the newest."""
    response = await http.get("/services/data/")
    assert "sforce-limit-info" not in response.headers
    assert response.json()[0] == {"label": "Summer '14", "url": "/services/data/v31.0", "version": "31.0"}
    labels = {each["version"]: each["label"] for each in response.json()}
    assert (labels["42.0"], labels["66.0"], labels["68.0"]) == ("Spring ’18", "Spring '26", "Winter '27")  # noqa: RUF001  # as Salesforce has it


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/services/data/v30.0/limits", 410, "UNSUPPORTED_API_VERSION"),
        ("/services/data/v99.0/limits", 404, "NOT_FOUND"),
        ("/services/data/v66.5/limits", 404, "NOT_FOUND"),
        ("/services/data/v66.0/nonsense", 404, "NOT_FOUND"),
        ("/services/data/nonsense", 404, "NOT_FOUND"),
        ("/elsewhere", 404, "NOT_FOUND"),
    ],
)
async def test_paths_that_lead_nowhere(api: httpx.AsyncClient, path: str, status: int, code: str) -> None:
    """Retired versions are gone, others were never there."""
    response = await api.get(path)
    assert (response.status_code, response.json()[0]["errorCode"]) == (status, code)


async def test_a_method_a_resource_does_not_know_and_a_body_it_cannot_read(api: httpx.AsyncClient) -> None:
    """405 names the others; 415 wants JSON."""
    wrong_method = await api.put("sobjects/Lead", json={})
    assert wrong_method.status_code == 405
    assert "Allowed are GET,HEAD,POST" in wrong_method.json()[0]["message"]
    xml = await api.post("sobjects/Lead", content="<a/>", headers={"Content-Type": "application/xml"})
    assert (xml.status_code, xml.json()[0]["errorCode"]) == (415, "UNSUPPORTED_MEDIA_TYPE")
    broken = await api.post("sobjects/Lead", content="{", headers={"Content-Type": "application/json"})
    assert (broken.status_code, broken.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")
    listed = await api.post("sobjects/Lead", json=[])
    assert listed.json()[0]["errorCode"] == "JSON_PARSER_ERROR"
    head = await api.head("limits")
    assert (head.status_code, head.content) == (200, b"")


async def test_patch_can_go_through_a_post_tunnel(org: Org, api: httpx.AsyncClient) -> None:
    """For clients whose proxies know no PATCH."""
    record_id = leads(org, 1)[0]
    tunnel = await api.post(f"sobjects/Lead/{record_id}?_HttpMethod=PATCH", json={"LastName": "x"})
    assert tunnel.status_code == 204


async def test_long_uris_and_long_heads_are_refused_in_html(api: httpx.AsyncClient) -> None:
    """16,384 bytes: the URI alone, or with the headers."""
    long_uri = await api.get("query", params={"q": "x" * 16_400})
    long_head = await api.get("query", params={"q": "x" * 16_000}, headers={"X-More": "y" * 900})
    assert (long_uri.status_code, long_head.status_code) == (414, 431)
    assert long_uri.headers["content-type"].startswith("text/html")


async def test_a_mistake_of_the_simulators_looks_like_one_of_salesforces(
    org: Org, api: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """500 with an ErrorId for the client, the traceback in the log for us."""
    leads(org, 1)
    org.storage.rows["Lead"] = None  # type: ignore[assignment]  # on purpose
    response = await api.get("query", params={"q": "SELECT Id FROM Lead"})
    assert (response.status_code, response.json()[0]["errorCode"]) == (500, "UNKNOWN_EXCEPTION")
    assert "ErrorId" in response.json()[0]["message"]
    assert "could not handle GET /services/data/v66.0/query" in caplog.text


async def test_closing_the_server_gives_up_slow_requests_without_a_word(
    org: Org, caplog: pytest.LogCaptureFixture
) -> None:
    """The client sees its connection break; nobody waits for anything."""
    asleep = asyncio.Event()

    async def sleep(_seconds: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    org.weather.arm("SLOW")
    async with httpx.AsyncClient() as client:
        async with server.serve(server.build(org, sleep=sleep)) as url:
            request = asyncio.create_task(client.get(f"{url}/services/data"))
            await asleep.wait()
        with pytest.raises(httpx.TransportError):
            await request
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


async def test_a_port_that_is_taken_is_an_error(org: Org) -> None:
    """OSError, at once."""
    async with server.serve(server.build(org)) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            async with server.serve(server.build(org), port=port):
                pass


# ---------------------------------------------------------------------------------------- metering


async def test_the_limit_header_lags_behind_and_goes_backwards(org: Org, api: httpx.AsyncClient) -> None:
    """A gauge, not a counter."""
    shown = []
    for _ in range(40):
        header = (await api.get("sobjects")).headers["sforce-limit-info"]
        found = re.fullmatch(r"api-usage=(\d+)/15000", header)
        assert found, header
        shown.append(int(found[1]))
    assert max(shown) < 40
    assert shown != sorted(shown)
    org.clock.advance(60)
    later = (await api.get("sobjects")).headers["sforce-limit-info"]
    assert re.fullmatch("api-usage=4[01]/15000", later), later


async def test_the_limit_header_may_have_a_tail_for_the_connected_app(org: Org, api: httpx.AsyncClient) -> None:
    """A regular expression that ends at the maximum stops matching; without lag the count is exact."""
    org.meter.app_allowance, org.meter.lag, org.meter.jitter = 250, timedelta(0), 0
    org.clock.advance(1)
    header = (await api.get("sobjects")).headers["sforce-limit-info"]
    assert header == "api-usage=1/15000; per-app-api-usage=1/250(appName=simulated-app)"


async def test_the_allowance_rolls_over_24_hours_of_org_time(org: Org, api: httpx.AsyncClient) -> None:
    """Used up means 403; a day after a call was made it may be made again. Tokens and versions are free."""
    org.sessions.idle = timedelta(days=2)
    org.set_usage(14_998, 15_000)
    org.clock.advance(3600)
    answers = [(await api.get("sobjects")).status_code for _ in range(3)]
    assert answers == [200, 200, 403]
    refused = await api.get("sobjects")
    assert refused.json() == [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]
    assert (await api.get("/services/oauth2/userinfo")).status_code == 200
    assert (await api.get("/services/data")).status_code == 200
    org.clock.advance(23 * 3600)
    assert (await api.get("sobjects")).status_code == 200


async def test_limits_are_up_to_five_minutes_old(org: Org, api: httpx.AsyncClient) -> None:
    """Labels as in a Developer Edition org."""
    await api.get("sobjects")
    fresh = (await api.get("limits")).json()
    org.clock.advance(300)
    later = (await api.get("limits")).json()
    assert fresh["DailyApiRequests"] == {"Max": 15_000, "Remaining": 15_000}
    assert later["DailyApiRequests"] == {"Max": 15_000, "Remaining": 14_998}
    assert len(later) == 71
    assert set(later["PermissionSets"]) == {"Max", "Remaining", "CreateCustom"}
    assert list(later) == sorted(later)


# ---------------------------------------------------------------------------------------- what there is


async def test_resources_record_counts_and_basic_information(org: Org, api: httpx.AsyncClient) -> None:
    """Objects without rows are left out of the counts."""
    leads(org, 3)
    index = (await api.get("/services/data/v66.0")).json()
    assert index["query"] == "/services/data/v66.0/query"
    counts = (await api.get("limits/recordCount", params={"sObjects": "Lead,Contact,Nothing"})).json()
    assert counts == {"sObjects": [{"count": 3, "name": "Lead"}]}
    everything = (await api.get("limits/recordCount")).json()
    assert {"count": 1, "name": "Organization"} in everything["sObjects"]
    basic = (await api.get("sobjects/lead")).json()
    assert (basic["objectDescribe"]["name"], basic["recentItems"]) == ("Lead", [])


async def test_describe_shows_only_what_the_user_may_see(org: Org, api: httpx.AsyncClient) -> None:
    """A hidden field is not there; a disabled object is 404."""
    org.hide_field("Lead", "Email")
    org.disable_object("Contact")
    described = (await api.get("sobjects/Lead/describe")).json()
    names = {field["name"] for field in described["fields"]}
    assert "LastName" in names
    assert "Email" not in names
    assert (await api.get("sobjects/Contact/describe")).status_code == 404
    listed = {each["name"] for each in (await api.get("sobjects")).json()["sobjects"]}
    assert "Lead" in listed
    assert "Contact" not in listed


async def test_describe_is_conditional(org: Org, api: httpx.AsyncClient) -> None:
    """304 until the schema changes: a cheap check for drift."""
    first = await api.get("sobjects/Lead/describe")
    assert first.headers["etag"].endswith('--gzip"')
    since = {"If-Modified-Since": first.headers["last-modified"]}
    again = await api.get("sobjects/Lead/describe", headers=since)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    org.clock.advance(60)
    org.hide_field("Lead", "Email")
    changed = await api.get("sobjects/Lead/describe", headers=since)
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]
    wrong = await api.get("sobjects/Lead/describe", headers={"If-Modified-Since": "lately"})
    assert wrong.status_code == 400


# ---------------------------------------------------------------------------------------- queries


async def test_a_short_result_is_one_page(org: Org, api: httpx.AsyncClient) -> None:
    """No nextRecordsUrl; the trailing slash is as good as none."""
    record_id = leads(org, 1)[0]
    body = (await api.get("query/", params={"q": "SELECT Id, Name FROM Lead", "limit": "1"})).json()
    url = f"/services/data/v66.0/sobjects/Lead/{record_id}"
    assert body == {
        "totalSize": 1,
        "done": True,
        "records": [{"attributes": {"type": "Lead", "url": url}, "Id": record_id, "Name": "n0"}],
    }
    assert list(body) == ["totalSize", "done", "records"]
    assert await query(api, "SELECT COUNT() FROM Lead") == {"totalSize": 1, "done": True, "records": []}


async def test_a_long_result_is_read_page_by_page(org: Org, api: httpx.AsyncClient) -> None:
    """The locator's id stays, its offset grows, and every row comes once."""
    made = leads(org, 450)
    headers = {"Sforce-Query-Options": "batchSize=200"}
    body = await query(api, "SELECT Id FROM Lead ORDER BY SystemModstamp, Id", headers=headers)
    pages = [body]
    while not body["done"]:
        assert re.fullmatch(r"/services/data/v66.0/query/0r8\w{15}-\d+", body["nextRecordsUrl"])
        body = (await api.get(body["nextRecordsUrl"])).json()
        pages.append(body)
    assert [len(page["records"]) for page in pages] == [200, 200, 50]
    assert [page["totalSize"] for page in pages] == [450] * 3
    assert "nextRecordsUrl" not in pages[-1]
    assert len({page["nextRecordsUrl"].partition("-")[0] for page in pages[:-1]}) == 1
    assert [row["Id"] for page in pages for row in page["records"]] == sorted(made)


async def test_a_page_has_two_hundred_to_two_thousand_rows(org: Org, api: httpx.AsyncClient) -> None:
    """The batchSize is advice within bounds; what is no number is refused."""
    leads(org, 2_001)
    sizes = {}
    for size in ("1", "300", "9999"):
        headers = {"Sforce-Query-Options": f"batchSize={size}"}
        sizes[size] = len((await query(api, "SELECT Id FROM Lead", headers=headers))["records"])
    assert sizes == {"1": 200, "300": 300, "9999": 2000}
    long_text = await query(api, "SELECT Id, Description FROM Lead")
    assert len(long_text["records"]) < 2000
    refused = await api.get("query", params={"q": "SELECT Id FROM Lead"}, headers={"Sforce-Query-Options": "big"})
    assert refused.json()[0]["errorCode"] == "INVALID_BATCH_SIZE"


async def test_later_pages_show_todays_values_of_yesterdays_rows(org: Org, api: httpx.AsyncClient) -> None:
    """Changed rows are new, deleted ones missing (unless asked for with queryAll), purged ones gone."""
    made = sorted(leads(org, 300))
    headers = {"Sforce-Query-Options": "batchSize=200"}
    params = {"q": "SELECT Id, LastName, IsDeleted FROM Lead ORDER BY Id"}
    live = (await api.get("query", params=params, headers=headers)).json()
    every = (await api.get("queryAll", params=params, headers=headers)).json()
    assert "/query/" in every["nextRecordsUrl"]
    changed, deleted, gone = made[200], made[201], made[202]
    org.update(changed, LastName="new")
    org.delete(deleted)
    org.hard_delete(gone)
    leads(org, 5)
    live_rows = (await api.get(live["nextRecordsUrl"])).json()["records"]
    every_rows = (await api.get(every["nextRecordsUrl"])).json()["records"]
    assert [row["Id"] for row in live_rows] == [changed, *made[203:]]
    assert [row["Id"] for row in every_rows] == [changed, deleted, *made[203:]]
    assert live_rows[0]["LastName"] == "new"
    assert every_rows[1]["IsDeleted"] is True


async def test_locators_are_ten_per_user_and_live_two_days(org: Org, api: httpx.AsyncClient) -> None:
    """The eleventh closes the one that was used least lately."""
    leads(org, 201)
    org.sessions.idle = timedelta(days=3)
    headers = {"Sforce-Query-Options": "batchSize=200"}
    urls = [(await query(api, "SELECT Id FROM Lead", headers=headers))["nextRecordsUrl"] for _ in range(10)]
    assert (await api.get(urls[0])).is_success
    await query(api, "SELECT Id FROM Lead", headers=headers)
    assert (await api.get(urls[0])).is_success
    lost = await api.get(urls[1])
    assert (lost.status_code, lost.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")
    org.clock.advance(2 * 86400)
    assert (await api.get(urls[0])).is_success
    org.clock.advance(1)
    assert (await api.get(urls[0])).status_code == 400


@pytest.mark.parametrize("change", [("-200", "-9999"), ("-200", ""), ("-200", "-x"), ("0r8", "0r9")])
async def test_a_locator_that_was_tampered_with_is_refused(
    org: Org, api: httpx.AsyncClient, change: tuple[str, str]
) -> None:
    """INVALID_QUERY_LOCATOR."""
    leads(org, 201)
    headers = {"Sforce-Query-Options": "batchSize=200"}
    url = (await query(api, "SELECT Id FROM Lead", headers=headers))["nextRecordsUrl"]
    assert (await api.get(url.replace(*change))).json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"


async def test_query_all_shows_deleted_rows_and_query_does_not(org: Org, api: httpx.AsyncClient) -> None:
    """Even when it asks for IsDeleted = true."""
    org.delete(leads(org, 1)[0])
    params = {"q": "SELECT Id FROM Lead WHERE IsDeleted = true"}
    assert (await api.get("query", params=params)).json()["totalSize"] == 0
    assert (await api.get("queryAll", params=params)).json()["totalSize"] == 1


async def test_ties_come_in_another_order_each_time_unless_the_id_decides(org: Org, api: httpx.AsyncClient) -> None:
    """Ordering by SystemModstamp alone is the classic way to lose rows between pages."""
    leads(org, 60)
    loose = [await query(api, "SELECT Id FROM Lead ORDER BY SystemModstamp") for _ in range(2)]
    strict = [await query(api, "SELECT Id FROM Lead ORDER BY SystemModstamp, Id") for _ in range(2)]
    assert loose[0]["records"] != loose[1]["records"]
    assert strict[0]["records"] == strict[1]["records"]


async def test_a_query_that_is_wrong_is_refused_with_a_code(org: Org, api: httpx.AsyncClient) -> None:
    """400, and the caret under the place."""
    org.disable_object("Contact")
    org.hide_field("Lead", "Email")
    codes = {}
    for soql in ("SELECT Id FROM Contact", "SELECT Email FROM Lead", "SELECT FROM", ""):
        response = await api.get("query", params={"q": soql})
        codes[soql] = (response.status_code, response.json()[0]["errorCode"])
    assert codes == {
        "SELECT Id FROM Contact": (400, "INVALID_TYPE"),
        "SELECT Email FROM Lead": (400, "INVALID_FIELD"),
        "SELECT FROM": (400, "MALFORMED_QUERY"),
        "": (400, "MALFORMED_QUERY"),
    }


# ---------------------------------------------------------------------------------------- the control API


async def test_a_test_in_any_language_can_drive_the_org(org: Org, http: httpx.AsyncClient) -> None:
    """Statements, one by one or in a transaction, and the truth about them."""

    async def do(path: str, **body: Any) -> Any:
        response = await http.post(f"/simulator/{path}", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    fields = {"LastName": "Ito", "Company": "c"}
    winner, loser = [(await do("statements", do="insert", object="Lead", fields=fields))["result"] for _ in range(2)]
    await do("statements", do="merge", id=winner, losers=[loser])
    await do("statements", do="undelete", id=loser)
    await do("statements", do="update", id=loser, fields={"LastName": "x"})
    await do("statements", do="delete", id=loser)
    await do("statements", do="purge", id=loser)
    await do("statements", do="hard_delete", id=loser)
    assert (await do("statements", do="restamp", object="Lead"))["result"] == 1
    converted = (await do("statements", do="convert", id=winner, opportunity_name="d"))["result"]
    assert converted["opportunity_id"].startswith("006")

    number = (await do("transactions", by=org.people[1]))["transaction"]
    made = (await do(f"transactions/{number}/statements", do="insert", object="Lead", fields=fields))["result"]
    assert org.get("Lead", made) is None
    await do("clock", advance=60)
    await do(f"transactions/{number}/commit")
    row = org.get("Lead", made)
    assert row is not None
    assert row["CreatedById"] == org.people[1]
    number = (await do("transactions"))["transaction"]
    await do(f"transactions/{number}/rollback")
    assert (await http.post(f"/simulator/transactions/{number}/commit")).status_code == 404

    changes = (await http.get("/simulator/truth", params={"after": 2})).json()["changes"]
    assert [change["number"] for change in changes] == list(range(3, len(org.truth) + 1))
    assert (changes[0]["kind"], changes[0]["merged_into"]) == ("merged", winner)


async def test_the_control_api_switches_the_clock_sight_weather_and_sessions(org: Org, api: httpx.AsyncClient) -> None:
    """None of it is metered."""
    now = (await api.post("/simulator/clock", json={"set": "2027-01-01T00:00:00Z", "speed": 0})).json()
    assert datetime.fromisoformat(now["now"]) == org.clock.now()
    record_id = leads(org, 1)[0]
    for body in ({"record": record_id}, {"object": "Lead", "field": "Email"}, {"object": "Contact"}):
        await api.post("/simulator/hide", json=body)
    assert org.get("Lead", record_id) is None
    assert org.hidden("Lead") == {"Email"}
    assert org.type("Contact") is None
    for body in ({"record": record_id}, {"object": "Lead", "field": "Email"}, {"object": "Contact"}):
        await api.post("/simulator/show", json=body)
    assert org.type("Contact") is not None
    armed = await api.post("/simulator/weather", json={"fault": "QUERY_TIMEOUT", "object": "Lead", "times": None})
    assert armed.json()["fault"] == "QUERY_TIMEOUT"
    assert [each["object"] for each in (await api.get("/simulator/weather")).json()["armed"]] == ["Lead"]
    await api.delete("/simulator/weather")
    assert org.weather.armed() == []
    await api.post("/simulator/usage", json={"used": 5, "max": 100})
    assert org.meter.used(org.clock.now()) == 5
    await api.post("/simulator/delete-log/purge")
    assert org.storage.log_purged_through == org.clock.now()
    await api.post("/simulator/sessions/expire")
    assert (await api.get("limits")).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("statements", {"do": "dance"}, "INVALID_INPUT"),
        ("statements", {}, "MISSING_ARGUMENT"),
        ("statements", {"do": "delete", "id": "00QSm0000000099MAA"}, "INVALID_CROSS_REFERENCE_KEY"),
        ("weather", {"fault": "FROGS"}, "INVALID_INPUT"),
        ("weather", {"fault": "SLOW", "colour": "grey"}, "INVALID_INPUT"),
        ("clock", {"set": "2027-01-01T00:00:00"}, "INVALID_INPUT"),
        ("hide", {"object": "Nothing"}, "INVALID_TYPE"),
        ("hide", {"object": "Lead", "field": "Nothing"}, "INVALID_FIELD"),
    ],
)
async def test_a_wrong_control_call_says_what_is_wrong(
    http: httpx.AsyncClient, path: str, body: dict[str, Any], code: str
) -> None:
    """In the REST API's own error shape."""
    response = await http.post(f"/simulator/{path}", json=body)
    assert response.status_code >= 400
    assert response.json()[0]["errorCode"] == code


async def test_under_another_web_server_a_broken_connection_is_an_exception(org: Org) -> None:
    """Only `serve` can reach the socket."""
    org.weather.arm("CONNECTION_RESET")
    transport = httpx.ASGITransport(server.build(org))
    async with httpx.AsyncClient(transport=transport, base_url="http://org") as client:
        with pytest.raises(ConnectionResetError):
            await client.get("/services/data")
        assert edge.date_header(org) == (await client.get("/services/data")).headers["date"]
