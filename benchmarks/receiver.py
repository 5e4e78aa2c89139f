"""A receiver of webhooks that fails in every way there is, and remembers what it took.

Used by ``endurance.py``. It speaks just enough HTTP/1.1 by hand, since no server of a library can be made to answer
half a head, or to reset a connection between two of its bytes.
"""

import asyncio
import random
import re
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

#: Answers that say no. Not among them: 410, by which a receiver asks for the end of all deliveries; and gets it.
STATUSES = (302, 307, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 425, 429, 500, 502, 503, 504)
#: Failures without an answer; the event was not taken.
SILENT = ("reset before the body", "reset", "closed", "no answer", "half a head", "not HTTP")
#: Failures after the event was taken: the sender cannot know, and must send again.
TAKEN = ("taken, then reset", "taken, then no answer", "taken, then half a head")
#: Answers that say yes in an odd way.
ODD = ("half a body", "slow body")
KINDS = (*map(str, STATUSES), *SILENT, *TAKEN, *ODD)

_ID = re.compile(rb"\r\nwebhook-id: (\S+)\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Taken:
    """One time that an event was taken."""

    event_id: str
    #: Which life of the sender it was: 0 until the first kill.
    life: int
    #: Whether the sender was told.
    told: bool


@dataclass
class Receiver:
    """What a user's endpoint is like on a bad day."""

    #: The share of requests that meet a failure.
    failing: float
    rng: random.Random
    url: str = ""
    #: Raised by whoever kills the sender.
    life: int = 0
    taken: list[Taken] = field(default_factory=list)
    #: Places in ``taken`` behind which the sender closed the connection: it had given up waiting, or was killed.
    hung_up: set[int] = field(default_factory=set)
    #: Distinct events in ``taken``.
    known: set[str] = field(default_factory=set)
    #: Those of which the sender was told.
    told: set[str] = field(default_factory=set)
    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter)

    def choose(self) -> str:
        """Return which failure the next request meets; empty: none."""
        self.requests += 1
        if self.rng.random() >= self.failing:
            return ""
        kind = self.rng.choice(KINDS)
        self.failures[kind] += 1
        return kind

    def take(self, event_id: str, *, told: bool) -> None:
        """Remember that an event arrived."""
        self.taken.append(Taken(event_id, self.life, told))
        self.known.add(event_id)
        if told:
            self.told.add(event_id)


class _Connection(asyncio.Protocol):
    """One connection: a request after the other."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._buffer = b""
        self._kind: str | None = None
        #: The place in ``Receiver.taken`` of the latest event here, until another request comes.
        self._latest: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._latest is not None:
            self._receiver.hung_up.add(self._latest)

    def data_received(self, data: bytes) -> None:
        self._latest = None
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        if self._kind is None:
            self._kind = self._receiver.choose()
            if self._kind == "reset before the body":
                self._reset()
                return
        event_id, length = _ID.search(self._buffer, 0, end + 2), _LENGTH.search(self._buffer, 0, end + 2)
        assert event_id and length, "a webhook has an id and a length"  # noqa: PT018  # one claim
        missing = end + 4 + int(length[1]) - len(self._buffer)
        if not missing:
            kind, self._kind, self._buffer = self._kind, None, b""
            self._answer(kind, event_id[1].decode())

    def _answer(self, kind: str, event_id: str) -> None:
        if kind.isdigit():
            extra = b"Retry-After: 2\r\n" if kind == "429" else b"Location: /elsewhere\r\n" if kind[0] == "3" else b""
            self._transport.write(b"HTTP/1.1 %s No\r\n%sContent-Length: 0\r\n\r\n" % (kind.encode(), extra))
            return
        if kind not in SILENT:
            self._receiver.take(event_id, told=kind not in TAKEN)
            self._latest = len(self._receiver.taken) - 1
        what = kind.removeprefix("taken, then ")
        if what == "reset":
            self._reset()
        elif what == "closed":
            self._transport.close()
        elif what == "half a head":
            self._write_and_close(b"HTTP/1.1 20")
        elif what == "not HTTP":
            self._write_and_close(b"220 mail.example.com ESMTP\r\n")
        elif what == "half a body":
            self._write_and_close(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthanks")
        elif what == "slow body":  # its end never comes
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthanks")
        elif what != "no answer":
            self._transport.write(b"HTTP/1.1 204 Yes\r\nContent-Length: 0\r\n\r\n")

    def _write_and_close(self, data: bytes) -> None:
        self._transport.write(data)
        self._transport.close()

    def _reset(self) -> None:
        """Have the other side see "connection reset by peer", and not a polite end."""
        connection: socket.socket = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


@asynccontextmanager
async def receiving(receiver: Receiver) -> AsyncIterator[None]:
    """Serve on a free port of this machine, and tell the receiver its address."""
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(receiver), "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield
    finally:
        server.close()
