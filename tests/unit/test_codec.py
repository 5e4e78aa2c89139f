"""store/codec.py: what is written of an event is read again, in full or at a glance; also what older versions wrote."""

import json
import sys
from typing import Any

import orjson
import pytest
from builders import an_event

from salesforce_poller.model import Event
from salesforce_poller.store import codec

FIELDS = {"Id": "00Q5g00000AbCdEEAV", "Name": "Zoë\nMüller", "Owner": {"Name": None}, "Employees": 7}


def written(event: Event) -> str:
    """What the store has of an event."""
    return codec.dump_event(event, codec.Texts().of(event.record)).decode()


@pytest.mark.parametrize("record", [FIELDS, {}, None])
@pytest.mark.parametrize("read", [codec.load_event, codec.glance])
def test_what_is_written_is_read(read: Any, record: Any) -> None:
    """With fields, without any, and where there is no record; a line break in a value does not end a line."""
    event = an_event(record=record)
    assert read(written(event)) == event


def test_what_an_older_version_wrote_is_read() -> None:
    """It had the fields among the rest, in one line."""
    event = an_event(record=FIELDS)
    older = orjson.dumps(event).decode()
    assert codec.load_event(older) == codec.glance(older) == event


def test_fields_pass_through_unread() -> None:
    """What is dumped again is the very text that was stored."""
    text = '{"Id": "00Q5g00000AbCdEEAV",   "Odd": 1e2}'
    event = codec.glance(codec.dump_event(an_event(), text.encode()).decode())
    assert isinstance(event.record, codec.Unread)
    assert orjson.dumps({"record": event.record}, default=codec.as_it_stands).decode() == f'{{"record":{text}}}'
    assert event.record["Odd"] == 100.0
    assert (list(event.record), len(event.record)) == (["Id", "Odd"], 2)


def test_the_same_fields_are_written_once() -> None:
    """A page has them in an event and in a sighting; equal ones of another record are others."""
    texts, alike = codec.Texts(), dict(FIELDS)
    first = texts.of(FIELDS)
    assert texts.of(FIELDS) is first
    assert texts.of(alike) == first
    assert texts.of(alike) is not first
    assert texts.of(None) is None
    assert json.loads(first or "") == FIELDS


def test_fields_that_were_put_away_are_small_and_written_as_they_are() -> None:
    """What orjson writes keeps the buffer it was written in, several times as large."""
    away = codec.packed(FIELDS)
    assert away == FIELDS
    assert codec.Texts().of(away) is away.text
    assert sys.getsizeof(away.text) < 1_000
    assert codec.compact(b"text") == b"text"


def test_nothing_else_passes_for_fields() -> None:
    """A value that JSON does not know is an error, and no text."""
    with pytest.raises(TypeError):
        orjson.dumps({"record": object()}, default=codec.as_it_stands)
