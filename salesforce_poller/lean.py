"""Has libraries import no others only to offer what we do not use: a process that runs for months keeps them all.

structlog looks for rich, to draw tracebacks with it, httpx for click, to be a command, and SQLAlchemy's asyncio brings
all of its ORM: 11 MB together. Used by ``__main__.py`` and ``salesforce/transport.py``. Ground floor: the standard
library, and those themselves.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Have these modules look as if they were not installed while the block runs, but for those that are there already.

    Only for a library that bears it, and only where nobody else imports at the same time.
    """
    with _standing_in(dict.fromkeys(names)):
        yield


def import_libraries() -> None:
    """Import structlog and SQLAlchemy as a daemon needs them. Does nothing where they were imported before."""
    with hidden("rich"):
        import structlog  # noqa: F401, PLC0415  # to have been here first is what this is for
    # Their names are taken over by the package, and used by nobody here. Where they move one day, the ORM comes along.
    with _standing_in({f"sqlalchemy.ext.asyncio.{name}": _Anything(name) for name in ("session", "scoping")}):
        import sqlalchemy.ext.asyncio  # noqa: F401, PLC0415  # as above


class _Anything(ModuleType):
    """A module in which every name is there, and means nothing."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


@contextmanager
def _standing_in(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Have these stand for modules that were not imported yet while the block runs; None for one that is not there."""
    standing = {name: module for name, module in modules.items() if name not in sys.modules}
    sys.modules.update(standing)  # type: ignore[arg-type]  # None is Python's own way to say so; mypy knows modules only
    try:
        yield
    finally:
        for name in standing:
            del sys.modules[name]
