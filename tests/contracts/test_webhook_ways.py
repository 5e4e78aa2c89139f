"""sinks/transport.py: certificates, proxies, and addresses that are out of bounds, against servers on this machine."""

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Self

import pytest
from certificates import Certificates
from scripted import Receiver, a_webhook, sent, serving

from salesforce_poller.model import Verdict

#: What a cloud would have there.
METADATA = "169.254.169.254"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Serve on a free port of this machine."""
    async with serving() as receiver:
        yield receiver


def tls(certificates: Certificates, *, asks: bool = False) -> ssl.SSLContext:
    """Return what a server with a certificate needs, that may ask for one as well."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates.ca)
    context.load_cert_chain(certificates.server, certificates.server_key)
    context.verify_mode = ssl.CERT_REQUIRED if asks else ssl.CERT_NONE
    return context


# ---------------------------------------------------------------------- certificates


async def test_an_authority_of_ones_own_is_trusted_instead(some_certificates: Certificates) -> None:
    """With it the receiver is believed; without it, or with another one, it is not, and nothing is posted."""
    wrongs: list[dict[str, Any]] = [{}, {"ca": some_certificates.other_ca}]
    async with serving(tls(some_certificates)) as receiver:
        assert (await sent(a_webhook(receiver.url, ca=some_certificates.ca))).verdict is Verdict.ACCEPTED
        for wrong in wrongs:
            receipt = await sent(a_webhook(receiver.url, **wrong))
            assert receipt.verdict is Verdict.TRY_LATER
            assert receipt.detail.startswith("TLS with localhost:")
            assert "certificate verify failed" in receipt.detail
        assert len(receiver.requests) == 1


async def test_the_name_is_verified_and_not_the_address(some_certificates: Certificates) -> None:
    """127.0.0.2 is the same machine, and not in the certificate."""
    context = tls(some_certificates)
    async with serving(context) as receiver:
        url = receiver.url.replace("localhost", "127.0.0.1")
        assert (await sent(a_webhook(url, ca=some_certificates.ca))).verdict is Verdict.ACCEPTED
        wrong = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.2", 0, ssl=context)
        port = wrong.sockets[0].getsockname()[1]
        receipt = await sent(a_webhook(f"https://127.0.0.2:{port}/", ca=some_certificates.ca))
        wrong.close()
        await wrong.wait_closed()
    assert "IP address mismatch" in receipt.detail


async def test_a_certificate_is_shown_to_whoever_asks_for_it(some_certificates: Certificates) -> None:
    """Without it, such a receiver takes nothing."""
    ours: dict[str, Any] = {"client_certificate": some_certificates.client, "client_key": some_certificates.client_key}
    async with serving(tls(some_certificates, asks=True)) as receiver:
        assert (await sent(a_webhook(receiver.url, ca=some_certificates.ca, **ours))).verdict is Verdict.ACCEPTED
        assert (await sent(a_webhook(receiver.url, ca=some_certificates.ca))).verdict is Verdict.TRY_LATER
        assert len(receiver.requests) == 1


# ---------------------------------------------------------------------- proxies


class Proxy:
    """An HTTP proxy that wants to be logged in to: CONNECT for https, whole addresses for http."""

    def __init__(self, password: str = "") -> None:
        self._shown = b"Basic " + base64.b64encode(b"us:" + password.encode()) if password else b""
        #: The heads of the requests that it was sent.
        self.heads: list[bytes] = []
        self.answer = b""
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.append(writer)
        with suppress(OSError, EOFError):
            await self._pass_on(reader, writer)
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        if self._shown and b"proxy-authorization: " + self._shown.lower() not in head.lower():
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return
        if self.answer:
            writer.write(self.answer)
            return
        method, target, _ = head.decode().split(" ", 2)
        port = int(target.removeprefix("http://").partition("/")[0].rpartition(":")[2])
        theirs, ours = await asyncio.open_connection("127.0.0.1", port)
        self._writers.append(ours)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        else:
            ours.write(head)
        await asyncio.gather(_copy(reader, ours), _copy(theirs, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@pytest.mark.parametrize("secure", [False, True])
async def test_events_go_through_the_proxy(some_certificates: Certificates, secure: bool) -> None:
    """Which is shown its own credentials; over https it sees nothing of ours, and the receiver nothing of its."""
    async with serving(tls(some_certificates) if secure else None) as receiver, Proxy("pa55word") as proxy:
        way = f"http://us:pa55word@127.0.0.1:{proxy.port}"
        sink = a_webhook(receiver.url, bearer="s3cr3t-token", ca=some_certificates.ca, proxy=way)
        assert (await sent(sink)).verdict is Verdict.ACCEPTED
        [request], [head] = receiver.requests, proxy.heads
    assert request.headers["Authorization"] == "Bearer s3cr3t-token"
    assert head.startswith(b"CONNECT localhost:" if secure else b"POST http://localhost:")
    if secure:
        assert "Proxy-Authorization" not in request.headers
        assert b"s3cr3t-token" not in head


@pytest.mark.parametrize("secure", [False, True])
async def test_a_proxy_that_says_no_is_not_the_receiver_that_says_no(
    some_certificates: Certificates, secure: bool
) -> None:
    """Try later, for the sink as a whole; its password is not repeated."""
    async with serving(tls(some_certificates) if secure else None) as receiver, Proxy("other") as proxy:
        way = f"http://us:pa55word@127.0.0.1:{proxy.port}"
        receipt = await sent(a_webhook(receiver.url, ca=some_certificates.ca, proxy=way))
        assert receiver.requests == []
    assert (receipt.verdict, receipt.general) == (Verdict.TRY_LATER, True)
    assert receipt.detail.startswith("the proxy answers HTTP 407")
    assert "pa55word" not in receipt.detail + receipt.response


async def test_a_proxy_that_is_away_is_named(receiver: Receiver) -> None:
    """Without its password."""
    receipt = await sent(a_webhook(receiver.url, proxy="http://us:pa55word@127.0.0.1:1"))
    assert (receipt.verdict, receipt.general) == (Verdict.TRY_LATER, True)
    assert receipt.detail.startswith("cannot connect to the proxy 127.0.0.1:1: ")
    assert "pa55word" not in receipt.detail


async def test_the_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are there for other programs; this one is configured."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert (await sent(a_webhook(receiver.url))).verdict is Verdict.ACCEPTED


# ---------------------------------------------------------------------- addresses


class Names:
    """What names turn out to be, answer by answer; the last one stays."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int, **_options: Any) -> list[Any]:
        """Stand in for ``loop.getaddrinfo``."""
        self.asked += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        kind = socket.AF_INET6 if ":" in answer else socket.AF_INET
        where = (answer, port, 0, 0) if kind == socket.AF_INET6 else (answer, port)
        return [(kind, socket.SOCK_STREAM, 6, "", where)]


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: str) -> Names:
    """Have every name resolve to these, one after the other."""
    names = Names(*answers)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", names)
    return names


@pytest.mark.parametrize("address", [METADATA, "fd00:ec2::254", f"::ffff:{METADATA}", "64:ff9b::a9fe:a9fe"])
async def test_no_name_leads_to_the_credentials_of_machines(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Not even with every network allowed; it is the sink that is wrong, not the event."""
    resolving(monkeypatch, address)
    receipt = await sent(a_webhook("http://innocent.example/"))
    assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)
    assert receipt.detail.startswith("innocent.example: ")
    assert "where clouds keep the credentials" in receipt.detail


async def test_a_name_cannot_change_between_the_check_and_the_connection(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for once for a connection, and that address is checked and connected to."""
    port = receiver.url.rpartition(":")[2].partition("/")[0]
    names = resolving(monkeypatch, "127.0.0.1", METADATA)
    assert (await sent(a_webhook(f"http://rebound.example:{port}/"))).verdict is Verdict.ACCEPTED
    assert names.asked == 1
    assert (await sent(a_webhook(f"http://rebound.example:{port}/"))).verdict is Verdict.REFUSED
    assert names.asked == 2
    assert len(receiver.requests) == 1


async def test_what_is_inside_can_be_put_out_of_bounds(receiver: Receiver) -> None:
    """``localhost`` is a name, so it is found out when connecting; a network that is named opens it again."""
    receipt = await sent(a_webhook(receiver.url, networks="public"))
    assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)
    assert receipt.detail.endswith('is outside of what networks = "public" allows')
    assert receiver.requests == []
    allowed = a_webhook(receiver.url, networks=["public", "127.0.0.0/8"])
    assert (await sent(allowed)).verdict is Verdict.ACCEPTED


async def test_the_token_endpoint_has_the_same_bounds(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked through the same door."""
    resolving(monkeypatch, METADATA)
    oauth2 = {"token_url": "http://innocent.example/token", "client_id": "us", "client_secret": "s3cr3t"}
    receipt = await sent(a_webhook(receiver.url, oauth2=oauth2))
    assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)
    assert receipt.detail.startswith("token endpoint: innocent.example: ")


# ---------------------------------------------------------------------- time


async def test_a_connection_that_is_not_made_is_not_waited_for_for_ever() -> None:
    """A listener with a full queue answers nobody, as a host behind a firewall does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        receipt = await sent(a_webhook(url, connect_timeout="50ms", timeout="10s"))
        for each in waiting:
            each.close()
    assert (receipt.verdict, receipt.detail) == (Verdict.TRY_LATER, "no connection within 0.05 s")
