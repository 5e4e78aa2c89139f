"""What goes wrong with one feed is that feed's alone, is said once, and ends by itself when it is mended."""

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from world import World, a_world

from salesforce_poller.model import PollFailure
from salesforce_poller.telemetry import PollLog

pytestmark = pytest.mark.both_databases


def said(world: World) -> list[tuple[str, str]]:
    """Return what the log says of all turns so far at warning and info: its event, and whom it is about."""
    log = PollLog(world.machine)
    with capture_logs() as lines:
        for report in world.reports:
            log.polled(report)
    told: list[Any] = [line for line in lines if line["log_level"] != "debug"]
    return [(line["event"], line.get("object", line["org"])) for line in told]


async def tick(world: World, seconds: float, *names: str) -> None:
    """Let time pass, then give each feed its tick; one that is paused does not ask."""
    world.pass_time(seconds)
    for name in names:
        await world.feed(name).tick()


@pytest.mark.parametrize("how", ["object", "INSUFFICIENT_ACCESS"])
async def test_a_feed_whose_object_vanished_is_paused_and_probed_and_the_others_go_on(world: World, how: str) -> None:
    """It asks every five minutes instead of every minute, and tells what happened meanwhile once it may again."""
    for name in ("Lead", "Contact"):
        await world.watch(name)
    world.reports.clear()
    if how == "object":
        world.org.access.object("Lead", visible=False, now=world.org.clock.now())
    else:
        world.org.weather.arm(how, object="Lead", times=None)
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    contact = world.org.insert("Contact", LastName="Okoro")
    for _ in range(20):
        await tick(world, 60, "Lead", "Contact")
    assert await world.kinds("Contact", contact) == ["created"]
    failures = [report for report in world.reports if isinstance(report, PollFailure)]
    assert len(failures) == 4
    assert {report.object for report in failures} == {"Lead"}
    world.org.access.object("Lead", visible=True, now=world.org.clock.now())
    world.org.weather.clear()
    for _ in range(5):
        await tick(world, 60, "Lead", "Contact")
    assert await world.kinds("Lead", lead) == ["created"]
    assert await world.store.feeds.open_troubles() == []
    assert [one for one in said(world) if one[1] == "Lead"] == [
        ("feed.failed", "Lead"), ("feed.recovered", "Lead"),
    ]  # fmt: skip


async def test_one_broken_object_of_twenty_costs_the_others_nothing(tmp_path: Path) -> None:
    """They go on at four calls a minute; its probes cost a call each at most, and it comes back by itself."""
    fields = ("Name", "Colour__c")
    things = {f"Thing{number:03}__c": {"fields": list(fields)} for number in range(1, 21)}
    broken, other = "Thing007__c", "Thing015__c"
    async with a_world(tmp_path, things=20) as world:
        fleet = await world.gather(things)
        await world.sail(fleet, 120)
        changing, doomed = (world.org.insert(broken, Name=name) for name in ("Changing", "Gone"))
        await world.sail(fleet, 60)
        world.reports.clear()
        world.org.disable_object(broken)
        world.org.update(changing, Colour__c="red")
        world.org.hard_delete(doomed)
        thing = world.org.insert(other, Name="Fine")
        before = world.client.calls_by_kind.copy()
        await world.sail(fleet, 900)
        spent = world.client.calls_by_kind - before
        assert spent["composite"] == 60
        assert spent.total() <= 63
        assert await world.kinds(other, thing) == ["created"]
        failures = [report.object for report in world.reports if isinstance(report, PollFailure)]
        assert failures == [broken] * 3, "every five minutes"
        world.org.enable_object(broken)
        await world.sail(fleet, 660)
        for name in things:
            assert await world.judge(name, fields) == []
        assert [event for event, about in said(world) if about in {broken, "acme"}] == [
            "feed.failed", "feed.recovered",
        ]  # fmt: skip


async def test_an_org_that_is_closed_is_said_once_and_so_is_its_return(world: World) -> None:
    """However many feeds it has, and however often they try."""
    for name in ("Lead", "Contact", "Account"):
        await world.watch(name)
    world.reports.clear()
    world.org.weather.arm("API_DISABLED_FOR_ORG", times=None)
    for _ in range(30):
        await tick(world, 60, "Lead", "Contact", "Account")
    [trouble] = await world.store.feeds.open_troubles()
    assert (trouble.object, trouble.name) == (None, "API_DISABLED_FOR_ORG")
    world.org.weather.clear()
    for _ in range(16):
        await tick(world, 60, "Lead", "Contact", "Account")
    assert await world.store.feeds.open_troubles() == []
    assert said(world) == [("org.failed", "acme"), ("org.recovered", "acme")]


async def test_a_limit_of_the_org_is_told_and_over_with_the_next_answer(world: World) -> None:
    """What Salesforce said, once; the feed itself may go on as soon as the budget lets it."""
    await world.watch()
    world.reports.clear()
    world.org.weather.arm("REQUEST_LIMIT_EXCEEDED")
    for _ in range(3):
        await tick(world, 60, "Lead")
    [trouble] = await world.store.feeds.open_troubles()
    assert (trouble.object, trouble.name) == (None, "DAILY_LIMIT")
    await tick(world, 900, "Lead")
    assert await world.store.feeds.open_troubles() == []
    assert said(world)[:2] == [("org.failed", "acme"), ("org.recovered", "acme")]


async def test_a_sweep_that_is_refused_is_a_trouble_while_polls_go_on(world: World) -> None:
    """Of the feed alone, even where the answer would concern the org."""
    await world.watch()
    world.reports.clear()
    world.org.weather.arm("SERVER_UNAVAILABLE", path="/deleted", times=None)
    world.pass_time(301)
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    for _ in range(3):
        await tick(world, 61, "Lead")
    assert await world.kinds(record_id=lead) == ["created"]
    [trouble] = await world.store.feeds.open_troubles()
    assert (trouble.object, trouble.name) == ("Lead", "SERVER_UNAVAILABLE")
    assert [event for event, _ in said(world)].count("feed.sweep_failed") == 1
