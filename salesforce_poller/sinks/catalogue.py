"""The table of sinks: the word in the configuration, its settings and its class.

A new kind of sink is one file beside this one, one line in :data:`KINDS`, one name in :data:`AnySinkSettings` and one
subclass of the contract in ``tests/contracts``. Called by ``config.py`` and ``app.py``.
"""

import importlib.util
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from salesforce_poller.clock import Clock
from salesforce_poller.sinks.base import Sink, SinkSettings
from salesforce_poller.sinks.eventbridge import Eventbridge, EventbridgeSettings
from salesforce_poller.sinks.file import File, FileSettings
from salesforce_poller.sinks.kafka import Kafka
from salesforce_poller.sinks.kafka_settings import KafkaSettings
from salesforce_poller.sinks.mqtt import Mqtt, MqttSettings
from salesforce_poller.sinks.nats import Nats, NatsSettings
from salesforce_poller.sinks.rabbitmq import Rabbitmq
from salesforce_poller.sinks.rabbitmq_settings import RabbitmqSettings
from salesforce_poller.sinks.redis import Redis, RedisSettings
from salesforce_poller.sinks.sns import Sns, SnsSettings
from salesforce_poller.sinks.sql import Sql, SqlSettings
from salesforce_poller.sinks.sqs import Sqs, SqsSettings
from salesforce_poller.sinks.stdout import Stdout, StdoutSettings
from salesforce_poller.sinks.webhook import Webhook, WebhookSettings


@dataclass(frozen=True, slots=True)
class SinkKind:
    """What one word stands for."""

    settings: type[SinkSettings]
    sink: type[Sink[Any]]
    #: The module that must be there for it, when it is not installed without the extra of this name.
    module: str = ""


KINDS: dict[str, SinkKind] = {
    "webhook": SinkKind(WebhookSettings, Webhook),
    "stdout": SinkKind(StdoutSettings, Stdout),
    "file": SinkKind(FileSettings, File),
    "redis": SinkKind(RedisSettings, Redis, module="redis"),
    "kafka": SinkKind(KafkaSettings, Kafka, module="confluent_kafka"),
    "sqs": SinkKind(SqsSettings, Sqs, module="botocore"),
    "sns": SinkKind(SnsSettings, Sns, module="botocore"),
    "eventbridge": SinkKind(EventbridgeSettings, Eventbridge, module="botocore"),
    "sql": SinkKind(SqlSettings, Sql),  # looks for its library itself: SQLite needs none
    "rabbitmq": SinkKind(RabbitmqSettings, Rabbitmq, module="aio_pika"),
    "nats": SinkKind(NatsSettings, Nats, module="nats"),
    "mqtt": SinkKind(MqttSettings, Mqtt, module="paho"),
}


def _word(value: Any) -> Any:
    return value.get("type") if isinstance(value, dict) else getattr(value, "type", None)


#: ``[sinks.NAME]``: which of the tables it is, its ``type`` says.
AnySinkSettings = Annotated[
    Annotated[WebhookSettings, Tag("webhook")]
    | Annotated[StdoutSettings, Tag("stdout")]
    | Annotated[FileSettings, Tag("file")]
    | Annotated[RedisSettings, Tag("redis")]
    | Annotated[KafkaSettings, Tag("kafka")]
    | Annotated[RabbitmqSettings, Tag("rabbitmq")]
    | Annotated[SqsSettings, Tag("sqs")]
    | Annotated[SnsSettings, Tag("sns")]
    | Annotated[EventbridgeSettings, Tag("eventbridge")]
    | Annotated[SqlSettings, Tag("sql")]
    | Annotated[NatsSettings, Tag("nats")]
    | Annotated[MqttSettings, Tag("mqtt")],
    Discriminator(
        _word, custom_error_type="sink_type", custom_error_message=f"type should be one of: {', '.join(KINDS)}"
    ),
]


def lacking(word: str) -> str:
    """Say what a kind of sink needs that is not installed; empty when nothing is, or when there is no such kind."""
    kind = KINDS.get(word)
    if kind is None or not kind.module or importlib.util.find_spec(kind.module):
        return ""
    return f"needs a library that is not installed: pip install 'salesforce-poller[{word}]'"


def build(settings: AnySinkSettings, clock: Clock) -> Sink[Any]:
    """Return the sink for its settings, not yet open."""
    return KINDS[settings.type].sink(settings, clock)
