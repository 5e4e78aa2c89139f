"""The judge itself is judged: each kind of wrong telling is found, and a true one is let pass."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from builders import an_event
from oracle import judge

from salesforce_poller.model import Event, Kind
from salesforce_poller.simulator.changes import Change

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
LEAD = "00Q000000000001AAA"
OTHER = "00Q000000000002AAA"


def a_truth(*steps: tuple[str, str]) -> list[Change]:
    """Make a truth log of one lead from (kind, company) steps, one transaction each."""
    return [
        Change(number, kind, "Lead", LEAD, NOW, NOW, number, (), fields(company, kind), None)  # type: ignore[arg-type]  # kinds as plain words
        for number, (kind, company) in enumerate(steps, start=1)
    ]


def fields(company: str, kind: str) -> dict[str, Any]:
    """Make the stored row after a step."""
    return {"Id": LEAD, "Company": company, "IsDeleted": kind in ("deleted", "merged")}


def told(number: int, kind: Kind, company: str, **more: Any) -> Event:
    """Make an event that tells of the lead."""
    values = {
        "id": f"e{number}",
        "kind": kind,
        "object": "Lead",
        "record_id": LEAD,
        "changed": None,
        "previous": None,
        "time": NOW,
    }
    return an_event(**(values | {"record": {"Company": company}, "merged_into": None} | more))


TRUTH = a_truth(("created", "One"), ("updated", "Two"), ("deleted", "Two"), ("undeleted", "Two"))
STORY = [
    told(1, Kind.CREATED, "One"),
    told(2, Kind.UPDATED, "Two", changed=("Company",), previous={"Company": "One"}),
    told(3, Kind.DELETED, "Two"),
    told(4, Kind.UNDELETED, "Two"),
]


def verdict(events: list[Event], truth: list[Change] = TRUTH) -> list[str]:
    """Judge."""
    return judge(events, truth, ["Company"], "Lead")


def test_the_whole_truth_passes() -> None:
    """Every change told once, in order."""
    assert verdict(STORY) == []


def test_repeats_pass() -> None:
    """At least once allows telling again, also late."""
    assert verdict([*STORY[:2], STORY[0], *STORY[2:], STORY[1]]) == []


def test_of_two_ends_between_two_looks_the_second_may_be_told() -> None:
    """With the values that it had by then; those of neither end are still wrong."""
    truth = [
        *TRUTH,
        *a_truth(*[("created", "")] * 4, ("updated", "Three"), ("deleted", "Three"), ("undeleted", "Three"))[4:],
    ]
    ends = [told(5, Kind.DELETED, "Three"), told(6, Kind.UNDELETED, "Three")]
    assert verdict([*STORY[:2], *ends], truth) == []
    assert verdict([*STORY[:2], told(5, Kind.DELETED, "Four"), ends[1]], truth)


def test_changes_between_two_looks_may_be_one() -> None:
    """A poller sees states, not changes."""
    truth = a_truth(("created", "One"), ("updated", "Two"), ("updated", "Three"))
    assert verdict([told(1, Kind.CREATED, "Three")], truth) == []


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([], id="nothing told"),
        pytest.param(STORY[:-1], id="the last change missing"),
        pytest.param(STORY[1:], id="the creation missing"),
        pytest.param([STORY[1], STORY[0], *STORY[2:]], id="out of order"),
        pytest.param([told(1, Kind.UPDATED, "One"), *STORY[1:]], id="updated instead of created"),
        pytest.param([STORY[0], told(2, Kind.CREATED, "Two"), *STORY[2:]], id="created twice"),
        pytest.param([*STORY[:3], told(4, Kind.UPDATED, "Two")], id="updated instead of undeleted"),
        pytest.param([*STORY[:3], told(5, Kind.DELETED, "Two"), STORY[3]], id="deleted twice"),
        pytest.param([STORY[0], told(2, Kind.UPDATED, "Never"), *STORY[2:]], id="a state it never had"),
        pytest.param([STORY[0], told(2, Kind.UPDATED, "Two", changed=()), *STORY[2:]], id="changed is wrong"),
        pytest.param(
            [STORY[0], told(2, Kind.UPDATED, "Two", changed=("Company",), previous={"Company": "X"}), *STORY[2:]],
            id="previous is wrong",
        ),
        pytest.param([*STORY[:2], told(3, Kind.MERGED, "Two", merged_into=OTHER), STORY[3]], id="merged, not deleted"),
        pytest.param([*STORY, told(5, Kind.CREATED, "X", record_id=OTHER)], id="a record nothing happened to"),
        pytest.param([*STORY[:2], STORY[1].but(id="x", changed=()), *STORY[2:]], id="an update of nothing"),
        pytest.param([STORY[0], STORY[1].but(changed=None), *STORY[2:]], id="previous values withheld"),
        pytest.param([STORY[0].but(time=NOW + timedelta(days=1)), *STORY[1:]], id="a time that is no stamp"),
        pytest.param([*STORY[:2], STORY[2].but(record={"Company": "X"}), STORY[3]], id="deleted as it never was"),
        pytest.param([*STORY, STORY[3].but(id="e1")], id="two events with one id"),
    ],
)
def test_what_is_wrong_is_found(events: list[Event]) -> None:
    """Missing, invented, of the wrong kind, out of order, with wrong values."""
    assert verdict(events)


def test_what_must_be_told_is_missed() -> None:
    """A life that came and went may go unseen, but not if a poll saw it."""
    truth = a_truth(("created", "One"), ("deleted", "One"))
    assert judge([], truth, ["Company"], "Lead") == []
    assert judge([], truth, ["Company"], "Lead", must_tell={LEAD})
