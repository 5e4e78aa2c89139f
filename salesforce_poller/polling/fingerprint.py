"""A record, boiled down to a digest, and compared with another one path by path. Pure."""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from operator import itemgetter
from typing import Any

import orjson

from salesforce_poller.model import Fields

#: Never count as a change: they are stamps of the change itself, of somebody's look at the record, or told by the
#: kind of the event.
QUIET = frozenset(
    {
        "Id", "SystemModstamp", "LastModifiedDate", "LastModifiedById", "LastViewedDate", "LastReferencedDate",
        "IsDeleted", "MasterRecordId",
    }
)  # fmt: skip

#: A path that a record does not have, which is not the same as having null there.
MISSING: Any = object()


def digest(fields: Fields, earlier: str = "") -> str:
    """Boil down what counts of a record's fields: 32 hexadecimal digits, the same for the same values in any order.

    ``earlier`` is the digest of what the record was like earlier in the same second, if it was seen then: a value may
    go back and forth within one second, and each time is another one.
    """
    names, values = _loud(tuple(fields))
    told = orjson.dumps(values(fields), option=orjson.OPT_SORT_KEYS)
    # Two lists in JSON tell where they end, so that nothing need be put between the parts.
    return blake2b(b"".join((names, told, earlier.encode())), digest_size=16).hexdigest()


@lru_cache(maxsize=1024)  # the rows of a feed have their names in common, in one order
def _loud(names: tuple[str, ...]) -> tuple[bytes, Callable[[Fields], Any]]:
    """Return the names that count, in an order of their own, and what takes their values in that order."""
    loud = sorted(name for name in names if name not in QUIET)
    # Of one name, itemgetter returns the value alone, and of none it is none.
    values = itemgetter(*loud) if len(loud) > 1 else lambda fields: [fields[name] for name in loud]
    return orjson.dumps(loud), values


def short_hash(*parts: str) -> str:
    """Hash several parts, each kept apart from the next: 32 hexadecimal digits."""
    hashed = blake2b(digest_size=16)
    for part in parts:
        data = part.encode()
        hashed.update(len(data).to_bytes(8, "big") + data)
    return hashed.hexdigest()


def differences(before: Fields, after: Fields, paths: Iterable[str]) -> Iterator[str]:
    """Name the paths whose values differ, in the order given; one that ``before`` does not know is no difference."""
    for path in paths:
        if path in QUIET:
            continue
        old = pick(before, path)
        if old is not MISSING and old != pick(after, path):
            yield path


def additions(before: Fields, after: Fields, paths: Iterable[str]) -> Iterator[str]:
    """Name the paths that are known now, be it as null, and that ``before`` does not know at all."""
    for path in paths:
        if path not in QUIET and pick(before, path) is MISSING and pick(after, path) is not MISSING:
            yield path


def pick(fields: Fields, path: str) -> Any:
    """Return the value at a path: None below a parent that is null, MISSING where the record has nothing."""
    value: Any = fields
    for name in path.split("."):
        if value is None:
            return None
        if name not in value:
            return MISSING
        value = value[name]
    return value


def nest(fields: Fields, paths: Iterable[str]) -> dict[str, Any]:
    """Return only these paths of a record, nested as the record is: ``{"Owner": {"Name": "Ann"}}``."""
    nested: dict[str, Any] = {}
    for path in paths:
        *parents, last = path.split(".")
        here = nested
        for name in parents:
            here = here.setdefault(name, {})
        here[last] = pick(fields, path)
    return nested
