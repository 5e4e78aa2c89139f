"""Turns named ticks into APScheduler jobs; the only file that imports it.

APScheduler 3 is used with three of its defaults changed, each of which would lose turns or stop them in the middle:
``misfire_grace_time`` of one second skips a run that comes late; its ``jitter`` lengthens the period, so that the
spread is in the start times instead; ``shutdown(wait=True)`` cancels coroutines, so that we count them and wait.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from salesforce_poller.clock import Clock

#: Seconds between two looks at the clock, and how much it must have been set to count.
_WATCH_EVERY, _A_JUMP = 5.0, 2.0

#: So many calls of one tick side by side would be a defect of the tick.
_MANY = 1_000

Tick = Callable[[], Awaitable[object]]


class Scheduler:
    """Calls ticks at their intervals, each at most once at a time where it does not say otherwise, until drained."""

    def __init__(self, *, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._running: set[asyncio.Task[object]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._jobs = AsyncIOScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    def every(self, name: str, interval: timedelta, tick: Tick, *, overlapping: bool = False) -> None:
        """Call ``tick`` now, give or take a little, and then at every interval; ``overlapping``: even while it runs."""
        spread = self._rng.uniform(0, min(interval.total_seconds() / 10, 1.0))
        first = self._clock.now() + timedelta(seconds=spread)
        self._jobs.add_job(
            self._run,
            "interval",
            args=[tick],
            seconds=interval.total_seconds(),
            next_run_time=first,
            name=name,  # for people only: an org may be called like one of our own ticks
            max_instances=_MANY if overlapping else 1,
        )

    async def at_once(self, tick: Tick) -> None:
        """Call ``tick`` now, once, and wait for it; :meth:`drain` minds it as it does the others."""
        await self._run(tick)

    def start(self) -> None:
        """Begin calling. Needs a running event loop."""
        self._jobs.start()
        self._watch = asyncio.create_task(self._watch_the_clock())

    async def drain(self, grace: timedelta) -> None:
        """Call nothing any more; wait for the ticks under way, and cut off what takes longer than ``grace``."""
        if self._watch is not None:
            self._watch.cancel()
        self._jobs.pause()
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=grace.total_seconds())
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._jobs.shutdown(wait=False)

    async def _run(self, tick: Tick) -> None:
        task = asyncio.ensure_future(tick())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        with suppress(asyncio.CancelledError):  # by drain; there is nobody left to tell
            await asyncio.shield(task)

    async def _watch_the_clock(self) -> None:
        """Start every job anew when the machine's clock was set.

        APScheduler waits for a time of the wall clock; one that is set back by an hour would stop everything for it.
        """
        ahead = self._ahead()
        while True:
            await self._clock.sleep(_WATCH_EVERY)
            if abs(self._ahead() - ahead) > _A_JUMP:
                for job in self._jobs.get_jobs():
                    job.modify(next_run_time=self._clock.now())
            ahead = self._ahead()

    def _ahead(self) -> float:
        """Return how far the wall clock is ahead of the one that never jumps, in seconds."""
        return self._clock.now().timestamp() - self._clock.monotonic()
