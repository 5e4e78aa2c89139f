"""delivery/dispatcher.py: which events wait for which, what other sinks are told, and how replays travel."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import stores
from builders import a_delivery
from delivery_house import LATER, House, fail_on
from fakes import FakeSink

from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.model import Kind, Parked, Receipt, Verdict
from salesforce_poller.sinks.base import SinkSettings
from salesforce_poller.store.store import Store

pytestmark = pytest.mark.both_databases


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Open an empty store that knows the sink."""
    async with Store(stores.url(tmp_path / "store.db")) as store:
        await store.outbox.ensure_sinks(["crm"])
        yield House(store)


async def alerts_in(house: House) -> list[tuple[str, str]]:
    """Return which sinks were told of, and why."""
    found = await house.store.outbox.events(kind=Kind.ALERT)
    return [(event.alert.sink, event.alert.what) for _, event in reversed(found) if event.alert]


async def test_other_sinks_are_told_of_one_that_is_switched_off(house: House) -> None:
    """If they ask for it; the sink itself is not, and a second try that fails is told no second time."""
    gone = FakeSink()
    gone.answer = lambda _event: Receipt(Verdict.GONE, "HTTP 410")
    [event] = await house.happen("A")
    crm = house.dispatcher(gone, events=["updated", "alert"])
    woken: list[bool] = []
    house.store.feeds.on_events(lambda: woken.append(True))
    await crm.dispatch_once()
    assert woken == [True]
    await house.store.outbox.resume("crm", forgive=False)
    await crm.dispatch_once()
    assert await alerts_in(house) == [("crm", "switched_off")]
    await house.store.outbox.ensure_sinks(["ops", "log"], {"ops": "beginning", "log": "beginning"})
    for name, events, wanted in (("ops", ["alert"], 1), ("log", None, 1)):
        sink = FakeSink()
        settings = SinkSettings.model_validate({"events": events})
        dispatcher = Dispatcher(name, settings, sink, house.store.outbox, clock=house.clock, rng=random.Random(1))
        await house.until_quiet(dispatcher)
        assert len(sink.accepted) == wanted
        assert (sink.accepted == [event]) is (name == "log")
    gone.answer = fail_on()
    await house.store.outbox.resume("crm")
    await house.until_quiet(crm)
    assert gone.accepted == [event]


async def test_five_days_of_failures_switch_a_sink_off_and_a_restart_tries_it_once(house: House) -> None:
    """It keeps what it is owed; a person's resume gives it five new days."""
    sink = FakeSink()
    sink.answer = lambda _event: LATER
    ids = await house.happen(*"ABCDEFG")
    dispatcher = house.dispatcher(sink)
    end = house.clock.now() + timedelta(days=5)
    while not (await house.store.outbox.sink("crm")).paused:
        assert house.clock.now() < end + timedelta(minutes=6)
        report = await dispatcher.dispatch_once()
        house.clock.advance(0 if report.busy else report.wait or 1)
    assert house.clock.now() >= end
    state = await house.store.outbox.sink("crm")
    assert (state.paused_by_person, state.cursor) == (False, 0)
    await house.store.outbox.resume("crm", forgive=False)
    sends = len(sink.sends)
    await house.dispatcher(sink).dispatch_once()
    assert (await house.store.outbox.sink("crm")).paused
    assert sends < len(sink.sends) <= sends + 3
    assert await alerts_in(house) == [("crm", "switched_off")]
    await house.store.outbox.resume("crm")
    dispatcher = house.dispatcher(sink)
    await dispatcher.dispatch_once()
    assert not (await house.store.outbox.sink("crm")).paused
    sink.answer = fail_on()
    await house.until_quiet(dispatcher)
    assert sorted(sink.accepted) == ids


async def test_who_resumes_a_sink_need_not_wait_for_the_next_probe(house: House) -> None:
    """It was paused in the middle of an outage; whoever resumes it wants to know at once."""
    sink = FakeSink()
    sink.answer = lambda _event: Receipt(Verdict.TRY_LATER, "HTTP 503", retry_after=600)
    await house.happen(*"ABCDEF")
    dispatcher = house.dispatcher(sink)
    await dispatcher.dispatch_once()
    await house.store.outbox.pause("crm", "by hand")
    await dispatcher.dispatch_once()
    await house.store.outbox.resume("crm")
    sink.answer = fail_on()
    assert (await dispatcher.dispatch_once()).delivered == 1


async def test_giving_up_is_told_once_in_the_transaction_that_gives_up(house: House) -> None:
    """However many events are given up on one day."""
    sink = FakeSink()
    sink.answer = fail_on("A", "B", "C", receipt=Receipt(Verdict.REFUSED, "HTTP 400"))
    await house.happen(*"ABC")
    dispatcher = house.dispatcher(sink, give_up_after="0s")
    await dispatcher.dispatch_once()
    await house.happen(*"CBA")
    await house.until_quiet(dispatcher)
    assert (await house.store.outbox.backlog("crm")).dead == 6
    assert await alerts_in(house) == [("crm", "gave_up")]


async def test_strict_waits_with_everything_until_the_first_is_delivered(house: House) -> None:
    """What waits stays where it is: one row is parked, whatever comes."""
    sink = FakeSink()
    sink.answer = fail_on("B", receipt=Receipt(Verdict.REFUSED, "HTTP 400"))
    ids = await house.happen(*"ABCDE")
    dispatcher = house.dispatcher(sink, ordering="strict")
    reports = await house.until_quiet_or_parked(dispatcher)
    assert (sum(each.delivered for each in reports), sink.accepted) == (1, ids[:1])
    backlog = await house.store.outbox.backlog("crm")
    assert (backlog.parked, backlog.waiting) == (1, 3)
    assert (await dispatcher.dispatch_once()).wait == pytest.approx(5.5, abs=0.5)
    sink.answer = fail_on()
    await house.until_quiet(dispatcher)
    assert sink.accepted == ids


async def test_strict_goes_on_when_the_first_is_given_up(house: House) -> None:
    """After its ten tries, over three days."""
    sink = FakeSink()
    bad, *good = await house.happen(*"ABC")
    sink.answer = fail_on("A", receipt=Receipt(Verdict.REFUSED, "HTTP 400"))
    reports = await house.until_quiet(house.dispatcher(sink, ordering="strict"))
    assert sum(each.dead for each in reports) == 1
    assert sink.accepted == good
    assert [each.event_id for [each] in sink.sends].count(bad) == 10


async def test_strict_sits_an_outage_out_with_probes(house: House) -> None:
    """It is not charged to the event at the head, and is noticed within five minutes of its end."""
    sink = FakeSink()
    sink.answer = lambda _event: LATER
    ids = await house.happen(*"ABC")
    dispatcher = house.dispatcher(sink, ordering="strict", give_up_after="1h")
    end = house.clock.now() + timedelta(hours=10)
    while house.clock.now() < end:
        report = await dispatcher.dispatch_once()
        assert report.wait is not None
        assert report.wait <= 300
        house.clock.advance(report.wait)
    backlog = await house.store.outbox.backlog("crm")
    assert (backlog.waiting, backlog.parked, backlog.dead) == (3, 0, 0)
    sink.answer = fail_on()
    await house.until_quiet(dispatcher)
    assert sink.accepted == ids


async def test_without_ordering_followers_do_not_wait(house: House) -> None:
    """The failed one comes when it can."""
    sink = FakeSink(any_order=True)
    first, second, third = await house.happen("A", "A", "A")
    sink.answer = lambda event: LATER if event.event_id == first else Receipt(Verdict.ACCEPTED)
    dispatcher = house.dispatcher(sink, ordering="none")
    report = await dispatcher.dispatch_once()
    assert (report.delivered, report.parked) == (2, 1)
    [fourth] = await house.happen("A")
    await dispatcher.dispatch_once()
    sink.answer = fail_on()
    await house.until_quiet(dispatcher)
    assert sink.accepted == [second, third, fourth, first]


async def test_a_replay_is_sent_with_its_flag_and_holds_what_comes_later_in_its_record(house: House) -> None:
    """The repeat comes first, then the new event; other records do not wait."""
    sink = FakeSink()
    first, _ = await house.happen("A", "B")
    dispatcher = house.dispatcher(sink)
    await house.until_quiet(dispatcher)
    state = await house.store.outbox.sink("crm")
    again = a_delivery(position=1, id=first, record_id="A", replay=True)
    await house.store.outbox.settle(state, park=[Parked(again, house.clock.now())])
    third, fourth = await house.happen("A", "B")
    sink.accepted, sink.sends = [], []
    sink.answer = fail_on("A")
    await dispatcher.dispatch_once()
    assert sink.accepted == [fourth]
    sink.answer = fail_on()
    await house.until_quiet(dispatcher)
    assert sink.accepted == [fourth, first, third]
    flags = {each.event_id: each.cloudevent.get("replay") for [each] in sink.sends}
    assert flags == {first: True, third: None, fourth: None}


async def test_many_replays_do_not_go_one_by_one(house: House) -> None:
    """What never failed is taken by the roundful; what failed, as much as can be sent at once."""
    sink = FakeSink(concurrency=2)
    await house.happen(*(f"R{number}" for number in range(50)))
    dispatcher = house.dispatcher(sink)
    await house.until_quiet(dispatcher)
    state = await house.store.outbox.sink("crm")
    again = [each.but(replay=True) for each in await house.store.outbox.read("crm", 50, after=0)]
    tried = [each.but(attempts=1, first_tried_at=house.clock.now()) for each in again[:20]]
    parked = [Parked(each, house.clock.now()) for each in [*tried, *again[20:]]]
    await house.store.outbox.settle(state, park=parked)
    assert (await dispatcher.dispatch_once()).delivered == 2 + 30


async def test_strict_waits_behind_an_event_of_which_the_filters_cannot_tell(house: House) -> None:
    """It is parked like one that was refused, visibly, and nothing overtakes it."""
    sink = FakeSink()
    first, second, third = [
        (await house.happen(record, record={"Id": record, "Amount": amount}))[0]
        for record, amount in (("A", 5), ("B", None), ("C", 7))
    ]
    dispatcher = house.dispatcher(sink, ordering="strict", when="record.Amount > 1")
    await house.until_quiet_or_parked(dispatcher)
    backlog = await house.store.outbox.backlog("crm")
    assert (sink.accepted, backlog.parked, backlog.waiting) == ([first], 1, 1)
    mended = house.dispatcher(sink, ordering="strict", when="record.Amount == null || record.Amount > 1")
    await house.until_quiet(mended)
    assert sink.accepted == [first, second, third]
