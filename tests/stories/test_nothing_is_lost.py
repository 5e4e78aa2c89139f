"""The traps in which other pollers lose records, one story each."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from world import World, a_world

from salesforce_poller.errors import PollerError, TryLater
from salesforce_poller.model import Kind

pytestmark = pytest.mark.both_databases


async def test_a_late_commit_is_found_by_the_sweep(world: World) -> None:
    """Stamped before the cursor, committed long after it had passed."""
    await world.watch()
    world.pass_time(30)
    slow = world.org.begin()
    late = slow.insert("Lead", LastName="Late", Company="Acme")
    for _ in range(6):
        world.pass_time(200)
        world.org.insert("Lead", LastName="OnTime", Company="Acme")
        await world.poll()
    assert late not in {event.record_id for event in await world.events()}
    slow.commit()
    await world.settle()
    assert await world.kinds(record_id=late) == ["created"]
    assert await world.judge() == []


async def test_a_late_commit_of_a_record_that_was_seen_meanwhile(world: World) -> None:
    """The trap of getUpdated's ids: seen at :01, stamped again at :05 by what commits twenty minutes later."""
    await world.watch()
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme", Status="Open - Not Contacted")
    await world.poll_after(1)
    world.pass_time(4)
    slow = world.org.begin()
    slow.update(lead, Status="Working - Contacted")
    for _ in range(6):
        world.pass_time(200)
        world.org.insert("Lead", LastName="OnTime", Company="Acme")
        await world.poll()
    assert await world.kinds(record_id=lead) == ["created"]
    slow.commit()
    await world.settle()
    assert await world.kinds(record_id=lead) == ["created", "updated"]
    assert await world.judge() == []


async def test_a_late_commit_within_the_second_that_was_read(world: World) -> None:
    """The same record, the same stamp, another content: only a full second look can tell."""
    await world.watch()
    world.pass_time(59)
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme", Status="Open - Not Contacted")
    await world.poll()
    slow = world.org.begin()
    slow.update(lead, Status="Working - Contacted")
    for _ in range(4):
        world.pass_time(301)
        world.org.insert("Lead", LastName="OnTime", Company="Acme")
        await world.poll()
    slow.commit()
    await world.settle()
    assert await world.kinds(record_id=lead) == ["created", "updated"]
    assert await world.judge() == []


async def test_two_changes_in_one_second_with_a_poll_between_them(world: World) -> None:
    """A stamp is too coarse to tell two quick edits apart."""
    await world.watch()
    lead = world.org.insert("Lead", LastName="Ng", Company="One")
    await world.poll()
    world.org.update(lead, Company="Two")
    await world.poll()
    world.org.update(lead, Company="One")
    await world.poll()
    world.org.update(lead, Company="Two")
    await world.settle()
    assert await world.judge() == []


async def test_a_transaction_that_was_open_when_the_feed_started(world: World) -> None:
    """Start = now is a matter of what could be seen, not of stamps."""
    slow = world.org.begin()
    late = slow.insert("Lead", LastName="Late", Company="Acme")
    visible = world.org.insert("Lead", LastName="Visible", Company="Acme")
    world.pass_time(120)
    await world.watch()
    slow.commit()
    await world.settle()
    assert [event.record_id for event in await world.events()] == [late]
    world.org.update(visible, Company="New")
    await world.poll_after(60)
    assert (await world.events())[-1].changed == ("Company",)
    assert await world.judge() == []


async def test_five_thousand_rows_in_one_second(world: World) -> None:
    """Ties across page borders; every one of them, once."""
    await world.watch()
    world.pass_time(30)
    leads = world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(5_000)])
    await world.poll_after(30)
    assert sorted(str(event.record_id) for event in await world.events()) == sorted(leads)
    await world.poll_after(60)
    calls = world.client.calls
    await world.poll_after(60)
    assert world.client.calls - calls <= 3
    assert await world.judge() == []


async def test_a_lost_locator_in_mid_paging(world: World) -> None:
    """The query is asked again from what is proven to be read; nothing is skipped, nothing told twice."""
    await world.watch()
    world.pass_time(30)
    leads = world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(5_000)])
    world.org.weather.arm("INVALID_QUERY_LOCATOR", path="/query/0r8", times=2, after=1)
    await world.poll_after(400)
    assert sorted(str(event.record_id) for event in await world.events()) == sorted(leads)
    assert await world.judge() == []


async def test_rows_that_change_in_mid_paging_hide_no_others(world: World) -> None:
    """A page shows present values: a stamp that ran ahead must not become the place to go on from."""
    await world.watch()
    world.pass_time(30)
    for second in range(5):
        world.org.insert_many("Lead", [{"LastName": f"{second}-{n}", "Company": "Acme"} for n in range(1_000)])
        world.pass_time(1)
    everyone = [str(row["Id"]) for row in world.org.scan("Lead", deleted=False)]
    pages = 0

    async def paging() -> None:
        nonlocal pages
        feed = world.feed()
        original = feed._intake._decide

        async def decide(*args: Any, **kwargs: Any) -> Any:
            nonlocal pages
            pages += 1
            if pages == 1:
                world.pass_time(5)
                for one in everyone[2_500:4_500]:
                    world.org.update(one, Company="Changed in mid-paging")
                world.org.weather.arm("INVALID_QUERY_LOCATOR", path="/query/0r8", times=1, after=1)
            return await original(*args, **kwargs)

        feed._intake._decide = decide  # type: ignore[method-assign]  # something happens in the org between two pages
        await feed.turn()

    world.pass_time(400)
    await paging()
    assert pages > 3
    await world.settle()
    assert await world.judge() == []


async def test_a_session_that_expires_in_mid_paging(world: World) -> None:
    """Log in again, once, and go on with the same page."""
    await world.watch()
    leads = world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(4_500)])
    world.org.weather.arm("INVALID_SESSION_ID", path="/query/0r8", times=1)
    await world.poll_after(60)
    assert sorted(str(event.record_id) for event in await world.events()) == sorted(leads)
    assert await world.judge() == []


@pytest.mark.parametrize("minutes", [-7, 7])
async def test_a_clock_that_is_seven_minutes_off(tmp_path: Path, minutes: int) -> None:
    """Windows are made of Salesforce's time; ours does not matter."""
    async with a_world(tmp_path, skew=timedelta(minutes=minutes)) as world:
        await world.watch()
        lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
        await world.poll_after(60)
        world.org.update(lead, Company="New")
        await world.poll_after(60)
        gone = world.org.insert("Lead", LastName="Gone", Company="Acme")
        await world.poll_after(60)
        world.org.hard_delete(gone)
        await world.settle()
        assert await world.kinds(record_id=lead) == ["created", "updated"]
        assert await world.kinds(record_id=gone) == ["created", "deleted"]
        assert await world.judge() == []


async def test_a_server_that_fails_in_mid_paging_costs_nothing_but_time(world: World) -> None:
    """A 503 on the second page ends the turn; the next one reads what is left."""
    await world.watch()
    leads = world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(4_500)])
    world.org.weather.arm("SERVER_UNAVAILABLE", path="/query/0r8", times=1)
    world.pass_time(60)
    with pytest.raises(TryLater):
        await world.poll()
    await world.poll_after(60)
    assert sorted(str(event.record_id) for event in await world.events()) == sorted(leads)
    assert await world.judge() == []


async def test_polls_go_on_while_only_the_replication_calls_fail(world: World) -> None:
    """Late commits wait for the sweep; everything else does not."""
    await world.watch()
    world.org.weather.arm("UNKNOWN_EXCEPTION", path="/updated", times=None)
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    world.pass_time(301)
    await world.feed().tick()
    assert await world.kinds(record_id=lead) == ["created"]
    [health] = await world.store.feeds.health()
    assert "hard deletes" in health.last_error
    world.org.weather.clear()
    world.pass_time(301)
    await world.feed().tick()
    [health] = await world.store.feeds.health()
    assert health.last_error == ""
    assert await world.judge() == []


async def test_a_field_that_disappears_is_dropped_and_the_feed_goes_on(world: World) -> None:
    """INVALID_FIELD fails the whole query; describe tells which field is gone."""
    await world.watch()
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme", Email="ng@example.com")
    await world.poll_after(60)
    world.org.hide_field("Lead", "Email")
    world.org.update(lead, Company="New")
    await world.poll_after(60)
    event = (await world.events())[-1]
    assert event.changed == ("Company",)
    assert event.record is not None
    assert "Email" not in event.record


async def test_deletions_older_than_the_log_are_a_gap_never_silence(world: World) -> None:
    """Sixteen days without us: the delete log reaches back fifteen."""
    await world.watch()
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    await world.poll_after(60)
    world.org.hard_delete(lead)
    world.pass_time(16 * 86_400)
    world.org.insert("Lead", LastName="Later", Company="Acme")
    await world.poll()
    [gap] = await world.gaps()
    assert gap.gap is not None
    assert gap.gap.what == "deletions"
    assert "created" in await world.kinds()
    await world.settle()
    assert len(await world.gaps()) == 1


async def test_a_purged_delete_log_is_a_gap(world: World) -> None:
    """INVALID_REPLICATION_DATE is told, and the feed goes on."""
    await world.watch()
    world.org.weather.arm("INVALID_REPLICATION_DATE", path="/deleted", times=1)
    await world.poll_after(601)
    [gap] = await world.gaps()
    assert gap.gap is not None
    assert gap.kind is Kind.GAP
    await world.settle()
    assert len(await world.gaps()) == 1


async def test_a_feed_with_a_condition_does_not_tell_of_strangers_deletions(world: World) -> None:
    """The delete log knows no conditions; a feed only speaks of what it has seen."""
    await world.watch(where="Company = 'Acme'")
    ours = world.org.insert("Lead", LastName="Ours", Company="Acme")
    left = world.org.insert("Lead", LastName="Left", Company="Acme")
    theirs = world.org.insert("Lead", LastName="Theirs", Company="Other")
    await world.poll_after(60)
    world.org.update(left, Company="Other")
    world.org.delete(left)
    world.org.undelete(left)
    for gone in (ours, theirs):
        world.org.hard_delete(gone)
    await world.settle()
    assert {event.record_id: event.kind.value for event in await world.events()} == {ours: "deleted", left: "created"}


async def test_a_refused_object_is_told_and_the_feed_waits(world: World) -> None:
    """A vanished object is a person's business; the turn says so and nothing is lost."""
    await world.watch()
    world.org.disable_object("Lead")
    world.pass_time(3700)
    with pytest.raises(PollerError):
        await world.poll()
    world.org.enable_object("Lead")
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    await world.poll_after(60)
    assert await world.kinds(record_id=lead) == ["created"]


async def test_an_object_that_is_not_replicateable_is_polled_by_looking_back(world: World) -> None:
    """LeadStatus knows neither getUpdated nor getDeleted, and not even IsDeleted."""
    await world.watch("LeadStatus", fields=["MasterLabel"])
    [first, *_] = list(world.org.scan("LeadStatus", deleted=False))
    world.org.update(str(first["Id"]), MasterLabel="Renamed")
    await world.poll_after(60, "LeadStatus")
    assert await world.kinds("LeadStatus") == ["updated"]
