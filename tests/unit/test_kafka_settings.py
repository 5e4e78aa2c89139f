"""sinks/kafka_settings.py: what can be said of a Kafka sink, and what is said of what cannot."""

from pathlib import Path
from typing import Any

import pytest
from certificates import Certificates
from config_examples import parsed, problems
from confluent_kafka import Producer

from salesforce_poller.sinks.kafka_settings import KafkaSettings

SINK = '[sinks.lake]\ntype = "kafka"\nservers = ["kafka.example.com:9092"]\n'


def settings(**more: Any) -> KafkaSettings:
    """Return the settings of a sink."""
    return KafkaSettings.model_validate({"type": "kafka", "servers": ["kafka.example.com:9092"], **more})


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('topic = "a b"', "topic: holds ' '; a topic is made of letters, digits, '.', '_' and '-'"),
        ('topic = "x.{record_id}"', "topic: {record_id} would make a topic of every record"),
        ('topic = "x.{orgs}"', "topic: {orgs} is not known here; there are {org}, {object}, {kind}, {record_id}"),
        ("options = { acks = 1 }", "options: acks cannot be set here: an event counts as delivered when all in-sync"),
        ('options = { "enable.idempotence" = false }', "options: enable.idempotence cannot be set here: without it"),
        ('options = { "sasl.password" = "x" }', "sasl.password cannot be set here: the sink has a key of its own for"),
        ('options = { partitioner = "random" }', "the events of a record must stay in one partition: one of consist"),
        ('options = { "test.mock.num.brokers" = 3 }', "test.mock.num.brokers cannot be set here"),
        ('options = { "lingre.ms" = 3 }', 'options: No such configuration property: "lingre.ms"'),
        ('options = { "compression.type" = "zip" }', 'options: Invalid value "zip" for configuration property "comp'),
        ('options = { "max.in.flight" = 9 }', "`max.in.flight` must be set <= 5 when `enable.idempotence` is true"),
        (
            'options = { "linger.ms" = 60000 }\ntimeout = "1s"',
            "options: Failed to create producer: `message.timeout.ms`",
        ),
        ('sasl_mechanism = "PLAIN"\nusername = "ann"', 'sasl_mechanism = "PLAIN" needs username and password'),
        ('username = "ann"', "username and password need sasl_mechanism: one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ('ca = "/nowhere/ca.pem"\ntls = true', "cannot read /nowhere/ca.pem: No such file or directory"),
        ('sasl_mechanism = "DIGEST"', "sasl_mechanism"),
    ],
)
def test_what_cannot_work_is_said_at_once(line: str, problem: str) -> None:
    """In one line, with its place and what to do."""
    [told] = problems(SINK + line)
    assert "sinks.lake" in told
    assert problem in told


@pytest.mark.parametrize("server", ["kafka.example.com", "ann:pw@kafka:9092", "a:9092,b:9092", "kafka: 9092", ""])
def test_a_server_is_a_host_and_a_port(server: str) -> None:
    """Nothing else can be in its place."""
    [told] = problems(SINK.replace("kafka.example.com:9092", server))
    assert 'should be a host and a port such as "kafka-1.example.com:9092"' in told


def test_certificates_without_tls_are_refused(some_certificates: Certificates) -> None:
    """They would be ignored, and everything would go in the clear."""
    with pytest.raises(ValueError, match="ca and client_certificate need tls = true"):
        settings(ca=some_certificates.ca)


@pytest.mark.parametrize(
    ("more", "protocol"),
    [
        ({}, "plaintext"),
        ({"tls": True}, "ssl"),
        ({"sasl_mechanism": "PLAIN", "username": "a", "password": "b"}, "sasl_plaintext"),
        ({"sasl_mechanism": "SCRAM-SHA-512", "username": "a", "password": "b", "tls": True}, "sasl_ssl"),
    ],
)
def test_what_is_said_of_tls_and_login_is_librdkafkas_protocol(more: dict[str, Any], protocol: str) -> None:
    """Its four words for it are two questions."""
    assert settings(**more).client()["security.protocol"] == protocol


def test_a_certificate_may_come_with_its_key_in_one_file(some_certificates: Certificates, tmp_path: Path) -> None:
    """Then that is where librdkafka finds the key; otherwise in the file of its own."""
    both = tmp_path / "both.pem"
    both.write_bytes(some_certificates.client.read_bytes() + some_certificates.client_key.read_bytes())
    found = settings(tls=True, client_certificate=both).client()
    assert (found["ssl.certificate.location"], found["ssl.key.location"]) == (str(both), str(both))
    own = {"client_certificate": some_certificates.client, "client_key": some_certificates.client_key}
    found = settings(tls=True, **own).client()
    assert found["ssl.key.location"] == str(some_certificates.client_key)


def test_the_users_options_change_what_may_be_changed_and_nothing_else() -> None:
    """Numbers and truth values are written as librdkafka reads them."""
    found = settings(options={"linger.ms": 50, "socket.keepalive.enable": True}).producer()
    assert (found["linger.ms"], found["socket.keepalive.enable"]) == ("50", "true")
    assert (found["acks"], found["enable.idempotence"], found["message.timeout.ms"]) == ("all", True, 18_500)


@pytest.mark.parametrize("timeout", ["50ms", "20s", "10m"])
def test_any_timeout_makes_settings_that_librdkafka_takes(timeout: str) -> None:
    """It has limits of its own for some of them."""
    producer = Producer({**settings(timeout=timeout, servers=["127.0.0.1:1"]).producer(), "log_level": 0})
    assert producer.close()


def test_secrets_are_not_shown() -> None:
    """Neither the password, nor what is in the options."""
    more = 'sasl_mechanism = "PLAIN"\nusername = "ann"\npassword = "hush-1"\noptions = { "ssl.key.pem" = "hush-2" }'
    assert "hush" not in repr(parsed(SINK + more))
