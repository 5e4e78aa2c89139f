"""The truth: what was committed in the org, in commit order.

`storage` appends to it at every commit; tests read it as what a watcher should have found out, and the
control API serves it. Nothing here is visible to the simulated REST API.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Kind = Literal["created", "updated", "deleted", "undeleted", "merged", "restamped", "purged", "hard_deleted"]
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Statement:
    """One change of one row as it ran inside a transaction, not committed yet."""

    kind: Kind
    object: str
    record_id: str
    stamp: datetime
    """When the statement ran: whole seconds, UTC."""
    changed: tuple[str, ...]
    """The names of the fields whose value is another one now, system fields left out."""
    fields: Row
    """The row's stored values after the statement; of a hard-deleted row, its last ones."""
    merged_into: str | None = None
    caused_by: str | None = None
    """The record whose deletion or restoration took this one along."""


@dataclass(frozen=True, slots=True)
class Change:
    """One committed change. A row written twice in a transaction is here twice; only the last was ever visible."""

    number: int
    """Commit order, counted from 1 without gaps."""
    kind: Kind
    object: str
    record_id: str
    stamp: datetime
    """When the statement ran, as SystemModstamp shows it; purging leaves SystemModstamp alone."""
    committed_at: datetime
    """When it became visible; with a long transaction, much later than `stamp`."""
    transaction: int
    changed: tuple[str, ...]
    fields: Row
    merged_into: str | None


@dataclass(frozen=True, slots=True)
class Deletion:
    """One line of the delete log, which getDeleted reads."""

    object: str
    record_id: str
    deleted_at: datetime
