"""polling/ledger.py: calls by the minute, counted over 24 rolling hours."""

from hypothesis import given
from hypothesis import strategies as st

from salesforce_poller.polling.ledger import DAY_OF_MINUTES, Ledger, oldest


@given(
    st.dictionaries(st.integers(0, 5_000), st.integers(1, 9), max_size=20),
    st.lists(st.tuples(st.sampled_from([-3_000, -1, 0, 1, 2, 700, 1_441]), st.integers(0, 3)), max_size=20),
)
def test_it_has_what_a_walk_through_all_minutes_finds(inherited: dict[int, int], days: list[tuple[int, int]]) -> None:
    """However the clock goes, also back: what is too old is forgotten, what is too young counts as made now."""
    ledger, plain, present = Ledger(inherited), dict(inherited), 5_000
    for passed, calls in days:
        present = max(0, present + passed)
        for minute in [one for one in plain if one < present - DAY_OF_MINUTES]:
            del plain[minute]
        for minute in [one for one in plain if one > present]:
            plain[present] = plain.get(present, 0) + plain.pop(minute)
        ledger.tidy(present)
        for _ in range(calls):
            ledger.add(present)
            plain[present] = plain.get(present, 0) + 1
        assert dict(ledger) == plain
        assert ledger.sum == sum(plain.values())
        assert list(ledger) == sorted(ledger)
        assert {minute for minute in plain if plain[minute] != inherited.get(minute, 0)} <= ledger.changed


def test_both_ends_of_a_day_count() -> None:
    """Each minute is cut off somewhere, so that 24 hours touch 1,441 of them."""
    ledger = Ledger({10: 1, 11: 1})
    ledger.tidy(10 + DAY_OF_MINUTES)
    assert ledger.sum == 2
    ledger.tidy(11 + DAY_OF_MINUTES)
    assert dict(ledger) == {11: 1}
    assert oldest(11 + DAY_OF_MINUTES) == 11
