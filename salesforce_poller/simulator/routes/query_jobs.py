"""Bulk API 2.0 query jobs over HTTP: create, look, fetch results, abort, delete, list.

Called through `rest`; the jobs themselves are in `bulk`. Sources: Bulk API 2.0 Developer Guide, "Create a Query Job",
"Get Information About a Query Job", "Get Results for a Query Job", "Get Parallel Results for a Query Job", "Abort a
Query Job", "Delete a Query Job", "Get Information About All Query Jobs".
"""

import base64
import binascii
from collections.abc import Container
from typing import Any

from salesforce_poller.simulator import bulk_csv, errors
from salesforce_poller.simulator.bulk import Job, Wish
from salesforce_poller.simulator.call import Answer, Call
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.query_render import show_instant

FIRST_VERSION = 47.0
OPERATIONS = ("query", "queryAll")
KNOWN = ("operation", "query", "contentType", "columnDelimiter", "lineEnding")
CSV_TYPE = "text/csv;charset=UTF-8"
LINKS = 5
"""Result links in one answer of resultPages."""
LISTED = 1_000
"""Jobs in one page of the list."""


def create(org: Org, call: Call) -> Answer:
    """Put a query into the queue; raises JSON_PARSER_ERROR and what `Bulk.create` raises."""
    _check_version(call)
    body = call.json_object()
    for key in body:
        if key not in KNOWN:
            raise ApiError(400, "JSON_PARSER_ERROR", f'Unrecognized field "{key}" at [line:1, column:1]')
    _choice(body, "contentType", ("CSV",), default="CSV")
    text = body.get("query")
    if not isinstance(text, str) or not text:
        raise ApiError(400, "MALFORMED_QUERY", "SOQL statements cannot be empty or null")
    wish = Wish(
        text=text,
        operation=_choice(body, "operation", OPERATIONS),
        version=call.version,
        delimiter=_choice(body, "columnDelimiter", bulk_csv.DELIMITERS, default="COMMA"),
        line_end=_choice(body, "lineEnding", bulk_csv.LINE_ENDS, default="LF"),
        user_id=call.user_id,
    )
    job = org.bulk.create(wish)
    return Answer(body={**_brief(org, job), "state": "UploadComplete"})  # even of a job that takes no time


def listing(org: Org, call: Call) -> Answer:
    """The query jobs of the last seven days, a thousand at a time."""
    _check_version(call)
    wanted = call.params.get("jobType", "V2Query") == "V2Query"
    jobs = org.bulk.all() if wanted else []
    first = _offset(call.params.get("queryLocator"))
    shown = [{**_brief(org, job), "jobType": "V2Query"} for job in jobs[first : first + LISTED]]
    following = first + LISTED if first + LISTED < len(jobs) else None
    url = None if following is None else f"{call.root}/jobs/query?queryLocator={_locator(following)}"
    return Answer(body={"done": url is None, "nextRecordsUrl": url, "records": shown})


def read(org: Org, call: Call, job_id: str) -> Answer:
    """One job, in full."""
    _check_version(call)
    job = org.bulk.find(job_id)
    now = org.clock.now()
    state = job.state(now)
    ran_ms = int((min(now, job.ends_at) - job.starts_at).total_seconds() * 1000)
    details: dict[str, Any] = {
        "jobType": "V2Query",
        "numberRecordsProcessed": len(job.table.lines) if state == "JobComplete" else 0,
        "retries": 0,
        "totalProcessingTime": ran_ms if state in ("InProgress", "JobComplete", "Failed") else 0,
        "isPkChunkingSupported": True,
    }
    if state == "Failed":
        details["errorMessage"] = job.failure
    return Answer(body={**_brief(org, job), **details})


def change(org: Org, call: Call, job_id: str) -> Answer:
    """Abort a job, which is the only change there is."""
    _check_version(call)
    _choice(call.json_object(), "state", ("Aborted",))
    job = org.bulk.find(job_id)
    org.bulk.abort(job)
    return Answer(body=_brief(org, job))


def delete(org: Org, call: Call, job_id: str) -> Answer:
    """Forget a job that has ended."""
    _check_version(call)
    org.bulk.delete(org.bulk.find(job_id))
    return Answer(204)


def results(org: Org, call: Call, job_id: str) -> Answer:
    """A set of results. While there is none: 204, as older editions of the guide have it; newer ones are silent."""
    job = _finished(org, call, job_id)
    if job is None:
        return Answer(204)
    first = _offset(call.params.get("locator"))
    most = _most(call, org.bulk.settings.set_rows)
    if first and first >= len(job.table.lines):
        raise _no_such_locator()
    text, count = job.table.cut(first, most)
    end = first + count
    headers = {
        "Sforce-NumberOfRecords": str(count),
        "Sforce-Locator": _locator(end) if end < len(job.table.lines) else "null",
    }
    return Answer(body=text, headers=headers, media_type=CSV_TYPE)


def result_pages(org: Org, call: Call, job_id: str) -> Answer:
    """Links to sets of results, which may be fetched side by side; five at a time."""
    job = _finished(org, call, job_id)
    if job is None:
        return Answer(204)
    first, rows = _offset(call.params.get("locator")), org.bulk.settings.set_rows
    total = max(len(job.table.lines), 1)  # a job that found nothing has a set too, with a header in it
    starts = range(first, min(first + LINKS * rows, total), rows)
    following = first + LINKS * rows
    links = [{"resultLink": f"/jobs/query/{job.id}/results?locator={_locator(each)}"} for each in starts]
    done = following >= total
    more = None if done else f"/jobs/query/{job.id}/resultpages?locator={_locator(following)}"
    return Answer(body={"resultPages": links, "nextRecordsUrl": more, "done": done})


def _finished(org: Org, call: Call, job_id: str) -> Job | None:
    """The job, when it has results; raises CONFLICT for a call by another version than the one that created it."""
    _check_version(call)
    job = org.bulk.find(job_id)
    if job.wish.version != call.version:
        message = f"The job was created with API version {job.wish.version}, not {call.version}"
        raise ApiError(409, "CONFLICT", message)
    return job if job.state(org.clock.now()) == "JobComplete" else None


def _brief(org: Org, job: Job) -> dict[str, Any]:
    """What every answer about a job has."""
    now = org.clock.now()
    return {
        "id": job.id,
        "operation": job.wish.operation,
        "object": job.object,
        "createdById": job.wish.user_id,
        "createdDate": show_instant(job.created_at),
        "systemModstamp": show_instant(job.changed_at(now)),
        "state": job.state(now),
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": float(job.wish.version),
        "lineEnding": job.wish.line_end,
        "columnDelimiter": job.wish.delimiter,
    }


def _check_version(call: Call) -> None:
    if float(call.version) < FIRST_VERSION:
        raise errors.not_found()


def _choice(body: dict[str, Any], key: str, allowed: Container[str], *, default: str | None = None) -> str:
    """The value of a key, which must be one of these; raises JSON_PARSER_ERROR."""
    value = body.get(key, default)
    if not isinstance(value, str) or value not in allowed:
        message = f'Cannot deserialize value for "{key}" from {value!r} at [line:1, column:1]'
        raise ApiError(400, "JSON_PARSER_ERROR", message)
    return value


def _most(call: Call, limit: int) -> int:
    """How many rows the client wants, within the limit; raises API_ERROR for what is no number."""
    asked = call.params.get("maxRecords", str(limit))
    if not asked.isdigit() or int(asked) == 0:
        raise ApiError(400, "API_ERROR", f"maxRecords must be a positive number: {asked}")
    return min(int(asked), limit)


def _locator(first: int) -> str:
    """A row's number as Salesforce writes it: MTAwMDA for 10000."""
    return base64.urlsafe_b64encode(str(first).encode()).decode().rstrip("=")


def _offset(locator: str | None) -> int:
    """And back; 0 without a locator; raises INVALID_QUERY_LOCATOR."""
    if locator is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)))
    except (binascii.Error, ValueError):
        raise _no_such_locator() from None


def _no_such_locator() -> ApiError:
    return ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
