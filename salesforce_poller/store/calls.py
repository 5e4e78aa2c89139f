"""What we asked of each org, by the minute, and what the org said of its limits: the ledger that outlives restarts.

Written by ``polling/budget.py``; ``status`` and the page read it. All instants are machine time, UTC.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from salesforce_poller.store.database import Database
from salesforce_poller.store.tables import calls, orgs

_MINUTE = timedelta(minutes=1)
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

    async def since(self, org: str, minute: int) -> dict[int, int]:
        """Return how many calls were made in each minute from this one on."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(calls).where(calls.c.org == org, calls.c.minute >= minute))
            return {row.minute: row.calls for row in rows}

    async def put(self, org: str, made: Mapping[int, int], *, kept: range) -> None:
        """Write how many calls were made in these minutes, and forget all minutes but those that are kept."""
        statement = sqlite_insert(calls)
        statement = statement.on_conflict_do_update(
            index_elements=["org", "minute"], set_={"calls": statement.excluded.calls}
        )
        async with self._database.write() as connection:
            await connection.execute(
                statement, [{"org": org, "minute": minute, "calls": count} for minute, count in made.items()]
            )
            old_or_to_come = or_(calls.c.minute < kept.start, calls.c.minute >= kept.stop)
            await connection.execute(delete(calls).where(calls.c.org == org, old_or_to_come))

    async def note(self, org: str, state: OrgState) -> None:
        """Remember how an org stands, in place of what was known."""
        values = asdict(state)
        statement = sqlite_insert(orgs).values(name=org, **values)
        statement = statement.on_conflict_do_update(index_elements=["name"], set_=values)
        async with self._database.write() as connection:
            await connection.execute(statement)

    async def states(self) -> dict[str, OrgState]:
        """Return how every org stands that was ever asked, by name."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(orgs).order_by(orgs.c.name))
            return {
                row.name: OrgState(**{key: value for key, value in row._asdict().items() if key != "name"})
                for row in rows
            }
