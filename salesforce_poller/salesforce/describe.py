"""What an object is like, as its describe call tells. Pure values.

``client.py`` asks, ``polling/schema.py`` chooses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any

from salesforce_poller.salesforce.wire import expected_shape


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One field, as far as a poller cares."""

    name: str
    #: ``string``, ``reference``, ``address``, ``base64`` …
    type: str
    #: A formula or a roll-up: it can change without the record being stamped.
    calculated: bool
    filterable: bool
    sortable: bool
    #: ``Owner`` for OwnerId; None when the parent cannot be reached by a path.
    relationship_name: str | None
    reference_to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object, as this user sees it: fields hidden by field-level security are simply absent."""

    name: str
    label: str
    queryable: bool
    #: False: getUpdated and getDeleted refuse this object (461 of 1,294 objects of a new org).
    replicateable: bool
    fields: Mapping[str, FieldInfo]
    #: The first three characters of its ids; 528 of 1,294 objects have none of their own.
    key_prefix: str | None = None

    def parent(self, relationship: str) -> FieldInfo | None:
        """Find the reference field behind a relationship name, letter case aside."""
        wanted = relationship.lower()
        return next((f for f in self.fields.values() if (f.relationship_name or "").lower() == wanted), None)

    def field(self, name: str) -> FieldInfo | None:
        """Find a field by its API name, letter case aside."""
        return self.fields.get(name) or next((f for f in self.fields.values() if f.name.lower() == name.lower()), None)


@dataclass(frozen=True, slots=True)
class ObjectSummary:
    """One line of describe global."""

    name: str
    label: str
    custom: bool
    queryable: bool
    replicateable: bool
    mergeable: bool


@expected_shape()
def read_object(answer: Any) -> ObjectInfo:
    """Read a describe answer. Raises TryLater when it is something else."""
    fields = (_read_field(field) for field in answer["fields"])
    return ObjectInfo(
        name=answer["name"],
        label=answer["label"],
        queryable=answer["queryable"],
        replicateable=answer["replicateable"],
        fields={field.name: field for field in fields},
        key_prefix=answer.get("keyPrefix"),
    )


@expected_shape()
def read_global(answer: Any) -> tuple[ObjectSummary, ...]:
    """Read a describe-global answer, in the order of names. Raises TryLater when it is something else."""
    lines = (
        ObjectSummary(
            line["name"], line["label"], line["custom"], line["queryable"], line["replicateable"], line["mergeable"]
        )
        for line in answer["sobjects"]
    )
    return tuple(sorted(lines, key=lambda line: line.name))


def _read_field(field: Mapping[str, Any]) -> FieldInfo:
    return FieldInfo(
        name=intern(field["name"]),  # the same few words in thousands of objects
        type=intern(field["type"]),
        calculated=field["calculated"],
        filterable=field["filterable"],
        sortable=field["sortable"],
        relationship_name=field["relationshipName"],
        reference_to=tuple(field["referenceTo"]),
    )
