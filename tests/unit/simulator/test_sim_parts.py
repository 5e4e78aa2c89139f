"""Requests made of others: order and collation in composites, batches, graphs and trees; faults in one part of them."""

from typing import Any

import httpx
import pytest

from salesforce_poller.simulator.org import Org

ROOT = "/services/data/v66.0"
Part = dict[str, Any]


def part(reference: str, url: str, method: str = "GET", **more: Any) -> Part:
    """A subrequest."""
    return {"method": method, "url": f"{ROOT}/{url}", "referenceId": reference, **more}


def accounts(*names: str) -> list[Part]:
    """Subrequests that create accounts and do not need each other."""
    return [part(name, "sobjects/Account", "POST", body={"Name": name}) for name in names]


async def composite(api: httpx.AsyncClient, parts: list[Part], root: str = ROOT, **more: Any) -> list[dict[str, Any]]:
    """The responses of a composite request."""
    parts = [{**each, "url": each["url"].replace(ROOT, root)} for each in parts]
    response = await api.post(f"{root}/composite", json={"compositeRequest": parts, **more})
    assert response.status_code == 200, response.text
    results: list[dict[str, Any]] = response.json()["compositeResponse"]
    return results


# ---------------------------------------------------------------------------------------- composite


NAMES = [f"n{number}" for number in range(12)]


@pytest.mark.parametrize(
    ("root", "more", "in_order"),
    [
        (ROOT, {"collateSubrequests": False}, True),
        (ROOT, {"collateSubrequests": True}, False),
        (ROOT, {}, False),
        ("/services/data/v48.0", {}, True),
    ],
)
async def test_collated_writes_happen_in_any_order_and_are_answered_in_theirs(
    org: Org, api: httpx.AsyncClient, root: str, more: dict[str, Any], in_order: bool
) -> None:
    """From version 49 on that is the default; a client goes by referenceId."""
    results = await composite(api, accounts(*NAMES), root, **more)
    assert [each["referenceId"] for each in results] == NAMES
    made = [org.storage.rows["Account"][change.record_id]["Name"] for change in org.truth]
    assert sorted(made) == sorted(NAMES)
    assert (made == NAMES) is in_order


async def test_collation_leaves_reads_and_references_where_they_are(org: Org, api: httpx.AsyncClient) -> None:
    """A read sees what was written before it, and a reference finds its record."""
    query = part("count", "query?q=SELECT+COUNT()+FROM+Account")
    contact = part("c", "sobjects/Contact", "POST", body={"LastName": "Ito", "AccountId": "@{n3.id}"})
    results = await composite(api, [*accounts(*NAMES[:4]), contact, query, *accounts(*NAMES[4:])])
    told = {each["referenceId"]: each for each in results}
    assert told["count"]["body"]["totalSize"] == 4
    row = org.get("Contact", told["c"]["body"]["id"])
    assert row is not None
    assert row["AccountId"] == told["n3"]["body"]["id"]


@pytest.mark.parametrize(
    "wrong",
    [
        part("a", "limits", httpHeaders=["x"]),
        part("a", "limits", httpHeaders={"Content-Type": "x"}),
        part("a", "composite/batch", "POST"),
        part("a", "composite/graph?x=1", "POST"),
    ],
)
async def test_headers_and_nesting_have_rules(api: httpx.AsyncClient, wrong: Part) -> None:
    """The whole request is refused; null is no headers at all."""
    response = await api.post("composite", json={"compositeRequest": [part("b", "limits"), wrong]})
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, "INVALID_INPUT")
    (fine,) = await composite(api, [part("a", "limits", httpHeaders=None)])
    assert fine["httpStatusCode"] == 200


async def test_reference_ids_may_hold_anything_before_version_52(api: httpx.AsyncClient) -> None:
    """From then on only letters, digits and underscores; never may one be missing."""
    (old,) = await composite(api, [part("a-b", "limits")], "/services/data/v51.0")
    assert (old["referenceId"], old["httpStatusCode"]) == ("a-b", 200)
    for version, reference in (("52.0", "a-b"), ("51.0", "")):
        wrong = {"method": "GET", "url": f"/services/data/v{version}/limits", "referenceId": reference}
        refused = await api.post(f"/services/data/v{version}/composite", json={"compositeRequest": [wrong]})
        assert refused.status_code == 400


async def test_headers_of_a_part_are_its_own(org: Org, api: httpx.AsyncClient) -> None:
    """Query options work inside; a locator's page counts as a query."""
    org.insert_many("Lead", ({"LastName": "n", "Company": "c"} for _ in range(201)))
    options = {"Sforce-Query-Options": "batchSize=200"}
    (page,) = await composite(api, [part("q", "query?q=SELECT+Id+FROM+Lead", httpHeaders=options)])
    more = page["body"]["nextRecordsUrl"].removeprefix(ROOT + "/")
    (last,) = await composite(api, [part("more", more)])
    assert (len(page["body"]["records"]), len(last["body"]["records"])) == (200, 1)
    six = [part(f"q{number}", more) for number in range(6)]
    refused = await api.post("composite", json={"compositeRequest": six})
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "LIMIT_EXCEEDED")


# ---------------------------------------------------------------------------------------- faults in one part


async def test_a_fault_strikes_one_part_by_its_url_and_the_answer_outside_is_200(
    org: Org, api: httpx.AsyncClient
) -> None:
    """By a part of its decoded url, or a pattern in it; so often as it was armed for."""
    org.weather.arm("QUERY_TIMEOUT", path=r"/query\?q=SELECT Id FROM Contact\b", times=2)
    org.weather.arm("INVALID_REPLICATION_DATE", path="/Lead/deleted")
    span = "start=2026-11-21T09:00:00Z&end=2026-11-21T10:00:00Z"
    parts = [
        part("lead", "query?q=SELECT+Id+FROM+Lead"),
        part("contact", "query?q=SELECT%20Id%20FROM%20Contact"),
        part("updated", f"sobjects/Lead/updated?{span}"),
        part("deleted", f"sobjects/Lead/deleted?{span}"),
    ]
    statuses = [[each["httpStatusCode"] for each in await composite(api, parts)] for _ in range(3)]
    assert statuses == [[200, 400, 200, 400], [200, 400, 200, 200], [200] * 4]


async def test_a_fault_strikes_one_part_of_a_batch_too(org: Org, api: httpx.AsyncClient) -> None:
    """And of a graph, which takes the others back."""
    org.weather.arm("UNABLE_TO_LOCK_ROW", object="Lead", times=2)
    batch = [{"method": "GET", "url": f"v66.0/sobjects/{name}/describe"} for name in ("Lead", "Contact")]
    body = (await api.post("composite/batch", json={"batchRequests": batch})).json()
    assert [each["statusCode"] for each in body["results"]] == [400, 200]
    lead = part("lead", "sobjects/Lead", "POST", body={"LastName": "n", "Company": "c"})
    graph = {"graphs": [{"graphId": "g", "compositeRequest": [*accounts("a"), lead]}]}
    body = (await api.post("composite/graph", json=graph)).json()
    assert body["graphs"][0]["isSuccessful"] is False
    assert org.truth == []


# ---------------------------------------------------------------------------------------- batch


async def test_the_parts_of_a_batch_stand_for_themselves(org: Org, api: httpx.AsyncClient) -> None:
    """Each commits; the status outside is 200."""
    old = org.insert("Account", Name="old")
    batch = [
        {"method": "POST", "url": "v66.0/sobjects/Account", "richInput": {"Name": "a"}},
        {"method": "POST", "url": "v66.0/sobjects/Account", "richInput": {}},
        {"method": "GET", "url": "/services/data/v66.0/query?q=SELECT+Name+FROM+Account+WHERE+Name='a'"},
        {"method": "DELETE", "url": f"v66.0/sobjects/Account/{old}"},
    ]
    body = (await api.post("composite/batch", json={"batchRequests": batch})).json()
    assert body["hasErrors"] is True
    assert [each["statusCode"] for each in body["results"]] == [201, 400, 200, 204]
    assert body["results"][2]["result"]["totalSize"] == 1
    assert body["results"][3]["result"] is None
    assert [change.kind for change in org.truth] == ["created", "created", "deleted"]


async def test_a_batch_may_halt_on_the_first_error(org: Org, api: httpx.AsyncClient) -> None:
    """What follows it is 412 and costs nothing."""
    batch = [{"method": "GET", "url": f"v66.0/{path}"} for path in ("sobjects", "nonsense", "sobjects")]
    body = (await api.post("composite/batch", json={"batchRequests": batch, "haltOnError": True})).json()
    assert [each["statusCode"] for each in body["results"]] == [200, 404, 412]
    assert body["results"][2]["result"][0]["errorCode"] == "BATCH_PROCESSING_HALTED"
    assert org.meter.used(org.clock.now()) == 2


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([], "INVALID_INPUT"),
        (["text"], "INVALID_INPUT"),
        ([{"method": "GET", "url": "v66.0/limits"}] * 26, "LIMIT_EXCEEDED"),
        ([{"method": "HEAD", "url": "v66.0/limits"}], "INVALID_INPUT"),
        ([{"method": "GET", "url": "/elsewhere"}], "INVALID_INPUT"),
        ([{"method": "POST", "url": "v66.0/composite/batch"}], "INVALID_INPUT"),
        ([{"method": "POST", "url": "v66.0/composite"}], "INVALID_INPUT"),
    ],
)
async def test_a_batch_that_breaks_the_rules_is_refused_as_a_whole(
    api: httpx.AsyncClient, parts: list[Any], code: str
) -> None:
    """25 parts, relative urls, nothing nested."""
    response = await api.post("composite/batch", json={"batchRequests": parts})
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, code)


# ---------------------------------------------------------------------------------------- graph and tree


async def test_each_graph_is_all_or_nothing_and_all_of_them_are_one_call(org: Org, api: httpx.AsyncClient) -> None:
    """A good one stays when a bad one goes."""
    bad = part("bad", "sobjects/Account", "POST", body={})
    graphs = [
        {"graphId": "1", "compositeRequest": accounts("a", "b")},
        {"graphId": "2", "compositeRequest": [*accounts("c"), bad]},
    ]
    body = (await api.post("composite/graph", json={"graphs": graphs})).json()["graphs"]
    assert [(each["graphId"], each["isSuccessful"]) for each in body] == [("1", True), ("2", False)]
    halted, failed = body[1]["graphResponse"]["compositeResponse"]
    assert halted["body"][0]["errorCode"] == "PROCESSING_HALTED"
    assert failed["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert len(org.truth) == 2
    assert org.meter.used(org.clock.now()) == 1


@pytest.mark.parametrize(
    ("graphs", "code"),
    [
        ([], "INVALID_INPUT"),
        ([{"compositeRequest": accounts("a")}], "INVALID_INPUT"),
        ([{"graphId": "1"}], "INVALID_INPUT"),
        ([{"graphId": "1", "compositeRequest": accounts("a")}] * 76, "LIMIT_EXCEEDED"),
    ],
)
async def test_a_graph_request_that_breaks_the_rules_is_refused(
    api: httpx.AsyncClient, graphs: list[Any], code: str
) -> None:
    """75 graphs at most, each with a name."""
    response = await api.post("composite/graph", json={"graphs": graphs})
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, code)


def twig(kind: str, reference: str, **fields: Any) -> dict[str, Any]:
    """A record of a tree."""
    return {"attributes": {"type": kind, "referenceId": reference}, **fields}


async def test_a_tree_creates_records_with_their_children(org: Org, api: httpx.AsyncClient) -> None:
    """201 with an id per reference; one call."""
    contacts = {"records": [twig("Contact", "c1", LastName="Ito"), twig("Contact", "c2", LastName="Kaya")]}
    body = {"records": [twig("Account", "a1", Name="Basalt", Contacts=contacts)]}
    response = await api.post("composite/tree/Account", json=body)
    assert (response.status_code, response.json()["hasErrors"]) == (201, False)
    made = {each["referenceId"]: each["id"] for each in response.json()["results"]}
    assert list(made) == ["a1", "c1", "c2"]
    row = org.get("Contact", made["c2"])
    assert row is not None
    assert (row["LastName"], row["AccountId"]) == ("Kaya", made["a1"])
    assert org.meter.used(org.clock.now()) == 1


async def test_a_tree_with_one_bad_record_is_not_planted(org: Org, api: httpx.AsyncClient) -> None:
    """400 with its reference and its error."""
    contacts = {"records": [twig("Contact", "c1")]}
    body = {"records": [twig("Account", "a1", Name="Basalt", Contacts=contacts)]}
    response = await api.post("composite/tree/Account", json=body)
    assert (response.status_code, response.json()["hasErrors"]) == (400, True)
    (result,) = response.json()["results"]
    assert (result["referenceId"], result["errors"][0]["statusCode"]) == ("c1", "REQUIRED_FIELD_MISSING")
    assert org.truth == []


def deep(levels: int) -> dict[str, Any]:
    """A tree of accounts below accounts."""
    below = {"ChildAccounts": deep(levels - 1)} if levels > 1 else {}
    return {"records": [twig("Account", f"a{levels}", Name="n", **below)]}


async def test_a_tree_may_have_five_levels(org: Org, api: httpx.AsyncClient) -> None:
    """Each below the one before."""
    response = await api.post("composite/tree/Account", json=deep(5))
    assert response.status_code == 201
    made = [each["id"] for each in response.json()["results"]]
    assert [org.storage.rows["Account"][record_id]["ParentId"] for record_id in made] == [None, *made[:-1]]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "JSON_PARSER_ERROR"),
        (deep(6), "LIMIT_EXCEEDED"),
        ({"records": [{"Name": "x"}]}, "INVALID_INPUT"),
        ({"records": [twig("Account", "a"), twig("Account", "a")]}, "INVALID_INPUT"),
        ({"records": [twig("Account", f"a{number}") for number in range(201)]}, "LIMIT_EXCEEDED"),
    ],
)
async def test_a_tree_that_breaks_the_rules_is_refused(api: httpx.AsyncClient, body: dict[str, Any], code: str) -> None:
    """A list of up to 200 records, each with a reference of its own."""
    response = await api.post("composite/tree/Account", json=body)
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, code)
