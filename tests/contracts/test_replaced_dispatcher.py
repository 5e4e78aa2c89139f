"""delivery/dispatcher.py when another process may be delivering in its place: it sends no more, and writes nothing."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
import stores
from delivery_house import House
from fakes import FakeSink
from servers import Server

from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.errors import LeaseLost
from salesforce_poller.model import Duty, Receipt, Verdict
from salesforce_poller.sinks.base import Dressed, SinkSettings
from salesforce_poller.store.leases import Process
from salesforce_poller.store.outbox import Outbox
from salesforce_poller.store.store import Store

CRM = Duty("sink", "crm")
ANN, BOB = Process("ann", "host-a", 1, "same"), Process("bob", "host-b", 2, "same")
SPAN, OVER = timedelta(seconds=60), timedelta(seconds=-1)


class Interrupted(FakeSink):
    """A sink in whose sends something else happens."""

    def __init__(self, **more: int) -> None:
        super().__init__(**more)  # type: ignore[arg-type]  # only numbers are given here
        self.meanwhile: Callable[[], object] = lambda: None

    async def send(self, events: Sequence[Dressed]) -> list[Receipt]:
        """Let it happen, then answer."""
        receipts = await super().send(events)
        happening = self.meanwhile()
        if asyncio.iscoroutine(happening):
            await happening
        return receipts


def a_dispatcher(house: House, sink: FakeSink, outbox: Outbox, current: Callable[[], bool]) -> Dispatcher:
    """Return one that asks whether it may send."""
    return Dispatcher("crm", SinkSettings(), sink, outbox, clock=house.clock, rng=random.Random(1), current=current)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A store of one's own, with a sink."""
    async with Store(str(tmp_path / "store.db")) as store:
        await store.outbox.ensure_sinks(["crm"])
        yield House(store)


async def test_nothing_is_sent_by_who_is_not_current(house: House) -> None:
    """Whatever it is woken for; when it is current again, it goes on."""
    sink, current = FakeSink(), False
    dispatcher = a_dispatcher(house, sink, house.store.outbox, lambda: current)
    ids = await house.happen("A", "B")
    wake, stop = asyncio.Event(), asyncio.Event()

    def reported(_report: object) -> None:
        if len(sink.accepted) == len(ids):
            stop.set()

    running = asyncio.create_task(dispatcher.run(wake, stop, reported))
    while house.clock.monotonic() < 20:  # it looks every second whether it is current again
        wake.set()
        await house.clock.sleep(0)
    assert sink.sends == []
    current = True
    await running
    assert sorted(sink.accepted) == ids


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("concurrency", [1, 3])
async def test_nothing_more_is_sent_once_it_is_not_current(house: House, concurrency: int, batch: int) -> None:
    """In the middle of a round too: only what was under way by then arrives, and is written down."""
    sink = Interrupted(concurrency=concurrency, batch=batch)
    current, under_way = True, 0

    def sleeps() -> None:
        nonlocal current, under_way
        if len(sink.sends) >= 3 and current:
            current, under_way = False, len(sink.sends)

    sink.meanwhile = sleeps
    dispatcher = a_dispatcher(house, sink, house.store.outbox, lambda: current)
    await house.happen(*[f"R{number}" for number in range(40)])
    report = await dispatcher.dispatch_once()
    assert len(sink.sends) == under_way
    assert report.delivered == len(sink.accepted) == under_way * batch < 40
    assert await dispatcher.dispatch_once() is not None
    assert len(sink.sends) == under_way


async def test_a_lease_that_was_taken_in_the_middle_of_a_round_ends_it(tmp_path: Path, store_server: Server) -> None:
    """It writes nothing and sends nothing further, also when it is heard of again; its successor sends all of it."""
    with stores.stores_in(store_server):
        where = stores.url(tmp_path / "store.db")
        async with AsyncExitStack() as stack:
            ann, bob = [await stack.enter_async_context(Store(where)) for _ in range(2)]
            await ann.leases.beat(ANN, SPAN)
            await bob.leases.beat(BOB, SPAN)
            await ann.leases.look([CRM])
            [lease] = await ann.leases.take(ANN, [CRM])
            await ann.outbox.ensure_sinks(["crm"])
            house = House(ann)
            ids = await house.happen("A", "B", "C", "D")
            sink, successor = Interrupted(concurrency=1), FakeSink(concurrency=1)
            sink.answer = lambda event: Receipt(Verdict.TRY_LATER if event.key == "B" else Verdict.ACCEPTED)

            asleep = False

            async def is_replaced() -> None:
                nonlocal asleep
                if len(sink.sends) == 2:
                    asleep = True
                    await ann.leases.beat(ANN, OVER)
                    assert len(await bob.leases.take(BOB, [CRM])) == 1

            sink.meanwhile = is_replaced
            dispatcher = a_dispatcher(house, sink, ann.under(lease).outbox, lambda: not asleep)
            with pytest.raises(LeaseLost):
                await dispatcher.dispatch_once()
            sent = len(sink.sends)
            assert (sent, (await bob.outbox.sink("crm")).cursor) == (2, 0)
            assert stores.rows(where, "SELECT count(*) FROM parked") == [(0,)]
            await ann.leases.beat(ANN, SPAN)
            asleep = False
            for _ in range(3):
                with pytest.raises(LeaseLost):
                    await dispatcher.dispatch_once()
            assert len(sink.sends) == sent
            _, table = await bob.leases.standing()
            [taken] = [one.lease for one in table if one.taken]
            await a_dispatcher(house, successor, bob.under(taken).outbox, lambda: True).dispatch_once()
            assert successor.accepted == ids
