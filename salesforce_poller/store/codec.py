"""An Event as one text in the ``events`` table, and back. Pure.

The first line is JSON of everything but the record's fields; they are the second line, JSON as well, where there are
any. Older stores have events of one line, the fields among the rest. The stored form is ours alone; what sinks get is
dressed by ``delivery/envelope.py``, which takes the second line over as it stands: most of what an event is need never
be read on its way through.
"""

import functools
from datetime import datetime
from typing import Any

import orjson

from salesforce_poller.fields import Unread, pack
from salesforce_poller.model import Alert, Event, Fields, Gap, Kind

_KINDS = {kind.value: kind for kind in Kind}
_instant = datetime.fromisoformat
_written = functools.lru_cache(maxsize=1024)(datetime.isoformat)  # the events of a page have few instants


def compact(written: bytes) -> bytes:
    """Return a copy of what orjson wrote, for whoever keeps many: orjson's own stays as large as its buffer, 8 KB."""
    return bytes(memoryview(written))


def as_it_stands(value: Any) -> orjson.Fragment:
    """Have ``orjson.dumps`` take over fields that nobody has read: its ``default``."""
    if isinstance(value, Unread):
        return orjson.Fragment(value.text)
    raise TypeError(f"{type(value).__name__} is nothing that an event is made of")


def dump_event(event: Event) -> bytes:
    """Write an event."""
    head = {
        "id": event.id,
        "kind": str(event.kind),
        "org": event.org,
        "source": event.source,
        "object": event.object,
        "record_id": event.record_id,
        "time": _written(event.time),
        "observed_at": _written(event.observed_at),
        "changed": event.changed,
        "previous": event.previous,
        "merged_into": event.merged_into,
        "changed_by": event.changed_by,
        "gap": event.gap,
        "alert": event.alert,
    }
    written, fields = orjson.dumps(head), text_of(event.record)
    return written if fields is None else b"%b\n%b" % (written, fields)


def load_event(body: str) -> Event:
    """Read an event."""
    head, _, fields = body.partition("\n")
    return _event(head, orjson.loads(fields) if fields else None)


def glance(body: str) -> Event:
    """Read an event but for its record's fields, which are read when somebody looks."""
    head, _, fields = body.partition("\n")
    return _event(head, Unread(fields) if fields else None)


def _event(head: str, record: Fields | None) -> Event:
    data: dict[str, Any] = orjson.loads(head)
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
        record=data.get("record") if record is None else record,
        changed=None if changed is None else tuple(changed),
        previous=data["previous"],
        merged_into=data["merged_into"],
        changed_by=data["changed_by"],
        gap=gap and Gap(gap["what"], _instant(gap["since"]), _instant(gap["until"]), gap["why"]),
        alert=alert and Alert(alert["sink"], alert["what"], _instant(alert["since"]), alert["detail"]),
    )


def as_read(event: Event) -> Event:
    """Return an event as :func:`glance` finds it once it is written."""
    previous = event.previous
    if type(event.record) is Unread and event.changed is None and previous is None:
        return event
    return Event(  # in the order of its fields, which takes half as long as by their names
        event.id,
        event.kind,
        event.org,
        event.source,
        event.object,
        event.record_id,
        event.time,
        event.observed_at,
        load_fields(text_of(event.record)),
        None if event.changed is None else tuple(event.changed),
        # Values of any type; JSON knows fewer of them.
        None if previous is None else orjson.loads(orjson.dumps(previous)),
        event.merged_into,
        event.changed_by,
        event.gap,
        event.alert,
    )


def text_of(fields: Fields | None) -> bytes | None:
    """Write a record's fields (JSON, UTF-8), or say how they were written; null stays null."""
    if fields is None:
        return None
    return fields.as_bytes() if type(fields) is Unread else pack(fields).as_bytes()


def load_fields(text: bytes | str | None) -> Unread | None:
    """Return a record's fields, which are read when somebody looks."""
    return None if text is None else Unread(text)
