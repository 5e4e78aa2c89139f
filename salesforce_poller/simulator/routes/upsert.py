"""Records by external id: read, and update or create.

Called through `rest`. Source: REST API Developer Guide, "sObject Rows by External ID" (the answers are those of
version 46.0 and later).
"""

from salesforce_poller.simulator import errors
from salesforce_poller.simulator.call import Answer, Call
from salesforce_poller.simulator.catalogue import Field, ObjectType
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.routes import naming, records, writing


def read(org: Org, call: Call, name: str, field: str, value: str) -> Answer:
    """The record with this external id; 300 with their URLs when there are several."""
    type_ = naming.named(org, name)
    found = _matching(org, type_, _external(org, type_, field), value)
    if not found:
        raise errors.not_found()
    return records.read(org, call, name, found[0]) if len(found) == 1 else _ambiguous(call, type_, found)


def upsert(org: Org, call: Call, name: str, field: str, value: str) -> Answer:
    """Update the record with this external id, or create it."""
    type_ = naming.named(org, name)
    key = _external(org, type_, field)
    found = _matching(org, type_, key, value)
    if len(found) > 1:
        return _ambiguous(call, type_, found)
    body = call.json_object()
    with writing.transaction(org, call) as opened:
        if found:
            writing.update(org, opened, type_, found[0], body)
            return Answer(200, {"id": found[0], "success": True, "errors": [], "created": False})
        record_id = writing.create(org, opened, type_, {**body, key.name: value})
    made = records.created(call, type_, record_id)
    return Answer(201, {**made.body, "created": True}, made.headers)


def _external(org: Org, type_: ObjectType, name: str) -> Field:
    field = type_.field(name)
    if field is None or field.name in org.hidden(type_.name) or not (field.external_id or field.name == "Id"):
        message = f"Provided external ID field does not exist or is not accessible: {name}"
        raise ApiError(404, "NOT_FOUND", message)
    return field


def _matching(org: Org, type_: ObjectType, field: Field, value: str) -> list[str]:
    return [row["Id"] for row in org.scan(type_.name, deleted=False) if row[field.name] == value]


def _ambiguous(call: Call, type_: ObjectType, record_ids: list[str]) -> Answer:
    return Answer(300, [f"{call.root}/sobjects/{type_.name}/{record_id}" for record_id in record_ids])
