"""An Event as one JSON text in the ``events`` table, and back. Pure.

The stored form is ours alone; what sinks get is dressed by ``delivery/envelope.py``.
"""

from datetime import datetime
from typing import Any

import orjson

from salesforce_poller.model import Event, Fields, Gap, Kind


def dump_event(event: Event) -> str:
    """Write an event."""
    # orjson knows dataclasses; asdict() would copy every value first, and take most of the time of a page.
    return orjson.dumps(event).decode()


def load_event(body: str) -> Event:
    """Read an event."""
    data: dict[str, Any] = orjson.loads(body)
    gap = data["gap"]
    changed = data["changed"]
    return Event(
        **{
            **data,
            "kind": Kind(data["kind"]),
            "time": datetime.fromisoformat(data["time"]),
            "observed_at": datetime.fromisoformat(data["observed_at"]),
            "changed": None if changed is None else tuple(changed),
            "gap": gap
            and Gap(
                gap["what"], datetime.fromisoformat(gap["since"]), datetime.fromisoformat(gap["until"]), gap["why"]
            ),
        }
    )


def dump_fields(fields: Fields | None) -> str | None:
    """Write a record's fields; null stays null."""
    return None if fields is None else orjson.dumps(fields).decode()


def load_fields(text: str | None) -> Fields | None:
    """Read a record's fields."""
    return None if text is None else orjson.loads(text)
