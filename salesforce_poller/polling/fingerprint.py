"""A record, boiled down to a digest, and compared with another one path by path. Pure."""

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

from salesforce_poller.fields import QUIET, pack
from salesforce_poller.model import Fields

#: A path that a record does not have, which is not the same as having null there.
MISSING: Any = object()


def digest(fields: Fields, earlier: str = "") -> str:
    """Boil down what counts of a record's fields: 32 hexadecimal digits, the same for the same values in any order.

    ``earlier`` is the digest of what the record was like earlier in the same second, if it was seen then: a value may
    go back and forth within one second, and each time is another one.
    """
    written = pack(fields)
    boiled = blake2b(memoryview(written.as_bytes())[written.loud_at :], digest_size=16)
    if earlier:
        boiled.update(earlier.encode())  # behind the brace that ends the fields
    return boiled.hexdigest()


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
