"""errors.py: foreign text is one line, short, and commands no terminal."""

import pytest

from salesforce_poller.errors import capped


def test_foreign_text_is_one_line_and_no_longer_than_it_may_be() -> None:
    """What was cut says so."""
    assert capped("  a\n\tb  ") == "a b"
    assert capped("abcdef", 4) == "abc…"
    assert capped("abcd", 4) == "abcd"


@pytest.mark.parametrize("control", ["\x1b[2J", "\x9b2J", "\x07", "\x08", "\x7f", "\x00"])
def test_foreign_text_does_not_command_the_terminal(control: str) -> None:
    """A server's error stands in `dead`, `sinks`, `status` and logs; letters of every script stay."""
    told = capped(f"no {control} Zoë 👩‍💻 می‌خواهم")
    assert told == f"no \ufffd{control[1:]} Zoë 👩‍💻 می‌خواهم"
