"""Record ids: the checksum, what counts as an id, and that new ones ascend."""

import pytest

from salesforce_poller.simulator import ids


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("001000000000000", "001000000000000AAA"),
        ("00Q5g00000AbCdE", "00Q5g00000AbCdEEAV"),
        ("012000000000000", "012000000000000AAA"),
        ("0055g000001XyZA", "0055g000001XyZAAA0"),
    ],
)
def test_the_long_form_adds_a_checksum_of_the_letters_case(short: str, long: str) -> None:
    """Each of the last three characters tells which of five characters are capitals."""
    assert ids.to18(short) == long
    assert ids.to18(long) == long
    assert ids.is_id(short)
    assert ids.is_id(long)


@pytest.mark.parametrize("text", ["", "00Q", "00Q5g00000AbCdEEAX", "00Q5g00000AbCd!", "00Q5g00000AbCdEEA", "é" * 15])
def test_what_is_no_id_is_not_taken_for_one(text: str) -> None:
    """Wrong length, wrong characters or a checksum that disagrees."""
    assert not ids.is_id(text)


def test_new_ids_are_well_formed_stable_and_ascend() -> None:
    """A keyset over Id must meet records in the order they were born."""
    born = [ids.new_id("00Q", number) for number in (0, 1, 9, 10, 35, 36, 61, 62, 3843, 3844, 10**9)]
    assert born == sorted(born)
    assert all(ids.is_id(each) and each.startswith("00Q") for each in born)
    assert ids.new_id("00Q", 62) == ids.new_id("00Q", 62)


def test_ids_run_out_loudly() -> None:
    """Better no id than one used twice."""
    with pytest.raises(ValueError, match="no id is left"):
        ids.new_id("00Q", 62**9)


@pytest.mark.parametrize("text", ["00Q", "00Q5g00000AbCd!"])
def test_only_ids_have_a_long_form(text: str) -> None:
    """to18 refuses what it can not make an id of."""
    with pytest.raises(ValueError, match="not a record id"):
        ids.to18(text)
