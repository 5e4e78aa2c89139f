"""store/outbox.py, on a real database file."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, an_event, watermarks

from salesforce_poller.errors import StoreError
from salesforce_poller.model import Delivery, Event, Kind, Ordering, Parked, SinkState
from salesforce_poller.store.outbox import Outbox
from salesforce_poller.store.store import Store

SECOND = timedelta(seconds=1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Open an empty store that knows the sink ``crm``."""
    async with Store(str(tmp_path / "store.db")) as store:
        await store.outbox.ensure_sinks(["crm"])
        yield store


@pytest.fixture
def outbox(store: Store) -> Outbox:
    """Its outbox."""
    return store.outbox


async def happen(store: Store, *records: str, at: datetime = NOON, first: int = 1, **event: Any) -> list[Event]:
    """Let one event happen to each of these records; the ids count from ``first``."""
    events = [an_event(id=f"{number:032}", record_id=record, **event) for number, record in enumerate(records, first)]
    await store.feeds.commit_page("acme", "Lead", events=events, sightings=[], marks=watermarks(), at=at)
    return events


async def park(outbox: Outbox, *parked: Parked, cursor: int) -> None:
    """Park deliveries of ``crm``, all at or below the cursor."""
    await outbox.settle(SinkState("crm", cursor), park=parked, done=[])


async def due(
    outbox: Outbox, sink: str = "crm", now: datetime = NOON, ordering: Ordering = Ordering.RECORD, most: int = 100
) -> list[Delivery]:
    """Return what of the parked may be tried."""
    return (await outbox.standing(sink, now, ordering, tried=most, untried=most)).due


async def positions(outbox: Outbox, now: datetime = NOON) -> list[int]:
    """Return what is due."""
    return [delivery.position for delivery in await due(outbox, now=now)]


async def parked(outbox: Outbox, *, dead: tuple[int, ...] = (), due: dict[int, datetime] | None = None) -> None:
    """Park everything behind the cursor, due now unless said otherwise."""
    fresh = await outbox.read("crm", 100)
    await park(
        outbox,
        *(Parked(each, (due or {}).get(each.position, NOON), "HTTP 503", each.position in dead) for each in fresh),
        cursor=fresh[-1].position,
    )


async def test_a_new_sink_starts_at_the_present_end(store: Store, outbox: Outbox) -> None:
    """On an empty store that is the beginning; a known sink stays where it is."""
    await happen(store, "A", "B")
    await outbox.ensure_sinks(["crm", "late"])
    assert (await outbox.sink("crm")).cursor == 0
    assert (await outbox.sink("late")).cursor == 2
    await outbox.ensure_sinks([])


async def test_an_unknown_sink_is_refused_with_its_name(outbox: Outbox) -> None:
    """It would otherwise look like a sink that is owed nothing."""
    with pytest.raises(StoreError, match="knows no sink 'nobody'"):
        await outbox.sink("nobody")


async def test_events_behind_the_cursor_are_read_in_order(store: Store, outbox: Outbox) -> None:
    """As they were committed, and as many as asked for."""
    events = await happen(store, "A", "B", "C")
    assert await outbox.read("crm", 2) == [Delivery("crm", 1, events[0]), Delivery("crm", 2, events[1])]
    await park(outbox, cursor=2)
    assert await outbox.read("crm", 2) == [Delivery("crm", 3, events[2])]


async def test_a_parked_delivery_comes_back_as_it_was_parked(store: Store, outbox: Outbox) -> None:
    """With its attempts and the time of its first try, which decide when it is given up."""
    [event] = await happen(store, "A")
    delivery = Delivery("crm", 1, event, attempts=3, first_tried_at=NOON - SECOND)
    await park(outbox, Parked(delivery, NOON, "HTTP 503"), cursor=1)
    assert await due(outbox) == [delivery]


async def test_nothing_is_due_before_its_time(store: Store, outbox: Outbox) -> None:
    """And the sink is told when to ask again."""
    await happen(store, "A", "B")
    assert await outbox.next_due("crm") is None
    await parked(outbox, due={1: NOON + 5 * SECOND, 2: NOON + 3 * SECOND})
    assert await positions(outbox) == []
    assert await outbox.next_due("crm") == NOON + 3 * SECOND
    assert await positions(outbox, NOON + 5 * SECOND) == [2, 1]


async def test_only_the_first_of_a_record_may_go(store: Store, outbox: Outbox) -> None:
    """The second waits even when it is due and the first is not; other records do not wait."""
    await happen(store, "A", "A", "B")
    await parked(outbox, due={1: NOON + SECOND})
    assert await positions(outbox) == [3]
    assert await outbox.next_due("crm") == NOON
    assert await positions(outbox, NOON + SECOND) == [3, 1]
    await outbox.settle(SinkState("crm", 3), park=[], done=[1])
    assert await positions(outbox) == [2, 3]


async def test_a_dead_delivery_is_neither_due_nor_in_the_way(store: Store, outbox: Outbox) -> None:
    """What follows it in its record may go."""
    await happen(store, "A", "A", "B")
    await parked(outbox, dead=(1, 3))
    assert await positions(outbox) == [2]
    assert await outbox.blocked("crm", ["A", "B", "C"]) == {"A"}


async def test_one_sink_does_not_see_what_another_has_parked(store: Store, outbox: Outbox) -> None:
    """Each has its own trouble."""
    await happen(store, "A")
    await outbox.ensure_sinks(["log"])
    await parked(outbox)
    assert await due(outbox, "log") == []
    assert await outbox.blocked("log", ["A"]) == set()


async def test_many_records_can_be_asked_about_at_once(store: Store, outbox: Outbox) -> None:
    """More than a statement should hold."""
    await happen(store, "A")
    await parked(outbox)
    assert await outbox.blocked("crm", [f"R{number}" for number in range(1200)] + ["A"]) == {"A"}
    assert await outbox.blocked("crm", []) == set()


async def test_a_round_is_settled_as_a_whole(store: Store, outbox: Outbox) -> None:
    """The cursor moves, failures are parked or parked anew, the delivered go, and the sink's state is kept."""
    await happen(store, "A", "B", "C")
    first, second, third = await outbox.read("crm", 3)
    await park(outbox, Parked(first, NOON), Parked(second, NOON), cursor=2)
    state = SinkState("crm", 3, failing_since=NOON, last_error="HTTP 503")
    again = Parked(replace(second, attempts=2), NOON + SECOND, "HTTP 503")
    await outbox.settle(state, park=[Parked(third, NOON)], again=[again], done=[1])
    assert await outbox.sink("crm") == state
    assert await positions(outbox, NOON + SECOND) == [2, 3]
    assert (await due(outbox, now=NOON + SECOND))[0].attempts == 2


async def test_a_pause_that_came_during_a_round_stays(outbox: Outbox) -> None:
    """Settling writes a pause only when the round itself found a reason; resuming ends any."""
    await outbox.pause("crm", "by hand")
    await outbox.settle(SinkState("crm", 0), park=[], done=[])
    assert (await outbox.sink("crm")).paused == "by hand"
    await outbox.settle(SinkState("crm", 0, paused="HTTP 410"), park=[], done=[])
    assert (await outbox.sink("crm")).paused == "HTTP 410"
    await outbox.resume("crm")
    assert (await outbox.sink("crm")).paused == ""


async def test_an_outage_is_not_counted_against_the_parked(store: Store, outbox: Outbox) -> None:
    """They are due at once, and their first try moves by the length of the outage; the dead stay dead."""
    await happen(store, "A", "B", "C")
    tried, untried, dead = await outbox.read("crm", 3)
    tried = replace(tried, attempts=4, first_tried_at=NOON - 100 * SECOND)
    later = NOON + 1000 * SECOND
    await park(outbox, Parked(tried, later), Parked(untried, later), Parked(dead, NOON - SECOND, dead=True), cursor=3)
    state = await outbox.sink("crm")
    await outbox.settle(state, park=[], done=[], back_at=NOON, outage=90 * SECOND)
    assert await due(outbox) == [replace(tried, first_tried_at=NOON - 10 * SECOND), untried]
    assert (await outbox.backlog("crm")).dead == 1


async def test_the_backlog_is_counted(store: Store, outbox: Outbox) -> None:
    """What waits behind the cursor, what is parked, what is dead, and how old the oldest of it is."""
    empty = await outbox.backlog("crm")
    assert (empty.waiting, empty.parked, empty.dead, empty.oldest) == (0, 0, 0, None)
    await happen(store, "A", "B", "C", at=NOON)
    await parked(outbox, dead=(1,))
    await happen(store, "D", at=NOON + SECOND, first=4)
    backlog = await outbox.backlog("crm")
    assert (backlog.waiting, backlog.parked, backlog.dead, backlog.oldest) == (1, 2, 1, NOON)
    await outbox.settle(SinkState("crm", 3), park=[], done=[2, 3])
    assert (await outbox.backlog("crm")).oldest == NOON + SECOND


async def test_recent_events_are_found_newest_first(store: Store, outbox: Outbox) -> None:
    """By any mixture of org, object, kind, record and position."""
    lead = await happen(store, "A", "B")
    contact = await happen(store, "C", first=3, object="Contact", kind=Kind.CREATED, org="other")
    assert await outbox.events() == [(3, contact[0]), (2, lead[1]), (1, lead[0])]
    assert await outbox.events(limit=1) == [(3, contact[0])]
    assert await outbox.events(after=2) == [(3, contact[0])]
    for condition in ({"org": "other"}, {"object_name": "Contact"}, {"kind": Kind.CREATED}, {"record": "C"}):
        assert await outbox.events(**condition) == [(3, contact[0])]
    assert await outbox.events(org="other", record="A") == []


async def test_only_what_nobody_is_owed_is_pruned(store: Store, outbox: Outbox) -> None:
    """Young events stay, what a configured sink has not passed stays, what anybody has parked stays, dead or not."""
    await outbox.ensure_sinks(["slow", "unconfigured"])
    await happen(store, "A", "B", "C", "D", at=NOON)
    await happen(store, "E", at=NOON + SECOND, first=5)
    fresh = await outbox.read("crm", 5)
    await park(outbox, Parked(fresh[1], NOON, dead=True), cursor=5)
    await outbox.settle(SinkState("slow", 3), park=[], done=[])

    assert await outbox.prune(NOON, ["crm", "slow"]) == 0
    assert await outbox.prune(NOON + SECOND, ["crm", "slow"]) == 2
    assert [position for position, _ in await outbox.events()] == [5, 4, 2]
    assert await outbox.prune(NOON + SECOND, ["crm"]) == 1
    assert await outbox.prune(NOON + 2 * SECOND, ["crm"]) == 1
    assert [position for position, _ in await outbox.events()] == [2]


async def test_pruning_goes_in_batches_that_end(store: Store, outbox: Outbox) -> None:
    """Five hundred at a time, so that no other write waits long."""
    await happen(store, *(f"R{number}" for number in range(700)))
    await outbox.settle(SinkState("crm", 700), park=[], done=[])
    later = NOON + SECOND
    assert [await outbox.prune(later, ["crm"]) for _ in range(3)] == [500, 200, 0]
