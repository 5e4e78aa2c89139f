"""sinks/kafka.py: the contract of brokers against librdkafka's own mock cluster, and what only Kafka does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
from broker_contract import SECRET, BrokerContract, events_of, eventually, ids
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from confluent_kafka import KafkaError
from fakes import FakeClock
from mock_kafka import MockKafka, headers
from servers import free_port
from sink_contract import dressed

from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.sinks.kafka import Kafka
from salesforce_poller.sinks.kafka_settings import KafkaSettings

TOPIC = "events"


def a_kafka(servers: str, **settings: Any) -> Kafka:
    """Return a Kafka sink that sends to one topic."""
    known = {"type": "kafka", "servers": servers.split(","), "topic": TOPIC, "timeout": "5s"}
    return Kafka(KafkaSettings.model_validate(known | settings), FakeClock())


class TestKafka(BrokerContract):
    """The contract, with one broker behind the proxy."""

    does_not_apply: ClassVar[dict[str, str]] = {
        "login wrong": "the mock brokers have no accounts; a login that fails is a test below",
    }
    #: A producer first asks for a number of its own, and then again half a second later.
    timeout: ClassVar[float] = 2.0
    #: librdkafka waits between its own attempts to connect, longer after each.
    tries: ClassVar[int] = 10

    @pytest.fixture(autouse=True)
    def _cluster(self) -> Iterator[None]:
        with MockKafka(brokers=1) as self.kafka:
            self.kafka.create(TOPIC)
            yield

    @property
    def server(self) -> MockKafka:
        return self.kafka

    def sink_at(self, port: int, **settings: Any) -> Kafka:
        self.kafka.advertise(port)
        return a_kafka(f"127.0.0.1:{port}", options={"message.max.bytes": 2_000_000}, **settings)

    def received(self) -> list[bytes]:
        return [message.value() or b"" for message in self.kafka.messages(TOPIC)]

    def repeat_ids(self) -> list[str]:
        return [headers(message)["event_id"].decode() for message in self.kafka.messages(TOPIC)]

    def too_large(self) -> Dressed:
        return dressed(2, id="2", record_id="001B", record={"Description": "x" * 3_000_000})

    async def with_wrong_login(self) -> Receipt:
        raise NotImplementedError  # see does_not_apply

    def a_broken_sink(self) -> Kafka:
        return a_kafka(f"127.0.0.1:{free_port()}", timeout="0.5s")

    async def test_what_it_accepted_outlives_a_server_killed_in_mid_batch(self) -> None:
        """By a broker that goes between two waves: after a cut, librdkafka would send again by itself."""
        records = ["001A", "001B", "001C"]
        owed = events_of(records, rounds=6)
        accepted: list[str] = []
        async with opened(self.kafka.servers, timeout="1.5s") as sink:
            async with asyncio.timeout(20):  # a busy machine may take more than a sink's timeout to connect
                while first := self._still(owed[:3], accepted):
                    await self._send(sink, first, accepted)
            self.kafka.slow_down(0.1)
            sending = asyncio.create_task(self._send(sink, owed[3:], accepted))
            await asyncio.wait([sending], timeout=0.25)  # two of the five waves
            self.kafka.kill()
            await sending
            assert 3 < len(accepted) < len(owed)
            self.kafka.start()
            self.kafka.slow_down(0)
            assert set(accepted) <= set(ids(self.received()))
            async with asyncio.timeout(20):
                while left := self._still(owed, accepted):
                    await self._send(sink, left, accepted)
        told = self.kafka.messages(TOPIC)
        for record in records:
            own = ids([one.value() or b"" for one in told if one.key() == record.encode()])
            assert list(dict.fromkeys(own)) == [each.event_id for each in owed if each.key == record]


@pytest.fixture
def kafka() -> Iterator[MockKafka]:
    """Run a cluster of three brokers with a topic on all of them."""
    with MockKafka() as cluster:
        cluster.create(TOPIC)
        yield cluster


@asynccontextmanager
async def opened(servers: str, **settings: Any) -> AsyncIterator[Kafka]:
    """Open a sink for a while."""
    sink = a_kafka(servers, **settings)
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close()


async def answer(sink: Kafka, event: Dressed | None = None) -> Receipt:
    """Send one event."""
    [receipt] = await sink.send([event or dressed()])
    return receipt


def values(kafka: MockKafka, topic: str = TOPIC) -> list[bytes | None]:
    """Return what arrived."""
    return [message.value() for message in kafka.messages(topic)]


async def test_a_message_is_read_as_a_cloudevent_and_keyed_by_its_record(kafka: MockKafka) -> None:
    """By the CloudEvents library; all messages of a record are in one partition."""
    async with opened(kafka.servers) as sink:
        receipts = await sink.send(events_of(["001A", "001B", "001C", "001D", "001E"], rounds=3))
    messages = kafka.messages(TOPIC)
    assert {one.reference for one in receipts} == {f"{TOPIC}[{one.partition()}]@{one.offset()}" for one in messages}
    for message in messages:
        read = from_kafka_event(KafkaMessage(headers(message), message.key(), message.value() or b""))
        assert read.get_id() == headers(message)["event_id"].decode()
        assert read.get_attributes()["partitionkey"].encode() == message.key()
    places = {(message.key(), message.partition()) for message in messages}
    assert len(places) == 5
    assert len({partition for _, partition in places}) > 1


async def test_a_topic_can_depend_on_the_event(kafka: MockKafka) -> None:
    """On the org, the object and the kind."""
    kafka.create("sf.acme.Lead-updated")
    async with opened(kafka.servers, topic="sf.{org}.{object}-{kind}") as sink:
        assert (await answer(sink)).verdict is Verdict.ACCEPTED
    assert values(kafka, "sf.acme.Lead-updated") == [dressed().body]


async def test_what_librdkafka_can_repeat_is_its_own_affair(kafka: MockKafka) -> None:
    """Too few replicas for a moment: one message arrives, once."""
    async with opened(kafka.servers) as sink:
        kafka.answer(KafkaError.NOT_ENOUGH_REPLICAS, KafkaError.NOT_LEADER_FOR_PARTITION)
        assert (await answer(sink)).verdict is Verdict.ACCEPTED
    assert values(kafka) == [dressed().body]


@pytest.mark.parametrize(
    ("error", "verdict", "general"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, Verdict.REFUSED, False),
        (KafkaError.INVALID_RECORD, Verdict.REFUSED, False),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, Verdict.REFUSED, True),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, Verdict.REFUSED, True),
        (KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, Verdict.TRY_LATER, False),
        (KafkaError.INVALID_PRODUCER_EPOCH, Verdict.TRY_LATER, False),
    ],
    ids=lambda value: KafkaError(value).name() if isinstance(value, int) and not isinstance(value, bool) else None,
)
async def test_after_an_error_of_the_broker_the_next_event_passes(
    kafka: MockKafka, error: int, verdict: Verdict, general: bool
) -> None:
    """Also where librdkafka's producer would refuse everything from then on: there is a new one."""
    async with opened(kafka.servers) as sink:
        assert (await answer(sink, dressed(1, id="1"))).verdict is Verdict.ACCEPTED
        kafka.answer(error)
        receipt = await answer(sink, dressed(2, id="2"))
        assert (receipt.verdict, receipt.general) == (verdict, general)
        assert TOPIC in receipt.detail
        assert (await answer(sink, dressed(3, id="3"))).verdict is Verdict.ACCEPTED
    assert ids([value or b"" for value in values(kafka)]) == ["1", "3"]


@pytest.mark.parametrize(("topic", "general"), [(TOPIC, True), ("eve{object}", False)])
async def test_a_topic_that_is_not_there_is_refused_until_it_is(topic: str, general: bool) -> None:
    """It speaks of the whole sink only if every event goes there."""
    name = topic.format(object="Lead")
    with MockKafka() as kafka:
        kafka.create(name)
        kafka.refuse(name, KafkaError.UNKNOWN_TOPIC_OR_PART)
        async with opened(kafka.servers, topic=topic, timeout="4s") as sink:
            receipt = await answer(sink)
            assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, general)
            assert receipt.detail == f"{name}: Broker: Unknown topic or partition"
            kafka.refuse(name, None)
            assert (await answer(sink)).verdict is Verdict.ACCEPTED
        assert values(kafka, name) == [dressed().body]


async def test_brokers_that_are_gone_are_named(kafka: MockKafka) -> None:
    """With what the last attempt to reach one of them came to."""
    async with opened(kafka.servers, timeout="3s") as sink:
        assert (await answer(sink, dressed(1, id="1"))).verdict is Verdict.ACCEPTED
        kafka.kill()
        receipt = await answer(sink, dressed(2, id="2"))
        assert receipt.verdict is Verdict.TRY_LATER
        assert receipt.detail.startswith("no acknowledgement within 1.5 s: 127.0.0.1:")
        kafka.start()
        await eventually(lambda: _accepts(sink, dressed(2, id="2")), "the event accepted")
    assert ids([value or b"" for value in values(kafka)]) == ["1", "2"]


async def _accepts(sink: Kafka, event: Dressed) -> bool:
    return (await answer(sink, event)).verdict is Verdict.ACCEPTED


async def test_what_a_cancelled_send_left_behind_does_not_arrive_later(kafka: MockKafka) -> None:
    """Its repeat may have arrived by then, and the event after it."""
    async with opened(kafka.servers) as sink:
        assert (await answer(sink, dressed(1, id="1"))).verdict is Verdict.ACCEPTED
        kafka.kill()
        sending = asyncio.create_task(sink.send([dressed(2, id="2")]))
        await asyncio.wait([sending], timeout=0.3)
        sending.cancel()
        await asyncio.wait([sending])
        kafka.start()
        await eventually(lambda: _accepts(sink, dressed(3, id="3")), "the event accepted")
    assert ids([value or b"" for value in values(kafka)]) == ["1", "3"]


async def test_a_full_queue_is_an_answer(kafka: MockKafka) -> None:
    """What did not fit is sent later."""
    options = {"queue.buffering.max.messages": 2, "linger.ms": 100}
    async with opened(kafka.servers, options=options) as sink:
        receipts = await sink.send([dressed(n, id=str(n), record_id=f"00{n}") for n in range(3)])
    assert [each.verdict for each in receipts] == [Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.TRY_LATER]
    assert receipts[2].detail == "librdkafka's queue is full"


async def test_a_login_that_fails_is_about_the_whole_sink_and_keeps_its_secret(kafka: MockKafka) -> None:
    """These brokers know of no accounts, which librdkafka tells as it tells of a wrong password."""
    account = {"sasl_mechanism": "PLAIN", "username": "ann", "password": SECRET}
    async with opened(kafka.servers, timeout="3s", **account) as sink:
        for receipt in (await answer(sink), await sink.probe()):
            assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True), receipt.detail
            assert "SASL" in receipt.detail
            assert SECRET not in receipt.detail + repr(sink)


async def test_brokers_without_tls_are_not_talked_to_without_it(kafka: MockKafka) -> None:
    """If it was asked for."""
    async with opened(kafka.servers, timeout="3s", tls=True) as sink:
        receipt = await answer(sink)
    assert receipt.verdict is Verdict.TRY_LATER
    assert "ssl://127.0.0.1" in receipt.detail
    assert values(kafka) == []


async def test_a_probe_makes_no_topic() -> None:
    """Although asking these brokers for a topic by its name makes one; that none is there yet is a warning."""
    with MockKafka() as kafka:
        async with opened(kafka.servers, topic="sf.{object}") as sink:
            receipt = await sink.probe()
            assert (receipt.verdict, receipt.detail) == (Verdict.ACCEPTED, "reachable: 3 brokers, 0 topics for events")
            assert "there is no topic sf.{object} yet" in " ".join(await sink.warnings())
            kafka.create("sf.Lead")
            kafka.create("other.Lead")
            assert (await sink.probe()).detail == "reachable: 3 brokers, 1 topics for events"


async def test_a_topic_with_one_replica_is_a_warning(kafka: MockKafka) -> None:
    """So is what these brokers do not tell: how many replicas must be in sync."""
    kafka.create("sf.Lead", replicas=1)
    kafka.create("sf.Contact", replicas=3)
    async with opened(kafka.servers, topic="sf.{object}", timeout="2s") as sink:
        one, unknown = await sink.warnings()
    assert one.startswith("topic sf.Lead has one replica")
    assert unknown.startswith("min.insync.replicas cannot be read of sf.Contact")
