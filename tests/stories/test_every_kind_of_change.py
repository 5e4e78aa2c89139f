"""One story for each kind of change, and for those that are told twice, once or not at all."""

import pytest
from world import World

from salesforce_poller.model import Kind

pytestmark = pytest.mark.both_databases


async def test_a_new_record_is_created(world: World) -> None:
    """What came into being since the start is created; its state is the record's."""
    await world.watch()
    world.pass_time(30)
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme", Status="Open - Not Contacted")
    await world.poll_after(30)
    [event] = await world.events()
    assert event.kind is Kind.CREATED
    assert event.record_id == lead
    assert event.record is not None
    assert event.record["LastName"] == "Ng"
    assert event.changed is None
    assert await world.judge() == []


async def test_a_changed_record_is_updated_with_what_changed(world: World) -> None:
    """A known record tells what changed and what it was."""
    await world.watch()
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme", Status="Open - Not Contacted")
    await world.poll_after(60)
    world.org.update(lead, Status="Working - Contacted")
    await world.poll_after(60)
    event = (await world.events())[-1]
    assert (event.kind, event.changed, event.previous) == (
        Kind.UPDATED,
        ("Status",),
        {"Status": "Open - Not Contacted"},
    )
    assert await world.judge() == []


async def test_a_record_from_before_the_start_is_updated_without_a_past(world: World) -> None:
    """What was never seen has no known previous state, and says so."""
    lead = world.org.insert("Lead", LastName="Old", Company="Acme")
    world.pass_time(86_400)
    await world.watch()
    world.org.update(lead, Company="New")
    await world.poll_after(60)
    [event] = await world.events()
    assert (event.kind, event.changed, event.previous) == (Kind.UPDATED, None, None)
    assert await world.judge() == []


async def test_with_a_baseline_even_the_first_update_knows_its_past(world: World) -> None:
    """Baseline = true reads everything silently first."""
    leads = world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(300)])
    world.pass_time(86_400)
    await world.watch(baseline=True)
    assert await world.events() == []
    world.org.update(leads[42], Company="New")
    await world.poll_after(60)
    [event] = await world.events()
    assert (event.kind, event.changed, event.previous) == (Kind.UPDATED, ("Company",), {"Company": "Acme"})


async def test_a_deleted_record_is_deleted_with_its_last_state(world: World) -> None:
    """The recycle bin shows in queryAll at the next poll."""
    await world.watch()
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    await world.poll_after(60)
    world.org.delete(lead)
    await world.poll_after(60)
    event = (await world.events())[-1]
    assert event.kind is Kind.DELETED
    assert event.record is not None
    assert event.record["LastName"] == "Ng"
    assert await world.judge() == []


async def test_deleted_undeleted_and_deleted_again(world: World) -> None:
    """Each step that a poll sees is told."""
    await world.watch()
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    await world.poll_after(60)
    for step in (world.org.delete, world.org.undelete, world.org.delete):
        step(lead)
        await world.poll_after(60)
    assert await world.kinds() == ["created", "deleted", "undeleted", "deleted"]
    await world.settle()
    assert await world.kinds() == ["created", "deleted", "undeleted", "deleted"]
    assert await world.judge() == []


async def test_deleted_and_restored_between_two_polls_is_nothing(world: World) -> None:
    """States between two polls cannot be known, and the delete log alone is no proof."""
    await world.watch()
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    await world.poll_after(60)
    world.org.delete(lead)
    world.pass_time(10)
    world.org.undelete(lead)
    await world.settle()
    assert await world.kinds() == ["created"]
    assert await world.judge() == []


async def test_created_and_deleted_between_two_polls_is_both(world: World) -> None:
    """A short life is told whole."""
    await world.watch()
    world.pass_time(5)
    lead = world.org.insert("Lead", LastName="Brief", Company="Acme")
    world.pass_time(5)
    world.org.delete(lead)
    await world.poll_after(50)
    assert await world.kinds() == ["created", "deleted"]
    await world.settle()
    assert await world.kinds() == ["created", "deleted"]
    assert await world.judge() == []


async def test_merged_records_name_the_survivor(world: World) -> None:
    """The loser is merged, the winner is updated."""
    await world.watch()
    winner = world.org.insert("Lead", LastName="Winner", Company="Acme")
    loser = world.org.insert("Lead", LastName="Loser", Company="Acme")
    await world.poll_after(60)
    world.org.merge(winner, loser)
    await world.poll_after(60)
    merged = [event for event in await world.events() if event.kind is Kind.MERGED]
    assert [(event.record_id, event.merged_into) for event in merged] == [(loser, winner)]
    await world.settle()
    assert "deleted" not in await world.kinds()
    assert await world.judge() == []


async def test_a_chain_of_merges_names_each_survivor(world: World) -> None:
    """B into A, then A into C: each loser names the one it lost to."""
    await world.watch("Account")
    a, b, c = (world.org.insert("Account", Name=name) for name in "ABC")
    await world.poll_after(60, "Account")
    world.org.merge(a, b)
    await world.poll_after(60, "Account")
    world.org.merge(c, a)
    await world.poll_after(60, "Account")
    merged = [(e.record_id, e.merged_into) for e in await world.events("Account") if e.kind is Kind.MERGED]
    assert merged == [(b, a), (a, c)]
    assert await world.judge("Account") == []


async def test_a_hard_deleted_record_is_found_by_the_sweep(world: World) -> None:
    """It is gone from queryAll at once; the delete log still knows."""
    await world.watch()
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    await world.poll_after(60)
    world.org.hard_delete(lead)
    await world.settle()
    event = (await world.events())[-1]
    assert event.kind is Kind.DELETED
    assert event.record is not None
    assert event.record["LastName"] == "Ng"
    assert await world.judge() == []


async def test_purged_between_two_polls_is_still_deleted(world: World) -> None:
    """A recycle bin that is emptied at once hides nothing."""
    await world.watch()
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    stranger = world.org.insert("Lead", LastName="Unseen", Company="Acme")
    await world.poll_after(60)
    world.org.delete(lead)
    world.org.purge(lead)
    world.org.hard_delete(stranger)
    world.pass_time(25 * 3600)  # the afterlife in queryAll is over
    await world.settle()
    assert await world.kinds(record_id=lead) == ["created", "deleted"]
    assert await world.kinds(record_id=stranger) == ["created", "deleted"]
    assert await world.judge() == []


async def test_a_mass_restamp_without_changes_is_nothing(world: World) -> None:
    """Salesforce stamps rows in bulk for its own reasons; nobody wants to hear of it."""
    await world.watch()
    world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(2_500)])
    await world.poll_after(60)
    before = len(await world.events())
    assert world.org.restamp("Lead") >= 2_500
    await world.settle()
    assert len(await world.events()) == before
    assert await world.judge() == []


async def test_a_mass_restamp_is_told_where_a_feed_asks_for_it(world: World) -> None:
    """Unchanged = true tells of new stamps, with nothing changed."""
    await world.watch(unchanged=True)
    world.org.insert("Lead", LastName="Ng", Company="Acme")
    await world.poll_after(60)
    world.org.restamp("Lead")
    await world.poll_after(60)
    event = (await world.events())[-1]
    assert (event.kind, event.changed, event.previous) == (Kind.UPDATED, (), {})


async def test_a_formula_that_drifts_is_nothing_until_the_record_is_stamped(world: World) -> None:
    """Formulas change without a stamp; that is no change of the record."""
    await world.watch("Invoice__c", overlap="10d")
    today = world.org.clock.now().date()
    invoice = world.org.insert("Invoice__c", Amount__c=100.0, Tax_Rate__c=20.0, Due_Date__c=today)
    await world.poll_after(60, "Invoice__c")
    for _ in range(3):
        await world.poll_after(86_400, "Invoice__c")
    assert await world.kinds("Invoice__c") == ["created"]
    world.org.update(invoice, Amount__c=200.0)
    await world.poll_after(60, "Invoice__c")
    event = (await world.events("Invoice__c"))[-1]
    assert event.changed is not None
    assert set(event.changed) == {"Amount__c", "Total__c", "Days_Overdue__c"}
    assert event.previous is not None
    assert event.previous["Days_Overdue__c"] == 0


@pytest.mark.parametrize("start", ["beginning", "2026-11-20T00:00:00Z"])
async def test_a_feed_that_starts_in_the_past_tells_what_is_there(world: World, start: str) -> None:
    """Snapshot for what was there, created for what came after."""
    world.org.clock.advance(-86_400)
    old = world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(250)])
    gone = world.org.insert("Lead", LastName="Gone", Company="Acme")
    world.org.delete(gone)
    world.org.clock.advance(86_400)
    await world.watch(start=start)
    fresh = world.org.insert("Lead", LastName="Fresh", Company="Acme")
    await world.poll_after(60)
    kinds = {event.record_id: event.kind.value for event in await world.events()}
    assert {kinds[one] for one in old} == {"snapshot"}
    assert kinds[fresh] == "created"
    assert kinds.get(gone) == (None if start == "beginning" else "deleted")
    world.org.update(old[0], Company="Changed")
    world.org.undelete(gone)
    await world.poll_after(60)
    later = (await world.events())[-2:]
    assert {event.record_id: event.kind.value for event in later} == {old[0]: "updated", gone: "undeleted"}
