"""Counts what was done since the process began, from the reports of those who did it. ``metrics.py`` shows it.

``telemetry.py`` passes every report on to the one :class:`Tally` that ``app.py`` makes. Counting is cheap: no locks, no
I/O, and nothing is kept that grows with the number of events; labels are names of the configuration and fixed words.
"""

from collections import Counter
from collections.abc import Callable, Collection
from typing import TypeVar

from salesforce_poller.model import DispatchReport, Kind, PollFailure, PollReport
from salesforce_poller.spread import LAGS, SENDS, Spread

#: Values of a metric's labels, in their order.
Labels = tuple[str, ...]
_Value = TypeVar("_Value")


class Tally:
    """Everything that only grows, by the names of the metrics without their prefix and ``_total``."""

    def __init__(self) -> None:
        #: By org and outcome: ok, half (polls work, the rest does not) or failed.
        self.turns: Counter[Labels] = Counter()
        #: By org and object.
        self.rows: Counter[Labels] = Counter()
        #: By org, object and kind.
        self.events: Counter[Labels] = Counter()
        #: By org.
        self.gaps: Counter[Labels] = Counter()
        #: By org and kind.
        self.calls: Counter[Labels] = Counter()
        #: By sink and outcome.
        self.deliveries: Counter[Labels] = Counter()
        #: By org; by org and object; by org and object; by sink.
        self.delays: dict[Labels, Spread] = {}
        self.feed_delays: dict[Labels, Spread] = {}
        self.late: dict[Labels, Spread] = {}
        self.sends: dict[Labels, Spread] = {}

    def polled(self, report: PollReport | PollFailure) -> None:
        """Count a turn of a feed."""
        feed = (report.org, report.object)
        if isinstance(report, PollFailure):
            self.turns[report.org, "failed"] += 1
            return
        self.turns[report.org, "half" if report.half else "ok"] += 1
        if report.rows:
            self.rows[feed] += report.rows
        for kind, count in report.kinds.items():
            self.events[*feed, kind] += count
        if Kind.GAP in report.kinds:
            self.gaps[report.org,] += report.kinds[Kind.GAP]
        if any(report.delays.counts):
            self.delays.setdefault((report.org,), Spread(LAGS)).add_all(report.delays)
            self.feed_delays.setdefault(feed, Spread(LAGS)).add_all(report.delays)
        if any(report.late.counts):
            self.late.setdefault(feed, Spread(LAGS)).add_all(report.late)

    def dispatched(self, report: DispatchReport) -> None:
        """Count a delivery round of a sink."""
        outcomes = {
            "accepted": report.delivered,
            "retried": report.retried,
            "dead": report.dead,
            "filtered": report.filtered,
        }
        for outcome, count in outcomes.items():
            if count:
                self.deliveries[report.sink, outcome] += count
        if any(report.sends.counts):
            self.sends.setdefault((report.sink,), Spread(SENDS)).add_all(report.sends)

    def called(self, org: str, kind: str) -> None:
        """Count a call of this kind that is sent to an org."""
        self.calls[org, kind] += 1

    def forget_others(self, feeds: Collection[tuple[str, str]], sinks: Collection[str]) -> None:
        """Forget what is not in the configuration any more, so that customers who leave take their counts along."""
        orgs = {org for org, _ in feeds}

        def known_feed(labels: Labels) -> bool:
            return (labels[0], labels[1]) in feeds

        def known_org(labels: Labels) -> bool:
            return labels[0] in orgs

        def known_sink(labels: Labels) -> bool:
            return labels[0] in sinks

        for counts in (self.rows, self.events):
            _keep(counts, known_feed)
        for counts in (self.turns, self.calls, self.gaps):
            _keep(counts, known_org)
        for spreads in (self.feed_delays, self.late):
            _keep(spreads, known_feed)
        _keep(self.delays, known_org)
        _keep(self.deliveries, known_sink)
        _keep(self.sends, known_sink)


def _keep(counted_so_far: dict[Labels, _Value], wanted: Callable[[Labels], bool]) -> None:
    for labels in [labels for labels in counted_so_far if not wanted(labels)]:
        del counted_so_far[labels]
