"""The only file that asks what time it is, or sleeps. Everything else is handed a :class:`Clock`.

Tests hand in a clock of their own, so that nothing ever waits. The words people use for spans ("30s", "5m", "7d")
are read and written here too, because every room's settings speak them.
"""

import asyncio
import contextlib
import re
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
#: Ten years; anything longer is a slip of the finger, and would overflow somewhere.
_LONGEST = 3650 * 86400
#: SOQL knows instants up to the year 4000, audit fields begin in 1970 (SOQL and SOSL Reference, Date Formats).
_YEARS = range(1970, 4000)
#: Goes on while the machine is suspended, where there is such a clock: a lease that ended meanwhile has ended.
_ELAPSED: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")


def parse_span(value: Any) -> timedelta:
    """Read a span of time such as ``"30s"``, ``"5m"``, ``"12h"`` or ``"7d"``.

    Raises:
        ValueError: when it is anything else; the text says what would be right.
    """
    if isinstance(value, timedelta):
        return value
    match = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('should be a span of time such as "30s", "5m", "12h" or "7d"')
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > _LONGEST:
        raise ValueError("should be ten years at the most")
    return timedelta(seconds=seconds)


def parse_start(value: Any) -> Any:
    """Read where something begins: ``"now"``, ``"beginning"``, or a time; one that does not say otherwise is UTC.

    TOML has dates and times of its own, which come as Python's.

    Raises:
        ValueError: when it is anything else; the text says what would be right.
    """
    if value in ("now", "beginning"):
        return value
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = datetime.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, datetime.min.time())
    if not isinstance(value, datetime):
        raise ValueError('should be "now", "beginning" or a time such as 2026-11-01T00:00:00Z')  # noqa: TRY004  # pydantic's word
    if not _YEARS.start <= value.year < _YEARS.stop:
        raise ValueError(f"should lie between {_YEARS.start} and {_YEARS.stop}, as every stamp does")
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def format_span(seconds: float) -> str:
    """Write a span for people in its largest whole unit: ``90`` is "1m 30s", ``0.25`` is "250ms"."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    rest = round(seconds)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def write_span(span: timedelta) -> str:
    """Write a span of whole seconds as the configuration has it: ``"90s"``, ``"5m"``; :func:`parse_span` reads it."""
    seconds = round(span.total_seconds())
    units = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
    unit, size = next((unit, size) for unit, size in units if not seconds % size)
    return f"{seconds // size}{unit}"


class Clock(Protocol):
    """What the house may ask of time."""

    def now(self) -> datetime:
        """Return the machine's wall clock, aware, UTC. Never used to decide what Salesforce has told us."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards, for measuring spans."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """See :class:`Clock`."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See :class:`Clock`."""
        return time.clock_gettime(_ELAPSED)

    async def sleep(self, seconds: float) -> None:
        """See :class:`Clock`."""
        await asyncio.sleep(seconds)
