"""The catalogue: the objects agree with each other, and with the flags a real org shows."""

from datetime import UTC, date, datetime

import pytest

from salesforce_poller.simulator.catalogue import Child, ObjectType, catalogue

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
OBJECTS = catalogue()
FLAGS = ("queryable", "replicateable", "retrieveable", "triggerable", "mergeable", "undeletable", "deletable")
MORE_FLAGS = ("createable", "updateable", "searchable")
AUDIT = {"CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp"}
everywhere = pytest.mark.parametrize("object_type", OBJECTS.values(), ids=OBJECTS)


@pytest.mark.parametrize(
    ("name", "prefix", "flags"),
    [
        ("Lead", "00Q", "1111111111"),
        ("Account", "001", "1111111111"),
        ("Contact", "003", "1111111111"),
        ("Opportunity", "006", "1111011111"),
        ("Case", "500", "1111011111"),
        ("Task", "00T", "1111011111"),
        ("Campaign", "701", "1111011111"),
        ("User", "005", "1111000111"),
        ("Order", "801", "1111011111"),
        ("Product2", "01t", "1111011111"),
        ("LeadStatus", "01J", "1010000000"),
        ("Group", "00G", "1110001111"),
    ],
)
def test_objects_have_the_flags_of_a_real_org(name: str, prefix: str, flags: str) -> None:
    """LeadStatus is not replicateable, users are never deleted, cases are not mergeable."""
    object_type = OBJECTS[name]
    assert object_type.key_prefix == prefix
    assert "".join(str(int(getattr(object_type, each))) for each in (*FLAGS, *MORE_FLAGS)) == flags


@everywhere
def test_every_object_is_stamped(object_type: ObjectType) -> None:
    """All five audit fields, written by the platform only."""
    assert set(object_type.fields) >= AUDIT
    assert not any(object_type.fields[each].createable or object_type.fields[each].updateable for each in AUDIT)


def test_only_what_has_a_recycle_bin_has_isdeleted() -> None:
    """Users, groups, statuses and the organization never get there."""
    without = {name for name, each in OBJECTS.items() if "IsDeleted" not in each.fields}
    assert without == {"User", "Group", "LeadStatus", "Organization"}


def test_only_mergeable_objects_and_case_have_a_master_record() -> None:
    """Asking MasterRecordId of an opportunity is INVALID_FIELD."""
    assert {name for name, each in OBJECTS.items() if "MasterRecordId" in each.fields} == {
        *("Account", "Contact", "Lead", "Case")
    }


@everywhere
def test_references_lead_somewhere(object_type: ObjectType) -> None:
    """Every lookup names objects of this org, and a relationship to reach them by."""
    for field in object_type.fields.values():
        assert set(field.reference_to) <= set(OBJECTS), field.name
        assert bool(field.reference_to) == (field.type == "reference") == (field.relationship_name is not None)


@everywhere
def test_compound_fields_and_their_parts_agree(object_type: ObjectType) -> None:
    """A part names a compound field that exists."""
    for field in object_type.fields.values():
        assert field.compound_field_name is None or field.compound_field_name in object_type.fields


@everywhere
def test_each_object_has_one_name_field_and_labels(object_type: ObjectType) -> None:
    """Labels are for people: capitals and blanks."""
    assert sum(field.name_field for field in object_type.fields.values()) == 1
    assert all(field.label[0].isupper() and "_" not in field.label for field in object_type.fields.values())


@everywhere
def test_derived_fields_survive_an_empty_row(object_type: ObjectType) -> None:
    """A formula of a row that has only an id is a value or None, never an exception."""
    for field in object_type.fields.values():
        if field.formula is not None:
            assert not field.stored
            assert not field.createable
            field.formula({"Id": "00Q000000000001AAA"}, NOW)


def test_children_mirror_the_lookups() -> None:
    """Account's children come from the fields that refer to it, with what the recycle bin needs to know."""
    account = OBJECTS["Account"]
    assert account.child("contacts") == Child("Contact", "AccountId", "Contacts", cascade_delete=True)
    assert account.child("Cases") == Child("Case", "AccountId", "Cases", cascade_delete=False)
    assert account.child("Invoices__r") == Child("Invoice__c", "Account__c", "Invoices__r", cascade_delete=False)
    assert account.child("Nonsense") is None
    assert Child("Lead", "ConvertedAccountId", None, cascade_delete=False) in account.children


def test_names_are_looked_up_whatever_their_case() -> None:
    """As Salesforce does it."""
    lead = OBJECTS["Lead"]
    assert lead.field("sYSTEMmODSTAMP") is lead.fields["SystemModstamp"]
    assert lead.field("Nonsense") is None
    assert lead.parent("owner") is lead.fields["OwnerId"]
    assert lead.parent("Nonsense") is None


def test_required_fields_are_those_a_create_call_must_name() -> None:
    """Status and OwnerId have defaults, LastName and Company have none."""
    assert {each.name for each in OBJECTS["Lead"].fields.values() if each.required} == {"LastName", "Company"}


def test_the_invoice_has_a_formula_of_its_own_fields_and_one_of_time() -> None:
    """The second changes from day to day although nobody touches the row."""
    invoice = OBJECTS["Invoice__c"]
    row = {"Id": "a00000000000001AAA", "Amount__c": 100, "Tax_Rate__c": 19, "Due_Date__c": date(2026, 11, 20)}
    total, overdue = invoice.fields["Total__c"].formula, invoice.fields["Days_Overdue__c"].formula
    assert total is not None
    assert overdue is not None
    assert total(row, NOW) == 119
    assert [overdue(row, NOW.replace(day=day)) for day in (19, 21, 22)] == [0, 1, 2]
    assert overdue(row | {"Paid__c": True}, NOW) == 0
    assert {each.type for each in invoice.fields.values()} >= {"boolean", "currency", "multipicklist", "textarea"}


def test_a_deal_follows_its_stage() -> None:
    """Closed, won, forecast and expected revenue are derived, so they can not disagree with the stage."""
    row = {"Id": "006", "StageName": "Closed Won", "Amount": 50, "Probability": 90, "CloseDate": date(2026, 11, 21)}
    opportunity = OBJECTS["Opportunity"]
    derived = {each.name: each.formula(row, NOW) for each in opportunity.fields.values() if each.formula is not None}
    assert derived == {
        "ExpectedRevenue": 45.0,
        "IsClosed": True,
        "IsWon": True,
        "ForecastCategory": "Closed",
        "FiscalQuarter": 4,
        "FiscalYear": 2026,
        "Fiscal": "2026 4",
    }
