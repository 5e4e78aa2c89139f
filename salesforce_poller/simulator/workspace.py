"""What one open transaction sees and has written: its own rows over the committed ones.

Used by `transactions`, `merging` and `conversion`; it ends in `Storage.commit` or is thrown away.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from salesforce_poller.simulator import errors, ids
from salesforce_poller.simulator.catalogue import Child, ObjectType
from salesforce_poller.simulator.changes import Kind, Row, Statement
from salesforce_poller.simulator.clock import stamp
from salesforce_poller.simulator.storage import Storage


class Workspace:
    """The rows and statements of one transaction that nobody else sees yet.

    `now` is asked each time a statement runs; `by` is the id of the user whose work it is.
    """

    def __init__(self, storage: Storage, *, now: Callable[[], datetime], by: str) -> None:
        self.storage = storage
        self.by = by
        self.number = storage.begin()
        self._now = now
        self._writes: dict[str, Row | None] = {}
        self._statements: list[Statement] = []

    def stamp(self) -> datetime:
        """This second, as the statement that runs now stamps its rows."""
        return stamp(self._now())

    def find(self, record_id: str) -> tuple[ObjectType, Row]:
        """A row, live or deleted, by its 15- or 18-character id; raises INVALID_CROSS_REFERENCE_KEY."""
        if not ids.is_id(record_id):
            raise errors.no_such_record()
        full_id = ids.to18(record_id)
        type_ = self.storage.type_of(full_id)
        row = self._row(type_, full_id)
        if row is None:
            raise errors.no_such_record()
        return type_, row

    def live(self, record_id: str) -> tuple[ObjectType, Row]:
        """A row that is not deleted; raises ENTITY_IS_DELETED or INVALID_CROSS_REFERENCE_KEY."""
        type_, row = self.find(record_id)
        if row.get("IsDeleted"):
            raise errors.entity_is_deleted()
        return type_, row

    def rows(self, type_: ObjectType) -> list[Row]:
        """Every live row of the object as this transaction sees it."""
        written = [record_id for record_id in self._writes if self.storage.type_of(record_id) is type_]
        seen = (
            self._row(type_, record_id) for record_id in {**self.storage.rows[type_.name], **dict.fromkeys(written)}
        )
        return [row for row in seen if row is not None and not row.get("IsDeleted")]

    def children(self, type_: ObjectType, record_id: str) -> Iterator[tuple[Child, ObjectType, Row]]:
        """The live records that point at this one, with the relationship through which they do."""
        for child_id in {**self.storage.pointing.get(record_id, {}), **dict.fromkeys(self._writes)}:
            child_type = self.storage.type_of(child_id)
            row = self._row(child_type, child_id)
            if row is None or row.get("IsDeleted"):
                continue
            for child in type_.children:
                if child.child_sobject == child_type.name and row.get(child.field) == record_id:
                    yield child, child_type, row

    def lock(self, record_ids: Iterable[str]) -> None:
        """Lock every row that a statement is about to write, before it writes the first; raises UNABLE_TO_LOCK_ROW."""
        self.storage.lock(record_ids, self.number)

    def write(
        self,
        kind: Kind,
        type_: ObjectType,
        row: Row,
        *,
        at: datetime,
        changed: tuple[str, ...] = (),
        merged_into: str | None = None,
        caused_by: str | None = None,
    ) -> None:
        """Keep the row as it is after a statement of this kind; a hard-deleted one is gone."""
        record_id: str = row["Id"]
        self.lock([record_id])
        if kind != "purged":
            self._writes[record_id] = None if kind == "hard_deleted" else row
        self._statements.append(Statement(kind, type_.name, record_id, at, changed, row, merged_into, caused_by))

    def taken_along(self, record_id: str) -> list[str]:
        """The records whose deletion this record's deletion caused."""
        binned = [key for key, each in self.storage.bin.items() if each.caused_by == record_id]
        here = [each.record_id for each in self._statements if each.kind == "deleted" and each.caused_by == record_id]
        return list(dict.fromkeys(binned + here))

    def purged(self, record_id: str) -> bool:
        """Whether the recycle bin was emptied of the record, by this transaction or before it."""
        binned = self.storage.bin.get(record_id)
        return (binned is not None and binned.purged_at is not None) or any(
            each.kind == "purged" and each.record_id == record_id for each in self._statements
        )

    def commit(self) -> None:
        """Make everything visible at once."""
        self.storage.commit(self.number, self._writes, self._statements)

    def rollback(self) -> None:
        """Forget everything."""
        self.storage.end(self.number)

    def _row(self, type_: ObjectType, record_id: str) -> Row | None:
        committed = self.storage.rows[type_.name].get(record_id)
        return self._writes.get(record_id, committed)
