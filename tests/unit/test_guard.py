"""admin/guard.py: who may ask the daemon what."""

import pytest
from pydantic import SecretStr, ValidationError

from salesforce_poller.admin.guard import Guard
from salesforce_poller.admin.settings import HttpSettings

KEY = "the-key-of-this-run"
TOKEN = "the-token"
OPEN = Guard(None, SecretStr(KEY))
CLOSED = Guard(SecretStr(TOKEN), SecretStr(KEY))


def bearer(shown: str, host: str = "127.0.0.1:8080") -> dict[str, str]:
    """Return the headers of a request that shows something."""
    return {"authorization": f"Bearer {shown}", "host": host}


@pytest.mark.parametrize("guard", [OPEN, CLOSED])
def test_the_key_of_the_run_opens_everything(guard: Guard) -> None:
    """Commands on this machine show it; where there is a token, that one does as well."""
    assert guard.acting(bearer(KEY)) is None
    assert guard.looking(bearer(KEY)) is None
    assert CLOSED.acting(bearer(TOKEN)) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1:8080"},
        bearer(""),
        bearer("None"),
        bearer(KEY[:-1]),
        bearer(KEY + " " + KEY),
        {"authorization": KEY, "host": "localhost"},
        {"authorization": f"Basic {KEY}", "host": "localhost"},
        {"authorization": "", "host": "localhost"},
    ],
)
def test_nobody_changes_anything_without_one(headers: dict[str, str]) -> None:
    """Not from this machine either: a page in a browser can post to localhost."""
    no = OPEN.acting(headers)
    assert no is not None
    assert (no.status, "set token" in no.why) == (403, True)
    no = CLOSED.acting(headers)
    assert no is not None
    assert no.status == 401


def test_an_empty_token_would_let_everybody_in_and_is_refused() -> None:
    """An environment variable that is set to nothing, for example."""
    for empty in ("", "  "):
        with pytest.raises(ValidationError, match="would let everybody in"):
            HttpSettings.model_validate({"token": empty})


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST", "[::1]:8080", "127.0.0.1"])
def test_how_things_stand_is_told_on_this_machine(host: str) -> None:
    """Where there is no token; where there is one, to who shows it."""
    assert OPEN.looking({"host": host}) is None
    no = CLOSED.looking({"host": host})
    assert no is not None
    assert no.status == 401


@pytest.mark.parametrize("host", ["evil.example:8080", "127.0.0.1.evil.example", "", "localhost.evil.example:80"])
def test_a_page_that_took_our_address_is_told_nothing(host: str) -> None:
    """DNS rebinding: the browser asks this machine, and says whom it thinks it asks."""
    no = OPEN.looking({"host": host})
    assert no is not None
    assert no.status == 403


def test_the_key_is_in_no_text_of_the_guard() -> None:
    """It would land in a log sooner or later."""
    assert KEY not in repr(CLOSED)
    assert TOKEN not in repr(CLOSED)
