"""Many records in one call: retrieve up to 2,000, write up to 200.

Called through `rest`. Source: REST API Developer Guide, "sObject Collections". One record's failure is an item of the
result, under an HTTP status of 200; only with allOrNone does it take the others back.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from salesforce_poller.simulator import errors, ids, query
from salesforce_poller.simulator.call import Answer, Call
from salesforce_poller.simulator.catalogue import ObjectType
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.routes import naming, writing
from salesforce_poller.simulator.transactions import Transaction

MOST_WRITTEN = 200
MOST_RETRIEVED = 2000

Write = Callable[[Transaction, Any], str]
"""Writes one record of a collection and returns its id."""


def retrieve(org: Org, call: Call, name: str) -> Answer:
    """Records by `ids` and `fields` in the query string."""
    wanted = call.params.get("ids", "").split(",")
    return _retrieve(org, call, name, wanted, call.params.get("fields", "").split(","))


def retrieve_many(org: Org, call: Call, name: str) -> Answer:
    """Records by `ids` and `fields` in the body."""
    body = call.json_object()
    return _retrieve(org, call, name, body.get("ids", []), body.get("fields", []))


def create(org: Org, call: Call) -> Answer:
    """Create each record; its object is in its `attributes`."""

    def write(opened: Transaction, record: dict[str, Any]) -> str:
        return writing.create(org, opened, _type(org, record), record)

    body = call.json_object()
    return _write(org, call, _records(body), write, all_or_none=bool(body.get("allOrNone")))


def update(org: Org, call: Call) -> Answer:
    """Save each record; it carries its `id`."""

    def write(opened: Transaction, record: dict[str, Any]) -> str:
        type_ = _type(org, record)
        record_id = next((value for name, value in record.items() if name.lower() == "id"), None)
        if not record_id:
            raise ApiError(400, "MISSING_ARGUMENT", "Id not specified in an update call")
        rest = {name: value for name, value in record.items() if name.lower() != "id"}
        writing.update(org, opened, type_, _id(record_id), rest)
        return _id(record_id)

    body = call.json_object()
    return _write(org, call, _records(body), write, all_or_none=bool(body.get("allOrNone")))


def delete(org: Org, call: Call) -> Answer:
    """Delete each of the `ids` in the query string."""

    def write(opened: Transaction, record_id: str) -> str:
        writing.delete(org, opened, org.storage.type_of(_id(record_id)), _id(record_id))
        return _id(record_id)

    asked = [each for each in call.params.get("ids", "").split(",") if each]
    return _write(org, call, asked, write, all_or_none=call.params.get("allOrNone", "").lower() == "true")


def _retrieve(org: Org, call: Call, name: str, record_ids: Sequence[str], fields: Sequence[str]) -> Answer:
    """Records in the order of their ids, null for each that is deleted, hidden or was never there."""
    type_ = naming.named(org, name)
    if len(record_ids) > MOST_RETRIEVED:
        raise ApiError(
            400, "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {MOST_RETRIEVED} records"
        )
    asked = naming.fields(org, type_, (field.strip() for field in fields if field.strip()))
    if not asked:
        raise ApiError(400, "MISSING_ARGUMENT", "The fields parameter is required")
    return Answer(body=[_render(org, call, type_, record_id, asked) for record_id in record_ids])


def _render(org: Org, call: Call, type_: ObjectType, record_id: str, fields: Sequence[str]) -> dict[str, Any] | None:
    row = org.get(type_.name, ids.to18(record_id)) if ids.is_id(record_id) else None
    if row is None or row.get("IsDeleted"):
        return None
    hidden = org.hidden(type_.name)
    return query.render_row(type_, row, version=call.version, now=org.clock.now(), fields=fields, hidden=hidden)


def _write(org: Org, call: Call, items: Sequence[Any], write: Write, *, all_or_none: bool) -> Answer:
    if not items:
        raise ApiError(400, "REQUIRED_FIELD_MISSING", "At least 1 record is required")
    if len(items) > MOST_WRITTEN:
        raise ApiError(
            400, "EXCEEDED_ID_LIMIT", f"record limit reached. cannot submit more than {MOST_WRITTEN} records"
        )
    with writing.transaction(org, call) as opened:
        results = [_attempt(opened, write, item) for item in items]
        failed = any(not result["success"] for result in results)
        if all_or_none and failed:
            if call.transaction is None:
                opened.rollback()
            results = [_taken_back(result) for result in results]
    return Answer(body=results)


def _attempt(opened: Transaction, write: Write, item: Any) -> dict[str, Any]:
    try:
        return {"id": write(opened, item), "success": True, "errors": []}
    except ApiError as error:
        return {"success": False, "errors": [error.item()]}


def _taken_back(result: Mapping[str, Any]) -> dict[str, Any]:
    if not result["success"]:
        return dict(result)
    message = "Record rolled back because not all records were valid and the request was using AllOrNone header"
    error = ApiError(400, "ALL_OR_NONE_OPERATION_ROLLED_BACK", message)
    return {"success": False, "errors": [error.item()]}


def _records(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    records = body.get("records", [])
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ApiError(400, "JSON_PARSER_ERROR", "records must be an array of objects")
    return records


def _type(org: Org, record: Mapping[str, Any]) -> ObjectType:
    name = record.get("attributes", {}).get("type", "")
    type_ = org.type(name)
    if type_ is None:
        raise errors.invalid_type(name)
    return type_


def _id(record_id: str) -> str:
    if not ids.is_id(record_id):
        raise errors.no_such_record()
    return ids.to18(record_id)
