"""Feeds of one org share their calls: how many they need, and that what happens to one never touches the others."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from world import World

from salesforce_poller.model import PollFailure
from salesforce_poller.salesforce.transport import NoAnswer

pytestmark = pytest.mark.both_databases

FIVE: dict[str, dict[str, object]] = {"Lead": {}, "Contact": {}, "Account": {}, "Opportunity": {}, "Task": {}}


def failures(world: World) -> dict[str, str]:
    """Return the last failure of each feed that had one."""
    return {report.object: report.error for report in world.reports if isinstance(report, PollFailure)}


async def test_five_feeds_cost_a_call_a_minute_sweeps_included(world: World) -> None:
    """An hour of polls: 60 Composite requests, one more for the hourly describes, and nothing else."""
    fleet = await world.gather(FIVE)
    await world.sail(fleet, 600)
    before = world.client.calls_by_kind.copy()
    await world.sail(fleet, 3_600)
    assert world.client.calls_by_kind - before == {"composite": 61}
    assert failures(world) == {}


async def test_seven_feeds_need_two_calls(world: World) -> None:
    """Five queries are the most that one request may have."""
    fleet = await world.gather({**FIVE, "Campaign": {}, "Case": {}})
    await world.sail(fleet, 600)
    before = world.client.calls
    await world.sail(fleet, 600)
    assert world.client.calls - before == 20


async def test_what_everybody_finds_is_the_truth(world: World) -> None:
    """Changes in several objects, deletes, hard deletes and a late commit among them, found in shared requests."""
    fleet = await world.gather({"Lead": {}, "Contact": {}, "Account": {}})
    await world.sail(fleet, 60)
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    doomed = world.org.insert("Contact", LastName="Gone")
    late = world.org.begin()
    late.insert("Account", Name="Late")
    await world.sail(fleet, 120)
    world.org.update(lead, Company="Umbrella")
    world.org.hard_delete(doomed)
    await world.sail(fleet, 300)
    late.commit()
    await world.sail(fleet, 900)
    for name in ("Lead", "Contact", "Account"):
        assert await world.judge(name) == []


@pytest.mark.parametrize("trouble", ["INVALID_TYPE", "QUERY_TIMEOUT", "UNKNOWN_EXCEPTION"])
async def test_one_feeds_error_never_touches_another(world: World, trouble: str) -> None:
    """The outer answer is a 200; only the part that failed fails."""
    fleet = await world.gather(FIVE)
    await world.sail(fleet, 60)
    world.org.weather.arm(trouble, path="FROM Contact", times=None)
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    await world.sail(fleet, 60)
    assert failures(world).keys() == {"Contact"}
    assert await world.kinds("Lead", lead) == ["created"]


async def test_a_request_that_fails_as_a_whole_is_asked_apart(world: World) -> None:
    """One of five may be too much for one answer: the others are read all the same, and only it rides alone then."""
    fleet = await world.gather(FIVE)
    await world.sail(fleet, 60)
    world.org.weather.arm("TRUNCATED_BODY", path="/composite", times=1)
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    before = world.client.calls
    await world.sail(fleet, 60)
    assert await world.kinds("Lead", lead) == ["created"]
    assert failures(world) == {}
    assert world.client.calls - before == 6
    before = world.client.calls
    await world.sail(fleet, 60)
    assert world.client.calls - before == 1


async def test_who_has_more_than_a_page_reads_on_alone(world: World) -> None:
    """A burst in one object does not hold the others up, and is read in one go."""
    fleet = await world.gather({"Lead": {}, "Contact": {}})
    await world.sail(fleet, 60)
    world.org.insert_many("Lead", [{"LastName": f"Lead {n}", "Company": "Acme"} for n in range(4_500)])
    contact = world.org.insert("Contact", LastName="Ng")
    before = world.client.calls_by_kind.copy()
    await world.sail(fleet, 60)
    assert world.client.calls_by_kind - before == {"composite": 1, "page": 2}
    assert len(await world.events("Lead")) == 4_500
    assert await world.kinds("Contact", contact) == ["created"]


async def test_feeds_of_different_intervals_meet(world: World) -> None:
    """What is polled every two minutes rides with what is polled every minute."""
    fleet = await world.gather({"Lead": {"every": "60s"}, "Contact": {"every": "120s"}, "Account": {"every": "180s"}})
    await world.sail(fleet, 360)
    before = world.client.calls
    await world.sail(fleet, 720)
    assert world.client.calls - before == 12


async def test_a_clock_that_was_set_costs_no_feed_its_turns(world: World) -> None:
    """All later ticks come at other moments, here right between two steps, and a little early or late as ever."""
    fleet = await world.gather({"Lead": {}})
    await fleet.tick()
    turns = []
    for passed in [89.9, *[60.2, 59.8] * 6]:
        world.pass_time(passed)
        before = len(world.reports)
        await fleet.tick()
        turns.append(len(world.reports) - before)
    assert turns == [1] * 13


async def test_a_tick_too_many_asks_nothing(world: World) -> None:
    """Every job is started anew when the machine's clock was set."""
    fleet = await world.gather({"Lead": {}})
    await world.sail(fleet, 120)
    before = len(world.reports)
    for passed in (20, 40, 20, 40):
        world.pass_time(passed)
        await fleet.tick()
    assert len(world.reports) - before == 2


async def test_a_poll_that_gets_no_answer_takes_the_others_with_it_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its query takes longer than an answer may: each try would cost everybody that time, and a call each."""
    sweeps = {"sweep_every": "1d"}
    fleet = await world.gather({"Lead": sweeps, "Contact": sweeps, "Account": sweeps})
    await world.sail(fleet, 120)
    send, sent = world.client.send, []

    async def slow(kind: str, method: str, path: str, **more: Any) -> Any:
        sent.append(kind)
        if "FROM+Contact" in f"{path} {more}":
            raise NoAnswer("no whole answer within 5s")
        return await send(kind, method, path, **more)

    monkeypatch.setattr(world.client, "send", slow)
    await world.sail(fleet, 60)
    assert sent == ["composite", "query", "query", "query"]
    sent.clear()
    await world.sail(fleet, 600)
    assert sent.count("composite") == 10, "the others go on together"
    assert 2 <= sent.count("query") <= 10, "and it is tried alone"
    monkeypatch.undo()
    await world.sail(fleet, 600)
    before = world.client.calls
    await world.sail(fleet, 60)
    assert world.client.calls - before == 1, "all together again"


async def test_nothing_is_asked_for_feeds_that_were_called_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the program cuts off what takes too long; its store and its connections are closed next."""
    fleet = await world.gather(FIVE)
    await world.sail(fleet, 60)
    asked, closed, sent = asyncio.Event(), asyncio.Event(), []

    async def cut_off(kind: str, *_place: str, **_more: Any) -> Any:
        sent.append(kind)
        asked.set()
        await closed.wait()
        raise NoAnswer("the connection was closed")

    monkeypatch.setattr(world.client, "send", cut_off)
    world.pass_time(60)
    ticking = asyncio.create_task(fleet.tick())
    await asked.wait()
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking
    closed.set()
    for _ in range(20):
        await asyncio.sleep(0)  # noqa: TID251  # a turn of the loop, not a wait
    assert sent == ["composite"]
