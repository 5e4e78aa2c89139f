"""What the feeds of an org will cost in a day, before they start. Pure; ``check`` and the start of ``run`` tell it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from salesforce_poller.polling import pace
from salesforce_poller.polling.settings import Allowance, FeedSettings
from salesforce_poller.salesforce.questions import MOST_PARTS
from salesforce_poller.salesforce.usage import Usage

#: Objects are described once an hour, all of an org together; objects that paths such as Owner.Name lead to after them.
_DESCRIBES = 24
#: The org's limits are asked for once.
_LIMITS = 1
#: Until an org tells how many calls it may have, it is taken for the smallest: a Developer Edition (API Request Limits
#: and Allocations).
SMALLEST_ALLOCATION = 15_000
_LONGEST = timedelta(days=1)
#: Intervals that people like to write, in seconds.
_ROUND = (1, 2, 3, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1_200, 1_800, 2_700, 3_600)


@dataclass(frozen=True, slots=True)
class Forecast:
    """API requests of one org in 24 quiet hours."""

    calls: int
    #: What each feed has a part in; together that is ``calls``, but for rounding.
    by_object: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Outlook:
    """A forecast beside what the org allows."""

    forecast: Forecast
    #: How many calls a day ``api_budget`` is.
    budget: int
    #: What the org said of all its programs together; None: nothing yet.
    usage: Usage | None
    #: The intervals that would fit, where those of the configuration do not.
    fitting: Mapping[str, timedelta] | None

    @property
    def left(self) -> int | None:
        """How many calls people and other programs have left at the moment; None: not known."""
        return None if self.usage is None else max(0, self.usage.allowed - self.usage.used)


def outlook(feeds: Mapping[str, FeedSettings], allowance: Allowance, usage: Usage | None) -> Outlook:
    """Say how the feeds of an org fit into its budget."""
    budget = allowance.of(usage.allowed if usage else SMALLEST_ALLOCATION)
    return Outlook(of_org(feeds), budget, usage, fitting(feeds, budget))


def of_org(feeds: Mapping[str, FeedSettings]) -> Forecast:
    """Say what these feeds of one org will cost while little happens in it.

    Five feeds that are due together share one request, sweeps included. A poll that brings more than 2,000 rows costs
    a request for each further page, and a hard delete costs one to confirm it.
    """
    besides = beside_polls(feeds)
    costs = pace.calls_by_interval(feed.every for feed in feeds.values())
    by_object = {name: costs[feed.every] + besides / len(feeds) for name, feed in feeds.items()}
    return Forecast(round(sum(by_object.values())), {name: round(cost) for name, cost in by_object.items()})


def beside_polls(feeds: Mapping[str, FeedSettings]) -> int:
    """Return how many calls a day are made beside the polls, however often these are."""
    stages = 2 if any("." in path for feed in feeds.values() for path in feed.fields or ()) else 1
    return _DESCRIBES * stages * math.ceil(len(feeds) / MOST_PARTS) + _LIMITS


def fitting(feeds: Mapping[str, FeedSettings], budget: int) -> Mapping[str, timedelta] | None:
    """Say which ``every`` each feed could have within a budget of calls a day.

    None where all fit as they are. A budget that not even a poll a day fits into gets the longest intervals there are.
    """
    if of_org(feeds).calls <= budget:
        return None
    for stretch in pace.LADDER:
        every = {name: _rounded(feed.every * pace.factor(stretch, feed.priority)) for name, feed in feeds.items()}
        stretched = {name: feed.model_copy(update={"every": every[name]}) for name, feed in feeds.items()}
        if min(every.values()) >= _LONGEST or of_org(stretched).calls <= budget:
            break
    return every


def _rounded(every: timedelta) -> timedelta:
    """Return the next longer interval that somebody would write."""
    seconds = every.total_seconds()
    longer = next((one for one in _ROUND if one >= seconds), None)
    return timedelta(seconds=longer) if longer else timedelta(hours=math.ceil(seconds / 3_600))
