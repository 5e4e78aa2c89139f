"""sinks/templates.py: names with places to fill in."""

import pytest
from builders import a_delivery

from salesforce_poller.delivery import envelope
from salesforce_poller.sinks import templates


def test_every_place_is_filled_in() -> None:
    """The org's name, the object, the kind and the record."""
    name = templates.fill("sf.{org}.{object}.{kind}.{record_id}", envelope.dress(a_delivery()))
    assert name == "sf.acme.Lead.updated.00Q5g00000AbCdEEAV"


def test_an_event_about_no_record_has_a_name_too() -> None:
    """A gap is about an object."""
    gap = envelope.dress(a_delivery(record_id=None))
    assert templates.fill("{object}/{record_id}", gap) == "Lead/_"


def test_values_are_cleaned_and_the_rest_is_not() -> None:
    """What a broker does not allow is only ever in the values: the template is the operator's own."""
    event = envelope.dress(a_delivery(org="acme.de", object="My Object"))
    assert templates.fill("a.b {org}.{object}", event, templates.replacing(r"[. ]")) == "a.b acme_de.My_Object"


@pytest.mark.parametrize("value", ["events", "{org}", "a{object}b{kind}c"])
def test_a_good_template_stays_as_it_is(value: str) -> None:
    """With and without places."""
    assert templates.checked(value) == value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("sf.{name}", r"\{name\} is not known here; there are \{org\}, \{object\}, \{kind\}, \{record_id\}"),
        ("sf.{}", r"\{\} is not known"),
        ("sf.{org", "without its other half"),
        ("sf.org}", "without its other half"),
        (" ", "empty"),
    ],
)
def test_a_wrong_template_says_what_would_be_right(value: str, problem: str) -> None:
    """At configuration time, not at the first event."""
    with pytest.raises(ValueError, match=problem):
        templates.checked(value)


def test_a_name_without_places_is_known_beforehand() -> None:
    """So that it can be looked for when there is no event yet."""
    assert templates.fixed("events")
    assert not templates.fixed("{org}.events")
