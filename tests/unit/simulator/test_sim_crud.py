"""Single records over the API: create, read, update, delete, upsert, and every way to be refused."""

from typing import Any

import httpx
import pytest

from salesforce_poller.simulator.org import Org


def lead(org: Org) -> str:
    """A lead."""
    return org.insert("Lead", LastName="Ito", Company="Heron Foods")


async def test_a_record_lives_and_dies_over_the_api(org: Org, api: httpx.AsyncClient) -> None:
    """201 with a Location, 200, 204, 204, then 404; all of it the integration user's work."""
    made = await api.post("sobjects/lead/", json={"attributes": {"type": "Lead"}, "lastname": "Ito", "Company": "c"})
    record_id = made.json()["id"]
    assert (made.status_code, made.json()) == (201, {"id": record_id, "success": True, "errors": []})
    assert made.headers["location"] == f"/services/data/v66.0/sobjects/Lead/{record_id}"
    read = await api.get(f"sobjects/Lead/{record_id[:15]}")
    assert read.json()["Id"] == record_id
    assert read.json()["CreatedById"] == org.integration_user
    assert next(iter(read.json())) == "attributes"
    assert "etag" in read.headers
    changed = await api.patch(f"sobjects/Lead/{record_id}", json={"LastName": "Costa"})
    assert (changed.status_code, changed.content, changed.headers.get("content-type")) == (204, b"", None)
    some = (await api.get(f"sobjects/Lead/{record_id}", params={"fields": "LastName,SystemModstamp"})).json()
    assert list(some) == ["attributes", "LastName", "SystemModstamp"]
    assert some["SystemModstamp"] == "2026-11-21T10:00:30.000+0000"
    assert (await api.delete(f"sobjects/Lead/{record_id}")).status_code == 204
    gone = await api.get(f"sobjects/Lead/{record_id}")
    assert gone.status_code == 404
    assert gone.json() == [{"message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED", "fields": []}]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"Company": "c"}, "REQUIRED_FIELD_MISSING"),
        ({"LastName": None, "Company": "c"}, "REQUIRED_FIELD_MISSING"),
        ({"LastName": "x", "Company": "c", "Nope": 1}, "INVALID_FIELD"),
        ({"LastName": "x", "Company": "c", "Email": "hidden@example.com"}, "INVALID_FIELD"),
        ({"LastName": "x", "Company": "c", "MasterRecordId": None}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"LastName": "x", "Company": "c", "CreatedDate": "2020-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"LastName": "x", "Company": "c", "AnnualRevenue": "much"}, "JSON_PARSER_ERROR"),
    ],
)
async def test_a_create_call_that_is_wrong_makes_nothing(
    org: Org, api: httpx.AsyncClient, body: dict[str, Any], code: str
) -> None:
    """400 with the code, and the fields it is about."""
    org.hide_field("Lead", "Email")
    refused = await api.post("sobjects/Lead", json=body)
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, code)
    assert org.truth == []


async def test_writes_to_records_that_are_not_there(org: Org, api: httpx.AsyncClient) -> None:
    """Unknown, deleted, hidden, another object's, no id at all, locked."""
    deleted, hidden, locked = lead(org), lead(org), lead(org)
    contact = org.insert("Contact", LastName="Park")
    org.delete(deleted)
    org.hide_record(hidden)
    org.begin().update(locked, LastName="y")
    expected = {
        "00QSm0000000099MAA": (404, "INVALID_CROSS_REFERENCE_KEY"),
        deleted: (404, "ENTITY_IS_DELETED"),
        hidden: (404, "NOT_FOUND"),
        contact: (400, "MALFORMED_ID"),
        "nonsense": (404, "NOT_FOUND"),
        locked: (400, "UNABLE_TO_LOCK_ROW"),
    }
    for record_id, refusal in expected.items():
        for response in (
            await api.patch(f"sobjects/Lead/{record_id}", json={"LastName": "x"}),
            await api.delete(f"sobjects/Lead/{record_id}"),
        ):
            assert (response.status_code, response.json()[0]["errorCode"]) == refusal, record_id


async def test_reading_what_is_not_there(org: Org, api: httpx.AsyncClient) -> None:
    """404 for what does not exist or is hidden, 400 for a field that is not."""
    hidden = lead(org)
    org.hide_record(hidden)
    for path in (f"sobjects/Lead/{hidden}", "sobjects/Lead/00QSm0000000099MAA", "sobjects/Nothing/00QSm0000000001MAA"):
        assert (await api.get(path)).json()[0]["errorCode"] == "NOT_FOUND"
    wrong = await api.get(f"sobjects/Lead/{lead(org)}", params={"fields": "Nope"})
    assert wrong.json() == [{"message": "No such column 'Nope' on sobject of type Lead", "errorCode": "INVALID_FIELD"}]


async def test_fields_and_objects_that_cannot_be_written(org: Org, api: httpx.AsyncClient) -> None:
    """Read-only fields on update; objects without create or delete."""
    record_id = lead(org)
    refused = await api.patch(f"sobjects/Lead/{record_id}", json={"IsConverted": True})
    assert refused.json()[0]["fields"] == ["IsConverted"]
    for response in (
        await api.post("sobjects/LeadStatus", json={}),
        await api.delete(f"sobjects/User/{org.user}"),
        await api.patch(f"sobjects/LeadStatus/{next(iter(org.scan('LeadStatus', deleted=False)))['Id']}", json={}),
    ):
        assert response.json()[0]["errorCode"] == "INVALID_TYPE_FOR_OPERATION"


async def test_a_row_can_be_read_if_modified_since(org: Org, api: httpx.AsyncClient) -> None:
    """304 while its stamp has not moved."""
    record_id = lead(org)
    since = {"If-Modified-Since": (await api.get(f"sobjects/Lead/{record_id}")).headers["last-modified"]}
    assert (await api.get(f"sobjects/Lead/{record_id}", headers=since)).status_code == 304
    org.clock.advance(60)
    org.restamp("Lead")
    assert (await api.get(f"sobjects/Lead/{record_id}", headers=since)).status_code == 200


async def test_upsert_by_external_id(org: Org, api: httpx.AsyncClient) -> None:
    """201 when it was not there, 200 when it was, 300 when it was there twice."""
    path = "sobjects/Invoice__c/External_Id__c/A-17"
    assert (await api.get(path)).status_code == 404
    made = await api.patch(path, json={"Amount__c": 10})
    assert (made.status_code, made.json()["created"]) == (201, True)
    again = await api.patch(path, json={"Amount__c": 12})
    assert (again.status_code, again.json()["created"], again.json()["id"]) == (200, False, made.json()["id"])
    read = (await api.get(path)).json()
    assert (read["External_Id__c"], read["Amount__c"]) == ("A-17", 12)
    twin = org.insert("Invoice__c", External_Id__c="A-17")
    for response in (await api.get(path), await api.patch(path, json={})):
        assert response.status_code == 300
        assert response.json()[1] == f"/services/data/v66.0/sobjects/Invoice__c/{twin}"
    wrong = await api.patch("sobjects/Invoice__c/Notes__c/x", json={})
    assert wrong.status_code == 404
    assert wrong.json()[0]["message"] == "Provided external ID field does not exist or is not accessible: Notes__c"
