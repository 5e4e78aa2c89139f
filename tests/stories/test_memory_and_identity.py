"""What a feed remembers, for how long, and of which org: traps that lie days, restarts and other settings apart."""

import random
from datetime import timedelta

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs
from world import WATCHED, World

from salesforce_poller.admin.upkeep import Upkeep
from salesforce_poller.errors import OrgRefused, Refused
from salesforce_poller.model import Kind
from salesforce_poller.polling.poller import Feed
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.salesforce.client import Org as Client
from salesforce_poller.salesforce.settings import OrgSettings
from salesforce_poller.simulator.changes import Deletion
from salesforce_poller.simulator.clock import stamp
from salesforce_poller.simulator.faults import rest
from salesforce_poller.simulator.sessions import Sessions

pytestmark = pytest.mark.both_databases


async def tidy(world: World) -> None:
    """Do the store's housekeeping, as the daemon does every hour."""
    feeds = {("acme", name): settings for name, settings in world._settings.items()}
    keep = timedelta(days=7)
    await Upkeep(world.store, feeds=feeds, sinks=[], keep_events=keep, clock=world.machine).tidy()


@pytest.mark.parametrize("remember", ["1h", "30d"])
@pytest.mark.parametrize("start", ["now", "beginning"])
async def test_a_quiet_feed_does_not_tell_its_last_rows_again(world: World, remember: str, start: str) -> None:
    """Rows that are forgotten must lie behind everything that is still read."""
    world.pass_time(57)
    world.org.insert("Lead", LastName="Old", Company="Acme")
    world.pass_time(5)
    await world.watch(remember=remember, start=start)
    world.org.insert("Lead", LastName="Ng", Company="Acme")
    await world.settle()
    for _ in range(31):
        await world.poll_after(86_400)
        await tidy(world)
    assert await world.events() == []  # told and pruned long ago
    await world.poll_after(60)
    assert await world.events() == []


async def test_a_field_that_was_hidden_for_a_minute_comes_back(world: World) -> None:
    """Describe tells; nothing is held against the field."""
    await world.watch()
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme", Email="a@example.com")
    await world.poll_after(60)
    world.org.hide_field("Lead", "Email")
    await world.poll_after(60)
    world.org.show_field("Lead", "Email")
    await world.poll_after(3_700)
    world.org.update(lead, Email="b@example.com")
    await world.settle()
    event = (await world.events())[-1]
    assert event.record is not None
    assert event.record["Email"] == "b@example.com"


async def test_a_refused_parents_column_takes_no_namesake_with_it(world: World) -> None:
    """No such column 'Name' on entity 'Name' is about Owner.Name."""
    await world.watch("Account", fields=["Name", "Owner.Name"])
    refusal = rest("REFUSED", 400, "INVALID_FIELD", "No such column 'Name' on entity 'Name'.")
    world.org.weather.arm(refusal, path="queryAll", times=2)
    world.org.insert("Account", Name="A")
    await world.poll_after(3_700, "Account")
    event = (await world.events("Account"))[-1]
    assert event.record is not None
    assert (event.record["Name"], "Owner" in event.record) == ("A", False)


async def test_an_added_field_that_is_emptied_is_told(world: World) -> None:
    """What it was before is not known; that it changed is better told than lost."""
    await world.watch(fields=["LastName"])
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme", Email="a@example.com")
    await world.poll_after(60)
    world._settings["Lead"] = FeedSettings.model_validate({"fields": ["LastName", "Email"]})
    await world.restart()
    await world.poll_after(60)
    world.org.update(lead, Email=None)
    await world.settle()
    assert await world.kinds(record_id=lead) == ["created", "updated"]


async def test_merged_then_restored_and_deleted_unseen(world: World) -> None:
    """The consumer must not go on believing in the merge."""
    await world.watch()
    winner = world.org.insert("Lead", LastName="Winner", Company="Acme")
    loser = world.org.insert("Lead", LastName="Loser", Company="Acme")
    await world.poll_after(60)
    world.org.merge(winner, loser)
    await world.poll_after(60)
    world.org.undelete(loser)
    world.pass_time(5)
    world.org.delete(loser)
    await world.settle()
    assert await world.kinds(record_id=loser) == ["created", "merged", "deleted"]
    assert await world.judge() == []


async def test_previous_is_what_was_told_last(world: World) -> None:
    """A record that came back, changed and went again, all unseen, was told with its older values."""
    await world.watch()
    lead = world.org.insert("Lead", LastName="Ng", Company="One")
    await world.poll_after(60)
    world.org.delete(lead)
    await world.poll_after(60)
    world.org.undelete(lead)
    world.org.update(lead, Company="Two")
    world.org.delete(lead)
    await world.poll_after(60)
    world.org.undelete(lead)
    await world.poll_after(60)
    event = (await world.events())[-1]
    assert (event.kind, event.changed, event.previous) == (Kind.UNDELETED, ("Company",), {"Company": "One"})
    assert await world.judge() == []


async def test_one_organisation_under_two_names_is_told_under_both(world: World) -> None:
    """The same change has the same id, and each name its own event."""
    await world.watch()
    settings = OrgSettings(
        login_url=world._url, client_id="simulated-client", client_secret=SecretStr("simulated-secret"), timeout=5
    )
    async with Client("second", settings, clock=world.machine) as client:
        other = Feed(
            "Lead",
            FeedSettings.model_validate({"fields": list(WATCHED["Lead"])}),
            org=client,
            store=world.store.feeds,
            clock=world.machine,
            rng=random.Random(1),
            stop=world.stop,
            report=world.reports.append,
        )
        await other.turn()
        world.org.insert("Lead", LastName="Ng", Company="Acme")
        world.pass_time(60)
        await world.poll()
        await other.turn()
    assert sorted(event.org for event in await world.events()) == ["acme", "second"]


async def test_a_refreshed_sandbox_is_noticed(world: World) -> None:
    """Another organisation under the same name: nothing that we remember is true of it."""
    await world.watch()
    world.org.organization_id = other = "00D000000000ZZZEA2"
    world.org.sessions = Sessions(other, random.Random(world.seed))
    await world.restart()
    world.org.insert("Lead", LastName="New", Company="Acme")
    world.pass_time(60)
    with pytest.raises(OrgRefused, match="organisation 00D000000000ZZZEA2 now"):
        await world.poll()
    assert await world.events() == []


async def test_a_sandbox_that_is_refreshed_under_a_running_daemon_stops_every_feed(world: World) -> None:
    """The session of the old organisation ends, and the login leads to the new one: no feed asks it anything."""
    await world.watch("Lead")
    await world.watch("Contact")
    world.org.organization_id = other = "00D000000000ZZZEA2"
    world.org.sessions = Sessions(other, random.Random(world.seed))
    world.org.insert("Lead", LastName="New", Company="Acme")
    world.org.insert("Contact", LastName="New")
    world.pass_time(60)
    for name in ("Lead", "Contact", "Lead"):
        with pytest.raises(OrgRefused, match=f"organisation {other} now"):
            await world.poll(name)
    assert await world.events("Lead") == await world.events("Contact") == []


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
async def test_a_fleet_leaves_a_refreshed_sandbox_alone(world: World, *, restarted: bool) -> None:
    """No feed asks the new organisation about its records, for hours; nothing of it becomes an event."""
    objects: dict[str, dict[str, object]] = {"Lead": {}, "Contact": {}, "Account": {}}
    fleet = await world.gather(objects)
    await world.sail(fleet, 120)
    if restarted:
        await world.restart()
        fleet = await world.gather(objects)
    world.org.become("00D000000000ZZZEA2")
    world.org.insert("Lead", LastName="New", Company="Acme")
    world.org.tally.clear()
    with capture_logs() as lines:
        await world.sail(fleet, 3 * 3_600)
    assert world.org.tally.metered() == ({"limits": 1} if restarted else {})
    assert {line["event"] for line in lines if line["log_level"] == "warning"} == set(), "the feeds' reports tell of it"
    assert await world.events("Lead") == []
    [trouble] = await world.store.feeds.open_troubles()
    assert (trouble.object, trouble.name) == (None, "OTHER_ORGANIZATION")


async def test_strangers_in_the_delete_log_are_not_ours(world: World) -> None:
    """Of history objects the log names the deletions of all histories."""
    await world.watch()
    world.pass_time(60)
    world.org.storage.deletions.append(Deletion("Lead", "0175g00000XyZaBEAV", stamp(world.org.clock.now())))
    await world.settle()
    assert await world.events() == []


async def test_a_start_in_the_future_waits_for_it(world: World) -> None:
    """And says so, instead of telling what happens before."""
    start = (world.org.clock.now() + timedelta(hours=1)).isoformat()
    with pytest.raises(Refused, match="lies in the future"):
        await world.watch(start=start)
    world.org.insert("Lead", LastName="Before", Company="Acme")
    world.pass_time(3_700)
    await world.poll()
    after = world.org.insert("Lead", LastName="After", Company="Acme")
    await world.poll_after(60)
    assert [event.record_id for event in await world.events()] == [after]


async def test_a_start_a_moment_ago_tells_nothing_from_before_it(world: World) -> None:
    """It lies in the minute that getUpdated has not covered yet."""
    world.pass_time(65)
    world.org.insert("Lead", LastName="Before", Company="Acme")
    world.pass_time(30)
    start = (world.org.clock.now() - timedelta(seconds=5)).isoformat()
    await world.watch(start=start)
    await world.poll_after(60)
    assert await world.events() == []
