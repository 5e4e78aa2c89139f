"""The store goes back to an earlier state in the middle of a turn, and no bell rings: nothing is lost for it.

A standby without the last moments answers the very next statement, on a new connection; or a backup is put in the
place of the store while the daemon runs. See ``tests/earlier.py``.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import earlier
import pytest
import stores
from world import World

from salesforce_poller.errors import StoreWentBack, TryLater
from salesforce_poller.store.store import Store

pytestmark = pytest.mark.both_databases


def after_commit(store: Store, number: int, then: Callable[[], Awaitable[None]]) -> list[int]:
    """Have something happen as soon as so many pages are on disk; returns how many were, as they come."""
    commit, done = store.feeds.commit_page, [0]

    async def commits(*said: Any, **page: Any) -> int:
        added = await commit(*said, **page)
        done[0] += 1
        if done[0] == number:
            await then()
        return added

    store.feeds.commit_page = commits  # type: ignore[method-assign]  # the real one, and what happens behind its back
    return done


async def some_leads(world: World) -> None:
    """Have 250 leads come, twice."""
    for _ in range(2):
        world.pass_time(30)
        world.org.insert_many("Lead", [{"LastName": "L", "Company": "Acme"} for _ in range(250)])


async def test_a_sweep_whose_first_page_is_lost_does_not_settle_what_was_on_it(world: World) -> None:
    """Its last page was to say that everything is read up to an instant: no poll would ever look there again."""
    await world.watch(sweep_every="1d")
    world.small_pages()
    slow = world.org.begin()
    late = slow.insert("Lead", LastName="Late", Company="Acme")
    await some_leads(world)
    await world.poll_after(600)
    before = await earlier.copied(world.store)
    slow.commit()
    world.feed()._next_sweep = 0.0
    done = after_commit(world.store, 1, lambda: earlier.put_back(world.store, before))
    with pytest.raises(StoreWentBack, match="the turn begins anew"):
        await world.poll()
    assert done == [1], "and nothing after it"
    assert await earlier.copied(world.store) == before
    world.feed()._next_sweep = 0.0
    await world.settle()
    assert await world.kinds(record_id=late) == ["created"]
    assert await world.judge() == []


async def test_a_poll_whose_first_page_is_lost_reads_it_again(world: World) -> None:
    """Where the other pages were committed, polls went on behind them, and only a sweep would find the first one."""
    await world.watch(sweep_every="1d")
    world.small_pages()
    await some_leads(world)
    before = await earlier.copied(world.store)
    after_commit(world.store, 1, lambda: earlier.put_back(world.store, before))
    with pytest.raises(StoreWentBack):
        await world.poll_after(10)
    await world.poll_after(60)
    assert await world.kinds() == ["created"] * 500
    assert await world.judge() == []


async def test_a_feed_without_news_does_not_settle_what_was_lost(world: World) -> None:
    """Nothing but its watermarks is to be written, together with those of other feeds."""
    await world.watch(sweep_every="5m")
    before = await earlier.copied(world.store)
    lead = world.org.insert("Lead", LastName="Lost", Company="Acme")
    await world.settle()
    assert await world.kinds(record_id=lead) == ["created"]
    await earlier.put_back(world.store, before)
    with pytest.raises(StoreWentBack):
        await world.poll_after(301)
    await world.settle()
    assert await world.kinds(record_id=lead) == ["created"]
    assert await world.judge() == []


async def test_deletions_that_were_lost_are_told_again(world: World) -> None:
    """The log is asked from where the store knows it, not from where memory does."""
    await world.watch(sweep_every="5m")
    lead = world.org.insert("Lead", LastName="Gone", Company="Acme")
    await world.settle()
    before = await earlier.copied(world.store)
    world.org.hard_delete(lead)
    await world.settle()
    assert await world.kinds(record_id=lead) == ["created", "deleted"]
    await earlier.put_back(world.store, before)
    with pytest.raises(StoreWentBack):
        await world.poll_after(301)
    await world.settle()
    assert await world.kinds(record_id=lead) == ["created", "deleted"]
    assert await world.judge() == []


async def test_a_backfill_goes_on_where_the_store_is(world: World) -> None:
    """Each page stands on the one before it."""
    world.small_pages()
    old = world.org.insert_many("Lead", [{"LastName": "Old", "Company": "Acme"} for _ in range(700)])
    world.pass_time(3_600)
    kept: list[earlier.Copy] = []

    async def keep() -> None:
        kept.append(await earlier.copied(world.store))

    async def goes_back() -> None:
        await earlier.put_back(world.store, kept[0])

    after_commit(world.store, 2, keep)
    after_commit(world.store, 4, goes_back)
    with pytest.raises(StoreWentBack):
        await world.watch(start="beginning", bulk_above="never")
    while (await world.poll_after(60)).more:
        pass
    told = [event.record_id for event in await world.events()]
    assert sorted(told, key=str) == sorted(old), "each once"


async def test_a_comparison_under_way_begins_anew(world: World) -> None:
    """It had read what only it would ever find, and that was lost; it does not go on as if it were there."""
    leads = world.org.insert_many("Lead", [{"LastName": "Old", "Company": "Acme"} for _ in range(450)])
    world.pass_time(86_400)
    await world.watch(start="beginning", reconcile="1h", bulk_above="never")
    await world.settle()
    await world.poll_after(3_600)  # the first comparison only learns
    for table in ("sightings", "events"):  # as of records that could not be seen
        stores.rows(stores.url(world.path), f"DELETE FROM {table}")
    await world.poll_after(1_800)
    before = await earlier.copied(world.store)
    world.pass_time(1_800)
    after_commit(
        world.store, 2, lambda: earlier.put_back(world.store, before)
    )  # its sweep, and some that are not known
    with pytest.raises(StoreWentBack):
        await world.poll()
    for _ in range(3):
        await world.poll_after(61)
    assert {event.record_id for event in await world.events()} == set(leads)


@pytest.mark.parametrize("start", ["now", "beginning"])
async def test_a_feed_whose_beginning_was_lost_says_what_may_be_missing(world: World, start: str) -> None:
    """It begins anew, and learns what is there by then: what had happened since it first began, nobody can tell."""
    old = world.org.insert("Lead", LastName="Old", Company="Acme")
    world.pass_time(3_600)
    before = await earlier.copied(world.store)
    await world.watch(start=start)
    began = await world.store.feeds.watermarks("acme", "Lead")
    assert began is not None
    world.org.update(old, Company="Globex")
    await world.settle()
    assert await world.gaps() == []
    await earlier.put_back(world.store, before)
    with pytest.raises(StoreWentBack):
        await world.poll_after(301)
    await world.settle()
    [event] = await world.gaps()
    assert event.gap is not None
    assert (event.gap.what, event.gap.since) == ("changes", began.started_at)
    assert event.gap.until > began.started_at
    world.org.update(old, Company="Initech")
    await world.settle()
    assert (await world.kinds())[-1] == "updated"


async def test_a_feed_that_is_cut_off_while_it_begins_misses_nothing(world: World) -> None:
    """It had not begun yet."""
    world.org.insert_many("Lead", [{"LastName": "Old", "Company": "Acme"} for _ in range(450)])
    world.small_pages()
    world.org.weather.arm("SERVER_UNAVAILABLE", path="/query/0r8", after=1, times=9)
    with pytest.raises(TryLater):
        await world.watch()
    world.org.weather.clear()
    await world.settle()
    assert await world.events() == []


async def test_what_describe_says_is_kept_anew(world: World) -> None:
    """Sinks that make something of types find them where the events are."""
    before = await earlier.copied(world.store)
    await world.watch()
    kept = await world.store.described.of("acme", "Lead")
    assert kept
    await earlier.put_back(world.store, before)
    world.feed().doubt()
    await world.poll_after(60)
    assert await world.store.described.of("acme", "Lead") == kept


async def test_that_a_feed_works_again_is_written_down_anew(world: World) -> None:
    """The store may remember a trouble that was over."""
    await world.watch(sweep_every="5m")
    world.org.weather.arm("SERVER_UNAVAILABLE", times=99)
    await world.feed().tick()
    world.org.weather.clear()
    before = await earlier.copied(world.store)
    assert await world.store.feeds.open_troubles()
    for _ in range(2):
        world.pass_time(301)
        await world.feed().tick()
    assert await world.store.feeds.open_troubles() == []
    await earlier.put_back(world.store, before)
    world.feed().doubt()  # a commit that fails would be a failure, after which it is written down anyway
    world.pass_time(301)
    await world.feed().tick()
    assert await world.store.feeds.open_troubles() == []
