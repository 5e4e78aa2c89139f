"""One MQTT connection: paho's client and its thread, whose answers are brought back into the running loop.

Made, used and ended by ``mqtt.py``, which also says what an answer means.
"""

import asyncio
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paho.mqtt.client import Client
    from paho.mqtt.reasoncodes import ReasonCode

#: Reason codes from here on are failures (MQTT 5, 2.4).
FAILURES = 0x80
#: Seconds after which the broker is asked whether it is still there, when there is nothing to send.
_KEEPALIVE = 60


class Rejected(Exception):
    """The broker said no, with a reason code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"the broker says: {text} (0x{code:02x})")
        self.code = code


class Closing(ssl.SSLSocket):
    """A socket that does not stay open when the two cannot agree; paho forgets about it then."""

    def do_handshake(self, block: bool = False) -> None:
        """See :class:`ssl.SSLSocket`."""
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


class Line:
    """One connection: paho's client with its thread, and what is waited for."""

    def __init__(self, client: "Client") -> None:
        self.client = client
        #: Message ids that are not acknowledged yet.
        self.waiting: dict[int, asyncio.Future[ReasonCode]] = {}
        self.lost = False
        #: Nobody waits for it any more: to be closed as soon as it is made.
        self.abandoned = False
        #: Bytes in a packet that the broker takes; None: any.
        self.largest: int | None = None
        self._loop = asyncio.get_running_loop()
        self.welcome: asyncio.Future[None] = self._loop.create_future()
        self.room = asyncio.Semaphore(65_535)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        client.on_socket_open = _without_delay

    def dial(self, host: str, port: int) -> None:
        """Connect, in a thread: TCP, TLS, and MQTT's first word."""
        self.client.connect(host, port, _KEEPALIVE)
        if self.abandoned:
            self.client.disconnect()

    def hang_up(self) -> None:
        """End the connection and its thread; in another thread."""
        connected = self.client.socket()
        self.client.disconnect()
        if isinstance(connected, socket.socket) and self.waiting:  # it may be half open, and nothing is left to be said
            with suppress(OSError):
                socket.socket.shutdown(connected, socket.SHUT_RDWR)
        self.client.loop_stop()
        # paho closes its last sockets when nobody refers to it any more, which these do.
        self.client.on_connect = self.client.on_publish = self.client.on_disconnect = None

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: "ReasonCode", said: Any) -> None:
        self._loop.call_soon_threadsafe(self._welcomed, reason, said)

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: "ReasonCode", _said: Any) -> None:
        self._loop.call_soon_threadsafe(self._acknowledged, mid, reason)

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, reason: "ReasonCode", _said: Any) -> None:
        self._loop.call_soon_threadsafe(self._ended, reason)

    def _welcomed(self, reason: "ReasonCode", said: Any) -> None:
        if self.welcome.done():
            return
        if reason.is_failure:
            self.welcome.set_exception(Rejected(reason.value, str(reason)))
        elif getattr(said, "MaximumQoS", 1) == 0:
            self.welcome.set_exception(Rejected(0x9B, "QoS 0 is all it takes, which is acknowledged by nobody"))
        else:
            self.largest = getattr(said, "MaximumPacketSize", None)
            self.room = asyncio.Semaphore(getattr(said, "ReceiveMaximum", 65_535))
            self.welcome.set_result(None)

    def _acknowledged(self, mid: int, reason: "ReasonCode") -> None:
        future = self.waiting.pop(mid, None)
        if future is not None and not future.done():
            future.set_result(reason)

    def _ended(self, reason: "ReasonCode") -> None:
        self.lost = True
        code = reason.value
        error = Rejected(code, str(reason)) if code > FAILURES else ConnectionResetError("the connection was lost")
        unanswered: list[asyncio.Future[Any]] = [self.welcome, *self.waiting.values()]
        for future in unanswered:
            if not future.done():
                future.set_exception(error)
        self.waiting.clear()


def _without_delay(_client: Any, _data: Any, connection: Any) -> None:
    """Send small packets at once: with Nagle's algorithm, and acknowledgements that wait, ten in flight are slow."""
    with suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
