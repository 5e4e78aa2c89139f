"""What Kafka's answers mean, and which of librdkafka's settings are not the user's. Pure: names and numbers in.

Called by ``kafka.py``. Errors go by the names that librdkafka gives them; a name that begins with an underscore is its
own, any other is the broker's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from salesforce_poller.model import Receipt, Verdict

#: The answer is about this one event: whoever gives it is up.
_OF_THE_EVENT = (
    "INVALID_MSG",
    "INVALID_MSG_SIZE",
    "INVALID_RECORD",
    "INVALID_TIMESTAMP",
    "MSG_SIZE_TOO_LARGE",
    "RECORD_LIST_TOO_LARGE",
)
#: It is about the topic: it is not there, or not for us.
_OF_THE_TOPIC = (
    "POLICY_VIOLATION",
    "TOPIC_AUTHORIZATION_FAILED",
    "TOPIC_EXCEPTION",
    "UNKNOWN_TOPIC_OR_PART",
    "_UNKNOWN_PARTITION",
    "_UNKNOWN_TOPIC",
)
#: It is about us: the account, or how the sink is set up.
_OF_THE_SINK = (
    "CLUSTER_AUTHORIZATION_FAILED",
    "INVALID_REQUIRED_ACKS",
    "SASL_AUTHENTICATION_FAILED",
    "UNSUPPORTED_FOR_MESSAGE_FORMAT",
    "UNSUPPORTED_SASL_MECHANISM",
    "_AUTHENTICATION",
    "_INVALID_ARG",
)
_ALL_REPLICAS = "an event counts as delivered when all in-sync replicas have it"
_ONE_PARTITION = "the events of a record must stay in one partition"
_OWN_KEY = "the sink has a key of its own for it: {}"
#: Settings that would break a promise of ours, or that say in other words what the sink's own keys say.
_NOT_YOURS = {
    "acks": _ALL_REPLICAS,
    "request.required.acks": _ALL_REPLICAS,
    "enable.idempotence": "without it a retry of librdkafka's could change the order",
    "transactional.id": "events are not sent in transactions",
    "plugin.library.paths": "it would load other programs into this one",
    "bootstrap.servers": _OWN_KEY.format("servers"),
    "metadata.broker.list": _OWN_KEY.format("servers"),
    "delivery.timeout.ms": _OWN_KEY.format("timeout"),
    "message.timeout.ms": _OWN_KEY.format("timeout"),
    "security.protocol": _OWN_KEY.format("tls"),
    "sasl.mechanism": _OWN_KEY.format("sasl_mechanism"),
    "sasl.mechanisms": _OWN_KEY.format("sasl_mechanism"),
    "sasl.username": _OWN_KEY.format("username"),
    "sasl.password": _OWN_KEY.format("password"),
    "ssl.ca.location": _OWN_KEY.format("ca"),
    "ssl.certificate.location": _OWN_KEY.format("client_certificate"),
    "ssl.key.location": _OWN_KEY.format("client_key"),
}
#: Partitioners that send one key to one partition; ours is never empty.
_PARTITIONERS = ("consistent", "consistent_random", "fnv1a", "fnv1a_random", "murmur2", "murmur2_random")


def is_about_the_event(name: str) -> bool:
    """Say whether an error leaves the producer as good as before."""
    return name in _OF_THE_EVENT


def is_about_the_sink(name: str) -> bool:
    """Say whether an error is about the account or the settings, and not about the moment."""
    return name in _OF_THE_SINK


def receipt(name: str, detail: str, *, one_topic: bool) -> Receipt:
    """Return what an error means; ``one_topic`` says that every event goes to the same topic.

    A topic that is missing speaks of the whole sink only then: with ``{object}`` in its name, others may be there.
    """
    if name in _OF_THE_EVENT:
        return Receipt(Verdict.REFUSED, detail)
    if name in _OF_THE_TOPIC:
        return Receipt(Verdict.REFUSED, detail, general=one_topic)
    if name in _OF_THE_SINK:
        return Receipt(Verdict.REFUSED, detail, general=True)
    return Receipt(Verdict.TRY_LATER, detail)


def objection(name: str, value: str) -> str:
    """Say why a setting of librdkafka's is not for the user to change; empty when it is."""
    if name == "partitioner":
        return "" if value in _PARTITIONERS else f"{_ONE_PARTITION}: one of {', '.join(_PARTITIONERS)}"
    if name.startswith("test."):
        return "it is for tests of librdkafka's own"
    return _NOT_YOURS.get(name, "")


def is_secret(name: str) -> bool:
    """Say whether the value of a setting must not be repeated."""
    return any(word in name for word in ("password", "secret", "token", ".pem"))


@dataclass(frozen=True, slots=True)
class Topic:
    """How one topic is kept."""

    #: The smallest number of copies of one of its partitions.
    replicas: int
    #: Its ``min.insync.replicas``; None: not known.
    in_sync: int | None = None


def doubts(topics: Mapping[str, Topic]) -> list[str]:
    """Say how events could be lost although they were acknowledged, by topic."""
    found: list[str] = []
    for name, topic in topics.items():
        if topic.replicas == 1:
            found.append(f"topic {name} has one replica: what it acknowledged is lost with that broker's disk")
        elif topic.in_sync == 1:
            found.append(
                f"topic {name} has min.insync.replicas = 1: one broker alone may acknowledge; set it to 2 or more"
            )
    if unknown := _listed(name for name, topic in topics.items() if topic.replicas > 1 and topic.in_sync is None):
        found.append(f"min.insync.replicas cannot be read of {unknown}; it should be 2 or more")
    return found


def _listed(names: Iterable[str]) -> str:
    """Name a few."""
    names = sorted(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004  # a few
