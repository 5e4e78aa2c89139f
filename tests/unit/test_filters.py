"""delivery/filters.py: which events a sink wants."""

from typing import Any

import pytest
from builders import NOON, an_event

from salesforce_poller.delivery import alerts, filters
from salesforce_poller.model import Kind
from salesforce_poller.sinks.base import SinkSettings


def wants(settings: dict[str, Any], **event: Any) -> bool:
    """Ask the sink ``crm`` about one event."""
    return filters.wants(SinkSettings.model_validate(settings), an_event(**event), "crm")


def wants_alert(settings: dict[str, Any], about: str) -> bool:
    """Ask the sink ``crm`` about an alert."""
    alert = alerts.switched_off(about, "switched off: HTTP 410", NOON, NOON)
    return filters.wants(SinkSettings.model_validate(settings), alert, "crm")


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.ALERT])
def test_without_filters_everything_passes_that_comes_from_an_org(kind: Kind) -> None:
    """Each filter defaults to everything."""
    assert wants({}, kind=kind)


def test_alerts_are_only_for_those_who_ask() -> None:
    """A consumer of records must not be surprised by what is none."""
    assert not wants_alert({}, about="log")
    assert not wants_alert({"events": ["created", "gap"]}, about="log")
    assert wants_alert({"events": ["created", "alert"]}, about="log")


def test_an_alert_passes_the_filters_that_are_about_orgs() -> None:
    """It comes from none of them."""
    assert wants_alert({"events": ["alert"], "orgs": ["acme"], "objects": ["Lead"], "changed": ["Status"]}, about="log")


def test_no_sink_is_told_about_itself() -> None:
    """It could not take it, and would be given one more for that."""
    assert not wants_alert({"events": ["alert"]}, about="crm")


@pytest.mark.parametrize(
    "settings", [{"orgs": ["other"]}, {"objects": ["Contact"]}, {"events": ["created"]}, {"changed": ["Email"]}]
)
def test_each_filter_alone_can_refuse(settings: dict[str, Any]) -> None:
    """An event must pass all four."""
    assert not wants(settings)


def test_all_four_filters_together_let_a_match_pass() -> None:
    """The event is of the org, the object and the kind, and a named field changed."""
    assert wants({"orgs": ["acme"], "objects": ["Lead"], "events": ["updated"], "changed": ["Status", "Email"]})


def test_names_of_salesforce_are_compared_without_case() -> None:
    """Salesforce does not care about case in API names, so neither do we."""
    assert wants({"objects": ["lead"], "changed": ["STATUS"]})


def test_changed_does_not_concern_other_kinds() -> None:
    """A filter on changed fields says nothing about a deletion."""
    assert wants({"changed": ["Email"]}, kind=Kind.DELETED, changed=None)


def test_an_update_with_unknown_history_passes() -> None:
    """Better told than lost: when the previous state is unknown, the field may have changed."""
    assert wants({"changed": ["Email"]}, changed=None, previous=None)


def test_an_update_in_which_nothing_changed_does_not_pass_changed() -> None:
    """A mere new stamp changed no field."""
    assert not wants({"changed": ["Email"]}, changed=())


@pytest.mark.parametrize("kind", [Kind.GAP, Kind.SNAPSHOT])
def test_gaps_and_snapshots_are_chosen_by_events_like_the_others(kind: Kind) -> None:
    """They pass unless ``events`` is given without them."""
    assert wants({"changed": ["Email"]}, kind=kind)
    assert wants({"events": [kind.value]}, kind=kind)
    assert not wants({"events": ["created"]}, kind=kind)
