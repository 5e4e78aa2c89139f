"""delivery/envelope.py: an event as a CloudEvent, read back by an independent library."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest
from builders import a_delivery, an_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from salesforce_poller.delivery import envelope
from salesforce_poller.delivery.projection import EVERYTHING, Projection
from salesforce_poller.fields import pack
from salesforce_poller.model import Alert, Delivery, Event, Gap, Kind
from salesforce_poller.store import codec

SINCE = datetime(2026, 11, 1, 12, 0, 0, 999_999, tzinfo=UTC)
BARE: dict[str, Any] = {"record_id": None, "record": None, "changed": None, "previous": None}
EVENTS: dict[str, Event] = {
    **{kind: an_event(kind=kind) for kind in Kind},
    "merged": an_event(kind=Kind.MERGED, merged_into="00Q5g00000SurvivEAV", changed_by=None),
    "never read": an_event(kind=Kind.DELETED, **{**BARE, "record_id": "00Q5g00000AbCdEEAV"}),
    "gap": an_event(kind=Kind.GAP, **BARE, gap=Gap("deletes", SINCE, SINCE, "it ends")),
    "alert": an_event(kind=Kind.ALERT, **BARE, org="", object="", alert=Alert("crm", "gave_up", SINCE, 'why "so"')),
    "empty": an_event(record={}, previous={}, changed=()),
    "odd": an_event(id='a"b', object="Ünïcødé", record_id="\0\u2028", record={"a": [1.5, None, {"b": "🦄\n"}]}),
}


def test_an_update_is_written_exactly_as_promised() -> None:
    """The JSON of an update, key by key and in this order, is what users build on."""
    assert envelope.dress(a_delivery()).body.decode() == (
        '{"specversion":"1.0","id":"b1946ac92492d2347c6235b4d2611184","source":"urn:salesforce:00D5g000008abcdEAA",'
        '"type":"salesforce.Lead.updated","subject":"Lead/00Q5g00000AbCdEEAV","time":"2026-11-21T10:00:00Z",'
        '"datacontenttype":"application/json","partitionkey":"00Q5g00000AbCdEEAV","sequence":"00000000000000000042",'
        '"data":{"org":"acme","object":"Lead","kind":"updated","record_id":"00Q5g00000AbCdEEAV",'
        '"record":{"Id":"00Q5g00000AbCdEEAV","Name":"Ann Example","Status":"Working","Owner":{"Name":"Ann"}},'
        '"changed":["Status"],"previous":{"Status":"Open"},"merged_into":null,"changed_by":"0055g000001XyZAAA0",'
        '"observed_at":"2026-11-21T10:00:12.345Z"}}'
    )


def test_an_independent_reader_understands_it() -> None:
    """The CloudEvents library accepts it and finds every attribute where the specification wants it."""
    delivery = a_delivery()
    read = JSONFormat().read(CloudEvent, envelope.dress(delivery).body)

    assert read.get_id() == delivery.event.id
    assert read.get_source() == delivery.event.source
    assert read.get_type() == "salesforce.Lead.updated"
    assert read.get_subject() == "Lead/00Q5g00000AbCdEEAV"
    assert read.get_time() == delivery.event.time
    assert read.get_datacontenttype() == "application/json"
    assert read.get_extension("sequence") == "00000000000000000042"
    assert read.get_extension("partitionkey") == delivery.event.key
    assert read.get_data() == orjson.loads(envelope.dress(delivery).body)["data"]


def test_a_gap_is_about_its_object_and_says_what_may_be_missing() -> None:
    """A gap has no record; what may have been missed stands in its data, and only there."""
    since = datetime(2026, 11, 1, tzinfo=UTC)
    gap = Gap("deletes", since, since + timedelta(days=3), "the delete log does not reach back")
    delivery = a_delivery(kind=Kind.GAP, record_id=None, record=None, changed=None, previous=None, gap=gap)
    event = envelope.cloudevent(delivery)

    assert (event["subject"], event["partitionkey"], event["type"]) == ("Lead", "Lead", "salesforce.Lead.gap")
    assert event["data"]["gap"] == {
        "what": "deletes",
        "since": "2026-11-01T00:00:00Z",
        "until": "2026-11-04T00:00:00Z",
        "why": "the delete log does not reach back",
    }
    assert "gap" not in envelope.cloudevent(a_delivery())["data"]
    assert JSONFormat().read(CloudEvent, envelope.dress(delivery).body).get_subject() == "Lead"


def test_sequences_sort_as_text() -> None:
    """Consumers compare sequences as text, so 9 comes before 10."""
    nine, ten = (envelope.cloudevent(a_delivery(position=position))["sequence"] for position in (9, 10))
    assert nine < ten


def test_times_are_written_in_utc_whatever_their_zone() -> None:
    """An instant in another zone is the same instant with a Z."""
    there = datetime(2026, 11, 21, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    assert envelope.cloudevent(a_delivery(time=there))["time"] == "2026-11-21T10:00:00Z"


def test_a_replay_says_so_beside_its_id() -> None:
    """As an extension attribute; everything else, the id above all, is as it was."""
    first, again = (envelope.dress(a_delivery(replay=replay)).cloudevent for replay in (False, True))
    assert again == {**first, "replay": True}
    assert JSONFormat().read(CloudEvent, orjson.dumps(again)).get_extension("replay") is True


def test_a_replay_is_written_as_promised_too() -> None:
    """What is added to a replay stands behind all that is there without it, so that the rest is the same text."""
    first, again = (envelope.dress(a_delivery(replay=replay)).body.decode() for replay in (False, True))
    assert again == first.removesuffix("}") + ',"replay":true}'


def in_other_words(delivery: Delivery, event: Event) -> str:
    """Write an event as it was always written, with another library."""
    data: dict[str, Any] = {
        "org": event.org or None,
        "object": event.object or None,
        "kind": str(event.kind),
        "record_id": event.record_id,
        "record": None if event.record is None else dict(event.record),
        "changed": event.changed,
        "previous": event.previous,
        "merged_into": event.merged_into,
        "changed_by": event.changed_by,
        "observed_at": f"{event.observed_at:%Y-%m-%dT%H:%M:%S}.{event.observed_at.microsecond // 1000:03}Z",
    }
    for name, said in (("gap", event.gap), ("alert", event.alert)):
        if said is not None:
            data[name] = {
                part: f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value
                for part in said.__slots__
                for value in [getattr(said, part)]
            }
    about = "/".join(part for part in (event.object, event.record_id) if part)
    whole = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": "salesforce-poller.alert" if event.alert else f"salesforce.{event.object}.{event.kind}",
        "subject": f"sink/{event.alert.sink}" if event.alert else about,
        "time": f"{event.time:%Y-%m-%dT%H:%M:%SZ}",
        "datacontenttype": "application/json",
        "partitionkey": event.record_id or event.object or event.source,
        "sequence": f"{delivery.position:020}",
        "data": data,
        **({"replay": True} if delivery.replay else {}),
    }
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("fields", [None, ["Status", "Owner.Name"]], ids=["all", "some"])
@pytest.mark.parametrize("replay", [False, True])
@pytest.mark.parametrize("name", EVENTS)
def test_every_event_is_written_the_same_way(name: str, fields: list[str] | None, replay: bool) -> None:
    """Of every kind, with all fields or some, replayed or not; whether anybody has read its fields yet or not."""
    event, projection = EVENTS[name], Projection(fields)
    event = event if event.record is None else event.but(record=dict(pack(event.record)))
    stored = codec.glance(codec.dump_event(event).decode())
    for each in (event, stored, codec.as_read(event)):
        delivery = Delivery("crm", 42, each, replay=replay)
        expected = in_other_words(delivery, projection.of(event))
        assert envelope.dress(delivery, projection).body.decode() == expected
        if fields is None:
            assert envelope.dress(delivery, EVERYTHING) == envelope.dress(delivery)
        attributes = envelope.dress(delivery, projection).attributes
        assert attributes == {name: each for name, each in json.loads(expected).items() if name != "data"}
