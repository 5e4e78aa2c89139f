"""delivery/retry.py: what follows from a sink's answer."""

import random
from datetime import timedelta

import pytest
from builders import NOON, a_delivery

from salesforce_poller.delivery import retry
from salesforce_poller.model import Delivery, Parked, Receipt, Verdict

SEEDS = range(20)
THREE_DAYS = timedelta(days=3)
LATER = Receipt(Verdict.TRY_LATER, "HTTP 503")
NO = Receipt(Verdict.REFUSED, "HTTP 400")


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


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("failures", "longest"), [(0, 1), (1, 2), (5, 32), (9, 512), (10, 600), (5000, 600)])
def test_try_later_backs_off_exponentially_with_full_jitter(failures: int, longest: float, seed: int) -> None:
    """Up to a second at first, doubling to ten minutes."""
    assert 0 <= pause(a_delivery(attempts=failures), LATER, seed) <= longest


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("failures", "shortest"), [(0, 5), (1, 300), (4, 18000), (8, 86400), (100, 86400)])
def test_refusals_are_retried_slowly(failures: int, shortest: float, seed: int) -> None:
    """The schedule of Standard Webhooks, and up to a fifth more."""
    assert shortest <= pause(a_delivery(attempts=failures), NO, seed) <= shortest * 1.2


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
    almost = a_delivery(attempts=7, first_tried_at=NOON - THREE_DAYS + timedelta(seconds=1))
    enough = a_delivery(attempts=7, first_tried_at=NOON - THREE_DAYS)
    assert not settle(almost, LATER).dead
    dead = settle(enough, LATER)
    assert (dead.dead, dead.detail, dead.delivery.attempts) == (True, "HTTP 503", 8)


def test_a_sink_that_is_gone_finds_its_delivery_due_when_it_is_resumed() -> None:
    """The pause is on the sink, not on the delivery."""
    assert pause(a_delivery(), Receipt(Verdict.GONE, "HTTP 410"), 1) == 0
