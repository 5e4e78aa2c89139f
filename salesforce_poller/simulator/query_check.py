"""May this field be compared in this way, with this value? May it be sorted?

Called by `query_plan.py` for each comparison and each term of ORDER BY.
Source: SOQL and SOSL Reference, "fieldExpression Syntax", "ORDER BY"; the messages are Salesforce's.
"""

import re

from salesforce_poller.simulator.schema import Field
from salesforce_poller.simulator.soql_errors import pointing
from salesforce_poller.simulator.soql_tree import Comparison, Literal, Order

TEXTS = ("string", "picklist", "multipicklist", "combobox", "textarea", "phone", "email", "url")
IDS = ("id", "reference")
NUMBERS = ("int", "double", "currency", "percent")

_LITERALS = {
    **dict.fromkeys((*TEXTS, *IDS), ("string",)),
    **dict.fromkeys(NUMBERS, ("number",)),
    "boolean": ("boolean",),
    "date": ("date", "relative"),
    "datetime": ("datetime", "relative"),
}
"""Field type -> the kinds of literal it can be compared with, beside null."""
_TYPE_NAMES = {"datetime": "dateTime"} | dict.fromkeys(TEXTS, "string") | {"reference": "ID", "id": "ID"}
_ID = re.compile(r"[A-Za-z0-9]{15}([A-Za-z0-9]{3})?")


def check_comparison(text: str, comparison: Comparison, field: Field) -> None:
    """Raises SoqlError (INVALID_FIELD, INVALID_QUERY_FILTER_OPERATOR) unless the comparison makes sense."""
    at = comparison.name.at
    if not field.filterable or field.type == "address":
        raise pointing("INVALID_FIELD", text, at, f"field '{field.name}' can not be filtered in a query call")
    if not _suits(comparison.operator, field.type):
        raise pointing("INVALID_QUERY_FILTER_OPERATOR", text, at, "invalid operator")
    for literal in comparison.values:
        _check_literal(text, at, literal, field)


def check_order(text: str, term: Order, field: Field) -> None:
    """Raises SoqlError (INVALID_FIELD) for a field that can not be sorted by."""
    if not field.sortable:
        raise pointing("INVALID_FIELD", text, term.name.at, f"field '{field.name}' can not be sorted in a query call")


def _suits(operator: str, type_: str) -> bool:
    if operator in ("INCLUDES", "EXCLUDES"):
        return type_ == "multipicklist"
    if operator == "LIKE":
        return type_ in TEXTS and type_ != "multipicklist"
    if operator in ("<", "<=", ">", ">="):
        return type_ not in ("boolean", "multipicklist")
    return True


def _check_literal(text: str, at: int, literal: Literal, field: Field) -> None:
    if literal.kind == "null":
        return
    if literal.kind not in _LITERALS[field.type]:
        quotes = "should be" if _LITERALS[field.type] == ("string",) else "should not be"
        type_name = _TYPE_NAMES.get(field.type, field.type)
        message = (
            f"value of filter criterion for field '{field.name}' must be of type {type_name} and {quotes} "
            "enclosed in quotes"
        )
        raise pointing("INVALID_FIELD", text, at, message)
    if field.type in IDS and literal.value and not _ID.fullmatch(literal.value):
        raise pointing("INVALID_QUERY_FILTER_OPERATOR", text, at, f"invalid ID field: {literal.value}")
