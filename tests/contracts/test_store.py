"""store/: the promises of the memory, on a real database of each kind.

Delivery's side of it is in ``test_outbox.py``, the file itself and its schema in ``test_store_file.py``.
"""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import stores
from builders import NOON, an_event
from polling_builders import LEAD, OTHER_LEAD, SETTLED, STARTED, a_sighting, some_marks

from salesforce_poller.errors import Facts, Scope, StoreError
from salesforce_poller.model import Event, Gap, Kind, Sighting
from salesforce_poller.store.store import Store
from salesforce_poller.store.troubles import OpenTrouble

pytestmark = pytest.mark.both_databases


@pytest.fixture
def where(tmp_path: Path) -> str:
    """Where the store will be."""
    return stores.url(tmp_path / "store.db")


async def commit(store: Store, *happened: Event, seen: tuple[Sighting, ...] = (), **more: Any) -> int:
    """Commit a page of the example feed."""
    page: dict[str, Any] = {"events": happened, "sightings": seen, "marks": some_marks(), "at": NOON} | more
    return await store.feeds.commit_page("acme", "Lead", **page)


async def told(store: Store) -> list[Event]:
    """Return every event, oldest first."""
    return [event for _, event in reversed(await store.outbox.events())]


class TestCommitPage:
    """Events, sightings and watermarks in one transaction."""

    async def test_all_of_a_page_is_there_after_a_restart(self, where: str) -> None:
        """What was committed is on disk."""
        async with Store(where) as store:
            assert await commit(store, an_event(), seen=(a_sighting(),)) == 1
        async with Store(where) as store:
            assert await told(store) == [an_event()]
            assert await store.feeds.sightings("acme", "Lead", [LEAD]) == {LEAD: a_sighting()}
            assert await store.feeds.watermarks("acme", "Lead") == some_marks()

    @pytest.mark.parametrize("first", [True, False], ids=["of the first page", "of a later page"])
    @pytest.mark.parametrize(
        "broken",
        [
            {"events": [an_event(), an_event(id="2", record={"not": object()})]},
            {"sightings": [a_sighting(stamp=SETTLED), a_sighting(record_id=None)]},
        ],
        ids=["an event", "a sighting"],
    )
    async def test_an_error_in_the_middle_leaves_nothing(self, where: str, broken: Any, first: bool) -> None:
        """Otherwise a bookmark could move without its events, or events be told twice."""
        async with Store(where) as store:
            if not first:
                await commit(store, seen=(a_sighting(),))
            before = await store.feeds.watermarks("acme", "Lead")
            with pytest.raises((StoreError, TypeError)):
                await commit(store, **{"events": [an_event(id="1")], "marks": some_marks(seen_through=NOON)} | broken)
            assert await told(store) == []
            assert await store.feeds.watermarks("acme", "Lead") == before
            assert len(await store.feeds.sightings("acme", "Lead", [LEAD])) == (0 if first else 1)
            assert await commit(store, an_event(), seen=(a_sighting(),)) == 1, "and the store goes on"

    async def test_a_change_read_twice_is_owed_once(self, where: str) -> None:
        """Its id is the same, so it keeps its first place."""
        async with Store(where) as store:
            assert await commit(store, an_event(id="1"), an_event(id="2")) == 2
            assert await commit(store, an_event(id="2"), an_event(id="3"), an_event(id="3")) == 1
            assert [event.id for event in await told(store)] == ["1", "2", "3"]

    async def test_events_keep_their_order_and_positions_grow(self, where: str) -> None:
        """Also after the last ones were pruned: a position is never given twice."""
        async with Store(where) as store:
            await commit(store, *(an_event(id=str(number)) for number in range(600)))
            assert [event.id for event in (await told(store))] == [str(number) for number in range(500, 600)]
            while await store.outbox.prune(NOON + timedelta(days=1), []):
                pass
            await commit(store, an_event(id="later"))
            [(position, event)] = await store.outbox.events()
            assert (position, event.id) == (601, "later")

    async def test_every_row_of_a_large_page_is_in_its_place(self, where: str) -> None:
        """As many rows as there are: all are written, with their own values, and replaced when they change."""
        numbers = range(1_111)
        happened = [an_event(id=str(number), record={"Number__c": number}) for number in numbers]
        seen = {str(number): a_sighting(record_id=str(number), digest=f"{number:032}") for number in numbers}
        async with Store(where) as store:
            assert await commit(store, *happened, seen=tuple(seen.values())) == len(numbers)
            found = await store.outbox.events(limit=2_000)
            assert [position for position, _ in found] == [*range(len(numbers), 0, -1)]
            assert [event for _, event in reversed(found)] == happened
            assert await store.feeds.sightings("acme", "Lead", list(seen)) == seen
            later = {one: known.but(digest=f"{one:f>32}", deleted=True) for one, known in seen.items()}
            assert await commit(store, seen=tuple(later.values())) == 0
            assert await store.feeds.sightings("acme", "Lead", list(seen)) == later

    async def test_a_sighting_replaces_the_one_before(self, where: str) -> None:
        """One row a record; other feeds' records are theirs."""
        newer = a_sighting(stamp=NOON, deleted=True, merged_into=OTHER_LEAD, fields=None)
        async with Store(where) as store:
            await commit(store, seen=(a_sighting(),))
            await store.feeds.commit_page("beta", "Lead", events=[], sightings=[], marks=some_marks(), at=NOON)
            await commit(store, seen=(newer,))
            assert await store.feeds.sightings("acme", "Lead", [LEAD, OTHER_LEAD]) == {LEAD: newer}
            assert await store.feeds.sightings("beta", "Lead", [LEAD]) == {}
            assert await store.feeds.sightings("gamma", "Lead", [LEAD]) == {}
            assert await store.feeds.count_sightings("acme", "Lead") == 1

    async def test_live_records_are_counted_listed_and_told_from_others(self, where: str) -> None:
        """Those that are stamped before an instant, in order, page by page; deleted ones and strangers are not live."""
        live = tuple(a_sighting(record_id=f"00Q5g0000000{number:06}", stamp=SETTLED) for number in range(1_200))
        gone = a_sighting(record_id="00Q5g0000000999998", stamp=SETTLED, deleted=True)
        late = a_sighting(record_id="00Q5g0000000999999", stamp=NOON)
        ids = [one.record_id for one in live]
        async with Store(where) as store:
            await commit(store, seen=(*live, gone, late))
            assert await store.feeds.count_live("acme", "Lead", stamped_before=NOON) == 1_200
            first = await store.feeds.live_ids("acme", "Lead", stamped_before=NOON, after="", limit=1_000)
            rest = await store.feeds.live_ids("acme", "Lead", stamped_before=NOON, after=first[-1], limit=1_000)
            assert [*first, *rest] == ids
            asked = [*ids, gone.record_id, late.record_id, OTHER_LEAD]
            assert await store.feeds.not_live("acme", "Lead", asked) == [gone.record_id, OTHER_LEAD]
            assert await store.feeds.not_live("beta", "Lead", ids[:2]) == ids[:2]

    async def test_how_far_a_backfill_is_and_when_ids_were_compared_is_remembered(self, where: str) -> None:
        """With the page it belongs to."""
        marks = some_marks(
            backfill_done=False,
            backfill_job="750Sm0000000001IAA",
            backfill_locator="MTAwMDA",
            backfill_rows=10_000,
            backfill_total=60_000,
            reconciled_at=NOON,
        )
        async with Store(where) as store:
            await commit(store, marks=marks)
            assert await store.feeds.watermarks("acme", "Lead") == marks
            assert marks.backfill_percent == 16

    async def test_more_records_than_a_statement_takes_are_looked_up(self, where: str) -> None:
        """A page has 2,000 rows."""
        many = tuple(a_sighting(record_id=f"00Q5g0000000{number:06}") for number in range(2000))
        async with Store(where) as store:
            await commit(store, seen=many)
            found = await store.feeds.sightings("acme", "Lead", [one.record_id for one in many])
            assert len(found) == 2000

    async def test_listeners_hear_of_new_events_only_and_after_they_are_on_disk(self, where: str) -> None:
        """A dispatcher that is woken must find them."""
        async with Store(where) as store:
            heard: list[int] = []
            store.feeds.on_events(lambda: heard.append(count_events(where)))
            await commit(store)
            await commit(store, an_event())
            await commit(store, an_event())
            assert heard == [1]


def count_events(where: str) -> int:
    """Count the events that another process would see."""
    return int(stores.rows(where, "SELECT count(*) FROM events")[0][0])


class TestValues:
    """What is written is read back."""

    async def test_watermarks_survive_with_their_backfill(self, where: str) -> None:
        """All of them, before and in the middle of a backfill."""
        resting = some_marks(backfill_done=False, primed=False, backfill_since=None)
        midway = some_marks(backfill_done=False, backfill_since=STARTED, backfill_after=(SETTLED, LEAD))
        async with Store(where) as store:
            assert await store.feeds.watermarks("acme", "Lead") is None
            for marks in (resting, midway, some_marks()):
                await commit(store, marks=marks)
                assert await store.feeds.watermarks("acme", "Lead") == marks

    async def test_instants_survive_with_their_milliseconds(self, where: str) -> None:
        """In UTC, whatever zone they came in, before 1970 too."""
        instants = [
            datetime(2026, 11, 21, 10, 0, 0, 1000, tzinfo=UTC),
            datetime(2026, 11, 21, 10, 0, 0, 999000, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
            datetime(1700, 1, 1, tzinfo=UTC),
            datetime(4000, 12, 31, 23, 59, 59, tzinfo=UTC),
            datetime(2026, 11, 21, 11, 0, 0, 5000, tzinfo=timezone(timedelta(hours=1))),
        ]
        async with Store(where) as store:
            for number, instant in enumerate(instants):
                await commit(
                    store, an_event(id=str(number), observed_at=instant), marks=some_marks(seen_through=instant)
                )
                marks = await store.feeds.watermarks("acme", "Lead")
                assert marks is not None
                assert marks.seen_through == instant
                assert marks.seen_through.utcoffset() == timedelta(0)
            assert [event.observed_at for event in await told(store)] == instants

    async def test_values_survive_as_salesforce_sent_them(self, where: str) -> None:
        """A float stays a float, a long keeps its last digit, null is not nothing."""
        texts = ["", "Zoë 雪 🎉 \x00 \n \" \\ '", "x" * 131_072]
        numbers = [0, -1, 2**53 + 1, 2**63 - 1, -(2**63), 50000.0, 0.1, 1e300, True, False]
        values: list[Any] = [*texts, *numbers, None, [], {}, {"A": {"b": None}}]
        fields = {f"Field{index:02}": value for index, value in enumerate(values)}
        async with Store(where) as store:
            await commit(store, an_event(record=fields, previous=fields), seen=(a_sighting().but(fields=fields),))
            [event] = await told(store)
            remembered = (await store.feeds.sightings("acme", "Lead", [LEAD]))[LEAD].fields
            for read in (event.record, event.previous, remembered):
                assert read is not None
                assert repr(dict(read)) == repr(fields)

    async def test_every_kind_of_event_survives(self, where: str) -> None:
        """Not known and nothing are two things."""
        gap = Gap("deletions", STARTED, SETTLED, "why")
        happened = [
            an_event(id="1", kind=Kind.GAP, record_id=None, record=None, changed=None, previous=None, gap=gap),
            an_event(id="2", kind=Kind.MERGED, changed=None, previous=None, merged_into=OTHER_LEAD),
            an_event(id="3", changed=(), previous={}),
            an_event(id="4", object="Rechnung__c", org="ärger"),
        ]
        async with Store(where) as store:
            await commit(store, *happened)
            assert await told(store) == happened


class TestForgetting:
    """Old sightings go in batches."""

    async def test_only_what_is_old_of_one_feed_goes(self, where: str) -> None:
        """Live and deleted ones each by their own bound; the bound itself stays."""
        day = timedelta(days=1)
        seen = tuple(
            a_sighting(record_id=f"{'d' if deleted else 'l'}{age}", stamp=NOON - age * day, deleted=deleted)
            for deleted in (True, False)
            for age in range(5)
        )
        async with Store(where) as store:
            await commit(store, seen=seen)
            await store.feeds.commit_page("beta", "Lead", events=[], sightings=seen, marks=some_marks(), at=NOON)
            went = await store.feeds.forget("acme", "Lead", live_before=NOON - 2 * day, deleted_before=NOON - 3 * day)
            left = await store.feeds.sightings("acme", "Lead", [one.record_id for one in seen])
            assert (went, sorted(left)) == (3, ["d0", "d1", "d2", "d3", "l0", "l1", "l2"])
            assert await store.feeds.count_sightings("beta", "Lead") == 10

    async def test_a_baseline_forgets_no_live_record(self, where: str) -> None:
        """However old it is."""
        old = (a_sighting(record_id="l", stamp=STARTED), a_sighting(record_id="d", stamp=STARTED, deleted=True))
        async with Store(where) as store:
            await commit(store, seen=old)
            assert await store.feeds.forget("acme", "Lead", live_before=None, deleted_before=NOON) == 1
            assert list(await store.feeds.sightings("acme", "Lead", ["l", "d"])) == ["l"]

    async def test_it_goes_batch_by_batch_until_nothing_is_left(self, where: str) -> None:
        """So that no poll waits long for the writer."""
        async with Store(where) as store:
            seen = tuple(a_sighting(record_id=str(number)) for number in range(1200))
            await commit(store, seen=seen, marks=some_marks(settled_through=NOON))
            batches = [
                await store.feeds.forget("acme", "Lead", live_before=NOON, deleted_before=NOON) for _ in range(4)
            ]
            assert batches == [500, 500, 200, 0]
            assert await store.feeds.forget("nobody", "Lead", live_before=NOON, deleted_before=NOON) == 0

    async def test_what_is_not_settled_stays_whatever_is_said(self, where: str) -> None:
        """Whoever says it may have looked at a store that went back since; it will be read again, and must be known."""
        seen = (a_sighting(record_id="new", stamp=SETTLED), a_sighting(record_id="old", stamp=STARTED))
        async with Store(where) as store:
            await commit(store, seen=seen)
            assert await store.feeds.forget("acme", "Lead", live_before=NOON, deleted_before=NOON) == 1
            assert list(await store.feeds.sightings("acme", "Lead", ["new", "old"])) == ["new"]


class TestHealth:
    """What ``status`` and readiness are told."""

    async def test_a_feed_fails_since_its_first_failure_and_until_its_next_success(self, where: str) -> None:
        """With the latest error."""
        async with Store(where) as store:
            await commit(store)
            await store.feeds.note_failure("acme", "Lead", NOON + timedelta(minutes=1), "HTTP 503")
            await store.feeds.note_failure("acme", "Lead", NOON + timedelta(minutes=2), "HTTP 502")
            [feed] = await store.feeds.health()
            assert (feed.polled_at, feed.failing_since, feed.last_error) == (
                NOON,
                NOON + timedelta(minutes=1),
                "HTTP 502",
            )
            await store.feeds.note_success("acme", "Lead", NOON + timedelta(minutes=3))
            [feed] = await store.feeds.health()
            assert (feed.polled_at, feed.failing_since, feed.last_error) == (NOON + timedelta(minutes=3), None, "")

    async def test_that_a_feed_works_is_written_down_when_it_is_news_and_every_ten_seconds(self, where: str) -> None:
        """So that a poll that finds nothing writes nothing; a failure, or one of its org's, makes it news again."""
        async with Store(where) as store:
            await commit(store)
            polled = []
            for second in (1, 10, 11, 13):
                if second == 13:
                    facts = Facts(trouble="LOGIN_IP", scope=Scope.ORG)
                    await store.feeds.note_failure("acme", "Case", NOON + timedelta(seconds=12), "no", facts=facts)
                await store.feeds.note_success("acme", "Lead", NOON + timedelta(seconds=second))
                [feed] = await store.feeds.health()
                assert feed.polled_at is not None
                polled.append((feed.polled_at - NOON).total_seconds())
            assert polled == [1, 1, 11, 13]
            assert await store.feeds.open_troubles() == []


class TestTroubles:
    """What is remembered of what is wrong."""

    async def test_a_trouble_keeps_its_beginning_until_it_is_over(self, where: str) -> None:
        """Whatever its latest name and words; and a feed that never worked has one as well."""
        async with Store(where) as store:
            for minute, name in enumerate(("HTTP_503", "INVALID_TYPE")):
                at = NOON + timedelta(minutes=minute)
                await store.feeds.note_failure("acme", "Lead", at, name.lower(), facts=Facts(trouble=name))
            assert await store.feeds.open_troubles() == [
                OpenTrouble("acme", "Lead", "INVALID_TYPE", "invalid_type", NOON)
            ]
            await store.feeds.note_success("acme", "Lead", NOON)
            assert await store.feeds.open_troubles() == []

    async def test_a_trouble_of_the_org_is_one_for_all_its_feeds_and_any_feed_ends_it(self, where: str) -> None:
        """But not those of the other feeds, nor those of another org."""
        refused = Facts(trouble="LOGIN_IP", scope=Scope.ORG)
        async with Store(where) as store:
            for org, name in (("acme", "Lead"), ("acme", "Case"), ("zeta", "Lead")):
                await store.feeds.note_failure(org, name, NOON, "no", facts=refused)
            await store.feeds.note_failure("acme", "Case", NOON, "gone", facts=Facts(trouble="INVALID_TYPE"))
            assert [(one.org, one.object) for one in await store.feeds.open_troubles()] == [
                ("acme", None), ("acme", "Case"), ("zeta", None),
            ]  # fmt: skip
            await store.feeds.note_success("acme", "Lead", NOON)
            assert [(one.org, one.object) for one in await store.feeds.open_troubles()] == [
                ("acme", "Case"), ("zeta", None),
            ]  # fmt: skip

    async def test_a_poll_without_its_sweep_ends_what_was_wrong_with_the_org(self, where: str) -> None:
        """It answers; the feed is still in trouble."""
        async with Store(where) as store:
            await store.feeds.note_failure("acme", "Lead", NOON, "no", facts=Facts(trouble="X", scope=Scope.ORG))
            await store.feeds.note_failure("acme", "Lead", NOON, "half", polled=True)
            assert await store.feeds.open_troubles() == [OpenTrouble("acme", "Lead", "", "half", NOON)]
