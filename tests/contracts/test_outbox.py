"""store/outbox.py, on a real database of each kind."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stores
from builders import NOON, an_event, watermarks
from sqlalchemy import text

from salesforce_poller.delivery import alerts
from salesforce_poller.errors import StoreError
from salesforce_poller.model import Delivery, Event, Kind, Ordering, Parked, SinkState
from salesforce_poller.store import parking
from salesforce_poller.store.outbox import Outbox, Start
from salesforce_poller.store.store import Store

SECOND = timedelta(seconds=1)


pytestmark = pytest.mark.both_databases


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Open an empty store that knows the sink ``crm``."""
    async with Store(stores.url(tmp_path / "store.db")) as store:
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
    again = Parked(second.but(attempts=2), NOON + SECOND, "HTTP 503")
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
    tried = tried.but(attempts=4, first_tried_at=NOON - 100 * SECOND)
    later = NOON + 1000 * SECOND
    await park(outbox, Parked(tried, later), Parked(untried, later), Parked(dead, NOON - SECOND, dead=True), cursor=3)
    state = await outbox.sink("crm")
    await outbox.settle(state, park=[], done=[], back_at=NOON, outage=90 * SECOND)
    assert await due(outbox) == [tried.but(first_tried_at=NOON - 10 * SECOND), untried]
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


async def test_only_what_was_pruned_before_a_sink_came_to_it_counts_as_missed(store: Store, outbox: Outbox) -> None:
    """Not what was read twice and kept once, and not what was gone before a new sink began."""
    await happen(store, "A")
    await outbox.settle(SinkState("crm", 1))
    await happen(store, "A", "B")
    assert await outbox.missed("crm") == 0
    await outbox.settle(SinkState("crm", 2))
    assert await outbox.prune(NOON + SECOND, ["crm"]) == 2
    starts: dict[str, Start] = {"new": "now", "old": "beginning", "late": NOON}
    await outbox.ensure_sinks(starts, starts)
    await happen(store, "C", first=3)
    starts = {"newer": "now", "older": "beginning", "later": NOON}
    await outbox.ensure_sinks(starts, starts)
    for name, waiting in {"crm": 1, "new": 1, "old": 1, "late": 1, "newer": 0, "older": 1, "later": 1}.items():
        assert (await outbox.missed(name), (await outbox.backlog(name)).waiting) == (0, waiting), name
    assert await outbox.prune(NOON + SECOND, ["newer"]) == 1
    await happen(store, "D", first=4)
    assert await outbox.missed("new") == 1


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


async def test_what_is_parked_for_a_sink_that_was_removed_goes_with_its_time(store: Store, outbox: Outbox) -> None:
    """Dead or not: nobody would deliver it. What is parked for a sink that is there stays, however old it is."""
    await outbox.ensure_sinks(["removed"])
    await happen(store, "A", "B", at=NOON)
    await happen(store, "C", at=NOON + SECOND, first=3)
    for name in ("crm", "removed"):
        waiting = [
            Parked(each.but(sink=name), NOON, dead=each.position == 1) for each in await outbox.read("crm", 3, after=0)
        ]
        await outbox.settle(SinkState(name, 3), park=waiting)
    assert [await outbox.let_go(NOON + SECOND, ["crm"]) for _ in range(2)] == [2, 0]
    left = [await outbox.backlog(name) for name in ("crm", "removed")]
    assert [(one.parked, one.dead) for one in left] == [(2, 1), (1, 0)]


async def test_pruning_goes_in_batches_that_end(store: Store, outbox: Outbox) -> None:
    """Five hundred at a time, so that no other write waits long."""
    await happen(store, *(f"R{number}" for number in range(700)))
    await outbox.settle(SinkState("crm", 700), park=[], done=[])
    later = NOON + SECOND
    assert [await outbox.prune(later, ["crm"]) for _ in range(3)] == [500, 200, 0]


async def test_a_new_sink_begins_where_it_says(store: Store, outbox: Outbox) -> None:
    """With everything that is kept, with what was recorded at or after an instant, or at the end."""
    await happen(store, "A", at=NOON)
    await happen(store, "B", at=NOON + SECOND, first=2)
    await happen(store, "C", at=NOON + 2 * SECOND, first=3)
    starts: dict[str, Start] = {
        "beginning": "beginning",
        "before": NOON - SECOND,
        "exactly": NOON + SECOND,
        "between": NOON + SECOND / 2,
        "after": NOON + 3 * SECOND,
        "now": "now",
    }
    await outbox.ensure_sinks(starts, starts)
    cursors = {name: (await outbox.sink(name)).cursor for name in starts}
    assert cursors == {"beginning": 0, "before": 0, "exactly": 1, "between": 1, "after": 3, "now": 3}
    await outbox.ensure_sinks(["now"], {"now": "beginning"})
    assert (await outbox.sink("now")).cursor == 3


async def test_a_sink_that_comes_back_too_late_is_told_how_much_it_missed(store: Store, outbox: Outbox) -> None:
    """Nobody kept events for it while it was not configured; whoever is, misses nothing."""
    await outbox.ensure_sinks(["forgotten"])
    await happen(store, *"ABCD")
    await park(outbox, cursor=3)
    assert await outbox.missed("forgotten") == 0
    assert await outbox.prune(NOON + SECOND, ["crm"]) == 3
    assert (await outbox.missed("forgotten"), await outbox.missed("crm")) == (3, 0)
    await park(outbox, cursor=4)
    assert await outbox.missed("crm") == 0


async def test_strict_may_try_what_is_due_up_to_the_first_that_is_not(store: Store, outbox: Outbox) -> None:
    """By position, whatever the record; and it is asked again when the first is due."""
    await happen(store, *"ABCD")
    await parked(outbox, due={3: NOON + SECOND})
    strict = Ordering.STRICT
    assert [each.position for each in await due(outbox, ordering=strict)] == [1, 2]
    assert [each.position for each in await due(outbox, ordering=strict, most=1)] == [1]
    await outbox.settle(SinkState("crm", 4), done=[1, 2])
    assert await due(outbox, ordering=strict) == []
    assert await outbox.next_due("crm", strict) == NOON + SECOND
    later = NOON + SECOND
    assert [each.position for each in await due(outbox, now=later, ordering=strict)] == [3, 4]


async def test_without_ordering_everything_due_may_be_tried(store: Store, outbox: Outbox) -> None:
    """Also the second of a record whose first must wait."""
    await happen(store, *"AAB")
    await parked(outbox, due={1: NOON + SECOND}, dead=(3,))
    assert [each.position for each in await due(outbox, ordering=Ordering.NONE)] == [2]
    assert await outbox.next_due("crm", Ordering.NONE) == NOON


async def test_what_failed_before_does_not_crowd_out_what_was_never_tried(store: Store, outbox: Outbox) -> None:
    """Each has a limit of its own."""
    await happen(store, *"ABCDEF")
    fresh = await outbox.read("crm", 6)
    tried = [Parked(each.but(attempts=1, first_tried_at=NOON), NOON) for each in fresh[:4]]
    await park(outbox, *tried, *(Parked(each, NOON) for each in fresh[4:]), cursor=6)
    standing = await outbox.standing("crm", NOON, Ordering.RECORD, tried=2, untried=100)
    assert [each.position for each in standing.due] == [1, 2, 5, 6]


async def test_a_paused_sink_has_nothing_due(store: Store, outbox: Outbox) -> None:
    """And nothing is looked up for it."""
    await happen(store, "A")
    await parked(outbox)
    assert (await outbox.standing("crm", NOON, Ordering.RECORD, tried=9, untried=9)).parked
    await outbox.pause("crm", "by hand")
    standing = await outbox.standing("crm", NOON, Ordering.RECORD, tried=9, untried=9)
    assert (standing.state.paused, standing.parked, standing.due) == ("by hand", False, [])


async def test_what_somebody_dropped_during_a_round_is_not_parked_again(store: Store, outbox: Outbox) -> None:
    """It failed once more, but nobody waits for it any longer."""
    await happen(store, *"AB")
    await parked(outbox)
    first, second = await due(outbox)
    await outbox.settle(SinkState("crm", 2), done=[1])
    again = [Parked(each.but(attempts=1), NOON, "HTTP 400", response="HTTP/1.1 400") for each in (first, second)]
    await outbox.settle(SinkState("crm", 2), again=again)
    assert [(each.position, each.attempts) for each in await due(outbox)] == [(2, 1)]


async def test_a_replay_keeps_its_flag_when_it_fails(store: Store, outbox: Outbox) -> None:
    """It is still one when it comes at last."""
    [event] = await happen(store, "A")
    replay = Delivery("crm", 1, event, replay=True)
    await park(outbox, Parked(replay, NOON), cursor=1)
    await outbox.settle(SinkState("crm", 1), again=[Parked(replay.but(attempts=1), NOON)])
    assert await due(outbox) == [replay.but(attempts=1)]


async def test_an_alert_is_written_with_what_caused_it_and_only_once(store: Store, outbox: Outbox) -> None:
    """Its id says which alerts are the same; whoever waits for events is woken by a new one alone."""
    woken: list[int] = []
    store.feeds.on_events(lambda: woken.append(1))
    alert = alerts.switched_off("crm", "switched off: HTTP 410", NOON, NOON)
    for _ in range(2):
        await outbox.settle(SinkState("crm", 0, paused="switched off: HTTP 410"), alerts=[alert], at=NOON)
    assert await outbox.events() == [(1, alert)]
    assert woken == [1]
    assert (await outbox.events(kind=Kind.ALERT))[0][1] == alert


async def test_a_restart_forgives_no_failures_and_a_person_does(outbox: Outbox) -> None:
    """So that a sink that still fails is switched off again at once, and one that was mended has its five days."""
    off = SinkState("crm", 0, paused="switched off", failing_since=NOON, down_since=NOON)
    await outbox.settle(off)
    await outbox.resume("crm", forgive=False)
    assert await outbox.sink("crm") == replace(off, paused="")
    await outbox.settle(off)
    await outbox.resume("crm")
    assert await outbox.sink("crm") == replace(off, paused="", failing_since=None)


@pytest.mark.parametrize("ordering", Ordering)
async def test_what_is_due_is_read_in_its_order_and_not_sorted_first(store: Store, ordering: Ordering) -> None:
    """A hundred thousand replays are asked for in every round; to sort them would take longer than to send a round."""
    async with store._database.read() as connection:
        for query in parking.due("crm", NOON, ordering, tried=20, untried=300):
            told = query.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
            if not stores.on_postgresql():
                plan = [row[3] for row in await connection.execute(text(f"EXPLAIN QUERY PLAN {told}"))]
                assert any("parked USING" in step for step in plan), plan
                assert not [step for step in plan if "TEMP B-TREE" in step], plan
                continue
            for way in ("sort", "incremental_sort", "seqscan", "bitmapscan"):  # best for the few rows that there are
                await connection.execute(text(f"SET LOCAL enable_{way} = off"))
            plan = [row[0] for row in await connection.execute(text(f"EXPLAIN {told}"))]
            assert any("Scan using ix_parked_due" in step or "Scan using pk_parked" in step for step in plan), plan
            assert not [step for step in plan if "Sort" in step], plan


async def test_thousands_are_read_at_once_unless_they_are_long(store: Store, outbox: Outbox) -> None:
    """All of them in order, whether the position behind which they lie is told or known; long ones in several reads."""
    await happen(store, *(f"R{number}" for number in range(1_200)))
    store._database.fresh.clear()
    for read in (await outbox.read("crm", 1_100), await outbox.read("crm", 1_100, after=0)):
        assert [each.position for each in read] == list(range(1, 1_101))
    assert len(await outbox.read("crm", 2_000, after=100)) == 1_100
    long = [f"L{number}" for number in range(1_000)]
    await happen(store, *long, first=2_000, record={"Id": "L", "Description": "x" * 17_000}, previous=None)
    store._database.fresh.clear()
    first = await outbox.read("crm", 2_000, after=1_200)
    assert [each.position for each in first] == list(range(1_201, 1_701))
    assert len(await outbox.read("crm", 2_000, after=1_700)) == 500
    assert await outbox.read("crm", 2_000, after=2_200) == []
