"""The lock beside the store: one process has the store, and its file says how commands reach that process.

Taken by ``database.py`` for as long as a process has the store open for writing; the system drops it with the process,
however that ends. A daemon that serves HTTP writes its address and a key into it, a new key for each run;
``commands/desk.py`` reads them. Only the user whose daemon it is may read the file, as with the store itself.
"""

import fcntl
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from salesforce_poller.errors import StoreError, StoreInUse

#: Bytes; what is longer was not written by us.
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class Holder:
    """The daemon that has the store, as it says itself."""

    pid: int
    #: Where it listens, as seen from this machine.
    host: str
    port: int
    #: Shown as a bearer token; never logged.
    key: str = field(repr=False)


class Lock:
    """The lock of one store, not taken yet."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._handle: int | None = None

    def take(self) -> None:
        """Take it, and forget what the holder before has left in it.

        Raises:
            StoreInUse: another process has it.
            StoreError: the file cannot be made or locked.
        """
        try:
            self._store.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(_path(self._store), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise StoreError(f"cannot use the store {self._store}: {exc.strerror}") from exc
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)
        except BlockingIOError as exc:
            os.close(handle)
            raise StoreInUse(f"another process is using {self._store}; on SQLite only one daemon may run") from exc
        except OSError as exc:
            os.close(handle)
            raise StoreError(f"cannot lock the store {self._store}: {exc.strerror}") from exc
        self._handle = handle

    def announce(self, holder: Holder) -> None:
        """Write down how commands reach this process. The lock must be taken.

        Raises:
            StoreError: it cannot be written.
        """
        assert self._handle is not None, "only who has the lock may say so"
        try:
            os.fchmod(self._handle, 0o600)  # also where somebody made it before us
            os.pwrite(self._handle, orjson.dumps(asdict(holder)), 0)
        except OSError as exc:
            raise StoreError(f"cannot write {_path(self._store)}: {exc.strerror}") from exc

    def release(self) -> None:
        """Give it back. May be called twice, and without :meth:`take`."""
        if self._handle is not None:
            with suppress(OSError):
                os.ftruncate(self._handle, 0)  # the key opens nothing any more
            os.close(self._handle)
            self._handle = None


def holder_of(store: Path) -> Holder | None:
    """Return who has said to have this store; None when nobody has (yet), or when it was no daemon.

    Ask only after :class:`StoreInUse`: what a process has left that was killed stays until the next one comes.

    Raises:
        StoreError: the file is another user's.
    """
    try:
        with _path(store.resolve()).open("rb") as file:
            said = orjson.loads(file.read(_LONGEST))
        return Holder(**said)
    except PermissionError as exc:
        raise StoreError(
            f"the store {store} is in use by another user's process; run the command as that user, or use its HTTP API"
        ) from exc
    except (OSError, ValueError, TypeError):
        return None


def _path(store: Path) -> Path:
    return Path(f"{store}.lock")
