"""admin/facts.py: what keeps the daemon from being ready, and all that is told of a trouble."""

from datetime import timedelta

import pytest
from builders import NOON

from salesforce_poller.admin import facts
from salesforce_poller.salesforce import trouble_table
from salesforce_poller.store.troubles import OpenTrouble

WATCHED = [("acme", "Lead"), ("acme", "Case")]


LEAD, CASE = WATCHED


def a_trouble(lasts: timedelta, of: str | None = "Lead", name: str = "HTTP_503", org: str = "acme") -> OpenTrouble:
    """Return something that has been wrong for a while."""
    return OpenTrouble(org, of, name, "HTTP 503", NOON - lasts)


def test_no_feeds_and_healthy_feeds_are_ready() -> None:
    """There is nothing wrong with them."""
    assert facts.not_ready([], [], [], NOON) == []
    assert facts.not_ready([LEAD], [], [("acme", "Lead")], NOON) == []


@pytest.mark.parametrize("name", ["HTTP_503", "DAILY_LIMIT", "", "A_NAME_OF_AN_OLDER_VERSION"])
@pytest.mark.parametrize("seconds", [0, 1, 599])
def test_a_short_spell_is_weather(seconds: int, name: str) -> None:
    """A deployment must not be rolled back for it."""
    assert facts.not_ready([LEAD], [a_trouble(timedelta(seconds=seconds), name=name)], [], NOON) == []


@pytest.mark.parametrize("name", ["INVALID_TYPE", "LOGIN_APP_BLOCKED", "API_DISABLED_FOR_ORG", "OTHER_ORGANIZATION"])
def test_what_a_person_must_mend_is_told_at_once(name: str) -> None:
    """It does not pass by itself."""
    assert facts.not_ready([LEAD], [a_trouble(timedelta(0), name=name)], [], NOON)


def test_what_fails_for_ten_minutes_is_stuck() -> None:
    """The line says which one, for how long and why; an org is told once, not once for every feed."""
    troubles = [a_trouble(timedelta(minutes=10)), a_trouble(timedelta(hours=25), None)]
    assert facts.not_ready([LEAD, CASE], troubles, WATCHED, NOON) == [
        "acme/Lead has failed for 10m: HTTP 503",
        "acme has failed for 1d 1h: HTTP 503",
    ]


def test_a_clock_that_jumped_back_makes_no_negative_spell() -> None:
    """It has failed for no time yet."""
    trouble = a_trouble(timedelta(minutes=-5), name="INVALID_TYPE")
    assert facts.not_ready([], [trouble], [], NOON) == ["acme/Lead has failed for 0ms: HTTP 503"]


def test_a_feed_that_was_never_read_is_not_ready() -> None:
    """A login that has failed since the first start must not look like health."""
    assert facts.not_ready([LEAD], [], WATCHED, NOON) == ["acme/Case has not been read yet"]


def test_troubles_of_what_is_not_watched_any_more_are_left_out() -> None:
    """A feed that was taken out of the configuration never works again, and so its trouble never ends."""
    here = [a_trouble(timedelta(0)), a_trouble(timedelta(0), None)]
    gone = [a_trouble(timedelta(0), "Task"), a_trouble(timedelta(0), None, org="old")]
    assert facts.of_watched([*here, *gone], WATCHED) == here


def test_all_that_is_known_is_told() -> None:
    """What, where, since when, what Salesforce said, what happens, what to do, and where to read on."""
    trouble = a_trouble(timedelta(0), None, "API_DISABLED_FOR_ORG")
    told = facts.told(trouble)
    assert (told["org"], told["object"], told["since"], told["error"]) == ("acme", None, NOON, "HTTP 503")
    assert told["means"] == "the API is not enabled for this org"
    assert told["what_happens"] == "stop the org and probe it rarely"
    assert "Professional Edition" in told["what_to_do"]
    assert told["help"] == trouble_table.EDITIONS


def test_a_trouble_without_a_row_is_told_as_it_is() -> None:
    """An error of our own, or a row of another version."""
    assert facts.told(a_trouble(timedelta(0), name="NOBODY_KNOWS"))["what_to_do"] == ""
