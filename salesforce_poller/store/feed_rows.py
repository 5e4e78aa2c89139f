"""Feeds and sightings as rows, and back. Used by ``feeds.py``."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from salesforce_poller.model import Sighting, Watermarks
from salesforce_poller.store import codec, many, versions
from salesforce_poller.store.tables import milliseconds
from salesforce_poller.store.versions import Step


def marks_of(row: Row[Any]) -> Watermarks:
    """Return how far a feed is read."""
    after = None if row.backfill_after_id is None else (row.backfill_after_stamp, row.backfill_after_id)
    return Watermarks(
        seen_through=row.seen_through,
        settled_through=row.settled_through,
        deleted_through=row.deleted_through,
        started_at=row.started_at,
        organization_id=row.organization_id,
        backfill_until=row.backfill_until,
        backfill_after=after,
        backfill_since=row.backfill_since,
        backfill_done=row.backfill_done,
        backfill_job=row.backfill_job,
        backfill_locator=row.backfill_locator,
        backfill_rows=row.backfill_rows,
        backfill_total=row.backfill_total,
        reconciled_at=row.reconciled_at,
        primed=row.primed,
        version=row.version,
    )


def row_of(marks: Watermarks, step: Step | None) -> Mapping[str, Any]:
    """Return the columns of a feed that a commit writes; ``step`` names it."""
    stamp, record_id = marks.backfill_after or (None, None)
    return {
        "seen_through": marks.seen_through,
        "settled_through": marks.settled_through,
        "deleted_through": marks.deleted_through,
        "started_at": marks.started_at,
        "organization_id": marks.organization_id,
        "backfill_until": marks.backfill_until,
        "backfill_since": marks.backfill_since,
        "backfill_after_stamp": stamp,
        "backfill_after_id": record_id,
        "backfill_done": marks.backfill_done,
        "backfill_job": marks.backfill_job,
        "backfill_locator": marks.backfill_locator,
        "backfill_rows": marks.backfill_rows,
        "backfill_total": marks.backfill_total,
        "reconciled_at": marks.reconciled_at,
        "primed": marks.primed,
        "version": step.becomes if step else versions.drawn(),
    }


def sighting_of(row: Row[Any]) -> Sighting:
    """Return what is remembered of a record."""
    return Sighting(row.record_id, row.stamp, row.digest, row.deleted, row.merged_into, codec.load_fields(row.fields))


def sighting_row(feed_id: int, seen: Sighting) -> many.Row:
    """Return a whole row, as ``many.py`` takes it."""
    stamp, fields = milliseconds(seen.stamp), codec.text_of(seen.fields)
    return feed_id, seen.record_id, stamp, seen.digest, seen.deleted, seen.merged_into, fields
