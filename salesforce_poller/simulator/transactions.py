"""One transaction: statements that stamp rows when they run and become visible when it commits.

`Org.begin` hands it out; `Org`'s own statements are transactions of one statement. A statement that raises has
written nothing, and the transaction can go on. Merging and lead conversion live next door, in `merging` and
`conversion`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self

from salesforce_poller.simulator import conversion, errors, merging, rows
from salesforce_poller.simulator.catalogue import ObjectType
from salesforce_poller.simulator.changes import Row
from salesforce_poller.simulator.conversion import Conversion
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.undocumented import Undocumented
from salesforce_poller.simulator.workspace import Workspace


class Transaction:
    """Statements on the org's rows; as a context manager it commits, or rolls back when the block raises.

    Every statement raises UNABLE_TO_LOCK_ROW when another open transaction has written one of its rows,
    ENTITY_IS_DELETED or INVALID_CROSS_REFERENCE_KEY when there is no such row to write. Ids may have 15 or 18
    characters.
    """

    def __init__(self, workspace: Workspace, undocumented: Undocumented) -> None:
        self._work = workspace
        self._undocumented = undocumented
        self._open = True

    @property
    def number(self) -> int:
        """The transaction's number, as `Change.transaction` shows it."""
        return self._work.number

    def insert(self, object_name: str, /, **fields: Any) -> str:
        """Create one record and return its id."""
        return self.insert_many(object_name, [fields])[0]

    def insert_many(self, object_name: str, /, records: Iterable[Mapping[str, Any]]) -> list[str]:
        """Create records, all with one stamp, and return their ids in order. Audit fields may be given (back-dated)."""
        type_ = self._type(object_name)
        at = self._begin_statement()
        given = [rows.canonical(type_, each, forbidden=("Id", "IsDeleted", "SystemModstamp")) for each in records]
        return [self._insert(type_, values, at) for values in given]

    def update(self, record_id: str, /, **fields: Any) -> None:
        """Save a record: both stamps move even when every value is the one it had."""
        at = self._begin_statement()
        type_, row = self._work.live(record_id)
        if row.get("IsConverted"):
            raise ApiError(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", ())
        values = rows.canonical(type_, fields, forbidden=rows.SYSTEM)
        after = rows.saved(type_, {**row, **values}, at=at, by=self._work.by)
        self._work.write("updated", type_, after, at=at, changed=rows.differing(row, values))

    def delete(self, record_id: str) -> None:
        """Put a record into the recycle bin, and with it the children that go along with it."""
        self._remove(record_id, "deleted")

    def hard_delete(self, record_id: str) -> None:
        """Remove a record, live or deleted, without the recycle bin: only getDeleted will know of it."""
        self._remove(record_id, "hard_deleted")

    def undelete(self, record_id: str) -> None:
        """Take a record, and what was deleted along with it, out of the recycle bin; raises UNDELETE_FAILED."""
        at = self._begin_statement()
        restored = self._in_bin(record_id)
        if not restored[0][0].undeletable:
            raise _not_in_bin()
        for each_type, each in restored:
            master = {"MasterRecordId": None} if each.get("MasterRecordId") else {}
            after = rows.touched(each_type, {**each, "IsDeleted": False, **master}, at=at)
            self._work.write("undeleted", each_type, after, at=at, changed=tuple(master))

    def purge(self, record_id: str) -> None:
        """Empty the recycle bin of a record: not restorable any more, in queryAll for another day."""
        at = self._begin_statement()
        for each_type, each in self._in_bin(record_id):
            self._work.write("purged", each_type, each, at=at)

    def restamp(self, object_name: str) -> int:
        """Move SystemModstamp of every live row and nothing else, as renaming a picklist value does; count them."""
        type_ = self._type(object_name)
        at = self._begin_statement()
        found = self._work.rows(type_)
        self._work.lock(row["Id"] for row in found)
        for row in found:
            self._work.write("restamped", type_, rows.touched(type_, row, at=at), at=at)
        return len(found)

    def merge(self, winner_id: str, *loser_ids: str) -> None:
        """Merge one or two losers into the winner; see `merging.merge`."""
        at = self._begin_statement()
        merging.merge(self._work, winner_id, loser_ids, at=at, stamp_children=self._undocumented.reparenting_stamps)

    def convert(self, lead_id: str, *, opportunity_name: str | None = None) -> Conversion:
        """Convert a lead into an account, a contact and, if named, an opportunity; see `conversion.convert`."""
        at = self._begin_statement()
        return conversion.convert(self._work, lead_id, opportunity_name, at=at)

    def commit(self) -> None:
        """Make it all visible and release the locks."""
        self._close()
        self._work.commit()

    def rollback(self) -> None:
        """Undo it all and release the locks; ids that were given out are not given out again."""
        self._close()
        self._work.rollback()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._open:
            return
        if kind is None:
            self.commit()
        else:
            self.rollback()

    def _begin_statement(self) -> datetime:
        if not self._open:
            raise RuntimeError(f"transaction {self.number} has ended")
        return self._work.stamp()

    def _close(self) -> None:
        self._begin_statement()
        self._open = False

    def _type(self, object_name: str) -> ObjectType:
        lowered = object_name.lower()
        for name, type_ in self._work.storage.types.items():
            if name.lower() == lowered:
                return type_
        raise errors.invalid_type(object_name)

    def _insert(self, type_: ObjectType, values: Mapping[str, Any], at: datetime) -> str:
        storage = self._work.storage
        record_id, number = storage.next_id(type_)
        row = rows.fresh(
            storage.blanks[type_.name], values, record_id=record_id, number=number, at=at, by=self._work.by
        )
        self._work.write("created", type_, row, at=at, changed=tuple(values))
        return record_id

    def _in_bin(self, record_id: str) -> list[tuple[ObjectType, Row]]:
        """The deleted record and what was deleted along with it, locked."""
        type_, row = self._work.find(record_id)
        if not row.get("IsDeleted") or self._work.purged(row["Id"]):
            raise _not_in_bin()
        along = [self._work.find(each) for each in self._work.taken_along(row["Id"])]
        self._work.lock(each["Id"] for _, each in [(type_, row), *along])
        return [(type_, row), *along]

    def _remove(self, record_id: str, kind: Literal["deleted", "hard_deleted"]) -> None:
        at = self._begin_statement()
        type_, row = self._work.live(record_id) if kind == "deleted" else self._work.find(record_id)
        if not type_.deletable:
            message = f"DML operation DELETE not allowed on {type_.name}"
            raise ApiError(400, "INVALID_TYPE_FOR_OPERATION", message)
        if "IsDeleted" not in type_.fields:
            kind = "hard_deleted"  # a Group, for example, never gets into the recycle bin
        family = [(type_, row, None), *self._descendants(type_, row)]
        self._work.lock(each["Id"] for _, each, _ in family)
        for each_type, each, caused_by in family:
            after = {**each, "IsDeleted": True}
            if caused_by is None or self._undocumented.cascade_stamps:
                after = dict(rows.touched(each_type, after, at=at))
            self._work.write(kind, each_type, after, at=at, caused_by=caused_by)

    def _descendants(self, type_: ObjectType, row: Row) -> list[tuple[ObjectType, Row, str]]:
        """What a deletion takes along: children by cascading relationships, and theirs; each names the first record."""
        found: dict[str, tuple[ObjectType, Row, str]] = {}
        ahead = [(type_, row)]
        while ahead:
            parent_type, parent = ahead.pop()
            for child, child_type, each in self._work.children(parent_type, parent["Id"]):
                if child.cascade_delete and each["Id"] not in found and each["Id"] != row["Id"]:
                    found[each["Id"]] = (child_type, each, row["Id"])
                    ahead.append((child_type, each))
        return list(found.values())


def _not_in_bin() -> ApiError:
    return ApiError(400, "UNDELETE_FAILED", "Entity is not in the recycle bin", ())
