"""Ids are compared now and then: what neither polls nor the delete log told is told, and a disaster is not believed."""

from datetime import timedelta
from typing import Any

import pytest
import structlog
from world import World

from salesforce_poller.admin import facts
from salesforce_poller.admin.upkeep import Upkeep
from salesforce_poller.model import Kind, PollReport, Watermarks

pytestmark = pytest.mark.both_databases

DAY = 86_400


async def marks_of(world: World, object_name: str = "Lead") -> Watermarks:
    """Return how far the feed is."""
    marks = await world.store.feeds.watermarks("acme", object_name)
    assert marks is not None
    return marks


async def a_day_later(world: World, object_name: str = "Lead", turns: int = 15) -> list[Any]:
    """Let a day pass, and give the feed some ticks; returns what the log said."""
    world.pass_time(DAY)
    with structlog.testing.capture_logs() as lines:
        for _ in range(turns):
            world.pass_time(60)
            await world.feed(object_name).tick()
    return lines


def said(lines: list[Any], event: str) -> list[Any]:
    """Return the lines of one event."""
    return [line for line in lines if line["event"] == event]


def old_leads(world: World, count: int = 30) -> list[str]:
    """Have leads that were there long before the feed."""
    leads = world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(count)])
    world.pass_time(3_600)
    return leads


def forget_the_log(world: World) -> None:
    """Have the org forget which records were deleted, so that only their absence tells."""
    world.org.storage.deletions.clear()


async def test_it_is_off_by_default(world: World) -> None:
    """It costs calls; whoever wants it says so."""
    old_leads(world)
    await world.watch(start="beginning")
    lines = await a_day_later(world)
    assert said(lines, "feed.reconcile_started") == []
    assert world.client.calls_by_kind["record_count"] == 1, "the backfill's"


@pytest.mark.parametrize("bulk_above", [0, "never"])
@pytest.mark.parametrize("past", [{"start": "beginning"}, {"baseline": True}, {"start": "now"}], ids=str)
async def test_what_vanished_without_a_trace_is_told(world: World, past: dict[str, Any], bulk_above: object) -> None:
    """Hard deletes that no log names: once each, with the last known values; every other record is left alone."""
    leads = old_leads(world)
    await world.watch(**past, reconcile="1d", bulk_above=bulk_above)
    await world.poll_after(60)
    for lead in leads[:20]:
        world.org.update(lead, Company="Seen")
    await world.settle()
    for lead in leads[:3]:
        world.org.hard_delete(lead)
    forget_the_log(world)
    await a_day_later(world)
    assert [await world.kinds(record_id=lead) for lead in leads[:3]] == [
        [*(["snapshot"] if past == {"start": "beginning"} else []), "updated", "deleted"]
    ] * 3
    event = (await world.events())[-1]
    assert event.record is not None
    assert event.record["Company"] == "Seen"
    assert (await world.kinds()).count("deleted") == 3
    await a_day_later(world)
    assert (await world.kinds()).count("deleted") == 3


async def test_an_object_that_is_not_replicateable_has_its_hard_deletes_told(world: World) -> None:
    """There is no delete log for it at all, and not even a bin."""
    await world.watch("LeadStatus", fields=["MasterLabel"], start="beginning", reconcile="1d")
    [first, *_] = [str(row["Id"]) for row in world.org.scan("LeadStatus", deleted=False)]
    await world.poll_after(60, "LeadStatus")
    del world.org.storage.rows["LeadStatus"][first]
    await a_day_later(world, "LeadStatus")
    assert await world.kinds("LeadStatus", first) == ["snapshot", "deleted"]


async def test_what_went_to_the_bin_and_what_was_merged_unseen_is_told_as_such(world: World) -> None:
    """Their stamps lie where no poll looks any more; the rows themselves tell what happened."""
    leads = old_leads(world)
    await world.watch(start="beginning", reconcile="1d")
    await world.settle()
    rows = world.org.storage.rows["Lead"]
    before = {lead: dict(rows[lead]) for lead in leads[:3]}
    world.org.delete(leads[0])
    world.org.merge(leads[1], leads[2])
    for lead in (leads[0], leads[2]):
        rows[lead] = {**rows[lead], "SystemModstamp": before[lead]["SystemModstamp"]}
    forget_the_log(world)
    await a_day_later(world)
    assert await world.kinds(record_id=leads[0]) == ["snapshot", "deleted"]
    assert await world.kinds(record_id=leads[2]) == ["snapshot", "merged"]


async def test_records_that_the_user_may_newly_see_are_told(world: World) -> None:
    """Their stamps are old, and no poll finds them; the first comparison learns, the later ones tell."""
    leads = old_leads(world)
    for lead in leads[:2]:
        world.org.hide_record(lead)
    await world.watch(start="beginning", reconcile="1d")
    world.org.show_record(leads[0])
    lines = await a_day_later(world)
    assert [line["unknown"] for line in said(lines, "feed.reconciled")] == [1]
    assert await world.kinds(record_id=leads[0]) == []
    assert leads[0] in await world.store.feeds.sightings("acme", "Lead", leads[:1])
    world.org.show_record(leads[1])
    await a_day_later(world)
    assert await world.kinds(record_id=leads[1]) == ["snapshot"]
    world.org.update(leads[0], Company="New")
    await world.settle()
    event = (await world.events())[-1]
    assert (event.kind.value, event.changed) == ("updated", ("Company",))


async def test_a_disaster_is_not_believed_until_it_is_said_to_be_true(world: World) -> None:
    """More than a share of the records gone: nothing is told, status says why, polls go on; a higher limit believes."""
    leads = old_leads(world, 120)
    await world.watch(start="beginning", reconcile="1d")
    for lead in leads[:40]:
        world.org.hide_record(lead)
    lines = await a_day_later(world)
    assert len(said(lines, "feed.reconcile_disbelieved")) == 1
    assert "deleted" not in await world.kinds()
    [trouble] = await world.store.feeds.open_troubles()
    assert trouble.name == "TOO_MANY_MISSING"
    assert "40 of 120" in trouble.error
    assert "reconcile_limit" in str(facts.told(trouble)["what_to_do"])
    fresh = world.org.insert("Lead", LastName="Fresh", Company="Acme")
    calls = world.client.calls
    for _ in range(10):
        world.pass_time(60)
        await world.feed().tick()
    assert await world.kinds(record_id=fresh) == ["created"]
    assert world.client.calls - calls < 20, "it is not tried again and again"
    world._settings["Lead"] = world._settings["Lead"].model_copy(update={"reconcile_limit": 1.0})
    await world.restart()
    for _ in range(3):
        world.pass_time(60)
        await world.feed().tick()
    assert (await world.kinds()).count("deleted") == 40
    assert await world.store.feeds.open_troubles() == []


async def test_records_that_were_taken_for_deleted_and_are_seen_again_are_told(world: World) -> None:
    """Whoever believed a disaster that was none gets its records back."""
    leads = old_leads(world)
    await world.watch(start="beginning", reconcile="1d", reconcile_limit="100%")
    for lead in leads:
        world.org.hide_record(lead)
    await a_day_later(world)
    for lead in leads:
        world.org.show_record(lead)
    await a_day_later(world)
    assert await world.kinds(record_id=leads[0]) == ["snapshot", "deleted", "undeleted"]
    assert (await world.kinds()).count("undeleted") == 30


async def test_a_few_missing_records_are_always_believed(world: World) -> None:
    """Three of five is a large share, and no disaster."""
    leads = old_leads(world, 5)
    await world.watch(start="beginning", reconcile="1d")
    for lead in leads[:3]:
        world.org.hide_record(lead)
    await a_day_later(world)
    assert (await world.kinds()).count("deleted") == 3


async def test_an_object_that_cannot_be_seen_any_more_is_no_deletion(world: World) -> None:
    """The whole object is gone for this user: that is what the feed says."""
    old_leads(world)
    await world.watch(start="beginning", reconcile="1d", reconcile_limit="100%")
    world.org.disable_object("Lead")
    await a_day_later(world)
    assert set(await world.kinds()) == {"snapshot"}
    assert not isinstance(world.reports[-1], PollReport)


async def test_what_leaves_the_condition_is_not_missing(world: World) -> None:
    """A record that does not match any more is looked up without the condition, and found."""
    leads = old_leads(world)
    await world.watch(start="beginning", reconcile="1d", where="Company = 'Acme'")
    for lead in leads[:20]:
        world.org.update(lead, Company="Other")
    world.org.hard_delete(leads[25])
    forget_the_log(world)
    await a_day_later(world)
    assert (await world.kinds()).count("deleted") == 1
    assert await world.store.feeds.open_troubles() == []


async def test_people_who_work_while_ids_are_compared_disturb_nothing(world: World) -> None:
    """Created, changed, deleted and restored between its steps: the polls tell, once, and the truth."""
    leads = old_leads(world, 60)
    world.org.bulk.settings.queue_seconds = 100
    await world.watch(start="beginning", reconcile="1d", bulk_above=0)
    for _ in range(4):
        await world.poll_after(60)
    world.pass_time(DAY)
    world.org.bulk.settings.queue_seconds = 200
    for step in range(12):
        world.pass_time(45)
        await world.feed().tick()
        world.org.insert("Lead", LastName=f"Fresh {step}", Company="Acme")
        world.org.update(leads[step], Company=f"Step {step}")
        world.org.delete(leads[20 + step])
        if step % 2:
            world.org.undelete(leads[20 + step])
        world.org.hard_delete(leads[40 + step])
    await world.settle()
    assert (await marks_of(world)).reconciled_at is not None
    assert await world.judge() == []


async def test_a_record_that_is_made_just_before_it_is_listed_is_told_by_the_polls(world: World) -> None:
    """The first comparison only learns strangers; one that polls are about to read is none."""
    old_leads(world)
    await world.watch(start="beginning", reconcile="1d")
    feed = world.feed()
    original = feed._reconcile._step
    fresh: list[str] = []

    async def step(*args: Any) -> Watermarks:
        if not fresh:
            fresh.append(world.org.insert("Lead", LastName="Fresh", Company="Acme"))
        return await original(*args)

    feed._reconcile._step = step  # type: ignore[method-assign, assignment]  # something happens between poll and list
    await a_day_later(world)
    assert await world.kinds(record_id=fresh[0]) == ["created"]


async def test_the_rhythm_survives_a_restart_and_a_comparison_that_was_cut_off_begins_anew(world: World) -> None:
    """When ids were last compared is on disk, and only what was finished counts."""
    leads = old_leads(world)
    await world.watch(start="beginning", reconcile="1d")
    await a_day_later(world)
    done = (await marks_of(world)).reconciled_at
    assert done is not None
    await world.restart()
    calls = world.client.calls
    for _ in range(5):
        await world.poll_after(60)
    assert (await marks_of(world)).reconciled_at == done
    world.org.hide_record(leads[0])
    world.pass_time(DAY)
    world.org.weather.arm("SERVER_UNAVAILABLE", path=r"Id IN \(", times=1)
    await world.feed().tick()
    await world.restart()
    assert (await marks_of(world)).reconciled_at == done
    await a_day_later(world)
    assert (await world.kinds()).count("deleted") == 1
    assert world.client.calls > calls


async def test_a_bad_moment_costs_a_step_and_neither_polls_nor_the_comparison(world: World) -> None:
    """It goes on where it was, a minute later."""
    leads = old_leads(world)
    await world.watch(start="beginning", reconcile="1d")
    world.org.hard_delete(leads[0])
    forget_the_log(world)
    world.org.weather.arm("SERVER_UNAVAILABLE", path="IsDeleted = false", times=2)
    lines = await a_day_later(world)
    assert len(said(lines, "feed.reconcile_interrupted")) == 2
    assert len(said(lines, "feed.reconcile_started")) == 1
    assert (await world.kinds()).count("deleted") == 1


async def test_it_says_what_it_costs_and_waits_for_room_in_the_budget(world: World) -> None:
    """About so many calls, before it starts; and later, when polls need them."""
    world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(4_500)])
    world.pass_time(3_600)
    await world.watch(start="beginning", reconcile="1d")
    roomy = [False]
    world.feed()._reconcile._roomy = lambda: roomy[0]
    lines = await a_day_later(world)
    assert len(said(lines, "feed.reconcile_put_off")) == 1
    assert said(lines, "feed.reconcile_started") == []
    roomy[0] = True
    world.pass_time(900)
    calls = world.client.calls
    with structlog.testing.capture_logs() as lines:
        await world.poll()
    [started] = said(list(lines), "feed.reconcile_started")
    assert (started["known"], started["records"], started["calls"]) == (4_500, 4_500, 4)
    assert world.client.calls - calls <= 4 + 2, "the poll's own beside it"


async def test_nothing_is_forgotten_that_is_to_be_compared(world: World) -> None:
    """A record that was forgotten could neither be missed nor be known again."""
    leads = old_leads(world)
    await world.watch(start="beginning", reconcile="1d", remember="1h")
    feeds = {("acme", "Lead"): world._settings["Lead"]}
    await world.poll_after(2 * DAY)
    await world.poll_after(DAY)
    await Upkeep(world.store, feeds=feeds, sinks=[], keep_events=timedelta(days=9), clock=world.machine).tidy()
    assert len(await world.store.feeds.sightings("acme", "Lead", leads)) == 30


@pytest.mark.parametrize("bulk_above", [0, "never"])
async def test_a_large_object_is_listed_page_by_page_beside_the_polls(world: World, bulk_above: object) -> None:
    """Turns end when the next one is due, and the next ones go on; what is compared is the same by jobs and queries."""
    leads = world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(4_100)])
    world.pass_time(3_600)
    world.org.bulk.settings.set_rows = 1_500
    await world.watch(start="beginning", reconcile="1d", bulk_above=bulk_above)
    await world.settle()
    for lead in (leads[0], leads[2_000], leads[4_099]):
        world.org.hard_delete(lead)
    forget_the_log(world)
    world.pass_time(DAY)
    feed = world.feed()
    original = feed._reconcile._step
    steps = 0

    async def slowly(*args: Any) -> Watermarks:
        nonlocal steps
        steps += 1
        world.pass_time(61)
        return await original(*args)

    feed._reconcile._step = slowly  # type: ignore[method-assign, assignment]  # each step takes longer than a turn may
    for turn in range(1, 8):
        await feed.turn()
        assert steps <= turn
    for _ in range(10):
        await world.poll_after(61)
    assert (await world.kinds()).count("deleted") == 3
    assert set(await deleted(world)) == {leads[0], leads[2_000], leads[4_099]}


async def deleted(world: World) -> list[str]:
    """Return the records that were told to be deleted."""
    return [str(event.record_id) for event in await world.events() if event.kind is Kind.DELETED]


async def test_a_job_that_bulk_refuses_is_replaced_by_queries(world: World) -> None:
    """The comparison goes on without it."""
    leads = old_leads(world)
    world.org.bulk.settings.unsupported.add("Lead")
    await world.watch(start="beginning", reconcile="1d", bulk_above=0)
    world.org.hard_delete(leads[0])
    forget_the_log(world)
    await a_day_later(world)
    assert await deleted(world) == [leads[0]]


async def test_a_job_that_is_lost_is_told_and_polls_go_on(world: World) -> None:
    """Another comparison follows in an hour."""
    leads = old_leads(world)
    await world.watch(start="beginning", reconcile="1d", bulk_above=0)
    await world.poll_after(60)
    world.org.bulk.settings.failure = "UNKNOWN: no luck"
    world.org.hard_delete(leads[0])
    forget_the_log(world)
    lines = await a_day_later(world)
    assert len(said(lines, "feed.reconcile_failed")) == 1
    [trouble] = await world.store.feeds.open_troubles()
    assert "no luck" in trouble.error
    world.org.bulk.settings.failure = None
    world.pass_time(3_600)
    for _ in range(15):
        world.pass_time(60)
        await world.feed().tick()
    assert await deleted(world) == [leads[0]]
    assert await world.store.feeds.open_troubles() == []
