"""sinks/rabbitmq.py: the contract of brokers against a real RabbitMQ, and what only RabbitMQ does."""

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from broker_contract import SECRET, BrokerContract, apart, eventually
from certificates import Certificates
from cloudevents.core.bindings.amqp import AMQPMessage, from_amqp_event
from fakes import FakeClock
from servers import Server
from sink_contract import dressed

from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.sinks.rabbitmq import Rabbitmq
from salesforce_poller.sinks.rabbitmq_settings import RabbitmqSettings

ResultT = TypeVar("ResultT")


def a_rabbitmq(port: int, name: str, **settings: Any) -> Rabbitmq:
    """Return a sink that publishes to an exchange."""
    known = {"type": "rabbitmq", "url": f"amqp://127.0.0.1:{port}", "username": "guest", "password": "guest"}
    return Rabbitmq(
        RabbitmqSettings.model_validate({**known, "exchange": name, "timeout": "5s", **settings}), FakeClock()
    )


def on(server: Server, work: Callable[[AbstractChannel], Awaitable[ResultT]]) -> ResultT:
    """Do something with a channel of one's own, not through any proxy."""

    async def connected() -> ResultT:
        async with await aio_pika.connect(port=server.port, host="127.0.0.1") as connection:
            return await work(await connection.channel())

    return apart(connected)


def made(server: Server, name: str, key: str = "#", **queue: Any) -> None:
    """Make an exchange and a queue of one name, both durable, and bind them."""

    async def work(channel: AbstractChannel) -> None:
        exchange = await channel.declare_exchange(name, aio_pika.ExchangeType.TOPIC, durable=True)
        await (await channel.declare_queue(name, durable=True, **queue)).bind(exchange, key)

    on(server, work)


def messages(server: Server, name: str) -> list[AbstractIncomingMessage]:
    """Return what is in a queue, in order; it stays there."""

    async def work(channel: AbstractChannel) -> list[AbstractIncomingMessage]:
        queue = await channel.get_queue(name)
        found: list[AbstractIncomingMessage] = []
        while (message := await queue.get(fail=False)) is not None:
            found.append(message)
        return found

    return on(server, work)


@pytest.fixture
def name(request: pytest.FixtureRequest, rabbitmq_server: Server) -> str:
    """Return the name of an exchange and a queue of this test's own."""
    name = re.sub(r"\W", "-", request.node.name)[:100]
    made(rabbitmq_server, name)
    return name


class TestRabbitmq(BrokerContract):
    """The contract."""

    timeout: ClassVar[float] = 1.0

    @pytest.fixture(autouse=True)
    def _given(self, rabbitmq_server: Server, name: str) -> None:
        self.private, self.name = rabbitmq_server, name

    @property
    def server(self) -> Server:
        return self.private

    def sink_at(self, port: int, **settings: Any) -> Rabbitmq:
        return a_rabbitmq(port, self.name, **settings)

    def received(self) -> list[bytes]:
        return [message.body for message in messages(self.private, self.name)]

    def repeat_ids(self) -> list[str]:
        return [str(message.message_id) for message in messages(self.private, self.name)]

    def too_large(self) -> Dressed:
        return dressed(2, id="2", record_id="001B", record={"Description": "x" * 3_000_000})

    async def with_wrong_login(self) -> Receipt:
        sink = a_rabbitmq(self.private.port, self.name, password=SECRET)
        await sink.open()
        [receipt] = await sink.send([dressed()])
        await sink.close()
        return receipt


@asynccontextmanager
async def opened(server: Server, name: str, **settings: Any) -> AsyncIterator[Rabbitmq]:
    """Open a sink for a while."""
    sink = a_rabbitmq(server.port, name, **settings)
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close()


async def answer(sink: Rabbitmq, event: Dressed | None = None) -> Receipt:
    """Send one event."""
    [receipt] = await sink.send([event or dressed()])
    return receipt


def control(server: Server, *words: str) -> None:
    """Have an administrator do something."""
    program = Path("/usr/lib/rabbitmq/bin/rabbitmqctl")
    command = [str(program) if program.exists() else "rabbitmqctl", "-n", server.environment["RABBITMQ_NODENAME"]]
    subprocess.run([*command, *words], env={**os.environ, **server.environment}, check=True, capture_output=True)


async def test_a_message_says_what_it_is(rabbitmq_server: Server, name: str) -> None:
    """In the properties that AMQP has for it; and it is read as a CloudEvent by the library for that."""
    async with opened(rabbitmq_server, name) as sink:
        assert await answer(sink) == Receipt(Verdict.ACCEPTED, reference=f"{name} acme.Lead.updated")
    [message] = messages(rabbitmq_server, name)
    known = dressed().cloudevent
    assert message.delivery_mode is aio_pika.DeliveryMode.PERSISTENT
    assert (message.message_id, message.type, message.app_id) == (known["id"], known["type"], "salesforce-poller")
    assert message.timestamp == datetime.fromisoformat(known["time"])
    assert message.headers == {"org": "acme", "object": "Lead", "kind": "updated"}
    assert message.routing_key == "acme.Lead.updated"
    read = from_amqp_event(AMQPMessage({"content-type": message.content_type}, {}, message.body))
    assert read.get_id() == known["id"]


@pytest.mark.parametrize(("route", "general"), [("{org}.{object}", False), ("everything", True)])
async def test_a_message_that_no_queue_takes_is_refused_until_one_does(
    rabbitmq_server: Server, name: str, route: str, general: bool
) -> None:
    """It speaks of the whole sink only if every event takes that way."""
    made(rabbitmq_server, f"{name}-2", key="something.else")
    async with opened(rabbitmq_server, f"{name}-2", routing_key=route) as sink:
        receipt = await answer(sink)
        assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, general)
        assert receipt.detail.startswith("no queue takes what exchange ")
        made(rabbitmq_server, f"{name}-2")
        assert (await answer(sink)).verdict is Verdict.ACCEPTED


async def test_an_exchange_that_is_not_there_is_refused_until_it_is(rabbitmq_server: Server, name: str) -> None:
    """For the whole sink; the probe says so as well."""
    async with opened(rabbitmq_server, f"{name}-2") as sink:
        for receipt in (await answer(sink), await sink.probe()):
            assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)
            assert receipt.detail.startswith(f"there is no exchange '{name}-2'")
        made(rabbitmq_server, f"{name}-2")
        assert (await answer(sink)).verdict is Verdict.ACCEPTED
        assert (await sink.probe()).verdict is Verdict.ACCEPTED


async def test_one_missing_exchange_of_many_costs_the_others_nothing(rabbitmq_server: Server, name: str) -> None:
    """Although a broker closes the channel on everybody when it meets one."""
    made(rabbitmq_server, f"{name}-acme")
    events = [dressed(n, id=str(n), record_id=f"00{n}", org=org) for n, org in enumerate(["acme", "none", "acme"])]
    async with opened(rabbitmq_server, f"{name}-{{org}}") as sink:
        receipts = await sink.send(events)
    assert [each.verdict for each in receipts] == [Verdict.ACCEPTED, Verdict.REFUSED, Verdict.ACCEPTED]
    assert not receipts[1].general
    assert [message.message_id for message in messages(rabbitmq_server, f"{name}-acme")] == ["0", "2"]


async def test_an_exchange_that_goes_away_is_noticed(rabbitmq_server: Server, name: str) -> None:
    """The channel is closed under the first event; the second finds out why, and when it is back, it passes."""

    async def delete(channel: AbstractChannel) -> None:
        await channel.exchange_delete(name)

    async with opened(rabbitmq_server, name) as sink:
        assert (await answer(sink)).verdict is Verdict.ACCEPTED
        on(rabbitmq_server, delete)
        first, second = await answer(sink), await answer(sink)
        assert (first.verdict, second.verdict) == (Verdict.TRY_LATER, Verdict.REFUSED)
        assert "no exchange" in first.detail
        made(rabbitmq_server, name)
        assert (await answer(sink)).verdict is Verdict.ACCEPTED


async def test_a_queue_that_is_full_and_says_so_is_tried_later(rabbitmq_server: Server, name: str) -> None:
    """By a negative acknowledgement."""
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    made(rabbitmq_server, f"{name}-2", arguments=arguments)
    async with opened(rabbitmq_server, f"{name}-2") as sink:
        assert (await answer(sink, dressed(1, id="1"))).verdict is Verdict.ACCEPTED
        receipt = await answer(sink, dressed(2, id="2"))
    assert (receipt.verdict, receipt.general) == (Verdict.TRY_LATER, False)
    assert "nack" in receipt.detail


async def test_a_broker_with_an_alarm_is_waited_for(rabbitmq_server: Server, name: str) -> None:
    """It reads nothing more; that is known at once by the second event, and passes when the alarm is over."""
    async with opened(rabbitmq_server, name, timeout="0.5s") as sink:
        assert (await answer(sink, dressed(1, id="1"))).verdict is Verdict.ACCEPTED
        await asyncio.to_thread(control, rabbitmq_server, "set_vm_memory_high_watermark", "0")
        try:
            for _ in range(3):
                receipt = await answer(sink, dressed(2, id="2"))
                assert receipt.verdict is Verdict.TRY_LATER
                assert "alarm" in receipt.detail
            assert (await sink.probe()).verdict is Verdict.TRY_LATER
        finally:
            await asyncio.to_thread(control, rabbitmq_server, "set_vm_memory_high_watermark", "0.4")
        await eventually(lambda: _accepts(sink, dressed(2, id="2")), "the event accepted")
        assert (await answer(sink, dressed(3, id="3"))).verdict is Verdict.ACCEPTED
    told = [message.message_id for message in messages(rabbitmq_server, name)]
    assert told in (["1", "2", "2", "3"], ["1", "2", "3"])


async def _accepts(sink: Rabbitmq, event: Dressed) -> bool:
    return (await answer(sink, event)).verdict is Verdict.ACCEPTED


async def test_an_exchange_that_is_not_for_us_is_refused(rabbitmq_server: Server, name: str) -> None:
    """One for the broker's own use, as one that the user may not write to; it speaks of the whole sink."""

    async def make(channel: AbstractChannel) -> None:
        await channel.declare_exchange(f"{name}-2", internal=True)

    on(rabbitmq_server, make)
    async with opened(rabbitmq_server, f"{name}-2") as sink:
        receipt = await answer(sink)
    assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)
    assert "ACCESS_REFUSED" in receipt.detail


async def test_a_virtual_host_that_is_not_there_is_named(rabbitmq_server: Server, name: str) -> None:
    """The broker's own word for it is lost in the library."""
    async with opened(rabbitmq_server, name, url=f"amqp://127.0.0.1:{rabbitmq_server.port}/no%2Fwhere") as sink:
        receipt = await answer(sink)
    assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)
    assert receipt.detail.startswith("virtual host 'no/where' does not exist, or user ")


async def test_a_routing_key_that_grows_too_long_is_refused(rabbitmq_server: Server, name: str) -> None:
    """That of this event alone."""
    async with opened(rabbitmq_server, name, routing_key="k" * 230 + "{object}") as sink:
        receipt = await answer(sink, dressed(object="A" * 40))
        assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, False)
        assert (await answer(sink)).verdict is Verdict.ACCEPTED


async def test_tls_is_spoken_with_whom_our_authority_knows(
    rabbitmq_server: Server, name: str, some_certificates: Certificates
) -> None:
    """And with nobody else."""
    url = f"amqps://localhost:{rabbitmq_server.tls_port}"
    async with opened(rabbitmq_server, name, url=url, ca=str(some_certificates.ca)) as sink:
        assert (await answer(sink)).verdict is Verdict.ACCEPTED
    async with opened(rabbitmq_server, name, url=url, ca=str(some_certificates.other_ca)) as sink:
        receipt = await answer(sink)
    assert receipt.verdict is Verdict.TRY_LATER
    assert "certificate" in receipt.detail.lower()
    assert len(messages(rabbitmq_server, name)) == 1
