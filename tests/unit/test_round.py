"""delivery/round.py: who may be sent, and what is written down at the end."""

import random
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from builders import NOON, a_delivery
from hypothesis import given
from hypothesis import strategies as st

from salesforce_poller.delivery.breaker import THRESHOLD, Breaker
from salesforce_poller.delivery.round import Closing, Owed, Round
from salesforce_poller.model import Delivery, Ordering, Receipt, SinkState, Verdict

YES = Receipt(Verdict.ACCEPTED)
LATER = Receipt(Verdict.TRY_LATER, "HTTP 503")
NO = Receipt(Verdict.REFUSED, "HTTP 400")
GONE = Receipt(Verdict.GONE, "HTTP 410")
OPEN = Breaker(probe_at=NOON)


def fresh(keys: str, first: int = 11) -> list[Delivery]:
    """Return one delivery for each letter, in order of position; the letter is the record."""
    return [a_delivery(position=position, record_id=key) for position, key in enumerate(keys, first)]


def a_round(keys: str = "", breaker: Breaker | None = None, seed: int = 1, cursor: int = 10, **owed: object) -> Round:
    """Return a round of the sink whose cursor is at 10."""
    owing = Owed(fresh=fresh(keys), **owed)  # type: ignore[arg-type]  # keywords of several types
    return Round(SinkState("crm", cursor), owing, breaker or Breaker(), random.Random(seed))


def positions(deliveries: Iterable[Delivery]) -> list[int]:
    """Return them in order."""
    return [delivery.position for delivery in deliveries]


def play(book: Round, answers: dict[str, Receipt] | None = None, limit: int = 1) -> list[int]:
    """Send one at a time until the round is over; records not named in ``answers`` are accepted."""
    sent: list[int] = []
    while taken := book.take(limit):
        sent += positions(taken)
        book.answer(taken, [(answers or {}).get(each.event.key, YES) for each in taken], NOON)
    return sent


def close(book: Round) -> Closing:
    """Close the books at noon."""
    return book.close(timedelta(days=3), NOON)


def parked(closing: Closing) -> list[int]:
    """Return the positions that are parked."""
    return [each.delivery.position for each in closing.park]


def test_a_healthy_round_parks_nothing_and_passes_everything() -> None:
    """In order of position when one is sent at a time."""
    book = a_round("ABAC")
    assert play(book) == [11, 12, 13, 14]
    closing = close(book)
    assert (closing.state.cursor, closing.park, closing.done, closing.filtered) == (14, [], [], 0)


def test_a_record_that_is_on_its_way_is_not_taken_again() -> None:
    """Its next event waits for the answer, others go."""
    book = a_round("AAB")
    first = book.take(1)
    assert positions(first) == [11]
    assert positions(book.take(1)) == [13]
    assert book.take(1) == []
    book.answer(first, [YES], NOON)
    assert positions(book.take(1)) == [12]


def test_one_send_may_hold_several_events_of_a_record_in_order() -> None:
    """And what is left of that record is not taken for another send beside it."""
    book = a_round("AABAB")
    first = book.take(2)
    assert positions(first) == [11, 12]
    second = book.take(9)
    assert positions(second) == [13, 15]
    book.answer(first, [YES, YES], NOON)
    assert positions(book.take(9)) == [14]


def test_a_failure_holds_the_rest_of_its_record_and_nothing_else() -> None:
    """The failed one is due later, those behind it wait in the store."""
    book = a_round("ABA")
    assert play(book, {"A": LATER}) == [11, 12]
    closing = close(book)
    assert closing.state.cursor == 13
    assert parked(closing) == [11, 13]
    failed, held = closing.park
    assert (failed.delivery.attempts, failed.delivery.first_tried_at, failed.detail) == (1, NOON, "HTTP 503")
    assert (held.delivery.attempts, held.delivery.first_tried_at, held.due_at) == (0, None, NOON)


def test_in_a_send_with_a_failure_what_follows_in_the_record_is_held() -> None:
    """Whatever the sink says of it, since the earlier one has to come first."""
    book = a_round("AAB")
    taken = book.take(3)
    book.answer(taken, [LATER, YES, YES], NOON)
    assert parked(close(book)) == [11, 12]


def test_a_record_with_something_parked_waits_behind_it() -> None:
    """Even while the parked one is being sent."""
    due = a_delivery(position=5, record_id="A")
    book = a_round("AB", due=[due], blocked=frozenset("A"))
    assert play(book) == [5, 12]
    closing = close(book)
    assert (closing.done, parked(closing), closing.state.cursor) == ([5], [11], 12)


UNTOLD = Receipt(Verdict.REFUSED, "when: no such field: Amount")


def test_what_cannot_be_judged_is_parked_unsent_and_holds_its_record() -> None:
    """What came before it in its record goes, what comes after it waits; nothing is held against the sink."""
    book = a_round("ABABA", refused={13: UNTOLD})
    assert play(book) == [11, 12, 14]
    closing = close(book)
    assert (closing.state.cursor, closing.state.failing_since, closing.state.last_error) == (15, None, "")
    assert parked(closing) == [13, 15]
    untold, held = closing.park
    assert (untold.delivery.attempts, untold.detail, untold.dead) == (1, "when: no such field: Amount", False)
    assert untold.due_at >= NOON + timedelta(seconds=5)
    assert held.delivery.attempts == 0


def test_what_was_parked_and_still_cannot_be_judged_waits_longer() -> None:
    """And is given up in the end, like whatever is refused."""
    due = [
        a_delivery(position=5, record_id="A", attempts=1, first_tried_at=NOON),
        a_delivery(position=6, record_id="B", attempts=9, first_tried_at=NOON - timedelta(days=3)),
    ]
    book = a_round("A", due=due, blocked=frozenset("AB"), refused={5: UNTOLD, 6: UNTOLD})
    assert play(book) == []
    closing = close(book)
    by_position = {each.delivery.position: each for each in [*closing.park, *closing.again]}
    assert (by_position[5].delivery.attempts, by_position[5].dead) == (2, False)
    assert by_position[5].due_at >= NOON + timedelta(minutes=5)
    assert by_position[6].dead
    assert (by_position[11].delivery.attempts, len(by_position)) == (0, 3)


def test_what_was_parked_and_is_not_wanted_any_more_is_done() -> None:
    """Without being sent, and without counting as passed over once more."""
    due = a_delivery(position=5, record_id="A", attempts=1, first_tried_at=NOON)
    book = a_round("B", due=[due], unwanted=frozenset({5}))
    assert play(book) == [11]
    closing = close(book)
    assert (closing.done, closing.park, closing.filtered) == ([5], [], 0)


def test_what_cannot_be_judged_does_not_wait_for_a_sink_that_is_down() -> None:
    """It would block the way to an event with which the sink could show that it is back."""
    book = a_round("ABC", breaker=OPEN, refused={11: UNTOLD, 12: UNTOLD})
    assert play(book, {"C": LATER}) == [13]
    closing = close(book)
    assert closing.state.cursor == 12
    assert parked(closing) == [11, 12]


def test_what_is_not_wanted_is_passed_over_and_counted() -> None:
    """It needs no row of its own."""
    book = a_round("ABC", unwanted=frozenset({11, 13}))
    assert play(book) == [12]
    closing = close(book)
    assert (closing.state.cursor, closing.filtered, closing.park) == (13, 2, [])


def test_a_parked_delivery_that_fails_again_is_parked_anew() -> None:
    """With one more attempt."""
    due = a_delivery(position=5, attempts=2, first_tried_at=NOON)
    book = a_round(due=[due])
    play(book, {due.event.key: LATER})
    [again] = close(book).again
    assert (again.delivery.position, again.delivery.attempts) == (5, 3)


def test_a_parked_delivery_that_fails_again_is_no_news_about_the_sink() -> None:
    """Only first tries open the breaker."""
    due = [a_delivery(position=each, record_id=str(each), attempts=1, first_tried_at=NOON) for each in range(1, 10)]
    book = a_round(due=due)
    play(book, {str(each): LATER for each in range(10)})
    assert not book.breaker.is_open


def test_a_sink_that_fails_on_everything_keeps_its_cursor_and_parks_nothing() -> None:
    """After a few failures no more is sent, and all of it stays where it is."""
    book = a_round("ABCDEFGHIJ")
    assert len(play(book, dict.fromkeys("ABCDEFGHIJ", LATER))) == THRESHOLD
    closing = close(book)
    assert (closing.state.cursor, closing.park) == (10, [])
    assert (closing.state.failing_since, closing.state.last_error) == (NOON, "HTTP 503")


def test_a_sink_that_goes_down_in_mid_round_keeps_what_it_accepted() -> None:
    """The cursor follows the last acceptance; the failure below it is parked, those above are not."""
    book = a_round("ABCDEFGHIJ")
    play(book, dict.fromkeys("ADEFGHIJ", LATER))
    closing = close(book)
    assert (closing.state.cursor, parked(closing)) == (13, [11])


def test_a_round_that_is_cut_short_leaves_few_holes() -> None:
    """What was not tried below the last acceptance is parked, due at once; the rest is read again."""
    book = a_round("AABCD")
    [first] = book.take(1)
    others = book.take(1) + book.take(1)
    book.answer(others, [YES, YES], NOON)
    book.answer([first], [YES], NOON)
    closing = close(book)
    assert (closing.state.cursor, parked(closing)) == (14, [12])


def test_a_sink_that_is_gone_is_paused_and_keeps_its_cursor() -> None:
    """410: nothing more is sent, and the event is not lost."""
    book = a_round("ABC")
    assert play(book, {"B": GONE}) == [11, 12]
    closing = close(book)
    assert (closing.state.cursor, closing.park) == (11, [])
    assert closing.state.paused == (
        "switched off: it asks for no more events (HTTP 410); when that is mended, `salesforce-poller sinks resume crm`"
    )
    assert not closing.state.paused_by_person


def test_a_parked_delivery_is_not_charged_with_an_outage() -> None:
    """While the sink is down its failures are the sink's."""
    due = a_delivery(position=5, record_id="Z", attempts=2, first_tried_at=NOON - timedelta(days=9))
    book = a_round(due=[due], breaker=OPEN)
    assert play(book, {"Z": LATER}) == [5]
    assert close(book).again == []
    assert book.breaker.rounds == 1


def test_a_sink_that_is_down_is_probed_with_three_records() -> None:
    """The first event of the oldest, of one at random and of the newest."""
    for seed in range(20):
        book = a_round("AABBCCDD", breaker=OPEN, seed=seed)
        first, middle, last = play(book, dict.fromkeys("ABCD", LATER))
        assert (first, last) == (11, 17), f"seed {seed}"
        assert middle in (13, 15), f"seed {seed}"
        assert close(book).state.cursor == 10
        assert book.breaker.rounds == 1


def test_the_first_probe_that_is_accepted_ends_the_outage() -> None:
    """No further one is sent, and what was accepted is not sent again."""
    book = a_round("ABCD", breaker=OPEN)
    assert play(book) == [11]
    closing = close(book)
    assert (book.breaker, closing.state.cursor, closing.park) == (Breaker(), 11, [])


def test_a_row_of_bad_records_does_not_hold_up_the_good_one_behind_it() -> None:
    """The sink takes the newest, so it is not down: the bad ones are parked."""
    book = a_round("ABCDEFG", breaker=OPEN)
    play(book, dict.fromkeys("ABCDEF", LATER))
    closing = close(book)
    assert (closing.state.cursor, parked(closing)) == (17, [11, 12, 13, 14, 15, 16])


def test_probes_are_parked_deliveries_when_there_is_nothing_new() -> None:
    """Something has to find out whether the sink is back."""
    due = [a_delivery(position=each, record_id=str(each)) for each in (3, 5)]
    book = a_round("A", due=due, unwanted=frozenset({11}), breaker=OPEN)
    assert play(book) == [3]
    closing = close(book)
    assert (closing.done, closing.state.cursor) == ([3], 11)


def test_a_straggler_that_is_accepted_closes_the_breaker_again() -> None:
    """What was on its way when the breaker opened counts too; nothing is lost either way."""
    book = a_round("ABCDEFGH")
    sends = [book.take(1) for _ in range(7)]
    for sent in sends[:6]:
        book.answer(sent, [LATER], NOON)
    book.answer(sends[6], [YES], NOON)
    closing = close(book)
    assert not book.breaker.is_open
    assert (closing.state.cursor, parked(closing)) == (17, [11, 12, 13, 14, 15, 16])


STRICT: dict[str, Any] = {"ordering": Ordering.STRICT}
NONE: dict[str, Any] = {"ordering": Ordering.NONE}


def test_strict_sends_one_at_a_time_in_order_of_position() -> None:
    """Whatever the record, and however many a send could take."""
    book = a_round("BABC", **STRICT)
    first = book.take(9)
    assert positions(first) == [11]
    assert book.take(9) == []
    book.answer(first, [YES], NOON)
    assert positions(book.take(9)) == [12]


def test_strict_parks_the_refused_one_alone_and_leaves_the_rest_where_it_is() -> None:
    """The cursor stands right behind it, so that nothing needs a row of its own."""
    book = a_round("ABCD", **STRICT)
    assert play(book, {"B": NO}) == [11, 12]
    closing = close(book)
    assert (closing.state.cursor, parked(closing)) == (12, [12])
    assert not book.breaker.is_open


def test_strict_passes_over_what_is_not_wanted_right_behind_a_failure() -> None:
    """It holds nobody up."""
    book = a_round("ABCD", unwanted=frozenset({13}), **STRICT)
    play(book, {"B": NO})
    assert close(book).state.cursor == 13


def test_strict_takes_one_answer_that_is_about_the_sink_for_an_outage() -> None:
    """Nothing else may be tried, so nothing else can tell; the event is not charged with it."""
    for answer in (LATER, Receipt(Verdict.REFUSED, "HTTP 401", general=True)):
        book = a_round("ABCD", **STRICT)
        assert play(book, {"B": answer}) == [11, 12]
        closing = close(book)
        assert (closing.state.cursor, closing.park, book.breaker.is_open) == (11, [], True)


def test_strict_probes_with_the_parked_one_and_charges_it_with_no_outage() -> None:
    """Also when it was refused before, and is answered by silence now."""
    due = [a_delivery(position=5, record_id="Z", attempts=2, first_tried_at=NOON)]
    book = a_round(due=due, **STRICT)
    assert play(book, {"Z": LATER}) == [5]
    closing = close(book)
    assert (closing.again, closing.done, book.breaker.is_open) == ([], [], True)


def test_strict_sends_what_is_due_in_order_until_one_fails() -> None:
    """The others stay as they are."""
    due = [a_delivery(position=each, record_id=str(each)) for each in (3, 5, 7)]
    book = a_round(due=due, **STRICT)
    assert play(book, {"5": NO}) == [3, 5]
    closing = close(book)
    assert (closing.done, [each.delivery.position for each in closing.again]) == ([3], [5])


def test_without_ordering_only_the_failed_one_is_parked() -> None:
    """What follows it in its record goes on, also in the same send."""
    book = a_round("AABA", **NONE)
    taken = book.take(3)
    book.answer(taken, [NO, YES, YES], NOON)
    assert play(book) == [14]
    closing = close(book)
    assert (closing.state.cursor, parked(closing)) == (14, [11])


def test_without_ordering_events_of_one_record_go_side_by_side() -> None:
    """Nobody waits for an answer, nor for what is parked."""
    due = a_delivery(position=5, record_id="A", attempts=1, first_tried_at=NOON)
    book = a_round("AA", due=[due], **NONE)
    assert [positions(book.take(1)) for _ in range(3)] == [[5], [11], [12]]


def test_a_refusal_of_one_event_ends_an_outage() -> None:
    """Whoever reads an event well enough to refuse it is there; from now on it is the event's own trouble."""
    book = a_round("ABC", breaker=OPEN)
    assert play(book, {"A": NO}) == [11]
    assert not book.breaker.is_open
    assert (close(book).state.cursor, close(book).park) == (10, [])


def five_days_of_failures(keys: str = "", breaker: Breaker | None = None, **owed: Any) -> Round:
    """Return a round of a sink that has only failed for five days."""
    state = SinkState("crm", 10, failing_since=NOON - timedelta(days=5), last_error="HTTP 500")
    return Round(state, Owed(fresh=fresh(keys), **owed), breaker or Breaker(), random.Random(1))


@given(st.text("ABCDE", min_size=1, max_size=12), st.lists(st.integers(1, 9), min_size=1), st.sampled_from(Ordering))
def test_a_round_that_fits_in_one_send_is_taken_as_any_other(keys: str, limits: list[int], ordering: Ordering) -> None:
    """At once rather than one by one, and the same; also beside other sends, which are answered now and then."""
    owed = Owed(fresh=fresh(keys), ordering=ordering)
    books = [Round(SinkState("crm", 10), owed, Breaker(), random.Random(1), alone=alone) for alone in (False, True)]
    out: list[list[Delivery]] = []
    for number, limit in enumerate(limits):
        at_once, one_by_one = (book.take(limit) for book in books)
        assert at_once == one_by_one
        out.append(at_once)
        if number % 2:
            sent = out.pop(0)
            for book in books:
                book.answer(sent, [YES] * len(sent), NOON)


def test_five_days_of_nothing_but_failures_switch_a_sink_off() -> None:
    """A probe that fails says so, and so does an event that fails again. The cursor stays, nothing is parked."""
    due = a_delivery(position=5, record_id="Z", attempts=2, first_tried_at=NOON - timedelta(days=5))
    for book, answers in (
        (five_days_of_failures("AB", OPEN), {"A": LATER, "B": LATER}),
        (five_days_of_failures(due=[due]), {"Z": NO}),
    ):
        play(book, answers)
        closing = close(book)
        assert closing.state.paused.startswith(
            "switched off: nothing but failures since 2026-11-16 12:00Z, the last: HTTP"
        )
        assert (closing.state.cursor, closing.park, closing.again) == (10, [], [])
        assert closing.state.failing_since == NOON - timedelta(days=5)


def test_a_new_event_that_fails_once_switches_nothing_off() -> None:
    """After a quiet week with one event that was given up in it, it is the first sign of life that there could be."""
    book = five_days_of_failures("A")
    play(book, {"A": LATER})
    assert close(book).state.paused == ""


def test_one_acceptance_begins_the_five_days_anew() -> None:
    """Whatever fails beside it."""
    book = five_days_of_failures("AB", OPEN)
    play(book, {"B": LATER})
    assert (close(book).state.paused, close(book).state.failing_since) == ("", None)
