"""store/survey.py: one look at all feeds and sinks, the same on both databases, and small however much there is."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import stores
from builders import NOON, a_delivery, an_event, watermarks

from salesforce_poller.model import Event, Parked
from salesforce_poller.store import survey
from salesforce_poller.store.calls import OrgState
from salesforce_poller.store.pauses import Pause
from salesforce_poller.store.store import Store
from salesforce_poller.store.survey import FeedStanding

pytestmark = pytest.mark.both_databases


def some_events(count: int, first: int = 1) -> list[Event]:
    """Return so many events."""
    return [an_event(id=f"{number:032}", record_id=f"00Q{number:015}") for number in range(first, first + count)]


async def happen(store: Store, events: Sequence[Event], minutes: int = 0) -> None:
    """Let events be recorded, so many minutes after noon."""
    at = NOON + timedelta(minutes=minutes)
    await store.feeds.commit_page("acme", "Lead", events=events, sightings=[], marks=watermarks(), at=at)


async def test_a_new_store_has_nothing_to_tell(tmp_path: Path) -> None:
    """Nothing ever ran."""
    async with Store(stores.url(tmp_path / "store.db")) as store:
        seen = await store.surveys.take()
    assert (seen.feeds, seen.sinks, seen.paused, seen.stretches) == ({}, {}, frozenset(), {})


async def test_feeds_are_seen_with_how_far_they_are_and_whether_they_fail(tmp_path: Path) -> None:
    """Those that ever ran; and which of them a person paused, and how far their orgs are stretched."""
    async with Store(stores.url(tmp_path / "store.db")) as store:
        await happen(store, [])
        await store.feeds.note_success("acme", "Lead", NOON + timedelta(minutes=1))
        await store.feeds.commit_page("beta", "Case", events=[], sightings=[], marks=watermarks(), at=NOON)
        await store.feeds.note_failure("beta", "Case", NOON + timedelta(minutes=2), "HTTP 503")
        await store.pauses.begin(Pause("acme", "Lead", "", NOON))
        for org, stretch in (("acme", 1.0), ("beta", 2.5)):
            await store.calls.note(org, OrgState(heard_at=NOON, stretch=stretch))
        seen = await store.surveys.take()
    assert seen.feeds == {
        ("acme", "Lead"): FeedStanding("acme", "Lead", NOON + timedelta(minutes=1), NOON, failing=False),
        ("beta", "Case"): FeedStanding("beta", "Case", NOON, NOON, failing=True),
    }
    assert seen.paused == {("acme", "Lead")}
    assert seen.stretches == {"beta": 2.5}


async def test_a_sink_is_seen_with_what_it_is_owed(tmp_path: Path) -> None:
    """Behind its cursor, parked and dead; the oldest of it, which may be a parked one."""
    async with Store(stores.url(tmp_path / "store.db")) as store:
        await store.outbox.ensure_sinks(["crm", "log"])
        await happen(store, some_events(3))
        await happen(store, some_events(4, first=4), minutes=10)
        state = replace(await store.outbox.sink("crm"), cursor=5, failing_since=NOON, last_error="HTTP 503")
        waits, dead = (
            Parked(a_delivery(position=position, id=f"{position:032}"), NOON, dead=position == 1) for position in (2, 1)
        )
        await store.outbox.settle(state, park=[waits, dead])
        await store.outbox.settle(replace(await store.outbox.sink("log"), cursor=7))
        seen = (await store.surveys.take()).sinks
    assert (seen["crm"].behind, seen["crm"].parked, seen["crm"].dead, seen["crm"].oldest) == (2, 1, 1, NOON)
    assert (seen["crm"].failing_since, seen["crm"].paused) == (NOON, "")
    assert (seen["log"].behind, seen["log"].parked, seen["log"].dead, seen["log"].oldest) == (0, 0, 0, None)


async def test_a_replay_does_not_make_what_is_owed_old(tmp_path: Path) -> None:
    """It is parked and as old as somebody wanted; what waits behind the cursor counts."""
    async with Store(stores.url(tmp_path / "store.db")) as store:
        await store.outbox.ensure_sinks(["crm"])
        await happen(store, some_events(1))
        await happen(store, some_events(1, first=2), minutes=10)
        replayed = Parked(a_delivery(position=1, id=f"{1:032}", replay=True), NOON)
        await store.outbox.settle(replace(await store.outbox.sink("crm"), cursor=1), park=[replayed])
        [seen] = (await store.surveys.take()).sinks.values()
    assert (seen.parked, seen.oldest) == (1, NOON + timedelta(minutes=10))


async def test_what_is_pruned_does_not_count_as_backlog(tmp_path: Path) -> None:
    """Positions are never given twice, so the distance stays true when no event is left."""
    async with Store(stores.url(tmp_path / "store.db")) as store:
        await store.outbox.ensure_sinks(["crm"])
        await happen(store, some_events(3))
        await store.outbox.settle(replace(await store.outbox.sink("crm"), cursor=3))
        assert await store.outbox.prune(NOON + timedelta(days=1), ["crm"]) == 3
        [seen] = (await store.surveys.take()).sinks.values()
    assert (seen.behind, seen.oldest) == (0, None)


async def test_a_pause_is_seen_with_whose_it_is(tmp_path: Path) -> None:
    """A person's, or the daemon's own."""
    async with Store(stores.url(tmp_path / "store.db")) as store:
        await store.outbox.ensure_sinks(["crm", "log"])
        await store.outbox.pause("crm", "maintenance")
        await store.outbox.settle(replace(await store.outbox.sink("log"), paused="it answered 410"))
        seen = (await store.surveys.take()).sinks
    assert [(one.name, one.paused, one.paused_by_person) for one in seen.values()] == [
        ("crm", "maintenance", True), ("log", "it answered 410", False),
    ]  # fmt: skip


async def test_parked_deliveries_are_counted_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay of a million would otherwise be counted at every scrape."""
    monkeypatch.setattr(survey, "MOST", 3)
    monkeypatch.setattr(survey, "_SINKS", survey._survey_of_sinks())
    async with Store(stores.url(tmp_path / "store.db")) as store:
        await store.outbox.ensure_sinks(["crm"])
        await happen(store, some_events(9))
        parked = [
            Parked(a_delivery(position=position, id=f"{position:032}"), NOON, dead=position > 5)
            for position in range(1, 10)
        ]
        await store.outbox.settle(replace(await store.outbox.sink("crm"), cursor=9), park=parked)
        [seen] = (await store.surveys.take()).sinks.values()
    assert (seen.parked, seen.dead) == (3, 3)
