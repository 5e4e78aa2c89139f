"""store/described.py, as polling/columns.py fills it: what describe says of a feed, for those who only see events."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import stores
from world import World, a_world

from salesforce_poller.errors import StoreError
from salesforce_poller.store.store import Store

pytestmark = pytest.mark.both_databases

#: Feeds describe once in an hour of their org's own.
TWO_HOURS = 7_200


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """An org, a poller and a store."""
    async with a_world(tmp_path) as made:
        yield made


async def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    """By org and object, in the order in which it was told; of what was never told nothing is known."""
    where = stores.url(tmp_path / "store.db")
    told = {"Id": {"id"}, "Zip": {"string"}, "Owner.Name": {"string", "picklist"}, "Amount": {"currency"}}
    async with Store(where) as store:
        await store.described.keep("acme", "Lead", {"Id": {"id"}})
        await store.described.keep("acme", "Lead", told)
        await store.described.keep("uat", "Lead", {"Id": {"id"}, "Amount": {"string"}})
    async with Store(where, writable=False) as store:
        found = await store.described.of("acme", "Lead")
        assert found == {"Id": ["id"], "Zip": ["string"], "Owner.Name": ["picklist", "string"], "Amount": ["currency"]}
        assert list(found) == list(told)
        assert await store.described.of("uat", "Lead") == {"Id": ["id"], "Amount": ["string"]}
        assert await store.described.of("acme", "Account") is None


async def test_polling_keeps_the_types_of_the_fields_that_it_selects(world: World) -> None:
    """Those of parents too, in Salesforce's spelling; none of our own bookkeeping, and no call more."""
    await world.watch("Lead", fields=["lastname", "NumberOfEmployees", "Owner.Name"])
    found = await world.store.described.of("acme", "Lead")
    assert found == {"Id": ["id"], "LastName": ["string"], "NumberOfEmployees": ["int"], "Owner.Name": ["string"]}
    calls = world.client.calls
    await world.poll_after(60)
    assert world.client.calls - calls == 1, "the poll alone"


async def test_a_field_that_appears_or_goes_is_noted_with_the_next_describe(world: World) -> None:
    """Which comes every hour, and when a query is refused."""
    world.org.hide_field("Lead", "Email")
    await world.watch("Lead", fields=["LastName", "Email"])
    assert await world.store.described.of("acme", "Lead") == {"Id": ["id"], "LastName": ["string"]}
    world.org.show_field("Lead", "Email")
    await world.poll_after(TWO_HOURS)
    assert "Email" in (await world.store.described.of("acme", "Lead") or {})
    world.org.hide_field("Lead", "Email")
    await world.poll_after(60)
    assert await world.store.described.of("acme", "Lead") == {"Id": ["id"], "LastName": ["string"]}


async def test_it_is_kept_before_any_event_and_tried_again_without_another_call(world: World) -> None:
    """A store that fails then fails the turn: a column must never come after its values."""
    with (
        stores.broken(stores.url(world.path), "described", "INSERT", "a broken page"),
        pytest.raises(StoreError, match="a broken page"),
    ):
        await world.watch()
    assert await world.store.feeds.watermarks("acme", "Lead") is None
    calls = world.client.calls_by_kind["describe"]
    assert calls == 1
    await world.poll()
    assert await world.store.described.of("acme", "Lead") is not None
    assert world.client.calls_by_kind["describe"] == calls
