"""The least org a plan can be tried on: stamps, transactions that commit late, pages that show present values. Pure.

Time is the org's own and moves only when told to. A transaction stamps its rows when it writes and shows them when it
commits; a row that is locked cannot be written by another one. Shares nothing with ``salesforce_poller/simulator``,
which is the org of the stories.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from salesforce_poller.model import Record, Window

PAGE = 2


@dataclass(frozen=True)
class Transaction:
    """Writes that become visible together."""

    began: datetime
    commits: datetime
    rows: tuple[Record, ...]


@dataclass
class LittleOrg:
    """See the caption."""

    now: datetime
    rows: dict[str, Record] = field(default_factory=dict)
    open: list[Transaction] = field(default_factory=list)
    writes: int = 0

    def write(self, ids: Sequence[str], seconds: int) -> None:
        """Change rows, or make them, in a transaction that commits after ``seconds``."""
        locked = {row.id for transaction in self.open for row in transaction.rows}
        rows = [self._written(one) for one in ids if one not in locked]
        self.open.append(Transaction(self.now, self.now + timedelta(seconds=seconds), tuple(rows)))
        self.advance(0)

    def _written(self, record_id: str) -> Record:
        self.writes += 1
        old = self.rows.get(record_id)
        stamp = self.now.replace(microsecond=0)
        if old:
            return old.but(stamp=stamp, fields={"Id": record_id, "Write": self.writes})
        fields = {"Id": record_id, "Write": self.writes}
        return Record(record_id, stamp, stamp, deleted=False, merged_into=None, changed_by=None, fields=fields)

    def advance(self, seconds: float) -> None:
        """Let time pass; what is due commits."""
        self.now += timedelta(seconds=seconds)
        for transaction in [one for one in self.open if one.commits <= self.now]:
            self.open.remove(transaction)
            self.rows |= {row.id: row for row in transaction.rows}

    def covered_until(self, end: datetime) -> datetime:
        """Answer getUpdated's latestDateCovered: whole minutes, held back by the oldest open transaction."""
        began = [one.began.replace(microsecond=0) for one in self.open]
        return min([min(end, self.now).replace(second=0, microsecond=0), *began])

    def select(self, window: Window) -> list[str]:
        """Open a query: its rows, in the order they have now."""
        return [record_id for _, record_id in sorted((r.stamp, r.id) for r in self.rows.values() if _asked(window, r))]

    def pages(self, selected: Sequence[str]) -> Iterator[tuple[list[Record], bool]]:
        """Show the rows of an open query as they are when their page is asked for, and whether it is the last one."""
        for start in range(0, max(len(selected), 1), PAGE):
            page = [self.rows[record_id] for record_id in selected[start : start + PAGE]]
            yield page, start + PAGE >= len(selected)


def _asked(window: Window, row: Record) -> bool:
    """Select as the rendered query would, in which instants are whole seconds."""
    if window.until and row.stamp >= window.until.replace(microsecond=0):
        return False
    if window.after:
        return (row.stamp, row.id) > (window.after[0].replace(microsecond=0), window.after[1])
    return window.since is None or row.stamp >= window.since.replace(microsecond=0)
