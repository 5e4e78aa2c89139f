"""polling/spells.py: what is news, and what is over."""

from builders import NOON

from salesforce_poller.errors import Facts, Scope
from salesforce_poller.model import PollFailure
from salesforce_poller.polling.spells import Spells


def a_failure(name: str = "HTTP_503", *, of: str = "Lead", scope: Scope = Scope.FEED, error: str = "x") -> PollFailure:
    """Return a failed turn."""
    return PollFailure("acme", of, error, 1.0, permanent=False, facts=Facts(trouble=name, scope=scope))


def test_the_same_trouble_is_news_once() -> None:
    """Whatever its words: a request's id is another one each time."""
    spells = Spells()
    assert [spells.failed(a_failure(error=text), NOON) for text in "abc"] == [True, False, False]


def test_another_trouble_is_news_and_the_first_one_stays_old() -> None:
    """502 and 503 by turns are two lines, not two hundred."""
    spells = Spells()
    assert [spells.failed(a_failure(f"HTTP_{n}"), NOON) for n in (502, 503, 502, 503)] == [True, True, False, False]


def test_what_has_no_row_is_known_by_its_words() -> None:
    """Errors of our own say the same each time."""
    spells = Spells()
    assert [spells.failed(a_failure("", error=text), NOON) for text in "aba"] == [True, True, False]


def test_the_id_of_a_request_makes_no_news() -> None:
    """Else a trouble without a row would be told at every try, and remembered as often."""
    spells = Spells()
    said = [f"ODD_CODE: odd (request {number})" for number in (1, 2)]
    assert [spells.failed(a_failure("", error=text), NOON) for text in said] == [True, False]


def test_a_trouble_of_the_org_is_news_once_for_all_its_feeds() -> None:
    """Forty feeds do not each say that the login is refused."""
    spells = Spells()
    refused = [a_failure("LOGIN_IP", of=name, scope=Scope.ORG) for name in ("Lead", "Case", "Task")]
    assert [spells.failed(one, NOON) for one in refused] == [True, False, False]
    [over] = spells.worked("acme", "Case")
    assert (over.object, over.failures, over.since, over.said) == (None, 3, NOON, {"LOGIN_IP"})


def test_feeds_and_orgs_have_spells_of_their_own() -> None:
    """One object that vanished says nothing of the others."""
    spells = Spells()
    assert spells.failed(a_failure("INVALID_TYPE"), NOON)
    assert spells.failed(a_failure("INVALID_TYPE", of="Case"), NOON)
    assert spells.worked("other", "Lead") == []
    assert [spell.object for spell in spells.worked("acme", "Lead")] == ["Lead"]
    assert not spells.failed(a_failure("INVALID_TYPE", of="Case"), NOON)


def test_after_its_end_a_trouble_is_news_again_and_an_end_comes_once() -> None:
    """The next spell is another one."""
    spells = Spells()
    spells.failed(a_failure(), NOON)
    assert len(spells.worked("acme", "Lead")) == 1
    assert spells.worked("acme", "Lead") == []
    assert spells.failed(a_failure(), NOON)


def test_an_org_that_answers_is_well_even_where_the_feed_is_not() -> None:
    """A sweep may fail while polls go on."""
    spells = Spells()
    spells.failed(a_failure("HTTP_503", scope=Scope.ORG), NOON)
    spells.failed(a_failure("TXN_SECURITY"), NOON)
    assert [spell.object for spell in spells.worked("acme")] == [None]
    assert not spells.failed(a_failure("TXN_SECURITY"), NOON)
