"""sinks/nats.py: the contract of brokers against a real NATS, and what only JetStream can do."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import nats as library
import pytest
import servers
from broker_contract import SECRET, BrokerContract, apart
from certificates import Certificates
from fakes import FakeClock
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from proxy import Proxy
from pydantic import ValidationError
from servers import Server, free_port
from sink_contract import dressed

from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.sinks.nats import Nats, NatsSettings, doubts

#: What a NATS server takes unless it is told otherwise.
LARGEST = 1024**2
ResultT = TypeVar("ResultT")
_numbers = itertools.count(1)


def a_nats(port: int, **settings: Any) -> Nats:
    """Return a sink for a NATS on this machine."""
    url = {"url": f"nats://127.0.0.1:{port}"}
    return Nats(NatsSettings.model_validate({"type": "nats", **url, **settings}), FakeClock())


def asked(server: Server, question: Callable[[JetStreamContext], Awaitable[ResultT]], **login: Any) -> ResultT:
    """Ask JetStream something, over a connection of its own."""

    async def ask() -> ResultT:
        client: Client = await library.connect(f"nats://127.0.0.1:{server.port}", **login)
        try:
            return await question(client.jetstream())
        finally:
            await client.close()

    return apart(ask)


def a_stream(server: Server, name: str, *subjects: str, **config: Any) -> None:
    """Make a stream."""
    asked(server, lambda js: js.add_stream(name=name, subjects=list(subjects), **config))


def messages(server: Server, name: str) -> list[Msg]:
    """Return what is in a stream."""

    async def read(js: JetStreamContext) -> list[Msg]:
        count = (await js.stream_info(name)).state.messages
        found: list[Msg] = []
        if count:
            subscription = await js.pull_subscribe("", stream=name, durable=f"reader-{next(_numbers)}")
            while len(found) < count:
                found += await subscription.fetch(count - len(found), timeout=10)
        return found

    return asked(server, read)


class TestNats(BrokerContract):
    """The contract, with a stream of its own for each test."""

    @pytest.fixture(autouse=True)
    def _somewhere(self, nats_server: Server) -> None:
        nats_server.start()
        self._server = nats_server
        self._stream = f"events-{next(_numbers)}"
        a_stream(nats_server, self._stream, f"{self._stream}.>")

    @property
    def server(self) -> Server:
        return self._server

    def sink_at(self, port: int, **settings: Any) -> Nats:
        return a_nats(port, **{"subject": f"{self._stream}.{{object}}.{{kind}}", **settings})

    def received(self) -> list[bytes]:
        return [each.data for each in messages(self.server, self._stream)]

    def repeat_ids(self) -> list[str]:
        return [(each.headers or {})["Nats-Msg-Id"] for each in messages(self.server, self._stream)]

    def too_large(self) -> Dressed:
        return dressed(90, id="90", record_id="001B", record={"Name": "x" * LARGEST})

    async def with_wrong_login(self) -> Receipt:
        with servers.nats('authorization { user: "poller", password: "right" }') as server:
            sink = a_nats(server.port, username="poller", password=SECRET)
            await sink.open()
            [receipt] = await sink.send([dressed()])
            await sink.close()
        return receipt


async def sent(sink: Nats, *events: Dressed) -> list[Receipt]:
    """Send these with a sink that is opened for it."""
    await sink.open()
    receipts = await sink.send(events or [dressed()])
    await sink.close()
    return receipts


async def looked(sink: Nats) -> tuple[Receipt, list[str]]:
    """Return what ``check`` is told: of the probe, and of the warnings."""
    await sink.open()
    found = await sink.probe(), await sink.warnings()
    await sink.close()
    return found


@pytest.fixture
def server(nats_server: Server) -> Server:
    """The server, running."""
    nats_server.start()
    return nats_server


@pytest.fixture
def name() -> str:
    """A name for a stream that no other test has, and the first word of its subjects."""
    return f"stream{next(_numbers)}"


async def test_the_subject_says_whose_event_it_is(server: Server, name: str) -> None:
    """A dot or a wildcard in a value would make another subject of it."""
    a_stream(server, name, f"{name}.>")
    sink = a_nats(server.port, subject=f"{name}.{{org}}.{{object}}.{{kind}}")
    [receipt] = await sent(sink, dressed(org="acme.de *>"))
    [message] = messages(server, name)
    assert message.subject == f"{name}.acme_de___.Lead.updated"
    assert receipt.reference == f"{name} 1"


async def test_an_event_sent_twice_is_stored_once_and_a_replay_once_more(server: Server, name: str) -> None:
    """Within the stream's duplicate window, by the event's id."""
    a_stream(server, name, name)
    replay = dressed(replay=True)
    for event in (dressed(), dressed(), replay, replay):
        [receipt] = await sent(a_nats(server.port, subject=name), event)
        assert receipt.verdict is Verdict.ACCEPTED
    ids = [(each.headers or {})["Nats-Msg-Id"] for each in messages(server, name)]
    assert ids == [dressed().event_id, dressed().event_id + "-replay"]


async def test_two_sinks_with_one_stream_have_an_event_each(server: Server, name: str) -> None:
    """The stream tells repeats by their id, whatever their subject; readers of one subject would never see it."""
    a_stream(server, name, f"{name}.>")
    for subject in (f"{name}.leads", f"{name}.all.{{object}}") * 2:
        [receipt] = await sent(a_nats(server.port, subject=subject), dressed())
        assert receipt.verdict is Verdict.ACCEPTED
    assert [each.subject for each in messages(server, name)] == [f"{name}.leads", f"{name}.all.Lead"]


async def test_a_repeat_that_may_not_be_looked_at_is_a_repeat(name: str) -> None:
    """A user who may only publish has it delivered, and is told of no rights that the sink can do without."""
    may = f'permissions: {{ publish: ["{name}"] }}'
    users = f'{{ user: "u", password: "right", {may} }}, {{ user: "admin", password: "right" }}'
    with servers.nats(f"authorization {{ users: [ {users} ] }}") as server:
        admin = {"user": "admin", "password": "right"}
        asked(server, lambda js: js.add_stream(name=name, subjects=[name]), **admin)
        for _ in range(2):
            [receipt] = await sent(a_nats(server.port, subject=name, username="u", password="right"), dressed())
            assert receipt.verdict is Verdict.ACCEPTED
        assert asked(server, lambda js: js.stream_info(name), **admin).state.messages == 1


async def test_a_subject_that_no_stream_takes_is_a_refusal_of_the_sink(server: Server, name: str) -> None:
    """Published without a stream it would be gone; ``check`` finds it as well."""
    sink = a_nats(server.port, subject=name)
    [receipt] = await sent(sink)
    assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)
    assert receipt.detail == f"no stream takes the subject {name}"
    probe, _ = await looked(sink)
    assert (probe.verdict, probe.detail) == (Verdict.REFUSED, f"no stream takes the subject {name}")
    probe, _ = await looked(a_nats(server.port, subject=f"{name}.{{object}}"))
    assert (probe.verdict, probe.detail) == (Verdict.REFUSED, f"no stream takes the subject {name}.*")


async def test_an_object_without_a_stream_holds_up_no_other(server: Server, name: str) -> None:
    """What is said of one subject is no news of the sink: five such records in a row would end it for all objects."""
    a_stream(server, name, f"{name}.Lead")
    a_stream(server, f"{name}-other", f"{name}.Case")
    sink = a_nats(server.port, subject=f"{name}.{{object}}", stream=name)
    events = [
        dressed(n, id=f"{n}", record_id=f"{n}", object=each) for n, each in enumerate(("Contact", "Case", "Lead"))
    ]
    receipts = await sent(sink, *events)
    assert [each.verdict for each in receipts] == [Verdict.REFUSED, Verdict.REFUSED, Verdict.ACCEPTED]
    assert not any(each.general for each in receipts)
    assert receipts[0].detail == f"no stream takes the subject {name}.Contact"


async def test_another_stream_than_the_expected_one_is_a_refusal_of_the_sink(server: Server, name: str) -> None:
    """``stream`` says which must take it."""
    a_stream(server, name, name)
    assert (await sent(a_nats(server.port, subject=name, stream=name)))[0].verdict is Verdict.ACCEPTED
    sink = a_nats(server.port, subject=name, stream="other")
    [receipt] = await sent(sink, dressed(id="2"))
    assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)
    assert "expected stream does not match" in receipt.detail
    probe, _ = await looked(sink)
    assert probe.detail == f"the subject {name} belongs to the stream {name}"


async def test_a_stream_that_is_full_is_a_bad_moment(server: Server, name: str) -> None:
    """Where it does not drop its oldest instead, it takes more when somebody has read."""
    a_stream(server, name, name, max_msgs=1, discard="new")
    first, second = await sent(a_nats(server.port, subject=name), dressed(1, id="1"), dressed(2, id="2", record_id="2"))
    assert (first.verdict, second.verdict) == (Verdict.ACCEPTED, Verdict.TRY_LATER)
    assert "maximum messages exceeded" in second.detail


async def test_an_event_larger_than_the_stream_takes_is_refused_alone(server: Server, name: str) -> None:
    """``max_msg_size`` of the stream, beside ``max_payload`` of the server."""
    a_stream(server, name, name, max_msg_size=5_000)
    large = dressed(1, id="1", record={"Name": "x" * 5_000})
    first, second = await sent(a_nats(server.port, subject=name), large, dressed(2, id="2", record_id="2"))
    assert (first.verdict, first.general) == (Verdict.REFUSED, False)
    assert "message size exceeds maximum allowed" in first.detail
    assert second.verdict is Verdict.ACCEPTED


async def test_check_finds_the_stream_and_says_what_it_may_lose(server: Server, name: str) -> None:
    """One replica on a disk that is synced every two minutes is how a stream is made when nobody says otherwise."""
    a_stream(server, name, f"{name}.*.*")
    probe, [warning] = await looked(a_nats(server.port, subject=f"{name}.{{org}}.{{object}}"))
    assert (probe.verdict, probe.detail) == (Verdict.ACCEPTED, f"reachable; the stream {name} takes {name}.*.*")
    assert warning.startswith(f"the stream {name} has one replica, and its server acknowledges before the disk has it")


def test_each_way_a_stream_can_lose_events_is_warned_of() -> None:
    """Limits, memory, interest and no acknowledgement; a replicated stream without them is fine."""
    assert doubts(StreamConfig(name="s", num_replicas=3)) == []
    risky = StreamConfig(
        name="s", storage=StorageType.MEMORY, max_age=60, max_msgs=10, retention=RetentionPolicy.INTEREST
    )
    assert doubts(risky.evolve(no_ack=True)) == [
        "the stream s acknowledges nothing (no_ack), so that no event will ever count as delivered",
        "the stream s is kept in memory: a restart of its server loses it",
        "the stream s drops its oldest events, read or not, beyond its limits (max_msgs, max_age)",
        "the stream s drops what comes while it has no consumer (retention interest)",
    ]
    assert doubts(StreamConfig(name="s", num_replicas=3, max_msgs=10, discard=DiscardPolicy.NEW)) == []


async def test_a_server_without_jetstream_is_a_refusal_of_the_sink() -> None:
    """Nothing there could confirm anything."""
    with servers.nats(jetstream=False) as server:
        [receipt] = await sent(a_nats(server.port))
    assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)


async def test_a_user_who_may_not_publish_there_is_told_so() -> None:
    """NATS says it beside the connection and leaves the publisher waiting; the reason is told all the same."""
    may = 'permissions: { publish: ["$JS.API.>", "free"] }'
    with servers.nats(f'authorization {{ users: [ {{ user: "u", password: "right", {may} }} ] }}') as server:
        login = {"username": "u", "password": "right", "timeout": "500ms"}
        asked(server, lambda js: js.add_stream(name="s", subjects=["free", "closed"]), user="u", password="right")
        assert (await sent(a_nats(server.port, subject="free", **login)))[0].verdict is Verdict.ACCEPTED
        [receipt] = await sent(a_nats(server.port, subject="closed", **login))
        [other] = await sent(a_nats(server.port, subject="closed.{object}", **login))
    assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)
    assert (other.verdict, other.general) == (Verdict.REFUSED, False)  # it may be this object alone
    assert "permissions violation" in receipt.detail.lower()


@pytest.mark.parametrize("login", [{"password": "right"}, {"username": "u", "password": "right"}])
async def test_it_logs_in(login: dict[str, str]) -> None:
    """By a user name and a password, or by a token, which is a password without a user name."""
    named = "username" in login
    wanted = 'user: "u", password: "right"' if named else 'token: "right"'
    own = {"user": "u", "password": "right"} if named else {"token": "right"}
    with servers.nats(f"authorization {{ {wanted} }}") as server:
        asked(server, lambda js: js.add_stream(name="s", subjects=["s"]), **own)
        [receipt] = await sent(a_nats(server.port, subject="s", **login))
        assert receipt.verdict is Verdict.ACCEPTED
        [receipt] = await sent(a_nats(server.port, subject="s", **login | {"password": SECRET}))
        # The server says why and hangs up at once, so that the reason may get lost on the way.
        hung_up = receipt.verdict is Verdict.TRY_LATER and "hung up during the login" in receipt.detail
        assert hung_up or (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)


async def test_it_speaks_tls_and_believes_only_its_authority(some_certificates: Certificates) -> None:
    """With ``tls://``, which insists on it: a server that does not offer TLS is not spoken to."""
    with servers.nats(tls=some_certificates) as server:
        url = f"tls://localhost:{server.port}"
        [receipt] = await sent(a_nats(0, url=url, ca=some_certificates.ca))
        assert receipt.detail == "no stream takes the subject salesforce.acme.Lead.updated"
        for ca in (some_certificates.other_ca, None):
            [receipt] = await sent(a_nats(0, url=url, ca=ca, timeout="2s"))
            assert receipt.verdict is Verdict.TRY_LATER
            assert "certificate" in receipt.detail


@pytest.mark.parametrize("scheme", ["tls", "nats"])
async def test_a_server_without_tls_is_not_told_the_password(
    server: Server, name: str, scheme: str, some_certificates: Certificates
) -> None:
    """Whoever sits between could have taken the offer of TLS out. An authority to believe asks for TLS as well."""
    a_stream(server, name, name)
    login = {"username": "u", "password": SECRET, "ca": some_certificates.ca if scheme == "nats" else None}
    async with Proxy(server.port, remembering=True) as listening:
        sink = a_nats(0, url=f"{scheme}://localhost:{listening.port}", subject=name, **login)
        [receipt] = await sent(sink)
    assert (receipt.verdict, receipt.detail) == (
        Verdict.TRY_LATER,
        "cannot be reached: does not offer TLS, and the sink insists on it",
    )
    assert b"CONNECT" not in listening.heard
    assert SECRET.encode() not in listening.heard


async def test_the_next_server_of_a_cluster_is_tried(server: Server, name: str) -> None:
    """In the order of the configuration."""
    a_stream(server, name, name)
    urls = [f"nats://127.0.0.1:{free_port()}", f"nats://127.0.0.1:{server.port}"]
    [receipt] = await sent(a_nats(0, url=urls, subject=name))
    assert receipt.verdict is Verdict.ACCEPTED


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"url": "http://127.0.0.1"}, 'should be an address such as "nats://'),
        ({"url": "nats://u:p@127.0.0.1"}, "should hold no user name or password"),
        ({"url": []}, "at least 1 item"),
        ({"subject": "sf.{name}"}, "is not known here"),
        ({"subject": "sf..{org}"}, "should be words joined by dots"),
        ({"subject": "sf.>"}, "should be words joined by dots"),
        ({"stream": "a.b"}, "is no name of a stream"),
        ({"username": "u"}, "username is nothing without password"),
    ],
)
def test_a_wrong_configuration_says_what_would_be_right(wrong: dict[str, Any], problem: str) -> None:
    """Before anything is started."""
    with pytest.raises(ValidationError, match=problem):
        a_nats(4222, **wrong)
