"""polling/intake.py against both stores: a page is on its way to the disk while the next one is thought about."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest
import stores
from fakes import FakeClock
from polling_builders import LEAD, OTHER_LEAD, a_record, a_schema, at, some_marks

from salesforce_poller.errors import Stopped, StoreError, StoreWentBack
from salesforce_poller.model import Event, Kind, Record, Sighting, Watermarks
from salesforce_poller.polling.intake import Intake
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.salesforce.questions import Questions
from salesforce_poller.store.store import Store

pytestmark = pytest.mark.both_databases

MARKS = some_marks(seen_through=at("10:00:00"))


class AnOrg:
    """As much of an org as taking in asks it."""

    name = "acme"

    async def organization_id(self) -> str:
        """Always the same."""
        return "00D5g000000AbcdEAA"

    def server_now(self) -> datetime:
        """Always the same."""
        return at("10:05:00")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An open store."""
    async with Store(stores.url(tmp_path / "store.db")) as opened:
        yield opened


@pytest.fixture
def stop() -> asyncio.Event:
    """What ends the program."""
    return asyncio.Event()


@pytest.fixture
def intake(store: Store, stop: asyncio.Event) -> Intake:
    """A feed of leads that has begun."""
    org = cast("Questions", AnOrg())
    return Intake("Lead", FeedSettings(), org=org, store=store.feeds, clock=FakeClock(), stop=stop)


@pytest.fixture
def slow(store: Store, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Have every commit wait until this is set."""
    go_on, commit = asyncio.Event(), store.feeds.commit_page

    async def waits(*args: Any, **more: Any) -> int:
        await go_on.wait()
        return await commit(*args, **more)

    monkeypatch.setattr(store.feeds, "commit_page", waits)
    return go_on


def broken(store: Store, monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Have commits fail once so many have worked."""
    left, commit = after, store.feeds.commit_page

    async def fails(*args: Any, **more: Any) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise StoreError("the disk is full")
        return await commit(*args, **more)

    monkeypatch.setattr(store.feeds, "commit_page", fails)


async def told(store: Store) -> list[Event]:
    """Return all events in their order."""
    return [event for _, event in reversed(await store.outbox.events(limit=1000))]


def a_lead(stamp: str, status: str, id_: str = LEAD) -> Record:
    """Return a row as it was stamped."""
    return a_record(id=id_, stamp=at(stamp), fields={"Status": status})


async def test_a_record_on_two_pages_is_known_before_the_first_of_them_is_on_disk(
    store: Store, intake: Intake, slow: asyncio.Event
) -> None:
    """What a page in hand remembers counts as seen: told as what it was, and told once."""
    await intake.begin_turn()
    await intake.begin([a_lead("10:00:05", "Open"), a_lead("10:00:05", "Open", OTHER_LEAD)], MARKS, a_schema())
    second = asyncio.create_task(
        intake.begin([a_lead("10:00:09", "Done"), a_lead("10:00:05", "Open", OTHER_LEAD)], MARKS, a_schema())
    )
    await asyncio.wait([second], timeout=0.05)
    assert await told(store) == []
    slow.set()
    await second
    await intake.finish()
    assert [(one.record_id, one.changed, one.previous) for one in await told(store)] == [
        (LEAD, None, None),
        (OTHER_LEAD, None, None),
        (LEAD, ("Status",), {"Status": "Open"}),
    ]
    assert (await remembered(store))[LEAD].fields == a_lead("10:00:09", "Done").fields


async def remembered(store: Store) -> dict[str, Sighting]:
    """Return what is remembered of both leads."""
    return await store.feeds.sightings("acme", "Lead", [LEAD, OTHER_LEAD])


async def test_the_page_before_is_on_disk_when_the_next_one_is_begun(store: Store, intake: Intake) -> None:
    """Watermarks never run ahead of it either."""
    await intake.begin_turn()
    pages: Sequence[tuple[Record, Watermarks]] = [
        (a_lead("10:00:05", "Open"), some_marks(seen_through=at("10:00:05"))),
        (a_lead("10:00:06", "Busy"), some_marks(seen_through=at("10:00:06"))),
        (a_lead("10:00:07", "Done"), some_marks(seen_through=at("10:00:07"))),
    ]
    for number, (record, marks) in enumerate(pages):
        await intake.begin([record], marks, a_schema())
        known = await store.feeds.watermarks("acme", "Lead")  # first: the page in hand may get there meanwhile
        events = await told(store)
        assert len(events) >= number
        assert known is None or len(events) >= int(known.seen_through.second) - 4
    await intake.finish()
    assert [one.time for one in await told(store)] == [at("10:00:05"), at("10:00:06"), at("10:00:07")]


async def test_nothing_is_committed_behind_a_page_that_could_not_be(
    store: Store, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error is raised where the next page is begun, and that page is dropped; both are read again."""
    await intake.begin_turn()
    broken(store, monkeypatch, after=1)
    await intake.take([a_lead("10:00:05", "Open")], MARKS, a_schema())
    await intake.begin([a_lead("10:00:06", "Busy")], MARKS, a_schema())
    with pytest.raises(StoreError, match="disk is full"):
        await intake.begin([a_lead("10:00:07", "Done")], MARKS, a_schema())
    await intake.finish()
    monkeypatch.undo()
    assert [one.time for one in await told(store)] == [at("10:00:05")]
    await intake.begin_turn()
    await intake.take([a_lead("10:00:07", "Done")], MARKS, a_schema())
    assert (await told(store))[-1].previous == {"Status": "Open"}, "what was not committed is forgotten"


async def test_what_could_not_be_committed_is_told_at_the_end_at_the_latest(
    store: Store, intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of the last page, behind which none is begun."""
    await intake.begin_turn()
    broken(store, monkeypatch, after=0)
    await intake.begin([a_lead("10:00:05", "Open")], MARKS, a_schema())
    with pytest.raises(StoreError, match="disk is full"):
        await intake.finish()
    await intake.finish()  # told once
    assert await told(store) == []


async def test_the_wish_to_stop_is_heeded_between_two_pages(store: Store, intake: Intake, stop: asyncio.Event) -> None:
    """The page in hand is on disk by then; the one after it is not begun."""
    await intake.begin_turn()
    await intake.begin([a_lead("10:00:05", "Open")], MARKS, a_schema())
    stop.set()
    with pytest.raises(Stopped):
        await intake.begin([a_lead("10:00:06", "Busy")], MARKS, a_schema())
    await intake.finish()
    assert [one.kind for one in await told(store)] == [Kind.UPDATED]


async def test_who_is_to_stop_does_not_wait_for_another_page(store: Store, intake: Intake, stop: asyncio.Event) -> None:
    """The wish came while the org was asked for this one, whose commit is not left to run beside the next call."""
    await intake.begin_turn()
    stop.set()
    with pytest.raises(Stopped):
        await intake.begin([a_lead("10:00:05", "Open")], MARKS, a_schema())
    assert [one.kind for one in await told(store)] == [Kind.UPDATED]


async def test_a_page_is_not_built_on_one_that_may_be_gone(store: Store, intake: Intake) -> None:
    """The database went back to an earlier state between two pages of a turn."""
    await intake.begin_turn()
    await intake.begin([a_lead("10:00:05", "Open")], MARKS, a_schema())
    await intake.finish()
    intake.doubt()
    await intake.begin([a_lead("10:00:06", "Busy")], MARKS, a_schema())
    with pytest.raises(StoreWentBack):
        await intake.finish()
    assert len(await told(store)) == 1


async def test_others_have_their_turn_while_a_page_is_thought_about(intake: Intake) -> None:
    """A page of 2,000 rows is tens of milliseconds of work."""
    turns, over = 0, False

    async def other() -> None:
        nonlocal turns
        while not over:
            turns += 1
            await asyncio.sleep(0)  # noqa: TID251  # no time passes

    beside = asyncio.create_task(other())
    await intake.begin_turn()
    rows = [a_lead("10:00:05", "Open", f"00Q5g{number:010}AAA") for number in range(2_000)]
    before = turns
    await intake.take(rows, MARKS, a_schema())
    over = True
    await beside
    assert turns - before >= 20
