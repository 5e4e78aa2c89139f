"""What every sink that speaks to a broker lives through: the contract of all sinks, and the faults of :data:`FAULTS`.

A sink's own test subclasses :class:`BrokerContract`, says how to reach its server, and adds what only it can do. A
fault that cannot happen to it stands in ``does_not_apply`` with the reason, and its test is not collected.
``CONTRIBUTING.md`` has the table of both, which ``test_documents.py`` compares with what is here.
"""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Protocol, TypeVar

import orjson
import pytest
from proxy import Proxy
from servers import free_port
from sink_contract import SinkContract, dressed

from salesforce_poller.clock import SystemClock
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks.base import Dressed, Sink

#: Each fault, and the test of :class:`BrokerContract` that has it happen.
FAULTS = {
    "down at start": "test_a_server_that_is_down_at_start_is_found_when_it_comes",
    "killed in mid-batch": "test_what_it_accepted_outlives_a_server_killed_in_mid_batch",
    "slow": "test_a_slow_server_is_waited_for",
    "refusing": "test_a_server_that_hangs_up_is_an_answer",
    "connection lost": "test_it_connects_again_by_itself",
    "half open": "test_a_half_open_connection_is_an_answer_in_time",
    "message too large": "test_an_event_that_is_too_large_is_refused_alone",
    "login wrong": "test_a_wrong_login_is_an_answer_without_the_secret",
    "one of many fails": "test_nothing_of_a_record_passes_what_failed",
    "sent twice": "test_the_event_id_is_where_the_broker_or_its_readers_look_for_repeats",
}
#: Seconds after which something that should have happened long ago is called missing.
PATIENCE = 20
#: What a wrong login says; no receipt may repeat it.
SECRET = "hush-hush-t0p-secret"
ResultT = TypeVar("ResultT")


def apart(work: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
    """Run a coroutine in a loop and a thread of its own: for ``received``, where the client is asynchronous."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


async def eventually(happened: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait until something is so; fails when it is not within :data:`PATIENCE` seconds."""
    try:
        async with asyncio.timeout(PATIENCE):
            while not await happened():
                await SystemClock().sleep(0.02)
    except TimeoutError:
        pytest.fail(f"after {PATIENCE} s still not: {what}")


def events_of(records: Sequence[str], rounds: int, first: int = 1, **event: Any) -> list[Dressed]:
    """Return so many events of each of these records, in the order in which they happened."""
    turns = [record for _ in range(rounds) for record in records]
    return [dressed(n, id=f"{n:032}", record_id=record, **event) for n, record in enumerate(turns, first)]


def ids(bodies: Sequence[bytes]) -> list[str]:
    """Return the ids of CloudEvents, in their order."""
    return [orjson.loads(body)["id"] for body in bodies]


class Killable(Protocol):
    """A server as this contract needs it; ``servers.Server`` is one."""

    @property
    def port(self) -> int:
        """Of 127.0.0.1."""

    def kill(self) -> None:
        """End it without warning."""

    def start(self) -> None:
        """Have it back, on the same port with the same data."""


class BrokerContract(SinkContract):
    """A sink, a proxy with faults, and a real server behind it."""

    #: Fault, and why it cannot happen to this sink.
    does_not_apply: ClassVar[dict[str, str]] = {}
    #: ``timeout`` of the sinks under test; the contract waits no longer than three times as long for any answer.
    timeout: ClassVar[float] = 0.5
    #: In how many tries it must be connected again to a server that is back.
    tries: ClassVar[int] = 2

    def __init_subclass__(cls, **more: Any) -> None:
        """Take away the tests of what cannot happen."""
        super().__init_subclass__(**more)
        for fault in cls.does_not_apply:
            setattr(cls, FAULTS[fault], None)

    # ------------------------------------------------------------------ what a subclass says

    @property
    @abstractmethod
    def server(self) -> Killable:
        """The server, private if possible."""

    @abstractmethod
    def sink_at(self, port: int, **settings: Any) -> Sink[Any]:
        """Return a sink for the server at this port of 127.0.0.1, publishing to this test's own stream or queue.

        ``settings`` are keys of its configuration, ``timeout`` among them.
        """

    @abstractmethod
    def received(self) -> list[bytes]:
        """Return what arrived in this test's own stream, in order. Asks the server itself, and never the proxy."""

    @abstractmethod
    def repeat_ids(self) -> list[str]:
        """Return what stands in the broker's own field against repeats (or the one for readers), message by message."""

    @abstractmethod
    def too_large(self) -> Dressed:
        """Return an event that this server does not take for its size."""

    @abstractmethod
    async def with_wrong_login(self) -> Receipt:
        """Return what a sink says that logs in with :data:`SECRET` where another password is right."""

    # ------------------------------------------------------------------ the contract of all sinks

    def a_sink(self) -> Sink[Any]:
        return self.sink_at(self.server.port)

    def a_broken_sink(self) -> Sink[Any]:
        return self.sink_at(free_port())

    # ------------------------------------------------------------------ the faults

    async def test_a_server_that_is_down_at_start_is_found_when_it_comes(self) -> None:
        """Without being opened again."""
        async with self._behind_a_proxy() as (sink, proxy):
            proxy.down()
            assert await self._verdicts(sink, [dressed()]) == [Verdict.TRY_LATER]
            await proxy.heal()
            await self._taken(sink, [dressed()])
        assert ids(self.received()) == [dressed().event_id]

    async def test_what_it_accepted_outlives_a_server_killed_in_mid_batch(self) -> None:
        """Cut in the middle of a batch, killed, started again: what was accepted is there, the rest comes in order."""
        owed = events_of(["001A", "001B", "001C", "001D", "001E"], rounds=8, record={"Name": "x" * 2_000})
        accepted: list[str] = []
        async with self._behind_a_proxy() as (sink, proxy):
            await self._send(sink, owed[:5], accepted)
            proxy.cut(after=20_000)
            while not proxy.cuts and (left := self._still(owed, accepted)):
                await self._send(sink, left, accepted)
            assert len(accepted) < len(owed), "the cut came too late to show anything"
            await asyncio.to_thread(self.server.kill)
            await self._send(sink, self._still(owed, accepted), accepted)
            await asyncio.to_thread(self.server.start)
            assert set(accepted) <= set(ids(self.received())), "accepted before the kill, and gone"
            async with asyncio.timeout(PATIENCE):
                while left := self._still(owed, accepted):
                    await self._send(sink, left, accepted)
        told = self.received()
        assert set(ids(told)) == {each.event_id for each in owed}
        for record in ("001A", "001B", "001C", "001D", "001E"):
            own = [orjson.loads(body)["id"] for body in told if orjson.loads(body)["partitionkey"] == record]
            assert list(dict.fromkeys(own)) == [each.event_id for each in owed if each.key == record]

    async def test_a_slow_server_is_waited_for(self) -> None:
        """As long as the timeout is, and no event is sent again meanwhile."""
        async with self._behind_a_proxy() as (sink, proxy):
            await self._taken(sink, [dressed()])
            proxy.slow_down(self.timeout / 10)
            batch = events_of(["001A", "001B"], rounds=1)
            assert await self._verdicts(sink, batch) == [Verdict.ACCEPTED] * 2
        assert sorted(ids(self.received())) == sorted([dressed().event_id, *(each.event_id for each in batch)])

    async def test_a_server_that_hangs_up_is_an_answer(self) -> None:
        """Each connection is reset as soon as it is made."""
        async with self._behind_a_proxy() as (sink, proxy):
            proxy.reset()
            [receipt] = await self._answers(sink, [dressed()])
            assert receipt.verdict is Verdict.TRY_LATER
            assert receipt.detail.isprintable()
            assert 0 < len(receipt.detail) <= 300
            assert (await sink.probe()).verdict is Verdict.TRY_LATER

    async def test_it_connects_again_by_itself(self) -> None:
        """A connection that was lost between two sends costs one answer at the most."""
        async with self._behind_a_proxy() as (sink, proxy):
            await self._taken(sink, [dressed(1, id="1")])
            before = proxy.connections
            proxy.drop()
            if await self._verdicts(sink, [dressed(2, id="2")]) != [Verdict.ACCEPTED]:
                assert await self._verdicts(sink, [dressed(2, id="2")]) == [Verdict.ACCEPTED]
            assert proxy.connections > before
        assert list(dict.fromkeys(ids(self.received()))) == ["1", "2"]

    async def test_a_half_open_connection_is_an_answer_in_time(self) -> None:
        """The other side vanished without a word, while connected and while connecting."""
        async with self._behind_a_proxy() as (sink, proxy):
            await self._taken(sink, [dressed(1, id="1")])
            proxy.stall()
            for _ in range(2):
                assert await self._verdicts(sink, [dressed(2, id="2")]) == [Verdict.TRY_LATER]
            await proxy.heal()
            await self._taken(sink, [dressed(2, id="2")])
        assert ids(self.received()) == ["1", "2"]

    async def test_an_event_that_is_too_large_is_refused_alone(self) -> None:
        """Refused, and not as if the whole sink were wrong; what comes with it and after it passes."""
        sink = self.sink_at(self.server.port)
        await sink.open()
        small = [dressed(1, id="1", record_id="001A"), dressed(3, id="3", record_id="001C")]
        receipts = await self._one_after_another(sink, [small[0], self.too_large(), small[1]])
        assert [each.verdict for each in receipts] == [Verdict.ACCEPTED, Verdict.REFUSED, Verdict.ACCEPTED]
        assert not receipts[1].general
        assert receipts[1].detail
        assert await self._verdicts(sink, [dressed(4, id="4")]) == [Verdict.ACCEPTED]
        await sink.close()
        assert sorted(ids(self.received())) == ["1", "3", "4"]

    async def test_a_wrong_login_is_an_answer_without_the_secret(self) -> None:
        """Try later, or refused for the whole sink; somebody is about to correct it."""
        receipt = await self.with_wrong_login()
        assert receipt.verdict is Verdict.TRY_LATER or (receipt.verdict is Verdict.REFUSED and receipt.general)
        assert receipt.detail
        assert SECRET not in f"{receipt.detail} {receipt.response} {receipt.reference}"

    async def test_nothing_of_a_record_passes_what_failed(self) -> None:
        """In one send: the record's earlier events and other records go out, its later ones do not."""
        sink = self.sink_at(self.server.port)
        await sink.open()
        bad = self.too_large()
        events = [
            dressed(1, id="1", record_id=bad.key),
            dressed(2, id="2", record_id="001Other"),
            bad,
            dressed(4, id="4", record_id=bad.key),
            dressed(5, id="5", record_id="001Other"),
        ]
        verdicts = [each.verdict for each in await self._one_after_another(sink, events)]
        await sink.close()
        taken = [Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.REFUSED]
        assert verdicts[:3] == taken
        assert verdicts[3] is not Verdict.ACCEPTED
        assert verdicts[4] is Verdict.ACCEPTED
        assert sorted(ids(self.received())) == ["1", "2", "5"]

    async def test_the_event_id_is_where_the_broker_or_its_readers_look_for_repeats(self) -> None:
        """In the broker's own field where it has one."""
        sink = self.a_sink()
        await sink.open()
        events = events_of(["001A", "001B"], rounds=2)
        assert await self._verdicts(sink, events) == [Verdict.ACCEPTED] * 4
        await sink.close()
        assert sorted(self.repeat_ids()) == [each.event_id for each in events]

    # ------------------------------------------------------------------ helpers

    @asynccontextmanager
    async def _behind_a_proxy(self) -> AsyncIterator[tuple[Sink[Any], Proxy]]:
        """Open a sink that sees the server through a proxy."""
        async with Proxy(self.server.port) as proxy:
            sink = self.sink_at(proxy.port, timeout=f"{self.timeout}s")
            await sink.open()
            try:
                yield sink, proxy
            finally:
                await sink.close()

    async def _answers(self, sink: Sink[Any], events: Sequence[Dressed]) -> list[Receipt]:
        """Send, as one call; an answer takes three timeouts at the very most: connecting, publishing, letting go."""
        async with asyncio.timeout(3 * self.timeout + 2):
            return await sink.send(events)

    async def _verdicts(self, sink: Sink[Any], events: Sequence[Dressed]) -> list[Verdict]:
        return [each.verdict for each in await self._one_after_another(sink, events)]

    async def _one_after_another(self, sink: Sink[Any], events: Sequence[Dressed]) -> list[Receipt]:
        """Send as many at a time as the sink takes; as the dispatcher, nothing behind a failure of its record."""
        found: list[Receipt] = []
        failed: set[str] = set()
        for start in range(0, len(events), sink.batch):
            batch = events[start : start + sink.batch]
            going = [each for each in batch if each.key not in failed]
            answers = iter(await self._answers(sink, going) if going else [])
            held = Receipt(Verdict.TRY_LATER, "held")
            receipts = [held if each.key in failed else next(answers) for each in batch]
            pairs = zip(batch, receipts, strict=True)
            failed |= {each.key for each, one in pairs if one.verdict is not Verdict.ACCEPTED}
            found += receipts
        return found

    async def _taken(self, sink: Sink[Any], events: Sequence[Dressed]) -> None:
        """Have it accept these, in another try if the first only showed that the connection was lost."""
        for _ in range(self.tries):
            receipts = await self._one_after_another(sink, events)
            if [each.verdict for each in receipts] == [Verdict.ACCEPTED] * len(events):
                return
        pytest.fail(f"not accepted in {self.tries} tries: {receipts}")

    async def _send(self, sink: Sink[Any], events: Sequence[Dressed], accepted: list[str]) -> None:
        """Send these, and note which of them it accepted."""
        for event, receipt in zip(events, await self._one_after_another(sink, events), strict=True):
            if receipt.verdict is Verdict.ACCEPTED:
                accepted.append(event.event_id)

    def _still(self, owed: Sequence[Dressed], accepted: Sequence[str]) -> list[Dressed]:
        return [each for each in owed if each.event_id not in accepted]
