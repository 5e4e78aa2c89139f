"""sinks/file.py: the contract, and what only a file can do."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeClock
from sink_contract import SinkContract, dressed, verdicts

from salesforce_poller.clock import Clock
from salesforce_poller.model import Verdict
from salesforce_poller.sinks.file import File, FileSettings

NOON = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def a_file(path: Path, clock: Clock | None = None, **settings: Any) -> File:
    """Return a file sink."""
    return File(FileSettings(type="file", path=path, **settings), clock or FakeClock())


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


def remove(path: Path) -> None:
    """Take a file away."""
    path.unlink()


def written_at(path: Path, at: datetime) -> None:
    """Make the file as old as that."""
    os.utime(path, (at.timestamp(), at.timestamp()))


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Have the system itself stop a write in its middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


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


async def test_what_is_written_together_is_no_larger_than_a_file_may_be(path: Path) -> None:
    """However many events come at once: five of which two have room in a file."""
    event = dressed()
    sink = a_file(path, rotate_at=2 * len(event.body) + 2, keep=9)
    receipts = await sink.send([event] * 5)
    assert [one.verdict for one in receipts] == [Verdict.ACCEPTED] * 5
    assert [lines(path), lines(path, 1), lines(path, 2)] == [1, 2, 2]


async def test_an_event_larger_than_the_limit_gets_a_file_of_its_own(path: Path) -> None:
    """Refusing it for ever would be worse."""
    sink = a_file(path, rotate_at=10)
    assert await verdicts(sink, [dressed(1)]) == [Verdict.ACCEPTED]
    assert await verdicts(sink, [dressed(2)]) == [Verdict.ACCEPTED]
    assert content(path, 1) == dressed(1).body + b"\n"


async def test_a_file_without_a_limit_is_never_put_aside(path: Path) -> None:
    """``rotate_at = 0``."""
    sink = a_file(path, rotate_at=0, fsync="never")
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


async def test_a_write_that_the_system_cuts_short_leaves_no_half_line(path: Path) -> None:
    """A real one, at a limit on the size of files; when there is room again, the event follows whole."""
    sink = a_file(path)
    await sink.send([dressed(1)])
    before = content(path)
    with no_file_larger_than(len(before) + 20):
        [receipt] = await sink.send([dressed(2)])
    assert (receipt.verdict, receipt.detail) == (Verdict.TRY_LATER, f"{path}: File too large")
    assert content(path) == before
    assert await verdicts(sink, [dressed(2)]) == [Verdict.ACCEPTED]
    assert content(path) == before + dressed(2).body + b"\n"


@pytest.mark.parametrize(("fsync", "kept"), [("batch", 0), ("always", 2)])
async def test_what_is_written_together_is_accepted_together(path: Path, fsync: str, kept: int) -> None:
    """All of a send or nothing; one by one with ``always``, and nothing behind the first failure."""
    line = len(dressed(1).body) + 1
    with no_file_larger_than(2 * line + 20):
        receipts = await a_file(path, fsync=fsync).send([dressed(number) for number in range(1, 5)])
    assert [each.verdict for each in receipts] == [Verdict.ACCEPTED] * kept + [Verdict.TRY_LATER] * (4 - kept)
    assert lines(path) == kept


@pytest.mark.parametrize(("fsync", "files", "folders"), [("always", 3, 1), ("batch", 1, 1), ("never", 0, 0)])
async def test_the_disk_is_waited_for_as_often_as_agreed(
    path: Path, monkeypatch: pytest.MonkeyPatch, fsync: str, files: int, folders: int
) -> None:
    """And once for the folder, when the file is new."""
    waited: list[bool] = []
    synced = os.fsync

    def watched(handle: int) -> None:
        waited.append(os.path.isdir(f"/proc/self/fd/{handle}"))  # noqa: PTH112  # a handle, not a path
        synced(handle)

    monkeypatch.setattr(os, "fsync", watched)
    await a_file(path, fsync=fsync).send([dressed(number) for number in range(3)])
    assert (waited.count(False), waited.count(True)) == (files, folders)


def test_the_words_for_the_disk_may_still_be_true_and_false(path: Path) -> None:
    """As configurations from before have them."""
    read = [FileSettings(type="file", path=path, fsync=word).fsync for word in (True, False)]
    assert read == ["batch", "never"]


async def test_another_day_gets_another_file(path: Path) -> None:
    """Before its first event, by UTC; not for a probe, not for later events, and not when a clock was set back."""
    clock = FakeClock(NOON)
    sink = a_file(path, clock, rotate_every="1d")
    await sink.send([dressed(1)])
    written_at(path, NOON.replace(hour=0))
    await sink.send([dressed(2)])
    assert lines(path) == 2
    written_at(path, NOON.replace(hour=0) - timedelta(seconds=1))
    await sink.probe()
    assert not exists(path, 1)
    await sink.send([dressed(3)])
    assert (lines(path), lines(path, 1)) == (1, 2)
    written_at(path, NOON + timedelta(days=2))
    await sink.send([dressed(4)])
    assert (lines(path), exists(path, 2)) == (2, False)


@pytest.mark.parametrize("span", ["0s", "90m", "30s"])
def test_a_span_that_is_no_whole_hours_is_refused(path: Path, span: str) -> None:
    """Nobody wants a file a minute, and days must begin at midnight."""
    with pytest.raises(ValueError, match='should be whole hours or days, such as "1h" or "1d"'):
        FileSettings(type="file", path=path, rotate_every=span)


async def test_putting_aside_that_was_cut_short_loses_no_file(path: Path) -> None:
    """A crash between two renames leaves a gap; the next time closes it instead of dropping the oldest."""
    sink = a_file(path, rotate_at=1, keep=3)
    for number in range(4):
        await sink.send([dressed(number)])
    oldest, newest = content(path, 3), content(path, 1)
    remove(Path(f"{path}.2"))
    await sink.send([dressed(4)])
    assert (content(path, 3), content(path, 2)) == (oldest, newest)
    assert content(path) == dressed(4).body + b"\n"


async def test_a_folder_that_may_not_be_written_is_an_answer(tmp_path: Path) -> None:
    """A file where the folder should be, as nothing else stops an administrator."""
    (tmp_path / "folder").write_text("")
    [receipt] = await a_file(tmp_path / "folder" / "events.jsonl").send([dressed()])
    assert (receipt.verdict, receipt.detail) == (
        Verdict.TRY_LATER,
        f"{tmp_path / 'folder' / 'events.jsonl'}: File exists",
    )
