"""Single records: create, read, update, delete.

Called through `rest`; how a write is checked is in `writing`. Source: REST API Developer Guide, "sObject Rows".
"""

from salesforce_poller.simulator import errors, query
from salesforce_poller.simulator.call import Answer, Call
from salesforce_poller.simulator.catalogue import ObjectType
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.routes import conditional, naming, writing


def create(org: Org, call: Call, name: str) -> Answer:
    """201 with the new id, and where it is."""
    type_ = naming.named(org, name)
    with writing.transaction(org, call) as opened:
        record_id = writing.create(org, opened, type_, call.json_object())
    return created(call, type_, record_id)


def read(org: Org, call: Call, name: str, record_id: str) -> Answer:
    """A record, or the fields of it that were asked for; raises NOT_FOUND, or ENTITY_IS_DELETED for one in the bin."""
    type_ = naming.named(org, name)
    row = org.get(type_.name, naming.full_id(type_, record_id))
    if row is None:
        raise errors.not_found()
    if row.get("IsDeleted"):
        raise errors.entity_is_deleted()
    asked = call.params.get("fields")
    fields = naming.fields(org, type_, asked.split(",")) if asked else None
    body = query.render_row(
        type_, row, version=call.version, now=org.clock.now(), fields=fields, hidden=org.hidden(type_.name)
    )
    return conditional.answer(call, body, row["SystemModstamp"])


def update(org: Org, call: Call, name: str, record_id: str) -> Answer:
    """204, whether or not anything changed."""
    type_ = naming.named(org, name)
    full_id = naming.full_id(type_, record_id)
    with writing.transaction(org, call) as opened:
        writing.update(org, opened, type_, full_id, call.json_object())
    return Answer(204)


def delete(org: Org, call: Call, name: str, record_id: str) -> Answer:
    """204: the record is in the recycle bin."""
    type_ = naming.named(org, name)
    full_id = naming.full_id(type_, record_id)
    with writing.transaction(org, call) as opened:
        writing.delete(org, opened, type_, full_id)
    return Answer(204)


def created(call: Call, type_: ObjectType, record_id: str) -> Answer:
    """The answer to a create call that went well."""
    location = f"{call.root}/sobjects/{type_.name}/{record_id}"
    return Answer(201, {"id": record_id, "success": True, "errors": []}, {"Location": location})
