"""One row of an answer: what we keep of it for ourselves, and the user's columns as one text. Pure.

A row is read straight into a class made for its window, with a place for each column, and written again in our order:
half the work, and a quarter of the memory, of a dictionary for each row. What nobody asked for is passed over,
``attributes`` above all. Used by ``wire.py``, which reads what is around the rows.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from salesforce_poller.fields import QUIET, Unread, encode, place
from salesforce_poller.model import Record, Window
from salesforce_poller.salesforce import instants

#: A row as it came: its JSON, or values that somebody has made of it.
Row = msgspec.Raw | dict[str, Any]
#: What we read of a row for ourselves, beside its stamp.
_OURS = ("Id", "CreatedDate", "IsDeleted", "MasterRecordId", "LastModifiedById")
#: Columns by name, each with those of a parent below it.
_Tree = dict[str, Any]


class Rows:
    """Reads the rows of one window.

    Raises LookupError, TypeError, ValueError or msgspec's own errors for what is no such row.
    """

    def __init__(self, select: tuple[str, ...], visible: tuple[str, ...], stamp_field: str) -> None:
        shown = _tree(visible)
        columns = _tree([*select, *visible, stamp_field, *_OURS])
        self._row = _class_of(columns)
        self._decode = msgspec.json.Decoder(self._row).decode
        self._ours: Callable[[Any], tuple[Any, ...]] = attrgetter(stamp_field, *_OURS)
        #: What must not be written.
        self._hidden = [name for name in columns if name not in shown]
        #: How the fields that count may begin.
        self._loud = [encode(name) + b":" for name in sorted(shown, key=place) if name not in QUIET]

    def read(self, rows: Iterable[Row]) -> list[Record]:
        """Turn rows into records, one after the other: each is let go before the next one is looked at."""
        return [self._record(row) for row in rows]

    def _record(self, raw: Row) -> Record:
        row = self._decode(raw) if type(raw) is msgspec.Raw else msgspec.convert(raw, self._row)
        stamp, record_id, created, deleted, merged_into, changed_by = self._ours(row)
        if not record_id:
            raise LookupError("Id")
        for name in self._hidden:
            setattr(row, name, msgspec.UNSET)
        text = encode(row)
        return Record(
            record_id,
            instants.parse(stamp),
            instants.parse(created) if created else None,
            bool(deleted),
            merged_into or None,  # what was not asked for is UNSET, which is false
            changed_by or None,
            Unread(text, self._loud_at(text)),
        )

    def _loud_at(self, text: bytes) -> int:
        """Find where the fields begin that count. No value has these letters: in JSON its quotes are escaped."""
        for name in self._loud:  # Salesforce leaves none out, so that it is the first one
            if (at := text.find(name)) >= 0:
                return at
        return len(text)


def of(window: Window) -> Rows:
    """Return what reads the rows of a window."""
    return _made(window.select, window.visible, window.stamp_field)


_made = lru_cache(maxsize=256)(Rows)  # a feed has few windows with other columns, and many with the same ones


def _tree(paths: Iterable[str]) -> _Tree:
    """Nest paths as REST nests them."""
    tree: _Tree = {}
    for path in paths:
        here = tree
        for name in path.split("."):
            here = here.setdefault(name, {})
    return tree


def _class_of(columns: Mapping[str, _Tree]) -> type[msgspec.Struct]:
    places = [(name, _type_of(columns[name]), msgspec.UNSET) for name in sorted(columns, key=place)]
    return msgspec.defstruct("Row", places, gc=False)


def _type_of(below: _Tree) -> Any:
    return _class_of(below) | msgspec.UnsetType | None if below else Any
