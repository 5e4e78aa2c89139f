"""How fast an org may be asked, so that its budget lasts. Pure; called by ``budget.py`` and ``forecast.py``.

The budget holds for **every** 24 hours, however they are laid, as Salesforce's own allocation does (API Request Limits
and Allocations). So it is not enough to look at what is left: calls that were made come back only when they are a day
old. :func:`sustainable` is the highest constant rate that never exceeds the budget, whatever was spent when.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from salesforce_poller.polling.timetable import step_of
from salesforce_poller.salesforce.questions import MOST_QUERIES

DAY = timedelta(days=1)
#: The part of a budget that is planned with; the rest is for what cannot be planned: further pages, confirmations.
_PLANNED = 0.98
#: Stretches are chosen from this ladder, so that they change now and then and not at every poll.
LADDER = tuple(1.05**rung for rung in range(1, 190))


@dataclass(frozen=True, slots=True)
class Spent:
    """Calls that were made in one minute, ``age`` before now."""

    age: timedelta
    calls: int


@dataclass(frozen=True, slots=True)
class Rate:
    """A constant rate that the budget can bear, and what it is bound by."""

    calls_per_day: float
    #: How long it is bound so: until then, older calls come back too slowly for more.
    bound_for: timedelta


@dataclass(frozen=True, slots=True)
class Rider:
    """One feed, as planning sees it: how often, and how much it minds to be stretched."""

    every: timedelta
    priority: int


def sustainable(spent: Sequence[Spent], budget: int) -> Rate:
    """Return the highest constant rate that exceeds the budget in none of the coming 24 hours.

    A call made an hour ago counts for 23 hours more; so after h hours, what may have been spent since now is the budget
    less the calls younger than 24 h - h. The tightest of these lines is the rate. ``spent`` may be in any order.
    """
    left = budget * _PLANNED - sum(one.calls for one in spent)
    tightest = Rate(math.inf, timedelta(0))
    for one in sorted(spent, key=lambda one: -one.age):
        ahead = max(DAY - one.age, timedelta(minutes=1))
        tightest = min(tightest, Rate(max(0.0, left) * (DAY / ahead), ahead), key=lambda rate: rate.calls_per_day)
        left += one.calls
    return min(tightest, Rate(budget * _PLANNED, DAY), key=lambda rate: rate.calls_per_day)


def calls_by_interval(intervals: Iterable[timedelta]) -> dict[timedelta, float]:
    """Return what a feed of each interval costs in 24 hours, when all of these meet and share their requests.

    Requests that are shared are shared out evenly among those who ride.
    """
    every = Counter(intervals)
    if not every:
        return {}
    step = step_of(every)
    steps = {one: max(1, round(one / step)) for one in every}
    # One full turn of the grid is as good as a day, and shorter; a grid that does not come round in a day has no turn.
    steps_a_day = DAY / step
    turn = min(math.lcm(*steps.values()), math.ceil(steps_a_day))
    riding: Counter[int] = Counter()
    for one, feeds in every.items():
        riding.update(dict.fromkeys(range(0, turn, steps[one]), feeds))
    share = {at: math.ceil(feeds / MOST_QUERIES) / feeds for at, feeds in riding.items()}
    turns_a_day = steps_a_day / turn
    return {one: sum(share[at] for at in range(0, turn, steps[one])) * turns_a_day for one in every}


def calls_per_day(intervals: Iterable[timedelta]) -> float:
    """Return how many requests feeds of these intervals need in 24 hours when those that meet share them."""
    return _calls_per_day(tuple(sorted(intervals)))


@lru_cache(maxsize=256)
def _calls_per_day(every: tuple[timedelta, ...]) -> float:
    # A grid of seconds that does not come round in a day has 86,400 of them, and a stretch is chosen at every step,
    # from many: each day is laid out once.
    costs = calls_by_interval(every)
    return sum(costs[one] for one in every)


def factor(stretch: float, priority: int) -> float:
    """Return how many times as long a feed's interval is; one of priority 2 minds only what is above 2."""
    return max(1.0, stretch / priority)


def demand(riders: Iterable[Rider], stretch: float) -> float:
    """Return how many requests a day they need at most when they are stretched.

    Feeds that are stretched alike go on meeting; those of another priority may miss them.
    """
    alike: dict[float, list[timedelta]] = {}
    for rider in riders:
        alike.setdefault(factor(stretch, rider.priority), []).append(rider.every)
    apart = sum(calls_per_day(intervals) / stretched for stretched, intervals in alike.items())
    together = calls_per_day([every for intervals in alike.values() for every in intervals])
    return min(apart, together / min(alike, default=1.0))


def stretch_to_fit(riders: Sequence[Rider], calls: float) -> float:
    """Return the least stretch at which the riders need no more than so many calls a day; 1.0 where none is needed."""
    if demand(riders, 1.0) <= calls:
        return 1.0
    return next((rung for rung in LADDER if demand(riders, rung) <= calls), LADDER[-1])
