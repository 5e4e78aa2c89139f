"""store/repairs.py, store/selection.py and store/pauses.py, on a real database of each kind."""

from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stores
from builders import NOON, an_event, watermarks
from fakes import FakeClock

from salesforce_poller.actions import replay
from salesforce_poller.actions.desk import Desk
from salesforce_poller.actions.present import Present
from salesforce_poller.errors import NotKnown
from salesforce_poller.model import Delivery, Kind, Ordering, Parked, SinkState
from salesforce_poller.store.pauses import Pause
from salesforce_poller.store.repairs import BATCH, Owed
from salesforce_poller.store.selection import Selection
from salesforce_poller.store.store import Store

MINUTE = timedelta(minutes=1)
EVERYTHING = Selection()
ANN, BOB = "00Q5g00000AbCdEEAV", "00Q5g00000AbCdFEAV"


pytestmark = pytest.mark.both_databases


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """Open an empty store that knows the sinks ``crm`` and ``log``."""
    async with Store(stores.url(tmp_path / "store.db")) as store:
        await store.outbox.ensure_sinks(["crm", "log"])
        yield store


async def happen(store: Store, *records: str, at: datetime = NOON, first: int = 1, **event: Any) -> None:
    """Let one event happen to each of these records; the ids count from ``first``."""
    events = [an_event(id=f"{number:032}", record_id=record, **event) for number, record in enumerate(records, first)]
    await store.feeds.commit_page("acme", "Lead", events=events, sightings=[], marks=watermarks(), at=at)


async def park(store: Store, *positions: int, dead: bool, sink: str = "crm", **more: Any) -> None:
    """Park the deliveries of these events, and move the sink's cursor behind them all."""
    end = await store.repairs.end()
    found = {each.position: each for each in await store.repairs.following(EVERYTHING, after=0, limit=end)}
    there = await store.outbox.read(sink, 10_000)
    by_position = {each.position: each.but(attempts=7, first_tried_at=NOON) for each in there}
    parked = [
        Parked(by_position[one], NOON + MINUTE, "HTTP 500", dead=dead, response="HTTP/1.1 500", **more)
        for one in positions
    ]
    assert found.keys() >= set(positions)
    await store.outbox.settle(SinkState(sink, end), park=parked, done=[])


async def delivered(store: Store, sink: str = "crm") -> None:
    """Take everything as delivered to a sink."""
    await store.outbox.settle(SinkState(sink, await store.repairs.end()), park=[], done=[])


async def due(store: Store, sink: str = "crm", now: datetime = NOON) -> list[tuple[int, bool, int]]:
    """Return what is due: position, whether it is a replay, and how often it was tried."""
    return [(one.position, one.replay, one.attempts) for one in await may_be_tried(store, sink, now)]


async def may_be_tried(store: Store, sink: str = "crm", now: datetime = NOON) -> list[Delivery]:
    """Return what a dispatcher is handed of the parked."""
    return (await store.outbox.standing(sink, now, Ordering.RECORD, tried=10_000, untried=10_000)).due


async def chosen(store: Store, **wanted: Any) -> list[int]:
    """Return the positions of the selected events."""
    return [one.position for one in await store.repairs.newest(Selection(**wanted), 100)]


class TestSelection:
    """Which events are meant."""

    async def test_each_word_selects_by_itself_and_all_of_them_together(self, store: Store) -> None:
        """Objects in any letters; the beginning of a span of time belongs to it, its end does not."""
        await happen(store, ANN, BOB)
        await happen(store, ANN, first=3, at=NOON + MINUTE, object="Contact", kind=Kind.DELETED)
        await happen(store, ANN, first=4, at=NOON + 2 * MINUTE, org="beta")
        assert await chosen(store) == [1, 2, 3, 4]
        assert await chosen(store, event=f"{2:032}") == [2]
        assert await chosen(store, record=ANN) == [1, 3, 4]
        assert await chosen(store, object="contact") == [3]
        assert await chosen(store, kind=Kind.UPDATED) == [1, 2, 4]
        assert await chosen(store, org="beta") == [4]
        assert await chosen(store, since=NOON + MINUTE) == [3, 4]
        assert await chosen(store, until=NOON + MINUTE) == [1, 2]
        assert await chosen(store, record=ANN, org="acme", object="Lead") == [1]
        assert await store.repairs.count(Selection(record=ANN), after=1) == 2

    async def test_a_record_is_found_by_the_id_that_people_see(self, store: Store) -> None:
        """15 characters, whose case matters: the other three are made of it."""
        await happen(store, ANN, ANN[:15].swapcase() + "EAV", BOB)
        assert await chosen(store, record=ANN[:15]) == [1]
        assert await chosen(store, record=ANN[:14]) == []

    async def test_words_are_never_sql(self, store: Store) -> None:
        """They come from outside."""
        await happen(store, ANN)
        assert await chosen(store, record="' OR 1=1 --") == []
        assert await chosen(store, object="%") == []

    async def test_what_follows_is_read_in_order_and_no_further_than_asked(self, store: Store) -> None:
        """For ``--follow`` and for replays, which must not meet what comes after the order."""
        await happen(store, ANN, BOB, ANN)
        following = store.repairs.following
        assert [one.position for one in await following(EVERYTHING, after=1)] == [2, 3]
        assert [one.position for one in await following(EVERYTHING, after=0, through=2)] == [1, 2]
        assert [one.position for one in await following(EVERYTHING, after=0, limit=1)] == [1]
        assert [one.position for one in await store.repairs.newest(EVERYTHING, 2)] == [2, 3]


class TestOweAgain:
    """Replays."""

    async def test_delivered_events_are_owed_as_replays_due_at_once(self, store: Store) -> None:
        """As if never tried, under the id they had; the first of a record comes first."""
        await happen(store, ANN, BOB, ANN)
        await delivered(store)
        assert await store.repairs.owe({"crm": [1, 2, 3]}, NOON) == {"crm": Owed(again=3)}
        assert await due(store) == [(1, True, 0), (2, True, 0)]
        assert (await may_be_tried(store))[0].event.id == f"{1:032}"
        assert await due(store, "log") == []

    async def test_what_was_given_up_is_owed_once_more_and_is_no_replay(self, store: Store) -> None:
        """It never arrived."""
        await happen(store, ANN)
        await park(store, 1, dead=True)
        assert await store.repairs.owe({"crm": [1]}, NOON) == {"crm": Owed(revived=1)}
        assert await due(store) == [(1, False, 0)]

    async def test_what_is_owed_already_is_left_alone(self, store: Store) -> None:
        """Its schedule and its tries stay; asking twice owes once."""
        await happen(store, ANN, BOB)
        await park(store, 1, dead=False)
        assert await store.repairs.owe({"crm": [1, 2]}, NOON) == {"crm": Owed(again=1, waiting=1)}
        assert await store.repairs.owe({"crm": [1, 2]}, NOON) == {"crm": Owed(waiting=2)}
        assert await due(store) == [(2, True, 0)]
        assert sorted(await due(store, now=NOON + MINUTE)) == [(1, False, 7), (2, True, 0)]

    async def test_what_still_lies_before_a_sink_comes_by_itself(self, store: Store) -> None:
        """Owing it as well would deliver it twice."""
        await happen(store, ANN)
        await delivered(store)
        await happen(store, BOB, first=2)
        assert await store.repairs.owe({"crm": [1, 2], "log": [1, 2]}, NOON) == {
            "crm": Owed(again=1, ahead=1),
            "log": Owed(ahead=2),
        }
        assert await due(store, "log") == []

    async def test_an_event_that_is_gone_is_not_owed(self, store: Store) -> None:
        """Pruned between reading and writing: a row without its event would block its record for ever."""
        await happen(store, ANN)
        await delivered(store)
        await delivered(store, "log")
        assert await store.outbox.prune(NOON + MINUTE, ["crm", "log"]) == 1
        assert await store.repairs.owe({"crm": [1]}, NOON) == {"crm": Owed()}
        assert await store.outbox.blocked("crm", [ANN]) == set()

    async def test_what_is_owed_again_is_not_pruned(self, store: Store) -> None:
        """However old it is."""
        await happen(store, ANN)
        await delivered(store)
        await delivered(store, "log")
        await store.repairs.owe({"crm": [1]}, NOON)
        assert await store.outbox.prune(NOON + MINUTE, ["crm", "log"]) == 0

    async def test_a_dry_run_says_the_same_and_changes_nothing(self, store: Store) -> None:
        """For every fate there is."""
        await happen(store, ANN, BOB, ANN)
        await park(store, 1, dead=True)
        await park(store, 2, dead=False, sink="log")
        wanted = {"crm": [1, 2, 3], "log": [1, 2, 3]}
        told = await store.repairs.would_owe(wanted)
        assert await due(store) == []
        assert told == {"crm": Owed(again=2, revived=1), "log": Owed(again=2, waiting=1)}
        assert await store.repairs.owe(wanted, NOON) == told

    async def test_a_sink_that_never_ran_is_left_out(self, store: Store) -> None:
        """There is nothing it could have had."""
        await happen(store, ANN)
        assert await store.repairs.owe({"new": [1]}, NOON) == {}

    async def test_whoever_listens_is_woken_when_something_is_owed(self, store: Store) -> None:
        """And only then."""
        heard: list[str] = []
        store.repairs.on_owed(lambda: heard.append("woken"))
        await happen(store, ANN)
        await delivered(store)
        await store.repairs.would_owe({"crm": [1]})
        await store.repairs.owe({"crm": []}, NOON)
        assert heard == []
        await store.repairs.owe({"crm": [1]}, NOON)
        assert heard == ["woken"]

    @pytest.mark.parametrize("part", [None, 1, BATCH, BATCH + 1])
    async def test_a_long_replay_goes_batch_by_batch_and_ends_where_it_began(
        self, store: Store, part: int | None
    ) -> None:
        """In one order or in parts: every event once, by the filters of each sink, and none that came after."""
        many = 3 * BATCH
        await happen(store, *(f"{number:018}" for number in range(many)))
        await delivered(store)
        through, after, total, parts = await store.repairs.end(), 0, Owed(), 0
        await happen(store, "late", first=many + 1)
        await delivered(store)
        wants = {"crm": lambda event: int(event.id) % 2 == 0}
        while True:
            done = await replay.owe_again(
                store.repairs,
                wants,
                EVERYTHING,
                replay.Extent(after, through, part),
                clock=FakeClock(NOON),
                dry_run=False,
                stopping=lambda: False,
            )
            total, parts = total.plus(done.sinks["crm"]), parts + 1
            if done.next is None:
                break
            after = done.next
        assert total == Owed(again=many // 2)
        assert parts == {None: 1, 1: 4, BATCH: 4, BATCH + 1: 2}[part]
        assert len(await may_be_tried(store)) == many // 2

    async def test_a_program_that_ends_breaks_off_after_a_batch(self, store: Store) -> None:
        """And says where to go on."""
        await happen(store, *(f"{number:018}" for number in range(BATCH + 1)))
        await delivered(store)
        done = await replay.owe_again(
            store.repairs,
            {"crm": lambda _event: True},
            EVERYTHING,
            replay.Extent(0, BATCH + 1, None),
            clock=FakeClock(NOON),
            dry_run=False,
            stopping=lambda: True,
        )
        assert (done.selected, done.next) == (BATCH, BATCH)


class TestDead:
    """What was given up."""

    async def test_it_is_listed_with_all_that_is_known(self, store: Store) -> None:
        """Newest events, oldest of them first, of the sinks that are asked for."""
        await happen(store, ANN, BOB)
        await park(store, 1, 2, dead=True)
        await park(store, 1, dead=True, sink="log")
        found = await store.repairs.dead(EVERYTHING, ["crm"], 10)
        assert [(one.parked.delivery.position, one.parked.detail) for one in found] == [
            (1, "HTTP 500"),
            (2, "HTTP 500"),
        ]
        assert found[0].parked.response == "HTTP/1.1 500"
        assert found[0].parked.dead
        assert found[0].recorded_at == NOON
        assert found[0].parked.delivery.attempts == 7
        assert [one.parked.delivery.position for one in await store.repairs.dead(EVERYTHING, ["crm"], 1)] == [2]
        assert await store.repairs.count_dead(EVERYTHING, ["crm", "log"]) == {"crm": 2, "log": 1}
        assert await store.repairs.count_dead(Selection(record=BOB), ["crm", "log"]) == {"crm": 1}

    async def test_requeued_it_is_due_at_once_as_if_never_tried(self, store: Store) -> None:
        """What waits for its turn anyway is left alone."""
        await happen(store, ANN, BOB, "CARL")
        await park(store, 1, 2, dead=True)
        later = (await store.outbox.read("log", 3))[2].but(sink="crm")
        await store.outbox.settle(SinkState("crm", 3), park=[Parked(later, NOON + MINUTE)], done=[])
        assert await store.repairs.requeue(Selection(record=ANN), ["crm", "log"], NOON) == {"crm": 1}
        assert await due(store) == [(1, False, 0)]
        assert await store.repairs.count_dead(EVERYTHING, ["crm"]) == {"crm": 1}

    async def test_dropped_it_is_gone_and_its_record_is_free(self, store: Store) -> None:
        """Only what was given up: what is still owed cannot be dropped."""
        await happen(store, ANN, BOB)
        await park(store, 1, dead=True)
        await park(store, 2, dead=False, sink="log")
        assert await store.repairs.drop(EVERYTHING, ["crm", "log"]) == {"crm": 1}
        assert await store.repairs.count_dead(EVERYTHING, ["crm", "log"]) == {}
        assert await due(store, "log", NOON + MINUTE) == [(2, False, 7)]
        assert await store.repairs.end() == 2, "the events themselves stay"

    @pytest.mark.parametrize("verb", ["requeue", "drop"])
    async def test_more_than_a_batch_is_done_to_the_end(self, store: Store, verb: str) -> None:
        """And counted."""
        many = 2 * BATCH + 1
        await happen(store, *(f"{number:018}" for number in range(many)))
        await park(store, *range(1, many + 1), dead=True)
        work = store.repairs.requeue(EVERYTHING, ["crm"], NOON) if verb == "requeue" else None
        assert await (work or store.repairs.drop(EVERYTHING, ["crm"])) == {"crm": many}
        assert await store.repairs.count_dead(EVERYTHING, ["crm"]) == {}

    async def test_sinks_that_left_the_configuration_are_known(self, store: Store) -> None:
        """What they gave up can still be looked at and dropped."""
        assert await store.repairs.sinks() == ["crm", "log"]

    async def test_nothing_is_requeued_for_a_sink_that_left_the_configuration(self, store: Store) -> None:
        """Nobody would deliver it, nobody could drop it any more, and its event would be kept for ever."""
        await happen(store, ANN)
        await park(store, 1, dead=True)
        await park(store, 1, dead=True, sink="log")
        desk = Desk(store, present=Present([], {"log": lambda _event: True}), clock=FakeClock())
        told = "the sink crm is not in the configuration any more: nobody would deliver to it"
        with pytest.raises(NotKnown, match=told):
            await desk.take("dead/requeue", {"sink": ["log", "crm"]})
        assert await desk.take("dead/requeue", {"all": True, "dry_run": True}) == {"dry_run": True, "sinks": {"log": 1}}
        assert await desk.take("dead/requeue", {"all": True}) == {"dry_run": False, "sinks": {"log": 1}}
        assert await desk.take("dead/drop", {"sink": "crm"}) == {"dry_run": False, "sinks": {"crm": 1}}


class TestPauses:
    """Feeds that a person paused."""

    async def test_a_pause_outlives_the_process_and_needs_no_feed_that_ran(self, tmp_path: Path) -> None:
        """It is on disk; a second reason changes the words, not since when."""
        path = stores.url(tmp_path / "pauses.db")
        pause = Pause("acme", "Lead", "lunch", NOON)
        async with Store(path) as store:
            await store.pauses.begin(pause)
            await store.pauses.begin(replace(pause, why="a long lunch", since=NOON + MINUTE))
            await store.pauses.begin(replace(pause, object="Case"))
        async with Store(path) as store:
            found = [asdict(one) for one in await store.pauses.all()]
            assert [(one["object"], one["why"], one["since"]) for one in found] == [
                ("Case", "lunch", NOON),
                ("Lead", "a long lunch", NOON),
            ]
            assert await store.pauses.end("acme", "Lead")
            assert not await store.pauses.end("acme", "Lead")
            assert [one.object for one in await store.pauses.all()] == ["Case"]
