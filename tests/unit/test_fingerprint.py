"""polling/fingerprint.py: records boiled down, compared and cut out, path by path."""

from typing import Any

import pytest
from polling_builders import a_lead

from salesforce_poller.fields import QUIET
from salesforce_poller.polling import fingerprint
from salesforce_poller.polling.fingerprint import MISSING


class TestDigest:
    """The same for the same values, another one for others."""

    def test_the_order_of_columns_does_not_count(self) -> None:
        """Salesforce answers in the order of the SELECT, which may change."""
        assert fingerprint.digest({"A": 1, "B": {"C": 2, "D": 3}}) == fingerprint.digest(
            {"B": {"D": 3, "C": 2}, "A": 1}
        )

    def test_it_is_32_hexadecimal_digits(self) -> None:
        """It fits its column."""
        assert len(fingerprint.digest(a_lead())) == 32
        int(fingerprint.digest(a_lead()), 16)

    @pytest.mark.parametrize(
        "other",
        [
            {"Status": "open"},
            {"Status": "Open "},
            {"Status": None},
            {"Score__c": 11},
            {"Owner": None},
            {"Owner": {"Name": "Ölga"}},
            {"New__c": None},
        ],
    )
    def test_every_difference_counts(self, other: dict[str, Any]) -> None:
        """Letter case, blanks, null, parents, further columns."""
        assert fingerprint.digest(a_lead(**other)) != fingerprint.digest(a_lead())

    def test_stamps_and_looks_do_not_count(self) -> None:
        """They differ whenever anything happens, and when nothing does."""
        noisy = a_lead(**dict.fromkeys(QUIET, "whatever"))
        assert fingerprint.digest(noisy) == fingerprint.digest(a_lead())

    def test_what_was_seen_earlier_in_the_same_second_counts(self) -> None:
        """So that a value that comes back is another change."""
        first = fingerprint.digest(a_lead())
        assert fingerprint.digest(a_lead(), first) != first

    def test_one_value_is_kept_apart_from_what_was_seen_earlier(self) -> None:
        """Also where a feed asks for nothing but one number."""
        assert fingerprint.digest({"N": 7}, "1" * 32) != fingerprint.digest({"N": 71}, "1" * 31)

    def test_integers_that_a_float_cannot_hold_are_kept_apart(self) -> None:
        """Salesforce's ``long`` goes beyond 2^53."""
        assert fingerprint.digest({"N": 2**53}) != fingerprint.digest({"N": 2**53 + 1})


def test_parts_of_a_hash_are_kept_apart() -> None:
    """Otherwise "ab" and "c" would be "a" and "bc"."""
    assert fingerprint.short_hash("ab", "c") != fingerprint.short_hash("a", "bc")
    assert fingerprint.short_hash("a", "") != fingerprint.short_hash("a")


PICKS: list[tuple[dict[str, Any], str, Any]] = [
    ({"A": 1}, "A", 1),
    ({"A": None}, "A", None),
    ({}, "A", MISSING),
    ({"Owner": {"Name": "Ann"}}, "Owner.Name", "Ann"),
    ({"Owner": {"Name": None}}, "Owner.Name", None),
    ({"Owner": None}, "Owner.Name", None),
    ({"Owner": {}}, "Owner.Name", MISSING),
    ({}, "Owner.Name", MISSING),
    ({"Account": {"Owner": None}}, "Account.Owner.Profile.Name", None),
    ({"Account": {"Owner": {"Profile": {"Name": "Admin"}}}}, "Account.Owner.Profile.Name", "Admin"),
]


@pytest.mark.parametrize(("fields", "path", "value"), PICKS)
def test_pick_knows_null_from_missing(fields: dict[str, Any], path: str, value: Any) -> None:
    """Below a parent that is null everything is null; what was never asked for is missing."""
    assert fingerprint.pick(fields, path) is value


DIFFERENCES: list[tuple[str, dict[str, Any], dict[str, Any], list[str]]] = [
    ("nothing differs", {}, {}, []),
    ("in the order given, not the record's", {"Status": "X"}, {"Status": "Y", "Name": "Z"}, ["Name", "Status"]),
    ("null to a value", {"Status": None}, {"Status": ""}, ["Status"]),
    ("a value to null", {"Status": "X"}, {"Status": None}, ["Status"]),
    ("a parent to null", {}, {"Owner": None}, ["Owner.Name"]),
    ("a null parent to a null field", {"Owner": None}, {"Owner": {"Name": None}}, []),
    ("false to null", {"Score__c": False}, {"Score__c": None}, ["Score__c"]),
    ("ten to ten point nought", {"Score__c": 10}, {"Score__c": 10.0}, []),
    ("a list of picks", {"Status": "A;B"}, {"Status": "A;C"}, ["Status"]),
]


@pytest.mark.parametrize(("claim", "before", "after", "paths"), DIFFERENCES, ids=[row[0] for row in DIFFERENCES])
def test_differences(claim: str, before: dict[str, Any], after: dict[str, Any], paths: list[str]) -> None:
    """Path by path, null being null wherever it stands."""
    asked = ("Id", "Name", "Status", "Score__c", "Owner.Name")
    assert list(fingerprint.differences(a_lead(**before), a_lead(**after), asked)) == paths


def test_a_path_the_past_does_not_know_is_an_addition_and_no_difference() -> None:
    """The feed's fields were extended; a null may be the change as well as a value."""
    after = {"Id": "x", "Full": 0, "Empty": None, "Owner": {"Name": "Ann"}}
    asked = ("Id", "SystemModstamp", "Full", "Empty", "Owner.Name", "Gone")
    assert list(fingerprint.differences({}, after, asked)) == []
    assert list(fingerprint.additions({}, after, asked)) == ["Full", "Empty", "Owner.Name"]
    assert list(fingerprint.additions(after, after, asked)) == []


def test_quiet_columns_never_differ() -> None:
    """The stamps of a change are not the change."""
    before, after = dict.fromkeys(QUIET, "a"), dict.fromkeys(QUIET, "b")
    assert list(fingerprint.differences(before, after, sorted(QUIET))) == []


def test_a_parents_stamp_is_somebodys_field() -> None:
    """Quiet are the record's own stamps; who asks for its parent's wants them."""
    before, after = {"Owner": {"LastModifiedDate": "a"}}, {"Owner": {"LastModifiedDate": "b"}}
    assert list(fingerprint.differences(before, after, ["Owner.LastModifiedDate"])) == ["Owner.LastModifiedDate"]


def test_nest_cuts_out_paths_as_the_record_nests_them() -> None:
    """``previous`` looks like ``record``."""
    lead = a_lead(Account={"Name": "Acme", "Owner": {"Name": "Otto"}})
    assert fingerprint.nest(lead, ["Status", "Account.Owner.Name", "Account.Name"]) == {
        "Status": "Open",
        "Account": {"Owner": {"Name": "Otto"}, "Name": "Acme"},
    }
    assert fingerprint.nest(a_lead(Owner=None), ["Owner.Name"]) == {"Owner": {"Name": None}}
    assert fingerprint.nest(lead, []) == {}
