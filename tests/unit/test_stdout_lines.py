"""sinks/stdout_lines.py: an event as a line for people."""

from typing import Any

import pytest
from builders import NOON, a_delivery
from rich.cells import cell_len
from rich.console import Console

from salesforce_poller.delivery import envelope
from salesforce_poller.model import Gap, Kind
from salesforce_poller.sinks import stdout_lines


def line(width: int = 100, **event: Any) -> str:
    """Return the line without its colours."""
    return stdout_lines.line(envelope.cloudevent(a_delivery(**event)), width).plain


def test_at_100_columns_everything_fits() -> None:
    """Time, kind, object, name, id, and the change with both values."""
    assert (
        line() == "10:00:00  updated    Lead          Ann Example           00Q5g00000AbCdEEAV  Status: Open → Working"
    )


def test_at_80_columns_the_name_stands_for_the_id() -> None:
    """What changed is worth more than eighteen letters of id."""
    assert line(80) == "10:00:00  updated    Lead          Ann Example           Status: Open → Working"


@pytest.mark.parametrize("width", [40, 80, 100, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Also with long values, and with letters that are two columns wide."""
    record = {"Name": "株式会社" * 9, "Status": "x" * 500, "Owner": {"Name": "y" * 500}}
    for event in ({"record": record, "changed": ("Status", "Owner.Name")}, {"object": "A" * 80, "record": record}):
        assert cell_len(line(width, **event)) <= width


def test_a_merge_points_at_the_survivor() -> None:
    """The arrow leads to the record that is left."""
    assert line(kind=Kind.MERGED, changed=None, merged_into="00Q5g00000AbCdFEAV").endswith("→ 00Q5g00000AbCdFEAV")


def test_a_gap_says_what_and_why() -> None:
    """It has no record to name."""
    gap = Gap("deletes", NOON, NOON, "the delete log does not reach back")
    text = line(kind=Kind.GAP, record_id=None, record=None, changed=None, gap=gap)
    assert text == "10:00:00  gap        Lead          deletes: the delete log does not reach back"


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"Name": "Ann"}, "Ann"),
        ({"FirstName": "Ann", "LastName": "Example"}, "Ann Example"),
        ({"FirstName": None, "LastName": "Example"}, "Example"),
        ({"Subject": "Broken", "CaseNumber": "00001"}, "Broken"),
        ({"Subject": None, "CaseNumber": "00001"}, "00001"),
        ({"Status": "Open"}, "00Q5g00000AbCdEEAV"),
        (None, "00Q5g00000AbCdEEAV"),
    ],
)
def test_a_record_is_called_what_people_call_it(record: dict[str, Any] | None, name: str) -> None:
    """Its name, the person, the subject, the number; its id when there is nothing better."""
    assert line(80, kind=Kind.DELETED, record=record, changed=None) == f"10:00:00  deleted    Lead          {name}"


def test_values_are_found_along_their_path() -> None:
    """A nested field, a value that is empty now, and a parent that went away."""
    changed = {"changed": ("Owner.Name", "Email"), "record": {"Name": "Ann", "Owner": {"Name": "Bo"}, "Email": None}}
    assert line(200, **changed, previous={"Owner": None, "Email": "a@b.c"}).endswith(
        "Owner.Name: - → Bo, Email: a@b.c → -"
    )


def test_a_record_cannot_command_the_terminal() -> None:
    """Escape codes and line breaks in values are spaces on the screen."""
    text = line(record={"Name": "\x1b[31mred\nline", "Status": "\x07"})
    assert text.isprintable()


@pytest.mark.parametrize(
    ("kind", "style"),
    [
        (Kind.CREATED, "green"),
        (Kind.UPDATED, "cyan"),
        (Kind.DELETED, "red"),
        (Kind.MERGED, "magenta"),
        (Kind.UNDELETED, "yellow"),
        (Kind.SNAPSHOT, "dim"),
    ],
)
def test_each_kind_has_its_colour(kind: Kind, style: str) -> None:
    """So that a deletion is seen from across the room."""
    text = stdout_lines.line(envelope.cloudevent(a_delivery(kind=kind, changed=None)))
    assert str(text.get_style_at_offset(Console(), 10)) == style
