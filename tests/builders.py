"""Good examples of the things that travel: name only what the test is about."""

from datetime import UTC, datetime
from typing import Any

from salesforce_poller.model import Delivery, Event, Kind, Watermarks

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def an_event(**overrides: Any) -> Event:
    """Return an update of a lead."""
    example: dict[str, Any] = {
        "id": "b1946ac92492d2347c6235b4d2611184",
        "kind": Kind.UPDATED,
        "org": "acme",
        "source": "urn:salesforce:00D5g000008abcdEAA",
        "object": "Lead",
        "record_id": "00Q5g00000AbCdEEAV",
        "time": datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC),
        "observed_at": datetime(2026, 11, 21, 10, 0, 12, 345000, tzinfo=UTC),
        "record": {"Id": "00Q5g00000AbCdEEAV", "Name": "Ann Example", "Status": "Working", "Owner": {"Name": "Ann"}},
        "changed": ("Status",),
        "previous": {"Status": "Open"},
        "changed_by": "0055g000001XyZAAA0",
    }
    return Event(**example | overrides)


def a_delivery(**overrides: Any) -> Delivery:
    """Return that event on its way to the sink ``crm``; overrides that a delivery does not know go to the event."""
    own = {
        name: overrides.pop(name)
        for name in ("sink", "position", "attempts", "first_tried_at", "replay")
        if name in overrides
    }
    example: dict[str, Any] = {"sink": "crm", "position": 42, "event": an_event(**overrides)}
    return Delivery(**example | own)


def watermarks(at: datetime = NOON) -> Watermarks:
    """Return the marks of a feed that has read everything up to ``at``."""
    return Watermarks(seen_through=at, settled_through=at, deleted_through=at, started_at=at, backfill_until=at)
