"""Events as messages in Kafka's topics: keyed by record, acknowledged by all in-sync replicas, without repeats.

It uses the synchronous Producer of confluent-kafka: the asyncio one takes no headers. A thread of our own polls it, and
what it hears of a message is handed to the loop. What an error means is decided in ``kafka_answers.py``, what can be
set in ``kafka_settings.py``; order per record is kept by the waves of ``broker.py``.
"""

import asyncio
import re
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from salesforce_poller.clock import Clock
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import kafka_answers, templates
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.sinks.broker import Broker
from salesforce_poller.sinks.kafka_settings import SILENT, KafkaSettings

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

#: Seconds in which the thread notices that it should end.
_TICK = 0.2
#: What a topic's name cannot hold.
_clean = templates.replacing(r"[^A-Za-z0-9._-]")


class _Refused(Exception):
    """An answer after which the producer is not to be used any more; carries its receipt."""

    def __init__(self, receipt: Receipt) -> None:
        super().__init__(receipt.detail)
        self.receipt = receipt


class _Line:
    """A producer, and the thread that polls it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        from confluent_kafka import KafkaException, Producer  # noqa: PLC0415  # an extra: imported when there is a sink

        #: What was last heard of a broker: name and text. Says why nothing comes back.
        self.trouble = ("", "")
        self.broken = KafkaException
        self._over = threading.Event()
        self.producer = Producer(settings | {"error_cb": self._hear, "logger": SILENT})
        self._thread = threading.Thread(target=self._poll, name="kafka", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; what is still on its way must not arrive later, behind its own repeat."""
        self._over.set()
        self._thread.join()
        self.producer.purge()
        self.producer.close()

    def _poll(self) -> None:
        while not self._over.is_set():
            try:
                self.producer.poll(_TICK)
            except self.broken as exc:  # it is beyond repair; every message that waits is told so in the next turns
                self._hear(exc.args[0])

    def _hear(self, error: "KafkaError") -> None:
        known = kafka_answers.is_about_the_sink(self.trouble[0])  # who refused us says more than who hung up
        if error.name() != "_ALL_BROKERS_DOWN" and not known:  # and that only counts those that have said why
            self.trouble = (error.name(), error.str())


class Kafka(Broker[KafkaSettings, _Line]):
    """One cluster."""

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        hidden = [one for name, one in settings.options.items() if kafka_answers.is_secret(name)]
        secrets = (settings.password, *hidden)
        self._secrets = tuple(one.get_secret_value() for one in secrets if one is not None)
        self._one_topic = templates.fixed(settings.topic)

    @property
    def batch(self) -> int:
        """Many: librdkafka makes few requests of them."""
        return 500

    async def _connect(self) -> _Line:
        """Make the producer; it connects by itself, when it has something to send."""
        return await asyncio.to_thread(_Line, self._settings.producer())

    async def _disconnect(self, connection: _Line) -> None:
        await asyncio.to_thread(connection.close)

    async def _publish(self, connection: _Line, event: Dressed) -> Receipt:
        topic = templates.fill(self._settings.topic, event, _clean)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[KafkaError | None, Message]] = loop.create_future()
        # No ce_ headers: readers of CloudEvents would take the message for one in binary mode.
        headers: list[tuple[str, str | bytes | None]] = [
            ("content-type", b"application/cloudevents+json"),
            ("event_id", event.event_id.encode()),
        ]
        try:
            connection.producer.produce(
                topic, event.body, event.key, headers=headers, on_delivery=partial(_tell, loop, answer)
            )
        except BufferError:
            return Receipt(Verdict.TRY_LATER, "librdkafka's queue is full")
        except connection.broken as exc:
            return self._answer(connection, topic, exc.args[0])
        error, message = await answer
        if error is not None:
            return self._answer(connection, topic, error)
        connection.trouble = ("", "")
        return Receipt(Verdict.ACCEPTED, reference=f"{topic}[{message.partition()}]@{message.offset()}")

    def _answer(self, connection: _Line, topic: str, error: "KafkaError") -> Receipt:
        """Return what an error means; raise it when the producer is not to be used any more."""
        name, text = error.name(), f"{topic}: {error.str()}"
        if name == "_MSG_TIMED_OUT":  # the producer goes on by itself, and what it heard last says more
            name, heard = connection.trouble
            text = f"no acknowledgement within {self._settings.patience:g} s" + (heard and f": {heard}")
            return self._said(name, text)
        receipt = self._said(name, text)
        if kafka_answers.is_about_the_event(name):
            return receipt
        raise _Refused(receipt)

    def _said(self, name: str, text: str) -> Receipt:
        return kafka_answers.receipt(name, self._safe(text), one_topic=self._one_topic)

    def _explain(self, error: Exception) -> Receipt | None:
        if isinstance(error, _Refused):
            return error.receipt
        known: Any = error.args[0] if error.args else None  # a KafkaException holds a KafkaError
        return self._said(known.name(), known.str()) if hasattr(known, "name") else None

    async def _look(self, connection: _Line) -> Receipt:
        """See who is there. A topic is not asked for by its name: that alone could create it."""
        brokers, topics = await asyncio.to_thread(self._cluster, connection)
        return Receipt(Verdict.ACCEPTED, f"reachable: {brokers} brokers, {len(topics)} topics for events")

    async def _doubts(self, connection: _Line) -> list[str]:
        _, replicas = await asyncio.to_thread(self._cluster, connection)
        if not replicas:
            return [f"there is no topic {self._settings.topic} yet; unless the cluster makes it, events are refused"]
        in_sync = await asyncio.to_thread(_in_sync, self._settings.producer(), list(replicas), self._timeout / 3)
        found = {name: kafka_answers.Topic(count, in_sync.get(name)) for name, count in replicas.items()}
        return kafka_answers.doubts(found)

    def _cluster(self, connection: _Line) -> tuple[int, dict[str, int]]:
        """Return how many brokers there are, and how often each topic that events may go to is kept."""
        try:
            found = connection.producer.list_topics(timeout=self._settings.patience)
        except connection.broken as exc:  # "transport failure" is all it says; what was heard of the brokers says more
            name, heard = connection.trouble
            raise _Refused(self._said(name, heard) if heard else self._said("", exc.args[0].str())) from exc
        ours = re.compile(re.sub(r"\\\{\w+\\\}", "[A-Za-z0-9._-]+", re.escape(self._settings.topic)))
        return len(found.brokers), {
            name: min(len(part.replicas) for part in topic.partitions.values())
            for name, topic in found.topics.items()
            if ours.fullmatch(name) and topic.partitions
        }


def _tell(
    loop: asyncio.AbstractEventLoop,
    answer: "asyncio.Future[tuple[KafkaError | None, Message]]",
    error: "KafkaError | None",
    message: "Message",
) -> None:
    """Hand over from the thread what became of a message, unless nobody waits for it any more."""

    def put() -> None:
        if not answer.done():
            answer.set_result((error, message))

    loop.call_soon_threadsafe(put)


def _in_sync(settings: dict[str, Any], topics: list[str], patience: float) -> dict[str, int]:
    """Return ``min.insync.replicas`` of topics, as far as this account may read it within ``patience`` seconds."""
    from confluent_kafka import KafkaException  # noqa: PLC0415  # an extra: imported when there is a sink
    from confluent_kafka.admin import (  # type: ignore[attr-defined]  # noqa: PLC0415  # exported, but not declared so; as above
        AdminClient,
        ConfigResource,
    )

    wanted = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics]
    admin = AdminClient(settings | {"logger": SILENT})
    found: dict[str, int] = {}
    for resource, answer in admin.describe_configs(wanted, request_timeout=patience).items():
        try:
            found[resource.name] = int(answer.result()["min.insync.replicas"].value)
        except KafkaException:
            continue  # not permitted, or not known to these brokers: said as such
    return found
