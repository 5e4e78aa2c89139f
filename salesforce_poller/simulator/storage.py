"""What the org holds on disk: committed rows, the recycle bin, the delete log, row locks and open transactions.

Written only by `commit` (called from `transactions`) and by `expire`, time's own housekeeping. Read by `org`,
which adds what a user may see, and by `replication`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from salesforce_poller.simulator import errors, ids, rows
from salesforce_poller.simulator.catalogue import ObjectType
from salesforce_poller.simulator.changes import Change, Deletion, Row, Statement
from salesforce_poller.simulator.clock import OrgClock, stamp

BIN_LIFE = timedelta(days=15)
"""How long a deleted record can be undeleted."""

AFTERLIFE = timedelta(hours=24)
"""How long queryAll still shows a purged record (SOAP API Developer Guide, emptyRecycleBin(): "typically 24 hours")."""

PROTECTED = timedelta(hours=2)
"""Neither the bin nor the delete log drops anything younger for lack of room."""

PREFIX = 3


@dataclass(frozen=True, slots=True)
class Binned:
    """A deleted record: when it went into the recycle bin, and when it left it for good."""

    object: str
    deleted_at: datetime
    caused_by: str | None
    purged_at: datetime | None = None


class Storage:
    """The committed state of one org.

    `capacity` is how many records the recycle bin, and how many lines the delete log, hold before the oldest go
    (Salesforce: 5,000 per licence).
    """

    def __init__(self, clock: OrgClock, types: Mapping[str, ObjectType], *, capacity: int) -> None:
        self.clock = clock
        self.types = types
        self.capacity = capacity
        self.rows: dict[str, dict[str, Row]] = {name: {} for name in types}
        self.blanks = {name: rows.blank(type_) for name, type_ in types.items()}
        self.numbers: dict[str, int] = dict.fromkeys(types, 0)
        self.bin: dict[str, Binned] = {}
        self.deletions: deque[Deletion] = deque()
        self.log_purged_through: datetime | None = None
        self.truth: list[Change] = []
        self.before_commit: Callable[[], None] = lambda: None
        """Called before rows change, for those who still have to look at them as they are."""
        self.open: dict[int, datetime] = {}
        self.pointing: dict[str, dict[str, None]] = {}
        """By record: the ids of records that point at it or once did, in order."""
        self._locks: dict[str, int] = {}
        self._held: dict[int, list[str]] = {}
        self._transactions = 0
        self._expired_at: datetime | None = None
        self._by_prefix = {type_.key_prefix: name for name, type_ in types.items() if type_.key_prefix}
        self._pointers = {name: _pointers(type_) for name, type_ in types.items()}

    def begin(self) -> int:
        """The number of a new open transaction."""
        self._transactions += 1
        self.open[self._transactions] = self.clock.now()
        return self._transactions

    def oldest_open(self) -> datetime | None:
        """When the oldest transaction that is still open began; None when there is none."""
        return min(self.open.values(), default=None)

    def lock(self, record_ids: Iterable[str], transaction: int) -> None:
        """Lock all of the rows or none; raises UNABLE_TO_LOCK_ROW when another open transaction has written one."""
        wanted = list(record_ids)
        for record_id in wanted:
            if self._locks.get(record_id, transaction) != transaction:
                raise errors.locked(record_id)
        self._locks.update(dict.fromkeys(wanted, transaction))
        self._held.setdefault(transaction, []).extend(wanted)

    def next_id(self, type_: ObjectType) -> tuple[str, int]:
        """A new record's id and its number among its object's rows, which a rollback does not give back."""
        self.numbers[type_.name] += 1
        number = self.numbers[type_.name]
        return ids.new_id(type_.key_prefix or "000", number), number

    def type_of(self, record_id: str) -> ObjectType:
        """The object whose record this is, by its key prefix; raises INVALID_CROSS_REFERENCE_KEY."""
        name = self._by_prefix.get(record_id[:PREFIX])
        if name is None:
            raise errors.no_such_record()
        return self.types[name]

    def commit(self, transaction: int, writes: Mapping[str, Row | None], statements: Iterable[Statement]) -> None:
        """Make a transaction's rows visible (None: the row is gone), all at once, and end it."""
        self.before_commit()
        for record_id, row in writes.items():
            name = self.type_of(record_id).name
            if row is None:
                self.rows[name].pop(record_id, None)
                continue
            self.rows[name][record_id] = row
            for parent_id in filter(None, map(row.get, self._pointers[name])):
                self.pointing.setdefault(parent_id, {})[record_id] = None
        for statement in statements:
            self._file(statement)
            self._log(statement, transaction)
        self.end(transaction)

    def end(self, transaction: int) -> None:
        """Close a transaction and give back its locks."""
        self.open.pop(transaction, None)
        for record_id in self._held.pop(transaction, ()):
            self._locks.pop(record_id, None)

    def expire(self) -> None:
        """Do what time alone does: purge what lay in the bin too long or found no room, and drop it a day later.

        Looked at once per second of the org's time, since it is asked before every statement and query.
        """
        now = stamp(self.clock.now())
        if now == self._expired_at:
            return
        self._expired_at = now
        if self.bin:
            self._purge_overdue(now)
            self._drop_afterlife(now)
        while len(self.deletions) > self.capacity and self.deletions[0].deleted_at <= now - PROTECTED:
            self.log_purged_through = self.deletions.popleft().deleted_at

    def purge_delete_log(self) -> None:
        """Forget the whole delete log, as mass deletes make Salesforce do."""
        self.deletions.clear()
        self.log_purged_through = stamp(self.clock.now())

    def _purge_overdue(self, now: datetime) -> None:
        restorable = {record_id: each for record_id, each in self.bin.items() if each.purged_at is None}
        surplus = len(restorable) - self.capacity
        overdue: list[Statement] = []
        for place, (record_id, each) in enumerate(restorable.items()):
            crowded_out = place < surplus and each.deleted_at <= now - PROTECTED
            if crowded_out or each.deleted_at + BIN_LIFE <= now:
                at = now if crowded_out else each.deleted_at + BIN_LIFE
                overdue.append(Statement("purged", each.object, record_id, at, (), self.rows[each.object][record_id]))
        if overdue:
            self.commit(self.begin(), {}, overdue)

    def _drop_afterlife(self, now: datetime) -> None:
        gone = [
            record_id
            for record_id, each in self.bin.items()
            if each.purged_at is not None and each.purged_at + AFTERLIFE <= now
        ]
        for record_id in gone:
            self.rows[self.bin.pop(record_id).object].pop(record_id, None)

    def _file(self, statement: Statement) -> None:
        """Keep the recycle bin and the delete log."""
        record_id = statement.record_id
        if statement.kind in ("deleted", "merged"):
            self.bin[record_id] = Binned(statement.object, statement.stamp, statement.caused_by)
            self.deletions.append(Deletion(statement.object, record_id, statement.stamp))
        elif statement.kind == "undeleted":
            self.bin.pop(record_id, None)
        elif statement.kind == "purged" and record_id in self.bin:  # unless time was faster than its transaction
            self.bin[record_id] = replace(self.bin[record_id], purged_at=statement.stamp)
        elif statement.kind == "hard_deleted" and self.bin.pop(record_id, None) is None:
            self.deletions.append(Deletion(statement.object, record_id, statement.stamp))

    def _log(self, statement: Statement, transaction: int) -> None:
        self.truth.append(
            Change(
                number=len(self.truth) + 1,
                kind=statement.kind,
                object=statement.object,
                record_id=statement.record_id,
                stamp=statement.stamp,
                committed_at=self.clock.now(),
                transaction=transaction,
                changed=statement.changed,
                fields=statement.fields,
                merged_into=statement.merged_into,
            )
        )


def _pointers(type_: ObjectType) -> tuple[str, ...]:
    """The fields that make a row somebody's child; people and queues are never deleted here, so not those."""
    return tuple(
        name
        for name, field in type_.fields.items()
        if field.type == "reference" and not {"User", "Group"}.issuperset(field.reference_to)
    )
