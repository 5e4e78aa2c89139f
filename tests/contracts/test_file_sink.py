"""sinks/file.py: the contract, and what only a file can do."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeClock
from sink_contract import SinkContract, dressed, verdicts

from salesforce_poller.model import Verdict
from salesforce_poller.sinks.file import File, FileSettings


def a_file(path: Path, **settings: Any) -> File:
    """Return a file sink."""
    return File(FileSettings(type="file", path=path, **settings), FakeClock())


class TestFile(SinkContract):
    """The contract, with a file that has to be made."""

    @pytest.fixture(autouse=True)
    def _somewhere(self, tmp_path: Path) -> None:
        self.path = tmp_path / "new" / "folder" / "events.jsonl"

    def a_sink(self) -> File:
        return a_file(self.path)

    def a_broken_sink(self) -> File:
        return a_file(Path("/proc/nowhere/events.jsonl"))

    def received(self) -> list[bytes]:
        return self.path.read_bytes().split(b"\n")[:-1]


def content(path: Path, aside: int | None = None) -> bytes:
    """Return what is in the file, or in one that was put aside."""
    return (path if aside is None else Path(f"{path}.{aside}")).read_bytes()


def lines(path: Path, aside: int | None = None) -> int:
    """Count the events in it."""
    return content(path, aside).count(b"\n")


def exists(path: Path, aside: int) -> bool:
    """Say whether so many were put aside."""
    return Path(f"{path}.{aside}").exists()


def write(path: Path, data: bytes) -> None:
    """Leave something in the file before the sink comes."""
    path.write_bytes(data)


def move_away(path: Path) -> None:
    """Rename the file under the sink."""
    path.rename(f"{path}.moved")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "events.jsonl"


async def test_half_a_line_left_by_a_crash_is_ended_first(path: Path) -> None:
    """So that the next line is whole; the half event is sent again anyway."""
    write(path, b'{"whole": 1}\n{"hal')
    event = dressed()
    assert await verdicts(a_file(path), [event]) == [Verdict.ACCEPTED]
    assert content(path) == b'{"whole": 1}\n{"hal\n' + event.body + b"\n"


async def test_it_is_put_aside_before_it_grows_too_large(path: Path) -> None:
    """No file is larger than agreed, the newest aside is ``.1``, and only so many are kept."""
    event = dressed()
    sink = a_file(path, rotate_at=2 * len(event.body) + 2, keep=2)
    for number in range(7):
        await sink.send([dressed(number)])
    assert (lines(path), lines(path, 1), lines(path, 2)) == (1, 2, 2)
    assert b'"00000000000000000006"' in content(path)
    assert b'"00000000000000000005"' in content(path, 1)
    assert not exists(path, 3)


async def test_an_event_larger_than_the_limit_gets_a_file_of_its_own(path: Path) -> None:
    """Refusing it for ever would be worse."""
    sink = a_file(path, rotate_at=10)
    assert await verdicts(sink, [dressed(1)]) == [Verdict.ACCEPTED]
    assert await verdicts(sink, [dressed(2)]) == [Verdict.ACCEPTED]
    assert content(path, 1) == dressed(1).body + b"\n"


async def test_a_file_without_a_limit_is_never_put_aside(path: Path) -> None:
    """``rotate_at = 0``."""
    sink = a_file(path, rotate_at=0, fsync=False)
    for number in range(3):
        await sink.send([dressed(number)])
    assert lines(path) == 3


async def test_a_file_that_was_moved_away_is_made_anew(path: Path) -> None:
    """As logrotate does it."""
    sink = a_file(path)
    await sink.send([dressed(1)])
    move_away(path)
    await sink.send([dressed(2)])
    assert content(path) == dressed(2).body + b"\n"


async def test_a_full_disk_is_an_answer_and_leaves_no_half_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was half written is taken back, so that nobody reads a broken line in the meantime."""
    sink = a_file(path)
    await sink.send([dressed(1)])
    before = content(path)
    written = os.write

    def nearly_full(handle: int, data: memoryview) -> int:
        if len(data) < 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written(handle, data[:-50])

    monkeypatch.setattr(os, "write", nearly_full)
    [receipt] = await sink.send([dressed(2)])
    monkeypatch.undo()
    assert (receipt.verdict, receipt.detail) == (Verdict.TRY_LATER, f"{path}: No space left on device")
    assert content(path) == before
