"""store/settings.py and store/postgresql.py: addresses of stores in which a password is not written as it should be."""

import pytest

from salesforce_poller.store.postgresql import without_password
from salesforce_poller.store.settings import checked_url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:pa/ss@host/db",
        "postgresql://u:pa/ss@[::1]:5432/db",
        "postgresql://u:p@ss/word@host/db",
        "postgresql://u:pa#ss@host/db",
        "postgresql://u:pass/x?word@host/db",
    ],
)
def test_what_is_shown_of_an_address_has_no_password(url: str) -> None:
    """Wherever the password may be taken to end."""
    shown = without_password(url)
    assert not [part for part in ("pa", "ss", "word") if part in shown.removeprefix("postgresql://")]


@pytest.mark.parametrize("password", ["pa/ss", "pa#ss", "p@ss/word"])
def test_a_password_that_cuts_its_address_in_two_is_refused(password: str) -> None:
    """And what is said has nothing of it."""
    with pytest.raises(ValueError, match="%2F") as told:
        checked_url(f"postgresql://user:{password}@host/db")
    assert password not in str(told.value)


def test_a_good_address_is_left_as_it_is() -> None:
    """With several hosts and options, too."""
    url = "postgresql://user:p%2Fa%23ss@one,two/db?target_session_attrs=read-write"
    assert (checked_url(url), without_password(url)) == (url, "postgresql://one,two/db")
