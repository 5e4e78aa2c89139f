"""sinks/webhook.py: the contract, and HTTP as it happens, against a server on this machine with scripted answers."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from email.utils import format_datetime
from urllib.parse import unquote

import orjson
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fakes import FakeClock
from scripted import Receiver, a_webhook, sent, serving
from sink_contract import SinkContract, dressed, verdicts
from standardwebhooks import Webhook as Verifier

from salesforce_poller.model import Verdict
from salesforce_poller.sinks.webhook import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ED25519_SECRET = "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk="


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Serve on a free port of this machine."""
    async with serving() as receiver:
        yield receiver


class TestWebhook(SinkContract):
    """The contract, one event a request."""

    @pytest.fixture(autouse=True)
    def _served(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def a_sink(self) -> Webhook:
        return a_webhook(self.receiver.url)

    def a_broken_sink(self) -> Webhook:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        return a_webhook(f"http://127.0.0.1:{port}/")

    def received(self) -> list[bytes]:
        return self.receiver.bodies


class TestBatchingWebhook(TestWebhook):
    """The same contract, seven events a request."""

    def a_sink(self) -> Webhook:
        return a_webhook(self.receiver.url, batch=7)

    def received(self) -> list[bytes]:
        return [orjson.dumps(event) for body in self.receiver.bodies for event in orjson.loads(body)]


class TestBinaryWebhook(TestWebhook):
    """The same contract in CloudEvents' binary mode: what arrived is put together again from headers and body."""

    def a_sink(self) -> Webhook:
        return a_webhook(self.receiver.url, mode="binary")

    def received(self) -> list[bytes]:
        return [orjson.dumps(self._read(request, body)) for request, body in self._posted()]

    def _posted(self) -> list[tuple[web.Request, bytes]]:
        return list(zip(self.receiver.requests, self.receiver.bodies, strict=True))

    def _read(self, request: web.Request, body: bytes) -> dict[str, object]:
        order = [
            "specversion",
            "id",
            "source",
            "type",
            "subject",
            "time",
            "datacontenttype",
            "partitionkey",
            "sequence",
        ]
        found = {name[3:].lower(): unquote(value) for name, value in request.headers.items() if name[:3] == "ce-"}
        found["datacontenttype"] = request.headers["Content-Type"]
        assert set(found) == set(order)
        return {name: found[name] for name in order} | {"data": orjson.loads(body)}


@pytest.mark.parametrize(
    ("settings", "content"),
    [
        ({"mode": "binary"}, "application/json"),
        ({"format": "plain"}, "application/json"),
        ({"format": "plain", "batch": 5}, "application/json"),
        ({"format": "slack"}, "application/json"),
        ({"batch": 5}, "application/cloudevents-batch+json"),
    ],
)
async def test_every_form_is_signed_over_what_is_posted(
    receiver: Receiver, settings: dict[str, object], content: str
) -> None:
    """Whatever the body is; the reference library takes it."""
    clock = FakeClock()
    await sent(a_webhook(receiver.url, clock, secret=SECRET, **settings), dressed())
    [request], [body] = receiver.requests, receiver.bodies
    assert request.headers["Content-Type"] == content
    theirs = Verifier(SECRET).sign(request.headers["webhook-id"], clock.now(), body.decode())
    assert request.headers["webhook-signature"] == theirs


async def test_a_public_key_verifies_what_its_private_key_signed(receiver: Receiver) -> None:
    """The reference library knows no ed25519, so this is ``cryptography``; the key is the one that ``check`` shows."""
    sink = a_webhook(receiver.url, secret=[ED25519_SECRET, SECRET])
    await sent(sink)
    await sink.open()
    told = (await sink.probe()).detail
    await sink.close()
    assert told.startswith("reachable (HTTP 200 to a HEAD request); its receiver verifies with whpk_")
    [request], [body] = receiver.requests, receiver.bodies
    first, second = request.headers["webhook-signature"].split(" ")
    assert (first[:4], second[:3]) == ("v1a,", "v1,")
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + body
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(told.rpartition("whpk_")[2]))
    key.verify(base64.b64decode(first[4:]), signed)


async def test_what_was_answered_is_kept_for_the_operator(receiver: Receiver) -> None:
    """Of a failure: status, headers, text, and no secret; of a success nothing."""
    receiver.will_answer(422, "s3cr3t-token has no field Foo__c", Set_Cookie="session=hush", X_Request_Id="r-17")
    receipt = await sent(a_webhook(receiver.url, bearer="s3cr3t-token"))
    assert receipt.response.startswith("HTTP 422 Unprocessable Entity\n")
    assert "x-request-id: r-17\n" in receipt.response.lower()
    assert "Set-Cookie: ***\n" in receipt.response
    assert receipt.response.endswith("\n\n*** has no field Foo__c")
    receiver.will_answer(200, "thank you")
    assert (await sent(a_webhook(receiver.url))).response == ""


async def test_an_event_is_signed_as_the_reference_library_verifies(receiver: Receiver) -> None:
    """The id is the event's, the timestamp that of the attempt, and the body the CloudEvent."""
    clock = FakeClock(FakeClock().now())
    event = dressed()
    await sent(a_webhook(receiver.url, clock, secret=SECRET), event)
    [request] = receiver.requests
    assert request.headers["webhook-id"] == event.event_id
    assert request.headers["webhook-timestamp"] == str(int(clock.now().timestamp()))
    assert request.headers["Content-Type"] == "application/cloudevents+json"
    theirs = Verifier(SECRET).sign(event.event_id, clock.now(), event.body.decode())
    assert request.headers["webhook-signature"] == theirs


async def test_while_secrets_are_rotated_both_verify(receiver: Receiver) -> None:
    """The header holds one signature for each secret, in their order."""
    clock = FakeClock()
    event = dressed()
    await sent(a_webhook(receiver.url, clock, secret=[SECRET, OTHER_SECRET]), event)
    theirs = [Verifier(each).sign(event.event_id, clock.now(), event.body.decode()) for each in (SECRET, OTHER_SECRET)]
    assert receiver.requests[0].headers["webhook-signature"].split(" ") == theirs


async def test_without_a_secret_there_is_no_signature(receiver: Receiver) -> None:
    """Rather none than an empty one."""
    await sent(a_webhook(receiver.url))
    assert "webhook-signature" not in receiver.requests[0].headers


async def test_each_attempt_has_its_own_timestamp_and_the_same_id(receiver: Receiver) -> None:
    """The id tells the receiver of a repeat; the timestamp keeps it inside the receiver's tolerance."""
    clock = FakeClock()
    sink = a_webhook(receiver.url, clock)
    await sent(sink)
    clock.advance(3600)
    await sent(sink)
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) == int(first.headers["webhook-timestamp"]) + 3600


async def test_configured_headers_go_along(receiver: Receiver) -> None:
    """Such as a token the receiver's gateway wants."""
    await sent(a_webhook(receiver.url, headers={"Authorization": "Bearer s3cr3t-token"}))
    assert receiver.requests[0].headers["Authorization"] == "Bearer s3cr3t-token"


async def test_a_batch_is_one_request_with_an_id_of_its_own(receiver: Receiver) -> None:
    """The same events give the same id, other events another; the signature covers the whole body."""
    clock = FakeClock()
    sink = a_webhook(receiver.url, clock, batch=10, secret=SECRET)
    pair = [dressed(1, id="1" * 32), dressed(2, id="2" * 32)]
    await sent(sink, *pair)
    await sent(sink, *pair)
    await sent(sink, pair[0])
    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert ids[0] == ids[1] != ids[2]
    assert "." not in ids[0]
    assert receiver.bodies[0] == b"[" + pair[0].body + b"," + pair[1].body + b"]"
    assert receiver.requests[2].headers["Content-Type"] == "application/cloudevents-batch+json"
    theirs = Verifier(SECRET).sign(ids[0], clock.now(), receiver.bodies[0].decode())
    assert receiver.requests[0].headers["webhook-signature"] == theirs


async def test_one_answer_counts_for_the_whole_batch(receiver: Receiver) -> None:
    """There is nothing finer to go by."""
    receiver.will_answer(503)
    sink = a_webhook(receiver.url, batch=3)
    await sink.open()
    assert await verdicts(sink, [dressed(position) for position in range(3)]) == [Verdict.TRY_LATER] * 3
    await sink.close()


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(204, Verdict.ACCEPTED), (404, Verdict.REFUSED), (500, Verdict.TRY_LATER), (410, Verdict.GONE)],
)
async def test_a_status_is_an_answer(receiver: Receiver, status: int, verdict: Verdict) -> None:
    """One of each; all of them are in the tests of ``answers.py``."""
    receiver.will_answer(status, "" if status == 204 else "because")
    receipt = await sent(a_webhook(receiver.url))
    assert (receipt.verdict, receipt.reference) == (verdict, str(status))
    assert verdict is Verdict.ACCEPTED or receipt.detail == f"HTTP {status}: because"


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    """A POST that follows a redirect may lose its body or go where nobody meant it to."""
    receiver.will_answer(307, Location="https://elsewhere.example/hook?token=hush")
    receipt = await sent(a_webhook(receiver.url))
    assert receipt.verdict is Verdict.REFUSED
    assert "elsewhere.example" in receipt.detail
    assert "hush" not in receipt.detail
    assert len(receiver.requests) == 1


async def test_retry_after_as_a_date_is_measured_from_our_clock(receiver: Receiver) -> None:
    """Both clocks are taken to be right."""
    clock = FakeClock()
    receiver.will_answer(429, Retry_After=format_datetime(clock.now() + timedelta(minutes=2), usegmt=True))
    receipt = await sent(a_webhook(receiver.url, clock))
    assert (receipt.verdict, receipt.retry_after) == (Verdict.TRY_LATER, 120.0)


async def test_secrets_do_not_come_back_in_the_detail(receiver: Receiver) -> None:
    """Although this server quotes everything we sent."""

    async def quote(request: web.Request) -> web.StreamResponse:
        return web.Response(status=400, text=f"{request.path_qs} {request.headers['Authorization']}")

    receiver.answer = quote
    sink = a_webhook(receiver.url + "?token=hush-hush", headers={"Authorization": "Bearer s3cr3t-token"})
    assert (await sent(sink)).detail == "HTTP 400: /hook?*** ***"


async def test_a_server_that_says_nothing_is_not_waited_for_for_ever(receiver: Receiver) -> None:
    """The configured time for the whole request is all it gets."""

    async def silence(_request: web.Request) -> web.StreamResponse:
        await receiver.over.wait()
        return web.Response()

    receiver.answer = silence
    receipt = await sent(a_webhook(receiver.url, timeout="50ms"))
    assert (receipt.verdict, receipt.detail) == (Verdict.TRY_LATER, "no answer within 0.05 s")


@pytest.mark.parametrize(("status", "verdict"), [(200, Verdict.ACCEPTED), (500, Verdict.TRY_LATER)])
async def test_the_status_counts_even_when_its_text_never_ends(
    receiver: Receiver, status: int, verdict: Verdict
) -> None:
    """Two kilobytes of it are read; one that stalls before that is cut by the timeout."""

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        await response.write(b"x")
        await receiver.over.wait()
        return response

    receiver.answer = drip
    assert (await sent(a_webhook(receiver.url, timeout="50ms"))).verdict is verdict

    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        await response.write(b"x" * 10_000_000)
        return response

    receiver.answer = flood
    assert (await sent(a_webhook(receiver.url))).verdict is verdict


async def test_connections_are_used_again(receiver: Receiver) -> None:
    """A connection for each event would cost more than the event."""
    sink = a_webhook(receiver.url)
    await sink.open()
    await verdicts(sink, [dressed(position) for position in range(5)])
    await sink.close()
    assert len({request.transport for request in receiver.requests}) == 1


async def test_a_server_that_is_not_http_is_an_answer() -> None:
    """As when the port belongs to something else; the address with its secrets is not repeated."""

    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    async with await asyncio.start_server(babble, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        receipt = await sent(a_webhook(f"http://127.0.0.1:{port}/?token=hush-hush"))
    assert receipt.verdict is Verdict.TRY_LATER
    assert "hush" not in receipt.detail


async def test_a_probe_takes_any_answer_but_a_server_error(receiver: Receiver) -> None:
    """Many receivers refuse a HEAD request; that they refuse it shows that they are there."""
    sink = a_webhook(receiver.url)
    await sink.open()
    receiver.will_answer(405)
    assert (await sink.probe()).detail == "reachable (HTTP 405 to a HEAD request)"
    receiver.will_answer(501)
    assert (await sink.probe()).verdict is Verdict.ACCEPTED
    receiver.will_answer(502)
    assert (await sink.probe()).verdict is Verdict.TRY_LATER
    await sink.close()


async def test_a_sink_that_is_not_open_says_so() -> None:
    """A mistake of ours, but not one that loses an event."""
    [receipt] = await a_webhook("http://127.0.0.1:1/").send([dressed()])
    assert (receipt.verdict, receipt.detail) == (Verdict.TRY_LATER, "the sink is not open")
