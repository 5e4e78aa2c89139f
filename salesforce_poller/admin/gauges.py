"""From how things stand to the values of gauges. Pure; ``metrics.py`` asks at every scrape.

What the store tells is told for everything that is configured, by every process: somebody must tell of a feed that
nobody polls. What only the process knows that polls an org is told by that one.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from salesforce_poller.admin import meters
from salesforce_poller.admin.exposition import Values
from salesforce_poller.admin.lookout import OrgNow, is_behind
from salesforce_poller.admin.meters import Meter
from salesforce_poller.admin.tally import Labels
from salesforce_poller.store.survey import FeedStanding, SinkStanding, Survey

FEED_KINDS = ("ok", "behind", "failing", "unread", "paused")
SINK_KINDS = ("ok", "failing", "down", "switched_off", "paused")


class OfFeeds:
    """What is told of the configured feeds, gathered feed by feed."""

    def __init__(self) -> None:
        self._lags: list[tuple[Labels, float]] = []
        self._intervals: list[tuple[Labels, float]] = []
        self._ages: list[tuple[Labels, float]] = []
        self._kinds: Counter[tuple[str, str]] = Counter()
        self._orgs: dict[str, None] = {}

    def add(
        self, key: tuple[str, str], every: timedelta, survey: Survey, skews: Mapping[str, timedelta], now: datetime
    ) -> None:
        """Add a feed (org and object) with its interval; ``now`` is machine time (UTC), ``skews`` the orgs' clocks."""
        org, feed, paused = key[0], survey.feeds.get(key), key in survey.paused
        interval = every * survey.stretches.get(org, 1.0)
        self._orgs[org] = None
        self._intervals.append((key, interval.total_seconds()))
        self._kinds[org, _feed_kind(feed, interval, now, paused=paused)] += 1
        if feed is None:
            return
        if feed.polled_at is not None and not paused:
            self._lags.append((key, _seconds(now - feed.polled_at)))
        self._ages.append((key, _seconds(now + skews.get(org, timedelta()) - feed.settled_through)))

    def values(self) -> dict[Meter, Values]:
        """Return what was gathered."""
        return {
            meters.FEED_LAG: self._lags,
            meters.FEED_INTERVAL: self._intervals,
            meters.FEED_SETTLED_AGE: self._ages,
            meters.FEEDS: [((org, kind), float(self._kinds[org, kind])) for org in self._orgs for kind in FEED_KINDS],
        }


def of_sinks(sinks: Collection[str], survey: Survey, now: datetime) -> dict[Meter, Values]:
    """Return what is told of the configured sinks that ever ran; ``now`` is machine time, UTC."""
    known = [survey.sinks[name] for name in sinks if name in survey.sinks]
    states = {one.name: _sink_kind(one) for one in known}
    return {
        meters.BACKLOG: [((one.name,), float(one.behind)) for one in known],
        meters.OLDEST: [((one.name,), _seconds(now - one.oldest) if one.oldest else 0.0) for one in known],
        meters.PARKED: [((one.name,), float(one.parked)) for one in known],
        meters.DEAD: [((one.name,), float(one.dead)) for one in known],
        meters.SINK_STATE: [
            ((name, kind), float(kind == state)) for name, state in states.items() for kind in SINK_KINDS
        ],
    }


def of_orgs(orgs: Sequence[OrgNow]) -> dict[Meter, Values]:
    """Return what is told of the orgs that this process polls."""
    return {
        meters.BUDGET_USED: [((org.name,), float(org.spent)) for org in orgs],
        meters.BUDGET_LIMIT: [((org.name,), float(org.budget)) for org in orgs],
        meters.STRETCH: [((org.name,), org.stretch) for org in orgs],
        meters.ORG_PAUSED: [((org.name,), float(org.paused)) for org in orgs],
        meters.CLOCK_SKEW: [((org.name,), org.skew.total_seconds()) for org in orgs if org.skew is not None],
    }


def of_leases(held: Mapping[str, int], wanted: Mapping[str, int]) -> dict[Meter, Values]:
    """Return what this process holds, and what all of them should."""
    return {
        meters.LEASES_HELD: [((kind,), float(held.get(kind, 0))) for kind in wanted],
        meters.LEASES_WANTED: [((kind,), float(count)) for kind, count in wanted.items()],
    }


def _feed_kind(feed: FeedStanding | None, interval: timedelta, now: datetime, *, paused: bool) -> str:
    if paused:
        return "paused"
    if feed is None or feed.polled_at is None:
        return "unread"
    if feed.failing:
        return "failing"
    return "behind" if is_behind(feed, interval, now) else "ok"


def _sink_kind(sink: SinkStanding) -> str:
    if sink.paused:
        return "paused" if sink.paused_by_person else "switched_off"
    if sink.down_since:
        return "down"
    return "failing" if sink.failing_since else "ok"


def _seconds(span: timedelta) -> float:
    """Return no negative age: clocks are set, and two of them differ."""
    return max(0.0, span.total_seconds())
