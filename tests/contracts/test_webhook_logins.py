"""sinks/webhook.py: how it logs in at a receiver, against a server on this machine with scripted answers."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from fakes import FakeClock
from scripted import Receiver, a_webhook, sent, serving
from sink_contract import dressed

from salesforce_poller.model import Verdict
from salesforce_poller.sinks.webhook import Webhook

SECRET = "cl1ent-s3cret"


class Login(Receiver):
    """What the token endpoint says, and what the receiver behind the login does."""

    def __init__(self, receiver: Receiver) -> None:
        super().__init__()
        self.receiver = receiver
        receiver.answer = self.both
        #: How many tokens were given out.
        self.tokens = 0
        #: Tokens that the receiver takes; None: any.
        self.good: set[str] | None = None
        self.endpoint: web.Response | None = None

    async def both(self, request: web.Request) -> web.StreamResponse:
        """Answer at the endpoint with a new token, and elsewhere as the token deserves."""
        if request.path == "/token":
            await asyncio.sleep(0)  # noqa: TID251  # a turn of the loop, not a wait
            if self.endpoint is not None:
                return web.Response(status=self.endpoint.status, headers=self.endpoint.headers)
            self.tokens += 1
            return web.json_response({"access_token": f"token-{self.tokens:08}", "expires_in": 3600})
        shown = request.headers["Authorization"].removeprefix("Bearer ")
        return web.Response(status=204 if self.good is None or shown in self.good else 401, text=shown)

    def shown(self) -> list[str]:
        """Return what the receiver was shown, in order."""
        return [each.headers["Authorization"] for each in self.receiver.requests if each.path != "/token"]

    def asked(self) -> int:
        """Return how often the endpoint was asked."""
        return sum(each.path == "/token" for each in self.receiver.requests)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Serve on a free port of this machine."""
    async with serving() as receiver:
        yield receiver


@pytest.fixture
def login(receiver: Receiver) -> Login:
    """Put a token endpoint beside the receiver."""
    return Login(receiver)


def with_oauth(receiver: Receiver, clock: FakeClock | None = None, **settings: Any) -> Webhook:
    """Return a sink that logs in."""
    token_url = receiver.url.replace("/hook", "/token")
    oauth2 = {"token_url": token_url, "client_id": "us", "client_secret": SECRET}
    return a_webhook(receiver.url, clock, oauth2=oauth2, **settings)


async def test_basic_and_bearer_are_headers(receiver: Receiver) -> None:
    """As their RFCs have them: UTF-8, base64."""
    await sent(a_webhook(receiver.url, basic={"username": "us", "password": "pässword"}))
    await sent(a_webhook(receiver.url, bearer="abc"))
    first, second = (each.headers["Authorization"] for each in receiver.requests)
    assert base64.b64decode(first.removeprefix("Basic ")).decode() == "us:pässword"
    assert second == "Bearer abc"


async def test_a_password_does_not_come_back(receiver: Receiver) -> None:
    """Neither as it is nor as it travels."""

    async def quote(request: web.Request) -> web.StreamResponse:
        return web.Response(status=400, text=f"{request.headers['Authorization']} pa55word")

    receiver.answer = quote
    receipt = await sent(a_webhook(receiver.url, basic={"username": "us", "password": "pa55word"}))
    assert receipt.detail == "HTTP 400: *** ***"
    assert receipt.response.endswith("*** ***")


async def test_one_token_serves_many(login: Login) -> None:
    """Those who need it at the same time wait for one request."""
    sink = with_oauth(login.receiver, concurrency=5)
    await sink.open()
    answers = await asyncio.gather(*(sink.send([dressed(n)]) for n in range(5)))
    assert {receipt.verdict for [receipt] in answers} == {Verdict.ACCEPTED}
    assert (login.asked(), set(login.shown())) == (1, {"Bearer token-00000001"})
    assert (await sink.probe()).verdict is Verdict.ACCEPTED
    assert login.asked() == 1
    await sink.close()


async def test_a_token_is_replaced_before_it_ends(login: Login) -> None:
    """A minute before; until then it is used."""
    clock = FakeClock()
    sink = with_oauth(login.receiver, clock)
    await sink.open()
    for seconds in (0, 3539, 1):
        clock.advance(seconds)
        await sink.send([dressed()])
    await sink.close()
    assert login.shown() == ["Bearer token-00000001"] * 2 + ["Bearer token-00000002"]


async def test_a_token_that_is_refused_is_replaced_once(login: Login) -> None:
    """A 401 is worth one new token; after that it is what it says. A success forgives."""
    sink = with_oauth(login.receiver)
    await sink.open()
    login.good = {"token-00000002"}
    [receipt] = await sink.send([dressed()])
    assert (receipt.verdict, receipt.reference) == (Verdict.TRY_LATER, "401")
    assert receipt.detail.startswith("a new token is fetched: HTTP 401")
    assert (await sink.send([dressed()]))[0].verdict is Verdict.ACCEPTED
    login.good = set()
    verdicts = [(await sink.send([dressed()]))[0] for _ in range(3)]
    assert [each.verdict for each in verdicts] == [Verdict.TRY_LATER, Verdict.REFUSED, Verdict.REFUSED]
    assert verdicts[-1].general
    assert "token-0" not in "".join(each.detail + each.response for each in verdicts)
    await sink.close()


async def test_side_by_side_refusals_cost_one_token(login: Login) -> None:
    """Those that were on their way with the old token do not drop the new one."""
    sink = with_oauth(login.receiver, concurrency=5)
    await sink.open()
    login.good = {"token-00000002"}
    for wanted in (Verdict.TRY_LATER, Verdict.ACCEPTED):
        answers = await asyncio.gather(*(sink.send([dressed(n)]) for n in range(5)))
        assert {receipt.verdict for [receipt] in answers} == {wanted}
    assert login.tokens == 2
    await sink.close()


async def test_without_a_token_nothing_is_posted(login: Login) -> None:
    """What the endpoint says is the answer, for everybody who waits; the next one asks again."""
    login.endpoint = web.Response(status=503, headers={"Retry-After": "7"})
    sink = with_oauth(login.receiver, concurrency=5)
    await sink.open()
    answers = await asyncio.gather(*(sink.send([dressed(n)]) for n in range(5)))
    assert {(one.verdict, one.retry_after, one.general) for [one] in answers} == {(Verdict.TRY_LATER, 7.0, True)}
    assert (login.asked(), login.shown()) == (1, [])
    login.endpoint = None
    assert (await sink.send([dressed()]))[0].verdict is Verdict.ACCEPTED
    await sink.close()


async def test_an_endpoint_that_is_away_is_an_answer(receiver: Receiver) -> None:
    """And says that it is the endpoint that is away."""
    oauth2 = {"token_url": "http://127.0.0.1:1/token", "client_id": "us", "client_secret": SECRET}
    receipt = await sent(a_webhook(receiver.url, oauth2=oauth2))
    assert receipt.verdict is Verdict.TRY_LATER
    assert receipt.detail.startswith("token endpoint: cannot connect to 127.0.0.1:1")
    assert receiver.requests == []


async def test_closing_does_not_wait_for_the_endpoint(login: Login) -> None:
    """A daemon that ends does not ask for tokens any more."""
    asked = asyncio.Event()

    async def silence(_request: web.Request) -> web.StreamResponse:
        asked.set()
        await login.receiver.over.wait()
        return web.Response()

    login.receiver.answer = silence
    sink = with_oauth(login.receiver)
    await sink.open()
    sending = asyncio.create_task(sink.send([dressed()]))
    await asked.wait()
    await sink.close()
    with pytest.raises(asyncio.CancelledError):
        await sending
