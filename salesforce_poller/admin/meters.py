"""Every metric there is: its name, type, labels and what it tells. Pure; the README's table is this one, word for word.

``tally.py`` counts and ``gauges.py`` measures by these names; ``metrics.py`` shows them. No label grows without bound:
they are names of the configuration, and the fixed words that stand in the text.
"""

from dataclasses import dataclass
from typing import Literal

PREFIX = "salesforce_poller_"


@dataclass(frozen=True, slots=True)
class Meter:
    """One metric."""

    #: As it is scraped, without the suffixes of a histogram and of a summary.
    name: str
    type: Literal["counter", "gauge", "histogram", "summary"]
    labels: tuple[str, ...]
    #: One or two sentences, with the unit; the HELP line.
    help: str

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its series, as queries use them."""
        if self.type == "histogram":
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        return (f"{self.name}_sum", f"{self.name}_count") if self.type == "summary" else (self.name,)


def _meter(name: str, kind: Literal["counter", "gauge", "histogram", "summary"], labels: str, help_: str) -> Meter:
    return Meter(PREFIX + name, kind, tuple(labels.split()), help_)


FEED_LAG = _meter(
    "feed_lag_seconds", "gauge", "org object",
    "Seconds since the feed's last turn that went well, give or take ten; none for a feed that never had one, or that "
    "a person paused.",
)  # fmt: skip
FEED_INTERVAL = _meter(
    "feed_interval_seconds", "gauge", "org object", "Seconds between two polls, as they are stretched at present.",
)  # fmt: skip
FEED_SETTLED_AGE = _meter(
    "feed_settled_age_seconds", "gauge", "org object",
    "Seconds since the instant before which everything is known to be committed and read; grows between sweeps, and "
    "while a long transaction runs in the org.",
)  # fmt: skip
FEEDS = _meter(
    "feeds", "gauge", "org kind",
    "Feeds by how they stand: ok, behind (no good turn for a minute and three intervals), failing, unread (never had a "
    "good turn) or paused (by a person).",
)  # fmt: skip
TURNS = _meter(
    "turns_total", "counter", "org outcome",
    "Turns of feeds: ok, half (polls work, sweeps or comparisons of ids do not) or failed.",
)  # fmt: skip
ROWS = _meter("rows_total", "counter", "org object", "Rows that were read, those read again included.")
EVENTS = _meter("events_total", "counter", "org object kind", "Events that were recorded, by what happened.")
GAPS = _meter("gaps_total", "counter", "org", "Gap events: changes that may have been missed.")
DELAY = _meter(
    "visibility_lag_seconds", "histogram", "org",
    "Seconds from Salesforce's stamp of a change, which is a whole second, to when it was read.",
)  # fmt: skip
FEED_DELAY = _meter("feed_visibility_lag_seconds", "summary", "org object", "The same for each feed, without ranges.")
LATE = _meter(
    "late_arrival_seconds", "histogram", "org object",
    "The same for rows that were committed late: polls had passed their stamps by more than overlap when a sweep found "
    "them.",
)  # fmt: skip
CALLS = _meter(
    "api_calls_total", "counter", "org kind",
    "API requests that count towards the org's daily limit, by what was asked; polls that share one are a composite.",
)  # fmt: skip
BUDGET_USED = _meter(
    "budget_used_calls", "gauge", "org", "API requests of the last 24 hours, those of earlier processes included."
)
BUDGET_LIMIT = _meter(
    "budget_limit_calls", "gauge", "org", "How many there may be: api_budget of what the org is allowed."
)
STRETCH = _meter("stretch_ratio", "gauge", "org", "How many times as long intervals are, to stay within api_budget.")
ORG_PAUSED = _meter(
    "org_paused", "gauge", "org", "1 while the org is asked nothing, because its calls or ours are used up; else 0."
)
CLOCK_SKEW = _meter(
    "clock_skew_seconds", "gauge", "org",
    "By how much the org's clock, as its answers tell it in whole seconds, is ahead of this machine's.",
)  # fmt: skip
DELIVERIES = _meter(
    "deliveries_total", "counter", "sink outcome",
    "Events that were accepted, filtered (not wanted) or dead (given up), and tries that will be repeated (retried).",
)  # fmt: skip
SENDS = _meter("delivery_seconds", "histogram", "sink", "Seconds from the beginning of a send to the sink's answer.")
BACKLOG = _meter(
    "backlog_events", "gauge", "sink",
    "Distance of the sink's place from the latest event: as many wait, or fewer, since its filters may not want some.",
)  # fmt: skip
OLDEST = _meter(
    "oldest_undelivered_seconds", "gauge", "sink",
    "Seconds since the oldest event was recorded that is still owed; 0 when nothing is. Replays do not count, and of "
    "more than 10000 parked ones only those that are due first.",
)  # fmt: skip
PARKED = _meter(
    "parked_deliveries", "gauge", "sink",
    "Deliveries that wait for their next try, or behind an earlier event of their record; counted up to 10000.",
)  # fmt: skip
DEAD = _meter("dead_deliveries", "gauge", "sink", "Deliveries that were given up; counted up to 10000.")
SINK_STATE = _meter(
    "sink_state", "gauge", "sink kind",
    "1 for how the sink stands, else 0: ok, failing (its latest tries), down (probed now and then), switched_off "
    "(until a person resumes it) or paused (by a person).",
)  # fmt: skip
LEASES_HELD = _meter(
    "leases_held", "gauge", "kind", "Orgs (org) that this process polls, and sinks (sink) to which it delivers."
)
LEASES_WANTED = _meter(
    "leases_wanted", "gauge", "kind", "Orgs and sinks in the configuration: what all processes together should hold."
)
STORE_UP = _meter(
    "store_up",
    "gauge",
    "",
    "1 when the store could be read for this scrape; else 0, and what comes from it is missing.",
)
BUILD = _meter("build_info", "gauge", "python version", "1, with the version of the program and of Python.")

#: In the order in which they are shown.
METERS = (
    FEED_LAG, FEED_INTERVAL, FEED_SETTLED_AGE, FEEDS, TURNS, ROWS, EVENTS, GAPS, DELAY, FEED_DELAY, LATE,
    CALLS, BUDGET_USED, BUDGET_LIMIT, STRETCH, ORG_PAUSED, CLOCK_SKEW,
    DELIVERIES, SENDS, BACKLOG, OLDEST, PARKED, DEAD, SINK_STATE,
    LEASES_HELD, LEASES_WANTED, STORE_UP, BUILD,
)  # fmt: skip
