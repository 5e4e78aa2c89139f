"""sinks/redis.py: the contract of brokers against a real Redis, and what only streams can do."""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import redis as library
import servers
from broker_contract import SECRET, BrokerContract
from certificates import Certificates
from config_examples import GOOD
from fakes import FakeClock
from pydantic import ValidationError
from servers import Server, free_port
from sink_contract import dressed

from salesforce_poller import check, config
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.sinks.redis import Redis, RedisSettings, doubts

#: What the server of the contract takes at most; the smallest limit that Redis allows is a megabyte.
LARGEST = 2 * 1024**2
#: Of the server that the tests below change as they like.
DEFAULTS = {"appendfsync": "always", "maxmemory": "0", "maxmemory-policy": "noeviction"}
_numbers = itertools.count(1)


def a_redis(port: int, **settings: Any) -> Redis:
    """Return a sink for a Redis on this machine."""
    url = {"url": f"redis://127.0.0.1:{port}"}
    return Redis(RedisSettings.model_validate({"type": "redis", **url, **settings}), FakeClock())


class TestRedis(BrokerContract):
    """The contract, with a stream of its own for each test."""

    @pytest.fixture(autouse=True)
    def _somewhere(self, redis_server: Server) -> None:
        redis_server.start()
        self._server = redis_server
        self._stream = f"events:{next(_numbers)}"
        with self._asking() as client:
            client.config_set("proto-max-bulk-len", LARGEST)

    @property
    def server(self) -> Server:
        return self._server

    def sink_at(self, port: int, **settings: Any) -> Redis:
        return a_redis(port, **{"stream": self._stream, **settings})

    def received(self) -> list[bytes]:
        return [entry[b"event"] for entry in self._entries()]

    def repeat_ids(self) -> list[str]:
        return [entry[b"id"].decode() for entry in self._entries()]

    def too_large(self) -> Dressed:
        return dressed(90, id="90", record_id="001B", record={"Name": "x" * LARGEST})

    async def with_wrong_login(self) -> Receipt:
        with self._asking() as client:
            client.acl_setuser("poller", enabled=True, passwords="+right", keys=["*"], commands=["+@all"])
        sink = self.sink_at(self.server.port, username="poller", password=SECRET)
        await sink.open()
        [receipt] = await sink.send([dressed()])
        await sink.close()
        return receipt

    def _asking(self) -> "library.Redis":
        return library.Redis(port=self._server.port)

    def _entries(self) -> list[dict[bytes, bytes]]:
        with self._asking() as client:
            return [fields for _, fields in client.xrange(self._stream)]


async def sent(sink: Redis, *events: Dressed) -> list[Receipt]:
    """Send these with a sink that is opened for it."""
    await sink.open()
    receipts = await sink.send(events or [dressed()])
    await sink.close()
    return receipts


async def warned(sink: Redis) -> list[str]:
    """Return what ``check`` would be told."""
    await sink.open()
    assert (await sink.probe()).verdict is Verdict.ACCEPTED
    warnings = await sink.warnings()
    await sink.close()
    return warnings


@pytest.fixture
def server(redis_server: Server) -> Server:
    """The server, running."""
    redis_server.start()
    return redis_server


@contextmanager
def set_up(server: Server, **config: str) -> Iterator["library.Redis"]:
    """Have the server configured like this for a while; yields a client for it."""
    with library.Redis(port=server.port) as client:
        for key, value in config.items():
            client.config_set(key.replace("_", "-"), value)
        try:
            yield client
        finally:
            for key, value in DEFAULTS.items():
                client.config_set(key, value)


async def test_an_entry_has_the_id_the_record_and_the_event(server: Server) -> None:
    """In the stream of the org and the object, unless another one is asked for."""
    [receipt] = await sent(a_redis(server.port))
    with library.Redis(port=server.port) as client:
        [(entry, fields)] = client.xrange("salesforce:acme:Lead")
    assert receipt.reference == entry.decode()
    assert fields == {b"id": dressed().event_id.encode(), b"key": dressed().key.encode(), b"event": dressed().body}


async def test_a_stream_is_trimmed_only_if_asked(server: Server) -> None:
    """``maxlen`` is about how many it keeps: Redis trims whole nodes of a hundred."""
    events = [dressed(n, id=str(n), record_id=str(n)) for n in range(1000)]
    for stream, settings in (("all", {}), ("some", {"maxlen": 200})):
        sink = a_redis(server.port, stream=stream, **settings)
        await sink.open()
        for start in range(0, 1000, sink.batch):
            await sink.send(events[start : start + sink.batch])
        await sink.close()
    with library.Redis(port=server.port) as client:
        assert client.xlen("all") == 1000
        assert 200 <= client.xlen("some") <= 400


async def test_a_full_memory_is_a_bad_moment(server: Server) -> None:
    """Someone will make room; nothing is wrong with the event."""
    with set_up(server, maxmemory="1"):
        [receipt] = await sent(a_redis(server.port))
    assert receipt.verdict is Verdict.TRY_LATER
    assert "maxmemory" in receipt.detail


async def test_a_key_that_is_no_stream_is_a_refusal(server: Server) -> None:
    """Of this event alone: other objects have streams of their own."""
    with library.Redis(port=server.port) as client:
        client.set("taken:Lead", "by somebody")
    events = [dressed(1, record_id="1"), dressed(2, record_id="2", object="Contact")]
    receipts = await sent(a_redis(server.port, stream="taken:{object}"), *events)
    assert [each.verdict for each in receipts] == [Verdict.REFUSED, Verdict.ACCEPTED]
    assert "WRONGTYPE" in receipts[0].detail
    assert not receipts[0].general


async def test_a_user_who_may_only_append_is_enough(server: Server) -> None:
    """What it may not ask, it does without, and ``check`` says so; what it may not append is the sink's trouble."""
    with library.Redis(port=server.port) as client:
        client.acl_setuser("narrow", enabled=True, passwords="+right", keys=["narrow"], commands=["+xadd", "+ping"])
    login = {"username": "narrow", "password": "right"}
    [receipt] = await sent(a_redis(server.port, stream="narrow", **login))
    assert receipt.verdict is Verdict.ACCEPTED
    [warning] = await warned(a_redis(server.port, **login))
    assert warning.startswith("does not tell how it keeps entries: ")
    [receipt] = await sent(a_redis(server.port, stream="other", **login))
    assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)
    [receipt] = await sent(a_redis(server.port, stream="other:{object}", **login))
    assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, False)  # it may be this object alone


async def test_a_password_for_a_server_without_one_is_told(server: Server) -> None:
    """Redis has a long sentence about it, which does not hold the password."""
    [receipt] = await sent(a_redis(server.port, password=SECRET))
    assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True)
    assert SECRET not in receipt.detail


async def test_check_warns_of_what_can_lose_entries(server: Server) -> None:
    """Of nothing, when each entry is on disk before it is confirmed and nothing is evicted."""
    sink = a_redis(server.port)
    assert await warned(sink) == []
    with set_up(server, appendfsync="everysec", maxmemory="100mb", maxmemory_policy="allkeys-lru"):
        assert await warned(sink) == [
            "may evict whole streams at maxmemory 104857600 (maxmemory-policy allkeys-lru); set it to noeviction",
            "confirms before it is on disk: it syncs once a second (appendfsync everysec)",
        ]


async def test_check_shows_the_warnings_behind_what_it_reached(server: Server) -> None:
    """As notes: the sink works, and there is something to know. A server that is away is not asked."""
    here = f'[sinks.here]\ntype = "redis"\nurl = "redis://127.0.0.1:{server.port}"\n'
    away = f'[sinks.away]\ntype = "redis"\nurl = "redis://127.0.0.1:{free_port()}"\n'
    read = config.parse(GOOD + here + away, {})
    asked = read.model_copy(update={"orgs": {}, "sinks": {name: read.sinks[name] for name in ("here", "away")}})
    with set_up(server, appendfsync="everysec"):
        found = [each async for each in check.findings(asked, clock=FakeClock())]
    assert [(each.about, each.mark) for each in found] == [
        ("sink here", check.Mark.GOOD),
        ("sink here", check.Mark.NOTE),
        ("sink away", check.Mark.BAD),
    ]
    assert "appendfsync everysec" in found[1].text


def test_a_server_without_a_log_is_warned_of() -> None:
    """It keeps entries in memory; and keys without an expiry are safe from the volatile policies."""
    assert doubts({"appendonly": "no", "appendfsync": "always", "maxmemory-policy": "volatile-lru"}) == [
        "keeps entries in memory only, between its snapshots (appendonly no): a crash loses the last ones"
    ]


async def test_it_speaks_tls_and_believes_only_its_authority(some_certificates: Certificates) -> None:
    """With ``rediss``; ``ca`` says whom to believe, and a certificate of one's own is shown where one is asked for."""
    own = {"client_certificate": some_certificates.client, "client_key": some_certificates.client_key}
    with servers.redis(tls=some_certificates) as server:
        url = f"rediss://localhost:{server.tls_port}"
        for ca, more, verdict in (
            (some_certificates.ca, own, Verdict.ACCEPTED),
            (some_certificates.other_ca, {}, Verdict.TRY_LATER),
            (None, {}, Verdict.TRY_LATER),
        ):
            [receipt] = await sent(a_redis(0, url=url, ca=ca, **more))
            assert receipt.verdict is verdict, receipt
            assert ("certificate" in receipt.detail) is (verdict is Verdict.TRY_LATER)


async def test_it_speaks_over_a_socket_of_this_machine(tmp_path: Any) -> None:
    """``unix:///path``."""
    with servers.redis(f"unixsocket {tmp_path}/redis.sock"):
        [receipt] = await sent(a_redis(0, url=f"unix://{tmp_path}/redis.sock"))
    assert receipt.verdict is Verdict.ACCEPTED
    [receipt] = await sent(a_redis(0, url=f"unix://{tmp_path}/nobody.sock"))
    assert receipt.verdict is Verdict.TRY_LATER


class Scripted:
    """A Redis of a version that is not installed anywhere here: it notes commands, and says what it is told."""

    def __init__(self, version: str) -> None:
        info = f"redis_version:{version}\r\n".encode()
        self.says = {b"PING": b"+PONG\r\n", b"INFO": b"$%d\r\n%s\r\n" % (len(info), info), b"XADD": b"$3\r\n1-1\r\n"}
        self.heard: list[list[bytes]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                count = int((await reader.readuntil(b"\r\n"))[1:])
                words = []
                for _ in range(count):
                    length = int((await reader.readuntil(b"\r\n"))[1:])
                    words.append((await reader.readexactly(length + 2))[:-2])
                self.heard.append(words)
                writer.write(self.says.get(words[0], b"-ERR unknown command\r\n"))
        writer.close()


@pytest.mark.parametrize(("version", "drops"), [("7.2.4", False), ("8.4.9", False), ("8.6.0", True), ("10.0.1", True)])
async def test_repeats_are_dropped_by_servers_that_can(version: str, drops: bool) -> None:
    """IDMP, from 8.6 on: the event's id in the server's own field. A replay is to pass, and retries of it are not."""
    redis, port = Scripted(version), free_port()
    async with await asyncio.start_server(redis.serve, "127.0.0.1", port):
        replay = dressed(replay=True)
        receipts = [await sent(a_redis(port), event) for event in (dressed(), replay)]
    assert [one.verdict for [one] in receipts] == [Verdict.ACCEPTED] * 2
    added = [words[2:5] for words in redis.heard if words[0] == b"XADD"]
    ids = [dressed().event_id.encode(), dressed().event_id.encode() + b"-replay"]
    assert added == [
        [b"IDMP", b"salesforce-poller", each] if drops else [b"*", b"id", dressed().event_id.encode()] for each in ids
    ]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"url": "http://127.0.0.1"}, 'should be an address such as "redis://'),
        ({"url": "redis://:secret@127.0.0.1"}, "should hold no user name or password"),
        ({"url": "redis://127.0.0.1/events"}, "number of a database"),
        ({"url": "redis://127.0.0.1?db=1"}, "no options behind a question mark"),
        ({"stream": "sf:{name}"}, "is not known here"),
        ({"maxlen": 0}, "greater than or equal to 1"),
        ({"ca": "/nowhere/ca.pem"}, "cannot read /nowhere/ca.pem: No such file"),
        ({"client_key": "key.pem"}, "client_key is nothing without client_certificate"),
    ],
)
def test_a_wrong_configuration_says_what_would_be_right(wrong: dict[str, Any], problem: str) -> None:
    """Before anything is started."""
    with pytest.raises(ValidationError, match=problem):
        a_redis(6379, **wrong)
