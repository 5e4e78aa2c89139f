"""A TCP proxy with faults, between a sink and its server: refuse, reset, stall, slow down, cut in the middle.

Used by ``contracts/broker_contract.py`` and by whoever needs a bad network. Faults are switched while connections live.
It runs in the test's own event loop, so what blocks that loop (a synchronous client in ``received``) must talk to the
server itself and not through here.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from servers import free_port

from salesforce_poller.clock import SystemClock

#: Closed with this, a connection ends with RST and not with FIN.
_NO_LINGER = struct.pack("ii", 1, 0)


@dataclass(eq=False, slots=True)
class _Link:
    """One connection from a client, and what it is spared."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    #: Nothing passes any more, in either direction, and nobody is told.
    stalled: bool = False

    def reset(self) -> None:
        for writer in (self.client, self.server):
            if writer is not None and not writer.transport.is_closing():
                with suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                writer.transport.abort()


class Proxy:
    """``async with Proxy(port) as proxy``: what is sent to ``proxy.port`` goes to ``port``, both of 127.0.0.1."""

    def __init__(self, target: int, *, remembering: bool = False) -> None:
        self.port = free_port()
        #: How many connections were made through it.
        self.connections = 0
        #: How often :meth:`cut` has struck.
        self.cuts = 0
        #: Every byte that clients sent, if it was to be remembered.
        self.heard = bytearray()
        self._target = target
        self._remembering = remembering
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._latency = 0.0
        self._resets = self._stalls = False
        self._left: int | None = None

    async def __aenter__(self) -> Self:
        await self.heal()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def heal(self) -> None:
        """End every fault for new connections; those that were stalled stay so, as half-open ones do."""
        self._latency, self._resets, self._stalls, self._left = 0.0, False, False, None
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    def down(self) -> None:
        """Refuse new connections, and end those that live."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop()

    def drop(self) -> None:
        """Reset the connections that live; new ones are welcome."""
        for link in self._links:
            link.reset()

    def reset(self) -> None:
        """Reset the connections that live, and each new one as soon as it is made."""
        self._resets = True
        self.drop()

    def stall(self) -> None:
        """Accept and never answer: from now on every byte vanishes, on connections old and new."""
        self._stalls = True
        for link in self._links:
            link.stalled = True

    def slow_down(self, seconds: float) -> None:
        """Hold whatever passes for so long, in each direction."""
        self._latency = seconds

    def cut(self, after: int) -> None:
        """Let so many more bytes through to the server, then reset what lives; once."""
        self._left = after

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        link = _Link(writer, stalled=self._stalls)
        self.connections += 1
        self._links.add(link)
        self._tasks.add(task)
        try:
            if self._resets:
                return
            if link.stalled:
                await self._pass_on(reader, writer, link, inwards=True)
                return
            answers, link.server = await asyncio.open_connection("127.0.0.1", self._target)
            back = asyncio.create_task(self._pass_on(answers, writer, link, inwards=False))
            await self._pass_on(reader, link.server, link, inwards=True)
            link.reset()
            await back
        except OSError:
            pass  # refused by the server, or reset by either side: the client is told below
        finally:
            link.reset()
            self._links.discard(link)
            self._tasks.discard(task)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: _Link, *, inwards: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self._latency:
                    await SystemClock().sleep(self._latency)
                if link.stalled:
                    continue
                if inwards and self._remembering:
                    self.heard += data
                if inwards and self._left is not None:
                    data = data[: self._left]  # the rest of it is lost, which is the fault
                    self._left -= len(data)
                writer.write(data)
                await writer.drain()
                if self._left == 0:
                    self._left, self.cuts = None, self.cuts + 1
                    self.drop()
        if not link.stalled:
            link.reset()
