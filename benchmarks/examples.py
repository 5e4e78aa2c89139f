"""The events that benchmarks deliver: what `sinks.py` and `webhooks.py` measure is the same load."""

from datetime import UTC, datetime

from salesforce_poller.model import Event, Kind

START = datetime(2026, 11, 21, 10, tzinfo=UTC)


def an_update(number: int) -> Event:
    """Return an update of a record of its own, about one kilobyte as JSON."""
    record_id = f"00Q{number + 1:012d}AAA"
    return Event(
        id=f"{number + 1:032x}",
        kind=Kind.UPDATED,
        org="acme",
        source="urn:salesforce:00D000000000000AAA",
        object="Lead",
        record_id=record_id,
        time=START,
        observed_at=START,
        record={"Id": record_id, "Description": "x" * 500},
        changed=("Description",),
        previous={"Description": "y" * 50},
    )
