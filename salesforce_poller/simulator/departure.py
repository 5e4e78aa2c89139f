"""How an answer leaves: whole, late, broken off, drop by drop, never ending, or never wanting to end.

Called by `edge` with the headers and the body; the web server sends what comes in pieces in chunks.
"""

import zlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from salesforce_poller.simulator.fault_kinds import Fault

Sleep = Callable[[float], Awaitable[None]]

PIECES = 10
"""How many drops a dripping body comes in."""
BLANKS = b" " * 1_048_576
GZIP = 31
"""zlib's window bits for the gzip format."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """An answer that is ready to go."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    """Compressed, if it is to be."""
    plain: bytes
    """And not."""

    @property
    def compressed(self) -> bool:
        """Whether the body is."""
        return self.body != self.plain


@dataclass(frozen=True, slots=True)
class Line:
    """The connection to whoever asked, in ASGI's terms."""

    scope: Scope
    receive: Receive
    send: Send


async def leave(parcel: Parcel, line: Line, fault: Fault | None, *, sleep: Sleep) -> None:
    """Send the answer the way this fault has it; without one, as it should be. `sleep` makes drops slow."""
    await line.send({"type": "http.response.start", "status": parcel.status, "headers": parcel.headers})
    effect = None if fault is None else fault.effect
    if fault is not None and effect in ("drip", "oversize"):
        for piece in _drops(parcel.body) if effect == "drip" else _oversized(parcel, fault.size):
            if fault.seconds:
                await sleep(fault.seconds)
            await line.send({"type": "http.response.body", "body": piece, "more_body": True})
    if effect in ("truncate", "stall"):
        half = parcel.body[: len(parcel.body) // 2]
        await line.send({"type": "http.response.body", "body": half, "more_body": True})
        if effect == "truncate":
            await hang_up(line, reset=False)
        else:
            await _until_gone(line)
        return
    rest = b"" if effect in ("drip", "oversize") else parcel.body
    await line.send({"type": "http.response.body", "body": rest})


async def hang_up(line: Line, *, reset: bool) -> None:
    """Drop the connection, at once and rudely or after what was sent has left, and wait until it is gone.

    `server.serve` puts the means into the request's state; under another web server the exception does it.
    """
    means = line.scope.get("state", {}).get("hang_up")
    if means is None:
        raise ConnectionResetError("the weather broke the connection")
    means(reset=reset)
    await _until_gone(line)


async def _until_gone(line: Line) -> None:
    while (await line.receive())["type"] != "http.disconnect":
        pass


def _drops(body: bytes) -> Iterator[bytes]:
    size = max(1, -(-len(body) // PIECES))
    for start in range(0, len(body), size):
        yield body[start : start + size]


def _oversized(parcel: Parcel, size: int) -> Iterator[bytes]:
    """The body and blanks behind it, which every JSON parser accepts; compressed, they are next to nothing."""
    packer = zlib.compressobj(1, zlib.DEFLATED, GZIP) if parcel.compressed else None
    for piece in _padded(parcel.plain, size):
        yield piece if packer is None else packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
    if packer is not None:
        yield packer.flush()


def _padded(body: bytes, size: int) -> Iterator[bytes]:
    yield body
    missing = size - len(body)
    while missing > 0:
        yield BLANKS[:missing]
        missing -= len(BLANKS)
