"""Reading SOQL: text in, `soql_tree.Query` out, or Salesforce's own complaint.

Called by `query_plan.py`. The grammar is `soql.lark`. Not spoken: aggregates other than COUNT(), GROUP BY, semi-joins,
TYPEOF, functions, aliases, USING SCOPE, WITH and FOR; they are refused as unexpected tokens.
Source: SOQL and SOSL Reference, "SOQL SELECT Syntax", and for the limits "SOQL and SOSL Limits".
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

from lark import Lark, Token, Transformer, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken, VisitError

from salesforce_poller.simulator.soql_errors import SoqlError, pointing
from salesforce_poller.simulator.soql_tree import (
    Comparison,
    Condition,
    Every,
    FieldGroup,
    Literal,
    Name,
    Negation,
    Order,
    Query,
    RelativeDate,
    Some,
)

When = TypeVar("When", date, datetime)

LONGEST_QUERY = 100_000
LONGEST_STRING = 4_000
HIGHEST_OFFSET = 2_000
EARLIEST_YEAR, LATEST_YEAR = 1700, 4000

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\", "_": "_", "%": "%"}
_PARSER = Lark(
    (Path(__file__).parent / "soql.lark").read_text(encoding="utf-8"),
    start="query",
    parser="lalr",
    propagate_positions=True,
)


def parse(text: str) -> Query:
    """The query this text says; raises SoqlError (MALFORMED_QUERY, NUMBER_OUTSIDE_VALID_RANGE)."""
    if len(text) > LONGEST_QUERY:
        raise SoqlError("MALFORMED_QUERY", f"SOQL statements cannot be longer than {LONGEST_QUERY} characters.")
    try:
        query = _Reader(text).transform(_PARSER.parse(text))
    except UnexpectedToken as unexpected:
        raise _unexpected(text, unexpected.token) from unexpected
    except UnexpectedCharacters as unexpected:
        at: Any = unexpected.pos_in_stream  # lark only types the default of the class, which is None
        raise _unreadable(text, at) from unexpected
    except VisitError as wrapped:  # lark wraps what the reader raises
        raise wrapped.orig_exc from wrapped
    assert isinstance(query, Query)
    return query


def unescape(source: str) -> str:
    """The text a literal's inside stands for; raises KeyError for a backslash sequence SOQL does not have."""
    return re.sub(r"\\(.)", lambda match: _ESCAPES[match[1].lower()], source, flags=re.DOTALL)


def _unexpected(text: str, token: Token) -> SoqlError:
    if token.type == "$END":
        return pointing("MALFORMED_QUERY", text, len(text.rstrip()), "unexpected token: '<EOF>'")
    return pointing("MALFORMED_QUERY", text, token.start_pos or 0, f"unexpected token: '{token}'")


def _unreadable(text: str, at: int) -> SoqlError:
    row, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at) - 1
    if text[at] == "'":
        message = f"line {row}:{column} mismatched character '<EOF>' expecting '''"
        return SoqlError("MALFORMED_QUERY", message)
    word = re.match(r"\w+|[*.,()=<>+-]", text[at:])
    if word:
        return pointing("MALFORMED_QUERY", text, at, f"unexpected token: '{word[0]}'")
    if text[at] == ":":
        return pointing("MALFORMED_QUERY", text, at, "Bind variables only allowed in Apex code")
    return SoqlError("MALFORMED_QUERY", f"line {row}:{column} no viable alternative at character '{text[at]}'")


class _Reader(Transformer[Token, Query]):
    """Turns lark's tree into ours, from the leaves up: one method per rule or terminal of the grammar."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    # ---------------------------------------------------------------------------------- terminals

    def NAME(self, token: Token) -> Name:  # noqa: N802  named as in the grammar
        return Name(re.sub(r"\s+", "", token), _at(token))

    def STRING(self, token: Token) -> Literal:  # noqa: N802  named as in the grammar
        try:
            value = unescape(token[1:-1])
        except KeyError as escape:
            message = (
                f"Invalid string literal {token}. Illegal character sequence '\\{escape.args[0]}' in string literal."
            )
            raise pointing("MALFORMED_QUERY", self._text, _at(token), message) from escape
        if len(value) > LONGEST_STRING:
            message = f"string literal is too long: at most {LONGEST_STRING} characters are allowed"
            raise pointing("MALFORMED_QUERY", self._text, _at(token), message)
        return Literal("string", value, str(token), _at(token))

    def DATETIME(self, token: Token) -> Literal:  # noqa: N802  named as in the grammar
        instant = self._checked(token, datetime.fromisoformat)
        return Literal("datetime", instant.astimezone(UTC).replace(microsecond=0), str(token), _at(token))

    def DATE(self, token: Token) -> Literal:  # noqa: N802  named as in the grammar
        return Literal("date", self._checked(token, date.fromisoformat), str(token), _at(token))

    def NUMBER(self, token: Token) -> Literal:  # noqa: N802  named as in the grammar
        whole = re.fullmatch(r"[+-]?\d+", token)
        return Literal("number", int(token) if whole else float(token), str(token), _at(token))

    def BOOLEAN(self, token: Token) -> Literal:  # noqa: N802  named as in the grammar
        return Literal("boolean", token.lower() == "true", str(token), _at(token))

    def NULL(self, token: Token) -> Literal:  # noqa: N802  named as in the grammar
        return Literal("null", None, str(token), _at(token))

    def RELATIVE_DATE(self, token: Token) -> Literal:  # noqa: N802  named as in the grammar
        name, _, count = token.upper().partition(":")
        return Literal("relative", RelativeDate(name, int(count or 1)), str(token), _at(token))

    # ---------------------------------------------------------------------------------- rules

    def field_group(self, children: list[Token]) -> FieldGroup:
        return FieldGroup(children[1].upper(), _at(children[0]))

    def comparison(self, children: list[Any]) -> Comparison:
        name, operator, *values = children
        canonical = " ".join(operator.upper().split())
        return Comparison(name, "!=" if canonical == "<>" else canonical, tuple(values))

    def conjunction(self, children: list[Condition]) -> Every:
        return Every(tuple(children))

    def disjunction(self, children: list[Condition]) -> Some:
        return Some(tuple(children))

    def negation(self, children: list[Condition]) -> Negation:
        return Negation(children[0])

    def term(self, children: list[Any]) -> Order:
        name, *words = children
        said = {word.upper().split()[-1] for word in words}
        return Order(name, descending="DESC" in said, nulls_last="LAST" in said)

    def offset(self, children: list[Token]) -> Tree[Any]:
        if int(children[0]) > HIGHEST_OFFSET:
            raise SoqlError("NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {HIGHEST_OFFSET}")
        return Tree("offset", [*children])

    def all_rows(self, children: list[Token]) -> None:
        raise pointing("MALFORMED_QUERY", self._text, _at(children[0]), "ALL ROWS not allowed in this context")

    def query(self, children: list[Any]) -> Query:
        selection, name, *rest = children
        clauses = {clause.data: clause.children for clause in rest}
        items: Iterable[Any] = selection.children if isinstance(selection, Tree) else [selection]
        return Query(
            text=self._text,
            select=tuple(items),
            count=isinstance(selection, Tree) and selection.data == "count",
            object=name,
            where=clauses["where"][0] if "where" in clauses else None,
            order=tuple(clauses.get("order_by", ())),
            limit=int(clauses["limit"][0]) if "limit" in clauses else None,
            offset=int(clauses["offset"][0]) if "offset" in clauses else 0,
            at=name.at,
        )

    def _checked(self, token: Token, read: Callable[[str], When]) -> When:
        try:
            when = read(token.upper())
        except ValueError as impossible:
            raise pointing("MALFORMED_QUERY", self._text, _at(token), f"Invalid date: {token}") from impossible
        if not EARLIEST_YEAR <= when.year <= LATEST_YEAR:
            raise pointing("MALFORMED_QUERY", self._text, _at(token), f"Invalid date: {token}")
        return when


def _at(token: Token) -> int:
    assert token.start_pos is not None
    return token.start_pos
