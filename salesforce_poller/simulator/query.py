"""Answering SOQL: understand a query once, find the matching ids, then show pages of them.

Called by the server's query routes, in the order `plan`, `select_ids` (or `count`), `page_size`, `render`. The steps
live next door: `soql.py` reads the text, `query_plan.py` checks it against the catalogue, `query_filter.py` compiles
WHERE and ORDER BY, `query_render.py` builds the JSON.
"""

import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from salesforce_poller.simulator import query_filter, query_render
from salesforce_poller.simulator.query_plan import ChildRows, Plan, plan
from salesforce_poller.simulator.query_read import Row, Source
from salesforce_poller.simulator.schema import ObjectType
from salesforce_poller.simulator.soql_errors import SoqlError

__all__ = ["Plan", "SoqlError", "Source", "count", "page_size", "plan", "render", "render_row", "select_ids"]

LARGEST_PAGE = 2_000
SMALLEST_PAGE = 200
_SHRUNK_PAGES = (LARGEST_PAGE, 1_000, 500, 500, SMALLEST_PAGE)
"""Rows in a page, by how many long text fields and subqueries are selected. With one, 1,000 is what a real org
answered; the others are this simulator's: clients must not rely on any of them."""


def select_ids(plan: Plan, source: Source, *, deleted: bool, now: datetime, rng: random.Random) -> list[str]:
    """The ids of the rows a query finds, in order, after OFFSET and LIMIT.

    `deleted`: as /queryAll, with the recycle bin. Rows that ORDER BY does not tell apart come in a random order,
    another one each time, because Salesforce promises none (SOQL and SOSL Reference, "ORDER BY").
    """
    rows = _matching(plan, source, deleted=deleted, now=now)
    if not query_filter.is_total(plan):
        rng.shuffle(rows)
    query_filter.sort(rows, plan, source, now)
    return [row["Id"] for row in rows[plan.query.offset :][: plan.query.limit]]


def count(plan: Plan, source: Source, *, deleted: bool, now: datetime) -> int:
    """How many rows a SELECT COUNT() query finds; `plan.query.count` tells whether it is one."""
    found = len(_matching(plan, source, deleted=deleted, now=now))
    return found if plan.query.limit is None else min(found, plan.query.limit)


def render(
    plan: Plan, source: Source, ids: Sequence[str], *, deleted: bool, version: str, now: datetime
) -> list[dict[str, Any]]:
    """The rows of one page as they are now, in the order of the ids; rows that are gone are left out.

    `deleted` must be what it was for `select_ids`: a page of a plain query leaves out rows that were deleted meanwhile.
    """
    found = (source.get(plan.object.name, each) for each in ids)
    rows = [row for row in found if row is not None and (deleted or not row.get("IsDeleted"))]
    return query_render.Renderer(source, deleted=deleted, version=version, now=now).rows(plan, rows)


def page_size(plan: Plan, requested: int) -> int:
    """How many rows a page has: as requested, between 200 and 2,000; fewer with long texts or children.

    Source: REST API Developer Guide, "Query Options Header": the server may use fewer.
    """
    heavy = sum(isinstance(column, ChildRows) or column.field.long_text for column in plan.columns)
    largest = _SHRUNK_PAGES[min(heavy, len(_SHRUNK_PAGES) - 1)]
    return max(SMALLEST_PAGE, min(requested, largest))


def render_row(
    type_: ObjectType,
    row: Row,
    *,
    version: str,
    now: datetime,
    fields: Sequence[str] | None,
    hidden: frozenset[str],
) -> dict[str, Any]:
    """A record as GET /sobjects/X/id returns it; `fields` None means all the user can see.

    Raises SoqlError (INVALID_FIELD) for a field that does not exist or is hidden.
    """
    return query_render.record(type_, row, version=version, now=now, fields=fields, hidden=hidden)


def _matching(plan: Plan, source: Source, *, deleted: bool, now: datetime) -> list[Row]:
    matches = query_filter.matcher(plan, source, now)
    return [row for row in source.scan(plan.object.name, deleted=deleted) if matches(row)]
