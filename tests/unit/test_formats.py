"""sinks/formats.py and sinks/slack.py: what a request says, read back by the CloudEvents library where it is for it."""

from typing import Any

import orjson
import pytest
from builders import NOON, a_delivery
from cloudevents.core.bindings.http import HTTPMessage, from_binary_event, from_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from salesforce_poller.delivery import envelope
from salesforce_poller.model import Alert, Gap, Kind
from salesforce_poller.sinks import formats, slack
from salesforce_poller.sinks.base import Dressed


def dressed(**event: Any) -> Dressed:
    """Return an event as sinks take it."""
    return envelope.dress(a_delivery(**event))


def line(**event: Any) -> str:
    """Return the line of an event."""
    return slack.line(dressed(**event).cloudevent)


# ---------------------------------------------------------------------- CloudEvents


def test_structured_is_the_event_as_it_is() -> None:
    """Byte for byte."""
    event = dressed()
    headers, body = formats.shaped("cloudevents", "structured", [event], batched=False)
    assert (headers, body) == ({"Content-Type": "application/cloudevents+json"}, event.body)
    assert from_structured_event(HTTPMessage(headers, body)).get_id() == event.event_id


def test_a_batch_is_an_array_of_them() -> None:
    """Each as it would be alone; a batch of one is an array as well."""
    events = [dressed(position=1, id="1"), dressed(position=2, id="2")]
    headers, body = formats.shaped("cloudevents", "structured", events, batched=True)
    assert headers == {"Content-Type": "application/cloudevents-batch+json"}
    read = [JSONFormat().read(CloudEvent, orjson.dumps(each)) for each in orjson.loads(body)]
    assert [each.get_id() for each in read] == ["1", "2"]
    assert formats.shaped("cloudevents", "structured", events[:1], batched=True)[1] == b"[" + events[0].body + b"]"


@given(org=st.text(st.characters(exclude_categories=["Cs"])), replay=st.booleans())
def test_binary_is_read_back_by_the_library(org: str, replay: bool) -> None:
    """Whatever text an attribute holds; every attribute is there, and the body is the data alone."""
    event = dressed(replay=replay, source=f"urn:{org}", record={"Name": org})
    headers, body = formats.shaped("cloudevents", "binary", [event], batched=False)
    assert all(value.isascii() and value.isprintable() and " " not in value for value in headers.values())
    read = from_binary_event(HTTPMessage(headers, body))
    assert read.get_data() == orjson.loads(orjson.dumps(event.cloudevent["data"]))
    known = {name: value for name, value in event.cloudevent.items() if name not in ("data", "time", "replay")}
    assert {name: value for name, value in read.get_attributes().items() if name in known} == known
    assert read.get_time() == a_delivery().event.time
    assert read.get_attributes().get("replay") == ("true" if replay else None)


def test_what_a_header_cannot_hold_is_percent_encoded() -> None:
    """Space, quote, percent and all that is not ASCII, as its UTF-8 (HTTP binding 1.0.2, 3.1.3.2)."""
    headers, _ = formats.shaped("cloudevents", "binary", [dressed(source='é 50% "x"~')], batched=False)
    assert headers["ce-source"] == "%C3%A9%2050%25%20%22x%22~"
    assert headers["Content-Type"] == "application/json"
    assert "ce-datacontenttype" not in headers
    assert "ce-data" not in headers


# ---------------------------------------------------------------------- plain


def test_plain_is_the_data_alone() -> None:
    """As JSON for receivers that know nothing of CloudEvents; several as an array."""
    event = dressed()
    data = orjson.loads(event.body)["data"]
    headers, body = formats.shaped("plain", "structured", [event], batched=False)
    assert (headers, orjson.loads(body)) == ({"Content-Type": "application/json"}, data)
    assert orjson.loads(formats.shaped("plain", "structured", [event, event], batched=True)[1]) == [data, data]


def test_plain_says_that_it_is_a_replay() -> None:
    """Within the data, since there is nothing beside it."""
    body = formats.shaped("plain", "structured", [dressed(replay=True)], batched=False)[1]
    assert orjson.loads(body)["replay"] is True
    assert "replay" not in orjson.loads(formats.shaped("plain", "structured", [dressed()], batched=False)[1])


# ---------------------------------------------------------------------- slack


def test_slack_gets_a_line_for_each_event() -> None:
    """As the text of one message."""
    headers, body = formats.shaped("slack", "structured", [dressed(), dressed()], batched=True)
    wanted = "Lead Ann Example was updated: Status Open → Working (acme)"
    assert (headers, orjson.loads(body)) == ({"Content-Type": "application/json"}, {"text": f"{wanted}\n{wanted}"})


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        ({"kind": Kind.CREATED, "changed": None, "previous": None}, "Lead Ann Example was created (acme)"),
        ({"kind": Kind.UPDATED, "changed": None, "previous": None}, "Lead Ann Example was updated (acme)"),
        ({"previous": None}, "Lead Ann Example was updated: Status Working (acme)"),
        (
            {"kind": Kind.DELETED, "record": None, "changed": None, "previous": None},
            "Lead 00Q5g00000AbCdEEAV was deleted (acme)",
        ),
        (
            {"kind": Kind.MERGED, "merged_into": "00Q5g00000ZZZZZZZZ", "changed": None, "previous": None},
            "Lead Ann Example was merged into 00Q5g00000ZZZZZZZZ (acme)",
        ),
        (
            {"record": {"Subject": "Broken", "Owner": None, "Hot": True}, "changed": ("Owner.Name", "Hot")}
            | {"previous": {"Owner": {"Name": "Bob"}, "Hot": False}},
            "Lead Broken was updated: Owner.Name Bob → (empty), Hot no → yes (acme)",
        ),
    ],
)
def test_a_line_says_what_happened(event: dict[str, Any], wanted: str) -> None:
    """In the words of people; what is not known is left out."""
    assert line(**event) == wanted


def test_a_line_tells_of_every_kind() -> None:
    """Also of one that is new and that nobody wrote a phrase for."""
    for kind in Kind:
        if kind not in (Kind.GAP, Kind.ALERT):  # these have lines of their own, below
            assert line(kind=kind, changed=None, previous=None).endswith("(acme)")
    strange = {**dressed().cloudevent, "data": {**dressed().cloudevent["data"], "kind": "renamed", "changed": None}}
    assert slack.line(strange) == "Lead Ann Example renamed (acme)"


def test_a_gap_is_a_line_too() -> None:
    """What, between when, and why."""
    gap = Gap("deletions", NOON, NOON, "the delete log does not reach back")
    found = line(kind=Kind.GAP, record_id=None, record=None, changed=None, previous=None, gap=gap)
    assert found == (
        "Changes of Lead (acme) may have been missed, deletions, between 2026-11-21T12:00:00Z and "
        "2026-11-21T12:00:00Z: the delete log does not reach back"
    )


def test_an_alert_is_a_line_too() -> None:
    """About another sink."""
    alert = Alert("crm", "switched_off", NOON, "HTTP 410: <gone>")
    found = line(kind=Kind.ALERT, org="", object="", record_id=None, record=None, alert=alert)
    assert found == "Sink crm: switched off, since 2026-11-21T12:00:00Z: HTTP 410: &lt;gone&gt;"


def test_no_value_can_call_the_channel_or_become_a_link() -> None:
    """Slack's three characters are escaped, wherever they come from."""
    found = line(record={"Name": "<!channel> & <https://evil.example|click>", "Status": "<@U1>"})
    assert "<" not in found
    assert "&lt;!channel&gt; &amp; &lt;https" in found
    assert "&lt;@U1&gt;" in found


def test_a_line_stays_a_line() -> None:
    """However long the values, however many the changes, whatever breaks there are."""
    names = [f"Field{number}__c" for number in range(20)]
    found = line(
        record=dict.fromkeys(names, "a\nb" * 999), changed=tuple(names), previous=dict.fromkeys(names), replay=True
    )
    assert "\n" not in found
    assert len(found) <= 600
    assert found.endswith("… (sent again)")
    assert "and 12 more" in line(record={}, changed=tuple(names), previous={})
