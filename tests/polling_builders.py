"""Good examples of what polling thinks about: rows, sightings, marks, schemas. Name only what the test is about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from salesforce_poller.fields import pack
from salesforce_poller.model import Record, Sighting, Watermarks, Window
from salesforce_poller.polling import fingerprint
from salesforce_poller.polling.schema import Schema

#: When the example feed was started, by the org's clock.
STARTED = datetime(2026, 11, 21, 9, 0, 0, tzinfo=UTC)
#: Everything stamped before this is settled in the example feed.
SETTLED = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
LEAD = "00Q5g00000AbCdEEAV"
OTHER_LEAD = "00Q5g00000XyZaBEAV"


def at(text: str) -> datetime:
    """Return a time of the example day: ``at("10:00:05")``."""
    return datetime.fromisoformat(f"2026-11-21T{text}+00:00")


def a_lead(**overrides: Any) -> dict[str, Any]:
    """Return the visible fields of a lead."""
    return {"Id": LEAD, "Name": "Ann Example", "Status": "Open", "Score__c": 10, "Owner": {"Name": "Olga"}} | overrides


def a_record(**overrides: Any) -> Record:
    """Return a row as it was last seen; ``fields`` are laid over those of :func:`a_lead`."""
    example: dict[str, Any] = {
        "id": LEAD,
        "stamp": at("10:00:05"),
        "created": at("08:00:00"),
        "deleted": False,
        "merged_into": None,
        "changed_by": "0055g000001XyZAAA0",
    }
    fields = a_lead(**{"Id": overrides.get("id", LEAD)} | overrides.pop("fields", {}))
    return Record(**example | {"fields": pack(fields)} | overrides)


def a_sighting(**overrides: Any) -> Sighting:
    """Return what is remembered of the row of :func:`a_record`."""
    if "fields" in overrides and overrides["fields"] is not None:
        overrides["fields"] = a_lead(**overrides["fields"])
    example: dict[str, Any] = {
        "record_id": LEAD,
        "stamp": at("10:00:05"),
        "deleted": False,
        "merged_into": None,
        "fields": a_lead(),
    }
    example |= overrides
    return Sighting(**{"digest": fingerprint.digest(example["fields"] or {})} | example)


def some_marks(**overrides: Any) -> Watermarks:
    """Return the marks of a feed that was started at nine and is settled through ten o'clock."""
    example: dict[str, Any] = {
        "seen_through": SETTLED + timedelta(seconds=30),
        "settled_through": SETTLED,
        "deleted_through": SETTLED,
        "started_at": STARTED,
        "backfill_until": STARTED,
    }
    return Watermarks(**example | overrides)


def a_schema(**overrides: Any) -> Schema:
    """Return how the example feed reads leads."""
    visible = ("Id", "Name", "Status", "Score__c", "Owner.Name")
    example: dict[str, Any] = {
        "object": "Lead",
        "stamp_field": "SystemModstamp",
        "select": (*visible, "SystemModstamp", "CreatedDate", "IsDeleted", "MasterRecordId", "LastModifiedById"),
        "visible": visible,
        "derived": frozenset({"Score__c", "Owner.Name"}),
        "replicateable": True,
        "key_prefix": "00Q",
        "dropped": (),
    }
    return Schema(**example | overrides)


def a_window(**overrides: Any) -> Window:
    """Return a question about leads."""
    schema = a_schema()
    example: dict[str, Any] = {
        "object": "Lead",
        "select": schema.select,
        "visible": schema.visible,
        "stamp_field": "SystemModstamp",
        "since": SETTLED,
    }
    return Window(**example | overrides)
