"""An Event as one text in the ``events`` table, and back. Pure.

The first line is JSON of everything but the record's fields; they are the second line, JSON as well, where there are
any. Older stores have events of one line, the fields among the rest. The stored form is ours alone; what sinks get is
dressed by ``delivery/envelope.py``, which takes the second line over as it stands: most of what an event is need never
be read on its way through.
"""

import functools
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import orjson

from salesforce_poller.model import Alert, Event, Fields, Gap, Kind

_KINDS = {kind.value: kind for kind in Kind}
_instant = datetime.fromisoformat
_written = functools.lru_cache(maxsize=1024)(datetime.isoformat)  # the events of a page have few instants


class Unread(Mapping[str, Any]):
    """A record's fields as they are stored, read when somebody looks."""

    __slots__ = ("_read", "text")

    def __init__(self, text: bytes | str) -> None:
        #: JSON; as bytes where it was written just now.
        self.text = text
        self._read: Fields | None = None

    def fields(self) -> Fields:
        """Return them as they are when an event is read in full."""
        if self._read is None:
            self._read = orjson.loads(self.text)
        return self._read

    def __getitem__(self, name: str) -> Any:
        return self.fields()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields())

    def __len__(self) -> int:
        return len(self.fields())


def packed(fields: Fields) -> Unread:
    """Write a record's fields, for whoever stores them: as text they take half the memory."""
    return Unread(compact(orjson.dumps(fields, default=as_it_stands)))


def compact(written: bytes) -> bytes:
    """Return a copy of what orjson wrote, for whoever keeps many: orjson's own stays as large as its buffer, 8 KB."""
    return bytes(memoryview(written))


def as_it_stands(value: Any) -> orjson.Fragment:
    """Have ``orjson.dumps`` take over fields that nobody has read: its ``default``."""
    if isinstance(value, Unread):
        return orjson.Fragment(value.text)
    raise TypeError(f"{type(value).__name__} is nothing that an event is made of")


def dump_event(event: Event, fields: bytes | None) -> bytes:
    """Write an event; ``fields`` is its record's, written by :class:`Texts`."""
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
    written = orjson.dumps(head)
    return written if fields is None else b"%b\n%b" % (written, fields)


def load_event(body: str) -> Event:
    """Read an event."""
    head, _, fields = body.partition("\n")
    return _event(head, load_fields(fields or None))


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


def as_read(event: Event, fields: bytes | None) -> Event:
    """Return an event as :func:`glance` finds it once it is written, with ``fields`` as its record's text."""
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
        None if fields is None else Unread(fields),
        None if event.changed is None else tuple(event.changed),
        # Values of any type; JSON knows fewer of them.
        None if previous is None else orjson.loads(orjson.dumps(previous)),
        event.merged_into,
        event.changed_by,
        event.gap,
        event.alert,
    )


class Texts:
    """What fields were written as, once for all who write the same ones: a page's events and its sightings."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Fields, bytes]] = {}

    def of(self, fields: Fields | None) -> bytes | None:
        """Write a record's fields (JSON, UTF-8), or say how they were written; null stays null."""
        if fields is None:
            return None
        if isinstance(fields, Unread):
            return fields.text.encode() if isinstance(fields.text, str) else fields.text
        if known := self._known.get(id(fields)):
            return known[1]
        text = compact(orjson.dumps(fields, default=as_it_stands))
        self._known[id(fields)] = fields, text  # kept with it, so that nothing else can have its place in memory
        return text


def load_fields(text: str | None) -> Fields | None:
    """Read a record's fields."""
    return None if text is None else orjson.loads(text)
