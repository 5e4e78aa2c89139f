"""An object with 500 fields of the longest names: its queries do not fit into an address, and nobody notices."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from world import World, a_world

from salesforce_poller.simulator.objects.wide import MOST_FIELDS, column

pytestmark = pytest.mark.both_databases

FIRST, LAST = column(1), column(MOST_FIELDS)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world whose org has the object."""
    async with a_world(tmp_path, wide=True) as made:
        yield made


async def test_a_feed_of_all_500_fields_finds_every_kind_of_change(world: World) -> None:
    """Alone and with others in a Composite, in polls and sweeps, hard deletes confirmed by id among them."""
    fleet = await world.gather({"Wide__c": {"fields": None}, "Lead": {}, "Contact": {}})
    await world.sail(fleet, 360)
    changed, binned, doomed = (world.org.insert("Wide__c", Name=f"{n}", **{LAST: "one"}) for n in range(3))
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    late = world.org.begin()
    latecomer = late.insert("Wide__c", Name="Late", **{column(250): "late"})
    before = world.client.calls_by_kind.copy()
    await world.sail(fleet, 120)
    assert world.client.calls_by_kind - before == {"composite": 2}, "they ride with the others"
    world.org.update(changed, **{FIRST: "two", LAST: "three"})
    world.org.delete(binned)
    world.org.hard_delete(doomed)
    late.commit()
    await world.sail(fleet, 360)
    world.org.undelete(binned)
    await world.sail(fleet, 360)
    assert await world.kinds("Wide__c", changed) == ["created", "updated"]
    assert await world.kinds("Wide__c", binned) == ["created", "deleted", "undeleted"]
    assert await world.kinds("Wide__c", doomed) == ["created", "deleted"]
    assert await world.kinds("Wide__c", latecomer) == ["created"]
    assert await world.kinds("Lead", lead) == ["created"]
    assert await world.judge("Wide__c", [column(number) for number in range(1, MOST_FIELDS + 1)]) == []
    [update] = [event for event in await world.events("Wide__c") if event.changed]
    assert (update.changed, update.previous) == ((FIRST, LAST), {FIRST: None, LAST: "one"})


async def test_alone_it_is_asked_in_a_body(world: World) -> None:
    """An address may have 16,384 bytes (API Request Limits and Allocations); its query has more, and costs a call."""
    await world.watch("Wide__c", fields=None)
    wide = world.org.insert("Wide__c", Name="One", **{LAST: "one"})
    before = world.client.calls_by_kind.copy()
    await world.poll_after(60, "Wide__c")
    assert world.client.calls_by_kind - before == {"composite": 1}
    assert await world.kinds("Wide__c", wide) == ["created"]
