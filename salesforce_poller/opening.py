"""Opens what must be there before anything works: the store, the sinks in it, our place among those who share it.

Called by ``app.py``. A daemon and its database are often started at the same moment, so a database that is not there
is waited for, as it is later, too; what waiting cannot mend is raised. Commands open the store themselves, and do not
wait.
"""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import datetime
from typing import Any, TypeVar

import structlog

from salesforce_poller.clock import Clock, SystemClock
from salesforce_poller.cluster.membership import Membership
from salesforce_poller.config import Config
from salesforce_poller.crew import TIDY, duties
from salesforce_poller.errors import ConfigError, Stopped, StoreAway
from salesforce_poller.store.store import Store

if sys.platform != "win32":
    import resource

log = structlog.get_logger()

T = TypeVar("T")
#: Enough for tens of thousands of orgs; the usual 1,024 are not for one thousand.
_MANY_FILES = 65_536
#: Seconds between two tries.
_AGAIN = 1.0


def allow_many_files() -> None:
    """Let this process have as many files open as the system allows, within reason: each org's connections are some."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MANY_FILES if hard == resource.RLIM_INFINITY else min(_MANY_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # some systems have a limit below the one they tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@asynccontextmanager
async def the_store(config: Config, name: str, clock: Clock, stop: asyncio.Event) -> AsyncIterator[Store]:
    """Open the store under the name of this process, and hear what others tell in it.

    Raises:
        StoreError: it cannot be used, and waiting does not help.
        Stopped: ``stop`` was set while it was waited for.
    """
    async with AsyncExitStack() as stack:
        store = Store(config.store.url, keys=config.store.keys, process=name)
        await when_there(lambda: stack.enter_async_context(store), clock, stop)
        # By the real clock: whether a line is dead is found out by waiting for an answer.
        await _unless(stop, stack.enter_async_context(store.listening(SystemClock())))
        yield store


async def when_there(act: Callable[[], Coroutine[Any, Any, T]], clock: Clock, stop: asyncio.Event) -> T:
    """Do something with the store, again and again until the store is there; it must bear to be done twice.

    Raises what it raises otherwise, and Stopped when ``stop`` is set meanwhile.
    """
    away = False
    while True:
        try:
            found = await _unless(stop, act())
        except StoreAway as exc:
            tell = log.debug if away else log.warning  # said once, until it is there
            tell("store.away", error=str(exc), next_try_s=_AGAIN)
            away = True
            await _unless(stop, clock.sleep(_AGAIN))
        else:
            if away:
                log.info("store.back")
            return found


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """See something through, unless the program is to end: then it is cut off. Raises Stopped."""
    working, ending = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([working, ending], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Stopped("the program is stopping")
        return working.result()
    finally:
        for task in (working, ending):
            task.cancel()
        await asyncio.gather(working, ending, return_exceptions=True)


def membership(config: Config, store: Store, name: str, clock: Clock) -> Membership:
    """Return our place among those who share the store; nobody knows of us yet."""
    host, lease = socket.gethostname(), config.store.lease
    made = Membership(store.leases, host=host, pid=os.getpid(), name=name, lease=lease, clock=clock)
    made.want([*duties(config), TIDY])
    return made


async def the_sinks(store: Store, config: Config, clock: Clock) -> None:
    """Make the sinks of a configuration ready at the start. Raises ConfigError, StoreError."""
    await ensure_sinks(store, config, clock, list(config.sinks))
    await resume_sinks(store, list(config.sinks))


async def ensure_sinks(store: Store, config: Config, clock: Clock, wanted: Iterable[str]) -> None:
    """Make new sinks known, each where it starts; say loudly when an old one comes back too late for some events."""
    starts = {name: config.sinks[name].start for name in wanted}
    for name, start in starts.items():
        if isinstance(start, datetime) and start > clock.now() and not await store.outbox.knows(name):
            raise ConfigError([f"sinks.{name}.start: lies in the future; a new sink can begin now, or in the past"])
    await store.outbox.ensure_sinks(starts, starts)
    for name in starts:
        if missed := await store.outbox.missed(name):
            # Only a sink that was not configured for a while: what a configured one is owed is never pruned.
            log.warning("sink.events_lost_to_retention", sink=name, events=missed)


async def resume_sinks(store: Store, wanted: Iterable[str]) -> None:
    """Try sinks again that were switched off: a restart, or a change, is a person's way of saying that it is mended.

    One that still fails is switched off again at once. What a person paused stays so.
    """
    for name in wanted:
        state = await store.outbox.sink(name)
        if state.paused and not state.paused_by_person:
            await store.outbox.resume(name, forgive=False)
            log.warning("sink.resumed", sink=name, was_paused_for=state.paused)
