"""Turns named ticks into APScheduler jobs, which can be ended one by one; the only file that imports it.

APScheduler 3 is used with three of its defaults changed, each of which would lose turns or stop them in the middle:
``misfire_grace_time`` of one second skips a run that comes late; its ``jitter`` lengthens the period, so that the
spread is in the start times instead; ``shutdown(wait=True)`` cancels coroutines, so that we count them and wait.

Its scheduler and executor for asyncio also serve other threads, by way of a pipe, and call every coroutine from another
one, for a tenth of what an idle poll costs. All of this program's are called in the thread of the event loop, so that
both are made here of what APScheduler has for its extension.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from apscheduler.executors.base import BaseExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.base import BaseScheduler

from salesforce_poller.clock import Clock

#: Seconds between two looks at the clock, and how much it must have been set to count.
_WATCH_EVERY, _A_JUMP = 5.0, 2.0

#: So many calls of one tick side by side would be a defect of the tick.
_MANY = 1_000

Tick = Callable[[], Awaitable[object]]


class Ticking:
    """One tick of the scheduler, its calls under way, and the way to end it."""

    def __init__(self, scheduler: "Scheduler") -> None:
        self._scheduler = scheduler
        self._running: set[asyncio.Future[object]] = set()
        #: What APScheduler knows it by; set by :meth:`Scheduler.every`.
        self.job: Any = None
        self._ended = False

    async def at_once(self, tick: Tick) -> None:
        """Call ``tick`` now and wait for it; :meth:`end` minds it as it does the others. Does nothing after it."""
        if not self._ended:
            with suppress(asyncio.CancelledError):  # by whoever ends it; there is nobody left to tell
                await asyncio.shield(self.begin(tick))

    def begin(self, tick: Tick) -> "asyncio.Future[object]":
        """Call ``tick`` now; as :meth:`at_once`, but without waiting."""
        return self._scheduler.begin(tick, self._running)

    async def end(self, grace: timedelta) -> None:
        """Call this tick no more; wait for its calls under way, and cut off what takes longer than ``grace``."""
        self._ended = True
        with suppress(JobLookupError):  # the whole scheduler was drained meanwhile
            self.job.remove()
        await _finish(self._running, grace)


class Scheduler:
    """Calls ticks at their intervals, each at most once at a time where it does not say otherwise, until drained."""

    def __init__(self, *, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._running: set[asyncio.Future[object]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._jobs = _Jobs(
            timezone="UTC", job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        )

    def every(
        self,
        name: str,
        interval: timedelta,
        tick: Tick,
        *,
        overlapping: bool = False,
        after: timedelta | None = None,
    ) -> Ticking:
        """Call ``tick`` soon, and then at every interval.

        Args:
            name: for people.
            interval: from one call to the next.
            tick: is called.
            overlapping: even while it runs.
            after: waits exactly so long before the first call; None: for up to a second, as chance has it.
        """
        if after is None:
            after = timedelta(seconds=self._rng.uniform(0, min(interval.total_seconds() / 10, 1.0)))
        first = self._clock.now() + after
        ticking = Ticking(self)
        ticking.job = self._jobs.add_job(
            ticking.begin,
            "interval",
            args=[tick],
            seconds=interval.total_seconds(),
            next_run_time=first,
            name=name,  # for people only: an org may be called like one of our own ticks
            max_instances=_MANY if overlapping else 1,
        )
        return ticking

    def start(self) -> None:
        """Begin calling. Needs a running event loop."""
        self._jobs.start()
        self._watch = asyncio.create_task(self._watch_the_clock())

    async def drain(self, grace: timedelta) -> None:
        """Call nothing any more; wait for the ticks under way, and cut off what takes longer than ``grace``."""
        if self._watch is not None:
            self._watch.cancel()
        self._jobs.pause()
        await _finish(self._running, grace)
        self._jobs.shutdown(wait=False)

    def begin(self, tick: Tick, among: set[asyncio.Future[object]]) -> asyncio.Future[object]:
        """Call ``tick``, without waiting; it counts ``among`` these, and among those that :meth:`drain` minds."""
        task = asyncio.ensure_future(tick())
        for tasks in (among, self._running):
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        return task

    async def _watch_the_clock(self) -> None:
        """Give every job its next time anew when the machine's clock was set: within its interval, as it was.

        APScheduler waits for a time of the wall clock; one that is set back by an hour would stop everything for it.
        Not all at once: what was spread over an interval stays so.
        """
        ahead = self._ahead()
        while True:
            await self._clock.sleep(_WATCH_EVERY)
            if abs(self._ahead() - ahead) > _A_JUMP:
                now = self._clock.now()
                for job in self._jobs.get_jobs():
                    job.modify(next_run_time=now + (job.next_run_time - now) % job.trigger.interval)
            ahead = self._ahead()

    def _ahead(self) -> float:
        """Return how far the wall clock is ahead of the one that never jumps, in seconds."""
        return self._clock.now().timestamp() - self._clock.monotonic()


async def _finish(running: set[asyncio.Future[object]], grace: timedelta) -> None:
    """Wait for these, and cut off what takes longer than ``grace``."""
    if running:
        _, late = await asyncio.wait(running, timeout=grace.total_seconds())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


class _Jobs(BaseScheduler):  # type: ignore[misc]  # APScheduler has no types
    """APScheduler's part in the loop's own thread: works when the next job is due, or when jobs have changed."""

    _next: asyncio.Handle | None = None

    def start(self, paused: bool = False) -> None:
        """Begin, on the loop that is running."""
        self._loop = asyncio.get_running_loop()
        super().start(paused)

    def shutdown(self, wait: bool = True) -> None:
        """End; jobs under way go on."""
        super().shutdown(wait)
        if self._next is not None:
            self._next.cancel()

    def wakeup(self) -> None:
        """Look at the jobs soon: there may be one that is due earlier."""
        if self._next is not None:
            self._next.cancel()
        self._next = self._loop.call_soon(self._work)

    def _work(self) -> None:
        wait = self._process_jobs()
        self._next = None if wait is None else self._loop.call_later(wait, self._work)

    def _create_default_executor(self) -> "_Tasks":
        return _Tasks()


class _Tasks(BaseExecutor):  # type: ignore[misc]  # APScheduler has no types
    """Calls jobs that begin a task and return it; one is under way until its task is done."""

    def _do_submit_job(self, job: Any, _run_times: list[datetime]) -> None:
        job.func(*job.args).add_done_callback(partial(self._done, job))

    def _done(self, job: Any, task: asyncio.Future[object]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._logger.error('Job "%s" raised an exception', job, exc_info=error)
        self._run_job_success(job.id, [])
