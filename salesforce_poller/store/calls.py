"""What we asked of each org, by the minute, and what the org said of its limits: the ledger that outlives restarts.

Written by ``polling/budget.py``; ``status`` and the page read it. All instants are machine time, UTC.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Executable, bindparam, delete, or_, select

from salesforce_poller.store.database import Database
from salesforce_poller.store.tables import calls, orgs
from salesforce_poller.store.together import Make, Row
from salesforce_poller.store.upsert import statement_for

_MINUTE = timedelta(minutes=1)
#: Minutes after which old minutes are forgotten.
_TIDY_EVERY = 60
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class OrgState:
    """How an org stands with its limits."""

    heard_at: datetime | None = None
    #: API requests of the whole org, all its apps, in 24 hours, as it says; and how many it may have.
    used: int | None = None
    allowed: int | None = None
    #: How many of them we may spend.
    budget: int | None = None
    #: Intervals are this many times as long, until then.
    stretch: float = 1.0
    stretched_until: datetime | None = None
    #: Nothing is asked until then, and why.
    paused_until: datetime | None = None
    pause_reason: str = ""


def minute_of(at: datetime) -> int:
    """Return the number of the minute, since 1970."""
    return (at - _EPOCH) // _MINUTE


def start_of(minute: int) -> datetime:
    """Return the instant at which a minute begins."""
    return _EPOCH + minute * _MINUTE


class Calls:
    """The tables ``calls`` and ``orgs``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        #: By org, which minutes were kept when the others were forgotten.
        self._kept: dict[str, range] = {}

    async def since(self, org: str, minute: int) -> dict[int, int]:
        """Return how many calls were made in each minute from this one on."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(calls).where(calls.c.org == org, calls.c.minute >= minute))
            return {row.minute: row.calls for row in rows}

    async def ledger(self, org: str, minute: int) -> tuple[dict[int, int], OrgState]:
        """Return an org's calls as :meth:`since` does, and how it stands, in one look."""
        async with self._database.read() as connection:
            made = await connection.execute(select(calls).where(calls.c.org == org, calls.c.minute >= minute))
            found = {row.minute: row.calls for row in made}
            row = (await connection.execute(select(orgs).where(orgs.c.name == org))).one_or_none()
            return found, OrgState() if row is None else _state(row)

    async def put(self, org: str, made: Mapping[int, int], *, kept: range) -> None:
        """Write how many calls were made in these minutes, and forget the others but those that are kept.

        Older ones are forgotten once an hour.
        """
        parts: list[tuple[Make, Row]] = [
            (_made, {"org": org, "minute": minute, "calls": count}) for minute, count in made.items()
        ]
        had = self._kept.get(org, range(0))
        if not (had.start <= kept.start < had.start + _TIDY_EVERY and kept.stop >= had.stop):
            parts.append((_others, {"of_org": org, "first": kept.start, "end": kept.stop}))
        await self._database.put(*parts)
        if len(parts) > len(made):
            self._kept[org] = kept

    async def note(self, org: str, state: OrgState) -> None:
        """Remember how an org stands, in place of what was known."""
        await self._database.put((_stands, {"name": org} | asdict(state)))

    async def state(self, org: str) -> OrgState:
        """Return how an org stands; as good as new when it was never asked."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(orgs).where(orgs.c.name == org))).one_or_none()
        return OrgState() if row is None else _state(row)

    async def states(self) -> dict[str, OrgState]:
        """Return how every org stands that was ever asked, by name."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(orgs).order_by(orgs.c.name))
            return {row.name: _state(row) for row in rows}


def _state(row: Any) -> OrgState:
    return OrgState(**{key: value for key, value in row._asdict().items() if key != "name"})


def _made(dialect: str) -> Executable:
    return statement_for(dialect, calls, key=["org", "minute"], change=["calls"])


def _others(_dialect: str) -> Executable:
    old_or_to_come = or_(calls.c.minute < bindparam("first"), calls.c.minute >= bindparam("end"))
    return delete(calls).where(calls.c.org == bindparam("of_org"), old_or_to_come)


def _stands(dialect: str) -> Executable:
    return statement_for(dialect, orgs, key=["name"], change=[one.name for one in fields(OrgState)])
