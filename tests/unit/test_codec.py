"""store/codec.py: what is written of an event is read again, in full or at a glance; also what older versions wrote."""

from typing import Any

import msgspec
import pytest
from builders import an_event

from salesforce_poller.fields import Unread, pack
from salesforce_poller.model import Event
from salesforce_poller.store import codec

FIELDS = {"Id": "00Q5g00000AbCdEEAV", "Name": "Zoë\nMüller", "Owner": {"Name": None}, "Employees": 7}


def written(event: Event) -> str:
    """What the store has of an event."""
    return codec.dump_event(event).decode()


@pytest.mark.parametrize("record", [FIELDS, {}, None])
@pytest.mark.parametrize("read", [codec.load_event, codec.glance])
def test_what_is_written_is_read(read: Any, record: Any) -> None:
    """With fields, without any, and where there is no record; a line break in a value does not end a line."""
    event = an_event(record=record)
    assert read(written(event)) == event


def test_what_an_older_version_wrote_is_read() -> None:
    """It had the fields among the rest, in one line."""
    event = an_event(record=FIELDS)
    older = msgspec.json.encode(event).decode()
    assert codec.load_event(older) == codec.glance(older) == event


def test_fields_pass_through_unread() -> None:
    """What is dumped again is the very text that was stored."""
    text = '{"Id": "00Q5g00000AbCdEEAV",   "Odd": 1e2}'
    event = codec.glance(codec.dump_event(an_event(record=Unread(text))).decode())
    assert isinstance(event.record, Unread)
    assert codec.dump_event(event).decode().endswith(f"\n{text}")
    assert event.record["Odd"] == 100.0
    assert (list(event.record), len(event.record)) == (["Id", "Odd"], 2)


def test_fields_are_written_once() -> None:
    """Whoever stores them again takes the text over; values are written first; null stays null."""
    away = pack(FIELDS)
    assert codec.text_of(away) is away.text
    assert codec.text_of(Unread("{}")) == b"{}"
    assert codec.text_of(FIELDS) == away.text
    assert codec.text_of(None) is None
