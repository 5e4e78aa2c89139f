"""sinks/webhook.py over a bad network: what a broker's sink lives through, with a receiver that can be killed."""

import secrets
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import http_receiver
import orjson
import pytest
from broker_contract import SECRET, BrokerContract
from servers import Server, free_port
from sink_contract import dressed

from salesforce_poller.clock import SystemClock
from salesforce_poller.model import Receipt
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.sinks.webhook import Webhook, WebhookSettings


def _answers(line: socket.socket) -> bool:
    line.sendall(b"HEAD / HTTP/1.1\r\nHost: here\r\n\r\n")
    return line.recv(64).startswith(b"HTTP/1.1 ")


@pytest.fixture(scope="module")
def http_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a receiver of our own, in a process of its own."""
    folder = tmp_path_factory.mktemp("receiver")
    port = free_port()
    command = (sys.executable, http_receiver.__file__, str(port), str(folder / "received.jsonl"))
    server = Server(port, _answers, command, folder)
    server.start()
    yield server
    server.kill()


class TestWebhookFaults(BrokerContract):
    """One event a request."""

    settings: ClassVar[dict[str, Any]] = {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}

    @pytest.fixture(autouse=True)
    def _served(self, http_server: Server) -> None:
        self._server = http_server
        self._path = f"/{secrets.token_hex(8)}"

    @property
    def server(self) -> Server:
        return self._server

    def sink_at(self, port: int, **settings: Any) -> Webhook:
        known = {"type": "webhook", "url": f"http://127.0.0.1:{port}{self._path}"} | self.settings | settings
        return Webhook(WebhookSettings.model_validate(known), SystemClock())

    def received(self) -> list[bytes]:
        return [each["body"].encode() for each in self._requests()]

    def repeat_ids(self) -> list[str]:
        return [each["headers"]["webhook-id"] for each in self._requests()]

    def too_large(self) -> Dressed:
        return dressed(2, id="2", record_id="001B", record={"Description": "x" * 3_000_000})

    async def with_wrong_login(self) -> Receipt:
        self._path = f"/closed{self._path}"
        sink = self.sink_at(self.server.port, bearer=SECRET)
        await sink.open()
        [receipt] = await sink.send([dressed()])
        await sink.close()
        assert "*** is not the password" in receipt.response
        return receipt

    def _requests(self) -> list[dict[str, Any]]:
        requests = http_receiver.read(Path(self.server.command[-1]))
        return [each for each in requests if each["path"] == self._path]


class TestBatchingWebhookFaults(TestWebhookFaults):
    """Seven events a request."""

    settings: ClassVar[dict[str, Any]] = {"batch": 7}
    does_not_apply: ClassVar[dict[str, str]] = {
        "message too large": "one answer counts for the whole batch",
        "one of many fails": "one answer counts for the whole batch",
        "sent twice": "webhook-id is that of the batch; each event in it has its own",
    }

    def received(self) -> list[bytes]:
        return [orjson.dumps(event) for each in self._requests() for event in orjson.loads(each["body"])]
