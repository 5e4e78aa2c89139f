"""Events appended to a file as JSON lines, on disk before they count as accepted.

The file is opened anew for each send: whoever moves it away (logrotate, a collector) is noticed, and beside the fsync
the opening costs nothing. All of it happens in a thread.
"""

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks.base import Dressed, Sink, SinkSettings

_UNITS = {"": 1, "B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3}
_SIZE = re.compile(r"\s*(\d+)\s*(B|KB|MB|GB|)\s*", re.IGNORECASE)
#: Records are people's data: not for everybody on the machine.
_MODE = 0o640


def _size(value: Any) -> int:
    """Read a size such as ``"100MB"``, in decimal units; a number alone is bytes."""
    match = _SIZE.fullmatch(str(value)) if isinstance(value, str | int) else None
    if match is None:
        raise ValueError('should be a size such as "100MB" or "1GB"; 0 for no limit')
    return int(match[1]) * _UNITS[match[2].upper()]


class FileSettings(SinkSettings):
    """``type = "file"``."""

    type: Literal["file"]
    #: The file; its folder is made when it is missing.
    path: Path
    #: The file is put aside before it would grow beyond this; 0: never.
    rotate_at: Annotated[int, BeforeValidator(_size)] = 100 * 1000**2
    #: How many files are kept aside: ``path.1`` is the newest.
    keep: Annotated[int, Field(ge=1)] = 10
    #: Wait for the disk before saying "accepted". Without it a power cut can lose the last lines.
    fsync: bool = True


class File(Sink[FileSettings]):
    """One file, and those put aside."""

    @property
    def batch(self) -> int:
        """One fsync for many lines."""
        return 500

    async def send(self, events: Sequence[Dressed]) -> list[Receipt]:
        """Append the events; all of them are accepted or none."""
        lines = b"".join(each.body + b"\n" for each in events)
        return [await asyncio.to_thread(self._try, lines)] * len(events)

    async def probe(self) -> Receipt:
        """Say whether the file can be written; makes it when it is missing."""
        return await asyncio.to_thread(self._try, b"")

    def _try(self, lines: bytes) -> Receipt:
        try:
            self._append(lines)
        except OSError as exc:
            return Receipt(Verdict.TRY_LATER, f"{self._settings.path}: {exc.strerror}")
        return Receipt(Verdict.ACCEPTED)

    def _append(self, lines: bytes) -> None:
        path = self._settings.path
        path.parent.mkdir(parents=True, exist_ok=True)
        size = path.stat().st_size if path.exists() else None
        if size and self._settings.rotate_at and size + len(lines) > self._settings.rotate_at:
            _put_aside(path, self._settings.keep)
            size = None
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _MODE)
        try:
            _write(handle, lines)
            if self._settings.fsync:
                os.fsync(handle)
        finally:
            os.close(handle)
        if size is None and self._settings.fsync:
            _sync_folder(path.parent)


def _write(handle: int, lines: bytes) -> None:
    """Append whole lines: behind what a crash may have left, and without leaving half a line when the disk is full."""
    size = os.fstat(handle).st_size
    if size and lines and os.pread(handle, 1, size - 1) != b"\n":
        lines = b"\n" + lines
    rest = memoryview(lines)
    try:
        while rest:
            rest = rest[os.write(handle, rest) :]
    except OSError:
        os.ftruncate(handle, size)
        raise


def _put_aside(path: Path, keep: int) -> None:
    """Rename the file to ``path.1``, ``path.1`` to ``path.2`` and so on; the oldest goes."""
    for number in range(keep - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))


def _sync_folder(folder: Path) -> None:
    """Put the file's name on disk too; a new file can vanish in a power cut without it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
