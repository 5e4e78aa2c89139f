"""The newest events, handed from who has just committed them to who delivers them, without another look at the disk.

Only where one process writes the store alone (SQLite): on PostgreSQL others write too, and a failover may take back
what was committed. Filled by ``database.py`` when a transaction is on disk, asked by ``outbox.py:Outbox.read``, which
asks the database for everything that is not here. So nothing depends on what is kept, as long as it is right: a row of
positions without a hole, all of them on disk, and the events as they would be read from there.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from salesforce_poller.fields import Unread
from salesforce_poller.model import Delivery, Event
from salesforce_poller.store import codec

#: How many are kept: three pages, since whoever delivers is now and then a page late, and would not catch up any more
#: if it had to read that page from the disk; and how many bytes of their fields.
_MOST, _BYTES = 6_000, 4_500_000


@dataclass(frozen=True, slots=True)
class Appended:
    """Events that one transaction gave positions to."""

    first: int
    events: Sequence[Event]
    #: Names the transaction; see ``versions.py``.
    version: int


class Fresh:
    """The events behind each other up to the last one that was added."""

    def __init__(self, most: int = _MOST, size: int = _BYTES) -> None:
        self._most = most
        self._limit = size
        self._first = 0
        self._events: list[Event] = []
        self._versions: list[int] = []
        self._sizes: list[int] = []
        #: Up to where each sink has come that ever asked.
        self._passed: dict[str, int] = {}

    def add(self, appended: Appended) -> None:
        """Keep events that are on disk; those before them go, oldest first, when they become too many.

        Where others lie between what is kept and these, somebody does not know whether they were committed.
        """
        if not self._most:
            return
        if appended.first != self._first + len(self._events):
            self.clear()
            self._first = appended.first
        new = [codec.as_read(event) for event in appended.events]
        self._events += new
        self._versions += [appended.version] * len(new)
        self._sizes += map(_size, new)
        over = max(0, len(self._events) - self._most)
        size = sum(self._sizes[over:])
        while size > self._limit:
            size -= self._sizes[over]
            over += 1
        self._drop(over)

    def behind(self, position: int, limit: int, sink: str) -> list[Delivery]:
        """Return the first events behind a position, owed to a sink; none where only the database knows.

        What all have come past goes: memory is for what is under way.
        """
        self._passed[sink] = position
        self.forget(min(self._passed.values()))
        at = position + 1 - self._first
        if at < 0:
            return []
        found = zip(self._events[at : at + limit], self._versions[at : at + limit], strict=True)
        return [Delivery(sink, each, event, version=of) for each, (event, of) in enumerate(found, position + 1)]

    def forget(self, through: int) -> None:
        """Let go of everything up to a position."""
        self._drop(min(max(0, through + 1 - self._first), len(self._events)))

    def clear(self) -> None:
        """Let go of everything: nobody knows what is on disk."""
        self._drop(len(self._events))

    def _drop(self, count: int) -> None:
        del self._events[:count]
        del self._versions[:count]
        del self._sizes[:count]
        self._first += count


def _size(event: Event) -> int:
    """Say how much an event is; its previous values are as many as the present ones at most."""
    fields = sys.getsizeof(event.record.text) if isinstance(event.record, Unread) else 0
    return fields if event.previous is None else 2 * fields
