"""salesforce/refresh_token.py: the store's token or the configuration's."""

import pytest

from salesforce_poller.salesforce import refresh_token

CONFIGURED, ROTATED, PASTED = "5Aep-configured", "5Aep-rotated", "5Aep-pasted"


def test_the_configured_one_counts_until_something_is_stored() -> None:
    """The first start."""
    assert refresh_token.present(CONFIGURED, None) == CONFIGURED


def test_there_may_be_none_at_all() -> None:
    """Before the first login."""
    assert refresh_token.present(None, None) is None


@pytest.mark.parametrize("configured", [CONFIGURED, None])
def test_the_stored_one_takes_the_place_of_the_configured_one(configured: str | None) -> None:
    """It is newer."""
    assert refresh_token.present(configured, refresh_token.to_keep(ROTATED, configured)) == ROTATED


def test_a_person_who_configures_another_one_is_believed() -> None:
    """The store knows which one it had replaced."""
    assert refresh_token.present(PASTED, refresh_token.to_keep(ROTATED, CONFIGURED)) == PASTED


def test_one_that_is_configured_after_a_login_is_believed() -> None:
    """The login had replaced none."""
    assert refresh_token.present(PASTED, refresh_token.to_keep(ROTATED, None)) == PASTED


def test_one_that_was_taken_out_of_the_configuration_stays_replaced() -> None:
    """Tidying up after a rotation changes nothing."""
    assert refresh_token.present(None, refresh_token.to_keep(ROTATED, CONFIGURED)) == ROTATED


def test_the_replaced_one_is_not_stored() -> None:
    """Only a digest, and another one beside each token."""
    kept = refresh_token.to_keep(ROTATED, CONFIGURED)
    assert CONFIGURED not in kept
    assert kept.partition("instead_of")[2] != refresh_token.to_keep(PASTED, CONFIGURED).partition("instead_of")[2]


@pytest.mark.parametrize("kept", ["", "{", "[]", "null", '"5Aep"', "{}", '{"refresh_token": "x"}'])
def test_anything_else_is_no_refresh_token(kept: str) -> None:
    """Said, not guessed."""
    with pytest.raises(ValueError, match="no refresh token"):
        refresh_token.present(CONFIGURED, kept)
