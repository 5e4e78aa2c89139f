"""The rules of the house, run instead of only written: floors, captions, walls, words, docstrings."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "salesforce_poller"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
#: No file is longer; one that wants to be has two subjects.
WALL = 400
#: Tests may be longer: a table of cases is one subject.
TEST_WALL = 600
#: No function is longer, counted without its docstring.
LONGEST_FUNCTION = 50


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_the_floors_hold() -> None:
    """Every import contract of pyproject.toml is kept. In a process of its own: import-linter silences our loggers."""
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=_name)
def test_every_file_opens_with_a_caption(path: Path) -> None:
    """What it is, who calls it, where to go next."""
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=_name)
def test_no_file_is_longer_than_the_wall(path: Path) -> None:
    """A file that wants to be longer has two subjects."""
    wall = TEST_WALL if path in TESTS else WALL
    assert len(path.read_text(encoding="utf-8").splitlines()) <= wall


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_no_function_is_endless(path: Path) -> None:
    """A function fits on a screen."""
    for function in _functions(path):
        docstring = ast.get_docstring(function, clean=False)
        length = (function.end_lineno or 0) - function.lineno + 1 - (len(docstring.splitlines()) if docstring else 0)
        assert length <= LONGEST_FUNCTION, f"{function.name} has {length} lines"


@pytest.mark.parametrize("path", [p for p in MODULES if p.name == "__init__.py"], ids=_name)
def test_init_files_hold_a_caption_and_nothing_else(path: Path) -> None:
    """Importing a pure file must not drag anything in."""
    assert len(ast.parse(path.read_text(encoding="utf-8")).body) == 1


@pytest.mark.parametrize("path", [p for p in TESTS if p.name.startswith("test_")], ids=_name)
def test_every_test_says_what_it_claims(path: Path) -> None:
    """One line on each test."""
    for function in _functions(path):
        if function.name.startswith("test_"):
            assert ast.get_docstring(function), function.name


def test_every_exception_to_a_linter_has_a_reason_in_the_margin() -> None:
    """A noqa, a type: ignore or an ignored rule without a reason is a rule nobody believes in."""
    bare = re.compile(r"# noqa: [A-Z0-9, ]+$|# type: ignore\[[^\]]+\]$|# noqa$|# type: ignore$")
    for path in [*MODULES, *TESTS]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            assert not bare.search(line.rstrip()), f"{_name(path)}:{number}: {line.strip()}"
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    ignores = re.search(r"^ignore = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert ignores
    assert all("#" in line for line in ignores[1].splitlines())


def test_the_lock_holds_names_versions_and_hashes_only() -> None:
    """No address of a package index, and nothing unpinned."""
    for path in ROOT.glob("requirements*.lock"):
        for line in path.read_text(encoding="utf-8").splitlines():
            pinned = re.match(r"[a-z0-9-]+(\[[a-z,-]+\])?==[^ ]+( ; .+)? \\$", line)
            assert pinned or re.match(r"    --hash=sha256:[0-9a-f]{64}( \\)?$", line), line


def test_every_dependency_is_locked() -> None:
    """What pyproject.toml asks for, requirements.lock pins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for requirement in wanted:
        name = re.match(r"[A-Za-z0-9-]+", requirement)
        assert name
        assert re.search(rf"^{re.escape(name[0].lower())}(\[[a-z,-]+\])?==", lock, re.MULTILINE), requirement
