"""sinks/mqtt.py: the contract of brokers against a real Mosquitto, and what only MQTT can do."""

import itertools
import os
import resource
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import servers
from broker_contract import PATIENCE, SECRET, BrokerContract, eventually
from certificates import Certificates
from fakes import FakeClock
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from proxy import Proxy
from pydantic import ValidationError
from servers import Server
from sink_contract import dressed

from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.sinks.mqtt import Mqtt, MqttSettings

#: Bytes in a packet that the server of the contract takes.
LARGEST = 2_000_000
_numbers = itertools.count(1)


def an_mqtt(port: int, **settings: Any) -> Mqtt:
    """Return a sink for a broker on this machine."""
    url = {"url": f"mqtt://127.0.0.1:{port}"}
    return Mqtt(MqttSettings.model_validate({"type": "mqtt", **url, **settings}), FakeClock())


class Subscriber:
    """Somebody who has subscribed to all topics below one word, and comes back after a crash of the broker."""

    def __init__(self, port: int, word: str) -> None:
        #: What it was sent, in order; a message that flushes the line is none of it.
        self.messages: list[MQTTMessage] = []
        self._word = word
        self._flushed = threading.Event()
        self._subscribed = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, f"subscriber-{word}", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = lambda *_: self._subscribe()
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _data, message: self._take(message)
        self._client.reconnect_delay_set(1, 1)
        lasting = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's types end here
        lasting.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, clean_start=False, properties=lasting)
        self._client.loop_start()
        self.wait()

    def wait(self) -> None:
        """Wait until it has subscribed, after a crash once more."""
        assert self._subscribed.wait(PATIENCE), "the subscriber does not get through"

    def gone(self) -> None:
        """Expect it to have to come back."""
        self._subscribed.clear()

    def flush(self) -> None:
        """Wait until everything that the broker took before has come."""
        self._flushed.clear()
        self._client.publish(f"{self._word}/flush", b"", qos=1)
        assert self._flushed.wait(PATIENCE), "the subscriber gets nothing"

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()
        # paho closes its last sockets when nobody refers to it any more, which these do.
        self._client.on_connect = self._client.on_subscribe = self._client.on_message = None

    def _subscribe(self) -> None:
        self._client.subscribe(f"{self._word}/#", qos=1)

    def _take(self, message: MQTTMessage) -> None:
        if message.topic.endswith("/flush"):
            self._flushed.set()
        else:
            self.messages.append(message)


def beside(message: MQTTMessage) -> dict[str, str]:
    """Return a message's user properties."""
    properties: Any = message.properties
    return dict(properties.UserProperty)


class Attended(Server):
    """A server whose subscriber is back as soon as it is; MQTT stores nothing for those who are not there."""

    def __init__(self, server: Server, subscriber: Subscriber) -> None:
        super().__init__(server.port, server.answers, hint=server.hint)
        self._server = server
        self._subscriber = subscriber

    def kill(self) -> None:
        """And the subscriber must come back."""
        self._subscriber.gone()
        self._server.kill()

    def start(self) -> None:
        """And the subscriber is there."""
        self._server.start()
        self._subscriber.wait()


@pytest.fixture(scope="module")
def the_server() -> Iterator[Server]:
    """One that says how large a packet it takes."""
    with servers.mosquitto(f"max_packet_size {LARGEST}") as server:
        yield server


@pytest.fixture
def word() -> str:
    """The first word of topics that no other test has."""
    return f"events{next(_numbers)}"


@pytest.fixture
def subscriber(the_server: Server, word: str) -> Iterator[Subscriber]:
    """Somebody who has subscribed to them."""
    the_server.start()
    found = Subscriber(the_server.port, word)
    yield found
    found.close()


class TestMqtt(BrokerContract):
    """The contract, with a subscriber who is there all the time."""

    @pytest.fixture(autouse=True)
    def _somewhere(self, the_server: Server, subscriber: Subscriber, word: str) -> None:
        self._word = word
        self._subscriber = subscriber
        self._server = the_server

    @property
    def server(self) -> Server:
        return Attended(self._server, self._subscriber)

    def sink_at(self, port: int, **settings: Any) -> Mqtt:
        return an_mqtt(port, **{"topic": f"{self._word}/{{object}}/{{kind}}", **settings})

    def received(self) -> list[bytes]:
        self._subscriber.flush()
        return [bytes(each.payload) for each in self._subscriber.messages]

    def repeat_ids(self) -> list[str]:
        self._subscriber.flush()
        return [beside(each)["id"] for each in self._subscriber.messages]

    def too_large(self) -> Dressed:
        return dressed(90, id="90", record_id="001B", record={"Name": "x" * LARGEST})

    async def with_wrong_login(self) -> Receipt:
        with servers.mosquitto("allow_anonymous false") as server:
            [receipt] = await sent(an_mqtt(server.port, username="poller", password=SECRET))
        return receipt


async def sent(sink: Mqtt, *events: Dressed) -> list[Receipt]:
    """Send these with a sink that is opened for it."""
    await sink.open()
    receipts = await sink.send(events or [dressed()])
    await sink.close()
    return receipts


async def test_a_message_says_what_it_is(the_server: Server, word: str, subscriber: Subscriber) -> None:
    """The topic, the content type, and the attributes by which readers drop repeats; a slash makes no other topic."""
    topic = f"{word}/{{org}}/{{object}}/{{kind}}/{{record_id}}"
    [receipt] = await sent(an_mqtt(the_server.port, topic=topic), dressed(org="a/b+#"))
    assert (receipt.verdict, receipt.reference) == (Verdict.ACCEPTED, "0x00")
    subscriber.flush()
    [message] = subscriber.messages
    assert message.topic == f"{word}/a_b__/Lead/updated/00Q5g00000AbCdEEAV"
    assert (message.qos, message.retain) == (1, False)
    properties: Any = message.properties
    assert properties.ContentType == "application/cloudevents+json"
    assert beside(message) == {name: dressed().cloudevent[name] for name in ("id", "source", "type", "partitionkey")}


@pytest.mark.parametrize("required", [False, True])
async def test_a_message_to_nobody_is_told_of_or_waits(the_server: Server, word: str, required: bool) -> None:
    """The broker acknowledges it and drops it; ``require_subscriber`` has the event wait in the store instead."""
    the_server.start()
    sink = an_mqtt(the_server.port, topic=f"{word}/nobody", require_subscriber=required)
    [receipt] = await sent(sink)
    assert receipt.reference == "0x10"
    assert receipt.verdict is (Verdict.TRY_LATER if required else Verdict.ACCEPTED)
    assert receipt.detail == (f"nobody has subscribed to {word}/nobody" if required else "")
    await sink.open()
    assert (await sink.probe()).verdict is Verdict.ACCEPTED
    warnings = await sink.warnings()
    await sink.close()
    assert warnings == [] if required else warnings[0].startswith("MQTT stores nothing")


async def test_a_retained_message_is_there_for_those_who_come_later(the_server: Server, word: str) -> None:
    """The last one of each topic, with ``retain = true``."""
    the_server.start()
    sink = an_mqtt(the_server.port, topic=f"{word}/{{object}}", retain=True)
    await sent(sink, dressed(1, id="1"), dressed(2, id="2"))
    late = Subscriber(the_server.port, word)
    late.flush()
    late.close()
    assert [beside(each)["id"] for each in late.messages] == ["2"]


async def test_an_event_on_which_the_broker_hangs_up_is_refused_alone(word: str) -> None:
    """As one does that did not say before how much it takes: the largest one on its way is the reason.

    The reason can be lost, since the broker hangs up on bytes that it has not read; then all are tried again.
    """
    events = [dressed(n, id=str(n), record_id=str(n), record={"Name": "x" * n}) for n in (1, 5_000, 2)]
    with servers.mosquitto("max_packet_size 5000") as server:
        sink = an_mqtt(server.port, topic=word)
        await sink.open()
        found: list[Receipt] = []

        async def told() -> bool:
            assert (await sink.probe()).verdict is Verdict.ACCEPTED
            assert sink._connection is not None
            assert sink._connection.largest == 5_000
            sink._connection.largest = None
            found[:] = await sink.send(events)
            assert Verdict.REFUSED not in (found[0].verdict, found[2].verdict)
            return found[1].verdict is Verdict.REFUSED

        await eventually(told, "an event that is refused for its size")
        again = await sink.send([events[0], events[2]])
        await sink.close()
    assert found[1].detail == "the broker says: Packet too large (0x95)"
    assert not found[1].general
    assert [each.verdict for each in again] == [Verdict.ACCEPTED] * 2


async def test_a_broker_that_takes_few_at_a_time_gets_few(word: str) -> None:
    """Its Receive Maximum; one message more and it would hang up."""
    events = [dressed(n, id=f"{n:03}", record_id=f"{n:03}") for n in range(60)]
    with servers.mosquitto("max_inflight_messages 3") as server:
        sink = an_mqtt(server.port, topic=word)
        assert [each.verdict for each in await sent(sink, *events)] == [Verdict.ACCEPTED] * 60


async def test_a_process_with_thousands_of_open_files_delivers(word: str) -> None:
    """As one does that watches a thousand orgs: files are numbered in the order in which they are opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 4_096 if hard == resource.RLIM_INFINITY else min(hard, 4_096)
    if most < 1_500:
        pytest.skip(f"this machine lets nobody open more than {most} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    with servers.mosquitto() as server, ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(1_100):
            stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        [receipt] = await sent(an_mqtt(server.port, topic=word))
    assert receipt.verdict is Verdict.ACCEPTED, receipt.detail


@pytest.fixture
def rights(tmp_path: Path) -> tuple[str, str, str]:
    """Lines for a Mosquitto that has one user, who may publish to one topic."""
    passwords, topics = tmp_path / "passwords", tmp_path / "topics"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "poller", "right"], check=True)
    topics.write_text("user poller\ntopic write free\n", encoding="utf-8")
    return "allow_anonymous false", f"password_file {passwords}", f"acl_file {topics}"


async def test_it_logs_in_and_is_told_what_it_may_not(rights: tuple[str, str, str]) -> None:
    """A login that is not known, and a topic that is not this user's."""
    with servers.mosquitto(*rights) as server:
        login = {"username": "poller", "password": "right"}
        [receipt] = await sent(an_mqtt(server.port, topic="free", **login))
        assert receipt.verdict is Verdict.ACCEPTED
        [receipt] = await sent(an_mqtt(server.port, topic="closed", **login))
        assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)
        assert receipt.detail == "the broker says: Not authorized (0x87)"
        [receipt] = await sent(an_mqtt(server.port, topic="closed/{object}", **login))
        assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, False)  # it may be this object alone
        [receipt] = await sent(an_mqtt(server.port, topic="free", **login | {"password": SECRET}))
        assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)


async def test_it_speaks_tls_and_believes_only_its_authority(some_certificates: Certificates, word: str) -> None:
    """With ``mqtts``; ``ca`` says whom to believe."""
    with servers.mosquitto(tls=some_certificates) as server:
        for ca, verdict in (
            (some_certificates.ca, Verdict.ACCEPTED),
            (some_certificates.other_ca, Verdict.TRY_LATER),
            (None, Verdict.TRY_LATER),
        ):
            [receipt] = await sent(an_mqtt(0, url=f"mqtts://localhost:{server.tls_port}", topic=word, ca=ca))
            assert receipt.verdict is verdict, receipt
            assert ("certificate" in receipt.detail) is (verdict is Verdict.TRY_LATER)


async def test_a_connection_that_is_given_up_leaves_no_thread(the_server: Server) -> None:
    """Stalled while it was being made, and while there was an event on its way."""
    the_server.start()
    before = threading.active_count()
    async with Proxy(the_server.port) as proxy:
        sink = an_mqtt(proxy.port, timeout="200ms")
        await sink.open()
        assert [each.verdict for each in await sink.send([dressed()])] == [Verdict.ACCEPTED]
        proxy.stall()
        for _ in range(3):
            assert [each.verdict for each in await sink.send([dressed()])] == [Verdict.TRY_LATER]
        await sink.close()
    assert [each.name for each in threading.enumerate() if each.name.startswith("paho")] == []
    assert threading.active_count() <= before + 8, "only those of the pool for blocking calls"


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"url": "http://127.0.0.1"}, 'should be an address such as "mqtt://'),
        ({"url": "mqtt://u:p@127.0.0.1"}, "should hold no user name or password"),
        ({"topic": "sf/{name}"}, "is not known here"),
        ({"topic": "sf/#"}, "should be a topic to publish to"),
        ({"topic": "$SYS/x"}, "should be a topic to publish to"),
    ],
)
def test_a_wrong_configuration_says_what_would_be_right(wrong: dict[str, Any], problem: str) -> None:
    """Before anything is started."""
    with pytest.raises(ValidationError, match=problem):
        an_mqtt(1883, **wrong)
