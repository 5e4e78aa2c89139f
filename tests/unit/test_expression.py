"""delivery/expression.py: conditions in CEL, what is wrong with them, and the examples that the README gives."""

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from builders import an_event

from salesforce_poller.delivery import expression
from salesforce_poller.delivery.expression import Condition
from salesforce_poller.delivery.filters import Filters
from salesforce_poller.model import Gap, Kind, Verdict
from salesforce_poller.sinks.stdout import StdoutSettings

README = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")


def holds(text: str, **event: Any) -> bool | str:
    """Ask one expression of one event."""
    return Condition(text).holds(an_event(**event))


PROBLEMS = [
    ("", "is empty; leave it out"),
    ("  \n", "is empty; leave it out"),
    ("record.Amount >", "column 16: it ends where more is expected"),
    ("record.Amount\n  > >", "line 2, column 5: did not expect '>'"),
    ("record.Name = 'Ann'", "column 13: did not expect '= '"),
    ("true and true", "column 6: did not expect 'and'"),
    ("record.Name == 'Ann", "column 16: did not expect ''Ann'"),
    ("recrd.Amount > 1", "column 6: there is no recrd.Amount; did you mean record?"),
    ("event.knd == 'updated'", "column 6: there is no event.knd; did you mean event.kind?"),
    ("event.zzz == 'updated'", "column 6: there is no event.zzz; an event has id, source, type, "),
    ("event['kind'] == 'updated'", "column 1: there is no event; an event has id, source, type, "),
    ("lower(record.Name) == 'ann'", "column 6: there is no lower; there are record, previous and event with a field"),
    ("event.kind > 5", "column 12: cannot compute string > int"),
    ("event.time > '2026-11-21'", "column 12: cannot compute timestamp > string"),
    ("!event.kind", "column 1: cannot compute ! of string"),
    ("record.Amount + 1", "should be true or false for each event, and is an int"),
    ("event.kind", "should be true or false for each event, and is a string"),
    ("x" * 5000, "column 1: there is no xxx"),
    ("(" * 5000 + "true" + ")" * 5000, "Expression recursion limit exceeded"),
]


@pytest.mark.parametrize(("text", "expected"), PROBLEMS, ids=range(len(PROBLEMS)))
def test_what_is_wrong_with_an_expression_is_one_short_line_with_its_place(text: str, expected: str) -> None:
    """In plain words; the library's own take several lines and name its inner parts."""
    told = expression.problem(text)
    assert told.startswith(expected)
    assert len(told) < 250
    assert "\n" not in told
    with pytest.raises(ValueError, match=re.escape(told)):
        Condition(text)


@pytest.mark.parametrize(
    "text", ["true", "record.Active", "record == null", "event.time < timestamp('2026-01-01T00:00:00Z')"]
)
def test_nothing_is_wrong_with_a_good_one(text: str) -> None:
    """True or false, or something that is only known when a record comes."""
    assert expression.problem(text) == ""


@pytest.mark.parametrize("amount", [12000, 12000.0, 10000.5, 10001])
def test_whole_and_decimal_numbers_compare(amount: float) -> None:
    """Salesforce writes the same currency field both ways."""
    assert holds("record.Amount > 10000", record={"Amount": amount}) is True
    assert holds("record.Amount > 10000.4 && record.Amount != 10000", record={"Amount": amount}) is True
    assert holds("record.Amount < 10000", record={"Amount": amount}) is False
    assert holds("record.Amount in [10001.0, 1]", record={"Amount": amount}) is (amount == 10001)


EVERYTHING = {
    "id": "'b1946ac92492d2347c6235b4d2611184'",
    "source": "'urn:salesforce:00D5g000008abcdEAA'",
    "type": "'salesforce.Lead.updated'",
    "subject": "'Lead/00Q5g00000AbCdEEAV'",
    "time": "timestamp('2026-11-21T10:00:00Z')",
    "org": "'acme'",
    "object": "'Lead'",
    "kind": "'updated'",
    "record_id": "'00Q5g00000AbCdEEAV'",
    "changed": "['Status']",
    "merged_into": "null",
    "changed_by": "'0055g000001XyZAAA0'",
    "observed_at": "timestamp('2026-11-21T10:00:12.345Z')",
}


@pytest.mark.parametrize("name", EVERYTHING)
def test_an_event_has_what_the_readme_says(name: str) -> None:
    """Each name with its value, and the table of the README has all of them."""
    assert holds(f"event.{name} == {EVERYTHING[name]}") is True
    assert f"`{name}`" in next(line for line in README.splitlines() if line.startswith("| `event.NAME` |"))
    assert EVERYTHING.keys() == expression._EVENT.keys()


def test_times_can_be_reckoned_with() -> None:
    """Those of the event are timestamps, those of the record become some, as Salesforce writes them."""
    record = {"CreatedDate": "2026-11-21T09:30:00.000+0000", "CloseDate": "2026-12-24"}
    assert holds("timestamp(record.CreatedDate) > event.time - duration('1h')", record=record) is True
    assert holds("timestamp(record.CreatedDate) > event.time - duration('10m')", record=record) is False
    assert holds("timestamp(record.CloseDate + 'T00:00:00Z') > event.time", record=record) is True
    assert holds("event.time.getFullYear() == 2026 && event.observed_at - event.time < duration('13s')") is True


@pytest.mark.parametrize(
    ("text", "event", "expected"),
    [
        ("record.Amount > 1", {}, "no such field: Amount"),
        ("record.amount > 1", {"record": {"Amount": 2}}, "no such field: amount"),
        ("record.Amount > 1", {"record": {"Amount": None}}, "cannot compute null > int"),
        ("record.Amount > 1", {"record": {"Amount": "2"}}, "cannot compute string > int"),
        ("record.Amount > 1", {"record": None}, "a field was asked of something that has none, such as null"),
        ("record.Owner.Name == 'Ann'", {"record": {"Owner": None}}, "a field was asked of something that has none"),
        ("'Status' in event.changed", {"changed": None}, "cannot compute in of these values"),
        ("record.Active", {"record": {"Active": "yes"}}, "is a string, not true or false"),
        ("record.Active", {"record": {"Active": None}}, "is null, not true or false"),
        ("record.Name.matches('[')", {}, "invalid regular expression"),
        ("record.Amount / 0 > 1", {"record": {"Amount": 2}}, "divide by zero"),
        ("record.Amount > 1", {"record": {"Amount": 2**80}}, "Integer value '1208925819614629174706176' out of range"),
        ("record.Name.lowerAscii() == 'x'", {"record": {"Name": None}}, "cannot compute lowerAscii of null"),
    ],
)
def test_what_cannot_be_told_is_said_and_is_neither_yes_nor_no(text: str, event: dict[str, Any], expected: str) -> None:
    """In one line for the operator."""
    told = holds(text, **event)
    assert isinstance(told, str)
    assert told.startswith(expected)


def test_a_guard_on_either_side_prevents_the_error() -> None:
    """As CEL has it: what is false anyway, or true anyway, needs no other side."""
    assert holds("record != null && record.Amount > 1", record=None) is False
    assert holds("record.Amount > 1 && record != null", record=None) is False
    assert holds("has(record.Amount) && record.Amount > 1") is False
    assert holds("record.Amount > 1 || true") is True


WHOLE_RECORD = [
    "record.exists(name, name.startsWith('Sta'))",
    "size(record) == 4",
    "'Status' in record",
    "record['Sta' + 'tus'] == 'Working'",
    "[record].exists(one, one.Status == 'Working')",
    "record // which\n .Status == 'Working'",
    "record\n  . Status == 'Working'",
    "record [ 'Status' ] == 'Working'",
    "record.size() == 4",
    "null != record && record.Status == 'Working'",
    "{'a': record}.a.Status == 'Working'",
    "'record.Name' != record['Status']",
]


@pytest.mark.parametrize("text", WHOLE_RECORD)
def test_a_record_can_be_asked_in_every_way_the_language_has(text: str) -> None:
    """Only what an expression names is handed over; where that is not plain, all of it is."""
    assert holds(text) is True


def test_only_what_is_named_is_handed_over() -> None:
    """A value that CEL has no type for does no harm where nobody asks for it."""
    record = {"Status": "Working", "Huge": 2**80}
    assert holds("record.Status == 'Working'", record=record) is True
    assert isinstance(holds("size(record) == 2", record=record), str)


# ---------------------------------------------------------------------- the examples of the README


def sink(name: str) -> Filters:
    """Return the filters of a sink in the README's example."""
    [block] = [each for each in README.split("```toml\n")[1:] if f"[sinks.{name}]" in each]
    said = tomllib.loads(block.partition("```")[0])["sinks"][name]
    return Filters(StdoutSettings.model_validate(said), "screen")


@pytest.mark.parametrize(
    ("amount", "wanted"), [(12000.0, True), (10001, True), (10000, False), (10000.0, False), (None, False)]
)
def test_the_example_of_large_amounts(amount: float | None, wanted: bool) -> None:
    """Amount over 10,000, new or updated; an empty amount is not over anything."""
    for kind in (Kind.CREATED, Kind.UPDATED):
        assert sink("large").judge(an_event(object="Opportunity", kind=kind, record={"Amount": amount})) is wanted
    assert sink("large").judge(an_event(object="Opportunity", kind=Kind.DELETED, record={"Amount": 12000})) is False
    assert sink("large").judge(an_event(object="Account", record={})) is False


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        ({"record": {"StageName": "Closed Won"}, "changed": ("StageName", "Amount")}, True),
        ({"record": {"StageName": "Closed Won"}, "changed": ("Amount",)}, False),
        ({"record": {"StageName": "Prospecting"}, "changed": ("StageName",)}, False),
        ({"record": {"StageName": "Closed Won"}, "changed": None, "previous": None}, True),
        ({"record": {"StageName": "Closed Won"}, "changed": None, "kind": Kind.CREATED}, True),
        ({"record": None, "changed": None, "kind": Kind.DELETED}, False),
    ],
)
def test_the_example_of_stages(event: dict[str, Any], wanted: bool) -> None:
    """Became Closed Won, or may have; not every update of one that is."""
    assert sink("won").judge(an_event(object="Opportunity", **event)) is wanted


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        ({"changed": ("OwnerId",)}, True),
        ({"changed": ("Name", "OwnerId")}, True),
        ({"changed": ("Name",)}, False),
        ({"changed": None}, False),
        ({"kind": Kind.CREATED, "changed": None}, False),
        (
            {
                "kind": Kind.GAP,
                "changed": None,
                "record": None,
                "gap": Gap("deletes", datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC), "why"),
            },
            False,
        ),
    ],
)
def test_the_example_of_owners(event: dict[str, Any], wanted: bool) -> None:
    """Owner changed, of whichever object."""
    assert sink("handover").judge(an_event(**event)) is wanted


def test_what_cannot_be_told_fails_as_a_refusal_with_the_reason() -> None:
    """So that it is tried again, and given up for a person to see."""
    filters = Filters(StdoutSettings.model_validate({"type": "stdout", "when": "record.Amount > 1"}), "screen")
    receipt = filters.judge(an_event())
    assert not isinstance(receipt, bool)
    assert (receipt.verdict, receipt.detail) == (Verdict.REFUSED, "when: no such field: Amount")
