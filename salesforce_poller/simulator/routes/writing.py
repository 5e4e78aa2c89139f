"""The checks that every write over the API passes, and the transaction it happens in.

Used by `records`, `upsert` and `collections`. Source: REST API Developer Guide, "Working with Records", and the object
reference's field properties Create, Update and Nillable.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from salesforce_poller.simulator import rows
from salesforce_poller.simulator.call import Call
from salesforce_poller.simulator.catalogue import ObjectType
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.routes import naming
from salesforce_poller.simulator.transactions import Transaction


@contextmanager
def transaction(org: Org, call: Call) -> Iterator[Transaction]:
    """The transaction of an all-or-none composite request, or one that ends with this call."""
    if call.transaction is not None:
        yield call.transaction
        return
    with org.begin(by=call.user_id) as opened:
        yield opened


def create(org: Org, opened: Transaction, type_: ObjectType, body: Mapping[str, Any]) -> str:
    """Insert what a client sent; raises REQUIRED_FIELD_MISSING besides what any write raises."""
    _check_operation(type_, "CREATE", allowed=type_.createable)
    values = _values(org, type_, body)
    locked = tuple(name for name in values if not type_.fields[name].createable)
    if locked:
        raise rows.not_writable(locked)
    missing = [name for name, field in type_.fields.items() if field.required and values.get(name) in (None, "")]
    if missing:
        message = f"Required fields are missing: [{', '.join(missing)}]"
        raise ApiError(400, "REQUIRED_FIELD_MISSING", message, tuple(missing))
    return opened.insert(type_.name, **values)


def update(org: Org, opened: Transaction, type_: ObjectType, record_id: str, body: Mapping[str, Any]) -> None:
    """Save what a client sent."""
    _check_operation(type_, "UPDATE", allowed=type_.updateable)
    values = _values(org, type_, body)
    locked = tuple(name for name in values if not type_.fields[name].updateable)
    if locked:
        raise rows.not_writable(locked)
    check_visible(org, record_id)
    opened.update(record_id, **values)


def delete(org: Org, opened: Transaction, type_: ObjectType, record_id: str) -> None:
    """Delete what a client named."""
    _check_operation(type_, "DELETE", allowed=type_.deletable)
    check_visible(org, record_id)
    opened.delete(record_id)


def check_visible(org: Org, record_id: str) -> None:
    """Raise NOT_FOUND for a record that is not shared with this user."""
    if not org.access.sees_record(record_id):
        raise ApiError(404, "NOT_FOUND", "The requested resource does not exist")


def _check_operation(type_: ObjectType, operation: str, *, allowed: bool) -> None:
    if not allowed:
        message = f"entity type {type_.name} does not support {operation.lower()}"
        raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", message)


def _values(org: Org, type_: ObjectType, body: Mapping[str, Any]) -> dict[str, Any]:
    """The body's fields under their API names, without the `attributes` that tell its type."""
    given = {name: value for name, value in body.items() if name != "attributes"}
    return dict(zip(naming.fields(org, type_, given), given.values(), strict=True))
