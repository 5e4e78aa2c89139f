"""delivery/projection.py: fewer fields for one sink."""

import pytest
from builders import a_delivery, an_event

from salesforce_poller.delivery import envelope
from salesforce_poller.delivery.projection import EVERYTHING, Projection
from salesforce_poller.model import Event

RECORD = {"Id": "00Q", "Name": "Ann", "Status": "Working", "Owner": {"Name": "Bo", "Email": "bo@example.com"}}


def an_update() -> Event:
    """Return an update of three fields."""
    return an_event(
        record=RECORD,
        changed=("Status", "Owner.Name", "Name"),
        previous={"Status": "Open", "Owner": {"Name": "Cy"}, "Name": "An"},
    )


def test_without_fields_an_event_stays_as_it_is() -> None:
    """Nothing is copied, either."""
    event = an_update()
    assert EVERYTHING.of(event) is event


@pytest.mark.parametrize("paths", [["Status"], ["status"], ["STATUS", "Id"], ["Status", "Nowhere"]])
def test_record_previous_and_changed_keep_what_is_named_and_the_id(paths: list[str]) -> None:
    """In the record's own spelling, whatever the configuration's."""
    cut = Projection(paths).of(an_update())
    assert (cut.record, cut.previous, cut.changed) == (
        {"Id": "00Q", "Status": "Working"},
        {"Status": "Open"},
        ("Status",),
    )


def test_a_field_of_a_parent_is_kept_alone() -> None:
    """Its neighbours are not."""
    cut = Projection(["Owner.name"]).of(an_update())
    assert (cut.record, cut.previous, cut.changed) == (
        {"Id": "00Q", "Owner": {"Name": "Bo"}},
        {"Owner": {"Name": "Cy"}},
        ("Owner.Name",),
    )


@pytest.mark.parametrize("paths", [["Owner"], ["Owner.Email", "Owner"], ["Owner", "owner.email"]])
def test_a_parent_is_kept_with_all_that_is_read_of_it(paths: list[str]) -> None:
    """Also when one of its fields is named beside it."""
    cut = Projection(paths).of(an_update())
    assert cut.record == {"Id": "00Q", "Owner": {"Name": "Bo", "Email": "bo@example.com"}}
    assert cut.changed == ("Owner.Name",)


def test_a_parent_that_is_not_there_stays_null() -> None:
    """As the REST API returns it."""
    assert Projection(["Owner.Name"]).of(an_event(record={"Id": "00Q", "Owner": None})).record == {
        "Id": "00Q",
        "Owner": None,
    }


def test_what_is_not_known_stays_null() -> None:
    """An empty ``changed`` says that none of these fields changed; null says that it is not known."""
    unknown = Projection(["Status"]).of(an_event(record=None, changed=None, previous=None))
    assert (unknown.record, unknown.changed, unknown.previous) == (None, None, None)
    other = Projection(["Name"]).of(an_event())
    assert (other.changed, other.previous) == ((), {})


def test_a_dressed_event_has_the_fields_of_its_sink_and_everything_else() -> None:
    """Only ``data.record``, ``data.previous`` and ``data.changed`` are touched."""
    whole, cut = (envelope.dress(a_delivery(), each).cloudevent for each in (EVERYTHING, Projection(["Name"])))
    assert cut["data"] == {
        **whole["data"],
        "record": {"Id": "00Q5g00000AbCdEEAV", "Name": "Ann Example"},
        "previous": {},
        "changed": [],
    }
    assert {**cut, "data": None} == {**whole, "data": None}
