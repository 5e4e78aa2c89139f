"""An Event as one JSON text in the ``events`` table, and back. Pure.

The stored form is ours alone; what sinks get is dressed by ``delivery/envelope.py``.
"""

from datetime import datetime
from typing import Any

import orjson

from salesforce_poller.model import Alert, Event, Fields, Gap, Kind

_KINDS = {kind.value: kind for kind in Kind}
_instant = datetime.fromisoformat


def dump_event(event: Event) -> str:
    """Write an event."""
    # orjson knows dataclasses; asdict() would copy every value first, and take most of the time of a page.
    return orjson.dumps(event).decode()


def load_event(body: str) -> Event:
    """Read an event."""
    data: dict[str, Any] = orjson.loads(body)
    changed, gap, alert = data["changed"], data["gap"], data.get("alert")  # older stores know no alerts
    return Event(
        id=data["id"],
        kind=_KINDS[data["kind"]],
        org=data["org"],
        source=data["source"],
        object=data["object"],
        record_id=data["record_id"],
        time=_instant(data["time"]),
        observed_at=_instant(data["observed_at"]),
        record=data["record"],
        changed=None if changed is None else tuple(changed),
        previous=data["previous"],
        merged_into=data["merged_into"],
        changed_by=data["changed_by"],
        gap=gap and Gap(gap["what"], _instant(gap["since"]), _instant(gap["until"]), gap["why"]),
        alert=alert and Alert(alert["sink"], alert["what"], _instant(alert["since"]), alert["detail"]),
    )


def dump_fields(fields: Fields | None) -> str | None:
    """Write a record's fields; null stays null."""
    return None if fields is None else orjson.dumps(fields).decode()


def load_fields(text: str | None) -> Fields | None:
    """Read a record's fields."""
    return None if text is None else orjson.loads(text)
