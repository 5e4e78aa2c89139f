"""Orgs that are left and taken up again while the program runs: the page in hand is finished, and nothing is lost."""

import asyncio
from pathlib import Path

from oracle import judge
from ship import STUCK, Plan, Ship, a_ship, until
from world import WATCHED, World

from salesforce_poller.model import Event
from salesforce_poller.store.calls import minute_of
from salesforce_poller.store.pauses import Pause


async def events(ship: Ship) -> list[Event]:
    """Return every event so far, in order."""
    found = await ship.store.outbox.events(limit=1_000_000)
    return [event for _, event in reversed(found)]


async def read_until(ship: Ship, enough: int) -> None:
    """Wait until so many events are in the store."""
    async with asyncio.timeout(STUCK):
        while len(await events(ship)) < enough:
            pass


async def started(ship: Ship, org: str, *objects: str) -> None:
    """Wait until these feeds have had their first turn."""
    members = [ship.org(org).fleet._member(name) for name in objects]
    await until(lambda: all(member.last is not None and not member.riding for member in members))


async def test_an_org_that_is_left_ends_with_its_page_and_goes_on_where_it_stopped(
    world: World, tmp_path: Path
) -> None:
    """A backlog of several pages; the calls that were made are written down to the last one."""
    world.org.clock.set_speed(1)
    async with a_ship(tmp_path) as ship:
        plan = Plan(world._url)
        await ship.apply(plan, "org")
        await started(ship, "acme", "Lead")
        world.org.clock.advance(60)
        since = len(world.org.truth)
        rows = [{"LastName": f"L{n}", "Company": "Acme"} for n in range(9_500)]
        world.org.insert_many("Lead", rows)
        world.org.clock.advance(5)
        unit = ship.org("acme")
        turn = asyncio.create_task(unit.at_once(lambda: unit.fleet.poll_now("Lead")))
        await read_until(ship, 1)
        assert (await ship.crew.apply(plan.read(), {})).stopped
        read = len(await events(ship))
        assert read in range(1_000, 9_500, 1_000), "whole pages, and not all of them"
        await turn
        on_disk = await ship.store.calls.since("acme", minute_of(ship.crew._tools.clock.now()) - 60)
        assert sum(on_disk.values()) == unit.org.calls == ship.crew.calls
        assert (await ship.apply(plan, "org")).started
        await read_until(ship, 9_500)
        assert judge(await events(ship), world.org.truth, WATCHED["Lead"], "Lead", since=since) == []


async def test_a_pause_outlives_a_change_of_the_org(world: World, tmp_path: Path) -> None:
    """The new unit finds it in the store; what is resumed while it begins is resumed."""
    async with a_ship(tmp_path) as ship:
        plan = Plan(world._url)
        await ship.apply(plan, "org")
        await started(ship, "acme", "Lead")
        await ship.store.pauses.begin(Pause("acme", "Lead", "lunch", ship.crew._tools.clock.now()))
        ship.org("acme").fleet.pause("Lead")
        plan.orgs = {"acme": ["Lead", "Contact"]}
        assert (await ship.apply(plan, "org")).restarted
        await started(ship, "acme", "Contact")
        assert [ship.org("acme").fleet._member(name).paused for name in ("Lead", "Contact")] == [True, False]


async def test_other_orgs_do_not_notice(world: World, tmp_path: Path) -> None:
    """Neither those that go on nor those that come; an org that is gone leaves its calls in the sum."""
    async with a_ship(tmp_path) as ship:
        plan = Plan(world._url, orgs={"acme": ["Lead"], "old": ["Lead"]})
        await ship.apply(plan, "org")
        await started(ship, "acme", "Lead")
        await started(ship, "old", "Lead")
        acme, old = ship.org("acme"), ship.org("old")
        plan.orgs = {"acme": ["Lead"], "new": ["Contact"]}
        await ship.apply(plan, "org")
        await started(ship, "new", "Contact")
        assert ship.org("acme") is acme
        assert (ship.crew.polled("old"), list(ship.crew.orgs)) == (None, ["acme", "new"])
        assert ship.crew.calls == acme.org.calls + old.org.calls + ship.org("new").org.calls
        assert len(ship.crew._tools.scheduler._jobs.get_jobs()) == 2
