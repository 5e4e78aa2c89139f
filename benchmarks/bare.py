"""What the bare client of each kind of sink manages: the same bodies, confirmed in the same way, and nothing else.

Each function connects, and yields what sends a list of events and comes back when all of them are confirmed. They
batch as the sinks do; they keep no order per record, judge no answer and remember nothing. Used by ``sinks.py``.
"""

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiohttp

from salesforce_poller.sinks.base import Dressed

Send = Callable[[Sequence[Dressed]], Awaitable[None]]

_LINES = 500
_WAVE = 100
_CALL = 10


def _chunks(events: Sequence[Dressed], size: int) -> Iterator[Sequence[Dressed]]:
    return (events[first : first + size] for first in range(0, len(events), size))


@asynccontextmanager
async def webhook(url: str, connections: int) -> AsyncIterator[Send]:
    """Posts with aiohttp, so many side by side; confirmed by 2xx."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:

        async def send(events: Sequence[Dressed]) -> None:
            waiting = iter(events)

            async def post() -> None:
                for each in waiting:
                    async with session.post(url, data=each.body, headers={"webhook-id": each.event_id}) as response:
                        await response.read()
                        response.raise_for_status()

            await asyncio.gather(*(post() for _ in range(connections)))

        yield send


@asynccontextmanager
async def lines(write: Callable[[bytes], None]) -> AsyncIterator[Send]:
    """Writes lines, many at once, in a thread."""

    async def send(events: Sequence[Dressed]) -> None:
        for chunk in _chunks(events, _LINES):
            await asyncio.to_thread(write, b"".join(each.body + b"\n" for each in chunk))

    yield send


@asynccontextmanager
async def stdout() -> AsyncIterator[Send]:
    """Writes lines to standard output."""
    async with lines(lambda data: _discard(os.write(sys.stdout.fileno(), data))) as send:
        yield send


@asynccontextmanager
async def file(path: Path) -> AsyncIterator[Send]:
    """Appends lines to a file; confirmed by the disk."""
    with path.open("ab", buffering=0) as handle:

        def write(data: bytes) -> None:
            handle.write(data)
            os.fsync(handle.fileno())

        async with lines(write) as send:
            yield send


@asynccontextmanager
async def redis(port: int) -> AsyncIterator[Send]:
    """Appends to a stream in pipelines; confirmed by the entry's id."""
    from redis.asyncio import Redis

    async with Redis(port=port) as client:

        async def send(events: Sequence[Dressed]) -> None:
            for chunk in _chunks(events, _LINES):
                async with client.pipeline(transaction=False) as pipeline:
                    for each in chunk:
                        pipeline.xadd("bare", {"id": each.event_id, "key": each.key, "event": each.body})
                    await pipeline.execute()

        yield send


@asynccontextmanager
async def nats(port: int, subject: str) -> AsyncIterator[Send]:
    """Publishes to a stream of JetStream, a hundred at a time; confirmed by its acknowledgements."""
    from nats.aio.client import Client

    client = Client()
    await client.connect(f"nats://127.0.0.1:{port}")
    stream = client.jetstream()

    async def send(events: Sequence[Dressed]) -> None:
        for chunk in _chunks(events, _WAVE):
            published = (
                stream.publish(subject, each.body, headers={"Nats-Msg-Id": f"bare-{each.event_id}"}) for each in chunk
            )
            await asyncio.gather(*published)

    try:
        yield send
    finally:
        await client.close()


@asynccontextmanager
async def mqtt(port: int, topic: str) -> AsyncIterator[Send]:
    """Publishes with QoS 1, a hundred at a time; confirmed by PUBACK."""
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.max_inflight_messages_set(_WAVE)
    client.connect("127.0.0.1", port)
    client.loop_start()

    def publish(chunk: Sequence[Dressed]) -> None:
        for each in [client.publish(topic, each.body, qos=1) for each in chunk]:
            each.wait_for_publish(20)

    async def send(events: Sequence[Dressed]) -> None:
        for chunk in _chunks(events, _WAVE):
            await asyncio.to_thread(publish, chunk)

    try:
        yield send
    finally:
        client.disconnect()
        client.loop_stop()


@asynccontextmanager
async def rabbitmq(port: int, exchange: str) -> AsyncIterator[Send]:
    """Publishes persistent messages that must be routed, a hundred at a time; confirmed by the broker."""
    import aio_pika

    connection = await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{port}/")
    channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
    there = await channel.get_exchange(exchange)

    async def publish(event: Dressed) -> None:
        message = aio_pika.Message(event.body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await there.publish(message, "bare", mandatory=True)

    async def send(events: Sequence[Dressed]) -> None:
        for chunk in _chunks(events, _WAVE):
            await asyncio.gather(*(publish(each) for each in chunk))

    try:
        yield send
    finally:
        await connection.close()


@asynccontextmanager
async def kafka(servers: str, topic: str) -> AsyncIterator[Send]:
    """Produces with idempotence, five hundred at a time; confirmed by all in-sync replicas."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": servers, "acks": "all", "enable.idempotence": True, "linger.ms": 1})
    failed: list[object] = []

    def told(error: object, _message: object) -> None:
        if error is not None:
            failed.append(error)

    def produce(chunk: Sequence[Dressed]) -> None:
        for each in chunk:
            producer.produce(topic, each.body, each.key, on_delivery=told)
        left = producer.flush(20)
        assert not left, f"{left} messages were not acknowledged"
        assert not failed, failed[0]

    async def send(events: Sequence[Dressed]) -> None:
        for chunk in _chunks(events, _LINES):
            await asyncio.to_thread(produce, chunk)

    yield send
    producer.close()


@asynccontextmanager
async def aws(client: Any, call: Callable[[Any, Sequence[Dressed]], Mapping[str, Any]]) -> AsyncIterator[Send]:
    """Makes calls of ten entries with boto3, five calls side by side; confirmed entry by entry."""
    with ThreadPoolExecutor(5) as threads:

        def one(chunk: Sequence[Dressed]) -> None:
            answer = call(client, chunk)
            assert not answer.get("Failed") and not answer.get("FailedEntryCount"), answer  # noqa: PT018  # one claim

        async def send(events: Sequence[Dressed]) -> None:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*(loop.run_in_executor(threads, one, chunk) for chunk in _chunks(events, _CALL)))

        yield send


@asynccontextmanager
async def postgres(port: int) -> AsyncIterator[Send]:
    """Upserts rows with asyncpg, five hundred in a transaction; confirmed by the commit."""
    import asyncpg

    connection = await asyncpg.connect(host="127.0.0.1", port=port, user="postgres", database="postgres")
    await connection.execute(_TABLE)

    async def send(events: Sequence[Dressed]) -> None:
        for chunk in _chunks(events, _LINES):
            async with connection.transaction():
                await connection.executemany(_UPSERT.replace("?", "${}").format(1, 2, 3), _rows(chunk))

    try:
        yield send
    finally:
        await connection.close()


@asynccontextmanager
async def sqlite(path: Path) -> AsyncIterator[Send]:
    """Upserts rows with sqlite3, five hundred in a transaction that is on disk when it is over."""
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(_TABLE)

        def write(chunk: Sequence[Dressed]) -> None:
            connection.executemany(_UPSERT, _rows(chunk))
            connection.commit()

        async def send(events: Sequence[Dressed]) -> None:
            for chunk in _chunks(events, _LINES):
                await asyncio.to_thread(write, chunk)

        yield send


_TABLE = "CREATE TABLE IF NOT EXISTS bare (id TEXT PRIMARY KEY, description TEXT, event_id TEXT)"
_UPSERT = """
    INSERT INTO bare (id, description, event_id) VALUES (?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET description = excluded.description, event_id = excluded.event_id
"""


def _rows(events: Sequence[Dressed]) -> list[tuple[str, str, str]]:
    return [(each.key, each.cloudevent["data"]["record"]["Description"], each.event_id) for each in events]


def _discard(_: object) -> None:
    """Take what a lambda returns, for callers that want nothing."""
