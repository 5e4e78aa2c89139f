"""``type = "kafka"``: the settings of the sink, checked, and what librdkafka makes of them.

Read by ``config.py`` and ``kafka.py``. Which settings of librdkafka's are not the user's is decided in
``kafka_answers.py``; librdkafka itself says which it does not know.
"""

import logging
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from salesforce_poller.sinks import kafka_answers, templates
from salesforce_poller.sinks.tls import TlsSettings

#: What librdkafka would write to stderr is in receipts, as far as it matters.
SILENT = logging.getLogger(__name__)
SILENT.disabled = True
#: Seconds that librdkafka gives up before we do, so that we hear what it knows: it looks at its clock once a second.
_AHEAD = 1.5
#: A topic that is unknown may have been created just now, and not every broker knows it yet.
_UNTIL_KNOWN_MS = 5000
#: Bytes of one message that we let out; what is too large is the broker's to say, and it knows its own limit.
_MAX_BYTES = 100_000_000
#: Bytes in one request. A broker that finds it too large refuses all messages of it; only a single one may be larger.
_BATCH_BYTES = 16_384
_SERVER = re.compile(r"[^\s,:/@]+:\d{1,5}|\[[0-9A-Fa-f:.]+\]:\d{1,5}")
#: Left out when the options are tried: without servers librdkafka connects to nobody, and files may come later.
_OF_THE_LINE = ("bootstrap.", "sasl.", "security.", "ssl.")
_ACCOUNT = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def _server(value: str) -> str:
    if not _SERVER.fullmatch(value):
        raise ValueError('should be a host and a port such as "kafka-1.example.com:9092"')
    return value


def _topic(value: str) -> str:
    if "{record_id}" in value:
        raise ValueError("{record_id} would make a topic of every record")
    if wrong := re.sub(r"[A-Za-z0-9._-]|\{\w+\}", "", value):
        raise ValueError(f"holds {wrong[0]!r}; a topic is made of letters, digits, '.', '_' and '-'")
    return value


def _texts(value: Any) -> Any:
    """Write settings as librdkafka reads them."""
    if not isinstance(value, dict):
        return value
    return {
        name: str(one).lower() if isinstance(one, bool) else str(one) if isinstance(one, int | float) else one
        for name, one in value.items()
    }


def _options(value: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, one in value.items():
        if why := kafka_answers.objection(name, one.get_secret_value()):
            raise ValueError(f"{name} cannot be set here: {why}")
    return value


def _plain(options: dict[str, SecretStr]) -> dict[str, str]:
    return {name: one.get_secret_value() for name, one in options.items()}


class KafkaSettings(TlsSettings):
    """``type = "kafka"``."""

    type: Literal["kafka"]
    #: Some of the cluster's brokers, from which the others are learned.
    servers: Annotated[list[Annotated[str, AfterValidator(_server)]], Field(min_length=1)]
    #: Where an event goes. With ``{kind}`` in it, order per record ends at the topic.
    topic: Annotated[templates.Template, AfterValidator(_topic)] = "salesforce.{org}.{object}"
    #: Speak TLS.
    tls: bool = False
    #: How to log in; None: not at all. What else OAUTHBEARER and GSSAPI need goes into ``options``.
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"] | None = None
    username: str | None = None
    password: SecretStr | None = None
    #: Further settings of librdkafka, by its names; those that our promises depend on are refused.
    options: Annotated[dict[str, SecretStr], BeforeValidator(_texts), AfterValidator(_options)] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _fit(self) -> "KafkaSettings":
        """Refuse what would be ignored: a password that is not sent, or a certificate that nobody looks at."""
        account = bool(self.username and self.password)
        if self.sasl_mechanism in _ACCOUNT and not account:
            raise ValueError(f'sasl_mechanism = "{self.sasl_mechanism}" needs username and password')
        if self.sasl_mechanism not in _ACCOUNT and (self.username or self.password):
            raise ValueError(f"username and password need sasl_mechanism: one of {', '.join(_ACCOUNT)}")
        if not self.tls and (self.ca or self.client_certificate):
            raise ValueError("ca and client_certificate need tls = true")
        if problem := self._problem():
            raise ValueError(f"options: {problem}")
        return self

    @property
    def patience(self) -> float:
        """Seconds that librdkafka has for one message."""
        timeout = self.timeout.total_seconds()
        return max(timeout / 2, timeout - _AHEAD)

    def client(self) -> dict[str, Any]:
        """Return what any client of the cluster needs, under librdkafka's names."""
        key = self.client_key or self.client_certificate  # one file may hold both
        protocol = ("sasl_" if self.sasl_mechanism else "") + ("ssl" if self.tls else "plaintext")
        ours = {
            "bootstrap.servers": ",".join(self.servers),
            "security.protocol": protocol,
            "sasl.mechanisms": self.sasl_mechanism,
            "sasl.username": self.username,
            "sasl.password": self.password and self.password.get_secret_value(),
            "ssl.ca.location": self.ca and str(self.ca),
            "ssl.certificate.location": self.client_certificate and str(self.client_certificate),
            "ssl.key.location": key and str(key),
            "client.id": "salesforce-poller",
            "log_level": 0,
        }
        return {name: value for name, value in ours.items() if value is not None}

    def producer(self) -> dict[str, Any]:
        """Return what the producer needs; the user's options change what may be changed."""
        patience = max(1, int(self.patience * 1000))
        ours = {
            "acks": "all",
            "enable.idempotence": True,
            "message.timeout.ms": patience,
            "socket.timeout.ms": min(max(10, patience), 300_000),
            "topic.metadata.propagation.max.ms": min(_UNTIL_KNOWN_MS, patience // 2),
            "reconnect.backoff.max.ms": 1000,
            "message.max.bytes": _MAX_BYTES,
            "batch.size": _BATCH_BYTES,
            "linger.ms": 1,
            # As Java's producers do it: a record of theirs with the same key is in the same partition.
            "partitioner": "murmur2_random",
        }
        return ours | self.client() | _plain(self.options)

    def _problem(self) -> str:
        """Return what librdkafka itself finds wrong with the options; empty when nothing is."""
        try:
            from confluent_kafka import KafkaException, Producer  # noqa: PLC0415  # an extra: imported when it is used
        except ImportError:
            return ""  # config.py says what to install
        ours = {name: value for name, value in self.producer().items() if not name.startswith(_OF_THE_LINE)}
        try:
            Producer(ours | _plain(self.options) | {"logger": SILENT}).close()
        except KafkaException as exc:
            return str(exc.args[0].str())
        return ""
