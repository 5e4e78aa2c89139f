"""How feeds and sinks stand, in one value each: for ``status``, ``sinks``, ``feeds`` and ``GET /api/…``."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from salesforce_poller.store.store import Store


@dataclass(frozen=True, slots=True)
class SinkView:
    """How a sink stands. Instants are machine time, UTC."""

    name: str
    #: False for one that was taken out of the configuration and left something behind.
    configured: bool
    #: False for one that has never run.
    started: bool = False
    #: Every event up to this position is delivered, parked or not wanted.
    cursor: int = 0
    #: Events behind the cursor, some of which its filters may not want.
    waiting: int = 0
    #: Deliveries that wait for their next try, or for an earlier event of their record.
    parked: int = 0
    #: Deliveries that were given up.
    dead: int = 0
    #: When the oldest event was recorded that is still owed.
    oldest: datetime | None = None
    #: Why it takes nothing; empty when it does.
    paused: str = ""
    #: False where the daemon switched it off.
    paused_by_person: bool = False
    failing_since: datetime | None = None
    #: Since when the whole sink is taken to be down, and is only probed.
    down_since: datetime | None = None
    last_error: str = ""
    #: What a person can do; empty when there is nothing to do.
    what_to_do: str = ""


@dataclass(frozen=True, slots=True)
class FeedView:
    """How a feed stands. ``settled_through`` is Salesforce's time, the rest machine time, UTC."""

    org: str
    object: str
    #: Why a person paused it, and when; empty when it is polled.
    paused: str
    paused_since: datetime | None
    #: The last turn that went well; None before the first.
    polled_at: datetime | None = None
    settled_through: datetime | None = None
    failing_since: datetime | None = None
    error: str = ""
    #: How much of its past is read; None where that is not known, or the feed has never run.
    backfill_percent: int | None = None


async def of_sinks(store: Store, configured: Sequence[str]) -> list[SinkView]:
    """Return the configured sinks, then those that left something behind."""
    known = await store.repairs.sinks()
    views = []
    for name in [*configured, *(one for one in known if one not in configured)]:
        if name not in known:
            views.append(SinkView(name, configured=True))
            continue
        view = await _of_sink(store, name, configured)
        if view.configured or view.parked or view.dead:
            views.append(view)
    return views


async def _of_sink(store: Store, name: str, configured: Collection[str]) -> SinkView:
    state, backlog = await store.outbox.sink(name), await store.outbox.backlog(name)
    return SinkView(
        name,
        configured=name in configured,
        started=True,
        cursor=state.cursor,
        waiting=backlog.waiting if name in configured else 0,
        parked=backlog.parked,
        dead=backlog.dead,
        oldest=backlog.oldest,
        paused=state.paused,
        paused_by_person=state.paused_by_person,
        failing_since=state.failing_since,
        down_since=state.down_since,
        last_error=state.last_error,
        what_to_do=_advice(
            name,
            configured=name in configured,
            paused=bool(state.paused),
            by_person=state.paused_by_person,
            dead=backlog.dead,
        ),
    )


def _advice(name: str, *, configured: bool, paused: bool, by_person: bool, dead: int) -> str:
    given_up = f"`salesforce-poller dead list --sink {name}` shows what was given up"
    if not configured:
        return f"{given_up}, `dead drop --sink {name}` lets go of it" if dead else ""
    if paused:
        first = "" if by_person else "mend it, then "
        last = "" if by_person else "; a restart of the daemon tries it again, too"
        return f"{first}`salesforce-poller sinks resume {name}` goes on where it stopped{last}"
    return f"{given_up}, `dead requeue --sink {name}` tries it again" if dead else ""


async def of_feeds(store: Store, watched: Sequence[tuple[str, str]]) -> list[FeedView]:
    """Return the configured feeds, in their order."""
    pauses = {(one.org, one.object): one for one in await store.pauses.all()}
    healths = {(one.org, one.object): one for one in await store.feeds.health()}
    troubles = {(one.org, one.object): one for one in await store.feeds.open_troubles()}
    views = []
    for org, name in watched:
        pause, health = pauses.get((org, name)), healths.get((org, name))
        trouble = troubles.get((org, name)) or troubles.get((org, None))
        views.append(
            FeedView(
                org,
                name,
                paused=pause.why if pause else "",
                paused_since=pause.since if pause else None,
                polled_at=health.polled_at if health else None,
                settled_through=health.marks.settled_through if health else None,
                failing_since=trouble.since if trouble else None,
                error=trouble.error if trouble else "",
                backfill_percent=health.marks.backfill_percent if health else None,
            )
        )
    return views
