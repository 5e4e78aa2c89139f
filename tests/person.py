"""Somebody with a browser, who logs in: the browser is an HTTP client. Used by stories about ``login``."""

import asyncio
import socket

import httpx

#: Seconds after which a page that should long be there is called stuck.
STUCK = 60


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Person:
    """Somebody with a browser: ``open`` is told an address and follows it wherever it leads."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.told: list[str] = []
        self.asked = asyncio.Event()
        self.address = ""
        self.visits: list[asyncio.Task[httpx.Response]] = []

    def say(self, line: str) -> None:
        """Take note of a line."""
        self.told.append(line)
        if "/services/oauth2/authorize?" in line:
            self.address = line
            self.asked.set()

    async def visit(self, address: str) -> httpx.Response:
        """Open an address and follow it to its end."""
        async with httpx.AsyncClient(follow_redirects=True, timeout=STUCK) as browser:
            return await browser.get(address)

    async def follow(self) -> httpx.Response:
        """Wait for the address and open it."""
        await self.asked.wait()
        return await self.visit(self.address)

    @property
    def callback(self) -> str:
        """Where the browser comes back to."""
        return f"http://localhost:{self.port}/callback"
