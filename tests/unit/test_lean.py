"""lean.py: what a daemon does without is not imported, and can still be by whoever wants it."""

import importlib
import subprocess
import sys

import pytest

from salesforce_poller import lean

#: Imports what `python -m salesforce_poller run` does, and prints the names of all modules.
_PROGRAM = """
import sys
from salesforce_poller import lean
lean.import_libraries()
from salesforce_poller import cli
print("\\n".join(sys.modules))
{more}
"""
#: Each is imported where a configuration, or a command, asks for it.
_ELSEWHERE = [
    "aiohttp",
    "alembic",
    "asyncpg",
    "cel_expr_python",
    "click",
    "cryptography",
    "jwt",
    "prometheus_client",
    "rich",
    "salesforce_poller.commands.others",
    "sqlalchemy.orm",
    "starlette",
    "uvicorn",
]


def run(more: str = "") -> list[str]:
    """Import the program in a process of its own, and then do more; returns what it prints, line by line."""
    program = [sys.executable, "-c", _PROGRAM.format(more=more)]
    return subprocess.run(program, check=True, capture_output=True, text=True).stdout.splitlines()


def test_a_daemon_imports_nothing_that_it_may_not_need() -> None:
    """Nobody's line of imports brings one of them back unnoticed: together they are 30 MB and half a second."""
    modules = set(run())
    assert "salesforce_poller.app" in modules
    assert [name for name in _ELSEWHERE if name in modules] == []


def test_what_was_left_out_can_be_imported_later() -> None:
    """Alembic needs the ORM, a command rich; nothing stands in for them any more."""
    more = "import rich.console, click, sqlalchemy.orm, sqlalchemy.ext.asyncio.session as one; print(one.AsyncSession)"
    assert run(more)[-1] == "<class 'sqlalchemy.ext.asyncio.session.AsyncSession'>"


def test_what_is_hidden_is_there_again_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was imported before is not hidden from anybody."""
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with lean.hidden("this", "json"):
        assert importlib.import_module("json").loads
        with pytest.raises(ImportError):
            importlib.import_module("this")
    assert "this" not in sys.modules
    assert sys.modules["json"] is not None
