"""fields.py: one text for equal fields, whoever writes them, and where in it the fields begin that count."""

import json
from typing import Any

import pytest

from salesforce_poller.fields import QUIET, Unread, pack, place
from salesforce_poller.model import Window
from salesforce_poller.salesforce import wire

FIELDS = {"Name": "Zoë\nMüller", "Owner": {"Name": None, "Email": "o@example.com"}, "LastViewedDate": None, "Id": "00Q"}


def test_fields_are_written_in_one_order() -> None:
    """What is quiet first, then by letters; parents too."""
    text = '{"Id":"00Q","LastViewedDate":null,"Name":"Zoë\\nMüller","Owner":{"Email":"o@example.com","Name":null}}'
    assert pack(FIELDS).as_bytes().decode() == text
    assert pack(FIELDS) == FIELDS == pack(FIELDS).fields()


@pytest.mark.parametrize(
    ("fields", "loud"),
    [
        (FIELDS, '"Name":"Zoë\\nMüller","Owner":{"Email":"o@example.com","Name":null}}'),
        ({"Id": "00Q"}, ""),
        ({"Name": "Ann"}, '"Name":"Ann"}'),
        ({}, ""),
    ],
)
def test_where_the_fields_begin_that_count_is_known(fields: dict[str, Any], loud: str) -> None:
    """Behind all that is quiet; at the end where nothing else is there."""
    written = pack(fields)
    assert written.as_bytes()[written.loud_at :].decode() == loud


def test_fields_of_parents_are_in_the_order_of_their_letters() -> None:
    """None of them is quiet: another parent's Id is another value. As rows are written, whichever way they come."""
    row = {"Id": "00Q", "SystemModstamp": "2026-11-21T10:00:05.000+0000", "Owner": {"Id": "005", "Alpha__c": 1}}
    visible = ("Id", "Owner.Id", "Owner.Alpha__c")
    page = json.dumps({"done": True, "records": [row]}).encode()
    (record,) = wire.read_following_page(page, Window("Lead", visible, visible, "SystemModstamp")).records
    assert isinstance(record.fields, Unread)
    assert record.fields.text == pack(dict(record.fields)).text == b'{"Id":"00Q","Owner":{"Alpha__c":1,"Id":"005"}}'


def test_what_is_in_order_stays_the_same_text() -> None:
    """And what somebody else wrote is put in order."""
    written = pack(FIELDS)
    assert pack(written) is written
    assert pack(Unread(json.dumps(FIELDS))).text == written.text


@pytest.mark.parametrize("as_text", [str.encode, str])
def test_equal_values_are_equal_however_they_are_written(as_text: Any) -> None:
    """Older stores have the fields in another order; a database has text where we had bytes."""
    written = pack(FIELDS)
    assert written == Unread(as_text(json.dumps(FIELDS)))
    assert written == Unread(as_text(written.as_bytes().decode()))
    assert written != Unread(as_text(json.dumps(FIELDS | {"Name": "Ann"})))
    assert FIELDS == written != {}


def test_fields_are_a_mapping() -> None:
    """Read when somebody looks; shown as values where a test fails."""
    unread = Unread('{"A": 1, "B": {"C": null}}')
    assert (list(unread), len(unread), unread["B"], unread.get("D")) == (["A", "B"], 2, {"C": None}, None)
    assert repr(unread) == "Unread({'A': 1, 'B': {'C': None}})"


def test_names_have_their_places() -> None:
    """A parent's paths stand with its name, before what only begins like it."""
    names = ["OwnerId", "Owner.Name", "Name", *reversed(QUIET)]
    assert sorted(names, key=place) == [*QUIET, "Name", "Owner.Name", "OwnerId"]
