"""store/versions.py: every commit names the one before it, and is refused where that is not the last one any more."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import earlier
import pytest
import stores
from builders import NOON, an_event, watermarks
from polling_builders import STARTED, a_sighting, some_marks

from salesforce_poller.errors import StoreWentBack
from salesforce_poller.store import versions
from salesforce_poller.store.store import Store
from salesforce_poller.store.versions import NEVER, Step

pytestmark = pytest.mark.both_databases


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty one."""
    async with Store(stores.url(tmp_path / "store.db")) as opened:
        yield opened


async def commit(store: Store, step: Step, name: str = "Lead", **page: Any) -> Step:
    """Commit a page of a feed of the example org; returns its step."""
    empty: dict[str, Any] = {"events": [], "sightings": [], "marks": some_marks(), "at": NOON}
    await store.feeds.commit_page("acme", name, **empty | page, step=step)
    return step


async def test_whoever_reads_a_feed_learns_which_commit_it_builds_on(store: Store) -> None:
    """Of the latest one, whatever was in it; a feed that never ran has none."""
    assert await store.feeds.watermarks("acme", "Lead") is None
    step = Step.after(NEVER)
    for page in ({}, {"marks": watermarks()}, {"events": [an_event()]}, {"sightings": [a_sighting()]}):
        await commit(store, step, **page)
        found = await store.feeds.watermarks("acme", "Lead")
        assert found is not None
        assert found.version == step.becomes
        step = Step.after(step.becomes)


@pytest.mark.parametrize("what", ["a page", "watermarks only"])
async def test_nothing_is_kept_of_a_commit_that_builds_on_a_lost_one(store: Store, what: str) -> None:
    """Neither its events nor its sightings nor how far it has read."""
    page: dict[str, Any] = {"marks": watermarks()}
    if what == "a page":
        page |= {"events": [an_event(id="late")], "sightings": [a_sighting(record_id="late")]}
    first = await commit(store, Step.after(NEVER))
    before = await earlier.copied(store)
    lost = await commit(store, Step.after(first.becomes), events=[an_event(id="lost")])
    await earlier.put_back(store, before)
    with pytest.raises(StoreWentBack, match="went back to an earlier state of acme/Lead"):
        await commit(store, Step.after(lost.becomes), **page)
    assert await earlier.copied(store) == before
    await commit(store, Step.after(first.becomes), **page)


async def test_a_number_is_never_given_anew(store: Store) -> None:
    """A feed that went back and on again by as many commits is not the one that was known."""
    first = await commit(store, Step.after(NEVER))
    before = await earlier.copied(store)
    lost = await commit(store, Step.after(first.becomes))
    await earlier.put_back(store, before)
    await commit(store, Step.after(first.becomes))
    with pytest.raises(StoreWentBack):
        await commit(store, Step.after(lost.becomes), events=[an_event()])
    assert len({versions.drawn() for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize("events", [[], [an_event()]], ids=["watermarks only", "a page"])
async def test_a_feed_that_is_not_there_any_more_is_not_gone_on_with(store: Store, events: list[Any]) -> None:
    """Its very first page was lost, and its number is another feed's now, which stays as it is."""
    before = await earlier.copied(store)
    first = await commit(store, Step.after(NEVER))
    await earlier.put_back(store, before)
    with pytest.raises(StoreWentBack):
        await commit(store, Step.after(first.becomes), events=events)
    await commit(store, Step.after(NEVER), "Lead")
    await earlier.put_back(store, before)
    await commit(store, Step.after(NEVER), "Case", marks=some_marks(seen_through=STARTED))
    there = await earlier.copied(store)
    with pytest.raises(StoreWentBack):
        await commit(store, Step.after(first.becomes), "Lead", events=events)
    assert await earlier.copied(store) == there


async def test_a_feed_that_is_there_is_not_begun_a_second_time(store: Store) -> None:
    """Whoever begins it has seen a state in which it was not there yet."""
    await commit(store, Step.after(NEVER))
    with pytest.raises(StoreWentBack):
        await commit(store, Step.after(NEVER), events=[an_event()])
    assert await store.outbox.events() == []


async def test_of_those_who_share_a_transaction_only_that_one_is_refused(store: Store) -> None:
    """The others' feeds have moved on."""
    names = [f"Thing{number}__c" for number in range(5)]
    first = {name: await commit(store, Step.after(NEVER), name) for name in names}
    steps = {name: Step.after(versions.drawn() if name == names[2] else first[name].becomes) for name in names}
    ends = await asyncio.gather(
        *(commit(store, steps[name], name, marks=watermarks()) for name in names), return_exceptions=True
    )
    assert [isinstance(end, StoreWentBack) for end in ends] == [name == names[2] for name in names]
    for name in names:
        found = await store.feeds.watermarks("acme", name)
        assert found == (some_marks() if name == names[2] else watermarks())


async def test_what_is_forgotten_of_a_feed_is_of_that_feed(store: Store) -> None:
    """The number that it was known by is another feed's since the store went back."""
    before = await earlier.copied(store)
    await commit(store, Step.after(NEVER), "Lead")
    assert await store.feeds.count_sightings("acme", "Lead") == 0  # its number is known by now
    await earlier.put_back(store, before)
    await commit(store, Step.after(NEVER), "Case", sightings=[a_sighting(stamp=STARTED)])
    assert await store.feeds.forget("acme", "Lead", live_before=NOON, deleted_before=NOON) == 0
    assert await store.feeds.count_sightings("acme", "Case") == 1
