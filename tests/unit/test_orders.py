"""actions/orders.py: what is asked for is read strictly, and what is wrong with it is said in one line."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from builders import NOON
from pydantic import BaseModel

from salesforce_poller.actions import orders
from salesforce_poller.errors import NotUnderstood
from salesforce_poller.model import Kind
from salesforce_poller.store.selection import Selection


def test_an_order_is_read_as_a_selection() -> None:
    """Every word of it."""
    said = {
        "event": "e1",
        "record": "00Q5g00000AbCdEEAV",
        "object": "Lead",
        "org": "acme",
        "kind": "updated",
        "since": "2h",
        "until": "2026-11-21T12:30:00+01:00",
    }
    order = orders.read(orders.Replay, said)
    assert order.selection(NOON) == Selection(
        event="e1",
        record="00Q5g00000AbCdEEAV",
        object="Lead",
        org="acme",
        kind=Kind.UPDATED,
        since=NOON - timedelta(hours=2),
        until=datetime(2026, 11, 21, 11, 30, tzinfo=UTC),
    )
    assert order.selects


@pytest.mark.parametrize("text", ["2026-11-21T09:00:00Z", "2026-11-21T09:00", "2026-11-21 10:00:00+01:00", "3h"])
def test_times_are_utc_where_they_do_not_say(text: str) -> None:
    """And a span is so long ago."""
    assert orders.read(orders.Look, {"since": text}).selection(NOON).since == NOON - timedelta(hours=3)


@pytest.mark.parametrize(
    ("kind", "said", "told"),
    [
        (orders.Replay, {"sinc": "2h"}, "sinc: unknown key; there is event, record"),
        (orders.Replay, {"kind": "changed"}, "kind: Input should be 'created'"),
        (orders.Replay, {"dry_run": "yes"}, "dry_run: Input should be a valid boolean"),
        (orders.Replay, {"all": 1}, "all: Input should be a valid boolean"),
        (orders.Replay, {"record": "  "}, "record: String should have at least 1 character"),
        (orders.Replay, {"record": ["a"]}, "record: Input should be a valid string"),
        (orders.Replay, {"sink": []}, "sink: should hold at least one"),
        (orders.Replay, {"after": -1}, "after: Input should be greater than or equal to 0"),
        (orders.Replay, {"after": 2**63}, "after: Input should be less than or equal to 9223372036854775807"),
        (orders.Replay, {"through": 2**63}, "through: Input should be less than or equal to 9223372036854775807"),
        (orders.Look, {"after": "9223372036854775808"}, "after: Input should be less than or equal to"),
        (orders.Look, {"limit": "many"}, "limit: Input should be a valid integer"),
        (orders.Look, {"limit": "10001"}, "limit: Input should be less than or equal to 10000"),
        (orders.Nothing, {"reason": "lunch"}, "reason: unknown key; there is none"),
        (orders.Pause, {"reason": "x" * 201}, "reason: String should have at most 200 characters"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(kind: type[BaseModel], said: dict[str, Any], told: str) -> None:
    """A slip of the finger must not become "everything"."""
    with pytest.raises(NotUnderstood) as caught:
        orders.read(kind, said)
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["since", "until"])
@pytest.mark.parametrize("text", ["yesterday", "800000d", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_time_is_told_with_what_would_be_one(key: str, text: str) -> None:
    """For programs and people alike, also when it lies before the first year or beyond the last."""
    with pytest.raises(NotUnderstood, match=rf"^{key}: should be a time such as 2026-11-21T10:00:00Z .* 2h"):
        orders.read(orders.Look, {key: text}).selection(NOON)


def test_an_empty_span_of_time_is_a_mistake() -> None:
    """It would look like "nothing happened"."""
    with pytest.raises(NotUnderstood, match="since: should be before until"):
        orders.read(orders.Look, {"since": "1h", "until": "2h"}).selection(NOON)


def test_everything_must_be_said() -> None:
    """A repair that selects nothing is about everything there is, which is rarely meant; one sink is a selection."""
    with pytest.raises(NotUnderstood, match="nothing is selected"):
        orders.read(orders.Repair, {"dry_run": True}).checked()
    orders.read(orders.Repair, {"all": True}).checked()
    orders.read(orders.Repair, {"sink": "crm"}).checked()
    assert orders.read(orders.Repair, {"sink": "crm"}).sink == ["crm"]


def test_a_pause_has_a_reason_even_where_none_is_given() -> None:
    """An empty one would be no pause."""
    assert orders.read(orders.Pause, {}).reason == "by a person"
    assert orders.read(orders.Pause, {"reason": " lunch "}).reason == "lunch"
