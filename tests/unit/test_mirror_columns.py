"""sinks/mirror_columns.py: types of columns, from describe and from values, and when they become wider."""

from typing import Any

import pytest

from salesforce_poller.sinks import mirror_columns
from salesforce_poller.sinks.mirror_columns import Column, Database, of_field, short, widened

INSTANT = "timestamp with time zone"


@pytest.mark.parametrize(
    ("told", "postgresql", "sqlite"),
    [
        ("boolean", "boolean", ""),
        ("int", "bigint", ""),
        ("long", "bigint", ""),
        ("double", "numeric", ""),
        ("currency", "numeric", ""),
        ("percent", "numeric", ""),
        ("date", "date", "TEXT"),
        ("datetime", INSTANT, "TEXT"),
        ("time", "text", "TEXT"),
        ("reference", "text", "TEXT"),
        ("multipicklist", "text", "TEXT"),
        ("anyType", "text", ""),
        ("whatever comes in a later version", "text", "TEXT"),
    ],
)
def test_a_type_follows_from_what_describe_says(told: str, postgresql: str, sqlite: str) -> None:
    """In SQLite only what can be nothing but text has a type: every other type would alter values."""
    assert of_field([told], Database.POSTGRESQL) == postgresql
    assert of_field([told], Database.SQLITE) == sqlite


def test_fields_that_do_not_agree_have_a_type_that_holds_both() -> None:
    """A path may lead to two objects, and two orgs may have one field each."""
    assert of_field(["string", "picklist"], Database.POSTGRESQL) == "text"
    assert of_field(["int", "percent"], Database.POSTGRESQL) == "numeric"
    assert of_field(["date", "datetime"], Database.POSTGRESQL) == "text"
    assert of_field(["boolean", "string"], Database.SQLITE) == ""
    orgs = [{"Id": ["id"], "Size__c": ["double"]}, {"SIZE__C": ["string"], "Open": ["boolean"]}]
    assert mirror_columns.described(orgs, Database.POSTGRESQL) == {
        "size__c": Column("Size__c", "text"),
        "open": Column("Open", "boolean"),
    }


@pytest.mark.parametrize(
    ("have", "value"),
    [
        ("boolean", False),
        ("bigint", 2**63 - 1),
        ("bigint", -(2**63)),
        ("numeric", 2**63),
        ("numeric", 1.5e-300),
        ("date", "2024-02-29"),
        ("date", "0001-01-01"),
        (INSTANT, "2026-11-21T10:00:00.000+0000"),
        (INSTANT, "2026-11-21T10:00:00Z"),
        ("text", 1),
        ("text", "anything"),
        ("character varying", True),
        ("integer", "somebody else's"),
    ],
)
def test_a_value_that_its_column_holds_leaves_it_alone(have: str, value: Any) -> None:
    """So does any value for a column to which somebody has given a type of their own."""
    assert widened(have, value, Database.POSTGRESQL) == have


@pytest.mark.parametrize(
    ("have", "value", "wanted"),
    [
        ("boolean", 1, "text"),
        ("boolean", "true", "text"),
        ("bigint", 1.5, "numeric"),
        ("bigint", 1.0, "numeric"),
        ("bigint", 2**63, "numeric"),
        ("bigint", True, "text"),
        ("bigint", "7", "text"),
        ("numeric", "007", "text"),
        ("numeric", False, "text"),
        ("numeric", ["a"], "text"),
        ("date", "2025-02-29", "text"),
        ("date", "20250228", "text"),
        ("date", "2026-W47-6", "text"),
        ("date", "\u0662\u0660\u0662\u0666-11-21", "text"),
        ("date", "2026-11-21T10:00:00.000+0000", "text"),
        ("date", "infinity", "text"),
        ("date", 0, "text"),
        (INSTANT, "2026-11-21", "text"),
        (INSTANT, "2026-11-21T10:00:00.000+0200", "text"),
        (INSTANT, "2026-11-21T10:00:00.000001+0000", "text"),
        (INSTANT, "2026-11-21T10:00:60.000+0000", "text"),
        (INSTANT, "now", "text"),
        (INSTANT, "", "text"),
    ],
)
def test_a_value_that_would_be_refused_or_altered_makes_its_column_wider(have: str, value: Any, wanted: str) -> None:
    """A formula's odd text, a field that became another in Salesforce; SQLite's columns hold whatever comes."""
    assert widened(have, value, Database.POSTGRESQL) == wanted
    assert widened("", value, Database.SQLITE) == ""
    assert widened(have, value, Database.SQLITE) == have


def test_names_are_kept_short() -> None:
    """Beyond 63 bytes two names must not become one."""
    long = "A_relationship_with_a_very_long_name__r.Another_very_long_name_of_a_field"
    one, other = short(f"{long}_a__c"), short(f"{long}_b__c")
    assert one != other
    assert {len(one.encode()), len(other.encode())} == {63}
    assert short("Owner.Name") == "Owner.Name"
    assert len(short("ü" * 60).encode()) <= 63
    told = mirror_columns.described([{f"{long}_a__c": ["string"]}], Database.POSTGRESQL)
    assert told == {one.lower(): Column(one, "text")}
