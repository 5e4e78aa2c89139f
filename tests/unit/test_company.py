"""delivery/company.py: whether a few events leave now or wait for company."""

from datetime import timedelta

from builders import NOON

from salesforce_poller.delivery.company import Company

MINUTE = timedelta(minutes=1)


def test_fewer_than_a_batch_wait_from_when_the_first_was_seen() -> None:
    """Later ones do not lengthen the wait."""
    company = Company().after([7], NOON)
    assert company.until([7], 10, MINUTE) == NOON + MINUTE
    company = company.after([7, 8], NOON + MINUTE / 2)
    assert company.until([7, 8], 10, MINUTE) == NOON + MINUTE


def test_a_full_batch_leaves_at_once() -> None:
    """And so does more than one."""
    company = Company().after([1, 2], NOON)
    assert company.until([1, 2], 2, MINUTE) is None
    assert company.until([1, 2, 3], 2, MINUTE) is None


def test_nobody_waits_who_need_not() -> None:
    """No patience, or nothing there."""
    assert Company().after([1], NOON).until([1], 10, timedelta()) is None
    assert Company().after([], NOON).until([], 10, MINUTE) is None


def test_whoever_comes_after_a_batch_left_waits_anew() -> None:
    """The wait belongs to the event that waits the longest."""
    company = Company().after([1], NOON).after([2], NOON + MINUTE)
    assert company.until([2], 10, MINUTE) == NOON + 2 * MINUTE
    assert company.after([], NOON).after([2], NOON + 3 * MINUTE).until([2], 10, MINUTE) == NOON + 4 * MINUTE
