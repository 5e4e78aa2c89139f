"""Has libraries import no others only to offer what we do not use: a process that runs for months keeps them all.

structlog looks for rich, to draw tracebacks with it, and httpx for click, to be a command: 5 MB in all. Used by
``__main__.py`` and ``salesforce/transport.py``. Ground floor: the standard library, and structlog itself.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hidden(*names: str) -> Iterator[None]:
    """Have these modules look as if they were not installed while the block runs, but for those that are there already.

    Only for a library that bears it, and only where nobody else imports at the same time.
    """
    hiding = [name for name in names if name not in sys.modules]
    for name in hiding:
        sys.modules[name] = None  # type: ignore[assignment]  # Python's own way to say so; mypy knows modules only
    try:
        yield
    finally:
        for name in hiding:
            del sys.modules[name]


def import_structlog() -> None:
    """Import structlog as a daemon needs it. Does nothing where it was imported before."""
    with hidden("rich"):
        import structlog  # noqa: F401, PLC0415  # to have been here first is what this is for
