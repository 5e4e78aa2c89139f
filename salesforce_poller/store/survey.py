"""One look at all feeds and sinks: for metrics, for the summary in the log, for whoever asks every few seconds.

A few queries, however many feeds and events there are. What would have to be counted row by row is counted up to
:data:`MOST`; a sink's backlog is the distance of two positions. Called by ``admin/lookout.py``.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from salesforce_poller.store.database import Database
from salesforce_poller.store.tables import EVENTS, counters, events, feeds, orgs, parked, pauses, sinks

#: Parked deliveries of a sink are counted up to here, and so many of them are looked at for the oldest.
MOST = 10_000
#: Feeds taken from the database at once; between two such parts others have their turn.
_PART = 500


@dataclass(frozen=True, slots=True)
class FeedStanding:
    """How a feed stands."""

    org: str
    object: str
    #: The last turn that went well, as ``store/feeds.py`` writes it down: up to ten seconds early. Machine time, UTC.
    polled_at: datetime | None
    #: Salesforce's time, UTC.
    settled_through: datetime
    failing: bool


@dataclass(frozen=True, slots=True)
class SinkStanding:
    """How a sink stands."""

    name: str
    #: Positions between its cursor and the last event: as many events lie behind it, or fewer.
    behind: int
    #: Deliveries that wait for their next try or behind an earlier one, and those that were given up; up to MOST.
    parked: int
    dead: int
    #: When the oldest event was recorded that is owed (machine time, UTC), replays left out; None: nothing is.
    oldest: datetime | None
    #: Why it takes nothing; empty when it does.
    paused: str
    paused_by_person: bool
    #: Since when everything fails, and since when the sink is taken to be down (machine time, UTC).
    failing_since: datetime | None
    down_since: datetime | None


@dataclass(frozen=True, slots=True)
class Survey:
    """What one look has seen."""

    #: By org and object: those that ever ran.
    feeds: dict[tuple[str, str], FeedStanding]
    #: By name: those that ever ran, configured or not.
    sinks: dict[str, SinkStanding]
    #: Feeds that a person paused.
    paused: frozenset[tuple[str, str]]
    #: By org, where intervals are longer than they are configured: how many times as long.
    stretches: dict[str, float]


class Surveys:
    """Looks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self) -> Survey:
        """Look once, in one transaction. Raises StoreError."""
        async with self._database.read() as connection:
            return Survey(
                await _feeds(connection),
                {row.name: _sink(row) for row in await connection.execute(_SINKS)},
                frozenset((row.org, row.object) for row in await connection.execute(_PAUSES)),
                {row.name: row.stretch for row in await connection.execute(_STRETCHES)},
            )


async def _feeds(connection: AsyncConnection) -> dict[tuple[str, str], FeedStanding]:
    found = {}
    rows = await connection.stream(_FEEDS)
    async for part in rows.partitions(_PART):
        for org, name, polled_at, settled_through, failing_since in part:
            found[org, name] = FeedStanding(org, name, polled_at, settled_through, failing_since is not None)
    return found


def _sink(row: Row[Any]) -> SinkStanding:
    owed = [at for at in (row.oldest_behind, row.oldest_parked) if at is not None]
    return SinkStanding(
        row.name,
        behind=row.behind,
        parked=row.parked,
        dead=row.dead,
        oldest=min(owed, default=None),
        paused=row.paused,
        paused_by_person=row.paused_by_person,
        failing_since=row.failing_since,
        down_since=row.down_since,
    )


def _parked(*, dead: bool) -> Any:
    """Count a sink's parked deliveries, up to MOST."""
    mine = select(literal(1).label("one")).where(parked.c.sink == sinks.c.name, parked.c.dead.is_(dead))
    counted = mine.limit(MOST).correlate(sinks).subquery()
    return select(func.count()).select_from(counted).correlate(sinks).scalar_subquery()


def _oldest_behind() -> Any:
    first = select(events.c.recorded_at).where(events.c.position > sinks.c.cursor).order_by(events.c.position).limit(1)
    return first.correlate(sinks).scalar_subquery()


def _oldest_parked() -> Any:
    """When the oldest was recorded of those that are due first.

    Found by the index of what is due. Replays are left out: they are as old as somebody wanted.
    """
    mine = select(parked.c.position, parked.c.replay).where(parked.c.sink == sinks.c.name, parked.c.dead.is_(False))
    due_first = mine.order_by(parked.c.due_at, parked.c.position).limit(MOST).correlate(sinks).subquery()
    first = select(func.min(due_first.c.position)).where(due_first.c.replay.is_(False)).correlate(sinks)
    return select(events.c.recorded_at).where(events.c.position == first.scalar_subquery()).scalar_subquery()


def _survey_of_sinks() -> Select[Any]:
    last = select(counters.c.last).where(counters.c.name == EVENTS).scalar_subquery()
    return select(
        sinks.c.name,
        (last - sinks.c.cursor).label("behind"),
        _parked(dead=False).label("parked"),
        _parked(dead=True).label("dead"),
        _oldest_behind().label("oldest_behind"),
        _oldest_parked().label("oldest_parked"),
        sinks.c.paused,
        sinks.c.paused_by_person,
        sinks.c.failing_since,
        sinks.c.down_since,
    )


_FEEDS = select(feeds.c.org, feeds.c.object, feeds.c.polled_at, feeds.c.settled_through, feeds.c.failing_since)
_STRETCHES = select(orgs.c.name, orgs.c.stretch).where(orgs.c.stretch > 1.0)
_PAUSES = select(pauses.c.org, pauses.c.object)
_SINKS = _survey_of_sinks()
