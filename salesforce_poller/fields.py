"""A record's fields as one text, written in one order, and read only when somebody looks. Pure.

Most of what a record is need never be read on its way through: it is written once (``salesforce/rows.py``), stored,
compared and delivered as it stands. The order is that of :func:`place`, so that equal fields are equal texts, and what
never counts as a change stands before everything else: a digest begins behind it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

#: Never count as a change: they are stamps of the change itself, of somebody's look at the record, or told by the
#: kind of the event. In the order in which they begin a text; all of them are columns of Salesforce's own, and flat.
QUIET = (
    "Id", "IsDeleted", "MasterRecordId", "SystemModstamp", "LastModifiedDate", "LastModifiedById", "LastViewedDate",
    "LastReferencedDate",
)  # fmt: skip
_PLACES = {name: number for number, name in enumerate(QUIET)}
#: What JSON our texts are; the one writer of them.
encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Unread(Mapping[str, Any]):
    """A record's fields as they are written, read when somebody looks."""

    __slots__ = ("_read", "loud_at", "text")

    def __init__(self, text: bytes | str, loud_at: int | None = None) -> None:
        #: JSON; as bytes (UTF-8) where it was written just now.
        self.text = text
        #: Where in ``text``, in bytes, the fields begin that count; None: see :func:`pack`.
        self.loud_at = loud_at
        self._read: dict[str, Any] | None = None

    def fields(self) -> dict[str, Any]:
        """Return them as values. Nobody changes them."""
        if self._read is None:
            self._read = _decode(self.text)
        return self._read

    def as_bytes(self) -> bytes:
        """Return the text in UTF-8."""
        return self.text if isinstance(self.text, bytes) else self.text.encode()

    def __getitem__(self, name: str) -> Any:
        return self.fields()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields())

    def __len__(self) -> int:
        return len(self.fields())

    def __eq__(self, other: object) -> bool:
        """Compare the values; those that were written in one order are equal when their texts are."""
        if not isinstance(other, Unread):
            return self.fields() == other
        return self.as_bytes() == other.as_bytes() or self.fields() == other.fields()

    __hash__ = None  # type: ignore[assignment]  # as that of other mappings; mypy expects a function

    def __repr__(self) -> str:
        """Show the values."""
        return f"Unread({self.fields()!r})"


def place(name: str) -> tuple[int, str]:
    """Sort columns, or paths, as texts have them: what is quiet in its own order, then all others by their letters."""
    return _PLACES.get(name, len(QUIET)), name


def pack(fields: Mapping[str, Any]) -> Unread:
    """Write fields in their order; those that are written in it already stay as they are."""
    if isinstance(fields, Unread):
        if fields.loud_at is not None:
            return fields
        fields = fields.fields()
    names = sorted(fields, key=place)
    quiet = {name: fields[name] for name in names if name in _PLACES}
    loud = {name: _in_order(fields[name]) for name in names if name not in _PLACES}
    text = encode({**quiet, **loud})
    return Unread(text, len(text) - len(encode(loud)) + 1 if loud else len(text))


def _in_order(value: Any) -> Any:
    """Return the fields of parents by their letters: all of them count."""
    if not isinstance(value, Mapping):
        return value
    return {name: _in_order(value[name]) for name in sorted(value)}
