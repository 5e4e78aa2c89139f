"""INSERT that knows what to do where a row is there already, in the words of SQLite and of PostgreSQL."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table, or_
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql


def upsert(
    connection: AsyncConnection | Connection,
    table: Table,
    *,
    key: Sequence[str],
    change: Sequence[str] = (),
    if_other: bool = False,
) -> "postgresql.Insert | sqlite.Insert":
    """Return an INSERT that changes these columns of a row that has the same key; without any, leaves it as it is.

    ``if_other``: only where one of them would have another value, so that nothing is written for nothing.
    """
    return statement_for(connection.dialect.name, table, key=key, change=change, if_other=if_other)


def statement_for(
    dialect: str, table: Table, *, key: Sequence[str], change: Sequence[str] = (), if_other: bool = False
) -> "postgresql.Insert | sqlite.Insert":
    """Return the same for a database that is known by the name of its dialect."""
    statement = _on_postgresql(table) if dialect == "postgresql" else sqlite.insert(table)
    if not change:
        return statement.on_conflict_do_nothing(index_elements=key)
    fresh = {name: statement.excluded[name] for name in change}
    differs = or_(*(table.c[name].is_distinct_from(fresh[name]) for name in change)) if if_other else None
    return statement.on_conflict_do_update(index_elements=key, set_=fresh, where=differs)


def _on_postgresql(table: Table) -> "postgresql.Insert":
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415  # with its driver 6 MB, which a store in a file spares

    return postgresql.insert(table)
