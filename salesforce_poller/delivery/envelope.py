"""An Event, dressed for the road: CloudEvents 1.0 in JSON, the same to every sink. Pure.

Called by ``dispatcher.py``; the next stop is the sink. The specification is CloudEvents 1.0 with its JSON event format
and its extensions ``sequence`` and ``partitionkey``.
"""

import functools
from datetime import UTC, datetime
from typing import Any

import msgspec

from salesforce_poller.delivery.projection import EVERYTHING, Projection
from salesforce_poller.fields import Unread, encode
from salesforce_poller.model import Alert, Delivery, Event, Fields, Gap, Kind
from salesforce_poller.sinks.base import Attributes, Dressed

#: Alerts do not come from Salesforce.
_ALERT_TYPE = "salesforce-poller.alert"


def dress(delivery: Delivery, projection: Projection = EVERYTHING) -> Dressed:
    """Return the event as sinks take it, a CloudEvent, with the fields that this one asks for.

    A consumer tells repeats by ``source`` and ``id``.
    """
    event = projection.of(delivery.event)
    whole = _CloudEvent(  # in the order of its places, which takes half as long as by their names
        "1.0",
        event.id,
        event.source,
        type_of(event),
        subject_of(event),
        _in_seconds(event.time),
        "application/json",
        event.key,
        f"{delivery.position:020}",
        _data(event),
    )
    if delivery.replay:
        whole.replay = True
    return Dressed(encode(whole))


def cloudevent(delivery: Delivery) -> dict[str, Any]:
    """Return the event as values, for people and programs that look at it."""
    found: dict[str, Any] = msgspec.json.decode(dress(delivery).body)
    return found


def type_of(event: Event) -> str:
    """Return the CloudEvent's ``type``."""
    return _ALERT_TYPE if event.alert else _type(event.object, event.kind)


def subject_of(event: Event) -> str:
    """Return the CloudEvent's ``subject``: what the event is about."""
    if event.alert:
        return f"sink/{event.alert.sink}"
    return event.object if event.record_id is None else f"{event.object}/{event.record_id}"


class _Data(msgspec.Struct, gc=False):
    """``data``, in this order. What is UNSET is not written."""

    org: str | None
    object: str | None
    kind: Kind
    record_id: str | None
    record: Fields | msgspec.Raw | None
    changed: tuple[str, ...] | None
    previous: Fields | None
    merged_into: str | None
    changed_by: str | None
    observed_at: str
    gap: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    alert: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class _CloudEvent(Attributes):
    """An event as it is written."""

    data: _Data
    #: An extension; behind the data, where it always stood.
    replay: bool | msgspec.UnsetType = msgspec.UNSET


def _data(event: Event) -> _Data:
    record = event.record
    data = _Data(
        event.org or None,
        event.object or None,
        event.kind,
        event.record_id,
        msgspec.Raw(record.text) if type(record) is Unread else record,
        event.changed,
        event.previous,
        event.merged_into,
        event.changed_by,
        _in_milliseconds(event.observed_at),
    )
    if event.gap is not None:
        data.gap = _gap(event.gap)
    if event.alert is not None:
        data.alert = _alert(event.alert)
    return data


def _gap(gap: Gap) -> dict[str, str]:
    return {"what": gap.what, "since": _in_seconds(gap.since), "until": _in_seconds(gap.until), "why": gap.why}


def _alert(alert: Alert) -> dict[str, str]:
    return {"sink": alert.sink, "what": alert.what, "since": _in_seconds(alert.since), "detail": alert.detail}


@functools.lru_cache(maxsize=1024)  # of each object there are seven kinds
def _type(object_name: str, kind: Kind) -> str:
    return f"salesforce.{object_name}.{kind}"


def _instant(at: datetime, precision: str) -> str:
    """Write an instant as RFC 3339 in UTC, with the ``Z`` that most readers expect."""
    return at.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


@functools.lru_cache(maxsize=512)  # the events of a page are often stamped at few instants
def _in_seconds(at: datetime) -> str:
    return _instant(at, "seconds")


@functools.lru_cache(maxsize=16)  # they were observed at one
def _in_milliseconds(at: datetime) -> str:
    return _instant(at, "milliseconds")
