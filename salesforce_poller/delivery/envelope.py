"""An Event, dressed for the road: CloudEvents 1.0 in JSON, the same to every sink. Pure.

Called by ``dispatcher.py``; the next stop is the sink. The specification is CloudEvents 1.0 with its JSON event format
and its extensions ``sequence`` and ``partitionkey``.
"""

import functools
from datetime import UTC, datetime
from typing import Any

import orjson

from salesforce_poller.delivery.projection import EVERYTHING, Projection
from salesforce_poller.fields import Unread
from salesforce_poller.model import Delivery, Event
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.store import codec

#: Sequences are compared as text, so they are padded: 20 digits hold every 64-bit number.
_SEQUENCE_DIGITS = 20
#: Alerts do not come from Salesforce.
_ALERT_TYPE = "salesforce-poller.alert"


def cloudevent(delivery: Delivery, projection: Projection = EVERYTHING) -> dict[str, Any]:
    """Return the event as a CloudEvent. A consumer tells repeats by ``source`` and ``id``."""
    whole = _attributes(delivery)
    whole["data"] = _data(projection.of(delivery.event))
    if delivery.replay:
        whole["replay"] = True  # an extension; behind the data, where it always stood
    return whole


def dress(delivery: Delivery, projection: Projection = EVERYTHING) -> Dressed:
    """Return the event as sinks take it, with the fields that this one asks for."""
    whole = cloudevent(delivery, projection)
    record = whole["data"]["record"]
    if type(record) is Unread:  # what ``orjson`` would have to ask for
        whole["data"]["record"] = orjson.Fragment(record.text)
    body = orjson.dumps(whole, default=codec.as_it_stands)
    del whole["data"]
    return Dressed(whole, codec.compact(body))


def _attributes(delivery: Delivery) -> dict[str, Any]:
    event = delivery.event
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": _ALERT_TYPE if event.alert else f"salesforce.{event.object}.{event.kind}",
        "subject": _subject(event),
        "time": _in_seconds(event.time),
        "datacontenttype": "application/json",
        "partitionkey": event.key,
        "sequence": str(delivery.position).zfill(_SEQUENCE_DIGITS),
    }


def _subject(event: Event) -> str:
    if event.alert:
        return f"sink/{event.alert.sink}"
    return event.object if event.record_id is None else f"{event.object}/{event.record_id}"


def _data(event: Event) -> dict[str, Any]:
    data = {
        "org": event.org or None,
        "object": event.object or None,
        "kind": str(event.kind),
        "record_id": event.record_id,
        "record": event.record,
        "changed": event.changed,
        "previous": event.previous,
        "merged_into": event.merged_into,
        "changed_by": event.changed_by,
        "observed_at": _in_milliseconds(event.observed_at),
    }
    if event.gap is not None:
        data["gap"] = {
            "what": event.gap.what,
            "since": _in_seconds(event.gap.since),
            "until": _in_seconds(event.gap.until),
            "why": event.gap.why,
        }
    if event.alert is not None:
        data["alert"] = {
            "sink": event.alert.sink,
            "what": event.alert.what,
            "since": _in_seconds(event.alert.since),
            "detail": event.alert.detail,
        }
    return data


def _instant(at: datetime, precision: str) -> str:
    """Write an instant as RFC 3339 in UTC, with the ``Z`` that most readers expect."""
    return at.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")


@functools.lru_cache(maxsize=512)  # the events of a page are often stamped at few instants
def _in_seconds(at: datetime) -> str:
    return _instant(at, "seconds")


@functools.lru_cache(maxsize=16)  # they were observed at one
def _in_milliseconds(at: datetime) -> str:
    return _instant(at, "milliseconds")
