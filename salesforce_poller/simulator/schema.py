"""What an object is: the dataclasses behind the catalogue, describe, SOQL and the org's rows.

Filled in by `objects/`, gathered by `catalogue.py` (import the names from there). The words are those of the
REST API's describe call, in snake case ("SOAP API Developer Guide, DescribeSObjectResult").
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

JSON = Any
"""A JSON value as Python holds it: str, int, float, bool, None, list or dict."""

Formula = Callable[[Mapping[str, Any], datetime], Any]
"""(the row's stored values, the org's time now, UTC) -> the value. Pure; evaluated each time the field is read."""

LONG_TEXT_FROM = 256
"""A text area of this many characters or more is a long text area: neither filterable nor sortable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of an object, as describe shows it."""

    name: str
    type: str
    """string, picklist, multipicklist, reference, boolean, currency, textarea, int, double, percent, phone, id, date,
    datetime, url, email, address: the API's own words."""
    label: str
    length: int = 0
    """Characters; 0 for what is not text."""
    precision: int = 0
    scale: int = 0
    nillable: bool = True
    createable: bool = True
    updateable: bool = True
    defaulted_on_create: bool = False
    calculated: bool = False
    """A custom formula field. Other derived fields (a person's Name, IsClosed) have a formula too."""
    formula_text: str | None = None
    """What describe shows as `calculatedFormula`."""
    filterable: bool = True
    sortable: bool = True
    groupable: bool = True
    unique: bool = False
    external_id: bool = False
    custom: bool = False
    name_field: bool = False
    auto_number: str | None = None
    """A format string for the number the org gives each new row, for example "INV-{:05d}"."""
    reference_to: tuple[str, ...] = ()
    relationship_name: str | None = None
    child_relationship_name: str | None = None
    """How the parent calls its children through this field, for example Contacts."""
    cascade_delete: bool = False
    """The row goes into the recycle bin together with the parent this field names."""
    compound_field_name: str | None = None
    picklist: tuple[str, ...] = ()
    default: JSON = None
    formula: Formula | None = None
    """For derived fields: they are never stored, and so can change without a stamp."""

    @property
    def required(self) -> bool:
        """A create call without a value for it fails with REQUIRED_FIELD_MISSING."""
        return self.createable and not self.nillable and not self.defaulted_on_create

    @property
    def stored(self) -> bool:
        """The row holds a value of its own for it: it is neither derived nor a compound of other fields."""
        return self.formula is None and self.type != "address"

    @property
    def long_text(self) -> bool:
        """A long or rich text area, which shrinks query pages."""
        return self.type == "textarea" and self.length >= LONG_TEXT_FROM

    @property
    def polymorphic(self) -> bool:
        """It can refer to records of several objects, as Lead.OwnerId does."""
        return len(self.reference_to) > 1


@dataclass(frozen=True, slots=True)
class Child:
    """A relationship seen from the parent: which object's field points here."""

    child_sobject: str
    field: str
    relationship_name: str | None
    cascade_delete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectType:
    """An object: its names, its fields in describe order, and what the calling user may do with it."""

    name: str
    label: str
    label_plural: str
    key_prefix: str | None
    """The first three characters of its record ids. Not unique across objects."""
    fields: Mapping[str, Field]
    children: tuple[Child, ...] = ()
    custom: bool = False
    queryable: bool = True
    replicateable: bool = True
    """getUpdated and getDeleted work for it."""
    retrieveable: bool = True
    triggerable: bool = True
    mergeable: bool = False
    undeletable: bool = True
    deletable: bool = True
    createable: bool = True
    updateable: bool = True
    searchable: bool = True
    layoutable: bool = True
    feed_enabled: bool = True
    _by_lower_name: Mapping[str, Field] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_lower_name = {name.lower(): each for name, each in self.fields.items()}
        object.__setattr__(self, "_by_lower_name", by_lower_name)  # frozen, but this index is part of being born

    def field(self, name: str) -> Field | None:
        """The field of that name, whatever its case, as Salesforce looks names up."""
        return self._by_lower_name.get(name.lower())

    def parent(self, relationship_name: str) -> Field | None:
        """The reference field behind a child-to-parent relationship name, whatever its case: Owner -> OwnerId."""
        wanted = relationship_name.lower()
        for each in self.fields.values():
            if each.relationship_name is not None and each.relationship_name.lower() == wanted:
                return each
        return None

    def child(self, relationship_name: str) -> Child | None:
        """The parent-to-child relationship of that name, whatever its case."""
        wanted = relationship_name.lower()
        for each in self.children:
            if each.relationship_name is not None and each.relationship_name.lower() == wanted:
                return each
        return None
