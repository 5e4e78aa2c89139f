"""store/fresh.py on a real database: who delivers is handed what is on disk, all of it, and nothing else."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import handed
import pytest
import stores
from builders import NOON, an_event, watermarks
from mortal import DiesAt, ProcessDied

from salesforce_poller.errors import StoreError
from salesforce_poller.model import Alert, Event, Gap, Kind, SinkState
from salesforce_poller.store.fresh import Fresh
from salesforce_poller.store.outbox import Outbox
from salesforce_poller.store.store import Store

FAR = datetime(2026, 11, 21, 15, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
BARE: dict[str, Any] = {"record_id": None, "record": None, "changed": None, "previous": None}
#: What has no counterpart in JSON, or several.
ODD: dict[str, Any] = {
    "Text": "Zoë\0 \u2028 🦄\n",
    "Whole": 2**53 + 1,
    "Small": 5e-324,
    "Half": 1.5,
    "None": -0.0,
    "Nowhere": math.nan,
    "Endless": math.inf,
    "When": FAR,
    "Pair": ("a", ["b", ()]),
    "Owner": {"Name": None, "Manager": {"Name": "Ann"}},
}
KINDS: dict[str, dict[str, Any]] = {
    **{kind: {"kind": kind} for kind in Kind},
    "created": {"kind": Kind.CREATED, "changed": None, "previous": None},
    "merged": {"kind": Kind.MERGED, "merged_into": "00Q5g00000SurvivEAV", "changed_by": None},
    "deleted, never read": {"kind": Kind.DELETED, **BARE, "record_id": "00Q5g00000AbCdEEAV"},
    "gap": {"kind": Kind.GAP, **BARE, "gap": Gap("deletes", NOON, FAR, "the log ends")},
    "alert": {"kind": Kind.ALERT, **BARE, "org": "", "object": "", "alert": Alert("crm", "gave_up", FAR, "3 days")},
    "nothing in it": {"record": {}, "changed": (), "previous": {}},
    "odd values": {"record": ODD, "previous": ODD, "changed": ["Text", "Owner.Name"]},
    "another zone": {"time": FAR, "observed_at": FAR},
}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store that knows two sinks."""
    async with Store(stores.url(tmp_path / "store.db")) as opened:
        await opened.outbox.ensure_sinks(["crm", "log"])
        yield opened


def some(first: int, last: int, **more: Any) -> list[Event]:
    """Return events with these numbers as ids."""
    return [an_event(id=f"{number:032}", record_id=f"R{number}", **more) for number in range(first, last + 1)]


async def happen(store: Store, events: Sequence[Event]) -> int:
    """Commit a page."""
    return await store.feeds.commit_page("acme", "Lead", events=events, sightings=[], marks=watermarks(), at=NOON)


def positions(store: Store) -> list[int]:
    """Return those of the events in memory."""
    return [each.position for each in handed.kept(store)]


def bounded(store: Store, **bounds: int) -> None:
    """Have less room in the store's memory."""
    store._database.fresh = Fresh(**bounds)


@pytest.mark.parametrize("event", KINDS.values(), ids=KINDS)
async def test_what_is_handed_on_is_what_would_be_read(store: Store, event: dict[str, Any]) -> None:
    """To the letter, for every kind of event and whatever is in it; and so are the bytes that a sink gets."""
    await happen(store, [an_event(**event)])
    [delivery] = await store.outbox.read("crm", 10, after=0)
    assert [delivery] == handed.kept(store)
    await handed.check(store)
    [there] = await handed.on_disk(store)
    assert type(delivery.event.record) is type(there.event.record)
    for ours, its in ((delivery.event.record, there.event.record), (delivery.event.previous, there.event.previous)):
        assert repr(None if ours is None else dict(ours)) == repr(None if its is None else dict(its))
    assert type(delivery.event.changed) is type(there.event.changed)


async def test_an_event_that_cannot_be_written_is_not_handed_on(store: Store) -> None:
    """Half a character is no JSON."""
    with pytest.raises(UnicodeEncodeError):
        await happen(store, [*some(1, 1), an_event(id="odd", previous={"Name": "\udcff"})])
    assert await store.outbox.read("crm", 10, after=0) == handed.kept(store) == []


async def test_sinks_read_where_they_are(store: Store) -> None:
    """From memory as far as it goes back, else from disk; and on from there."""
    bounded(store, most=3)
    await store.outbox.read("crm", 1, after=0)
    await happen(store, some(1, 5))
    assert positions(store) == [3, 4, 5]
    for after in range(7):
        read = await store.outbox.read("log", 2, after=after)
        assert [each.position for each in read] == [one for one in (after + 1, after + 2) if one <= 5]
        assert {each.sink for each in read} <= {"log"}
    assert [each.position for each in await store.outbox.read("crm", 9)] == [1, 2, 3, 4, 5]


async def test_what_all_have_come_past_is_let_go(store: Store) -> None:
    """But not before the slowest of them asks for what follows; who asks for it again finds it on disk."""
    for sink in ("crm", "log"):
        assert await store.outbox.read(sink, 9, after=0) == []
    await happen(store, some(1, 4))
    for sink, after, left in (("crm", 3, [1, 2, 3, 4]), ("log", 2, [3, 4]), ("log", 4, [4]), ("crm", 4, [])):
        await store.outbox.read(sink, 9, after=after)
        assert positions(store) == left
    await happen(store, some(5, 6))
    assert positions(store) == [5, 6]
    assert [each.position for each in await store.outbox.read("crm", 9, after=2)] == [3, 4, 5, 6]


async def test_the_oldest_go_when_they_are_too_many_or_too_large(store: Store) -> None:
    """And what is larger than all the room is not kept at all."""
    bounded(store, size=3_000)
    await happen(store, some(1, 1, record={"Long": "x" * 1_000}, previous=None))
    await happen(store, some(2, 3, record={"Long": "x" * 1_000}, previous=None))
    assert positions(store) == [2, 3]
    await happen(store, some(4, 4, record={"Long": "x" * 1_000}))
    assert positions(store) == [4]
    await happen(store, some(5, 5, record={"Long": "x" * 3_000}))
    assert positions(store) == []
    await happen(store, some(6, 6))
    assert positions(store) == [6]
    await handed.check(store)


async def test_what_was_there_already_is_no_event(store: Store) -> None:
    """A page that is read twice, and one without events."""
    await happen(store, some(1, 2))
    assert await happen(store, some(1, 3)) == 1
    assert await happen(store, []) == 0
    assert positions(store) == [1, 2, 3]
    await handed.check(store)


async def test_what_is_told_of_a_sink_is_handed_on_too(store: Store) -> None:
    """It has its position between other events."""
    await happen(store, some(1, 1))
    told = an_event(id="told", **KINDS["alert"])
    await store.outbox.settle(SinkState("crm", 1), alerts=[told], at=NOON)
    await happen(store, some(2, 2))
    assert positions(store) == [1, 2, 3]
    await handed.check(store)


async def test_a_transaction_that_fails_hands_nothing_on(store: Store, tmp_path: Path) -> None:
    """And whatever was kept is forgotten; the next one begins anew."""
    await happen(store, some(1, 1))
    with (
        stores.broken(stores.url(tmp_path / "store.db"), "events", "INSERT", "the disk is full"),
        pytest.raises(StoreError),
    ):
        await happen(store, some(2, 2))
    assert positions(store) == []
    await happen(store, some(3, 3))
    assert positions(store) == [2]
    await handed.check(store)


@pytest.mark.parametrize("blow", [ProcessDied, asyncio.CancelledError])
async def test_who_is_called_away_in_a_commit_leaves_no_doubt(store: Store, blow: type[BaseException]) -> None:
    """At any await, also after the commit and before anybody heard of it: what is handed on then is on disk.

    And the file is free for the next one at once, whoever still holds on to what was called away. Who waits for events
    hears of those that are on disk, or would let them lie until the next ones come.
    """
    held: list[Any] = []
    rung: list[bool] = []
    store.feeds.on_events(lambda: rung.append(True))
    ended = 0
    for awaits in range(40):
        number = 10 * awaits
        before = len(await handed.on_disk(store))
        rung.clear()
        try:
            held.append(DiesAt(happen(store, some(number, number + 1)), awaits, lambda: None, blow))
            await held[-1]
        except blow as error:
            held.append(error)
            ended += 1
        assert rung or len(await handed.on_disk(store)) == before
        await handed.check(store)
        await happen(store, some(number + 2, number + 3))
        await handed.check(store)
        there = await handed.on_disk(store)
        assert await store.outbox.read("crm", 9, after=there[-1].position - 2) == there[-2:]
    assert 1 < ended < 40, "it ended at every await that there is"


async def test_what_is_pruned_is_not_handed_on(store: Store) -> None:
    """A sink that is behind it, and was not configured when it went, must not be sent it."""
    await happen(store, some(1, 4))
    await store.outbox.settle(SinkState("crm", 2))
    assert await store.outbox.prune(NOON + timedelta(days=1), ["crm"]) == 2
    assert positions(store) == [3, 4]
    assert [each.position for each in await store.outbox.read("log", 10, after=0)] == [3, 4]
    assert await store.outbox.prune(NOON + timedelta(days=1), ["crm"]) == 0
    assert await store.outbox.prune(NOON + timedelta(days=1), []) == 2
    assert await store.outbox.read("log", 10, after=0) == handed.kept(store) == []


async def test_a_second_face_of_the_store_hands_on_the_same(store: Store) -> None:
    """Whoever holds a lease writes through faces of its own."""

    def proof(_connection: object) -> None:
        """It is in order."""

    database = store._database.under(proof)
    await happen(store, some(1, 2))
    assert Outbox(database)._database.fresh is store._database.fresh
    assert await Outbox(database).read("crm", 9, after=0) == await store.outbox.read("crm", 9, after=0)


@pytest.mark.usefixtures("stores_on_postgresql")
async def test_nothing_is_handed_on_where_others_write_too(store: Store) -> None:
    """It is all on the server, and as much as that is there."""
    await happen(store, some(1, 2))
    assert handed.kept(store) == []
    assert [each.position for each in await store.outbox.read("crm", 10, after=0)] == [1, 2]
