"""salesforce/soql.py: queries written, names refused, and an operator's own condition kept inside its brackets."""

from datetime import timedelta

import pytest
from polling_builders import LEAD, OTHER_LEAD, a_window, at

from salesforce_poller.model import Window
from salesforce_poller.salesforce import soql

COLUMNS = (
    "Id, Name, Status, Score__c, Owner.Name, SystemModstamp, CreatedDate, IsDeleted, MasterRecordId, LastModifiedById"
)
ORDER = "ORDER BY SystemModstamp, Id"


def where(window: Window) -> str:
    """Return what stands between WHERE and ORDER BY."""
    return soql.render(window).partition(" WHERE ")[2].partition(" ORDER BY ")[0]


class TestRender:
    """A window in, SOQL out."""

    def test_a_poll_is_inclusive_and_ordered_by_stamp_and_id(self) -> None:
        """Stamps are whole seconds, so ties are normal; without Id their order varies."""
        assert (
            soql.render(a_window())
            == f"SELECT {COLUMNS} FROM Lead WHERE SystemModstamp >= 2026-11-21T10:00:00Z {ORDER}"
        )

    def test_a_lower_bound_between_two_seconds_is_rounded_down(self) -> None:
        """Rounded up it would leave rows out."""
        assert where(a_window(since=at("10:00:00") + timedelta(milliseconds=900))).endswith("10:00:00Z")

    def test_a_window_without_bounds_has_no_where(self) -> None:
        """From the beginning, as far as there is."""
        assert soql.render(a_window(since=None)) == f"SELECT {COLUMNS} FROM Lead {ORDER}"

    def test_an_upper_bound_is_exclusive(self) -> None:
        """What is stamped later belongs to the polls."""
        assert where(a_window(since=None, until=at("10:00:00"))) == "SystemModstamp < 2026-11-21T10:00:00Z"

    def test_a_lost_place_is_taken_up_behind_its_last_row(self) -> None:
        """The keyset replaces the lower bound; the tie is cut by Id."""
        assert where(a_window(after=(at("10:00:07"), LEAD))) == (
            f"((SystemModstamp = 2026-11-21T10:00:07Z AND Id > '{LEAD}') OR SystemModstamp > 2026-11-21T10:00:07Z)"
        )

    def test_the_operators_condition_stays_in_brackets(self) -> None:
        """An OR in it must not open the window."""
        assert where(a_window(where="A = 1 OR B = 2")) == "SystemModstamp >= 2026-11-21T10:00:00Z AND (A = 1 OR B = 2)"

    def test_a_query_for_a_job_is_the_same_without_its_order(self) -> None:
        """The pages of a job come in the order of the job."""
        assert f"{soql.render_unordered(a_window())} {ORDER}" == soql.render(a_window())

    def test_ids_are_listed_behind_the_last_one_and_without_the_bin(self) -> None:
        """A page at a time; the operator's condition stays in brackets."""
        query = soql.render_ids("Lead", has_bin=True, where="A = 1 OR B = 2", after=LEAD, limit=2000)
        assert query == (
            f"SELECT Id FROM Lead WHERE IsDeleted = false AND Id > '{LEAD}' AND (A = 1 OR B = 2) ORDER BY Id LIMIT 2000"
        )
        assert soql.render_ids("LeadStatus", has_bin=False) == "SELECT Id FROM LeadStatus"

    def test_another_stamp_field_is_used_throughout(self) -> None:
        """Objects without SystemModstamp have LastModifiedDate or CreatedDate."""
        query = soql.render(a_window(stamp_field="CreatedDate", until=at("11:00:00"), after=(at("10:00:00"), LEAD)))
        assert "WHERE ((CreatedDate = " in query
        assert "CreatedDate < 2026-11-21T11:00:00Z" in query
        assert query.endswith("ORDER BY CreatedDate, Id")

    def test_certain_records_are_asked_for_within_the_condition_and_without_bounds(self) -> None:
        """Whatever their stamps are."""
        query = soql.render_by_ids(a_window(where="Country = 'DE'"), [LEAD, OTHER_LEAD])
        assert query == f"SELECT {COLUMNS} FROM Lead WHERE Id IN ('{LEAD}', '{OTHER_LEAD}') AND (Country = 'DE')"


class TestRefusals:
    """Nothing is ever pasted that could be more than a name, a path or an id."""

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "1Lead",
            "_Lead",
            "Lead Lead",
            "Lead;",
            "Lead.Name",
            "Lead WHERE",
            "Lead'",
            "Läd",
            "Lead\n",
            "Lead-x",
            ".",
        ],
    )
    def test_an_object_that_is_no_name(self, name: str) -> None:
        """Letters, digits and underscores; a letter first."""
        assert not soql.is_name(name)
        with pytest.raises(ValueError, match="not an API name"):
            soql.render(a_window(object=name))
        with pytest.raises(ValueError, match="not an API name"):
            soql.render_by_ids(a_window(object=name), [LEAD])

    @pytest.mark.parametrize("name", ["Lead", "Invoice__c", "ns__Invoice__c", "Product2", "A"])
    def test_names_that_salesforce_gives(self, name: str) -> None:
        """Custom and packaged ones included."""
        assert soql.is_name(name)

    @pytest.mark.parametrize(
        "path",
        ["", ".", "Owner.", ".Name", "Owner..Name", "FIELDS(ALL)", "Name, Email", "COUNT()", "(SELECT Id FROM Tasks)",
         "Name FROM Lead", "Owner.Näme", "Name\n", "A.B.C.D.E.F.G", "toLabel(Status)"],
    )  # fmt: skip
    def test_a_column_that_is_no_path(self, path: str) -> None:
        """A child-to-parent path has at most five steps."""
        assert not soql.is_path(path)
        with pytest.raises(ValueError, match="not a field"):
            soql.render(a_window(select=("Id", path)))

    @pytest.mark.parametrize("path", ["Name", "Owner.Name", "Custom__r.Parent__r.Name__c", "A.B.C.D.E.F"])
    def test_paths_that_salesforce_knows(self, path: str) -> None:
        """Fields, and fields of parents."""
        assert soql.is_path(path)

    @pytest.mark.parametrize("stamp", ["System Modstamp", "SystemModstamp DESC", "Owner.SystemModstamp"])
    def test_a_stamp_that_is_no_name(self, stamp: str) -> None:
        """It stands in the WHERE and in the ORDER BY."""
        with pytest.raises(ValueError, match="not an API name"):
            soql.render(a_window(stamp_field=stamp))

    @pytest.mark.parametrize("one", ["", "x' OR Id != '", LEAD[:-1], LEAD + "0", "00Q5g00000AbCd-EAV", f"{LEAD}\n"])
    def test_an_id_that_is_none(self, one: str) -> None:
        """15 or 18 letters and digits, even where the id comes from Salesforce itself."""
        with pytest.raises(ValueError, match="not a record id"):
            soql.render_by_ids(a_window(), [LEAD, one])
        with pytest.raises(ValueError, match="not a record id"):
            soql.render(a_window(after=(at("10:00:00"), one)))

    def test_ids_of_15_characters_are_ids(self) -> None:
        """The delete log and old integrations have them."""
        assert f"'{LEAD[:15]}'" in soql.render_by_ids(a_window(), [LEAD[:15]])


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, []), (1, [1]), (400, [400]), (401, [400, 1]), (1000, [400, 400, 200])]
)
def test_ids_are_cut_into_lists_that_fit_into_a_url(count: int, sizes: list[int]) -> None:
    """A URI may have 16,384 bytes."""
    ids = [f"00Q5g0000000{number:06}" for number in range(count)]
    batches = list(soql.id_batches(ids))
    assert [len(batch) for batch in batches] == sizes
    assert [one for batch in batches for one in batch] == ids


GOOD_CONDITIONS = [
    "Country = 'DE'",
    "Name = 'O\\'Brien'",
    "Name = 'ends with a backslash \\\\'",
    "Name = 'a ) bracket ( or two))'",
    "Name = 'ORDER BY Name LIMIT 5'",
    "Name = '\\' LIMIT 5'",
    "Name = 'a\\\nb LIMIT 5'",
    "(A = 1 OR (B = 2 AND C = 3))",
    "Limit__c > 5 AND Offset__c = 1 AND Order__c = 2",
    "CreditLimit > 5",
    "Id IN (SELECT AccountId FROM Contact WHERE Name != '')",
    "Name LIKE 'A%'\nAND Amount > 10.5",
    "CreatedDate = LAST_N_DAYS:30",
    "Name = '\"'",
]


@pytest.mark.parametrize("condition", GOOD_CONDITIONS)
def test_a_condition_may_hold_strings_brackets_and_newlines(condition: str) -> None:
    """What stands in a string is data."""
    assert soql.check_condition(condition) is None


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("Name = 'O'Brien'", "closing quote"),
        ("Name = 'x", "closing quote"),
        ("Name = 'x\\'", "closing quote"),
        ("'", "closing quote"),
        ("(A = 1", "is not closed"),
        ("A = 1)", "did not open"),
        ("A = 1) OR (B = 2", "did not open"),
        (")(", "did not open"),
        ("A = 1 LIMIT 5", "without LIMIT"),
        ("A = 1 limit 5", "without LIMIT"),
        ("A = '\\\\' LIMIT 5", "without LIMIT"),
        ("A = 'x' LIMIT 5 OR B = 'y'", "without LIMIT"),
        ("A = 1 ORDER BY Name", "without ORDER BY"),
        ("A = 1 ORDER\n  BY Name", "without ORDER"),
        ("A = 1 OFFSET 10", "without OFFSET"),
        ("A = 1 GROUP BY Name", "without GROUP BY"),
        ("A = 1 ALL ROWS", "without ALL ROWS"),
        ("A = 1 FOR UPDATE", "without FOR UPDATE"),
    ],
)
def test_a_condition_that_would_leave_its_brackets_is_refused(condition: str, problem: str) -> None:
    """With a reason that says what to mend."""
    assert problem in (soql.check_condition(condition) or "")
