"""sinks/kafka_answers.py: what errors mean, and which topics could lose what they acknowledged."""

import pytest
from confluent_kafka import KafkaError

from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import kafka_answers
from salesforce_poller.sinks.kafka_answers import Topic

#: Every name of an error that librdkafka knows.
NAMES = {name for name in dir(KafkaError) if name.isupper() and isinstance(getattr(KafkaError, name), int)}


@pytest.mark.parametrize(
    ("name", "verdict", "general"),
    [
        ("MSG_SIZE_TOO_LARGE", Verdict.REFUSED, False),
        ("TOPIC_AUTHORIZATION_FAILED", Verdict.REFUSED, True),
        ("_UNKNOWN_TOPIC", Verdict.REFUSED, True),
        ("SASL_AUTHENTICATION_FAILED", Verdict.REFUSED, True),
        ("NOT_ENOUGH_REPLICAS", Verdict.TRY_LATER, False),
        ("_FATAL", Verdict.TRY_LATER, False),
        ("anything new", Verdict.TRY_LATER, False),
    ],
)
def test_an_error_is_about_the_event_the_sink_or_the_moment(name: str, verdict: Verdict, general: bool) -> None:
    """What is not known is taken for a bad moment, which loses nothing."""
    assert kafka_answers.receipt(name, "why", one_topic=True) == Receipt(verdict, "why", general=general)


def test_a_missing_topic_of_many_is_no_verdict_on_the_others() -> None:
    """But a login that fails is."""
    assert not kafka_answers.receipt("_UNKNOWN_TOPIC", "", one_topic=False).general
    assert kafka_answers.receipt("_AUTHENTICATION", "", one_topic=False).general


def test_the_names_of_errors_are_librdkafkas() -> None:
    """A misspelt one would never be met."""
    known = (*kafka_answers._OF_THE_EVENT, *kafka_answers._OF_THE_TOPIC, *kafka_answers._OF_THE_SINK)
    assert len(NAMES) > 100
    assert set(known) <= NAMES


def test_topics_that_can_lose_what_they_acknowledged_are_named() -> None:
    """And those of which it cannot be told, a few by name."""
    unknown = {f"u{number}": Topic(3) for number in range(5)}
    found = kafka_answers.doubts({"one": Topic(1, 1), "lax": Topic(3, 1), "good": Topic(3, 2), **unknown})
    assert found == [
        "topic one has one replica: what it acknowledged is lost with that broker's disk",
        "topic lax has min.insync.replicas = 1: one broker alone may acknowledge; set it to 2 or more",
        "min.insync.replicas cannot be read of u0, u1, u2 and 2 more; it should be 2 or more",
    ]


@pytest.mark.parametrize("name", ["sasl.password", "ssl.key.pem", "sasl.oauthbearer.client.secret"])
def test_options_that_hold_secrets_are_known(name: str) -> None:
    """Their values are masked in whatever librdkafka says."""
    assert kafka_answers.is_secret(name)
    assert not kafka_answers.is_secret("linger.ms")
