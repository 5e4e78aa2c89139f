"""A stand-in for AWS in a process of its own, so that it can be killed: moto's server.

What it holds is gone with it, other than at AWS. So whoever has a queue there gives it two errands: what to save before
it is killed, and what to make again when it is back. Fixtures are in ``server_fixtures.py``.
"""

import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from servers import Server, free_port

REGION = "eu-central-1"


def _answers(line: socket.socket) -> bool:
    line.sendall(b"GET /moto-api/data.json HTTP/1.0\r\n\r\n")
    return line.recv(64).startswith(b"HTTP/1.")


def _nothing() -> None:
    """Nothing is to be saved or made again."""


@dataclass(eq=False)
class Moto(Server):
    """A private server of moto's."""

    save: Callable[[], None] = _nothing
    make_again: Callable[[], None] = _nothing

    def kill(self) -> None:
        """End it, after somebody has saved what AWS would not lose."""
        if self.is_there():
            self.save()
        super().kill()

    def start(self) -> None:
        """Start it, unless it runs; then it is as it was before."""
        was_there = self.is_there()
        super().start()
        if not was_there:
            for service, first in (("sqs", "list_queues"), ("sns", "list_topics"), ("events", "list_event_buses")):
                with suppress(ClientError):  # the first call of a service is slow, whatever comes of it
                    getattr(self.client(service), first)()
            self.make_again()

    def client(self, service: str) -> Any:
        """Return a client that is nobody's sink."""
        return boto3.client(
            service,
            region_name=REGION,
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )


@contextmanager
def moto(**environment: str) -> Iterator[Moto]:
    """Start one; ``environment`` has moto's own switches."""
    with tempfile.TemporaryDirectory(prefix="poller-moto-") as folder:
        port = free_port()
        command = (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
        server = Moto(port, _answers, command, Path(folder), environment)
        server.start()
        try:
            yield server
        finally:
            server.save = server.make_again = _nothing
            server.kill()
