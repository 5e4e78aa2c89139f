"""Many rows at once, past SQLAlchemy's work on each of their values: a page of thousands of rows is worth it.

:func:`insert` hands tuples to the driver as they are, so they hold what the database holds: an instant as
``tables.py:milliseconds`` has it; long texts are bytes, UTF-8. :func:`among` looks for many values with a statement
that is the same for any number of them. Both speak SQLite and PostgreSQL.
"""

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Dialect, Table, Text, any_, bindparam, func, select

from salesforce_poller.store.upsert import statement_for

#: Rows that are handed over together.
_AT_ONCE = 500
#: How many rows a statement of SQLite's may hold: few sizes, so that each is written and prepared once. A statement may
#: have 32,766 values, and our rows have ten at most.
_ROWS_A_STATEMENT = (_AT_ONCE, 50)
#: A row, in the order of the table's columns.
Row = tuple[Any, ...]
#: What an insertion says: the database, the table, the key and what to change.
_Insertion = tuple[Dialect, Table, tuple[str, ...], tuple[str, ...]]


def insert(
    connection: Connection,
    table: Table,
    rows: Iterable[Row],
    *,
    key: Sequence[str] = (),
    change: Sequence[str] = (),
) -> None:
    """Insert rows; with a ``key``, change these columns where a row is there already.

    They may be made on the way: few of them are in memory at a time.
    """
    coming = iter(rows)
    said = connection.dialect, table, tuple(key), tuple(change)
    texts = _texts(table)
    while some := list(islice(coming, _AT_ONCE)):
        if connection.dialect.name == "sqlite":
            some = _insert_whole(connection, said, some)
        elif texts:
            some = [_decoded(row, texts) for row in some]
        if some:
            connection.exec_driver_sql(_insertion(*said), some)


def among(dialect: str, column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Say in SQL that a column has one of the values that :func:`listed` hands over, as ``listed``."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import ARRAY  # noqa: PLC0415  # as in upsert.py

        return column == any_(bindparam("listed", type_=ARRAY(Text)))
    return column.in_(select(func.json_each(bindparam("listed")).table_valued("value").c.value))


def listed(dialect: str, values: Collection[str]) -> Mapping[str, Any]:
    """Return values as a statement with :func:`among` takes them."""
    return {"listed": list(values) if dialect == "postgresql" else orjson.dumps(list(values)).decode()}


def _insert_whole(connection: Connection, said: _Insertion, rows: list[Row]) -> list[Row]:
    """Insert many rows with each statement, and return the few that are left.

    A driver's ``executemany`` is a step of SQLite's for each row, between which its thread lets go of the interpreter
    and waits for it again: for longer than the step takes, where the main thread is at work. One statement is one step.
    """
    for size in _ROWS_A_STATEMENT:
        while len(rows) >= size:
            connection.exec_driver_sql(_insertion(*said, size), tuple(chain.from_iterable(rows[:size])))
            rows = rows[size:]
    return rows


@functools.lru_cache(maxsize=32)
def _texts(table: Table) -> tuple[int, ...]:
    """Return the places of long texts."""
    return tuple(place for place, column in enumerate(table.columns) if isinstance(column.type, Text))


def _decoded(row: Row, texts: Sequence[int]) -> Row:
    values = list(row)
    for place in texts:
        if isinstance(values[place], bytes):
            values[place] = values[place].decode()
    return tuple(values)


@functools.lru_cache(maxsize=32)
def _insertion(dialect: Dialect, table: Table, key: Sequence[str], change: Sequence[str], rows: int = 1) -> str:
    """Write the statement as the driver takes it: with a place for each of the table's columns, in their order.

    Those of several rows are SQLite's; SQLAlchemy compiles that of one, and would be slow with thousands of places.
    SQLite makes texts of bytes itself: of a ``str`` with other letters than ASCII's the driver would make them first,
    and Python would keep both.
    """
    made = statement_for(dialect.name, table, key=key, change=change) if key else table.insert()
    text = str(made.compile(dialect=dialect, column_keys=[each.name for each in table.columns]))
    if dialect.name != "sqlite":
        return text
    head, places, tail = text.partition(f"({', '.join('?' * len(table.columns))})")
    assert places, "SQLite's places are question marks"
    texts = _texts(table)
    one = f"({', '.join('CAST(? AS TEXT)' if place in texts else '?' for place in range(len(table.columns)))})"
    return head + ", ".join([one] * rows) + tail
