"""polling/timetable.py: feeds of one org meet whenever they can."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salesforce_poller.polling.timetable import is_due, step_of, wait_before

SPANS = st.sampled_from([1, 5, 7, 10, 15, 30, 45, 60, 90, 300, 3_600]).map(lambda seconds: timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("seconds", "step"),
    [([60], 60), ([60, 60], 60), ([30, 60], 30), ([45, 60], 15), ([7, 60], 1), ([1.5, 2], 1), ([2.5, 5], 2.5)],
)
def test_the_step_is_the_greatest_common_divisor(seconds: list[float], step: float) -> None:
    """But never less than a second."""
    assert step_of(timedelta(seconds=one) for one in seconds) == timedelta(seconds=step)


def turns(every: float, steps: int) -> list[int]:
    """Return the steps at which something is due that is looked at every step."""
    last, found = None, []
    for step in range(steps):
        if is_due(step, last, every):
            last = step
            found.append(step)
    return found


@given(every=st.integers(1, 50), longer=st.integers(1, 5))
def test_a_multiple_meets_whenever_it_is_due(every: int, longer: int) -> None:
    """However long they run."""
    assert set(turns(every * longer, 400)) <= set(turns(every, 400))


@given(every=st.integers(1, 20), stretch=st.floats(1.0, 20.0))
def test_a_stretched_interval_is_kept_on_average(every: int, stretch: float) -> None:
    """It need not be a whole number of steps."""
    count = len(turns(every * stretch, 4_000)) - 1
    assert abs(count - 4_000 / (every * stretch)) <= 2


@given(spans=st.lists(SPANS, min_size=1, max_size=5), missed=st.integers(1, 1_000))
def test_after_a_long_sleep_everybody_is_due_once(spans: list[timedelta], missed: int) -> None:
    """Missed turns are not made up for."""
    step = step_of(spans)
    longest = max(round(span / step) for span in spans)
    later = (missed + 1) * longest
    for span in spans:
        every = round(span / step)
        assert is_due(later, 0, every)
        assert not is_due(later, later, every)


def test_a_single_org_begins_at_once_and_a_thousand_are_spread_over_their_step() -> None:
    """A person who starts a daemon wants to see something; a thousand orgs in one second would be late every minute."""
    minute = timedelta(minutes=1)
    assert wait_before("acme", 1, minute) < timedelta(milliseconds=60)
    waits = [wait_before(f"org{number}", 1000, minute) for number in range(1000)]
    assert all(timedelta(0) <= wait < minute for wait in waits)
    by_second = Counter(wait // timedelta(seconds=1) for wait in waits)
    assert len(by_second) == 60
    assert max(by_second.values()) < 40


def test_orgs_of_short_steps_are_spread_over_their_step_and_not_beyond() -> None:
    """Every org is polled within its first interval."""
    assert all(wait_before(f"org{number}", 1000, timedelta(seconds=1)) < timedelta(seconds=1) for number in range(1000))
