"""Composite requests and collections: many calls in one, each with its own outcome."""

from typing import Any

import httpx
import pytest

from salesforce_poller.simulator.org import Org

ROOT = "/services/data/v66.0"
Part = dict[str, Any]


def part(reference: str, url: str, method: str = "GET", **more: Any) -> Part:
    """A subrequest."""
    return {"method": method, "url": url if url.startswith("/") else f"{ROOT}/{url}", "referenceId": reference, **more}


async def composite(api: httpx.AsyncClient, *parts: Part, **more: Any) -> list[dict[str, Any]]:
    """The responses of a composite request that is in order as a whole."""
    response = await api.post("composite", json={"compositeRequest": parts, **more})
    assert response.status_code == 200, response.text
    results: list[dict[str, Any]] = response.json()["compositeResponse"]
    return results


def lead(org: Org, name: str = "Ito") -> str:
    """A lead."""
    return org.insert("Lead", LastName=name, Company="Heron Foods")


async def test_parts_have_their_own_status_and_count_as_one_call(org: Org, api: httpx.AsyncClient) -> None:
    """The status outside is 200 whatever happens inside."""
    record_id = lead(org)
    results = await composite(
        api,
        part("found", "query/?q=SELECT+Id+FROM+Lead+WHERE+SystemModstamp+%3E%3D+2026-11-21T00%3A00%3A00%2B00%3A00"),
        part("lost", "sobjects/Lead/00QSm0000000099MAA"),
        part("wrong", "query?q=SELECT+Nope+FROM+Lead"),
        part("log", "sobjects/Lead/updated?start=2026-11-21T09:00:00Z&end=2026-11-21T10:00:00Z"),
    )
    assert [(each["referenceId"], each["httpStatusCode"]) for each in results] == [
        ("found", 200),
        ("lost", 404),
        ("wrong", 400),
        ("log", 200),
    ]
    assert results[0]["body"]["records"][0]["Id"] == record_id
    assert results[1]["body"] == [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}]
    assert set(results[0]) == {"body", "httpHeaders", "httpStatusCode", "referenceId"}
    assert org.meter.used(org.clock.now()) == 1


async def test_a_part_that_is_not_modified_has_no_body(api: httpx.AsyncClient) -> None:
    """304, with its ETag and Last-Modified."""
    headers = {"If-Modified-Since": "Sat, 21 Nov 2026 11:00:00 GMT"}
    (result,) = await composite(api, part("d", "sobjects/Lead/describe", httpHeaders=headers))
    assert (result["httpStatusCode"], result["body"]) == (304, None)
    assert set(result["httpHeaders"]) == {"ETag", "Last-Modified"}


async def test_later_parts_use_the_results_of_earlier_ones(org: Org, api: httpx.AsyncClient) -> None:
    """In URLs and bodies; a reference to nothing fails that part alone."""
    lead(org)
    results = await composite(
        api,
        part("made", "sobjects/Account", "POST", body={"Name": "Basalt Tools"}),
        part("contact", "sobjects/Contact", "POST", body={"LastName": "Kaya", "AccountId": "@{made.id}"}),
        part("all", "query?q=SELECT+Id+FROM+Lead"),
        part("one", "sobjects/Lead/@{all.records[0].Id}?fields=LastName"),
        part("none", "sobjects/Lead/@{all.records[7].Id}"),
        part("case", "sobjects/Account/@{made.Id}"),
    )
    statuses = [each["httpStatusCode"] for each in results]
    assert statuses == [201, 201, 200, 200, 400, 400]
    assert results[0]["httpHeaders"]["Location"].startswith(f"{ROOT}/sobjects/Account/001")
    assert results[3]["body"]["LastName"] == "Ito"
    assert results[4]["body"][0]["errorCode"] == "PROCESSING_HALTED"
    row = org.get("Contact", results[1]["body"]["id"])
    assert row is not None
    assert row["AccountId"] == results[0]["body"]["id"]


async def test_all_or_none_takes_everything_back(org: Org, api: httpx.AsyncClient) -> None:
    """The failed part keeps its error, the others say PROCESSING_HALTED."""
    good = part("good", "sobjects/Account", "POST", body={"Name": "Basalt Tools"})
    bad = part("bad", "sobjects/Account", "POST", body={})
    results = await composite(api, good, bad, allOrNone=True)
    codes = [(each["httpStatusCode"], each["body"][0]["errorCode"]) for each in results]
    assert codes == [(400, "PROCESSING_HALTED"), (400, "REQUIRED_FIELD_MISSING")]
    assert org.truth == []
    results = await composite(api, good, allOrNone=True)
    assert results[0]["httpStatusCode"] == 201
    assert len(org.truth) == 1


QUERY = "query?q=SELECT+Id+FROM+Lead"


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([], "INVALID_INPUT"),
        (["text"], "INVALID_INPUT"),
        ([part(f"r{number}", "limits") for number in range(26)], "LIMIT_EXCEEDED"),
        ([part(f"r{number}", QUERY) for number in range(6)], "LIMIT_EXCEEDED"),
        ([part("same", "limits"), part("same", "limits")], "INVALID_INPUT"),
        ([part("a-b", "limits")], "INVALID_INPUT"),
        ([part("_a", "limits")], "INVALID_INPUT"),
        ([part("a", "/elsewhere")], "INVALID_INPUT"),
        ([part("a", "composite", "POST")], "INVALID_INPUT"),
        ([part("a", "limits", "get")], "INVALID_INPUT"),
        ([part("a", "limits", httpHeaders={"accept": "x"})], "INVALID_INPUT"),
    ],
)
async def test_a_request_that_breaks_the_rules_is_refused_as_a_whole(
    api: httpx.AsyncClient, parts: list[Any], code: str
) -> None:
    """25 parts, five queries or collections, references that are names, no headers of the outer request's."""
    response = await api.post("composite", json={"compositeRequest": parts})
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, code)


async def test_five_queries_and_ten_replication_calls_fit_in_one_request(api: httpx.AsyncClient) -> None:
    """Only queries and collections are counted to five."""
    span = "start=2026-11-21T09:00:00Z&end=2026-11-21T10:00:00Z"
    polls = [part(f"q{number}", QUERY.replace("query?", "queryAll?")) for number in range(5)]
    logs = [
        part(f"{kind}{number}", f"sobjects/Lead/{kind}?{span}")
        for kind in ("updated", "deleted")
        for number in range(5)
    ]
    results = await composite(api, *polls, *logs)
    assert [each["httpStatusCode"] for each in results] == [200] * 15


async def test_a_dead_session_in_a_part_is_dead_outside(org: Org, api: httpx.AsyncClient) -> None:
    """The weather reaches the parts."""
    org.weather.arm("INVALID_SESSION_ID", path="/describe")
    (result,) = await composite(api, part("d", "sobjects/Lead/describe"))
    assert result["httpStatusCode"] == 401
    assert (await api.get("limits")).status_code == 401


async def test_retrieve_answers_in_order_with_null_for_what_is_not_there(org: Org, api: httpx.AsyncClient) -> None:
    """By GET or POST; deleted, hidden and unknown ids alike."""
    live, deleted, hidden = lead(org), lead(org), lead(org)
    org.delete(deleted)
    org.hide_record(hidden)
    wanted = [live[:15], deleted, hidden, "00QSm0000000099MAA", "nonsense"]
    by_get = await api.get("composite/sobjects/Lead", params={"ids": ",".join(wanted), "fields": "Id,lastname"})
    by_post = await api.post("composite/sobjects/Lead", json={"ids": wanted, "fields": ["Id", "LastName"]})
    assert by_get.json() == by_post.json()
    assert by_post.json()[1:] == [None] * 4
    assert (by_post.json()[0]["Id"], by_post.json()[0]["LastName"]) == (live, "Ito")


async def test_retrieve_refuses_an_unknown_field_no_field_and_too_many_ids(api: httpx.AsyncClient) -> None:
    """One wrong field fails the whole request."""
    codes = []
    bodies: list[dict[str, list[str]]] = [
        {"ids": [], "fields": ["Nope"]},
        {"ids": [], "fields": []},
        {"ids": ["x"] * 2001, "fields": ["Id"]},
    ]
    for body in bodies:
        response = await api.post("composite/sobjects/Lead", json=body)
        codes.append((response.status_code, response.json()[0]["errorCode"]))
    assert codes == [(400, "INVALID_FIELD"), (400, "MISSING_ARGUMENT"), (400, "EXCEEDED_ID_LIMIT")]


def record(kind: str = "Lead", **fields: Any) -> dict[str, Any]:
    """A record of a collection."""
    return {"attributes": {"type": kind}, **fields}


async def test_collections_write_each_record_for_itself(org: Org, api: httpx.AsyncClient) -> None:
    """200 outside; failures are items with a statusCode, in their place."""
    good, bad = record(LastName="Ito", Company="c"), record(Company="c")
    body = (await api.post("composite/sobjects", json={"records": [good, bad, record("Nothing")]})).json()
    assert [item["success"] for item in body] == [True, False, False]
    assert body[1] == {
        "success": False,
        "errors": [
            {
                "statusCode": "REQUIRED_FIELD_MISSING",
                "message": "Required fields are missing: [LastName]",
                "fields": ["LastName"],
            }
        ],
    }
    record_id = body[0]["id"]
    changes = [record(id=record_id, LastName="x"), record(LastName="y"), record(id="00QSm0000000099MAA", LastName="z")]
    changed = (await api.patch("composite/sobjects", json={"records": changes})).json()
    codes = [item["errors"][0]["statusCode"] for item in changed[1:]]
    assert codes == ["MISSING_ARGUMENT", "INVALID_CROSS_REFERENCE_KEY"]
    deleted = (await api.delete("composite/sobjects", params={"ids": f"{record_id},nonsense"})).json()
    assert [item["success"] for item in deleted] == [True, False]
    assert [change.kind for change in org.truth] == ["created", "updated", "deleted"]


async def test_collections_can_be_all_or_none(org: Org, api: httpx.AsyncClient) -> None:
    """Then the good ones are rolled back with the bad ones."""
    records = [record(LastName="Ito", Company="c"), record(Company="c")]
    body = (await api.post("composite/sobjects", json={"allOrNone": True, "records": records})).json()
    codes = [item["errors"][0]["statusCode"] for item in body]
    assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert org.truth == []


async def test_collections_have_one_to_two_hundred_records(api: httpx.AsyncClient) -> None:
    """None, too many, and what is no list."""
    wrong: list[Any] = [[], [record()] * 201, "text"]
    answers = [await api.post("composite/sobjects", json={"records": records}) for records in wrong]
    assert [answer.json()[0]["errorCode"] for answer in answers] == [
        "REQUIRED_FIELD_MISSING",
        "EXCEEDED_ID_LIMIT",
        "JSON_PARSER_ERROR",
    ]
