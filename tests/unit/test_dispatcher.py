"""delivery/dispatcher.py, with a hand-written sink and a real store."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
import stores
from delivery_house import LATER, House, fail_on
from fakes import Broken, FakeClock, FakeSink

from salesforce_poller.delivery.dispatcher import ROUND_SIZE
from salesforce_poller.errors import StoreError
from salesforce_poller.model import DispatchReport, Ordering, Receipt, Verdict
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.store.store import Store

pytestmark = pytest.mark.both_databases


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Open an empty store that knows the sink."""
    async with Store(stores.url(tmp_path / "store.db")) as store:
        await store.outbox.ensure_sinks(["crm"])
        yield House(store)


async def test_everything_is_delivered_once_and_then_it_is_quiet(house: House) -> None:
    """The plain case: the cursor ends up behind the last event and nothing is parked."""
    sink = FakeSink()
    ids = await house.happen("A", "B", "A", "C")
    first, second = await house.until_quiet(house.dispatcher(sink))
    assert sorted(sink.accepted) == ids
    assert first == DispatchReport("crm", delivered=4, busy=True)
    assert second == DispatchReport("crm")
    assert (await house.store.outbox.sink("crm")).cursor == 4


async def test_records_go_side_by_side_and_each_in_order(house: House) -> None:
    """As many at a time as the sink allows; the fake sink refuses two of one record at once."""
    sink = FakeSink(concurrency=5)
    ids = await house.happen(*"ABCDEFGH" * 20)
    await house.until_quiet(house.dispatcher(sink))
    assert sink.most_under_way == 5
    for record in range(8):
        mine = ids[record::8]
        assert [each for each in sink.accepted if each in mine] == mine


async def test_fewer_than_a_batch_wait_for_company(house: House) -> None:
    """As long as the sink says, from the first of them on; then they leave together, once."""
    sink = FakeSink(batch=10, batch_wait=timedelta(seconds=5))
    dispatcher = house.dispatcher(sink)
    ids = await house.happen("A", "B")
    assert await dispatcher.dispatch_once() == DispatchReport("crm", wait=5.0)
    house.clock.advance(3)
    ids += await house.happen("C")
    assert await dispatcher.dispatch_once() == DispatchReport("crm", wait=2.0)
    house.clock.advance(2)
    assert (await dispatcher.dispatch_once()).delivered == 3
    assert [[each.event_id for each in sent] for sent in sink.sends] == [ids]


async def test_a_batch_of_long_events_does_not_wait_where_there_are_enough_of_them(house: House) -> None:
    """They are read a few at a time; each round would wait for company that is on the disk already."""
    sink = FakeSink(batch=800, batch_wait=timedelta(days=1))
    dispatcher = house.dispatcher(sink)
    await house.happen(*(f"L{number}" for number in range(900)), record={"Description": "x" * 4_000})
    report = await dispatcher.dispatch_once()
    assert report.delivered >= 800
    assert len(sink.sends[0]) == 800


async def test_a_full_batch_does_not_wait(house: House) -> None:
    """Whatever the sink says; the next one waits anew."""
    sink = FakeSink(batch=2, batch_wait=timedelta(seconds=5))
    dispatcher = house.dispatcher(sink)
    await house.happen("A", "B")
    assert (await dispatcher.dispatch_once()).delivered == 2
    house.clock.advance(60)
    await house.happen("C")
    assert (await dispatcher.dispatch_once()).wait == 5.0


async def test_what_failed_does_not_wait_for_company(house: House) -> None:
    """What is due again is due, and a wait ends when the first of it is."""
    sink = FakeSink(batch=10, batch_wait=timedelta(days=1))
    dispatcher = house.dispatcher(sink)
    sink.answer = fail_on("A")
    await house.happen("A")
    await dispatcher.dispatch_once()
    house.clock.advance(86400)
    assert (await dispatcher.dispatch_once()).parked == 1
    await house.happen("B")
    wait = (await dispatcher.dispatch_once()).wait
    assert wait is not None
    assert 5 <= wait <= 6, "what failed is due after the first pause of the schedule, long before the day is over"
    sink.answer = fail_on()
    house.clock.advance(wait)
    assert (await dispatcher.dispatch_once()).delivered == 2


async def test_what_no_filter_wants_is_no_company(house: House) -> None:
    """It is passed over at once."""
    sink = FakeSink(batch=10, batch_wait=timedelta(seconds=5))
    dispatcher = house.dispatcher(sink, objects=["Account"])
    await house.happen("A", "B")
    assert (await dispatcher.dispatch_once()).filtered == 2


async def test_nobody_waits_for_company_while_there_is_more_to_read(house: House) -> None:
    """Else a sink that wants few of many would pass a round of them in each wait, and never catch up."""
    sink = FakeSink(batch=10, batch_wait=timedelta(seconds=5))
    dispatcher = house.dispatcher(sink, objects=["Lead"])
    [wanted] = await house.happen("A")
    await house.happen(*"B" * ROUND_SIZE, object="Account")
    report = await dispatcher.dispatch_once()
    assert (report.delivered, report.filtered, sink.accepted) == (1, ROUND_SIZE - 1, [wanted])


async def test_a_sink_that_takes_batches_gets_batches(house: House) -> None:
    """Full ones, in order, also with several events of one record."""
    sink = FakeSink(concurrency=1, batch=100)
    ids = await house.happen(*"AB" * 125)
    await house.until_quiet(house.dispatcher(sink))
    assert [len(each) for each in sink.sends] == [100, 100, 50]
    assert sink.accepted == ids


async def test_a_bad_event_costs_the_others_of_its_batch_one_try(house: House) -> None:
    """Where one answer counts for all of a send, what failed goes alone; else a bad one could take all with it."""
    sink = FakeSink(concurrency=1, batch=10, one_answer=True)
    ids = await house.happen(*"ABCDEABCDE")
    sink.answer = lambda event: (
        Receipt(Verdict.REFUSED, "HTTP 400") if event.event_id == ids[2] else Receipt(Verdict.ACCEPTED)
    )
    dispatcher = house.dispatcher(sink)
    await house.until_quiet_or_parked(dispatcher)
    assert (sink.accepted, [len(each) for each in sink.sends]) == ([], [10])
    house.clock.advance(6)
    await house.until_quiet_or_parked(dispatcher)
    assert sorted(sink.accepted) == [each for each in ids if each not in (ids[2], ids[7])]
    assert sum(ids[2] in [each.event_id for each in sent] for sent in sink.sends) == 2


async def test_a_store_that_cannot_write_costs_no_second_delivery(house: House, tmp_path: Path) -> None:
    """A disk may be full for hours: what a round came to is kept, and written down before anything else is sent."""
    sink = FakeSink()
    sink.answer = fail_on("B")
    ids = await house.happen("A", "B")
    dispatcher = house.dispatcher(sink)
    with stores.broken(stores.url(tmp_path / "store.db"), "sinks", "UPDATE", "disk is full"):
        for _ in range(3):
            with pytest.raises(StoreError, match="disk is full"):
                await dispatcher.dispatch_once()
    assert len(sink.sends) == 2
    report = await dispatcher.dispatch_once()
    assert (report.delivered, report.parked, report.busy) == (1, 1, True)
    assert (await house.store.outbox.sink("crm")).cursor == 2
    sink.answer = fail_on()
    await house.until_quiet(dispatcher)
    assert sink.accepted == ids


async def test_a_round_that_is_cut_off_writes_down_what_was_answered(house: House) -> None:
    """One receiver that hangs when the daemon ends must not have all the others told again."""
    sink = FakeSink(concurrency=2)
    ids = await house.happen(*"ABCB")
    hangs = asyncio.Event()

    async def send(events: Sequence[Dressed]) -> list[Receipt]:
        if events[0].key == "B":
            hangs.set()
            await asyncio.Event().wait()
        return await FakeSink.send(sink, events)

    sink.send = send  # type: ignore[method-assign]  # hangs where the other answers
    round_ = asyncio.create_task(house.dispatcher(sink).dispatch_once())
    await hangs.wait()
    while len(sink.accepted) < 2:
        await house.clock.sleep(0)
    round_.cancel()
    await asyncio.gather(round_, return_exceptions=True)
    assert round_.cancelled()
    again = FakeSink()
    await house.until_quiet(house.dispatcher(again))
    assert (sink.accepted, again.accepted) == ([ids[0], ids[2]], [ids[1], ids[3]])


@pytest.mark.parametrize("trouble", ["the sink is down", "one event failed", "a batch waits"])
async def test_a_clock_that_is_set_back_holds_nothing_up(house: House, trouble: str) -> None:
    """Or a sink would be left alone until the clock is where it was: for a month, where it was a month ahead."""
    sink = FakeSink(batch=10, batch_wait=timedelta(seconds=5) if trouble == "a batch waits" else timedelta())
    sink.answer = fail_on(*("A" if trouble == "one event failed" else "ABCDEF"))
    ids = await house.happen(*"ABCDEF")
    dispatcher = house.dispatcher(sink)
    [*_, report] = await house.until_quiet_or_parked(dispatcher)
    assert report.wait is not None
    sink.answer = fail_on()
    house.clock.set(house.clock.now() - timedelta(days=30))
    house.clock.advance(report.wait)
    reports = await house.until_quiet(dispatcher)
    assert sum(each.wait or 0 for each in reports) <= 6
    assert sorted(sink.accepted) == ids


async def test_a_pause_ends_the_round_in_hand(house: House) -> None:
    """A slow sink could otherwise be sent hundreds of events after a person said stop."""
    sink = FakeSink(concurrency=1)
    ids = await house.happen(*"ABCDEF")
    dispatcher = house.dispatcher(sink)
    house.store.outbox.on_pause(dispatcher.cut_short)
    send = sink.send

    async def send_and_pause(events: Sequence[Dressed]) -> list[Receipt]:
        if len(sink.sends) == 1:
            await house.store.outbox.pause("other", "another sink")
        if len(sink.sends) == 2:
            await house.store.outbox.pause("crm", "by a person")
        return await send(events)

    sink.send = send_and_pause  # type: ignore[method-assign]  # somebody gives an order meanwhile
    await dispatcher.dispatch_once()
    assert await dispatcher.dispatch_once() == DispatchReport("crm")
    assert sink.accepted == ids[:3], "the send in hand is finished"
    sink.send = send  # type: ignore[method-assign]  # as it was
    await house.store.outbox.resume("crm")
    await house.until_quiet(dispatcher)
    assert sink.accepted == ids


async def test_more_than_a_round_is_taken_round_by_round(house: House) -> None:
    """The report says that there may be more."""
    sink = FakeSink(concurrency=1, batch=ROUND_SIZE)
    ids = await house.happen(*(f"R{number}" for number in range(ROUND_SIZE + 1)))
    reports = await house.until_quiet(house.dispatcher(sink))
    assert [each.delivered for each in reports] == [ROUND_SIZE, 1, 0]
    assert sink.accepted == ids


async def test_what_the_filters_do_not_want_is_passed_over(house: House) -> None:
    """It costs no send, and the cursor moves on."""
    sink = FakeSink()
    await house.happen("A", "B")
    wanted = await house.happen("C", object="Contact")
    [report, _] = await house.until_quiet(house.dispatcher(sink, objects=["Contact"]))
    assert (report.delivered, report.filtered, sink.accepted) == (1, 2, wanted)


async def test_one_failing_record_does_not_hold_up_the_others(house: House) -> None:
    """It is tried again until it works; what follows in its record comes after it."""
    sink = FakeSink()
    sink.answer = fail_on("A")
    first, second, other = await house.happen("A", "A", "B")
    dispatcher = house.dispatcher(sink)
    report = await dispatcher.dispatch_once()
    assert (report.delivered, report.parked, report.detail) == (1, 2, LATER.detail)
    [third] = await house.happen("A")
    await dispatcher.dispatch_once()
    sink.answer = fail_on()
    await house.until_quiet(dispatcher)
    assert sink.accepted == [other, first, second, third]


async def test_a_record_that_never_works_is_given_up_and_kept(house: House) -> None:
    """After the configured time, while the sink takes others; what waited behind it goes on."""
    sink = FakeSink()
    first, _ = await house.happen("A", "A")
    sink.answer = lambda event: LATER if event.event_id == first else Receipt(Verdict.ACCEPTED)
    dispatcher = house.dispatcher(sink, give_up_after="1h")
    dead = 0
    for _ in range(24):
        house.clock.advance(600)
        await house.happen("B")
        dead += sum([report.dead for report in [await dispatcher.dispatch_once() for _ in range(3)]])
    backlog = await house.store.outbox.backlog("crm")
    assert dead == backlog.dead == 1
    assert (backlog.waiting, backlog.parked, len(sink.accepted)) == (0, 0, 25)


async def test_nothing_is_given_up_while_the_sink_takes_nothing_at_all(house: House) -> None:
    """Too few records to call it an outage; it may be one all the same, over a long night."""
    sink = FakeSink()
    sink.answer = lambda _event: LATER
    ids = await house.happen(*"ABC")
    dispatcher = house.dispatcher(sink, give_up_after="1h")
    end = house.clock.now() + timedelta(hours=3)
    while house.clock.now() < end:
        report = await dispatcher.dispatch_once()
        house.clock.advance(0 if report.busy else report.wait or 600)
    assert (await house.store.outbox.backlog("crm")).dead == 0
    sink.answer = lambda _event: Receipt(Verdict.ACCEPTED)
    await house.until_quiet(dispatcher)
    assert sorted(sink.accepted) == ids


async def test_a_row_of_bad_records_holds_up_no_good_one(house: House) -> None:
    """Refusals are about events; only what is about the sink stops it."""
    sink = FakeSink(concurrency=3)
    refused = Receipt(Verdict.REFUSED, "HTTP 422")
    sink.answer = lambda event: Receipt(Verdict.ACCEPTED) if event.key == "good" else refused
    await house.happen(*(f"bad {number}" for number in range(600)))
    [good] = await house.happen("good")
    dispatcher = house.dispatcher(sink)
    for _ in range(3):
        await dispatcher.dispatch_once()
    assert sink.accepted == [good]
    assert (await house.store.outbox.backlog("crm")).parked == 600


async def test_an_outage_is_not_held_against_what_was_parked_before_it(house: House) -> None:
    """Also when the process is started anew before it ends."""
    sink = FakeSink()
    sink.answer = lambda event: Receipt(Verdict.REFUSED) if event.key == "P" else Receipt(Verdict.ACCEPTED)
    await house.happen("P", "Q")
    await house.dispatcher(sink).dispatch_once()
    sink.answer = lambda _event: LATER
    await house.happen(*"ABCDEF")
    await house.dispatcher(sink).dispatch_once()
    assert (await house.store.outbox.sink("crm")).down_since is not None
    house.clock.advance(4 * 86_400)
    sink.answer = lambda event: Receipt(Verdict.REFUSED) if event.key == "P" else Receipt(Verdict.ACCEPTED)
    restarted = house.dispatcher(sink, give_up_after="3d")
    for _ in range(4):
        await restarted.dispatch_once()
    backlog = await house.store.outbox.backlog("crm")
    assert (backlog.dead, backlog.parked, backlog.waiting) == (0, 1, 0)
    assert (await house.store.outbox.sink("crm")).down_since is None


async def test_an_outage_parks_nothing_and_loses_nothing(house: House) -> None:
    """Six hours in which the sink takes nothing: the cursor stays, few sends are wasted, nothing is given up."""
    sink = FakeSink(concurrency=2)
    sink.answer = lambda _event: LATER
    ids = await house.happen(*(f"R{number}" for number in range(50)))
    dispatcher = house.dispatcher(sink, give_up_after="1h")
    end = house.clock.now() + timedelta(hours=6)
    rounds = 0
    while house.clock.now() < end:
        report = await dispatcher.dispatch_once()
        assert report.parked == report.dead == 0
        assert report.wait is not None
        house.clock.advance(report.wait)
        rounds += 1
    assert rounds < 6 * 3600 / 150 + 20
    state = await house.store.outbox.sink("crm")
    assert (state.cursor, state.last_error, state.failing_since) == (0, "HTTP 503", FakeClock().now())
    sink.answer = fail_on()
    await house.until_quiet(dispatcher)
    assert sorted(sink.accepted) == ids
    assert (await house.store.outbox.sink("crm")).failing_since is None


async def test_after_an_outage_the_parked_are_tried_at_once(house: House) -> None:
    """They need not sit out a pause that was meant for a sink that is down, nor pay for it with their lives."""
    sink = FakeSink(concurrency=1)
    sink.answer = fail_on("A", receipt=Receipt(Verdict.REFUSED, "HTTP 404"))
    [bad] = await house.happen("A")
    dispatcher = house.dispatcher(sink, give_up_after="1h")
    await dispatcher.dispatch_once()
    sink.answer = lambda _event: LATER
    await house.happen(*"BCDEFGH")
    await dispatcher.dispatch_once()
    house.clock.advance(timedelta(days=2).total_seconds())
    sink.answer = fail_on()
    reports = [await dispatcher.dispatch_once(), await dispatcher.dispatch_once()]
    assert [each.dead for each in reports] == [0, 0]
    assert bad in sink.accepted


async def test_while_it_waits_for_a_probe_nothing_is_sent(house: House) -> None:
    """New events do not shorten the pause."""
    sink = FakeSink(concurrency=1)
    sink.answer = lambda _event: LATER
    await house.happen(*"ABCDEFGH")
    dispatcher = house.dispatcher(sink)
    await dispatcher.dispatch_once()
    tried = len(sink.sends)
    await house.happen("I")
    report = await dispatcher.dispatch_once()
    assert len(sink.sends) == tried
    assert report.wait is not None
    assert 0 < report.wait <= 1


async def test_a_sink_that_is_gone_is_paused_until_somebody_resumes_it(house: House) -> None:
    """410: nothing is sent, nothing is lost."""
    sink = FakeSink()
    sink.answer = lambda _event: Receipt(Verdict.GONE, "HTTP 410")
    ids = await house.happen("A", "B")
    dispatcher = house.dispatcher(sink)
    report = await dispatcher.dispatch_once()
    assert not report.busy
    assert report.detail.startswith("switched off: it asks for no more events (HTTP 410); when that is mended")
    tried = len(sink.sends)
    assert await dispatcher.dispatch_once() == DispatchReport("crm")
    assert len(sink.sends) == tried
    sink.answer = fail_on()
    await house.store.outbox.resume("crm")
    await house.until_quiet(dispatcher)
    assert sorted(sink.accepted) == ids


async def test_an_exception_from_a_sink_is_an_answer(house: House) -> None:
    """The event is tried again, and the operator reads what kind of bug it is."""
    sink = FakeSink()
    [event] = await house.happen("A")

    def explode(_event: Dressed) -> Receipt:
        raise ZeroDivisionError

    sink.answer = explode
    dispatcher = house.dispatcher(sink)
    report = await dispatcher.dispatch_once()
    assert (report.parked, report.detail) == (1, "unexpected ZeroDivisionError")
    sink.answer = fail_on()
    await house.until_quiet(dispatcher)
    assert sink.accepted == [event]


async def test_a_crash_before_the_books_are_closed_sends_again(house: House) -> None:
    """At least once: what was accepted but not written down is repeated, in order."""
    sink = FakeSink(concurrency=1)
    ids = await house.happen("A", "A", "B")

    def die(event: Dressed) -> Receipt:
        if event.key == "B":
            raise Broken("the process ends here")
        return Receipt(Verdict.ACCEPTED)

    sink.answer = die
    with pytest.raises(BaseExceptionGroup):
        await house.dispatcher(sink).dispatch_once()
    sink.answer = fail_on()
    await house.until_quiet(house.dispatcher(sink))
    assert sink.accepted == ids[:2] + ids


async def test_the_loop_delivers_what_happens_until_it_is_stopped(house: House) -> None:
    """Woken for new events; the sink is opened and closed."""
    sink = FakeSink()
    wake, stop = asyncio.Event(), asyncio.Event()
    reports: list[DispatchReport] = []
    loop = asyncio.create_task(house.dispatcher(sink).run(wake, stop, reports.append))
    while not reports:
        await house.clock.sleep(0)
    ids = await house.happen("A", "B")
    wake.set()
    while len(sink.accepted) < 2:
        await house.clock.sleep(0)
    stop.set()
    await loop
    assert sorted(sink.accepted) == ids
    assert sink.life == ["opened", "closed"]
    assert (await house.store.outbox.sink("crm")).cursor == 2


async def test_the_loop_comes_back_by_itself_when_something_is_due(house: House) -> None:
    """Without anybody waking it."""
    sink = FakeSink()
    answers = [LATER, LATER, LATER]
    sink.answer = lambda _event: answers.pop() if answers else Receipt(Verdict.ACCEPTED)
    await house.happen("A")
    stop = asyncio.Event()

    def report(outcome: DispatchReport) -> None:
        if outcome.delivered:
            stop.set()

    await house.dispatcher(sink).run(asyncio.Event(), stop, report)
    assert len(sink.sends) == 4
    assert house.clock.now() > FakeClock().now()


async def test_stopping_finishes_the_sends_in_hand_and_begins_no_other(house: House) -> None:
    """And what they achieved is written down."""
    sink = FakeSink(concurrency=2)
    stop = asyncio.Event()

    def answer(_event: Dressed) -> Receipt:
        stop.set()
        return Receipt(Verdict.ACCEPTED)

    sink.answer = answer
    await house.happen(*"ABCDEFGH")
    await house.dispatcher(sink).run(asyncio.Event(), stop, lambda _report: None)
    assert len(sink.accepted) == len(sink.sends) == 2
    assert (await house.store.outbox.sink("crm")).cursor == 2


BROKEN = "record.Amount > 1"


async def test_an_event_that_when_cannot_judge_is_parked_for_all_to_see(house: House) -> None:
    """Neither sent nor passed over; its record waits behind it, others go, and the sink is not to blame."""
    sink = FakeSink()
    await house.happen("A", record={"Name": "no amount"})
    await house.happen("A", "B", record={"Amount": 2})
    await house.happen("C", record={"Amount": 1})
    report = await house.dispatcher(sink, when=BROKEN).dispatch_once()
    assert [each.key for [each] in sink.sends] == ["B"]
    assert (report.delivered, report.parked, report.filtered) == (1, 2, 1)
    assert report.detail == "when: no such field: Amount"
    state = await house.store.outbox.sink("crm")
    assert (state.cursor, state.failing_since, state.paused) == (4, None, "")
    soon = house.clock.now() + timedelta(minutes=1)
    [parked] = (await house.store.outbox.standing("crm", soon, Ordering.RECORD, tried=9, untried=9)).due
    assert (parked.event.key, parked.attempts) == ("A", 1)


async def test_it_is_given_up_like_what_the_sink_refuses(house: House) -> None:
    """After ``give_up_after``; what waits behind it goes on."""
    sink = FakeSink()
    await house.happen("A", record={"Name": "no amount"})
    [after] = await house.happen("A", record={"Amount": 2})
    await house.until_quiet(house.dispatcher(sink, when=BROKEN, give_up_after="1h"))
    assert sink.accepted == [after]
    assert (await house.store.outbox.backlog("crm")).dead == 1


@pytest.mark.parametrize(("mended", "sent"), [("has(record.Amount)", [1]), ("true", [0, 1]), ("false", [])])
async def test_a_mended_expression_decides_about_what_is_parked(house: House, mended: str, sent: list[int]) -> None:
    """After a restart: what it wants goes, in order, and what it does not want is done with."""
    sink = FakeSink()
    ids = await house.happen("A", record={"Name": "no amount"}) + await house.happen("A", record={"Amount": 2})
    await house.dispatcher(sink, when=BROKEN).dispatch_once()
    await house.until_quiet(house.dispatcher(sink, when=mended))
    assert sink.accepted == [ids[number] for number in sent]
    backlog = await house.store.outbox.backlog("crm")
    assert (backlog.waiting, backlog.parked, backlog.dead) == (0, 0, 0)


async def test_a_sink_is_sent_the_fields_it_asks_for(house: House) -> None:
    """Its filters see the others as well."""
    sink = FakeSink()
    await house.happen("A", record={"Id": "A", "Name": "Ann", "Amount": 2})
    await house.dispatcher(sink, when=BROKEN, fields=["name"], changed=["Status"]).dispatch_once()
    [[sent]] = sink.sends
    assert sent.cloudevent["data"]["record"] == {"Id": "A", "Name": "Ann"}
    assert sent.cloudevent["data"]["changed"] == []
