"""A standby that lacked the last moments takes over: what was known of them is not built upon, and nothing is lost.

What the standby lacks is taken out of the database behind the store's back.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import stores
from delivery_house import House
from fakes import FakeSink
from sqlalchemy import delete, update
from world import World

from salesforce_poller.errors import StoreError, StoreWentBack, TryLater
from salesforce_poller.model import Kind, SinkState
from salesforce_poller.store.store import Store
from salesforce_poller.store.tables import counters, events, feeds, sightings

pytestmark = pytest.mark.both_databases


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Open an empty store that knows the sink."""
    async with Store(stores.url(tmp_path / "store.db")) as store:
        await store.outbox.ensure_sinks(["crm"])
        yield House(store)


async def go_back(store: Store, last: int) -> None:
    """Take away every event behind a position, and that there ever were any."""
    async with store._database.write() as connection:
        await connection.execute(delete(events).where(events.c.position > last))
        await connection.execute(update(counters).values(last=last))


async def test_a_cursor_never_stands_behind_the_end(house: House) -> None:
    """The events to come would have positions that it has passed."""
    await house.happen("A")
    with pytest.raises(StoreWentBack, match="went back to an earlier state"):
        await house.store.outbox.settle(SinkState("crm", 2))
    assert (await house.store.outbox.sink("crm")).cursor == 0
    await house.store.outbox.settle(SinkState("crm", 1))


async def test_a_round_whose_events_are_gone_is_not_written_down_and_the_next_ones_are_sent(house: House) -> None:
    """They were sent while the first server still had them; what comes in their places is sent, too."""
    sink = FakeSink(concurrency=1)
    dispatcher = house.dispatcher(sink)
    [kept] = await house.happen("A")
    await house.until_quiet(dispatcher)
    gone = await house.happen("B", "C")
    closing = dispatcher._close

    async def after_the_failover(*said: object) -> object:
        await go_back(house.store, 1)
        dispatcher._close = closing  # type: ignore[method-assign]  # once
        return await closing(*said)  # type: ignore[arg-type]  # handed on as they came

    dispatcher._close = after_the_failover  # type: ignore[method-assign,assignment]  # between the sends and their end
    with pytest.raises(StoreWentBack):
        await dispatcher.dispatch_once()
    again = await house.happen("D", "E")
    await house.until_quiet(dispatcher)
    assert sink.accepted == [kept, *gone, *again]


async def test_a_feed_in_doubt_reads_on_from_what_is_on_disk(world: World) -> None:
    """Its memory is ahead of the new server; what it had read there is read again, and told."""
    await world.watch()
    before = await world.store.feeds.watermarks("acme", "Lead")
    assert before is not None
    lead = world.org.insert("Lead", LastName="Lost", Company="Acme")
    await world.poll_after(60)
    assert [event.record_id for event in await world.events()] == [lead]
    world.pass_time(600)
    await world.poll_after(60)
    await go_back(world.store, 0)
    async with world.store._database.write() as connection:
        await connection.execute(delete(sightings).where(sightings.c.record_id == lead))
        marks = {"seen_through": before.seen_through, "settled_through": before.settled_through}
        await connection.execute(update(feeds).values(deleted_through=before.deleted_through, **marks))
    world.feed().doubt()
    await world.poll_after(60)
    [told] = await world.events()
    assert (told.record_id, told.kind) == (lead, Kind.CREATED)


@pytest.mark.parametrize("heard", [True, False])
async def test_a_sweep_in_doubt_begins_anew(world: World, heard: bool) -> None:
    """What it had read of its window is gone with the first server, and no poll looks so far back.

    Either the doubt is heard, or a commit fails before anybody hears of it.
    """
    await world.watch(sweep_every="1d")
    world.small_pages()
    slow = world.org.begin()
    late = slow.insert("Lead", LastName="Late", Company="Acme")
    for _ in range(2):
        world.pass_time(30)
        world.org.insert_many("Lead", [{"LastName": "L", "Company": "Acme"} for _ in range(250)])
        await world.poll_after(600)
    before = await world.store.feeds.watermarks("acme", "Lead")
    assert before is not None
    slow.commit()
    [(end, _)] = await world.store.outbox.events(limit=1)
    world.feed()._next_sweep = 0.0
    world.org.weather.arm("SERVER_UNAVAILABLE", path="/query/0r8", after=1, times=9)
    with pytest.raises(TryLater):
        await world.poll()
    assert await world.kinds(record_id=late) == ["created"], "it lay on the first page"
    world.org.weather.clear()
    if not heard:
        world.org.insert("Lead", LastName="Next", Company="Acme")
        with (
            stores.broken(stores.url(world.path), "events", "INSERT", "the server is gone"),
            pytest.raises(StoreError),
        ):
            await world.poll_after(30)
    await go_back(world.store, end)
    async with world.store._database.write() as connection:
        await connection.execute(delete(sightings).where(sightings.c.record_id == late))
        marks = {"seen_through": before.seen_through, "settled_through": before.settled_through}
        await connection.execute(update(feeds).values(deleted_through=before.deleted_through, **marks))
    if heard:
        world.feed().doubt()
    world.feed()._next_sweep = 0.0
    await world.settle()
    assert await world.kinds(record_id=late) == ["created"]
    assert await world.judge() == []


async def test_a_turn_under_way_commits_nothing_once_in_doubt(world: World) -> None:
    """It was made of what may not be there any more."""
    await world.watch()
    world.org.insert("Lead", LastName="New", Company="Acme")
    intake = world.feed()._intake
    marks = await intake.begin_turn()
    assert marks is not None
    world.feed().doubt()
    with pytest.raises(StoreWentBack, match="the turn begins anew"):
        await intake.commit(marks, happened=(), seen=[object()])  # type: ignore[list-item]  # never looked at
    assert await intake.begin_turn() == marks
