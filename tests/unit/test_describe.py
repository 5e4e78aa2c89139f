"""salesforce/describe.py: what an object is like, read from its describe answer."""

from typing import Any

import pytest

from salesforce_poller.errors import TryLater
from salesforce_poller.salesforce import describe


def a_field(**overrides: Any) -> dict[str, Any]:
    """Return a field as describe tells of it, with a key more than we know."""
    return {
        "name": "OwnerId",
        "type": "reference",
        "calculated": False,
        "filterable": True,
        "sortable": True,
        "relationshipName": "Owner",
        "referenceTo": ["Group", "User"],
        "label": "Owner ID",
    } | overrides


def an_answer(*fields: dict[str, Any]) -> dict[str, Any]:
    """Return a describe answer."""
    return {"name": "Lead", "label": "Lead", "queryable": True, "replicateable": True, "fields": list(fields)}


LEAD = describe.read_object(
    an_answer(a_field(), a_field(name="Id", type="id", relationshipName=None, referenceTo=[]), a_field(name="A__c"))
)


def test_an_object_is_read_with_its_fields_by_name() -> None:
    """In the order in which Salesforce tells them."""
    assert (LEAD.name, LEAD.queryable, LEAD.replicateable) == ("Lead", True, True)
    assert list(LEAD.fields) == ["OwnerId", "Id", "A__c"]
    assert LEAD.fields["OwnerId"] == describe.FieldInfo(
        "OwnerId",
        "reference",
        calculated=False,
        filterable=True,
        sortable=True,
        relationship_name="Owner",
        reference_to=("Group", "User"),
    )


@pytest.mark.parametrize("name", ["OwnerId", "ownerid", "OWNERID"])
def test_a_field_is_found_in_any_case_of_letters(name: str) -> None:
    """Salesforce does not mind either."""
    assert LEAD.field(name) is LEAD.fields["OwnerId"]


def test_a_field_that_is_hidden_is_not_there() -> None:
    """Field-level security leaves it out of describe."""
    assert LEAD.field("Salary__c") is None


@pytest.mark.parametrize(("relationship", "name"), [("Owner", "OwnerId"), ("owner", "OwnerId"), ("Boss", None)])
def test_a_parent_is_found_by_its_relationship(relationship: str, name: str | None) -> None:
    """In any case of letters."""
    found = LEAD.parent(relationship)
    assert (found.name if found else None) == name


def test_the_orgs_objects_are_listed_by_name() -> None:
    """For people."""
    flags = {"label": "x", "custom": False, "queryable": True, "replicateable": False, "mergeable": False}
    answer = {"sobjects": [{"name": name, **flags} for name in ("Task", "Account", "Lead")]}
    assert [line.name for line in describe.read_global(answer)] == ["Account", "Lead", "Task"]


@pytest.mark.parametrize(
    "answer", [None, [], {}, "text", 5, {"fields": None}, {"fields": [{}]}, {"sobjects": [{}]}, {"sobjects": 5}]
)
def test_an_answer_of_another_shape_is_a_bad_moment(answer: Any) -> None:
    """A proxy's page is not a defect of this program."""
    for read in (describe.read_object, describe.read_global):
        with pytest.raises(TryLater, match="not what was asked for"):
            read(answer)
