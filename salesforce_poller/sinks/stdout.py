"""Events on standard output: JSON lines for programs, or one coloured line an event for people.

Bytes go straight to the file descriptor, in a thread: nothing is left in Python's buffers, so a reader that went away
is an answer and never a traceback at exit. How a line looks is ``stdout_lines.py``'s business.
"""

import asyncio
import os
import select
import shutil
import sys
from collections.abc import Sequence
from io import StringIO
from typing import Literal

import orjson
from rich.console import Console

from salesforce_poller.errors import capped
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import stdout_lines
from salesforce_poller.sinks.base import Dressed, Sink, SinkSettings

#: Columns of a pretty line when no terminal limits it.
_FILE_WIDTH = 160
_CLOSED = Receipt(Verdict.TRY_LATER, "stdout is closed")


class StdoutSettings(SinkSettings):
    """``type = "stdout"``."""

    type: Literal["stdout"]
    #: ``json``: one CloudEvent a line. ``pretty``: for people; coloured when stdout is a terminal.
    format: Literal["json", "pretty"] = "json"


class Stdout(Sink[StdoutSettings]):
    """The process's standard output."""

    @property
    def batch(self) -> int:
        """A screenful costs as much as a line."""
        return 500

    async def send(self, events: Sequence[Dressed]) -> list[Receipt]:
        """Write the events; all of them are accepted or none."""
        return [await asyncio.to_thread(self._write, events)] * len(events)

    async def probe(self) -> Receipt:
        """Say whether somebody is there to read."""
        return await asyncio.to_thread(self._write, ())

    def _write(self, events: Sequence[Dressed]) -> Receipt:
        if sys.stdout is None:  # the program was started with its stdout closed
            return _CLOSED
        try:
            handle = sys.stdout.fileno()
            text = self._pretty(events, handle) if self._settings.format == "pretty" else _json(events)
            _write_all(handle, text)
        except (BrokenPipeError, ValueError):  # the reader went away; or somebody closed our end
            return _CLOSED
        except OSError as exc:
            return Receipt(Verdict.TRY_LATER, capped(f"stdout: {exc.strerror}"))
        return Receipt(Verdict.ACCEPTED)

    def _pretty(self, events: Sequence[Dressed], handle: int) -> bytes:
        terminal = os.isatty(handle)
        width = shutil.get_terminal_size().columns if terminal else _FILE_WIDTH
        page = StringIO()
        console = Console(file=page, force_terminal=terminal, width=width)
        for each in events:
            console.print(stdout_lines.line(orjson.loads(each.body), width))
        return page.getvalue().encode()


def _json(events: Sequence[Dressed]) -> bytes:
    return b"".join(each.body + b"\n" for each in events)


def _write_all(handle: int, data: bytes) -> None:
    """Write every byte, also to a pipe that somebody made non-blocking."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(handle, rest) :]
        except BlockingIOError:
            select.select([], [handle], [])
