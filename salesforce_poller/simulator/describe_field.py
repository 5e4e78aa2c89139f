"""One field as describe shows it: 57 keys, most of which follow from its type.

Called by `describe.py`. Source: SOAP API Developer Guide, "DescribeSObjectResult", section "Field".
"""

from typing import Any

from salesforce_poller.simulator.schema import Field, ObjectType

BYTES_PER_CHARACTER = 3
"""What describe reckons a character may take in UTF-8."""

_SOAP_TYPES = {
    "id": "tns:ID",
    "reference": "tns:ID",
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "address": "urn:address",
}
_NOT_AGGREGATABLE = ("boolean", "address", "multipicklist")
_DIGITS = {"int": 8}


def describe_field(type_: ObjectType, field: Field) -> dict[str, Any]:
    """The 57 keys, in alphabetical order as the API has them."""
    return dict(sorted((_stated(field) | _implied(type_, field) | _unused()).items()))


def _stated(field: Field) -> dict[str, Any]:
    """What the catalogue says in so many words."""
    return {
        "autoNumber": field.auto_number is not None,
        "calculated": field.calculated,
        "calculatedFormula": field.formula_text,
        "cascadeDelete": field.cascade_delete and field.custom,
        "compoundFieldName": field.compound_field_name,
        "createable": field.createable,
        "custom": field.custom,
        "defaultedOnCreate": field.defaulted_on_create,
        "externalId": field.external_id,
        "filterable": field.filterable,
        "groupable": field.groupable,
        "label": field.label,
        "length": field.length,
        "name": field.name,
        "nameField": field.name_field,
        "nillable": field.nillable,
        "precision": field.precision,
        "referenceTo": list(field.reference_to),
        "relationshipName": field.relationship_name,
        "scale": field.scale,
        "sortable": field.sortable,
        "type": field.type,
        "unique": field.unique,
        "updateable": field.updateable,
    }


def _implied(type_: ObjectType, field: Field) -> dict[str, Any]:
    """What follows from the type and the flags."""
    is_id = field.type in ("id", "reference")
    return {
        "aggregatable": field.type not in _NOT_AGGREGATABLE and not field.long_text,
        "byteLength": field.length if is_id else field.length * BYTES_PER_CHARACTER,
        "defaultValue": field.default if field.type != "boolean" else bool(field.default),
        "digits": _DIGITS.get(field.type, 0),
        "displayLocationInDecimal": False,
        "extraTypeInfo": _extra_type_info(field),
        "idLookup": field.type in ("id", "email") or field.external_id or (type_.custom and field.name_field),
        "namePointing": field.polymorphic,
        "permissionable": _permissionable(field),
        "picklistValues": [_picklist_value(each, field) for each in field.picklist],
        "polymorphicForeignKey": field.polymorphic,
        "queryByDistance": field.type == "address",
        "restrictedPicklist": field.name.endswith("GeocodeAccuracy"),
        "searchPrefilterable": field.type == "reference",
        "soapType": _SOAP_TYPES.get(field.type, "xsd:string"),
    }


def _unused() -> dict[str, Any]:
    """Features no field of this org has."""
    return {
        "aiPredictionField": False,
        "caseSensitive": False,
        "controllerName": None,
        "defaultValueFormula": None,
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "encrypted": False,
        "filteredLookupInfo": None,
        "formulaTreatNullNumberAsZero": False,
        "highScaleNumber": False,
        "htmlFormatted": False,
        "inlineHelpText": None,
        "mask": None,
        "maskType": None,
        "referenceTargetField": None,
        "relationshipOrder": None,
        "restrictedDelete": False,
        "writeRequiresMasterRead": False,
    }


def _permissionable(field: Field) -> bool:
    """Whether an administrator can hide it: not what must be there, nor what the platform writes, nor a name."""
    governed = field.createable or field.calculated or field.type == "address"
    return field.nillable and governed and field.compound_field_name != "Name"


def _extra_type_info(field: Field) -> str | None:
    if field.type == "textarea":
        return "plaintextarea"
    if field.compound_field_name == "Name" or (field.name == "Name" and field.label == "Full Name"):
        return "personname"
    return None


def _picklist_value(value: str, field: Field) -> dict[str, Any]:
    return {
        "active": True,
        "defaultValue": value == field.default,
        "label": value,
        "validFor": None,
        "value": value,
    }
