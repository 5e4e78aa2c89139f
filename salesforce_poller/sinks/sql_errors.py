"""What an error of a mirror's database means. Pure: the code that PostgreSQL or SQLite gives in, a Receipt out.

Called by ``sql_door.py``. The codes of PostgreSQL are SQLSTATE ("PostgreSQL Error Codes", Appendix A of its manual),
those of SQLite its result codes (sqlite.org/rescode.html); the first part of an extended one says enough.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from salesforce_poller.errors import capped
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks.mirror_columns import Database

#: By the beginning of the code, the longest first: is it a matter of the moment, of the whole sink, or of this row?
_POSTGRESQL = {
    "22": "row",  # data exception: a value that no text can hold, or that the column's own type does not take
    "23": "row",  # a constraint that somebody has added
    "28": "sink",  # not allowed in
    "3D": "sink",  # no such database
    "3F": "sink",  # no such schema
    "42501": "sink",  # not allowed to
    "42P10": "sink",  # the key is gone
    "42701": "moment",  # somebody else was faster: a column is there already
    "42703": "moment",  # a column was taken away; the table is looked at anew
    "42P01": "moment",  # or the table
    "42P07": "moment",  # or it is there already
    "42": "row",
    "54": "row",  # too many columns, too long a row
    "0A": "row",  # a view keeps the column from becoming text
    "44": "row",
    "P0": "row",  # somebody's trigger says no
}
_SQLITE = {
    "SQLITE_CONSTRAINT": "row",
    "SQLITE_TOOBIG": "row",
    "SQLITE_MISMATCH": "row",
    "SQLITE_RANGE": "row",
    "SQLITE_NOTADB": "sink",
    "SQLITE_CORRUPT": "sink",
    "SQLITE_AUTH": "sink",
}
#: Two daemons that make the same thing at once; PostgreSQL says it of its own catalogue's indexes.
_RACE = re.compile(r'"pg_\w+_index"')


def of_postgresql(sqlstate: str, text: str) -> Receipt:
    """Say what an error of PostgreSQL's means; ``sqlstate`` is empty for those of the connection."""
    about = next((_POSTGRESQL[sqlstate[:n]] for n in (5, 2) if sqlstate[:n] in _POSTGRESQL), "moment")
    if _RACE.search(text):
        about = "moment"
    return _receipt(about, f"PostgreSQL: {text}{f' ({sqlstate})' if sqlstate else ''}")


def of_sqlite(name: str, text: str) -> Receipt:
    """Say what an error of SQLite's means; ``name`` such as SQLITE_BUSY_SNAPSHOT, empty where it has none."""
    about = _SQLITE.get("_".join(name.split("_")[:2]), "moment")
    return _receipt(about, f"SQLite: {text}{f' ({name})' if name else ''}")


def probed(database: Database, facts: Mapping[str, Any]) -> Receipt:
    """Say what a check found out of the database, by what ``sql_door.py`` calls its facts."""
    if database is Database.SQLITE:
        return Receipt(Verdict.ACCEPTED, f"can be written (SQLite {facts['version']})")
    if facts["read_only"] == "on":
        return Receipt(Verdict.REFUSED, "the database takes no writes: it is read-only, or a standby", general=True)
    if not facts["may_create"]:
        return Receipt(Verdict.REFUSED, f"the user may not make tables in the schema {facts['schema']}", general=True)
    return Receipt(Verdict.ACCEPTED, f"reachable (PostgreSQL {facts['version']}, schema {facts['schema']})")


def doubts(facts: Mapping[str, Any]) -> list[str]:
    """Say what of the database's settings lets go of what it has confirmed."""
    found = []
    if facts.get("fsync") == "off":
        found.append("fsync is off: a power cut can lose rows that were confirmed, and damage the database")
    if facts.get("synchronous_commit") == "off":
        found.append("synchronous_commit is off: a crash can lose the last rows that were confirmed")
    return found


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return the text without these."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def of_connection(text: str) -> Receipt:
    """Say that the database cannot be reached."""
    return _receipt("moment", text)


def no_mirror(text: str) -> Receipt:
    """Say that a table is somebody else's; events of other objects go on."""
    return _receipt("row", text)


def is_about_a_row(receipt: Receipt) -> bool:
    """Say whether other rows may fare better."""
    return receipt.verdict is Verdict.REFUSED and not receipt.general


def _receipt(about: str, text: str) -> Receipt:
    if about == "moment":
        return Receipt(Verdict.TRY_LATER, capped(text))
    return Receipt(Verdict.REFUSED, capped(text), general=about == "sink")
