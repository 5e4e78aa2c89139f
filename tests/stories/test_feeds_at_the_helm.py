"""Feeds that a person pauses, resumes and polls now: what a fleet does with them."""

import pytest
from world import World

from salesforce_poller.errors import NotNow
from salesforce_poller.polling.fleet import Fleet
from salesforce_poller.polling.helm import Helm
from salesforce_poller.scheduler import Tick

pytestmark = pytest.mark.both_databases


async def test_a_paused_feed_is_passed_over_and_finds_afterwards_what_has_changed(world: World) -> None:
    """Its neighbours go on meanwhile; nothing is lost, deletions neither."""
    fleet = await world.gather({"Lead": {}, "Contact": {}})
    await world.sail(fleet, 60)
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    await world.sail(fleet, 60)
    fleet.pause("Lead")
    world.org.delete(lead)
    world.org.insert("Lead", LastName="New", Company="Acme")
    world.org.insert("Contact", LastName="Goes on")
    before = await world.kinds("Lead")
    await world.sail(fleet, 900)
    assert await world.kinds("Lead") == before
    assert await world.judge("Contact") == []
    fleet.resume("Lead")
    await world.sail(fleet, 900)
    assert await world.judge("Lead") == []


async def test_a_pause_ends_a_long_turn_with_its_page(world: World) -> None:
    """A backlog of an hour must not go on for an hour."""
    fleet = await world.gather({"Lead": {}})
    await world.sail(fleet, 60)
    world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(4_500)])
    member = fleet._member("Lead")
    member.feed._intake._stop = member.halt  # as app.py builds it
    member.halt.set()
    await world.sail(fleet, 60)
    assert len(await world.events()) == 2_000
    fleet.resume("Lead")
    await world.sail(fleet, 600)
    assert await world.judge("Lead") == []


async def test_a_feed_that_rests_after_a_failure_is_polled_when_somebody_says_so(world: World) -> None:
    """What was mended need not be waited for; and it is said whether it worked."""
    fleet = await world.gather({"Lead": {}})
    await world.sail(fleet, 60)
    world.org.weather.arm("UNKNOWN_EXCEPTION", times=None)
    assert await fleet.poll_now("Lead") is False
    world.org.weather.clear()
    world.org.insert("Lead", LastName="Ng", Company="Acme")
    world.pass_time(2)
    assert await fleet.poll_now("Lead") is True
    assert await world.kinds("Lead") == ["created"]


async def test_an_org_that_is_left_alone_is_not_asked_for_a_person_either(world: World) -> None:
    """People's work in the org comes first."""
    fleet = await world.gather({"Lead": {}})
    world.org.meter.set_usage(14_900, 15_000, world.org.clock.now())
    world.org.meter.lag = world.org.meter.lag * 0
    await world.sail(fleet, 300)
    before = world.client.calls
    with pytest.raises(NotNow, match="acme is not asked anything at the moment"):
        await fleet.poll_now("Lead")
    assert world.client.calls == before


class Polled:
    """An org, as the helm sees it."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.called: list[Tick] = []

    async def at_once(self, tick: Tick) -> None:
        """Call it, and remember it."""
        self.called.append(tick)
        await tick()


async def test_the_helm_knows_each_feed_by_its_org(world: World) -> None:
    """It calls through whoever minds the end of the program."""
    fleet = await world.gather({"Lead": {}})
    acme = Polled(fleet)
    helm = Helm(lambda org: acme if org == "acme" else None)
    assert await helm.poll("acme", "Lead") is True
    helm.heed("pause", "acme", "Lead")
    assert fleet._member("Lead").paused
    helm.heed("resume", "acme", "Lead")
    while helm._ticks:
        await next(iter(helm._ticks))
    assert len(acme.called) == 2
    assert not fleet._member("Lead").paused
    with pytest.raises(NotNow, match="other is not polled by this process at the moment"):
        await helm.poll("other", "Lead")
    helm.heed("pause", "other", "Lead")  # the store remembers it for whoever polls it


async def test_a_pause_of_before_yields_to_what_was_said_since(world: World) -> None:
    """What the store said was read while a person resumed one feed and paused another."""
    fleet = await world.gather({"Lead": {}, "Contact": {}, "Account": {}})
    fleet.resume("Lead")
    fleet.pause("Contact")
    fleet.recall(["Lead", "Account"])
    assert [fleet._member(name).paused for name in ("Lead", "Contact", "Account")] == [False, True, True]
