"""salesforce/refusals.py: how long a login that did not work is left alone."""

import itertools

import pytest

from salesforce_poller.errors import LimitReached, LoginRefused, OrgRefused, PollerError, StoreError, TryLater
from salesforce_poller.salesforce import refusals
from salesforce_poller.salesforce.refusals import Refusal

NO = LoginRefused("login refused")


def pauses(error: PollerError, count: int, *, password: bool = False) -> list[float]:
    """Return the pauses after so many failures, each tried again the moment that it may be."""
    now, before, found = 1000.0, None, []
    for _ in range(count):
        before = refusals.after(error, before, now, password=password)
        assert before is not None
        found.append(before.until - now)
        now = before.until
    return found


@pytest.mark.parametrize("error", [NO, OrgRefused("another organisation")])
def test_a_refusal_is_tried_again_ever_more_rarely(error: PollerError) -> None:
    """A minute, then twice as long, a quarter of an hour in the end; never not at all."""
    assert pauses(error, 7) == [60, 120, 240, 480, 900, 900, 900]
    assert pauses(error, 3000)[-1] == 900


def test_a_password_is_tried_three_times_in_the_first_hour_and_then_once_an_hour() -> None:
    """Wrong ones lock their user out."""
    found = pauses(NO, 5, password=True)
    assert found == [1200, 2400, 3600, 3600, 3600]
    tries = list(itertools.accumulate([0.0, *found]))
    assert all(sum(start <= one < start + 3600 for one in tries) <= 3 for start in tries)


def test_a_wish_is_honoured() -> None:
    """Salesforce's limit on logins lasts an hour."""
    assert pauses(LimitReached("login rate exceeded", 3600, daily=False), 2) == [3600, 3600]


@pytest.mark.parametrize("error", [TryLater("a bad moment"), StoreError("the disk is full")])
def test_what_passes_by_itself_is_not_held_against_anybody(error: PollerError) -> None:
    """The feeds have patience of their own; what was remembered before stays."""
    assert refusals.after(error, None, 0, password=False) is None
    before = Refusal(NO, 10.0, 1)
    assert refusals.after(error, before, 5, password=False) is before


def test_a_refusal_is_forgiven_after_an_hour() -> None:
    """The next one begins anew."""
    before = Refusal(NO, 1000.0, 5)
    assert refusals.after(NO, before, 1000 + 3599, password=False) == Refusal(NO, 1000 + 3599 + 900, 6)
    assert refusals.after(NO, before, 1000 + 3600, password=False) == Refusal(NO, 1000 + 3600 + 60, 1)


def test_everybody_is_told_the_same_until_then() -> None:
    """And nothing from then on."""
    held = Refusal(NO, 60.0, 1)
    assert held.told_at(59.9) is NO
    assert held.told_at(60.0) is None


def test_a_limit_is_told_with_the_time_that_is_left() -> None:
    """Otherwise each who asks would wait an hour of his own."""
    told = Refusal(LimitReached("login rate exceeded", 3600, daily=False), 3600.0, 1).told_at(3000.0)
    assert isinstance(told, LimitReached)
    assert (told.retry_after, told.daily) == (600, False)
    later = Refusal(TryLater("come back", 100), 100.0, 1).told_at(40.0)
    assert isinstance(later, TryLater)
    assert later.retry_after == 60


def test_ten_logins_a_minute_are_enough() -> None:
    """Whatever makes them necessary; the oldest of them says when the next one may be."""
    ten = [float(n) for n in range(10)]
    assert refusals.too_many(ten[:9], 9.0) is None
    told = refusals.too_many(ten, 15.0)
    assert told is not None
    assert told.retry_after == 45
    assert refusals.too_many(ten, 60.0) is None
