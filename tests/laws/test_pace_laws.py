"""What polling/pace.py must keep whatever was spent and whoever rides: the budget of every 24 hours."""

import math
from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salesforce_poller.polling import forecast, pace
from salesforce_poller.polling.settings import FeedSettings

HOUR = timedelta(hours=1)
LEDGERS = st.dictionaries(st.integers(0, 23), st.integers(0, 400), max_size=24)
INTERVALS = st.sampled_from([1, 5, 10, 15, 30, 45, 60, 90, 120, 300, 600, 900, 3_600])
RIDERS = st.lists(
    st.builds(pace.Rider, INTERVALS.map(lambda seconds: timedelta(seconds=seconds)), st.integers(1, 5)),
    min_size=1,
    max_size=12,
)


@given(hours=LEDGERS, budget=st.integers(1, 20_000))
def test_the_sustainable_rate_exceeds_the_budget_at_no_hour_of_the_coming_day(
    hours: dict[int, int], budget: int
) -> None:
    """Old calls come back only when they are a day old; what is spent meanwhile must fit beside them."""
    spent = [pace.Spent(age * HOUR, calls) for age, calls in hours.items()]
    rate = pace.sustainable(spent, budget)
    for ahead in range(25):
        still = sum(calls for age, calls in hours.items() if age + ahead <= 24)
        if rate.calls_per_day:
            assert still + rate.calls_per_day * ahead / 24 <= budget + 1e-6


@given(hours=LEDGERS, budget=st.integers(1, 20_000))
def test_no_higher_rate_would_do(hours: dict[int, int], budget: int) -> None:
    """It is the highest one, apart from the reserve for what cannot be planned: nobody is slowed down for nothing."""
    spent = [pace.Spent(age * HOUR, calls) for age, calls in hours.items()]
    rate = pace.sustainable(spent, budget)
    bound_h = rate.bound_for / HOUR
    higher = rate.calls_per_day + 0.03 * budget * 24 / bound_h
    still = sum(calls for age, calls in hours.items() if age + bound_h <= 24 + 1e-9)
    assert still + higher * bound_h / 24 > budget


@given(riders=RIDERS)
def test_sharing_never_costs_more_than_riding_alone(riders: list[pace.Rider]) -> None:
    """And never less than a fifth of it: five queries are the most that one request has."""
    together = pace.calls_per_day(rider.every for rider in riders)
    apart = sum(pace.DAY / rider.every for rider in riders)
    assert apart / 5 - 1e-6 <= together <= apart + 1e-6


@given(riders=RIDERS, calls=st.floats(10, 50_000))
@settings(deadline=None)
def test_a_stretch_that_fits_fits(riders: list[pace.Rider], calls: float) -> None:
    """Unless nothing would; and there is no stretch where none is needed."""
    stretch = pace.stretch_to_fit(riders, calls)
    assert pace.demand(riders, stretch) <= calls or stretch == pace.LADDER[-1]
    assert (stretch == 1.0) == (pace.demand(riders, 1.0) <= calls)


@given(riders=RIDERS)
@settings(deadline=None)
def test_what_each_interval_costs_is_all_that_it_costs(riders: list[pace.Rider]) -> None:
    """The shares of those who ride add up to the requests."""
    intervals = [rider.every for rider in riders]
    by_interval = pace.calls_by_interval(intervals)
    assert math.isclose(sum(by_interval[one] for one in intervals), pace.calls_per_day(intervals))


@given(riders=RIDERS, budget=st.integers(200, 20_000))
@settings(deadline=None, max_examples=40)
def test_the_intervals_that_are_suggested_fit(riders: list[pace.Rider], budget: int) -> None:
    """A configuration that cannot fit is told one that does; nobody is polled more often."""
    feeds = {
        f"Object{n}__c": FeedSettings.model_validate({"every": f"{rider.every // timedelta(seconds=1)}s"})
        for n, rider in enumerate(riders)
    }
    suggested = forecast.fitting(feeds, budget)
    if suggested is None:
        assert forecast.of_org(feeds).calls <= budget
        return
    stretched = {name: feeds[name].model_copy(update={"every": every}) for name, every in suggested.items()}
    assert forecast.of_org(stretched).calls <= budget
    assert all(every >= feeds[name].every for name, every in suggested.items())


def test_a_day_is_laid_out_once_however_often_a_stretch_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals that meet rarely make a long day, and over budget a stretch is chosen at every step, from a ladder."""
    laid_out: list[int] = []
    lay_out = pace.calls_by_interval

    def counted(intervals: Iterable[timedelta]) -> dict[timedelta, float]:
        laid_out.append(1)
        return lay_out(intervals)

    monkeypatch.setattr(pace, "calls_by_interval", counted)
    pace._calls_per_day.cache_clear()
    riders = [pace.Rider(timedelta(seconds=seconds), 1 + seconds % 3) for seconds in (7, 61, 3_599)]
    for calls in range(100, 110):
        assert pace.stretch_to_fit(riders, calls) > 100
    assert len(laid_out) <= 10
