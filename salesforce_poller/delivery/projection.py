"""``fields``: which fields of an event a sink is sent. Pure.

Called by ``envelope.py`` when an event is dressed, after the filters have seen all of it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from salesforce_poller.model import Event

#: What of a record is kept, by name in small letters; an empty one keeps all there is below.
_Tree = dict[str, "_Tree"]


class Projection:
    """The fields of one sink. Names are compared as Salesforce does, without regard to case."""

    def __init__(self, paths: Iterable[str] | None = None) -> None:
        """Keep these paths (``Owner.Name``; ``Owner`` is all that is read of the owner), and Id. None: everything."""
        self._tree: _Tree | None = None if paths is None else _tree(["Id", *paths])

    def of(self, event: Event) -> Event:
        """Return the event with fewer fields in ``record``, ``previous`` and ``changed``."""
        if self._tree is None:
            return event
        return event.but(
            record=None if event.record is None else _cut(event.record, self._tree),
            changed=None if event.changed is None else tuple(each for each in event.changed if self._keeps(each)),
            previous=None if event.previous is None else _cut(event.previous, self._tree),
        )

    def _keeps(self, path: str) -> bool:
        node = self._tree or {}
        for part in path.casefold().split("."):
            if part not in node:
                return False
            node = node[part]
            if not node:
                return True
        return True


#: Every field, as it is.
EVERYTHING = Projection()


def _tree(paths: Iterable[str]) -> _Tree:
    root: _Tree = {}
    whole = {path.casefold() for path in paths}
    for path in sorted(whole):
        parts = path.split(".")
        if any(".".join(parts[:length]) in whole for length in range(1, len(parts))):
            continue  # a parent is kept as a whole
        node = root
        for part in parts:
            node = node.setdefault(part, {})
    return root


def _cut(fields: Mapping[str, Any], tree: _Tree) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, value in fields.items():
        below = tree.get(name.casefold())
        if below is not None:
            kept[name] = _cut(value, below) if below and isinstance(value, Mapping) else value
    return kept
