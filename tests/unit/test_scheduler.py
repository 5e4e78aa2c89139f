"""scheduler.py: ticks are called at once, waited for or cut off at the end, and a clock that was set stops nothing."""

import asyncio
import itertools
import random
from datetime import timedelta

import pytest
from fakes import FakeClock

from salesforce_poller.clock import SystemClock
from salesforce_poller.scheduler import Scheduler, Tick

STUCK = 20


@pytest.mark.parametrize("patient", [True, False])
async def test_a_tick_under_way_is_waited_for_or_cut_off(patient: bool) -> None:
    """Nothing goes on behind the back of whoever closes the store next."""
    began, may_end, outcome = asyncio.Event(), asyncio.Event(), []

    async def tick() -> None:
        began.set()
        try:
            await may_end.wait()
        except asyncio.CancelledError:
            outcome.append("cut off")
            raise
        outcome.append("ended")

    scheduler = Scheduler(clock=SystemClock(), rng=random.Random(1))
    scheduler.every("feed", timedelta(hours=1), tick)
    scheduler.start()
    async with asyncio.timeout(STUCK):
        await began.wait()
        if patient:
            may_end.set()
        await scheduler.drain(timedelta(seconds=STUCK if patient else 0))
    assert outcome == ["ended" if patient else "cut off"]


async def test_who_says_when_to_begin_begins_then() -> None:
    """An org waits for its own place among the others, and not for chance as well; whoever says nothing, does."""

    async def tick() -> None:
        return

    clock = FakeClock()
    scheduler = Scheduler(clock=clock, rng=random.Random(1))
    minute = timedelta(minutes=1)
    at_once, soon = (scheduler.every("tick", minute, tick, after=after) for after in (timedelta(), None))
    assert at_once.job.next_run_time == clock.now() < soon.job.next_run_time


async def test_a_clock_that_is_set_gives_every_job_its_time_anew() -> None:
    """APScheduler waits for a time of the wall clock; by the new one that may lie hours away, or hours back."""
    clock = FakeClock(SystemClock().now())

    async def tick() -> None:
        return

    scheduler = Scheduler(clock=clock, rng=random.Random(1))
    scheduler.every("feed", timedelta(hours=1), tick)
    scheduler.start()
    try:
        for _ in range(5):
            await clock.sleep(0)
        clock.set(clock.now() + timedelta(hours=6))
        for _ in range(5):
            await clock.sleep(0)
        [job] = scheduler._jobs.get_jobs()
        assert timedelta(0) <= job.next_run_time - clock.now() < timedelta(hours=1)
    finally:
        await scheduler.drain(timedelta(0))


async def test_ticks_may_have_the_same_name() -> None:
    """An org may be called "tidy", as one of our own ticks is."""
    called: list[str] = []
    both = asyncio.Event()

    def named(which: str) -> Tick:
        async def tick() -> None:
            called.append(which)
            if len(called) > 1:
                both.set()

        return tick

    scheduler = Scheduler(clock=SystemClock(), rng=random.Random(1))
    scheduler.every("tidy", timedelta(hours=1), named("the org's"))
    scheduler.every("tidy", timedelta(hours=1), named("ours"))
    scheduler.start()
    try:
        async with asyncio.timeout(STUCK):
            await both.wait()
    finally:
        await scheduler.drain(timedelta(0))
    assert sorted(called) == ["ours", "the org's"]


async def test_a_tick_that_was_ended_is_waited_for_and_called_no_more() -> None:
    """The other one goes on."""
    began, may_end, again, called = asyncio.Event(), asyncio.Event(), asyncio.Event(), []

    async def tick() -> None:
        called.append("one")
        began.set()
        await may_end.wait()
        called.append("ended")

    async def other() -> None:
        again.set()

    scheduler = Scheduler(clock=SystemClock(), rng=random.Random(1))
    one = scheduler.every("one", timedelta(seconds=1), tick, overlapping=True)
    scheduler.every("other", timedelta(milliseconds=20), other)
    scheduler.start()
    try:
        async with asyncio.timeout(STUCK):
            await began.wait()
            ending = asyncio.create_task(one.end(timedelta(seconds=STUCK)))
            again.clear()
            await again.wait()
            assert not ending.done()
            may_end.set()
            await ending
            await one.at_once(tick)
            again.clear()
            await again.wait()
        assert called == ["one", "ended"]
        assert [job.name for job in scheduler._jobs.get_jobs()] == ["other"]
    finally:
        await scheduler.drain(timedelta(0))
    await one.end(timedelta(0))  # also after everything was drained


async def test_the_end_of_one_tick_cuts_off_what_takes_too_long() -> None:
    """Whoever closes what it works with comes next."""
    began, outcome = asyncio.Event(), []

    async def tick() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            outcome.append("cut off")
            raise

    scheduler = Scheduler(clock=SystemClock(), rng=random.Random(1))
    one = scheduler.every("one", timedelta(hours=1), tick)
    scheduler.start()
    try:
        async with asyncio.timeout(STUCK):
            await began.wait()
            await one.end(timedelta(0))
        assert outcome == ["cut off"]
    finally:
        await scheduler.drain(timedelta(0))


async def test_jobs_that_were_spread_stay_so_when_the_clock_is_set() -> None:
    """A thousand orgs that all become due at the moment of a correction would be due together ever after."""
    clock = FakeClock(SystemClock().now())

    async def tick() -> None:
        return

    scheduler = Scheduler(clock=clock, rng=random.Random(1))
    for number in range(4):
        scheduler.every(f"org {number}", timedelta(hours=1), tick, after=timedelta(minutes=10 + 10 * number))
    scheduler.start()
    try:
        for _ in range(5):
            await clock.sleep(0)
        clock.set(clock.now() + timedelta(hours=6))
        for _ in range(5):
            await clock.sleep(0)
        times = sorted(job.next_run_time for job in scheduler._jobs.get_jobs())
        assert times[-1] - clock.now() < timedelta(hours=1)
        apart = [after - before for before, after in itertools.pairwise(times)]
        assert all(timedelta(minutes=9) < one < timedelta(minutes=31) for one in apart)
    finally:
        await scheduler.drain(timedelta(0))


@pytest.mark.parametrize("overlapping", [False, True])
async def test_a_tick_is_called_while_it_runs_only_where_it_says_so(overlapping: bool) -> None:
    """The others are called meanwhile."""
    may_end, often, called = asyncio.Event(), asyncio.Event(), []

    async def tick() -> None:
        called.append("slow")
        await may_end.wait()

    async def other() -> None:
        called.append("other")
        if called.count("other") > 3 and called.count("slow") > overlapping:
            often.set()

    scheduler = Scheduler(clock=SystemClock(), rng=random.Random(1))
    scheduler.every("slow", timedelta(milliseconds=20), tick, overlapping=overlapping)
    scheduler.every("other", timedelta(milliseconds=20), other)
    scheduler.start()
    async with asyncio.timeout(STUCK):
        await often.wait()
        assert (called.count("slow") > 1) is overlapping
        may_end.set()
        await scheduler.drain(timedelta(seconds=STUCK))


async def test_a_tick_that_fails_is_told_of_and_called_again(caplog: pytest.LogCaptureFixture) -> None:
    """By its name, with the error."""
    again, called = asyncio.Event(), []

    async def tick() -> None:
        called.append(True)
        if len(called) > 1:
            again.set()
            return
        raise KeyError("nowhere")

    scheduler = Scheduler(clock=SystemClock(), rng=random.Random(1))
    scheduler.every("tidy", timedelta(milliseconds=20), tick)
    scheduler.start()
    async with asyncio.timeout(STUCK):
        await again.wait()
        await scheduler.drain(timedelta(seconds=STUCK))
    [told] = caplog.records
    assert told.levelname == "ERROR"
    assert 'Job "tidy' in told.getMessage()
    assert told.exc_info
    assert told.exc_info[0] is KeyError


async def test_a_tick_that_comes_before_the_others_is_called_before_them() -> None:
    """Whoever waits for a job in an hour hears of one that is due at once."""
    called = asyncio.Event()

    async def tick() -> None:
        called.set()

    scheduler = Scheduler(clock=SystemClock(), rng=random.Random(1))
    scheduler.every("later", timedelta(hours=1), tick, after=timedelta(hours=1))
    scheduler.start()
    await asyncio.sleep(0)  # noqa: TID251  # no time passes: it looks at the jobs
    scheduler.every("now", timedelta(hours=1), tick, after=timedelta(0))
    try:
        async with asyncio.timeout(STUCK):
            await called.wait()
    finally:
        await scheduler.drain(timedelta(0))
