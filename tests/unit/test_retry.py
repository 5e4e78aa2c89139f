"""delivery/retry.py: what follows from a sink's answer."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOON, a_delivery

from salesforce_poller.delivery import retry
from salesforce_poller.model import Delivery, Parked, Receipt, Verdict

SEEDS = range(20)
THREE_DAYS = timedelta(days=3)
LATER = Receipt(Verdict.TRY_LATER, "HTTP 503")
NO = Receipt(Verdict.REFUSED, "HTTP 400")
MINUTE, HOUR = 60, 3600
HOURS = timedelta(hours=2)


def settle(delivery: Delivery, receipt: Receipt, seed: int = 1, give_up_after: timedelta = THREE_DAYS) -> Parked:
    """Settle a failure at noon."""
    parked = retry.settle(delivery, receipt, give_up_after=give_up_after, now=NOON, rng=random.Random(seed))
    assert parked is not None
    return parked


def pause(delivery: Delivery, receipt: Receipt, seed: int) -> float:
    """Seconds until the next try."""
    return (settle(delivery, receipt, seed).due_at - NOON).total_seconds()


def test_what_is_accepted_is_done() -> None:
    """Nothing is parked."""
    receipt = Receipt(Verdict.ACCEPTED)
    assert retry.settle(a_delivery(), receipt, give_up_after=THREE_DAYS, now=NOON, rng=random.Random(1)) is None


def test_a_failure_is_counted_and_explained() -> None:
    """The attempt, the time of the first try and the sink's words are kept."""
    parked = settle(a_delivery(), NO)
    assert (parked.delivery.attempts, parked.delivery.first_tried_at) == (1, NOON)
    assert (parked.detail, parked.dead) == ("HTTP 400", False)


#: Standard Webhooks 1.0.0, the tries after the first: seconds, in the words of the specification.
SCHEDULE = [5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("receipt", [LATER, NO])
@pytest.mark.parametrize(("failures", "shortest"), [*enumerate(SCHEDULE), (9, 24 * HOUR), (5000, 24 * HOUR)])
def test_failures_are_retried_by_the_schedule_of_standard_webhooks(
    failures: int, shortest: float, receipt: Receipt, seed: int
) -> None:
    """Refused or put off alike; jitter adds up to a fifth, and takes nothing away."""
    assert shortest <= pause(a_delivery(attempts=failures), receipt, seed) <= shortest * 1.2


@pytest.mark.parametrize("seed", SEEDS)
def test_by_default_an_event_has_the_ten_tries_of_the_schedule(seed: int) -> None:
    """Three days end at the last of them, 75.6 hours after the first, or with jitter a little later."""
    rng = random.Random(seed)
    now, parked, tries = NOON, Parked(a_delivery(), NOON), 0
    while not parked.dead:
        now, tries = parked.due_at, tries + 1
        settled = retry.settle(parked.delivery, NO, give_up_after=THREE_DAYS, now=now, rng=rng)
        assert settled is not None
        parked = settled
    assert tries == 10
    assert sum(SCHEDULE) <= (now - NOON).total_seconds() <= sum(SCHEDULE) * 1.2


@pytest.mark.parametrize("seed", SEEDS)
def test_retry_after_only_lengthens(seed: int) -> None:
    """A wish for more patience is granted, one for less is not."""
    patient = Receipt(Verdict.TRY_LATER, retry_after=90.0)
    assert pause(a_delivery(), patient, seed) == 90
    hasty = Receipt(Verdict.REFUSED, retry_after=1.0)
    assert pause(a_delivery(attempts=1), hasty, seed) >= 300


@pytest.mark.parametrize(("wish", "granted"), [(1e12, 36000), (-5.0, 0), (None, 0), (36000.0, 36000)])
def test_no_wish_ends_a_delivery(wish: float | None, granted: float) -> None:
    """Ten hours is the most, and a negative wish is none."""
    assert retry.wish(Receipt(Verdict.TRY_LATER, retry_after=wish)) == granted


def test_it_is_given_up_after_the_agreed_time() -> None:
    """Just before, it is tried again; from then on it is dead, with the last reason."""
    almost = a_delivery(attempts=9, first_tried_at=NOON - THREE_DAYS + timedelta(seconds=1))
    enough = a_delivery(attempts=9, first_tried_at=NOON - THREE_DAYS)
    assert not settle(almost, LATER).dead
    dead = settle(enough, replace(LATER, response="HTTP/1.1 503"))
    assert (dead.dead, dead.detail, dead.delivery.attempts, dead.response) == (True, "HTTP 503", 10, "HTTP/1.1 503")


def test_time_in_which_it_could_not_be_tried_does_not_count() -> None:
    """A sink that was paused for a week still gets the tries that the schedule has in the agreed time."""
    assert not settle(a_delivery(attempts=8, first_tried_at=NOON - timedelta(days=9)), NO).dead
    assert not settle(a_delivery(attempts=3, first_tried_at=NOON - timedelta(days=9)), NO, give_up_after=HOURS).dead
    assert settle(a_delivery(attempts=4, first_tried_at=NOON - timedelta(days=9)), NO, give_up_after=HOURS).dead


def test_many_quick_tries_do_not_use_up_the_time() -> None:
    """A sink that comes and goes has its parked events tried often; that is not held against them."""
    assert not settle(a_delivery(attempts=50, first_tried_at=NOON - timedelta(days=1)), NO).dead


def test_longer_than_the_schedule_means_a_try_a_day() -> None:
    """A week is a week."""
    week = timedelta(days=7)
    assert not settle(a_delivery(attempts=12, first_tried_at=NOON - week), NO, give_up_after=week).dead
    assert settle(a_delivery(attempts=13, first_tried_at=NOON - week), NO, give_up_after=week).dead


def test_a_sink_that_is_gone_finds_its_delivery_due_when_it_is_resumed() -> None:
    """The pause is on the sink, not on the delivery."""
    assert pause(a_delivery(), Receipt(Verdict.GONE, "HTTP 410"), 1) == 0
