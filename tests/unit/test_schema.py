"""polling/schema.py: which columns a feed reads, in whose spelling, and what of it may change without a stamp."""

from collections.abc import Sequence

import pytest

from salesforce_poller.errors import Refused
from salesforce_poller.polling import schema
from salesforce_poller.salesforce.describe import FieldInfo, ObjectInfo

BOOKKEEPING = ("SystemModstamp", "CreatedDate", "IsDeleted", "MasterRecordId", "LastModifiedById")


def a_field(
    name: str,
    kind: str = "string",
    *,
    calculated: bool = False,
    usable: bool = True,
    parent: str | None = None,
    to: Sequence[str] = (),
) -> FieldInfo:
    """Return a field; ``usable`` says whether it can be filtered and sorted by."""
    return FieldInfo(name, kind, calculated, usable, usable, parent, tuple(to))


def an_object(name: str, *fields: FieldInfo, queryable: bool = True, replicateable: bool = True) -> ObjectInfo:
    """Return an object with an Id."""
    known = {field.name: field for field in (a_field("Id", "id"), *fields)}
    return ObjectInfo(name, name, queryable, replicateable, known)


LEAD = an_object(
    "Lead",
    a_field("Name"),
    a_field("Status", "picklist"),
    a_field("Score__c", "double", calculated=True),
    a_field("OwnerId", "reference", parent="Owner", to=["Group", "User"]),
    a_field("Account__c", "reference", parent="Account__r", to=["Account"]),
    a_field("Address", "address"),
    a_field("Street", "textarea"),
    a_field("Where__c", "location"),
    a_field("Photo__c", "base64"),
    *(a_field(name) for name in BOOKKEEPING),
)
ACCOUNT = an_object("Account", a_field("Name"), a_field("OwnerId", "reference", parent="Owner", to=["User"]))
USER = an_object("User", a_field("Name"), a_field("Email", "email"), a_field("Photo", "base64"))
GROUP = an_object("Group", a_field("Name"))
PARENTS = {"Account": ACCOUNT, "User": USER, "Group": GROUP}


def visible(*wanted: str, info: ObjectInfo = LEAD) -> tuple[str, ...]:
    """Return the columns that are the user's."""
    return schema.choose(info, wanted, PARENTS).visible


class TestChoosing:
    """Columns from the configuration and from describe."""

    def test_by_default_every_field_that_is_no_blob_and_no_compound(self) -> None:
        """Blobs cost a request each, compounds repeat their parts."""
        chosen = schema.choose(LEAD, None, {})
        assert chosen.visible == ("Id", "Name", "Status", "Score__c", "OwnerId", "Account__c", "Street", *BOOKKEEPING)
        assert set(chosen.select) == set(chosen.visible)
        assert chosen.dropped == ()

    def test_wanted_fields_come_after_id_in_their_order(self) -> None:
        """Id is always there, once."""
        assert visible("Status", "Name") == ("Id", "Status", "Name")
        assert visible("Name", "Id") == ("Id", "Name")

    def test_we_select_for_ourselves_what_exists(self) -> None:
        """Without showing it to the user; in the order in which rows are read and written."""
        expected = ("Id", "IsDeleted", "MasterRecordId", "SystemModstamp", "LastModifiedById", "CreatedDate", "Name")
        assert schema.choose(LEAD, ["Name"], {}).select == expected
        item = an_object("OrderItem", *(a_field(name) for name in BOOKKEEPING if name != "MasterRecordId"))
        assert "MasterRecordId" not in schema.choose(item, None, {}).select

    def test_names_leave_in_salesforces_spelling(self) -> None:
        """Answers have it, whatever the query said."""
        assert visible("STATUS", "owner.name", "account__R.OWNER.email") == (
            "Id", "Status", "Owner.Name", "Account__r.Owner.Email",
        )  # fmt: skip

    def test_a_field_named_twice_is_read_once(self) -> None:
        """Salesforce refuses a column that stands twice."""
        assert visible("Status", "status", "STATUS") == ("Id", "Status")

    @pytest.mark.parametrize(
        "path",
        ["Nope", "Nope.Name", "Owner", "Owner.Nope", "Name.Length", "Account__c.Name", "Photo__c", "Address",
         "Owner.Photo", "Account__r.Owner.Nope", "Account__r.Nope.Name"],
    )  # fmt: skip
    def test_what_cannot_be_read_is_dropped_and_named(self, path: str) -> None:
        """The feed goes on without it."""
        chosen = schema.choose(LEAD, ["Name", path], PARENTS)
        assert chosen.visible == ("Id", "Name")
        assert chosen.dropped == (path,)

    def test_a_parent_this_user_cannot_see_is_dropped(self) -> None:
        """Its describe answers 404."""
        chosen = schema.choose(LEAD, ["Account__r.Name"], {"Account": None})
        assert (chosen.visible, chosen.dropped) == (("Id",), ("Account__r.Name",))

    def test_a_path_through_several_kinds_of_parent_is_found_in_any(self) -> None:
        """An owner is a user or a group."""
        assert visible("Owner.Email") == ("Id", "Owner.Email")

    @pytest.mark.parametrize("wanted", [None, ["Name", "Status"]])
    def test_a_field_that_a_query_refused_is_left_out(self, wanted: list[str] | None) -> None:
        """Although describe still lists it."""
        chosen = schema.choose(LEAD, wanted, {}, frozenset({"Status"}))
        assert "Status" not in chosen.visible
        assert "Status" not in chosen.select
        assert chosen.dropped == ("Status",)

    def test_formulas_and_parents_fields_can_change_without_a_stamp(self) -> None:
        """They are told with the next stamp."""
        chosen = schema.choose(LEAD, ["Name", "Score__c", "OwnerId", "Owner.Name"], PARENTS)
        assert chosen.derived == {"Score__c", "Owner.Name"}


class TestStamps:
    """What a feed polls by."""

    @pytest.mark.parametrize(
        ("there", "chosen"),
        [
            (["SystemModstamp", "LastModifiedDate", "CreatedDate"], "SystemModstamp"),
            (["CreatedDate", "LastModifiedDate"], "LastModifiedDate"),
            (["CreatedDate"], "CreatedDate"),
        ],
    )
    def test_the_best_stamp_there_is(self, there: list[str], chosen: str) -> None:
        """LastModifiedDate can be back-dated, CreatedDate knows no updates."""
        info = an_object("Thing", *(a_field(name, "datetime") for name in there))
        assert schema.choose(info, None, {}).stamp_field == chosen

    def test_a_stamp_that_cannot_be_filtered_or_sorted_by_is_none(self) -> None:
        """The query would be refused."""
        info = an_object("Thing", a_field("SystemModstamp", usable=False), a_field("CreatedDate"))
        assert schema.choose(info, None, {}).stamp_field == "CreatedDate"

    def test_an_object_without_any_is_refused(self) -> None:
        """With its name."""
        with pytest.raises(Refused, match="Thing has no SystemModstamp"):
            schema.choose(an_object("Thing"), None, {})

    def test_an_object_that_cannot_be_queried_is_refused(self) -> None:
        """Change events, for one."""
        with pytest.raises(Refused, match="cannot be queried"):
            schema.choose(an_object("LeadChangeEvent", a_field("CreatedDate"), queryable=False), None, {})

    @pytest.mark.parametrize("replicateable", [True, False])
    def test_it_is_known_whether_the_replication_calls_answer(self, replicateable: bool) -> None:
        """Shares and statuses are queryable, and have no delete log."""
        info = an_object("LeadStatus", a_field("SystemModstamp"), replicateable=replicateable)
        assert schema.choose(info, None, {}).replicateable is replicateable


class TestParentsToDescribe:
    """Which parents must be described before paths can be judged."""

    @pytest.mark.parametrize("wanted", [None, [], ["Name"], ["Nope.Name"], ["OwnerId.Name"]])
    def test_none_where_no_path_leads_anywhere(self, wanted: list[str] | None) -> None:
        """Each costs a call."""
        assert schema.parents_to_describe(LEAD, wanted, {}) == set()

    def test_every_kind_of_a_paths_first_parent(self) -> None:
        """In any case of letters."""
        assert schema.parents_to_describe(LEAD, ["owner.Name", "Account__r.Name"], {}) == {"Group", "User", "Account"}

    def test_then_the_parents_of_those(self) -> None:
        """One level at a time, until nothing is missing."""
        known = {"Account": ACCOUNT}
        assert schema.parents_to_describe(LEAD, ["Account__r.Owner.Name"], {}) == {"Account"}
        assert schema.parents_to_describe(LEAD, ["Account__r.Owner.Name"], known) == {"User"}
        assert schema.parents_to_describe(LEAD, ["Account__r.Owner.Name"], {**known, "User": USER}) == set()

    def test_a_parent_that_cannot_be_seen_is_not_asked_for_again(self) -> None:
        """It is known to be hidden."""
        assert schema.parents_to_describe(LEAD, ["Account__r.Owner.Name"], {"Account": None}) == set()
