"""scheduler.py: ticks are called at once, waited for or cut off at the end, and a clock that was set stops nothing."""

import asyncio
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


async def test_a_clock_that_is_set_starts_every_job_anew() -> None:
    """APScheduler waits for a time of the wall clock; by the new one that may be hours away."""
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
        assert abs(job.next_run_time - clock.now()) < timedelta(minutes=2)
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
