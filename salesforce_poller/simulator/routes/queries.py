"""Query, QueryAll and Query More Results.

Called through `rest`; the SOQL itself is in `query`, the locators in `cursors`. Sources: REST API Developer Guide,
Query, QueryAll and "Query Options Header".
"""

import re
from typing import Any

from salesforce_poller.simulator import query as soql
from salesforce_poller.simulator.call import Answer, Call
from salesforce_poller.simulator.cursors import Cursor
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org

DEFAULT_PAGE = 2000
SMALLEST_PAGE = 200
LARGEST_PAGE = 2000


def query(org: Org, call: Call) -> Answer:
    """Live records."""
    return _run(org, call, deleted=False)


def query_all(org: Org, call: Call) -> Answer:
    """Live records, and deleted and merged ones."""
    return _run(org, call, deleted=True)


def more(org: Org, call: Call, locator: str) -> Answer:
    """The next page of an earlier query, in the mode in which it was begun; raises INVALID_QUERY_LOCATOR."""
    cursor, offset = org.cursors.find(call.user_id, locator, org.clock.now())
    return _page(org, call, cursor, offset)


def _run(org: Org, call: Call, *, deleted: bool) -> Answer:
    text = call.params.get("q")
    if not text:
        raise ApiError(400, "MALFORMED_QUERY", "SOQL statements cannot be empty or null")
    plan = soql.plan(text, org)
    now = org.clock.now()
    if plan.query.count:
        total = soql.count(plan, org, deleted=deleted, now=now)
        return Answer(body={"totalSize": total, "done": True, "records": []})
    record_ids = soql.select_ids(plan, org, deleted=deleted, now=now, rng=org.rng)
    size = soql.page_size(plan, _requested_page(call))
    if len(record_ids) > size:
        cursor = org.cursors.open(call.user_id, plan, record_ids, deleted=deleted, page_size=size, now=now)
        return _page(org, call, cursor, 0)
    records = soql.render(plan, org, record_ids, deleted=deleted, version=call.version, now=now)
    return Answer(body={"totalSize": len(record_ids), "done": True, "records": records})


def _page(org: Org, call: Call, cursor: Cursor, offset: int) -> Answer:
    """A page with today's values of yesterday's rows: what is gone by now is missing from it."""
    end = offset + cursor.page_size
    page_ids = cursor.record_ids[offset:end]
    now = org.clock.now()
    records = soql.render(cursor.plan, org, page_ids, deleted=cursor.deleted, version=call.version, now=now)
    total = len(cursor.record_ids)
    body: dict[str, Any] = {"totalSize": total, "done": end >= total}
    if end < total:
        body["nextRecordsUrl"] = f"{call.root}/query/{cursor.id}-{end}"
    return Answer(body={**body, "records": records})


def _requested_page(call: Call) -> int:
    """The batchSize of Sforce-Query-Options, within its bounds; raises INVALID_BATCH_SIZE for what is no number."""
    options = call.headers.get("sforce-query-options")
    if options is None:
        return DEFAULT_PAGE
    found = re.search(r"batchSize\s*=\s*(\d+)", options, re.IGNORECASE)
    if found is None:
        raise ApiError(400, "INVALID_BATCH_SIZE", f"Invalid value for header Sforce-Query-Options: {options}")
    return max(SMALLEST_PAGE, min(LARGEST_PAGE, int(found[1])))
