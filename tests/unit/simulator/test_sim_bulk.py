"""Bulk API 2.0 query jobs: the life of a job, its results as CSV, and every way to be refused."""

import csv
import io
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from salesforce_poller.simulator import bulk_csv, query
from salesforce_poller.simulator.catalogue import ObjectType
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.schema import Field

LEADS = "SELECT Id, LastName FROM Lead ORDER BY Id"


async def submit(api: httpx.AsyncClient, soql: str = LEADS, **more: Any) -> dict[str, Any]:
    """A new job, as the org tells of it."""
    made = await api.post("jobs/query", json={"operation": "query", "query": soql, **more})
    assert made.status_code == 200, made.text
    job: dict[str, Any] = made.json()
    return job


async def state(api: httpx.AsyncClient, job: dict[str, Any]) -> str:
    """The state of a job now."""
    return str((await api.get(f"jobs/query/{job['id']}")).json()["state"])


async def rows(api: httpx.AsyncClient, job: dict[str, Any]) -> list[dict[str, str]]:
    """Everything a job found, set by set."""
    found: list[dict[str, str]] = []
    params: dict[str, str] = {}
    while True:
        answer = await api.get(f"jobs/query/{job['id']}/results", params=params)
        assert answer.status_code == 200, answer.text
        page = list(csv.DictReader(io.StringIO(answer.text, newline="")))
        assert len(page) == int(answer.headers["Sforce-NumberOfRecords"])
        found += page
        if answer.headers["Sforce-Locator"] == "null":
            return found
        params = {"locator": answer.headers["Sforce-Locator"]}


def leads(org: Org, count: int) -> list[str]:
    """So many leads, called 0, 1, 2 and so on."""
    return org.insert_many("Lead", ({"LastName": str(number), "Company": "c"} for number in range(count)))


# ------------------------------------------------------------------------------------------------ the life of a job


async def test_a_job_is_done_by_the_time_anybody_looks(org: Org, api: httpx.AsyncClient) -> None:
    """The answer to its creation, its particulars, and its results in a set."""
    [lead_id] = leads(org, 1)
    made = await submit(api)
    common = {
        "id": made["id"],
        "operation": "query",
        "object": "Lead",
        "createdById": org.integration_user,
        "createdDate": "2026-11-21T10:00:30.000+0000",
        "systemModstamp": "2026-11-21T10:00:30.000+0000",
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": 66.0,
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }
    assert made["id"].startswith("750")
    assert made == {**common, "state": "UploadComplete"}
    assert (await api.get(f"jobs/query/{made['id'][:15]}")).json() == {
        **common,
        "state": "JobComplete",
        "jobType": "V2Query",
        "numberRecordsProcessed": 1,
        "retries": 0,
        "totalProcessingTime": 0,
        "isPkChunkingSupported": True,
    }
    results = await api.get(f"jobs/query/{made['id']}/results", headers={"Accept": "text/csv"})
    assert results.headers["content-type"].startswith("text/csv")
    assert (results.headers["Sforce-NumberOfRecords"], results.headers["Sforce-Locator"]) == ("1", "null")
    assert results.text == f'"Id","LastName"\n"{lead_id}","0"\n'


async def test_a_job_waits_runs_and_ends_by_the_orgs_clock(org: Org, api: httpx.AsyncClient) -> None:
    """UploadComplete, InProgress, JobComplete; no results before the last."""
    await api.post("/simulator/bulk", json={"queue_seconds": 10, "run_seconds": 5})
    job = await submit(api)
    assert await state(api, job) == "UploadComplete"
    org.clock.advance(10)
    assert await state(api, job) == "InProgress"
    for path in ("results", "resultPages"):
        early = await api.get(f"jobs/query/{job['id']}/{path}")
        assert (early.status_code, early.content) == (204, b"")
    org.clock.advance(5)
    told = (await api.get(f"jobs/query/{job['id']}")).json()
    assert (told["state"], told["totalProcessingTime"]) == ("JobComplete", 5000)
    assert told["systemModstamp"] == "2026-11-21T10:00:45.000+0000"


async def test_a_job_sees_what_was_committed_when_it_started(org: Org, api: httpx.AsyncClient) -> None:
    """Not what was still open then, nor what came while it ran, even if nobody looked in between."""
    [early] = leads(org, 1)
    org.bulk.settings.queue_seconds, org.bulk.settings.run_seconds = 10, 10
    job = await submit(api)
    open_transaction = org.begin()
    open_transaction.insert("Lead", LastName="open", Company="c")
    waited = org.insert("Lead", LastName="waited", Company="c")
    org.clock.advance(15)
    open_transaction.commit()
    org.update(early, LastName="changed")
    org.clock.advance(15)
    assert [(row["Id"], row["LastName"]) for row in await rows(api, job)] == [(early, "0"), (waited, "waited")]


async def test_a_job_sees_what_its_user_could_see_when_it_started(org: Org, api: httpx.AsyncClient) -> None:
    """A record that was unshared and a field that was taken away afterwards are in it."""
    [lead_id] = leads(org, 1)
    org.bulk.settings.queue_seconds, org.bulk.settings.run_seconds = 10, 10
    job = await submit(api)
    org.clock.advance(15)
    org.hide_record(lead_id)
    org.hide_field("Lead", "LastName")
    org.clock.advance(15)
    assert await rows(api, job) == [{"Id": lead_id, "LastName": "0"}]


async def test_queryall_brings_deleted_rows(org: Org, api: httpx.AsyncClient) -> None:
    """And query does not."""
    kept, gone = leads(org, 2)
    org.delete(gone)
    soql = "SELECT Id, IsDeleted FROM Lead ORDER BY Id"
    everything = await rows(api, await submit(api, soql, operation="queryAll"))
    assert [tuple(row.values()) for row in everything] == [(kept, "false"), (gone, "true")]
    assert [row["Id"] for row in await rows(api, await submit(api, soql))] == [kept]


async def test_a_job_can_be_aborted_until_it_has_ended_and_deleted_once_it_has(
    org: Org, api: httpx.AsyncClient
) -> None:
    """INVALIDJOBSTATE the other way round; a deleted job is 404, and an aborted one has no results."""
    org.bulk.settings.run_seconds = 10
    job = await submit(api)
    path = f"jobs/query/{job['id']}"
    too_early = await api.delete(path)
    assert (too_early.status_code, too_early.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")
    aborted = await api.patch(path, json={"state": "Aborted"})
    assert (aborted.status_code, aborted.json()["state"]) == (200, "Aborted")
    again = await api.patch(path, json={"state": "Aborted"})
    assert (again.status_code, again.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")
    assert (await api.get(f"{path}/results")).status_code == 204
    assert (await api.delete(path)).status_code == 204
    assert (await api.get(path)).status_code == 404
    other = await submit(api)
    assert (await api.patch(f"jobs/query/{other['id']}", json={"state": "Paused"})).status_code == 400


async def test_a_job_that_is_aborted_in_the_queue_never_runs(org: Org, api: httpx.AsyncClient) -> None:
    """It stays Aborted when its time comes."""
    org.bulk.settings.queue_seconds = 10
    job = await submit(api)
    await api.patch(f"jobs/query/{job['id']}", json={"state": "Aborted"})
    org.clock.advance(60)
    told = (await api.get(f"jobs/query/{job['id']}")).json()
    assert (told["state"], told["numberRecordsProcessed"]) == ("Aborted", 0)


async def test_a_job_fails_when_told_to_or_when_its_fields_are_gone(org: Org, api: httpx.AsyncClient) -> None:
    """Failed, with a message, and without results."""
    await api.post("/simulator/bulk", json={"failure": "Retried more than fifteen times"})
    first = await submit(api)
    await api.post("/simulator/bulk", json={"failure": None, "queue_seconds": 10})
    second = await submit(api)
    org.hide_field("Lead", "LastName")
    org.clock.advance(10)
    told = [(await api.get(f"jobs/query/{job['id']}")).json() for job in (first, second)]
    assert [each["state"] for each in told] == ["Failed", "Failed"]
    assert told[0]["errorMessage"] == "Retried more than fifteen times"
    assert told[1]["errorMessage"].startswith("INVALID_FIELD: ")
    assert (await api.get(f"jobs/query/{first['id']}/results")).status_code == 204


async def test_results_are_gone_after_seven_days(org: Org, api: httpx.AsyncClient) -> None:
    """And the job with them."""
    job = await submit(api)
    org.clock.advance(timedelta(days=7).total_seconds() - 1)
    await log_in_again(org, api)
    assert (await api.get(f"jobs/query/{job['id']}/results")).status_code == 200
    org.clock.advance(1)
    assert (await api.get(f"jobs/query/{job['id']}/results")).status_code == 404
    assert (await api.get("jobs/query")).json()["records"] == []


async def log_in_again(org: Org, api: httpx.AsyncClient) -> None:
    """A new session, since days have passed."""
    form = {"grant_type": "client_credentials", "client_id": org.app.client_id, "client_secret": org.app.client_secret}
    token = (await api.post("/services/oauth2/token", data=form)).json()["access_token"]
    api.headers["Authorization"] = f"Bearer {token}"


# ------------------------------------------------------------------------------------------------ results


async def test_results_come_in_sets_whose_locators_can_be_used_again(org: Org, api: httpx.AsyncClient) -> None:
    """As many rows as maxRecords says, each set with a header, the last with the locator `null`."""
    created = leads(org, 5)
    path = f"jobs/query/{(await submit(api))['id']}/results"
    first = await api.get(path, params={"maxRecords": 2})
    assert (first.headers["Sforce-NumberOfRecords"], first.headers["Sforce-Locator"]) == ("2", "Mg")
    second = await api.get(path, params={"maxRecords": 2, "locator": "Mg"})
    assert second.text == f'"Id","LastName"\n"{created[2]}","2"\n"{created[3]}","3"\n'
    assert (await api.get(path, params={"maxRecords": 2, "locator": "Mg"})).text == second.text
    last = await api.get(path, params={"maxRecords": 2, "locator": second.headers["Sforce-Locator"]})
    assert (last.headers["Sforce-NumberOfRecords"], last.headers["Sforce-Locator"]) == ("1", "null")
    for nonsense in ("OTk", "?", "bm9wZQ"):
        refused = await api.get(path, params={"locator": nonsense})
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")
    assert (await api.get(path, params={"maxRecords": "many"})).status_code == 400


async def test_the_org_may_send_fewer_rows_than_asked_for(org: Org, api: httpx.AsyncClient) -> None:
    """A set has no more than the org likes, and nothing is lost by it."""
    created = leads(org, 5)
    org.bulk.settings.set_rows = 2
    job = await submit(api)
    answer = await api.get(f"jobs/query/{job['id']}/results", params={"maxRecords": 4})
    assert answer.headers["Sforce-NumberOfRecords"] == "2"
    assert [row["Id"] for row in await rows(api, job)] == created


async def test_result_pages_link_to_every_set(org: Org, api: httpx.AsyncClient) -> None:
    """Five links at a time, and the next five under nextRecordsUrl, whose path is spelled resultpages."""
    created = leads(org, 13)
    org.bulk.settings.set_rows = 2
    job = await submit(api)
    first = (await api.get(f"jobs/query/{job['id']}/resultPages")).json()
    assert (len(first["resultPages"]), first["done"]) == (5, False)
    assert first["nextRecordsUrl"] == f"/jobs/query/{job['id']}/resultpages?locator=MTA"
    second = (await api.get(first["nextRecordsUrl"].removeprefix("/"))).json()
    assert (len(second["resultPages"]), second["done"], second["nextRecordsUrl"]) == (2, True, None)
    found = []
    for link in (*first["resultPages"], *second["resultPages"]):
        text = (await api.get(link["resultLink"].removeprefix("/"))).text
        found += [row["Id"] for row in csv.DictReader(io.StringIO(text))]
    assert found == created


async def test_a_job_that_found_nothing_has_a_header(org: Org, api: httpx.AsyncClient) -> None:
    """No rows, the locator `null`, and one result page."""
    job = await submit(api)
    results = await api.get(f"jobs/query/{job['id']}/results")
    assert results.text == '"Id","LastName"\n'
    assert (results.headers["Sforce-NumberOfRecords"], results.headers["Sforce-Locator"]) == ("0", "null")
    assert len((await api.get(f"jobs/query/{job['id']}/resultPages")).json()["resultPages"]) == 1


async def test_values_are_written_as_bulk_writes_them(org: Org, api: httpx.AsyncClient) -> None:
    """Everything quoted, quotes doubled, null empty, date-times in Z, parents by their path; in the SELECT's order."""
    account = org.insert(
        "Account", Name='Say "cheese",\nplease', AnnualRevenue=12, NumberOfEmployees=3, OwnerId=org.people[0]
    )
    soql = "SELECT Owner.Name, id, Name, AnnualRevenue, NumberOfEmployees, CreatedDate, Phone, IsDeleted FROM Account"
    job = await submit(api, soql)
    text = (await api.get(f"jobs/query/{job['id']}/results")).text
    header, _, row = text.partition("\n")
    assert header == ('"Owner.Name","Id","Name","AnnualRevenue","NumberOfEmployees","CreatedDate","Phone","IsDeleted"')
    assert row == (
        f'"Ada Okafor","{account}","Say ""cheese"",\nplease","12.0","3","2026-11-21T10:00:30.000Z","","false"\n'
    )
    opportunity = {"Name": "o", "StageName": "Prospecting", "CloseDate": "2026-12-01"}
    org.insert("Opportunity", **opportunity)
    assert (await rows(api, await submit(api, "SELECT CloseDate FROM Opportunity"))) == [{"CloseDate": "2026-12-01"}]


async def test_a_client_chooses_the_delimiter_and_the_line_end(org: Org, api: httpx.AsyncClient) -> None:
    """A delimiter that stands in a value is harmless, since all values are quoted."""
    org.insert("Lead", LastName="a|b", Company="c")
    job = await submit(api, "SELECT LastName, Company FROM Lead", columnDelimiter="PIPE", lineEnding="CRLF")
    assert (job["columnDelimiter"], job["lineEnding"]) == ("PIPE", "CRLF")
    text = (await api.get(f"jobs/query/{job['id']}/results")).text
    assert text == '"LastName"|"Company"\r\n"a|b"|"c"\r\n'


async def test_old_versions_order_columns_by_name(org: Org, api: httpx.AsyncClient) -> None:
    """Until version 49; from 50 on as selected. And before version 47 there are no query jobs."""
    asked = {"operation": "query", "query": "SELECT LastName, Id, Company FROM Lead"}
    job = (await api.post("/services/data/v49.0/jobs/query", json=asked)).json()
    text = (await api.get(f"/services/data/v49.0/jobs/query/{job['id']}/results")).text
    assert text == '"Company","Id","LastName"\n'
    assert (await api.post("/services/data/v46.0/jobs/query", json=asked)).status_code == 404


async def test_results_are_for_the_version_that_created_the_job(org: Org, api: httpx.AsyncClient) -> None:
    """409 for any other, for its particulars 200."""
    job = await submit(api)
    for path in ("results", "resultPages"):
        refused = await api.get(f"/services/data/v65.0/jobs/query/{job['id']}/{path}")
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (409, "CONFLICT")
    assert (await api.get(f"/services/data/v65.0/jobs/query/{job['id']}")).json()["apiVersion"] == 66.0


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        ({"query": "SELECT Id, Address FROM Lead"}, "API_ERROR", "Selecting compound data not supported in Bulk Query"),
        ({"query": "SELECT COUNT() FROM Lead"}, "API_ERROR", "Aggregate functions not supported"),
        ({"query": "SELECT Id FROM Lead LIMIT 5 OFFSET 5"}, "API_ERROR", "OFFSET not supported"),
        (
            {"query": "SELECT Id, (SELECT Id FROM Contacts) FROM Account"},
            "API_ERROR",
            "Aggregate Relationships not supported in Bulk V2 Query with CSV content type.",
        ),
        ({"query": "SELECT FIELDS(ALL) FROM Lead LIMIT 5"}, "MALFORMED_QUERY", "unbounded set of fields"),
        ({"query": "SELECT Status, COUNT(Id) FROM Lead GROUP BY Status"}, "MALFORMED_QUERY", "unexpected token"),
        ({"query": "SELECT Nope FROM Lead"}, "INVALID_FIELD", "No such column 'Nope' on entity 'Lead'"),
        ({"query": "SELECT Id FROM Nope"}, "INVALID_TYPE", "sObject type 'Nope' is not supported"),
        ({"query": "SELECT Id FROM Campaign"}, "INVALIDENTITY", "is not supported by the Bulk API"),
        ({"query": "SELECT Id FROM Task"}, "API_ERROR", "Implementation restriction"),
        ({"query": ""}, "MALFORMED_QUERY", "SOQL statements cannot be empty or null"),
        ({"operation": "insert", "query": LEADS}, "JSON_PARSER_ERROR", "\"operation\" from 'insert'"),
        ({"columnDelimiter": "DOT", "query": LEADS}, "JSON_PARSER_ERROR", "\"columnDelimiter\" from 'DOT'"),
        ({"contentType": "JSON", "query": LEADS}, "JSON_PARSER_ERROR", "\"contentType\" from 'JSON'"),
        ({"object": "Lead", "query": LEADS}, "JSON_PARSER_ERROR", 'Unrecognized field "object"'),
    ],
)
async def test_a_query_that_bulk_does_not_take_makes_no_job(
    org: Org, api: httpx.AsyncClient, asked: dict[str, str], code: str, message: str
) -> None:
    """400 at once, with a code and the reason."""
    await api.post("/simulator/bulk", json={"unsupported": ["Campaign"], "restricted": ["Task"]})
    refused = await api.post("jobs/query", json={"operation": "query", **asked})
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, code)
    assert message in refused.json()[0]["message"]
    assert (await api.get("jobs/query")).json() == {"done": True, "nextRecordsUrl": None, "records": []}


def test_base64_fields_are_refused(org: Org) -> None:
    """No object of this org has one, but one of a test may."""
    lead = org.storage.types["Lead"]
    body = Field(name="Body", type="base64", label="Body")
    with_body = replace(lead, fields={**lead.fields, "Body": body})

    class Source(Org):
        def type(self, name: str) -> ObjectType | None:
            return with_body

    planned = query.plan("SELECT Id, Body FROM Lead", Source(clock=org.clock))
    with pytest.raises(ApiError, match="Blob field not supported"):
        bulk_csv.check(planned)


async def test_there_are_ten_thousand_jobs_a_day(org: Org, api: httpx.AsyncClient) -> None:
    """LIMIT_EXCEEDED until the first is 24 hours old; deleting one gives nothing back; /limits tells of it."""
    org.bulk.settings.jobs_a_day = 2
    job = await submit(api)
    org.clock.advance(60)
    await submit(api)
    await api.delete(f"jobs/query/{job['id']}")
    refused = await api.post("jobs/query", json={"operation": "query", "query": LEADS})
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "LIMIT_EXCEEDED")
    assert refused.json()[0]["message"] == "Max bulk v2 query jobs (2) per 24 hrs has been reached"
    assert (await api.get("limits")).json()["DailyBulkV2QueryJobs"] == {"Max": 10000, "Remaining": 9998}
    org.clock.advance(24 * 3600 - 60)
    await log_in_again(org, api)
    assert (await api.post("jobs/query", json={"operation": "query", "query": LEADS})).status_code == 200


async def test_jobs_are_listed(org: Org, api: httpx.AsyncClient) -> None:
    """A thousand at a time; of other types there are none."""
    made = [await submit(api)]
    made += [{"id": org.bulk.create(org.bulk.find(made[0]["id"]).wish).id} for _ in range(1000)]
    first = (await api.get("jobs/query", params={"jobType": "V2Query"})).json()
    assert (first["done"], len(first["records"])) == (False, 1000)
    assert first["records"][0]["jobType"] == "V2Query"
    rest = (await api.get(first["nextRecordsUrl"])).json()
    assert (rest["done"], rest["nextRecordsUrl"]) == (True, None)
    assert [each["id"] for each in first["records"] + rest["records"]] == [each["id"] for each in made]
    assert (await api.get("jobs/query", params={"jobType": "Classic"})).json()["records"] == []


async def test_every_request_about_a_job_is_an_api_call(org: Org, api: httpx.AsyncClient) -> None:
    """Creating, looking and fetching."""
    before = org.meter.used(org.clock.now())
    job = await submit(api)
    await state(api, job)
    await rows(api, job)
    assert org.meter.used(org.clock.now()) - before == 3


async def test_the_weather_knows_what_a_job_is_about(org: Org, api: httpx.AsyncClient) -> None:
    """A fault for leads strikes their jobs, from creation to results, and no others."""
    job, other = await submit(api), await submit(api, "SELECT Id FROM Account")
    for method, path in (("POST", "jobs/query"), ("GET", f"jobs/query/{job['id']}/results")):
        org.weather.arm("SERVER_UNAVAILABLE", object="Lead")
        body = {"operation": "query", "query": LEADS}
        assert (await api.get(f"jobs/query/{other['id']}")).status_code == 200
        assert (await api.request(method, path, json=body)).status_code == 503


async def test_the_control_api_tells_and_changes_how_jobs_are_treated(org: Org, api: httpx.AsyncClient) -> None:
    """What is not said stays as it was; nonsense changes nothing."""
    told = (await api.post("/simulator/bulk", json={"queue_seconds": 2.5, "unsupported": ["Lead"]})).json()
    assert (told["queue_seconds"], told["unsupported"], told["set_rows"]) == (2.5, ["Lead"], 50_000)
    for nonsense in ({"queue_seconds": -1}, {"speed": 2}, {"set_rows": 0}):
        refused = await api.post("/simulator/bulk", json=nonsense)
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_INPUT")
    assert (await api.get("/simulator/bulk")).json() == told


async def test_many_records_are_created_by_one_statement(org: Org, api: httpx.AsyncClient) -> None:
    """In one transaction, with one stamp; the ids come back in order."""
    statement = {
        "do": "insert_many",
        "object": "Lead",
        "records": [{"LastName": str(number), "Company": "c"} for number in range(3000)],
    }
    made = (await api.post("/simulator/statements", json=statement)).json()["result"]
    assert [row["Id"] for row in await rows(api, await submit(api))] == made
