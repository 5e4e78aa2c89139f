"""What the calling user may not see: fields (field-level security), records (sharing) and whole objects.

Switched through `Org`; asked by `Org` as the query side's source, and by the routes.
"""

from collections.abc import Callable
from datetime import datetime


class Access:
    """The switches of one org. All of them start open; `changed_at` is when the schema last looked different."""

    def __init__(self, now: datetime) -> None:
        self.changed_at = now
        self.view_setup = True
        """The permission "View Setup and Configuration"."""
        self.before_change: Callable[[], None] = lambda: None
        """Called before any switch, for those who still have to look at what can be seen now."""
        self._fields: dict[str, set[str]] = {}
        self.hidden_records: set[str] = set()
        self._objects: set[str] = set()

    def field(self, object_name: str, field: str, *, visible: bool, now: datetime) -> None:
        """Show or hide a field by its API name."""
        self.before_change()
        hidden = self._fields.setdefault(object_name, set())
        _switch(hidden, field, visible)
        self.changed_at = now

    def record(self, record_id: str, *, visible: bool) -> None:
        """Show or hide a record by its 18-character id."""
        self.before_change()
        _switch(self.hidden_records, record_id, visible)

    def object(self, object_name: str, *, visible: bool, now: datetime) -> None:
        """Show or hide a whole object by its API name."""
        self.before_change()
        _switch(self._objects, object_name, visible)
        self.changed_at = now

    def hidden_fields(self, object_name: str) -> frozenset[str]:
        """The fields of the object that do not exist for this user."""
        return frozenset(self._fields.get(object_name, ()))

    def sees_record(self, record_id: str) -> bool:
        """Whether the record is shared with this user."""
        return record_id not in self.hidden_records

    def sees_object(self, object_name: str) -> bool:
        """Whether the object exists for this user."""
        return object_name not in self._objects


def _switch(hidden: set[str], name: str, visible: bool) -> None:
    if visible:
        hidden.discard(name)
    else:
        hidden.add(name)
