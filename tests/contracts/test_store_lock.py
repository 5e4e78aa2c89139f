"""store/lock.py: who has the store, and how commands reach it."""

import os
from pathlib import Path

import pytest

from salesforce_poller.errors import StoreInUse
from salesforce_poller.store.lock import Holder, Lock, holder_of
from salesforce_poller.store.store import Store

HOLDER = Holder(4711, "127.0.0.1", 8080, "the key of this run")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "store.db"


async def test_a_daemon_says_how_it_is_reached_for_as_long_as_it_runs(path: Path) -> None:
    """By whatever name the store is called; afterwards the key opens nothing, and is gone."""
    link = path.with_name("link.db")
    link.symlink_to(path)
    async with Store(str(path)) as store:
        assert holder_of(path) is None, "it has not said so yet"
        store.announce(HOLDER)
        assert holder_of(path) == HOLDER
        assert holder_of(link) == HOLDER
    assert holder_of(path) is None
    assert path.with_name("store.db.lock").read_bytes() == b""


def test_what_a_killed_process_has_left_is_gone_with_the_next_one(path: Path) -> None:
    """Nobody is sent to an address that is somebody else's by now."""
    left = path.with_name("store.db.lock")
    left.write_bytes(b'{"pid":1,"host":"127.0.0.1","port":1,"key":"old"}')
    lock = Lock(path)
    lock.take()
    assert holder_of(path) is None
    with pytest.raises(StoreInUse):
        Lock(path).take()
    lock.release()
    lock.release()


def test_the_key_is_for_one_user_only_and_in_no_text(path: Path) -> None:
    """Also where the file was made with other rights before."""
    file = path.with_name("store.db.lock")
    os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o666))
    file.chmod(0o666)
    lock = Lock(path)
    lock.take()
    lock.announce(HOLDER)
    assert file.stat().st_mode & 0o777 == 0o600
    assert HOLDER.key not in repr(holder_of(path))
    lock.release()


@pytest.mark.parametrize(
    "left", [b"", b"no JSON", b"[]", b'{"pid": 1}', b'{"pid": 1, "host": "x", "port": 2, "more": 3}']
)
def test_what_nobody_of_us_wrote_is_nobody(path: Path, left: bytes) -> None:
    """Half a line, an older version's, a newer one's."""
    path.with_name("store.db.lock").write_bytes(left)
    assert holder_of(path) is None
