"""For each kind of sink: how its other side is started, what the sink is told of it, and its bare client.

Servers are private ones, started from installed programs as the tests do it; moto stands in for AWS, and librdkafka's
mock brokers for Kafka. Used by ``sinks.py``.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import servers

from benchmarks import bare
from benchmarks.bare import Send
from salesforce_poller.sinks.base import Dressed

CONNECTIONS = 20
_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  # of the specification's test vector
_NAME = "bench"
_ACCOUNT = "123456789012"

#: What the sink is told beside its ``type``, and what sends without it.
Bench = tuple[dict[str, Any], Send]


@dataclass(frozen=True, slots=True)
class Rig:
    """How one kind of sink is measured."""

    #: The sink's ``type``.
    kind: str
    #: Starts the other side, in an empty folder.
    begin: Callable[[Path], AbstractAsyncContextManager[Bench]]
    events: int = 5_000
    #: What the table adds to the kind.
    variant: str = ""

    @property
    def name(self) -> str:
        """As the table calls it."""
        return f"{self.kind} ({self.variant})" if self.variant else self.kind


@asynccontextmanager
async def _stand_in(which: str) -> AsyncIterator[str]:
    """Run one of ``stand_ins.py``; yields its address."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.stand_ins",
        which,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def _webhook(_folder: Path) -> AsyncIterator[Bench]:
    async with _stand_in("webhook") as url, bare.webhook(url, CONNECTIONS) as send:
        yield {"url": url, "secret": _SECRET, "concurrency": CONNECTIONS}, send


@asynccontextmanager
async def _stdout(_folder: Path) -> AsyncIterator[Bench]:
    with _standard_output_thrown_away():
        async with bare.stdout() as send:
            yield {}, send


@contextmanager
def _standard_output_thrown_away() -> Iterator[None]:
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


@asynccontextmanager
async def _file(folder: Path) -> AsyncIterator[Bench]:
    async with bare.file(folder / "bare.jsonl") as send:
        yield {"path": str(folder / "events.jsonl")}, send


@asynccontextmanager
async def _redis(_folder: Path) -> AsyncIterator[Bench]:
    with servers.redis() as server:
        async with bare.redis(server.port) as send:
            yield {"url": f"redis://127.0.0.1:{server.port}"}, send


@asynccontextmanager
async def _nats(_folder: Path) -> AsyncIterator[Bench]:
    from nats.aio.client import Client

    with servers.nats() as server:
        client = Client()
        await client.connect(f"nats://127.0.0.1:{server.port}")
        await client.jetstream().add_stream(name=_NAME, subjects=["bare", "salesforce.>"])
        await client.close()
        async with bare.nats(server.port, "bare") as send:
            yield {"url": f"nats://127.0.0.1:{server.port}"}, send


@asynccontextmanager
async def _mqtt(_folder: Path) -> AsyncIterator[Bench]:
    with servers.mosquitto() as server:
        async with bare.mqtt(server.port, "bare") as send:
            yield {"url": f"mqtt://127.0.0.1:{server.port}"}, send


@asynccontextmanager
async def _rabbitmq(_folder: Path) -> AsyncIterator[Bench]:
    import aio_pika

    with servers.rabbitmq() as server:
        async with await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{server.port}/") as connection:
            channel = await connection.channel()
            exchange = await channel.declare_exchange(_NAME, aio_pika.ExchangeType.TOPIC, durable=True)
            await (await channel.declare_queue(_NAME, durable=True)).bind(exchange, "#")
        login = {"username": "guest", "password": "guest"}
        async with bare.rabbitmq(server.port, _NAME) as send:
            yield {"url": f"amqp://127.0.0.1:{server.port}", "exchange": _NAME, **login}, send


@asynccontextmanager
async def _kafka(_folder: Path) -> AsyncIterator[Bench]:
    async with _stand_in("kafka") as addresses, bare.kafka(addresses, "bare") as send:
        yield {"servers": addresses.split(","), "topic": _NAME}, send


@asynccontextmanager
async def _sqs(_folder: Path) -> AsyncIterator[Bench]:
    def call(client: Any, events: Sequence[Dressed]) -> Mapping[str, Any]:
        entries = [{"Id": str(place), "MessageBody": each.body.decode()} for place, each in enumerate(events)]
        answer: Mapping[str, Any] = client.send_message_batch(QueueUrl=url, Entries=entries)
        return answer

    with _moto("sqs") as (client, where):
        url = client.create_queue(QueueName=_NAME)["QueueUrl"]
        async with bare.aws(client, call) as send:
            yield {"queue_url": url, **where}, send


@asynccontextmanager
async def _sns(_folder: Path) -> AsyncIterator[Bench]:
    def call(client: Any, events: Sequence[Dressed]) -> Mapping[str, Any]:
        entries = [{"Id": str(place), "Message": each.body.decode()} for place, each in enumerate(events)]
        answer: Mapping[str, Any] = client.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
        return answer

    with _moto("sns") as (client, where):
        topic = client.create_topic(Name=_NAME)["TopicArn"]
        async with bare.aws(client, call) as send:
            yield {"topic_arn": topic, **where}, send


@asynccontextmanager
async def _eventbridge(_folder: Path) -> AsyncIterator[Bench]:
    def call(client: Any, events: Sequence[Dressed]) -> Mapping[str, Any]:
        common = {"Source": _NAME, "DetailType": "bare", "EventBusName": _NAME}
        answer: Mapping[str, Any] = client.put_events(
            Entries=[{**common, "Detail": each.body.decode()} for each in events]
        )
        return answer

    with _moto("events") as (client, where):
        client.create_event_bus(Name=_NAME)
        pattern = orjson.dumps({"account": [_ACCOUNT]}).decode()
        client.put_rule(Name="all", EventBusName=_NAME, EventPattern=pattern)
        async with bare.aws(client, call) as send:
            yield {"bus": _NAME, **where}, send


@contextmanager
def _moto(service: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Run moto's server; yields a client of it, and what a sink is told."""
    from moto_process import REGION, moto

    with moto() as server:
        keys = {"region": REGION, "access_key_id": "test", "secret_access_key": "test"}
        yield server.client(service), {**keys, "endpoint_url": f"http://127.0.0.1:{server.port}"}


@asynccontextmanager
async def _postgres(_folder: Path) -> AsyncIterator[Bench]:
    with servers.postgres() as server:
        async with bare.postgres(server.port) as send:
            yield {"url": f"postgresql://postgres@127.0.0.1:{server.port}/postgres"}, send


@asynccontextmanager
async def _sqlite(folder: Path) -> AsyncIterator[Bench]:
    async with bare.sqlite(folder / "bare.db") as send:
        yield {"url": f"sqlite:///{folder}/mirror.db"}, send


#: moto is slow itself, and its queues the slower the more they hold: fewer events tell as much.
_FEW = 1_000

RIGS = (
    Rig("webhook", _webhook),
    Rig("stdout", _stdout),
    Rig("file", _file),
    Rig("redis", _redis),
    Rig("nats", _nats),
    Rig("mqtt", _mqtt),
    Rig("rabbitmq", _rabbitmq),
    Rig("kafka", _kafka, variant="mock brokers"),
    Rig("sqs", _sqs, _FEW // 10, variant="moto"),
    Rig("sns", _sns, _FEW, variant="moto"),
    Rig("eventbridge", _eventbridge, _FEW, variant="moto"),
    Rig("sql", _postgres, variant="PostgreSQL"),
    Rig("sql", _sqlite, variant="SQLite"),
)
