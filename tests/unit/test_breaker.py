"""delivery/breaker.py: is the whole sink down?"""

import random
from datetime import timedelta

import pytest
from builders import NOON

from salesforce_poller.delivery.breaker import THRESHOLD, Breaker
from salesforce_poller.model import Receipt, Verdict

SEEDS = range(20)
YES = Receipt(Verdict.ACCEPTED)
LATER = Receipt(Verdict.TRY_LATER)
NO = Receipt(Verdict.REFUSED)


def after(*answers: tuple[str, Receipt], breaker: Breaker | None = None, seed: int = 1) -> Breaker:
    """Return what these answers make of a breaker, all at noon."""
    breaker = breaker or Breaker()
    rng = random.Random(seed)
    for key, receipt in answers:
        breaker = breaker.after(key, receipt, NOON, rng)
    return breaker


def an_open_one(seed: int = 1, receipt: Receipt = LATER) -> Breaker:
    """Return a breaker that just opened."""
    return after(*((f"record {number}", receipt) for number in range(THRESHOLD)), seed=seed)


@pytest.mark.parametrize("receipt", [LATER, Receipt(Verdict.REFUSED, "HTTP 404", general=True)])
def test_it_opens_when_several_records_in_a_row_fail(receipt: Receipt) -> None:
    """Not one record earlier, and also when the address or the key is refused."""
    answers = [(f"record {number}", receipt) for number in range(THRESHOLD)]
    assert not after(*answers[:-1]).is_open
    assert after(*answers).is_open


def test_refusals_of_single_events_never_open_it() -> None:
    """Whoever says no to this event, and to that one, is up."""
    assert not after(*((f"record {number}", NO) for number in range(100))).is_open


def test_one_bad_record_never_opens_it() -> None:
    """However often it fails, it says nothing about the others."""
    assert not after(*[("bad", NO)] * 100).is_open


def test_an_acceptance_in_between_starts_the_count_anew() -> None:
    """A sink that takes something is not down."""
    some = [(f"record {number}", LATER) for number in range(THRESHOLD - 1)]
    assert not after(*some, ("good", YES), *some).is_open


def test_one_acceptance_closes_it() -> None:
    """Whether it came from a probe or from a straggler."""
    assert after(("good", YES), breaker=an_open_one()) == Breaker()


@pytest.mark.parametrize("seed", SEEDS)
def test_pauses_between_probes_grow_to_five_minutes_and_are_never_below_half(seed: int) -> None:
    """One second, two, four ... three hundred, jittered in the upper half."""
    rng = random.Random(seed)
    breaker = an_open_one(seed)
    for rounds in range(15):
        longest = min(300, 2**rounds)
        assert breaker.probe_at is not None
        assert longest / 2 <= (breaker.probe_at - NOON).total_seconds() <= longest, f"seed {seed}, round {rounds}"
        breaker = breaker.after_probes(0, NOON, rng)


def test_retry_after_lengthens_the_pause() -> None:
    """Of the answer that opened it, of a straggler, and of a probe."""
    patient = Receipt(Verdict.TRY_LATER, retry_after=1000.0)
    then = NOON + timedelta(seconds=1000)
    assert an_open_one(receipt=patient).probe_at == then
    assert after(("straggler", patient), breaker=an_open_one()).probe_at == then
    assert an_open_one().after_probes(1000.0, NOON, random.Random(1)).probe_at == then
