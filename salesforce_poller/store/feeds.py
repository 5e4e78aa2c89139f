"""How far each feed is read and what its records looked like: the poller's side of the store.

:meth:`Feeds.commit_page` is the heart of the promise: events, sightings and watermarks in ONE transaction, so that
whatever dies, either all of a page was taken in or none of it.
"""

import asyncio
import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Executable,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from salesforce_poller.errors import NOTHING_KNOWN, Facts, Scope, StoreWentBack
from salesforce_poller.model import Event, Sighting, Watermarks
from salesforce_poller.store import appending, many, troubles, versions
from salesforce_poller.store.bells import Bell
from salesforce_poller.store.database import Database
from salesforce_poller.store.described import Described
from salesforce_poller.store.feed_rows import marks_of, row_of, sighting_of, sighting_row
from salesforce_poller.store.tables import feeds, sightings
from salesforce_poller.store.versions import Step

#: Ids in one lookup, and rows in one prune: keeps statements and locks short.
_BATCH = 500
#: That a feed works is written down this often: each time would be the one write of a poll that finds nothing.
NOTE_EVERY = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """What ``status`` and readiness want to know of a feed. Machine time, UTC."""

    org: str
    object: str
    marks: Watermarks
    #: The last turn that went well, or one up to :data:`NOTE_EVERY` before it.
    polled_at: datetime | None
    failing_since: datetime | None
    last_error: str


class Feeds:
    """The tables ``feeds``, ``sightings`` and ``events``, as polling uses them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.described = Described(database)
        self._ids: dict[tuple[str, str], int] = {}
        #: When it was last written of a feed that it works, with nothing else written of it or its org since.
        self._noted: dict[tuple[str, str], datetime] = {}
        #: By org, a look at its feeds that has not begun.
        self._looks: dict[str, asyncio.Task[dict[str, Watermarks]]] = {}

    def on_events(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener`` whenever new events are on disk, until what is returned is called."""
        return self._database.bells.listen(Bell.EVENTS, listener)

    async def watermarks(self, org: str, object_name: str) -> Watermarks | None:
        """Return how far a feed is read, or None when it has never run; whoever asks builds on nothing else."""
        self._forget(org, object_name)
        if org not in self._looks:
            self._looks[org] = asyncio.ensure_future(self._look(org))
            self._looks[org].add_done_callback(_heard)
        return (await asyncio.shield(self._looks[org])).get(object_name)

    async def _look(self, org: str) -> dict[str, Watermarks]:
        """Read how far all feeds of an org are read: those that begin together ask at the same moment."""
        waiting = True
        try:
            async with self._database.read() as connection:
                del self._looks[org]  # who asks from now on is told what is there from now on
                waiting = False
                rows = await connection.execute(select(feeds).where(feeds.c.org == org))
                return {row.object: marks_of(row) for row in rows}
        finally:
            if waiting:
                del self._looks[org]

    async def sightings(self, org: str, object_name: str, record_ids: Iterable[str]) -> dict[str, Sighting]:
        """Return what is remembered of these records, by id."""
        wanted = list(record_ids)

        def look(connection: Connection) -> dict[str, Sighting]:
            feed_id = self._feed_id(connection, org, object_name)
            if feed_id is None:
                return {}
            dialect = connection.dialect.name
            rows = connection.execute(_known(dialect), {"feed": feed_id, **many.listed(dialect, wanted)})
            return {row.record_id: sighting_of(row) for row in rows}

        return await self._database.look(look)

    async def commit_page(
        self,
        org: str,
        object_name: str,
        *,
        events: Sequence[Event],
        sightings: Sequence[Sighting],
        marks: Watermarks,
        at: datetime,
        step: Step | None = None,
    ) -> int:
        """Take in one page: its events, its sightings and how far the feed is read, in one transaction.

        ``at`` is machine time (UTC). ``step`` names the commit that the page builds on, and this one; None builds on
        nothing. Returns how many events were new; one whose id is already there is the same change read twice. The next
        stop of a new event is ``delivery/dispatcher.py``.

        Raises:
            StoreWentBack: another commit is the last one of this feed; nothing was written.
            StoreError: the store failed.
        """
        feed_id = self._ids.get((org, object_name))

        def take_in(connection: Connection) -> int:
            feed = self._save_marks(connection, (org, object_name), marks, at, step)
            _save_sightings(connection, feed, sightings)
            added = appending.append(connection, events, at)
            if added is None:
                return 0
            self._database.appended(connection, added)
            return len(added.events)

        try:
            if feed_id is not None and step is not None and not events and not sightings:
                moved = await self._database.change(_move, {"feed": feed_id, "was": step.was, **row_of(marks, step)})
                _must_have(moved, org, object_name)
                return 0
            return await self._database.write_at_once(take_in)
        except BaseException:
            # A backup, or a standby that lacked the last moments, may be in the place of what we knew.
            self._forget(org, object_name)
            raise

    def _forget(self, org: str, object_name: str) -> None:
        self._ids.pop((org, object_name), None)
        self._noted.pop((org, object_name), None)

    async def note_success(self, org: str, object_name: str, at: datetime) -> None:
        """Remember that a turn went well. At once where that is news, else every :data:`NOTE_EVERY`."""
        noted = self._noted.get((org, object_name))
        if noted is not None and abs(at - noted) < NOTE_EVERY:
            return
        feed = {"of_org": org, "of_object": object_name}
        news = [(troubles.over_for_feed, feed), (troubles.over_for_org, {"of_org": org})] if noted is None else []
        self._noted[org, object_name] = at  # before it is written: a failure that comes meanwhile takes it back
        try:
            await self._database.put((_works, {**feed, "at": at}), *news)
        except BaseException:
            self._noted.pop((org, object_name), None)
            raise

    async def note_failure(
        self,
        org: str,
        object_name: str,
        at: datetime,
        error: str,
        *,
        polled: bool = False,
        facts: Facts = NOTHING_KNOWN,
    ) -> None:
        """Remember that a turn failed, and since when turns do; ``polled``: it read what is new all the same.

        What concerns the whole org is remembered once for the org. A feed that never worked has no row of its own yet;
        what is wrong with it is remembered nevertheless.
        """
        since = func.coalesce(feeds.c.failing_since, bindparam("at", at, feeds.c.failing_since.type))
        values = {"polled_at": at} if polled else {}
        async with self._database.write() as connection:
            await _note(connection, org, object_name, **values, failing_since=since, last_error=error)
            if polled:
                await connection.execute(troubles.over_for_org(connection.dialect.name), {"of_org": org})
            concerned = None if facts.scope is Scope.ORG else object_name
            await troubles.note(connection, troubles.OpenTrouble(org, concerned, facts.trouble, error, at))
        for feed in [feed for feed in self._noted if feed[0] == org]:
            del self._noted[feed]  # the trouble may be the org's, which is over when any of its feeds works

    async def open_troubles(self) -> list[troubles.OpenTrouble]:
        """List what is wrong now."""
        async with self._database.read() as connection:
            return await troubles.listed(connection)

    async def health(self) -> list[FeedHealth]:
        """List every feed that ever ran."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(feeds).order_by(feeds.c.org, feeds.c.object))
            return [
                FeedHealth(row.org, row.object, marks_of(row), row.polled_at, row.failing_since, row.last_error)
                for row in rows
            ]

    async def started(self) -> set[tuple[str, str]]:
        """Return org and object of every feed that ever ran."""
        async with self._database.read() as connection:
            return {(org, name) for org, name in await connection.execute(select(feeds.c.org, feeds.c.object))}

    async def remembering(self, before: datetime) -> dict[tuple[str, str], Watermarks]:
        """Return how far those feeds are read that remember a record with a stamp (UTC) before an instant."""
        old = and_(
            sightings.c.feed_id == feeds.c.id, sightings.c.deleted.in_([False, True]), sightings.c.stamp < before
        )
        async with self._database.read() as connection:
            rows = await connection.execute(select(feeds).where(exists().where(old)))
            return {(row.org, row.object): marks_of(row) for row in rows}

    async def count_sightings(self, org: str, object_name: str) -> int:
        """Count the records that are remembered of a feed."""
        async with self._database.read() as connection:
            feed_id = await connection.run_sync(self._feed_id, org, object_name)
            query = select(func.count()).select_from(sightings).where(sightings.c.feed_id == feed_id)
            return (await connection.execute(query)).scalar_one()

    async def count_live(self, org: str, object_name: str, *, stamped_before: datetime) -> int:
        """Count the records that are remembered and not known to be deleted, with a stamp (UTC) before an instant."""
        async with self._database.read() as connection:
            feed_id = await connection.run_sync(self._feed_id, org, object_name)
            live = _live(feed_id, stamped_before)
            return (await connection.execute(select(func.count()).select_from(sightings).where(live))).scalar_one()

    async def live_ids(
        self, org: str, object_name: str, *, stamped_before: datetime, after: str, limit: int
    ) -> list[str]:
        """List the ids of those records in our own order, the next ``limit`` of them behind the id ``after``."""
        async with self._database.read() as connection:
            feed_id = await connection.run_sync(self._feed_id, org, object_name)
            query = select(sightings.c.record_id).where(_live(feed_id, stamped_before), sightings.c.record_id > after)
            return list((await connection.execute(query.order_by(sightings.c.record_id).limit(limit))).scalars())

    async def not_live(self, org: str, object_name: str, record_ids: Sequence[str]) -> list[str]:
        """Return those of the ids that are not remembered, or remembered as deleted."""
        live: set[str] = set()
        async with self._database.read() as connection:
            feed_id = await connection.run_sync(self._feed_id, org, object_name)
            for start in range(0, len(record_ids), _BATCH):
                batch = record_ids[start : start + _BATCH]
                query = select(sightings.c.record_id).where(
                    sightings.c.feed_id == feed_id, sightings.c.record_id.in_(batch), ~sightings.c.deleted
                )
                live.update((await connection.execute(query)).scalars())
        return [one for one in record_ids if one not in live]

    async def forget(
        self, org: str, object_name: str, *, live_before: datetime | None, deleted_before: datetime
    ) -> int:
        """Forget a batch of old sightings; returns how many, so that a caller goes on until it is 0.

        ``live_before=None`` forgets no live record. Bounds are stamps (UTC). What is stamped after ``settled_through``
        will be read again, and is never forgotten, also where that went back since the caller looked at it.
        """
        old = [and_(sightings.c.deleted, sightings.c.stamp < deleted_before)]
        if live_before is not None:
            old.append(and_(~sightings.c.deleted, sightings.c.stamp < live_before))
        async with self._database.write() as connection:
            row = (await connection.execute(_feed(org, object_name))).one_or_none()  # not from memory: this one deletes
            if row is None:
                return 0
            ours = (sightings.c.feed_id == row.id, sightings.c.stamp < row.settled_through)
            chosen = select(sightings.c.record_id).where(*ours, or_(*old)).limit(_BATCH)
            gone = delete(sightings).where(sightings.c.feed_id == row.id, sightings.c.record_id.in_(chosen))
            return (await connection.execute(gone)).rowcount

    def _feed_id(self, connection: Connection, org: str, object_name: str) -> int | None:
        key = (org, object_name)
        if key not in self._ids:
            row = connection.execute(_feed(org, object_name)).one_or_none()
            if row is None:
                return None
            self._ids[key] = row.id
        return self._ids[key]

    def _save_marks(
        self, connection: Connection, feed: tuple[str, str], marks: Watermarks, at: datetime, step: Step | None
    ) -> int:
        values = row_of(marks, step)
        org, object_name = feed
        feed_id = self._feed_id(connection, org, object_name)
        if feed_id is None:
            _must_have(step is None or step.was == versions.NEVER, org, object_name)
            # Not cached yet: this transaction may still be rolled back.
            result = connection.execute(insert(feeds).values(org=org, object=object_name, polled_at=at, **values))
            assert result.inserted_primary_key is not None
            return int(result.inserted_primary_key[0])
        was = step.was if step else None
        moved = connection.execute(_move(connection.dialect.name), {"feed": feed_id, "was": was, **values})
        _must_have(moved.rowcount > 0, org, object_name)
        return feed_id


def _must_have(moved: bool, org: str, object_name: str) -> None:
    """See that a feed was as its writer remembers it."""
    if not moved:
        raise StoreWentBack(f"the store went back to an earlier state of {org}/{object_name}; the turn begins anew")


def _heard(look: asyncio.Task[dict[str, Watermarks]]) -> None:
    """Take note of how a look ended: all who waited for it may have been called off."""
    if not look.cancelled():
        look.exception()


# Statements of every page are made once: what SQLAlchemy makes of one is a few hundred objects that hold each other.


@functools.cache
def _known(dialect: str) -> Select[Any]:
    return select(sightings).where(sightings.c.feed_id == bindparam("feed"), many.among(dialect, sightings.c.record_id))


@functools.cache
def _move(_dialect: str) -> Executable:
    was = func.coalesce(bindparam("was", type_=BigInteger), feeds.c.version)  # null: whatever it was
    return update(feeds).where(feeds.c.id == bindparam("feed"), feeds.c.version == was)


def _works(_dialect: str) -> Executable:
    mine = and_(feeds.c.org == bindparam("of_org"), feeds.c.object == bindparam("of_object"))
    return update(feeds).where(mine).values(polled_at=bindparam("at"), failing_since=None, last_error="")


async def _note(connection: AsyncConnection, org: str, object_name: str, **values: Any) -> None:
    await connection.execute(update(feeds).where(feeds.c.org == org, feeds.c.object == object_name).values(**values))


def _save_sightings(connection: Connection, feed_id: int, seen: Sequence[Sighting]) -> None:
    kept = ("stamp", "digest", "deleted", "merged_into", "fields")
    rows = (sighting_row(feed_id, one) for one in seen)
    many.insert(connection, sightings, rows, key=("feed_id", "record_id"), change=kept)


def _live(feed_id: int | None, stamped_before: datetime) -> Any:
    return and_(sightings.c.feed_id == feed_id, ~sightings.c.deleted, sightings.c.stamp < stamped_before)


def _feed(org: str, object_name: str) -> Any:
    return select(feeds).where(feeds.c.org == org, feeds.c.object == object_name)
