"""polling/patience.py: how long a feed rests after a turn that did not work out."""

import random

import pytest

from salesforce_poller.errors import (
    LocatorLost,
    LoginRefused,
    ObjectUnknown,
    OrgRefused,
    Refused,
    StoreError,
    TooMuch,
    TryLater,
)
from salesforce_poller.polling.patience import pause_after

SEEDS = range(20)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_passing_trouble_is_asked_about_again_within_a_second(seed: int) -> None:
    """Most are over by then."""
    assert 0.5 <= pause_after(TryLater("503"), 0, random.Random(seed)) <= 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("failures", range(1, 9))
def test_pauses_double_within_their_jitter(seed: int, failures: int) -> None:
    """So that many feeds do not come back at the same moment."""
    assert 2**failures / 2 <= pause_after(TryLater("503"), failures, random.Random(seed)) <= min(2**failures, 300)


@pytest.mark.parametrize("failures", [9, 20, 1000, 10**9])
def test_pauses_end_at_five_minutes(failures: int) -> None:
    """However long an outage lasts, its end is noticed soon; and no number grows beyond all bounds."""
    assert 150 <= pause_after(TryLater("503"), failures, random.Random(1)) <= 300


def test_the_other_sides_wish_lengthens_a_pause() -> None:
    """The daily limit takes a while to roll on."""
    assert pause_after(TryLater("limit", retry_after=900), 0, random.Random(1)) == 900


def test_the_other_sides_wish_never_shortens_a_pause() -> None:
    """A server that says "at once" to everybody is down again at once."""
    assert pause_after(TryLater("503", retry_after=0), 6, random.Random(1)) >= 32


@pytest.mark.parametrize(
    ("error", "seconds"),
    [(Refused("no"), 300), (ObjectUnknown("gone"), 300), (OrgRefused("no"), 900), (LoginRefused("no"), 900)],
)
def test_what_a_person_must_mend_is_probed_rarely(error: Refused, seconds: float) -> None:
    """From the first time on: it does not pass by itself, and failed logins lock users out."""
    assert pause_after(error, 0, random.Random(1)) == seconds


@pytest.mark.parametrize("error", [TooMuch("x"), LocatorLost("x"), StoreError("disk full")])
def test_any_other_trouble_is_a_passing_one(error: Exception) -> None:
    """Nothing is given up."""
    assert isinstance(error, (TooMuch, LocatorLost, StoreError))
    assert pause_after(error, 0, random.Random(1)) <= 1
