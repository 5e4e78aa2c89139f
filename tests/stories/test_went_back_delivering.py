"""The store goes back to an earlier state in the middle of a round, and no bell rings: every event still arrives.

Positions of events that were lost are other events' by then, and what was parked is not. See ``tests/earlier.py``.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import earlier
import pytest
import stores
from delivery_house import House, fail_on
from fakes import FakeSink

from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.errors import StoreAway, StoreError, StoreWentBack
from salesforce_poller.model import SinkState
from salesforce_poller.store.store import Store
from salesforce_poller.store.versions import Step

pytestmark = pytest.mark.both_databases


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Open an empty store that knows the sink."""
    async with Store(stores.url(tmp_path / "store.db")) as store:
        await store.outbox.ensure_sinks(["crm"])
        yield House(store)


def before_close(dispatcher: Dispatcher, round_: int, then: Callable[[], Awaitable[object]]) -> None:
    """Have something happen between the sends of a round and their end."""
    closing, rounds = dispatcher._close, [0]

    async def closes(*said: Any) -> Any:
        rounds[0] += 1
        if rounds[0] == round_:
            await then()
        return await closing(*said)

    dispatcher._close = closes  # type: ignore[method-assign,assignment]  # the real one, and what happens behind its back


async def test_a_round_does_not_pass_over_events_that_came_in_the_places_of_others(house: House) -> None:
    """Its cursor would stand where it says, and the store reaches as far: only that they are others tells."""
    sink = FakeSink(concurrency=1)
    dispatcher = house.dispatcher(sink)
    [kept] = await house.happen("A")
    await house.until_quiet(dispatcher)
    before = await earlier.copied(house.store)
    gone, others = await house.happen("B", "C"), list[str]()

    async def goes_back() -> None:
        await earlier.put_back(house.store, before)
        others.extend(await house.happen("D", "E", "F"))

    before_close(dispatcher, 1, goes_back)
    with pytest.raises(StoreWentBack, match="went back to an earlier state"):
        await dispatcher.dispatch_once()
    await house.until_quiet(dispatcher)
    assert sink.accepted == [kept, *gone, *others]


async def test_what_was_read_ahead_does_not_hide_what_is_in_its_place(house: House) -> None:
    """It was read while the round before it was sent, and begins where that one ended."""
    sink = FakeSink(concurrency=1)
    dispatcher = house.dispatcher(sink)
    dispatcher._round_size = 2
    first = await house.happen("A", "B")
    before = await earlier.copied(house.store)
    gone = await house.happen("C", "D")
    await dispatcher.dispatch_once()
    standing = await earlier.copied(house.store)
    assert dispatcher._ahead[1], "something was read ahead"
    await earlier.put_back(house.store, {**before, "sinks": standing["sinks"]})
    others = await house.happen("E", "F", "G")
    with pytest.raises(StoreWentBack):
        await dispatcher.dispatch_once()
    await house.until_quiet(dispatcher)
    assert sink.accepted == [*first, *gone, *others]


async def test_what_a_lost_round_has_parked_is_not_passed_over(house: House) -> None:
    """The events are there, the cursor of the next round would be right; only what had failed would be nobody's."""
    sink = FakeSink(concurrency=1)
    sink.answer = fail_on("A")
    dispatcher = house.dispatcher(sink)
    dispatcher._round_size = 2
    ids = await house.happen("A", "B", "C")
    before = await earlier.copied(house.store)
    before_close(dispatcher, 2, lambda: earlier.put_back(house.store, before))
    await dispatcher.dispatch_once()
    assert (await house.store.outbox.backlog("crm")).parked == 1
    with pytest.raises(StoreWentBack):
        await dispatcher.dispatch_once()
    sink.answer = FakeSink().answer
    await house.until_quiet(dispatcher)
    assert set(sink.accepted) == set(ids)


async def test_what_is_parked_again_arrives_before_what_waited_behind_it(house: House) -> None:
    """That it was accepted is lost; were what came after it settled alone, it would arrive last."""
    sink = FakeSink(concurrency=1)
    sink.answer = fail_on("A")
    dispatcher = house.dispatcher(sink)
    first, second = await house.happen("A", "A")
    await dispatcher.dispatch_once()
    before = await earlier.copied(house.store)
    sink.answer = FakeSink().answer
    house.clock.advance(600)
    before_close(dispatcher, 2, lambda: earlier.put_back(house.store, before))
    await dispatcher.dispatch_once()
    with pytest.raises(StoreWentBack):
        await dispatcher.dispatch_once()
    await house.until_quiet(dispatcher)
    assert sink.accepted == [first, second, first, second]


async def test_a_round_that_could_not_be_written_down_is_not_written_upon_others(house: House, tmp_path: Path) -> None:
    """It was kept for when the database is there again, and what is there has other events in its places."""
    sink = FakeSink(concurrency=1)
    dispatcher = house.dispatcher(sink)
    before = await earlier.copied(house.store)
    gone = await house.happen("A", "B")
    where = stores.url(tmp_path / "store.db")
    with stores.broken(where, "sinks", "UPDATE", "the server is gone"), pytest.raises(StoreError):
        await dispatcher.dispatch_once()
    await earlier.put_back(house.store, before)
    others = await house.happen("C", "D", "E")
    with pytest.raises(StoreWentBack):
        await dispatcher.dispatch_once()
    await house.until_quiet(dispatcher)
    assert sink.accepted == [*gone, *others]


async def test_a_round_whose_answer_was_lost_is_written_down_already(house: House) -> None:
    """The store did not go back: nothing is sent a second time."""
    sink = FakeSink(concurrency=1)
    sink.answer = fail_on("B")
    dispatcher = house.dispatcher(sink)
    ids = await house.happen("A", "B")
    settle, answers = house.store.outbox.settle, iter([StoreAway("the server went away")])

    async def settles(*said: Any, **more: Any) -> None:
        await settle(*said, **more)
        for lost in answers:
            raise lost

    house.store.outbox.settle = settles  # type: ignore[method-assign]  # the real one, and a lost answer
    with pytest.raises(StoreAway):
        await dispatcher.dispatch_once()
    assert (await dispatcher.dispatch_once()).parked == 1
    sink.answer = FakeSink().answer
    await house.until_quiet(dispatcher)
    assert sink.accepted == ids


@pytest.mark.parametrize("when", ["between two rounds", "in a round"])
async def test_a_sink_that_the_store_has_forgotten_passes_over_nothing(house: House, when: str) -> None:
    """It was first seen in the moments that are lost; it does not begin where the store ends when it is missed."""
    before = await earlier.copied(house.store)
    without = {**before, "sinks": []}
    sink = FakeSink(concurrency=1)
    dispatcher = house.dispatcher(sink)
    gone, others = await house.happen("A"), list[str]()

    async def goes_back() -> None:
        await earlier.put_back(house.store, without)
        others.extend(await house.happen("B", "C"))

    if when == "in a round":
        before_close(dispatcher, 1, goes_back)
        with pytest.raises(StoreWentBack):
            await dispatcher.dispatch_once()
    else:
        await house.until_quiet(dispatcher)
        await goes_back()
    await house.until_quiet(dispatcher)
    assert sink.accepted == [*gone, *others]


async def test_nothing_is_kept_of_a_round_that_builds_on_a_lost_one(house: House) -> None:
    """Neither the cursor, nor that it fails, nor what is parked."""
    await house.happen("A")
    outbox = house.store.outbox
    first, lost = Step.after(0), Step.after(0)
    await outbox.settle(SinkState("crm", 0, last_error="HTTP 503"), step=first)
    there = await earlier.copied(house.store)
    for step in (Step.after(lost.becomes), Step.after(0)):
        with pytest.raises(StoreWentBack):
            await outbox.settle(SinkState("crm", 1), step=step, done=[1])
    assert await earlier.copied(house.store) == there
    await outbox.settle(SinkState("crm", 1), step=Step.after(first.becomes))
