"""One row of an answer: what we keep of it for ourselves, and the user's columns as one text. Pure.

Rows of a long answer are read straight into a class made for their window, with a place for each column, and written
again in our order: half the work, and a quarter of the memory, of a dictionary for each row. A class takes a
millisecond to make, so short answers, of which most polls consist, are read from dictionaries. What nobody asked for is
passed over, ``attributes`` above all. Used by ``wire.py``, which reads what is around the rows.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any

import msgspec

from salesforce_poller.fields import QUIET, Unread, encode, place
from salesforce_poller.model import Record, Window
from salesforce_poller.salesforce import instants

#: What we read of a row for ourselves, beside its stamp.
_OURS = ("Id", "CreatedDate", "IsDeleted", "MasterRecordId", "LastModifiedById")
#: Columns by name, in the order of our texts, each with those of a parent below it.
_Tree = dict[str, Any]


class Rows:
    """Reads the rows of one window.

    Raises LookupError, TypeError, ValueError (msgspec's errors are some) or RecursionError for what is no such row.
    """

    def __init__(self, select: tuple[str, ...], visible: tuple[str, ...], stamp_field: str) -> None:
        self._shown = _tree(visible)
        self._columns = _tree([*select, *visible, stamp_field, *_OURS])
        self._stamp_field = stamp_field
        #: What must not be written.
        self._hidden = [name for name in self._columns if name not in self._shown]
        #: The fields that count, each with how it begins. The first one that is there is found by these letters: what
        #: stands before it is flat, and no text has them, since its quotes are escaped in JSON.
        self._loud = [(name, encode(name) + b":") for name in self._shown if name not in QUIET]

    def read(self, rows: Iterable[Mapping[str, Any]]) -> list[Record]:
        """Turn values into records."""
        return [self._of_values(row) for row in rows]

    def read_long(self, rows: Iterable[msgspec.Raw]) -> list[Record]:
        """Turn JSON into records, one row after the other: each is let go before the next one is looked at."""
        decode, ours = self._decode, self._ours
        return [self._of_places(decode(row), ours) for row in rows]

    @cached_property
    def _decode(self) -> Callable[[msgspec.Raw], Any]:
        return msgspec.json.Decoder(_class_of(self._columns)).decode

    @cached_property
    def _ours(self) -> Callable[[Any], tuple[Any, ...]]:
        return attrgetter(self._stamp_field, *_OURS)

    def _of_places(self, row: Any, ours: Callable[[Any], tuple[Any, ...]]) -> Record:
        bookkeeping = ours(row)
        for name in self._hidden:
            setattr(row, name, msgspec.UNSET)
        text = encode(row)
        for name, begins in self._loud:  # Salesforce leaves no column out, so that it is nearly always the first one
            if getattr(row, name) is not msgspec.UNSET:
                return _record(bookkeeping, Unread(text, text.index(begins)))
        return _record(bookkeeping, Unread(text, len(text)))

    def _of_values(self, row: Mapping[str, Any]) -> Record:
        shown = _chosen(row, self._shown)
        text = encode(shown)
        bookkeeping = row[self._stamp_field], *(row.get(name) for name in _OURS)
        for name, begins in self._loud:
            if name in shown:
                return _record(bookkeeping, Unread(text, text.index(begins)))
        return _record(bookkeeping, Unread(text, len(text)))


def _record(bookkeeping: tuple[Any, ...], fields: Unread) -> Record:
    stamp, record_id, created, deleted, merged_into, changed_by = bookkeeping
    if not record_id:
        raise LookupError("Id")
    return Record(
        record_id,
        instants.parse(stamp),
        instants.parse(created) if created else None,
        bool(deleted),
        merged_into or None,  # what was not asked for is UNSET, which is false
        changed_by or None,
        fields,
    )


def of(window: Window) -> Rows:
    """Return what reads the rows of a window."""
    return _made(window.select, window.visible, window.stamp_field)


_made = lru_cache(maxsize=256)(Rows)  # the windows of a feed have the same columns, as those of many orgs have


def _tree(paths: Iterable[str]) -> _Tree:
    """Nest paths as REST nests them."""
    tree: _Tree = {}
    for path in sorted(paths, key=place):
        here = tree
        for name in path.split("."):
            here = here.setdefault(name, {})
    return tree


def _class_of(columns: Mapping[str, _Tree]) -> type[msgspec.Struct]:
    places = [(name, _type_of(below), msgspec.UNSET) for name, below in columns.items()]
    return msgspec.defstruct("Row", places, gc=False)


def _type_of(below: _Tree) -> Any:
    return _class_of(below) | msgspec.UnsetType | None if below else Any


def _chosen(values: Mapping[str, Any], columns: _Tree) -> dict[str, Any]:
    return {
        name: _chosen(values[name], below) if below and isinstance(values[name], Mapping) else values[name]
        for name, below in columns.items()
        if name in values
    }
