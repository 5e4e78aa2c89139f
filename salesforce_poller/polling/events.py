"""Changes in, events out: gives each its id and its content. Pure.

Called by ``poller.py`` after ``diff.py`` has decided.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from hashlib import blake2b

from salesforce_poller.model import Event, Gap, Kind, Record, Sighting
from salesforce_poller.polling import diff, fingerprint
from salesforce_poller.polling.diff import Change

#: Between parts that have none in them.
_NUL = "\0"


@dataclass(frozen=True)
class Origin:
    """Where a feed's events come from."""

    #: The org's name in the configuration.
    org: str
    #: 18 characters.
    organization_id: str
    object: str

    @cached_property
    def source(self) -> str:
        """The CloudEvents source."""
        return f"urn:salesforce:{self.organization_id}"


def of_record(
    origin: Origin,
    change: Change,
    record: Record,
    sighting: Sighting | None,
    observed_at: datetime,
    *,
    seen: Sighting | None = None,
) -> Event:
    """Make the event of a change of a row that could be read; ``seen`` is ``diff.sight`` of it, where there is one."""
    before = sighting.fields if sighting else None
    known = before is not None and change.changed is not None
    return Event(  # in the order of its fields, which takes half as long as by their names
        event_id(origin, change, record.id, seen.digest if seen else diff.content_of(record, sighting)),
        change.kind,
        origin.org,
        origin.source,
        origin.object,
        record.id,
        change.time,
        observed_at,
        seen.fields if seen else record.fields,
        change.changed if known else None,
        fingerprint.nest(before or {}, change.changed or ()) if known else None,
        record.merged_into if change.kind is Kind.MERGED else None,
        record.changed_by,
    )


def of_vanished(
    origin: Origin, change: Change, record_id: str, sighting: Sighting | None, observed_at: datetime
) -> Event:
    """Make the event of a record that is gone for good; its state is the last one we saw, if we did."""
    return Event(
        id=event_id(origin, change, record_id, sighting.digest if sighting else ""),
        kind=change.kind,
        org=origin.org,
        source=origin.source,
        object=origin.object,
        record_id=record_id,
        time=change.time,
        observed_at=observed_at,
        record=sighting.fields if sighting else None,
    )


def of_gap(origin: Origin, gap: Gap, observed_at: datetime) -> Event:
    """Make the event that says what may have been missed."""
    parts = (origin.organization_id, origin.object, gap.what, gap.since.isoformat(), gap.until.isoformat())
    return Event(
        id=fingerprint.short_hash("gap", *parts),
        kind=Kind.GAP,
        org=origin.org,
        source=origin.source,
        object=origin.object,
        record_id=None,
        time=gap.until,
        observed_at=observed_at,
        gap=gap,
    )


def event_id(origin: Origin, change: Change, record_id: str, content: str) -> str:
    """Derive an event's id from org (the organisation, whatever it is called here), record, kind, stamp and content.

    The content is in it because a stamp is too coarse to tell two quick edits apart. 32 hexadecimal digits, of which
    the first eight are the stamp in seconds since 1970: ids of about the same time lie beside each other in whatever
    index holds them, ours and those of consumers, so that a page of rows touches few of its leaves.
    """
    seconds, time = _written(change.time)
    whole = _NUL.join((origin.organization_id, record_id, change.kind, time, content))
    return seconds + blake2b(whole.encode(), digest_size=12).hexdigest()


@lru_cache(maxsize=1024)  # rows that were changed together have their stamps in common
def _written(time: datetime) -> tuple[str, str]:
    """Return an instant as eight hexadecimal digits (seconds; after 2106 from the beginning again) and as text."""
    return f"{int(time.timestamp()) % 2**32:08x}", time.isoformat()
