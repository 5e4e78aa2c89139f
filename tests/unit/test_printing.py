"""printing.py: tables for people fit their screen; what is piped has room for whole ids."""

import pytest

from salesforce_poller import printing

IDS = ("b1946ac92492d2347c6235b4d2611184", "00Q5g00000AbCdEEAV", "HTTP 500: " + "x" * 60)


def shown() -> list[str]:
    """Return the line, or the lines, that one row takes."""
    made = printing.table("event", "record", "why")
    made.add_row(*IDS)
    console = printing.console()
    with console.capture() as capture:
        console.print(made)
    return capture.get().splitlines()[1:]


def test_a_piped_table_keeps_ids_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that they can be searched for and cut out."""
    monkeypatch.delenv("COLUMNS", raising=False)
    [line] = shown()
    assert line.split(maxsplit=2) == list(IDS)


def test_who_says_how_wide_it_is_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then cells are folded, and nothing is cut off."""
    monkeypatch.setenv("COLUMNS", "80")
    assert len(shown()) > 1
    assert all(len(line) <= 80 for line in shown())
