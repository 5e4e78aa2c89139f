"""Turns named ticks into APScheduler jobs; the only file that imports it.

APScheduler 3 is used with three of its defaults changed, each of which would lose turns or stop them in the middle:
``misfire_grace_time`` of one second skips a run that comes late; its ``jitter`` lengthens the period, so that the
spread is in the start times instead; ``shutdown(wait=True)`` cancels coroutines, so that we count them and wait.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from salesforce_poller.clock import Clock

Tick = Callable[[], Awaitable[object]]


class Scheduler:
    """Calls ticks at their intervals, each at most once at a time, until drained."""

    def __init__(self, *, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._running: set[asyncio.Task[object]] = set()
        self._jobs = AsyncIOScheduler(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    def every(self, name: str, interval: timedelta, tick: Tick) -> None:
        """Call ``tick`` now, give or take a little, and then at every interval."""
        spread = self._rng.uniform(0, min(interval.total_seconds() / 10, 1.0))
        first = self._clock.now() + timedelta(seconds=spread)
        self._jobs.add_job(
            self._run,
            "interval",
            args=[tick],
            seconds=interval.total_seconds(),
            next_run_time=first,
            id=name,
            name=name,
        )

    def start(self) -> None:
        """Begin calling. Needs a running event loop."""
        self._jobs.start()

    async def drain(self) -> None:
        """Call nothing any more, and wait for the ticks that are under way."""
        self._jobs.pause()
        while self._running:
            await asyncio.wait(self._running)
        self._jobs.shutdown(wait=False)

    async def _run(self, tick: Tick) -> None:
        task = asyncio.ensure_future(tick())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        await asyncio.shield(task)
