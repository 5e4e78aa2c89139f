"""clock.py: the words for spans of time, and the one real clock."""

import time
from datetime import UTC, timedelta

import pytest

from salesforce_poller.clock import SystemClock, format_span, parse_span, write_span


@pytest.mark.parametrize(
    ("word", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("5m", 300), ("12h", 43200), ("7d", 604800), ("2w", 1209600), ("1.5h", 5400)],
)
def test_spans_are_read(word: str, seconds: float) -> None:
    """A number and a unit."""
    assert parse_span(word) == timedelta(seconds=seconds)


@pytest.mark.parametrize("word", [" 30s", "30 s", "30s "])
def test_blanks_do_not_matter(word: str) -> None:
    """People write them."""
    assert parse_span(word) == timedelta(seconds=30)


def test_a_span_is_a_span_already() -> None:
    """Defaults are written as timedelta."""
    assert parse_span(timedelta(days=1)) == timedelta(days=1)


@pytest.mark.parametrize("wrong", ["", "30", 30, 30.0, "30 seconds", "-30s", "1h30m", "PT30S", None, True, [], "∞"])
def test_anything_else_is_refused_with_an_example(wrong: object) -> None:
    """A bare number has no unit, so nobody can say what was meant."""
    with pytest.raises(ValueError, match='such as "30s"'):
        parse_span(wrong)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "250ms"), (1, "1s"), (59.4, "59s"), (60, "1m"), (90, "1m 30s"), (3600, "1h"), (90061, "1d 1h")],
)
def test_spans_are_written_for_people(seconds: float, text: str) -> None:
    """Two units are enough."""
    assert format_span(seconds) == text


async def test_the_machines_clock_is_aware_and_runs() -> None:
    """Every instant in the house is UTC; a sleep of nothing is only a turn of the loop."""
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0)
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() >= before


@pytest.mark.parametrize(("seconds", "word"), [(1, "1s"), (60, "1m"), (90, "90s"), (5_400, "90m"), (86_400, "1d")])
def test_a_span_is_written_as_the_configuration_reads_it(seconds: int, word: str) -> None:
    """In the largest unit that divides it."""
    assert write_span(timedelta(seconds=seconds)) == word
    assert parse_span(word) == timedelta(seconds=seconds)


def test_spans_go_on_while_the_machine_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux has a clock for that; by the other one a lease would still be ours after a night's sleep."""
    suspended_for = {time.CLOCK_BOOTTIME: 1000.0, time.CLOCK_MONOTONIC: 0.0}
    monkeypatch.setattr(time, "clock_gettime", suspended_for.__getitem__)
    assert SystemClock().monotonic() == 1000.0
