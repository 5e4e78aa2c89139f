"""admin/facts.py: what keeps the daemon from being ready."""

from datetime import timedelta

import pytest
from builders import NOON
from polling_builders import some_marks

from salesforce_poller.admin import facts
from salesforce_poller.store.feeds import FeedHealth


def a_feed(failing_for: timedelta | None, name: str = "Lead", error: str = "HTTP 503") -> FeedHealth:
    """Return the health of a feed that has been failing for a while, or not."""
    since = None if failing_for is None else NOON - failing_for
    return FeedHealth("acme", name, some_marks(), NOON, since, error if since else "")


def test_no_feeds_and_healthy_feeds_are_ready() -> None:
    """There is nothing wrong with them."""
    assert facts.not_ready([], [], NOON) == []
    assert facts.not_ready([a_feed(None)], [("acme", "Lead")], NOON) == []


@pytest.mark.parametrize("seconds", [0, 1, 599])
def test_a_short_spell_is_weather(seconds: int) -> None:
    """A deployment must not be rolled back for it."""
    assert facts.not_ready([a_feed(timedelta(seconds=seconds))], [], NOON) == []


def test_a_feed_that_fails_for_ten_minutes_is_stuck() -> None:
    """The line says which one, for how long and why."""
    feeds = [a_feed(None, "Case"), a_feed(timedelta(minutes=10)), a_feed(timedelta(hours=25), "Account")]
    assert facts.not_ready(feeds, [], NOON) == [
        "acme/Lead has failed for 10m: HTTP 503",
        "acme/Account has failed for 1d 1h: HTTP 503",
    ]


def test_a_feed_that_was_never_read_is_not_ready() -> None:
    """A login that has failed since the first start must not look like health."""
    watched = [("acme", "Lead"), ("acme", "Case")]
    assert facts.not_ready([a_feed(None)], watched, NOON) == ["acme/Case has not been read yet"]
