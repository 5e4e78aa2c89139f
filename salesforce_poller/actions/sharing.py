"""Who holds what, where several processes share the store: for ``status``, ``GET /api/leases`` and ``/readyz``."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from salesforce_poller.model import Duty
from salesforce_poller.store.leases import Held, Seen
from salesforce_poller.store.store import Store


@dataclass(frozen=True, slots=True)
class ProcessView:
    """A process that shares the store. Instants are the database's, UTC."""

    id: str
    host: str
    pid: int
    alive: bool
    #: Seconds for which it has been taken for dead; 0 while it is alive.
    silent_s: int
    started_at: datetime
    #: The names of what it holds.
    orgs: list[str]
    sinks: list[str]
    #: Whether it is the one that keeps the store small.
    tidies: bool


@dataclass(frozen=True, slots=True)
class LeaseView:
    """An org, a sink or a chore of the house, and who holds it."""

    kind: str
    name: str
    #: The process that is alive and holds it, by id and for people; empty: nobody.
    holder: str
    held_by: str
    #: When it was last taken, given back or made known; None for what no process knows.
    since: datetime | None
    #: Seconds for which nobody has held it; None while somebody does, or where no process knows it.
    vacant_s: int | None

    @property
    def duty(self) -> str:
        """What it is about, for people: ``org acme``."""
        return "the chore of keeping the store small" if self.kind == "house" else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Sharing:
    """Everybody who is there, and all that is configured."""

    processes: list[ProcessView]
    leases: list[LeaseView]

    def holder(self, kind: str, name: str) -> str:
        """Return who holds something, for people; empty where nobody does."""
        return next((one.held_by for one in self.leases if (one.kind, one.name) == (kind, name)), "")

    @property
    def vacant(self) -> list[LeaseView]:
        """What nobody holds."""
        return [one for one in self.leases if not one.holder]


async def of(store: Store, duties: Iterable[Duty]) -> Sharing | None:
    """Return who holds which of these; None where one process has the store for itself. Raises StoreError."""
    if not store.is_shared:
        return None
    return seen(*await store.leases.standing(), duties)


def seen(there: Iterable[Seen], held: Iterable[Held], duties: Iterable[Duty]) -> Sharing:
    """Return who holds which of these duties."""
    processes, table = list(there), {one.lease.duty: one for one in held}
    holds: dict[str, list[Duty]] = {one.process.id: [] for one in processes}
    for duty, one in table.items():
        if one.taken:
            holds[one.lease.holder].append(duty)
    named = {one.process.id: f"{one.process.host}:{one.process.pid}" for one in processes}
    return Sharing(
        [_process(one, holds[one.process.id]) for one in processes],
        [_lease(duty, table.get(duty), named) for duty in duties],
    )


def _process(one: Seen, holds: list[Duty]) -> ProcessView:
    names = {kind: [duty.name for duty in holds if duty.kind == kind] for kind in ("org", "sink", "house")}
    return ProcessView(
        one.process.id,
        one.process.host,
        one.process.pid,
        alive=one.alive,
        silent_s=_seconds(one.silent),
        started_at=one.started_at,
        orgs=names["org"],
        sinks=names["sink"],
        tidies=bool(names["house"]),
    )


def _lease(duty: Duty, one: Held | None, named: dict[str, str]) -> LeaseView:
    if one is None:
        return LeaseView(duty.kind, duty.name, "", "", None, None)
    holder = one.lease.holder if one.taken else ""
    vacant = None if one.vacant is None else _seconds(one.vacant)
    return LeaseView(duty.kind, duty.name, holder, named.get(holder, ""), one.since, vacant)


def _seconds(span: timedelta) -> int:
    return round(span.total_seconds())
