"""Describe: the key sets of the real answers, and what field-level security takes away."""

from typing import Any

import pytest

from salesforce_poller.simulator import describe
from salesforce_poller.simulator.catalogue import ObjectType, catalogue

OBJECTS = catalogue()
SUMMARY = """
    activateable associateEntityType associateParentEntity createable custom customSetting deepCloneable deletable
    deprecatedAndHidden feedEnabled hasSubtypes isInterface isSubtype keyPrefix label labelPlural layoutable mergeable
    mruEnabled name queryable replicateable retrieveable searchable triggerable undeletable updateable urls
"""
DETAILS = """
    actionOverrides childRelationships compactLayoutable defaultImplementation extendedBy extendsInterfaces fields
    implementedBy implementsInterfaces listviewable lookupLayoutable namedLayoutInfos networkScopeFieldName
    recordTypeInfos searchLayoutable sobjectDescribeOption supportedScopes
"""
FIELD = """
    aggregatable aiPredictionField autoNumber byteLength calculated calculatedFormula cascadeDelete caseSensitive
    compoundFieldName controllerName createable custom defaultValue defaultValueFormula defaultedOnCreate
    dependentPicklist deprecatedAndHidden digits displayLocationInDecimal encrypted externalId extraTypeInfo filterable
    filteredLookupInfo formulaTreatNullNumberAsZero groupable highScaleNumber htmlFormatted idLookup inlineHelpText
    label length mask maskType name nameField namePointing nillable permissionable picklistValues polymorphicForeignKey
    precision queryByDistance referenceTargetField referenceTo relationshipName relationshipOrder restrictedDelete
    restrictedPicklist scale searchPrefilterable soapType sortable type unique updateable writeRequiresMasterRead
"""


def lead_field(name: str) -> dict[str, Any]:
    """One field of Lead, described."""
    fields = describe.describe_object(OBJECTS["Lead"], version="60.0")["fields"]
    return next(each for each in fields if each["name"] == name)


def test_describe_global_has_28_keys_for_each_object() -> None:
    """The encoding and the batch size come with them."""
    answer = describe.describe_global(OBJECTS.values(), version="60.0")
    assert (answer["encoding"], answer["maxBatchSize"]) == ("UTF-8", 200)
    assert [each["name"] for each in answer["sobjects"]] == list(OBJECTS)
    assert all(set(each) == set(SUMMARY.split()) and len(each) == 28 for each in answer["sobjects"])
    lead = next(each for each in answer["sobjects"] if each["name"] == "Lead")
    assert lead["urls"]["rowTemplate"] == "/services/data/v60.0/sobjects/Lead/{ID}"


@pytest.mark.parametrize("object_type", OBJECTS.values(), ids=OBJECTS)
def test_describe_object_has_every_key_and_57_for_each_field(object_type: ObjectType) -> None:
    """And in alphabetical order, as recorded."""
    answer = describe.describe_object(object_type, version="60.0")
    assert set(answer) == {*SUMMARY.split(), *DETAILS.split()}
    assert all(list(each) == FIELD.split() and len(each) == 57 for each in answer["fields"])
    assert [each["name"] for each in answer["fields"]] == list(object_type.fields)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "Id",
            {"type": "id", "soapType": "tns:ID", "nillable": False, "createable": False, "updateable": False}
            | {"idLookup": True, "length": 18, "byteLength": 18, "defaultedOnCreate": True, "groupable": True},
        ),
        (
            "SystemModstamp",
            {"type": "datetime", "soapType": "xsd:dateTime", "filterable": True, "sortable": True, "groupable": False}
            | {"nillable": False, "createable": False, "updateable": False, "defaultedOnCreate": True},
        ),
        ("IsDeleted", {"type": "boolean", "defaultValue": False, "groupable": True, "aggregatable": False}),
        ("MasterRecordId", {"referenceTo": ["Lead"], "relationshipName": "MasterRecord", "nillable": True}),
        (
            "OwnerId",
            {"referenceTo": ["Group", "User"], "polymorphicForeignKey": True, "namePointing": True}
            | {"createable": True, "updateable": True, "defaultedOnCreate": True, "searchPrefilterable": True},
        ),
        (
            "Address",
            {"type": "address", "soapType": "urn:address", "sortable": False, "groupable": False}
            | {"queryByDistance": True, "filterable": True, "permissionable": True},
        ),
        ("Street", {"compoundFieldName": "Address", "extraTypeInfo": "plaintextarea", "sortable": True}),
        ("Description", {"filterable": False, "sortable": False, "groupable": False}),
        ("Name", {"nameField": True, "extraTypeInfo": "personname", "byteLength": 363, "label": "Full Name"}),
        ("LastName", {"permissionable": False, "extraTypeInfo": "personname", "nillable": False}),
        ("AnnualRevenue", {"soapType": "xsd:double", "precision": 18, "groupable": False}),
    ],
)
def test_lead_fields_are_described_as_recorded(name: str, expected: dict[str, Any]) -> None:
    """The values a client may rely on."""
    field = lead_field(name)
    assert {key: field[key] for key in expected} == expected


def test_picklists_list_their_values_and_the_default() -> None:
    """One of Lead's statuses is chosen when none is given."""
    values = lead_field("Status")["picklistValues"]
    assert [each["value"] for each in values if each["defaultValue"]] == ["Open - Not Contacted"]
    assert set(values[0]) == {"active", "defaultValue", "label", "validFor", "value"}


def test_formulas_are_shown_as_calculated() -> None:
    """With their text; derived standard fields are not."""
    fields = describe.describe_object(OBJECTS["Invoice__c"], version="60.0")["fields"]
    calculated = {each["name"]: each["calculatedFormula"] for each in fields if each["calculated"]}
    assert calculated == {
        "Total__c": "Amount__c * (1 + Tax_Rate__c)",
        "Days_Overdue__c": "IF(Paid__c, 0, MAX(0, TODAY() - Due_Date__c))",
    }
    assert not lead_field("Name")["calculated"]


def test_hidden_fields_are_not_there() -> None:
    """A field vanishing from describe may be a permission taken away."""
    answer = describe.describe_object(OBJECTS["Lead"], version="60.0", hidden=frozenset({"Email"}))
    assert "Email" not in {each["name"] for each in answer["fields"]}


def test_relationships_record_types_and_scopes_have_their_shapes() -> None:
    """A relationship may have no name; the master record type is always there."""
    answer = describe.describe_object(OBJECTS["Account"], version="60.0")
    children = {(each["childSObject"], each["field"]): each for each in answer["childRelationships"]}
    assert children["Contact", "AccountId"]["cascadeDelete"] is True
    assert children["Lead", "ConvertedAccountId"]["relationshipName"] is None
    assert answer["recordTypeInfos"][0]["recordTypeId"] == "012000000000000AAA"
    assert [each["name"] for each in answer["supportedScopes"]] == ["everything", "mine", "team"]
    assert answer["sobjectDescribeOption"] == "FULL"
    assert answer["urls"]["uiNewRecord"] == "https://simulated.my.salesforce.com/001/e"
    statuses = describe.describe_object(OBJECTS["LeadStatus"], version="60.0")
    assert [each["name"] for each in statuses["supportedScopes"]] == ["everything"]
    assert "layouts" not in statuses["urls"]
