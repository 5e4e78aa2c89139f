"""Which events a person means, as a value and as SQL. Built by ``actions/orders.py``; ``repairs.py`` asks with it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, false, func

from salesforce_poller.model import Kind
from salesforce_poller.store.tables import events

#: Salesforce shows ids of 15 characters too; the other three follow from them, and lie between nothing and "ZZZ".
_SHORT_ID = 15


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events; None means that it does not matter."""

    #: The event's id.
    event: str | None = None
    #: The record's id, in 18 or 15 characters.
    record: str | None = None
    #: By API name, in any case of letters.
    object: str | None = None
    #: By its name in the configuration.
    org: str | None = None
    kind: Kind | None = None
    #: Recorded at or after this instant (machine time, UTC).
    since: datetime | None = None
    #: Recorded before this instant.
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what must hold of a row of ``events``, all of it."""
        if not all(map(_is_text, (self.event, self.record, self.object, self.org))):
            return [false()]
        found: list[ColumnElement[bool]] = []
        if self.event is not None:
            found.append(events.c.id == self.event)
        if self.record is not None:
            found.append(_is_of(self.record))
        if self.object is not None:
            found.append(func.lower(events.c.object) == self.object.lower())
        if self.org is not None:
            found.append(events.c.org == self.org)
        if self.kind is not None:
            found.append(events.c.kind == self.kind.value)
        if self.since is not None:
            found.append(events.c.recorded_at >= self.since)
        if self.until is not None:
            found.append(events.c.recorded_at < self.until)
        return found


def _is_text(said: str | None) -> bool:
    """Say whether a database can be asked for it: PostgreSQL knows no NUL, and neither half a character.

    That is what a terminal's bytes become that are no text.
    """
    return said is None or ("\0" not in said and not any("\ud800" <= each <= "\udfff" for each in said))


def _is_of(record: str) -> ColumnElement[bool]:
    if len(record) == _SHORT_ID:
        return and_(events.c.record_key >= record, events.c.record_key <= f"{record}ZZZ")
    return events.c.record_key == record
