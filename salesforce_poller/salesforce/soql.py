"""A Window in, SOQL out: the only place that writes queries, and the only one that quotes. Pure.

Names are checked against describe before they come here (``polling/schema.py``), and once more by their letters,
so nothing of the configuration is ever pasted, with one deliberate exception: the operator's own ``where``,
which :func:`check_condition` keeps inside its brackets.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache

from salesforce_poller.model import Window
from salesforce_poller.salesforce import instants

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_PATH = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z][A-Za-z0-9_]*){0,5}")
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")

#: So many beginnings of queries are kept, up to 2 KB each: a thousand orgs mostly watch the same few objects.
HEADS = 2048
#: Ids in one IN list. 400 ids of 18 characters, quoted and URL-encoded, stay under 11 KB; a URL may have 16,384 bytes.
IDS_PER_QUERY = 400


def render(window: Window) -> str:
    """Write the query for a window, ordered by (stamp, Id).

    The order needs Id because stamps are whole seconds and ties are normal; rows of equal keys may come in any
    order (SOQL and SOSL Reference, ORDER BY).
    """
    return f"{render_unordered(window)} ORDER BY {_name(window.stamp_field)}, Id"


def render_unordered(window: Window) -> str:
    """Write the query for a window whose rows may come in any order, as those of the Bulk API do."""
    stamp = _name(window.stamp_field)
    conditions = [
        *_lower_bound(stamp, window),
        *([f"{stamp} < {instants.literal(window.until)}"] if window.until else []),
        *([f"({window.where})"] if window.where else []),
    ]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"{_head(window.select, window.object)}{where}"


def render_by_ids(window: Window, ids: Sequence[str]) -> str:
    """Write the query for certain records of a window's object, within the window's condition but not its bounds."""
    where = f" AND ({window.where})" if window.where else ""
    quoted = ", ".join(f"'{_id(one)}'" for one in ids)
    return f"{_head(window.select, window.object)} WHERE Id IN ({quoted}){where}"


def render_ids(
    object_name: str, *, has_bin: bool, where: str | None = None, after: str | None = None, limit: int | None = None
) -> str:
    """Write the query for the ids of the live records of an object, behind an id; with a limit, in the order of ids.

    It is meant for queryAll, which alone sees archived activities; ``has_bin`` says that the object has IsDeleted.
    """
    conditions = [
        *(["IsDeleted = false"] if has_bin else []),
        *([f"Id > '{_id(after)}'"] if after else []),
        *([f"({where})"] if where else []),
    ]
    condition = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    cut = f" ORDER BY Id LIMIT {limit:d}" if limit else ""
    return f"SELECT Id FROM {_name(object_name)}{condition}{cut}"  # noqa: S608  # every part is checked


def id_batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut a list of ids into lists that fit into a URL."""
    return (ids[start : start + IDS_PER_QUERY] for start in range(0, len(ids), IDS_PER_QUERY))


def check_condition(where: str) -> str | None:
    """Say what is wrong with an operator's own condition, or None: it must stay one condition inside brackets."""
    depth, in_string, escaped = 0, False, False
    for letter in where:
        if in_string:
            in_string = escaped or letter != "'"
            escaped = letter == "\\" and not escaped
        elif letter == "'":
            in_string = True
        elif letter in "()":
            depth += 1 if letter == "(" else -1
            if depth < 0:
                return "closes a bracket that it did not open"
    if in_string:
        return "has a string without its closing quote"
    if depth:
        return "has a bracket that is not closed"
    outside = re.sub(r"'(?:[^'\\]|\\.)*'", "''", where, flags=re.DOTALL)
    if word := re.search(r"\b(ORDER\s+BY|LIMIT|OFFSET|GROUP\s+BY|ALL\s+ROWS|FOR\s+UPDATE)\b", outside, re.IGNORECASE):
        return f"should be a condition only, without {word[0].upper()}"
    return None if where.strip() else "is empty; leave it out instead"


def is_name(text: str) -> bool:
    """Say whether this could be the API name of an object or a field."""
    return _NAME.fullmatch(text) is not None


def is_path(text: str) -> bool:
    """Say whether this could be a field, or a field reached through parents: ``Owner.Name``."""
    return _PATH.fullmatch(text) is not None


def _lower_bound(stamp: str, window: Window) -> list[str]:
    if window.after:
        at, record_id = _instant(window.after[0]), _id(window.after[1])
        return [f"(({stamp} = {at} AND Id > '{record_id}') OR {stamp} > {at})"]
    return [f"{stamp} >= {_instant(window.since)}"] if window.since else []


@lru_cache(maxsize=HEADS)
def _head(paths: tuple[str, ...], object_name: str) -> str:
    """Write what a query begins with; it stays the same from poll to poll, and its letters need one look."""
    for path in paths:
        if not is_path(path):
            raise ValueError(f"not a field: {path!r}")
    return f"SELECT {', '.join(paths)} FROM {_name(object_name)}"  # noqa: S608  # every part is checked


def _name(name: str) -> str:
    if not is_name(name):
        raise ValueError(f"not an API name: {name!r}")
    return name


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError(f"not a record id: {text!r}")
    return text


def _instant(instant: datetime) -> str:
    return instants.literal(instant)
