"""Checking a query against the catalogue, once, before any row is read: do its objects, fields and operators exist?

Called through `query.plan`. What comes out, a `Plan`, is what `query.py` selects, orders and renders by.
Source: SOQL and SOSL Reference; the messages are Salesforce's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from salesforce_poller.simulator import soql
from salesforce_poller.simulator.query_check import check_comparison, check_order
from salesforce_poller.simulator.query_read import Reference, Source
from salesforce_poller.simulator.schema import Field, ObjectType
from salesforce_poller.simulator.soql_errors import (
    SoqlError,
    no_such_children,
    no_such_column,
    no_such_object,
    no_such_parent,
    pointing,
)
from salesforce_poller.simulator.soql_tree import Comparison, Condition, Every, FieldGroup, Name, Negation, Query

MOST_ROWS_WITH_FIELDS = 200


@dataclass(frozen=True, slots=True)
class ChildRows:
    """A parent-to-child subquery in the SELECT list."""

    relationship_name: str
    field: Field
    """The child's field that points to the parent."""
    plan: "Plan"


@dataclass(frozen=True, slots=True)
class Plan:
    """A query that can be answered."""

    query: Query
    object: ObjectType
    columns: tuple[Reference | ChildRows, ...]
    """The SELECT list, in order."""
    references: Mapping[Name, Reference]
    """The fields named in WHERE and ORDER BY."""


def plan(text: str, source: Source) -> Plan:
    """Parse and check; raises SoqlError (MALFORMED_QUERY, INVALID_TYPE, INVALID_FIELD and their like)."""
    query = soql.parse(text)
    object_type = source.type(query.object.text)
    if object_type is None:
        raise no_such_object(text, query.object.at, query.object.text)
    return _plan(query, object_type, source)


def _plan(query: Query, object_type: ObjectType, source: Source) -> Plan:
    references: dict[Name, Reference] = {}
    for comparison in comparisons(query.where):
        reference = _resolve(comparison.name, query, object_type, source)
        check_comparison(query.text, comparison, reference.field)
        references[comparison.name] = reference
    for term in query.order:
        reference = _resolve(term.name, query, object_type, source)
        check_order(query.text, term, reference.field)
        references[term.name] = reference
    return Plan(query, object_type, tuple(_columns(query, object_type, source)), references)


def comparisons(condition: Condition | None) -> Iterator[Comparison]:
    """Every single test in a WHERE clause."""
    if condition is None:
        return
    if isinstance(condition, Comparison):
        yield condition
    elif isinstance(condition, Negation):
        yield from comparisons(condition.condition)
    else:
        for each in condition.conditions:
            yield from comparisons(each)


def _columns(query: Query, object_type: ObjectType, source: Source) -> Iterator[Reference | ChildRows]:
    seen: set[tuple[str, ...]] = set()
    for item in query.select:
        if isinstance(item, Query):
            yield _children(item, object_type, source)
            continue
        if isinstance(item, FieldGroup):
            found = list(_expand(item, query, object_type, source))
        else:
            found = [_resolve(item, query, object_type, source)]
        for reference in found:
            if reference.names in seen:
                message = f"duplicate field selected: {'.'.join(reference.names)}"
                raise pointing("INVALID_FIELD", query.text, item.at, message)
            seen.add(reference.names)
            yield reference


def _children(query: Query, parent: ObjectType, source: Source) -> ChildRows:
    child = parent.child(query.object.text)
    object_type = None if child is None else source.type(child.child_sobject)
    if child is None or child.relationship_name is None or object_type is None:
        raise no_such_children(query.text, query.object.at, query.object.text)
    return ChildRows(child.relationship_name, object_type.fields[child.field], _plan(query, object_type, source))


def _expand(item: FieldGroup, query: Query, object_type: ObjectType, source: Source) -> list[Reference]:
    """The fields of FIELDS(ALL), FIELDS(STANDARD) or FIELDS(CUSTOM) (SOQL and SOSL Reference, "FIELDS()")."""
    if item.group != "STANDARD" and not _bounded(query):
        message = f"The SOQL FIELDS function must have a LIMIT of at most {MOST_ROWS_WITH_FIELDS}"
        raise pointing("MALFORMED_QUERY", query.text, item.at, message)
    wanted = {"ALL": (False, True), "STANDARD": (False,), "CUSTOM": (True,)}[item.group]
    hidden = source.hidden(object_type.name)
    fields = [each for each in object_type.fields.values() if each.custom in wanted and each.name not in hidden]
    if not fields:
        message = "'FIELDS(...)' expansion function must result in at least one field being selected."
        raise SoqlError("MALFORMED_QUERY", message)
    return [Reference((), field) for field in fields]


def _bounded(query: Query) -> bool:
    """At most 200 rows, by LIMIT or by a list of ids that every row must be in."""
    if query.limit is not None and query.limit <= MOST_ROWS_WITH_FIELDS:
        return True
    demands = query.where.conditions if isinstance(query.where, Every) else (query.where,)
    return any(
        isinstance(each, Comparison)
        and each.name.text.lower() == "id"
        and each.operator in ("=", "IN")
        and len(each.values) <= MOST_ROWS_WITH_FIELDS
        for each in demands
    )


def _resolve(name: Name, query: Query, object_type: ObjectType, source: Source) -> Reference:
    *relationships, column = name.parts
    if relationships and relationships[0].lower() == object_type.name.lower():
        relationships = relationships[1:]  # SELECT Lead.Name FROM Lead
    steps: list[Field] = []
    types = [object_type]
    for relationship in relationships:
        step = next((lookup for each in types if (lookup := each.parent(relationship)) is not None), None)
        if step is None or all(step.name in source.hidden(each.name) for each in types):
            raise no_such_parent(query.text, name.at, relationship)
        steps.append(step)
        types = [found for target in step.reference_to if (found := source.type(target)) is not None]
    for each in types:
        field = each.field(column)
        if field is not None and field.name not in source.hidden(each.name):
            return Reference(tuple(steps), field)
    entity = "Name" if len(types) != 1 else types[0].name  # what Salesforce calls a polymorphic parent
    raise no_such_column(query.text, name.at, column, entity)
