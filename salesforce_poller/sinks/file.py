"""Events appended to a file as JSON lines, on disk before they count as accepted.

The file is opened anew for each send: whoever moves it away (logrotate, a collector) is noticed, and beside the fsync
the opening costs nothing. All of it happens in a thread. To which day a file belongs, its modification time says, which
outlives a restart.
"""

import asyncio
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks.base import Dressed, Sink, SinkSettings, Span

_UNITS = {"": 1, "B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3}
_SIZE = re.compile(r"\s*(\d+)\s*(B|KB|MB|GB|)\s*", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Records are people's data: not for everybody on the machine.
_MODE = 0o640
#: Lines that are put together for a write: all of a batch would be in memory twice.
_AT_ONCE = 250


def _size(value: Any) -> int:
    """Read a size such as ``"100MB"``, in decimal units; a number alone is bytes."""
    match = _SIZE.fullmatch(str(value)) if isinstance(value, str | int) else None
    if match is None:
        raise ValueError('should be a size such as "100MB" or "1GB"; 0 for no limit')
    return int(match[1]) * _UNITS[match[2].upper()]


def _whole_hours(value: timedelta) -> timedelta:
    if not value or value % timedelta(hours=1):
        raise ValueError('should be whole hours or days, such as "1h" or "1d"')
    return value


def _fsync(value: Any) -> Any:
    """Read what the key was before it was a word: true and false."""
    return {True: "batch", False: "never"}[value] if isinstance(value, bool) else value


class FileSettings(SinkSettings):
    """``type = "file"``."""

    type: Literal["file"]
    #: The file; its folder is made when it is missing.
    path: Path
    #: The file is put aside before it would grow beyond this; 0: never.
    rotate_at: Annotated[int, BeforeValidator(_size)] = 100 * 1000**2
    #: The file is put aside before the first event of another day (UTC), or of whatever span is said; None: never.
    rotate_every: Annotated[Span, AfterValidator(_whole_hours)] | None = None
    #: How many files are kept aside: ``path.1`` is the newest.
    keep: Annotated[int, Field(ge=1)] = 10
    #: When to wait for the disk before saying "accepted": after every event, once for what is written together, or
    #: never, so that a power cut can lose the last lines.
    fsync: Annotated[Literal["always", "batch", "never"], BeforeValidator(_fsync)] = "batch"


class File(Sink[FileSettings]):
    """One file, and those put aside."""

    @property
    def batch(self) -> int:
        """One fsync for many lines, and one round of the dispatcher."""
        return 2_000

    async def send(self, events: Sequence[Dressed]) -> list[Receipt]:
        """Append the events. What is written together is accepted together; behind a failure nothing is written."""
        receipts: list[Receipt] = []
        while len(receipts) < len(events) and (not receipts or receipts[-1].verdict is Verdict.ACCEPTED):
            together = self._fitting(events[len(receipts) :])
            receipts += [await self._append([each.body for each in together])] * len(together)
        return receipts + receipts[-1:] * (len(events) - len(receipts))

    def _fitting(self, events: Sequence[Dressed]) -> Sequence[Dressed]:
        """Return those of the next events that are written together: as many as a file may have, or one."""
        if self._settings.fsync == "always":
            return events[:1]
        if not (most := self._settings.rotate_at):
            return events
        sizes = accumulate(len(each.body) + 1 for each in events)
        return events[: max(1, sum(1 for _ in takewhile(most.__ge__, sizes)))]

    async def probe(self) -> Receipt:
        """Say whether the file can be written; makes it when it is missing."""
        return await self._append([])

    async def _append(self, lines: Sequence[bytes]) -> Receipt:
        try:
            await asyncio.to_thread(_append, self._settings, lines, self._clock.now())
        except OSError as exc:
            return Receipt(Verdict.TRY_LATER, f"{self._settings.path}: {exc.strerror}")
        return Receipt(Verdict.ACCEPTED)


def _append(settings: FileSettings, lines: Sequence[bytes], now: datetime) -> None:
    """Append lines, to a new file where the present one is full or of another day; none for a probe."""
    path, fsync = settings.path, settings.fsync != "never"
    path.parent.mkdir(parents=True, exist_ok=True)
    made = not path.exists()
    if lines and not made and _is_over(settings, path.stat(), sum(map(len, lines)) + len(lines), now):
        _put_aside(path, settings.keep)
        made = True
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _MODE)
    try:
        _write(handle, lines)
        if fsync:
            os.fsync(handle)
    finally:
        os.close(handle)
    if made and fsync:
        _sync_folder(path.parent)


def _is_over(settings: FileSettings, present: os.stat_result, more: int, now: datetime) -> bool:
    """Say whether the present file has had its last event. An empty one has not had its first."""
    if not present.st_size:
        return False
    if settings.rotate_at and present.st_size + more > settings.rotate_at:
        return True
    if settings.rotate_every is None:
        return False
    written_at = _EPOCH + timedelta(microseconds=present.st_mtime_ns // 1000)
    return (written_at - _EPOCH) // settings.rotate_every < (now - _EPOCH) // settings.rotate_every


def _write(handle: int, lines: Sequence[bytes]) -> None:
    """Append whole lines: behind what a crash may have left, and without leaving any when the disk is full."""
    size = os.fstat(handle).st_size
    head = b"\n" if size and lines and os.pread(handle, 1, size - 1) != b"\n" else b""
    try:
        for start in range(0, len(lines), _AT_ONCE):
            rest = memoryview(head + b"\n".join([*lines[start : start + _AT_ONCE], b""]))
            head = b""
            while rest:
                rest = rest[os.write(handle, rest) :]
    except OSError:
        os.ftruncate(handle, size)
        raise


def _put_aside(path: Path, keep: int) -> None:
    """Rename the file to ``path.1``, ``path.1`` to ``path.2`` and so on, up to the first gap; else the oldest goes.

    A gap is what a crash between two renames leaves: closing it loses nothing, going on as if there were none would.
    """
    aside = [path.with_name(f"{path.name}.{number}") for number in range(1, keep + 1)]
    gap = next((place for place, one in enumerate(aside) if not one.exists()), keep - 1)
    for place in range(gap, 0, -1):
        aside[place - 1].replace(aside[place])
    path.replace(aside[0])


def _sync_folder(folder: Path) -> None:
    """Put the file's name on disk too; a new file can vanish in a power cut without it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
