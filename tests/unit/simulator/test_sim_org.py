"""The org's statements: what each does to rows, stamps, the recycle bin and the truth."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.undocumented import Undocumented

SECOND = datetime(2026, 11, 21, 10, 0, 30, tzinfo=UTC)


def lead(org: Org, name: str = "Ito", **more: Any) -> str:
    """A lead."""
    return org.insert("Lead", LastName=name, Company="Heron Foods", **more)


def kinds(org: Org, after: int = 0) -> list[tuple[str, str]]:
    """The kinds and objects of the changes after a number."""
    return [(change.kind, change.object) for change in org.truth[after:]]


def test_a_new_record_gets_defaults_an_id_and_one_stamp_for_all_dates(org: Org) -> None:
    """What the caller leaves out, the object's definition fills in."""
    record_id = lead(org)
    row = org.get("Lead", record_id)
    assert row is not None
    assert record_id.startswith("00Q")
    assert (row["Status"], row["IsDeleted"], row["OwnerId"]) == ("Open - Not Contacted", False, org.user)
    assert {row["CreatedDate"], row["LastModifiedDate"], row["SystemModstamp"]} == {SECOND}


def test_stamps_are_whole_seconds_never_rounded_up(org: Org) -> None:
    """SystemModstamp has no fractions, whatever the clock says."""
    org.clock.set(datetime(2026, 11, 21, 10, 0, 59, 999_999, tzinfo=UTC))
    row = org.get("Lead", lead(org))
    assert row is not None
    assert row["SystemModstamp"] == datetime(2026, 11, 21, 10, 0, 59, tzinfo=UTC)


def test_a_bulk_insert_gives_every_row_the_same_stamp(org: Org) -> None:
    """Ties are the norm in loaded data."""
    org.insert_many("Lead", ({"LastName": f"n{i}", "Company": "c"} for i in range(50)))
    assert {change.stamp for change in org.truth} == {SECOND}
    assert len({change.transaction for change in org.truth}) == 1


def test_a_save_that_changes_nothing_still_moves_both_stamps(org: Org) -> None:
    """A user's save is a save."""
    record_id = lead(org)
    org.clock.advance(5)
    org.update(record_id, LastName="Ito")
    row = org.get("Lead", record_id)
    assert row is not None
    assert row["LastModifiedDate"] == row["SystemModstamp"] == SECOND + timedelta(seconds=5)
    assert org.truth[-1].changed == ()


def test_restamping_moves_system_modstamp_of_every_row_and_nothing_else(org: Org) -> None:
    """Renaming a picklist value re-stamps rows that nobody edited."""
    record_id = lead(org)
    lead(org, "Mehta")
    org.clock.advance(60)
    assert org.restamp("lead") == 2
    row = org.get("Lead", record_id)
    assert row is not None
    assert (row["LastModifiedDate"], row["SystemModstamp"]) == (SECOND, SECOND + timedelta(seconds=60))
    assert kinds(org, 2) == [("restamped", "Lead")] * 2


def test_audit_fields_can_be_back_dated_on_insert_but_system_modstamp_cannot(org: Org) -> None:
    """Set Audit Fields upon Record Creation."""
    born = datetime(2020, 1, 1, tzinfo=UTC)
    row = org.get("Lead", lead(org, CreatedDate=born, LastModifiedDate="2020-01-01T01:00:00+01:00"))
    assert row is not None
    assert (row["CreatedDate"], row["LastModifiedDate"], row["SystemModstamp"]) == (born, born, SECOND)
    with pytest.raises(ApiError, match="SystemModstamp"):
        lead(org, SystemModstamp=born)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("Nonsense__c", 1, "INVALID_FIELD"),
        ("Name", "a formula", "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ("AnnualRevenue", "many", "JSON_PARSER_ERROR"),
        ("AnnualRevenue", True, "JSON_PARSER_ERROR"),
        ("IsUnreadByOwner", "yes", "JSON_PARSER_ERROR"),
        ("EmailBouncedDate", "2026-11-21T10:00:00", "JSON_PARSER_ERROR"),
        ("EmailBouncedDate", "yesterday", "JSON_PARSER_ERROR"),
        ("LastActivityDate", "soon", "JSON_PARSER_ERROR"),
        ("OwnerId", "nobody", "MALFORMED_ID"),
        ("FirstName", "x" * 41, "STRING_TOO_LONG"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(org: Org, field: str, value: object, code: str) -> None:
    """Rows hold only what Salesforce could return."""
    with pytest.raises(ApiError) as refused:
        org.insert("Lead", **{"LastName": "Ito", "Company": "c", field: value})
    assert refused.value.code == code
    assert org.truth == []


def test_values_are_kept_in_one_form(org: Org) -> None:
    """Short ids grow, empty text is null, text dates become dates, field names get the API's case."""
    row = org.get("Lead", lead(org, ownerid=org.queue[:15], FirstName="", LastActivityDate="2026-11-20"))
    assert row is not None
    assert (row["OwnerId"], row["FirstName"], row["LastActivityDate"]) == (org.queue, None, date(2026, 11, 20))


def test_auto_numbers_count_up(org: Org) -> None:
    """An invoice's name is its number."""
    rows = [org.get("Invoice__c", org.insert("Invoice__c")) for _ in range(2)]
    assert [row["Name"] for row in rows if row] == ["INV-00001", "INV-00002"]


def test_a_deleted_record_keeps_its_row_with_a_new_stamp(org: Org) -> None:
    """A queryAll still shows it, and SystemModstamp tells when it went."""
    record_id = lead(org)
    org.clock.advance(9)
    org.delete(record_id)
    row = org.get("Lead", record_id)
    assert row is not None
    assert (row["IsDeleted"], row["SystemModstamp"]) == (True, SECOND + timedelta(seconds=9))
    assert row["LastModifiedDate"] == SECOND
    assert list(org.scan("Lead", deleted=False)) == []
    assert list(org.scan("Lead", deleted=True)) == [row]


def test_a_deleted_record_can_be_neither_changed_nor_deleted_again(org: Org) -> None:
    """ENTITY_IS_DELETED."""
    record_id = lead(org)
    org.delete(record_id)
    for statement in (org.delete, org.update):
        with pytest.raises(ApiError, match="ENTITY_IS_DELETED"):
            statement(record_id)


@pytest.mark.parametrize("record_id", ["00Q", "00QSm0000000099MAA", "zzzSm0000000001MAA"])
def test_an_id_that_no_record_has_is_refused(org: Org, record_id: str) -> None:
    """INVALID_CROSS_REFERENCE_KEY."""
    with pytest.raises(ApiError, match="INVALID_CROSS_REFERENCE_KEY"):
        org.update(record_id, LastName="x")


def test_children_go_into_the_bin_with_their_parent_and_come_back_with_it(org: Org) -> None:
    """Deleting an account takes its contacts along; undeleting it brings back those, and no others."""
    account = org.insert("Account", Name="Basalt Tools")
    early, late = (org.insert("Contact", LastName=name, AccountId=account) for name in ("Kaya", "Park"))
    org.delete(early)
    before = len(org.truth)
    org.delete(account)
    assert kinds(org, before) == [("deleted", "Account"), ("deleted", "Contact")]
    org.undelete(account)
    assert kinds(org, before + 2) == [("undeleted", "Account"), ("undeleted", "Contact")]
    live = {row["Id"] for row in org.scan("Contact", deleted=False)}
    assert live == {late}


def test_whether_a_cascade_stamps_the_children_is_a_switch() -> None:
    """Salesforce does not say; a client must be right either way."""
    org = Org(clock=OrgClock(SECOND, speed=0), undocumented=Undocumented(cascade_stamps=False))
    account = org.insert("Account", Name="Basalt Tools")
    contact = org.insert("Contact", LastName="Kaya", AccountId=account)
    org.clock.advance(60)
    org.delete(account)
    row = org.get("Contact", contact)
    assert row is not None
    assert (row["IsDeleted"], row["SystemModstamp"]) == (True, SECOND)


def test_undelete_restores_the_same_record_with_a_new_stamp(org: Org) -> None:
    """The id stays."""
    record_id = lead(org)
    org.delete(record_id)
    org.clock.advance(5)
    org.undelete(record_id)
    row = org.get("Lead", record_id)
    assert row is not None
    assert (row["IsDeleted"], row["SystemModstamp"]) == (False, SECOND + timedelta(seconds=5))


def test_a_purged_record_cannot_come_back_and_disappears_after_a_day(org: Org) -> None:
    """emptyRecycleBin(): still visible to queryAll, typically for 24 hours."""
    record_id = lead(org)
    org.delete(record_id)
    org.purge(record_id)
    with pytest.raises(ApiError, match="UNDELETE_FAILED"):
        org.undelete(record_id)
    org.clock.advance(24 * 3600 - 1)
    assert len(list(org.scan("Lead", deleted=True))) == 1
    org.clock.advance(1)
    assert list(org.scan("Lead", deleted=True)) == []


def test_the_bin_empties_itself_after_fifteen_days(org: Org) -> None:
    """The purge is in the truth, though no client can see it."""
    record_id = lead(org)
    org.delete(record_id)
    org.clock.advance(15 * 86400)
    assert len(list(org.scan("Lead", deleted=True))) == 1
    assert org.truth[-1].kind == "purged"
    org.clock.advance(86400)
    assert list(org.scan("Lead", deleted=True)) == []


def test_a_full_bin_drops_its_oldest_but_nothing_younger_than_two_hours() -> None:
    """Capacity is 5,000 records per licence; here it is two."""
    org = Org(clock=OrgClock(SECOND, speed=0), capacity=2)
    for record_id in [lead(org, name) for name in ("a", "b", "c")]:
        org.delete(record_id)
    org.clock.advance(7199)
    list(org.scan("Lead", deleted=True))
    assert kinds(org, 6) == []
    org.clock.advance(1)
    list(org.scan("Lead", deleted=True))
    assert kinds(org, 6) == [("purged", "Lead")]


def test_a_hard_deleted_record_is_gone_at_once(org: Org) -> None:
    """From live as from the bin."""
    live, binned = lead(org), lead(org, "Novak")
    org.delete(binned)
    org.hard_delete(live)
    org.hard_delete(binned)
    assert list(org.scan("Lead", deleted=True)) == []
    assert kinds(org, 3) == [("hard_deleted", "Lead")] * 2


def test_objects_without_a_recycle_bin_lose_their_rows_at_once(org: Org) -> None:
    """A queue is gone when it is deleted; a user cannot be."""
    org.delete(org.queue)
    assert org.get("Group", org.queue) is None
    with pytest.raises(ApiError, match="INVALID_TYPE_FOR_OPERATION"):
        org.delete(org.user)


def test_a_merge_bins_the_losers_and_points_them_at_the_winner(org: Org) -> None:
    """MasterRecordId tells a merge from a deletion; the winner is saved without a change."""
    winner, first, second = lead(org, "Silva"), lead(org, "Silva"), lead(org, "da Silva")
    org.clock.advance(3)
    org.merge(winner, first, second[:15])
    changes = org.truth[3:]
    assert [(each.kind, each.record_id, each.merged_into) for each in changes] == [
        ("merged", first, winner),
        ("merged", second, winner),
        ("updated", winner, None),
    ]
    row, kept = org.get("Lead", first), org.get("Lead", winner)
    assert row is not None
    assert kept is not None
    assert (row["IsDeleted"], row["MasterRecordId"], row["SystemModstamp"]) == (True, winner, kept["SystemModstamp"])
    assert kept["LastName"] == "Silva"


@pytest.mark.parametrize("stamps", [True, False])
def test_a_merge_gives_the_losers_children_to_the_winner(stamps: bool) -> None:
    """Whether that stamps the children is a switch."""
    org = Org(clock=OrgClock(SECOND, speed=0), undocumented=Undocumented(reparenting_stamps=stamps))
    winner, loser = lead(org), lead(org)
    task = org.insert("Task", Subject="Call", WhoId=loser)
    org.clock.advance(60)
    org.merge(winner, loser)
    row = org.get("Task", task)
    assert row is not None
    assert row["WhoId"] == winner
    assert (row["SystemModstamp"] > SECOND) == stamps


def test_merges_make_chains(org: Org) -> None:
    """A loser of an earlier merge goes on pointing at its own winner."""
    first, second, third = lead(org), lead(org), lead(org)
    org.merge(second, first)
    org.merge(third, second)
    rows = [org.get("Lead", each) for each in (first, second)]
    assert [row["MasterRecordId"] for row in rows if row] == [second, third]


def test_an_account_that_wins_over_its_own_parent_has_no_parent(org: Org) -> None:
    """It cannot be its own."""
    parent = org.insert("Account", Name="Fjord Media")
    child = org.insert("Account", Name="Fjord Media Norway", ParentId=parent)
    org.merge(child, parent)
    row = org.get("Account", child)
    assert row is not None
    assert row["ParentId"] is None


def test_merging_nonsense_is_refused_and_changes_nothing(org: Org) -> None:
    """Itself, too many, another object, an object that cannot be merged."""
    one, two, three, four = (lead(org) for _ in range(4))
    contact = org.insert("Contact", LastName="Rossi")
    deals = [org.insert("Opportunity", Name="d", StageName="Prospecting", CloseDate="2026-12-01") for _ in range(2)]
    before = len(org.truth)
    for ids in ((one, one), (one, two, three, four), (one, contact), (one,), tuple(deals)):
        with pytest.raises(ApiError, match="INVALID_OPERATION"):
            org.merge(*ids)
    assert len(org.truth) == before


def test_a_merged_loser_can_be_undeleted(org: Org) -> None:
    """It forgets its master; its children stay with the winner."""
    winner, loser = lead(org), lead(org)
    org.merge(winner, loser)
    org.undelete(loser)
    row = org.get("Lead", loser)
    assert row is not None
    assert (row["IsDeleted"], row["MasterRecordId"]) == (False, None)


def test_a_conversion_makes_an_account_a_contact_and_a_deal_in_one_second(org: Org) -> None:
    """The lead stays, says so, and cannot be edited any more."""
    record_id = lead(org, FirstName="Runa", Email="runa@heron.example")
    made = org.convert(record_id, opportunity_name="Rollout")
    assert kinds(org, 1) == [
        ("created", "Account"),
        ("created", "Contact"),
        ("created", "Opportunity"),
        ("updated", "Lead"),
    ]
    assert len({(change.transaction, change.stamp) for change in org.truth[1:]}) == 1
    row, contact = org.get("Lead", record_id), org.get("Contact", made.contact_id)
    assert row is not None
    assert contact is not None
    assert (row["IsConverted"], row["Status"], row["ConvertedDate"]) == (True, "Closed - Converted", date(2026, 11, 21))
    assert (row["ConvertedAccountId"], row["ConvertedOpportunityId"]) == (made.account_id, made.opportunity_id)
    assert (contact["Email"], contact["AccountId"]) == ("runa@heron.example", made.account_id)
    with pytest.raises(ApiError, match="CANNOT_UPDATE_CONVERTED_LEAD"):
        org.update(record_id, LastName="x")
    with pytest.raises(ApiError, match="CANNOT_UPDATE_CONVERTED_LEAD"):
        org.convert(record_id)
    assert org.convert(lead(org)).opportunity_id is None


def test_what_the_user_may_not_see_is_not_there(org: Org) -> None:
    """Sharing hides rows, field-level security fields, permissions whole objects; nothing is stamped."""
    record_id = lead(org)
    before = len(org.truth)
    org.hide_record(record_id)
    org.hide_field("lead", "email")
    org.disable_object("Contact")
    assert org.get("Lead", record_id) is None
    assert list(org.scan("Lead", deleted=True)) == []
    assert org.hidden("Lead") == {"Email"}
    assert org.type("contact") is None
    org.show_record(record_id)
    org.show_field("Lead", "Email")
    org.enable_object("Contact")
    assert org.get("Lead", record_id) is not None
    assert org.hidden("Lead") == frozenset()
    assert "Contact" in org.types()
    assert len(org.truth) == before


def test_the_org_knows_itself_and_its_people(org: Org) -> None:
    """One row of Organization; users; a queue; lead statuses, one of them for converted leads. None of it is news."""
    assert [row["Id"] for row in org.scan("Organization", deleted=False)] == [org.organization_id]
    users = {row["Id"] for row in org.scan("User", deleted=False)}
    assert users == {*org.people, org.integration_user}
    assert sum(row["IsConverted"] for row in org.scan("LeadStatus", deleted=False)) == 1
    assert org.truth == []


def test_the_truth_counts_changes_in_commit_order(org: Org) -> None:
    """Numbers start at 1 and have no gaps; the fields are the row as it was then."""
    record_id = lead(org)
    org.update(record_id, LastName="Costa", Company="Heron Foods")
    org.delete(record_id)
    assert [change.number for change in org.truth] == [1, 2, 3]
    assert [change.fields["LastName"] for change in org.truth] == ["Ito", "Costa", "Costa"]
    assert org.truth[1].changed == ("LastName",)
