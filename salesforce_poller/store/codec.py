"""An Event as one text in the ``events`` table, and back. Pure.

The first line is JSON of everything but the record's fields; they are the second line, JSON as well, where there are
any. Older stores have events of one line, the fields among the rest. The stored form is ours alone; what sinks get is
dressed by ``delivery/envelope.py``, which takes the second line over as it stands: most of what an event is need never
be read on its way through.
"""

from datetime import datetime

import msgspec

from salesforce_poller.fields import Unread, encode, pack
from salesforce_poller.model import Alert, Event, Fields, Gap, Kind


class _Head(msgspec.Struct, gc=False):
    """The first line, in its order."""

    id: str
    kind: Kind
    org: str
    source: str
    object: str
    record_id: str | None
    time: datetime
    observed_at: datetime
    changed: tuple[str, ...] | None
    previous: Fields | None
    merged_into: str | None
    changed_by: str | None
    gap: Gap | None
    #: Older stores know none.
    alert: Alert | None = None
    #: Only in older stores.
    record: Fields | msgspec.UnsetType | None = msgspec.UNSET


_read = msgspec.json.Decoder(_Head).decode


def dump_event(event: Event) -> bytes:
    """Write an event."""
    head = _Head(  # in the order of its places, which takes half as long as by their names
        event.id,
        event.kind,
        event.org,
        event.source,
        event.object,
        event.record_id,
        event.time,
        event.observed_at,
        event.changed,
        event.previous,
        event.merged_into,
        event.changed_by,
        event.gap,
        event.alert,
    )
    written, fields = encode(head), text_of(event.record)
    return written if fields is None else b"%b\n%b" % (written, fields)


def load_event(body: str) -> Event:
    """Read an event."""
    head, _, fields = body.partition("\n")
    return _event(_read(head), msgspec.json.decode(fields) if fields else None)


def glance(body: str) -> Event:
    """Read an event but for its record's fields, which are read when somebody looks."""
    head, _, fields = body.partition("\n")
    return _event(_read(head), Unread(fields) if fields else None)


def _event(head: _Head, record: Fields | None) -> Event:
    return Event(
        head.id,
        head.kind,
        head.org,
        head.source,
        head.object,
        head.record_id,
        head.time,
        head.observed_at,
        record if head.record is msgspec.UNSET else head.record,
        head.changed,
        head.previous,
        head.merged_into,
        head.changed_by,
        head.gap,
        head.alert,
    )


def as_read(event: Event) -> Event:
    """Return an event as :func:`glance` finds it once it is written."""
    changed, previous = event.changed, event.previous
    if type(event.record) is Unread and changed is None and previous is None:
        return event
    return event.but(
        record=load_fields(text_of(event.record)),
        changed=None if changed is None else tuple(changed),
        # Values of any type; JSON knows fewer of them.
        previous=None if previous is None else msgspec.json.decode(encode(previous)),
    )


def text_of(fields: Fields | None) -> bytes | None:
    """Write a record's fields (JSON, UTF-8), or say how they were written; null stays null."""
    if fields is None:
        return None
    return fields.as_bytes() if type(fields) is Unread else pack(fields).as_bytes()


def load_fields(text: bytes | str | None) -> Unread | None:
    """Return a record's fields, which are read when somebody looks."""
    return None if text is None else Unread(text)
