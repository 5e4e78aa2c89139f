"""The org's calls are scarce: the budget holds whatever happens, limits are waited out, and nothing is lost by it."""

import itertools
from datetime import datetime, timedelta

import pytest
import structlog
from world import World

from salesforce_poller.model import PollFailure
from salesforce_poller.polling.fleet import Fleet

pytestmark = pytest.mark.both_databases

DAY = timedelta(hours=24)
TWO: dict[str, dict[str, object]] = {"Lead": {}, "Contact": {}}


async def sail(world: World, fleet: Fleet, hours: float, *, minutes: int = 1) -> list[datetime]:
    """Give the fleet a turn every so many minutes for some hours; returns the instant of each call that was made."""
    made: list[datetime] = []
    for _ in range(round(hours * 60 / minutes)):
        before = world.client.calls
        world.pass_time(60 * minutes)
        await fleet.tick()
        made += [world.machine.now()] * (world.client.calls - before)
    return made


@pytest.mark.parametrize(("budget", "minutes", "longest"), [(360, 1, 12), (146, 4, 60)], ids=["a quarter", "a tenth"])
async def test_the_budget_holds_in_every_24_hours_and_nothing_is_lost(
    world: World, budget: int, minutes: int, longest: int
) -> None:
    """A part of the calls that polling every minute needs: polls are stretched, evenly, and find everything."""
    fleet = await world.gather(TWO, api_budget=budget)
    made = await sail(world, fleet, 6, minutes=minutes)
    world.org.insert("Lead", LastName="Ng", Company="Acme")
    doomed = world.org.insert("Contact", LastName="Gone")
    made += await sail(world, fleet, 1, minutes=minutes)
    world.org.hard_delete(doomed)
    made += await sail(world, fleet, 21, minutes=minutes)
    for end in made:
        assert sum(end - DAY < at <= end for at in made) <= budget
    assert len(made) > budget, "it goes on when calls come back"
    gaps = [later - earlier for earlier, later in itertools.pairwise(made)]
    assert max(gaps) <= timedelta(minutes=longest), "evenly: never a long silence"
    assert await world.judge("Lead") == await world.judge("Contact") == []


async def test_a_feed_that_matters_more_is_slowed_down_last(world: World) -> None:
    """Its priority says how much less."""
    fleet = await world.gather({"Lead": {"priority": 4}, "Contact": {}}, api_budget=900)
    await sail(world, fleet, 3)
    turns = {name: sum(report.object == name for report in world.reports) for name in ("Lead", "Contact")}
    assert turns["Lead"] > 2 * turns["Contact"]


async def test_the_budget_is_told_from_what_the_org_said(world: World) -> None:
    """Where the limits cannot be asked for, other answers tell of them; nothing is told of a guess before."""
    world.org.meter.set_usage(0, 100_000, world.org.clock.now())
    world.org.weather.arm("CONNECTION_RESET", path="/limits", times=None)
    fleet = await world.gather({"Lead": {"every": "20s"}}, api_budget="25%")
    with structlog.testing.capture_logs() as logs:
        await world.sail(fleet, 60)
    told = [(one["event"], one.get("budget")) for one in logs if one["event"].startswith("org.budget")]
    assert told == [("org.budget", 25_000)]


async def test_a_restart_does_not_forget_what_was_spent(world: World) -> None:
    """Crash-looping must not eat the org's calls."""
    made: list[datetime] = []
    for _ in range(30):
        fleet = await world.gather(TWO, api_budget=60)
        made += await sail(world, fleet, 0.1)
        await world.restart()
    assert len(made) <= 60


async def test_the_daily_limit_is_waited_out_and_nothing_is_lost(world: World) -> None:
    """Others used up the org's calls: paused, probed rarely, resumed by itself."""
    fleet = await world.gather(TWO)
    await world.sail(fleet, 120)
    world.org.meter.set_usage(15_000, 15_000, world.org.clock.now())
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    made = await sail(world, fleet, 20)
    assert 15 <= len(made) <= 90, "about every quarter of an hour at first, once an hour later"
    assert await world.kinds("Lead", lead) == []
    await sail(world, fleet, 6)
    assert await world.kinds("Lead", lead) == ["created"]
    assert await world.judge("Lead") == []
    assert not world.budget.resting
    assert not world.budget.probing


async def test_a_limit_that_holds_for_two_hours_is_probed_rarely_and_left_behind(world: World) -> None:
    """Others have used everything up, and their calls come back when they are a day old; nobody has to do anything."""
    fleet = await world.gather(TWO)
    await world.sail(fleet, 120)
    doomed = world.org.insert("Contact", LastName="Gone")
    await world.sail(fleet, 60)
    world.org.meter.set_usage(15_000, 15_000, world.org.clock.now() - timedelta(hours=22))
    world.reports.clear()
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    world.org.hard_delete(doomed)
    made = await sail(world, fleet, 119 / 60)
    assert 2 <= len(made) <= 5, "after a quarter of an hour, half an hour, an hour"
    assert {report.facts.trouble for report in world.reports if isinstance(report, PollFailure)} == {"DAILY_LIMIT"}
    assert await world.kinds("Lead", lead) == []
    await sail(world, fleet, 1.1)
    assert not world.budget.resting
    assert not world.budget.probing
    assert await world.kinds("Lead", lead) == ["created"]
    assert await world.judge("Lead") == await world.judge("Contact") == []
    assert await world.store.feeds.open_troubles() == []


async def test_peoples_work_comes_first(world: World) -> None:
    """At 95 % of the org's calls we stop asking before the org has to refuse."""
    fleet = await world.gather(TWO)
    await world.sail(fleet, 120)
    world.org.meter.set_usage(14_300, 15_000, world.org.clock.now())
    made = await sail(world, fleet, 5)
    assert 15 <= len(made) <= 25
    assert world.org.meter.used(world.org.clock.now()) < 15_000


async def test_the_concurrent_limit_passes_in_seconds(world: World) -> None:
    """The same errorCode as the daily one; the message tells them apart."""
    fleet = await world.gather(TWO)
    await world.sail(fleet, 120)
    world.org.weather.arm("CONCURRENT_LIMIT_EXCEEDED", times=1)
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    await world.sail(fleet, 60)
    assert world.budget.resting
    await world.sail(fleet, 60)
    assert await world.kinds("Lead", lead) == ["created"]
