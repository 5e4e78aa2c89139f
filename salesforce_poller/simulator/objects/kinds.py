"""Kinds of fields, so that an object's file reads like its page in the object reference.

Each function makes one `Field` (or a group that belongs together) with the flags this kind always has; what is special
about a field is said by wrapping it: `required(text("LastName", 80))`. Called by the files next door.
"""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from salesforce_poller.simulator.schema import LONG_TEXT_FROM, Field, Formula

GEOCODE_ACCURACIES = (
    *("Address", "NearAddress", "Block", "Street", "ExtendedZip", "Zip"),
    *("Neighborhood", "City", "County", "State", "Unknown"),
)
LEAD_SOURCES = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
RATINGS = ("Hot", "Warm", "Cold")
SALUTATIONS = ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof.")
INDUSTRIES = (
    *("Agriculture", "Apparel", "Banking", "Biotechnology", "Chemicals", "Communications", "Construction"),
    *("Consulting", "Education", "Electronics", "Energy", "Engineering", "Finance", "Healthcare", "Hospitality"),
    *("Insurance", "Manufacturing", "Media", "Retail", "Technology", "Telecommunications", "Transportation", "Other"),
)


def by_name(fields: Iterable[Field]) -> dict[str, Field]:
    """The fields of one object by name, in describe order."""
    return {field.name: field for field in fields}


# ------------------------------------------------------------------------------------------ one field each


def text(name: str, length: int = 255, **also: Any) -> Field:
    """A line of text."""
    return _field(name, "string", length=length, **also)


def phone(name: str) -> Field:
    """A phone number, as typed."""
    return _field(name, "phone", length=40)


def email(name: str) -> Field:
    """An e-mail address."""
    return _field(name, "email", length=80)


def url(name: str) -> Field:
    """A web address."""
    return _field(name, "url", length=255)


def area(name: str, length: int = 32000, **also: Any) -> Field:
    """A text area; a long one can be neither filtered nor sorted (SOQL and SOSL Reference, "WHERE", "ORDER BY")."""
    short = length < LONG_TEXT_FROM
    return _field(name, "textarea", length=length, filterable=short, sortable=short, groupable=short, **also)


def choice(name: str, values: tuple[str, ...], length: int = 40, **also: Any) -> Field:
    """A picklist: one of these values (unrestricted: the API accepts others)."""
    return _field(name, "picklist", length=length, picklist=values, **also)


def choices(name: str, values: tuple[str, ...], **also: Any) -> Field:
    """A multi-select picklist: values joined with semicolons; it can not be sorted."""
    return _field(name, "multipicklist", length=4099, picklist=values, sortable=False, groupable=False, **also)


def combobox(name: str, values: tuple[str, ...], **also: Any) -> Field:
    """A line of text with suggestions."""
    return _field(name, "combobox", length=255, picklist=values, **also)


def flag(name: str, *, default: bool = False, **also: Any) -> Field:
    """A checkbox: never null."""
    return _field(name, "boolean", nillable=False, defaulted_on_create=True, default=default, **also)


def integer(name: str) -> Field:
    """A whole number."""
    return _field(name, "int")


def number(name: str, precision: int = 18, scale: int = 0, **also: Any) -> Field:
    """A decimal number; JSON shows whole ones with `.0`."""
    return _field(name, "double", precision=precision, scale=scale, groupable=False, **also)


def money(name: str, scale: int = 0, **also: Any) -> Field:
    """An amount in the org's currency."""
    return _field(name, "currency", precision=18, scale=scale, groupable=False, **also)


def percent(name: str, precision: int = 3, scale: int = 0, **also: Any) -> Field:
    """A percentage: 10 means 10 %."""
    return _field(name, "percent", precision=precision, scale=scale, groupable=False, **also)


def day(name: str, **also: Any) -> Field:
    """A date without a time."""
    return _field(name, "date", **also)


def instant(name: str, **also: Any) -> Field:
    """A date and time, UTC, whole seconds."""
    return _field(name, "datetime", groupable=False, **also)


def lookup(name: str, *targets: str, children: str | None = None, cascade: bool = False, **also: Any) -> Field:
    """A reference to a record of one of these objects; the relationship is called like the field, without its Id."""
    relationship = name.removesuffix("__c") + "__r" if name.endswith("__c") else name.removesuffix("Id")
    return _field(
        name,
        "reference",
        length=18,
        reference_to=tuple(sorted(targets)),
        relationship_name=relationship,
        child_relationship_name=children,
        cascade_delete=cascade,
        **also,
    )


# ------------------------------------------------------------------------------------------ what is special


def required(field: Field) -> Field:
    """It must have a value."""
    return replace(field, nillable=False)


def read_only(field: Field) -> Field:
    """Only the platform writes it."""
    return replace(field, createable=False, updateable=False)


def derived(field: Field, formula: Formula) -> Field:
    """A standard field the platform works out from others; not `calculated`, as describe has it."""
    return replace(read_only(field), formula=formula, default=None)


def calculated(field: Field, formula: Formula, formula_text: str) -> Field:
    """A custom formula field."""
    return replace(derived(field, formula), calculated=True, formula_text=formula_text, groupable=False)


def custom(*fields: Field) -> tuple[Field, ...]:
    """These fields were made by the org's administrator."""
    return tuple(replace(field, custom=True) for field in fields)


# ------------------------------------------------------------------------------------------ groups


def identity(object_label: str) -> Field:
    """The record id."""
    return read_only(
        _field("Id", "id", label=f"{object_label} ID", length=18, nillable=False, defaulted_on_create=True)
    )


def is_deleted() -> Field:
    """In the recycle bin. Objects whose rows never get there do not have it."""
    return read_only(flag("IsDeleted", label="Deleted"))


def master_record(object_name: str) -> Field:
    """Of a record that lost a merge: the record that won."""
    return read_only(lookup("MasterRecordId", object_name))


def owner(*targets: str) -> Field:
    """Who is responsible: a user, or also a queue (a Group)."""
    return required(lookup("OwnerId", *(targets or ("User",)), defaulted_on_create=True))


def audit() -> tuple[Field, ...]:
    """The stamps (SOAP API Developer Guide, "System Fields")."""
    stamps = (
        instant("CreatedDate"),
        lookup("CreatedById", "User"),
        instant("LastModifiedDate"),
        lookup("LastModifiedById", "User"),
        instant("SystemModstamp", label="System Modstamp"),
    )
    return tuple(replace(read_only(required(stamp)), defaulted_on_create=True) for stamp in stamps)


def viewed() -> tuple[Field, ...]:
    """When the calling user last looked at it."""
    return read_only(instant("LastViewedDate")), read_only(instant("LastReferencedDate"))


def person_name(*, salutation: bool = True) -> tuple[Field, ...]:
    """A person's name in parts, and the compound the platform makes of them (without the salutation)."""
    parts = [required(text("LastName", 80)), text("FirstName", 40)]
    if salutation:
        parts.append(choice("Salutation", SALUTATIONS))
    whole = required(derived(text("Name", 121, label="Full Name", name_field=True), _full_name))
    return (*(replace(part, compound_field_name="Name") for part in parts), whole)


def postal_address(prefix: str = "") -> tuple[Field, ...]:
    """An address in parts, and the compound field that gathers them (prefix + "Address")."""
    compound = f"{prefix}Address"
    parts = (
        area(f"{prefix}Street", 255),
        text(f"{prefix}City", 40),
        text(f"{prefix}State", 80, label=_label(f"{prefix}State") + "/Province"),
        text(f"{prefix}PostalCode", 20, label=_label(prefix + "Zip") + "/Postal Code"),
        text(f"{prefix}Country", 80),
        number(f"{prefix}Latitude", 18, 15),
        number(f"{prefix}Longitude", 18, 15),
        choice(f"{prefix}GeocodeAccuracy", GEOCODE_ACCURACIES),
    )
    whole = read_only(_field(compound, "address", sortable=False, groupable=False))
    return (*(replace(part, compound_field_name=compound) for part in parts), whole)


def photo_url() -> Field:
    """Where the record's picture would be."""
    return derived(url("PhotoUrl"), lambda row, _now: f"/services/images/photo/{row['Id']}")


def _full_name(row: Any, _now: Any) -> str:
    return " ".join(part for part in (row.get("FirstName"), row.get("LastName")) if part)


def _field(name: str, type_: str, *, label: str | None = None, **also: Any) -> Field:
    return Field(name=name, type=type_, label=label or _label(name), **also)


def _label(name: str) -> str:
    """LastModifiedById -> Last Modified By ID, Due_Date__c -> Due Date."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.removesuffix("__c").replace("_", " "))
    return re.sub(r"\bId$", "ID", words)
