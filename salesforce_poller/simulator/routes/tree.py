"""sObject Tree: records with their children in one call; all of them are created, or none.

Called through `rest`. Source: REST API Developer Guide, "sObject Tree": up to 200 records and five levels; children
stand under the name of the child relationship.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from salesforce_poller.simulator.call import Answer, Call
from salesforce_poller.simulator.catalogue import ObjectType
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.routes import naming, writing
from salesforce_poller.simulator.transactions import Transaction

MOST_RECORDS = 200
MOST_LEVELS = 5


@dataclass(frozen=True, slots=True)
class Node:
    """One record of the tree."""

    type: ObjectType
    reference: str
    fields: Mapping[str, Any]
    parent: tuple[str, str] | None
    """The reference of the parent, and the field that points at it."""


class Failure(Exception):
    """The record that stopped everything."""

    def __init__(self, reference: str, error: ApiError) -> None:
        super().__init__(f"{reference}: {error}")
        self.answer = Answer(
            400, {"hasErrors": True, "results": [{"referenceId": reference, "errors": [error.item()]}]}
        )


def create(org: Org, call: Call, name: str) -> Answer:
    """201 with the ids by reference; 400 with the first record that was refused, and nothing saved."""
    nodes = list(_nodes(org, naming.named(org, name), call.json_object(), None, 1))
    if len(nodes) > MOST_RECORDS:
        raise ApiError(400, "LIMIT_EXCEEDED", f"A tree may have at most {MOST_RECORDS} records")
    if len({node.reference for node in nodes}) < len(nodes):
        raise ApiError(400, "INVALID_INPUT", "Each referenceId must be unique")
    try:
        with writing.transaction(org, call) as opened:
            made = _write(org, opened, nodes)
    except Failure as failure:
        return failure.answer
    results = [{"referenceId": node.reference, "id": made[node.reference]} for node in nodes]
    return Answer(201, {"hasErrors": False, "results": results})


def _write(org: Org, opened: Transaction, nodes: list[Node]) -> dict[str, str]:
    made: dict[str, str] = {}
    for node in nodes:
        parent = {} if node.parent is None else {node.parent[1]: made[node.parent[0]]}
        try:
            made[node.reference] = writing.create(org, opened, node.type, {**node.fields, **parent})
        except ApiError as error:
            raise Failure(node.reference, error) from error
    return made


def _nodes(org: Org, type_: ObjectType, body: Any, parent: tuple[str, str] | None, level: int) -> Iterator[Node]:
    """The records below `records`, each before its children."""
    records = body.get("records") if isinstance(body, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ApiError(400, "JSON_PARSER_ERROR", "records must be an array of objects")
    if level > MOST_LEVELS:
        raise ApiError(400, "LIMIT_EXCEEDED", f"A tree may be at most {MOST_LEVELS} levels deep")
    for record in records:
        reference = (record.get("attributes") or {}).get("referenceId")
        if not isinstance(reference, str):
            raise ApiError(400, "INVALID_INPUT", "Include a reference ID for each record in the request.")
        children = {each.relationship_name: each for each in type_.children}
        fields = {key: value for key, value in record.items() if key != "attributes" and key not in children}
        yield Node(type_, reference, fields, parent)
        for key in [key for key in record if key in children]:
            child = children[key]
            child_type = naming.named(org, child.child_sobject)
            yield from _nodes(org, child_type, record[key], (reference, child.field), level + 1)
