"""In which condition a store's database is, and how it gets this program's schema. For ``salesforce-poller db``.

Looks and tells; what a finding means for the exit code is its mark. ``moving.py`` takes a store elsewhere.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection, text

from salesforce_poller.errors import SchemaTooNew, StoreError
from salesforce_poller.store import schema
from salesforce_poller.store.database import Database, Door
from salesforce_poller.store.postgresql import Postgresql
from salesforce_poller.store.settings import is_postgresql, path_of
from salesforce_poller.store.sqlite import SqliteFile
from salesforce_poller.store.tables import metadata

#: Whose rows are counted, beginning with the first version of the schema: what grows.
_COUNTED = ("events", "sightings", "parked")
_FACTS = """
    SELECT current_setting('server_version') AS server, current_schema() AS place,
        has_schema_privilege(current_schema(), 'CREATE') AS may_create, pg_is_in_recovery() AS is_standby,
        current_setting('default_transaction_read_only') AS read_only, current_setting('fsync') AS fsync,
        current_setting('full_page_writes') AS full_page_writes,
        current_setting('synchronous_commit') AS synchronous_commit,
        current_setting('idle_in_transaction_session_timeout') AS standstill,
        current_setting('server_encoding') AS encoding, pg_database_size(current_database()) AS bytes
"""
_FORBIDDEN = """
    SELECT DISTINCT name FROM unnest(CAST(:names AS text[])) AS name, unnest(CAST(:wanted AS text[])) AS wanted
    WHERE to_regclass(name) IS NOT NULL AND NOT has_table_privilege(to_regclass(name), wanted) ORDER BY name
"""
_NEEDED = ("SELECT", "INSERT", "UPDATE", "DELETE")
_ON = "on"


@dataclass(frozen=True, slots=True)
class Condition:
    """What was found of a store."""

    #: "sqlite" or "postgresql".
    kind: str
    #: The file, or server and database; no password in it.
    name: str
    #: The version of the server, or of the SQLite library; empty where it was not reached.
    server: str = ""
    #: The version of its schema; None where there is none yet.
    schema: str | None = None
    #: The version that this program wants.
    wanted: str | None = None
    #: The migrations that it lacks, oldest first.
    pending: Sequence[str] = ()
    #: How many rows, by table.
    rows: Mapping[str, int] = field(default_factory=dict)
    #: Its size; on PostgreSQL of the whole database.
    bytes: int | None = None
    #: What could cost events one day.
    warnings: Sequence[str] = ()
    #: Why a daemon could not work with it as it is.
    problems: Sequence[str] = ()

    @property
    def good(self) -> bool:
        """Whether a daemon can work with it."""
        return not self.problems


async def upgrade(url: str) -> tuple[str | None, str | None]:
    """Bring a store's schema up to date, or make it; returns the version that it had, and the one that it has.

    Raises:
        StoreInUse: a daemon has the file; on PostgreSQL, one that upgrades at the same time is waited for.
        StoreAway: it is not there now.
        SchemaTooNew: a newer version of this program wrote it.
        StoreError: it is no database, or cannot be written.
    """
    database = Database(_door(url))
    await database.open()
    await database.close()
    return database.had, schema.head()


async def examine(url: str) -> Condition:
    """Look at a store, changing nothing; a daemon may be using it. What cannot be looked at is a problem found."""
    door = _door(url)
    found = Condition("postgresql" if is_postgresql(url) else "sqlite", door.name, wanted=schema.head())
    database = Database(door, writable=False)
    try:
        # Not opened: what is wrong with its schema is what we are here to see.
        async with database.read_as_it_is() as connection:
            return await connection.run_sync(_on_postgresql if is_postgresql(url) else _in_a_file, found)
    except StoreError as exc:
        return replace(found, problems=[str(exc)])
    finally:
        await database.close()


def _door(url: str) -> Door:
    return Postgresql(url, limit=None) if is_postgresql(url) else SqliteFile(path_of(url))


def _in_a_file(connection: Connection, found: Condition) -> Condition:
    size = connection.execute(text("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"))
    found = replace(found, server=sqlite3.sqlite_version, bytes=size.scalar_one())
    return _with_rows(connection, _with_schema(connection, found))


def _on_postgresql(connection: Connection, found: Condition) -> Condition:
    facts = connection.execute(text(_FACTS)).mappings().one()
    found = replace(found, server=facts["server"], bytes=facts["bytes"], warnings=list(_weak(facts)))
    found = _with_schema(connection, _and(found, *_wrong(facts)))
    if found.pending and facts["place"] is not None and not facts["may_create"]:
        grant = "GRANT CREATE ON SCHEMA … TO the user"
        found = _and(found, f"the user may not make tables in the schema {facts['place']}: {grant}")
    asked = {"names": list(metadata.tables), "wanted": list(_NEEDED)}
    forbidden = [each for (each,) in connection.execute(text(_FORBIDDEN), asked)]
    if forbidden:
        grant = f"GRANT {', '.join(_NEEDED)} ON … TO the user"
        return _and(found, f"the user may not read and write {', '.join(forbidden)}: {grant}")
    return _with_rows(connection, found)


def _weak(facts: Mapping[Any, Any]) -> Iterator[str]:
    """Say which settings of the server could cost what was committed."""
    for name in ("fsync", "full_page_writes"):
        if facts[name] != _ON:
            yield f"{name} is off on the server: what is committed can be lost or damaged when its machine fails"
    if facts["synchronous_commit"] not in (_ON, "remote_apply"):
        how = facts["synchronous_commit"]
        yield f"synchronous_commit is {how}: a standby that takes over may lack what was committed"
    if facts["standstill"] == "0":  # we ask for it with every connection
        yield (
            "something between us and the server drops idle_in_transaction_session_timeout: a process that stands "
            "still could hold up all others; ALTER ROLE … SET idle_in_transaction_session_timeout = '5s'"
        )


def _wrong(facts: Mapping[Any, Any]) -> Iterator[str]:
    """Say what keeps a daemon from working, whatever is in the database."""
    if facts["is_standby"]:
        yield "the server is a standby, which takes no writes; with several hosts in the url, the other one is found"
    elif facts["read_only"] == _ON:
        yield "transactions are read only by default (default_transaction_read_only)"
    if facts["encoding"] != "UTF8":
        yield f"the database's encoding is {facts['encoding']}; it should be UTF8"
    if facts["place"] is None:
        yield "no schema of the search_path is there, or may be used: GRANT USAGE ON SCHEMA … TO the user"


def _with_schema(connection: Connection, found: Condition) -> Condition:
    """Add which version the schema has, and what it lacks."""
    try:
        have = schema.version(connection)
    except SchemaTooNew as exc:
        return _and(found, str(exc))
    found = replace(found, schema=have, pending=schema.missing(have))
    if have is None:
        return _and(
            found, "there is nothing in it yet; `salesforce-poller db upgrade` or the first `run` makes the tables"
        )
    if found.pending:
        how = f"`salesforce-poller db upgrade` or the next `run` brings it to {found.wanted}"
        return _and(found, f"its schema is of an older version; {how}")
    return found


def _with_rows(connection: Connection, found: Condition) -> Condition:
    """Add how many rows there are, where there are tables."""
    if found.schema is None:
        return found
    counts = [text(f"SELECT count(*) FROM {name}") for name in _COUNTED]  # noqa: S608  # our own names
    return replace(
        found, rows={name: connection.execute(count).scalar_one() for name, count in zip(_COUNTED, counts, strict=True)}
    )


def _and(found: Condition, *problems: str) -> Condition:
    return replace(found, problems=[*found.problems, *problems])
