"""How things stand just now, for whoever asks often: ``metrics.py`` at each scrape, the log's summary each minute.

The store is looked at every few seconds at most, and never by two at a time, however many ask. What runs in this
process is asked through :class:`Running`, since that changes while it runs.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from salesforce_poller.clock import Clock
from salesforce_poller.store.survey import FeedStanding, Survey, Surveys

#: Seconds for which a look at the store is good.
FRESH = 5.0
#: A feed is behind when its last good turn is longer ago than this and three of its intervals.
GRACE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class OrgNow:
    """How an org stands that this process polls."""

    name: str
    #: Calls in the last 24 hours, and how many there may be.
    spent: int
    budget: int
    #: Intervals are this many times as long.
    stretch: float
    #: True while the org is left alone.
    paused: bool
    #: By how much its clock is ahead of the machine's; None before it has answered.
    skew: timedelta | None


@dataclass(frozen=True, slots=True)
class Running:
    """What is configured, and what of it this process does; each is asked anew every time."""

    #: The interval of each configured feed, by org and object.
    feeds: Callable[[], Mapping[tuple[str, str], timedelta]]
    #: The names of the configured sinks.
    sinks: Callable[[], Collection[str]]
    #: The orgs that this process polls.
    orgs: Callable[[], Iterable[OrgNow]]
    #: How many orgs (``org``) this process polls, and to how many sinks (``sink``) it delivers.
    held: Callable[[], Mapping[str, int]]

    def wanted(self) -> dict[str, int]:
        """Return how many orgs and sinks there are to be held by all processes together."""
        return {"org": len({org for org, _ in self.feeds()}), "sink": len(self.sinks())}


class Lookout:
    """The latest look at the store, and how feeds and sinks stand by it."""

    def __init__(self, surveys: Surveys, running: Running, clock: Clock) -> None:
        self.running = running
        self._surveys = surveys
        self._clock = clock
        self._looking = asyncio.Lock()
        self._latest: Survey | None = None
        self._looked_at = 0.0

    async def look(self) -> Survey:
        """Return how things stand in the store, or stood :data:`FRESH` seconds ago. Raises StoreError."""
        async with self._looking:
            now = self._clock.monotonic()
            if self._latest is None or now - self._looked_at >= FRESH:
                self._latest = await self._surveys.take()
                self._looked_at = self._clock.monotonic()
            return self._latest

    async def summary(self) -> dict[str, object]:
        """Return what the summary in the log tells of the store. Raises StoreError."""
        survey, now = await self.look(), self._clock.now()
        sinks = [one for name, one in survey.sinks.items() if name in self.running.sinks()]
        oldest = [one.oldest for one in sinks if one.oldest]
        late = [
            key
            for key, every in self.running.feeds().items()
            if key not in survey.paused
            and is_behind(survey.feeds.get(key), every * survey.stretches.get(key[0], 1.0), now)
        ]
        return {
            "backlog": sum(one.behind + one.parked for one in sinks),
            "oldest_undelivered_s": round(max(0.0, (now - min(oldest)).total_seconds())) if oldest else None,
            "feeds_behind": len(late),
        }


def is_behind(feed: FeedStanding | None, every: timedelta, now: datetime) -> bool:
    """Say whether a feed's last good turn is too long ago, or there was none; ``now`` is machine time, UTC."""
    if feed is None or feed.polled_at is None:
        return True
    return now - feed.polled_at > GRACE + 3 * every
