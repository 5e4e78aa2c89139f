"""store/ with values that only one of the databases minds: both must take them, or both find nothing."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import stores
from builders import NOON, an_event
from polling_builders import LEAD, a_sighting, some_marks

from salesforce_poller.store.pauses import Pause
from salesforce_poller.store.selection import Selection
from salesforce_poller.store.store import Store

pytestmark = pytest.mark.both_databases

ODD = {"a NUL": "a\0b", "half a character": "a\udcffb", "other letters": "Ünïcødé 🦄", "a quote": "a'b\"c\\d%_"}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store with one event."""
    async with Store(stores.url(tmp_path / "store.db")) as opened:
        await opened.outbox.ensure_sinks(["crm"])
        page = [an_event()]
        await opened.feeds.commit_page("acme", "Lead", events=page, sightings=[], marks=some_marks(), at=NOON)
        yield opened


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
class TestWhatAPersonTypes:
    """In a command or a query; a terminal hands on bytes that are no text as half characters."""

    @pytest.mark.parametrize("where", ["event", "record", "object", "org"])
    async def test_nothing_is_selected_by_what_is_nowhere(self, store: Store, where: str, odd: str) -> None:
        """It is no failure of the store."""
        said: dict[str, Any] = {where: odd}
        selection = Selection(**said)
        assert await store.repairs.newest(selection, 10) == []
        assert await store.repairs.count(selection) == 0
        assert await store.repairs.dead(selection, ["crm"], 10) == []

    async def test_a_reason_is_kept_as_far_as_it_is_text(self, store: Store, odd: str) -> None:
        """For a sink and for a feed."""
        await store.outbox.pause("crm", odd)
        await store.pauses.begin(Pause("acme", "Lead", odd, NOON))
        kept = (await store.outbox.sink("crm")).paused
        assert kept == odd.replace("\0", "\N{REPLACEMENT CHARACTER}").replace("\udcff", "?")
        assert [pause.why for pause in await store.pauses.all()] == [kept]


@pytest.mark.parametrize("odd", [odd for name, odd in ODD.items() if name != "half a character"])
async def test_what_a_record_holds_is_kept_to_the_letter(store: Store, odd: str) -> None:
    """Salesforce's text may have a NUL; half a character is no JSON, and is told when an answer is read."""
    event = an_event(id="odd", record={"Id": LEAD, "Name": odd}, previous={"Name": f"{odd} before"})
    seen = a_sighting(fields={"Name": odd})
    page: dict[str, Any] = {"events": [event], "sightings": [seen], "marks": some_marks(), "at": NOON}
    assert await store.feeds.commit_page("acme", "Lead", **page) == 1
    assert (await store.outbox.events())[0][1] == event
    assert await store.feeds.sightings("acme", "Lead", [LEAD]) == {LEAD: seen}


@pytest.mark.parametrize(
    "instant",
    [datetime.min.replace(tzinfo=UTC), datetime.max.replace(microsecond=0, tzinfo=UTC)],
    ids=["first", "last"],
)
async def test_an_instant_may_be_any_that_there_is(store: Store, instant: datetime) -> None:
    """A field of type date may be in the year 1, a person's ``--until`` in the year 9999."""
    instant = instant.replace(tzinfo=UTC)
    event = an_event(id="far", time=instant)
    page: dict[str, Any] = {"events": [event], "sightings": [], "marks": some_marks(), "at": NOON}
    assert await store.feeds.commit_page("acme", "Lead", **page) == 1
    assert len(await store.repairs.newest(Selection(since=instant), 10)) == (2 if instant < NOON else 0)


async def test_a_position_may_be_as_large_as_the_store_knows(store: Store) -> None:
    """That is where a person's numbers are cut off."""
    last = 2**63 - 1
    assert await store.repairs.following(Selection(), after=last) == []
    assert await store.repairs.count(Selection(), after=last) == 0
    assert len(await store.repairs.following(Selection(), after=0, through=last)) == 1
    assert await store.outbox.read("crm", 10, after=last) == []


async def test_names_and_ids_sort_byte_by_byte(tmp_path: Path) -> None:
    """Capitals come before small letters, whatever language the server speaks: pages of ids follow each other so."""
    ids = ["00QAAAAAAAAAAAAAAA", "00QZZZZZZZZZZZZZZZ", "00Qaaaaaaaaaaaaaaa", "00Qzzzzzzzzzzzzzzz"]
    async with Store(stores.url(tmp_path / "another.db")) as store:
        seen = [a_sighting(record_id=one) for one in reversed(ids)]
        page: dict[str, Any] = {"events": [], "sightings": seen, "marks": some_marks(), "at": NOON}
        for org in ("b", "B", "a-b", "A"):
            await store.feeds.commit_page(org, "Lead", **page)
        await store.outbox.ensure_sinks(["b", "B", "a_b", "a-b"])
        found: list[str] = []
        now = datetime(2026, 12, 1, tzinfo=UTC)
        while more := await store.feeds.live_ids(
            "A", "Lead", stamped_before=now, after=found[-1] if found else "", limit=1
        ):
            found += more
        assert found == ids
        assert [feed.org for feed in await store.feeds.health()] == ["A", "B", "a-b", "b"]
        assert await store.repairs.sinks() == ["B", "a-b", "a_b", "b"]
