"""sinks/stdout.py: the contract, and what happens when nobody reads."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeClock
from sink_contract import SinkContract, dressed, verdicts

from salesforce_poller.model import Verdict
from salesforce_poller.sinks.stdout import Stdout, StdoutSettings


def a_stdout(**settings: Any) -> Stdout:
    """Return a stdout sink."""
    return Stdout(StdoutSettings(type="stdout", **settings), FakeClock())


class TestStdout(SinkContract):
    """The contract, with stdout redirected to a file."""

    @pytest.fixture(autouse=True)
    def _redirected(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        self.path = tmp_path / "stdout"
        self.monkeypatch = monkeypatch
        with self.path.open("w") as self.stdout:
            yield

    def a_sink(self) -> Stdout:
        # Only here: pytest puts its own stdout back between the fixtures and the test.
        self.monkeypatch.setattr(sys, "stdout", self.stdout)
        return a_stdout()

    def a_broken_sink(self) -> Stdout:
        self.stdout.close()
        return self.a_sink()

    def received(self) -> list[bytes]:
        return self.path.read_bytes().split(b"\n")[:-1]


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """Give a function that puts a pipe behind stdout and returns the reading end, which the test closes."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stdout:

        def redirect() -> int:
            monkeypatch.setattr(sys, "stdout", stdout)
            return reading

        yield redirect


async def test_a_closed_pipe_is_an_answer(piped: Callable[[], int]) -> None:
    """The reader went away, as ``head`` does."""
    os.close(piped())
    [receipt] = await a_stdout().send([dressed()])
    assert (receipt.verdict, receipt.detail) == (Verdict.TRY_LATER, "stdout is closed")


async def test_a_pipe_that_does_not_block_gets_every_byte(piped: Callable[[], int]) -> None:
    """Some parents hand us such a pipe; half an event must not count as one."""
    pipe = piped()
    os.set_blocking(sys.stdout.fileno(), False)
    event = dressed(record={"Description": "x" * 1_000_000})
    read = bytearray()

    def reader() -> None:
        while len(read) < len(event.body) + 1:
            read.extend(os.read(pipe, 65536))

    thread = threading.Thread(target=reader)
    thread.start()
    assert await verdicts(a_stdout(), [event]) == [Verdict.ACCEPTED]
    thread.join()
    os.close(pipe)
    assert bytes(read) == event.body + b"\n"


async def test_pretty_is_plain_when_stdout_is_no_terminal(piped: Callable[[], int]) -> None:
    """One line an event, without colours."""
    pipe = piped()
    sink = a_stdout(format="pretty")
    assert await verdicts(sink, [dressed(1), dressed(2)]) == [Verdict.ACCEPTED] * 2
    lines = os.read(pipe, 65536).decode().splitlines()
    os.close(pipe)
    assert (
        lines
        == ["10:00:00  updated    Lead          Ann Example           00Q5g00000AbCdEEAV  Status: Open → Working"] * 2
    )


async def test_pretty_is_coloured_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tried on a terminal of our own."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    reading, writing = os.openpty()
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        await a_stdout(format="pretty").send([dressed()])
    text = os.read(reading, 65536).decode()
    os.close(reading)
    assert "\x1b[36mupdated" in text


def test_a_reader_that_leaves_causes_no_traceback_at_exit() -> None:
    """Not from the send, and not from the interpreter's own last flush."""
    script = (
        "import asyncio\n"
        "from fakes import FakeClock\n"
        "from sink_contract import dressed\n"
        "from salesforce_poller.sinks.stdout import Stdout, StdoutSettings\n"
        "sink = Stdout(StdoutSettings(type='stdout'), FakeClock())\n"
        "[receipt] = asyncio.run(sink.send([dressed()]))\n"
        "raise SystemExit(0 if receipt.detail == 'stdout is closed' else 1)\n"
    )
    tests = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": f"{tests.parent}:{tests}"}
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=writing, stderr=subprocess.PIPE, env=environment, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr.decode()) == (0, "")
