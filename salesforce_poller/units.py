"""What a process can work for, each with a beginning and an end of its own: an org to poll, a sink to deliver to.

A unit is opened (its parts are there, nothing is asked or sent yet), begun, and stopped: the page or the sends in hand
are finished and written down. ``crew.py`` decides when; ``app.py`` has the map of what happens in between.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import structlog

from salesforce_poller.admin.lookout import OrgNow
from salesforce_poller.clock import Clock
from salesforce_poller.config import OrgConfig
from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.errors import LeaseLost, StoreError, TryLater
from salesforce_poller.model import DispatchReport, Lease, PollFailure, PollReport
from salesforce_poller.polling import forecast
from salesforce_poller.polling.budget import Budget
from salesforce_poller.polling.fleet import Fleet, Member
from salesforce_poller.polling.pace import Rider
from salesforce_poller.polling.poller import Feed
from salesforce_poller.polling.timetable import wait_before
from salesforce_poller.salesforce.client import Org
from salesforce_poller.salesforce.sharing import Seat
from salesforce_poller.scheduler import Scheduler, Ticking
from salesforce_poller.sinks import catalogue
from salesforce_poller.sinks.base import SinkSettings
from salesforce_poller.store.store import Store

log = structlog.get_logger()

#: How long work in hand may go on after the end was asked for; then it is cut off, which loses nothing and repeats a
#: little.
GRACE = timedelta(seconds=8)
_STORE_AGAIN, _LEASE_AGAIN = timedelta(seconds=10), timedelta(seconds=1)
#: So many orgs begin at a time: each logs in and describes all its objects. One that gets no answer makes the next wait
#: for so many seconds at most.
_BEGIN_AT_ONCE, _BEGIN_WITHIN = 20, 5.0
#: Settings that name files, which are read when a sink is made: certificates are renewed under the same name.
_FILES = ("ca", "client_certificate", "client_key")


#: What a unit runs with.
Settings = OrgConfig | SinkSettings
#: When the files that settings name were written (nanoseconds), and how long they are; None for one that is not there.
Stamps = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Tools:
    """What every unit works with."""

    store: Store
    scheduler: Scheduler
    clock: Clock
    rng: random.Random
    #: Told of each turn of a feed, and of each round of a sink.
    polled: Callable[[PollReport | PollFailure], None]
    dispatched: Callable[[DispatchReport], None]
    #: Told of each call that is sent to an org: to which, and its kind.
    called: Callable[[str, str], None] = lambda _org, _kind: None
    #: Whether no other process can be working under a later lease; see ``cluster/membership.py``.
    holds: Callable[[Lease], bool] = lambda _lease: True
    #: Held by the orgs that are at their first tick.
    beginners: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_BEGIN_AT_ONCE))


class OrgUnit:
    """An org: its budget, its client, its fleet and its tick. Satisfies ``polling/helm.py:Polled``."""

    def __init__(self, lease: Lease, settings: OrgConfig, tools: Tools) -> None:
        self.lease = lease
        self.settings = settings
        self.stamps = stamps(settings)
        name, self._tools = lease.duty.name, tools
        self._store = tools.store.under(lease)
        riders = [Rider(feed.every, feed.priority) for feed in settings.objects.values()]
        self._budget = Budget(
            name,
            settings.api_budget,
            riders,
            beside_polls=forecast.beside_polls(settings.objects),
            calls=self._store.calls,
            clock=tools.clock,
            rng=tools.rng,
            called=tools.called,
        )
        keeper = self._store.secrets.keeper(name, tools.clock)
        self.org = Org(name, settings, clock=tools.clock, meter=self._budget, keeper=keeper)
        members = [self._member(object_name) for object_name in settings.objects]
        self._fleet = Fleet(name, members, seat=Seat(self.org), budget=self._budget, clock=tools.clock)
        self._opened = False
        #: Whether the first tick waits for its turn; whether it had it.
        self._beginning = self._begun = False
        self._ticking: Ticking | None = None

    @property
    def fleet(self) -> Fleet:
        """Its feeds."""
        return self._fleet

    def now(self) -> OrgNow:
        """Say how the org stands."""
        try:
            skew = self.org.server_now() - self._tools.clock.now()
        except TryLater:  # it has not answered anything yet
            skew = None
        budget = self._budget
        return OrgNow(self.org.name, budget.spent, budget.limit, budget.stretch, budget.resting, skew)

    def _member(self, object_name: str) -> Member:
        seat, halt, tools = Seat(self.org), asyncio.Event(), self._tools
        feed = Feed(
            object_name,
            self.settings.objects[object_name],
            org=seat,
            store=self._store.feeds,
            clock=tools.clock,
            rng=tools.rng,
            stop=halt,
            report=tools.polled,
            roomy=self._budget.is_roomy,
        )
        return Member(feed, seat, halt=halt)

    async def open(self) -> None:
        """Read what was asked of the org before, and which of its feeds are paused. Raises StoreError.

        What a person says of a feed from here on must reach this unit: it holds, whatever is read.
        """
        paused = [one.object for one in await self._tools.store.pauses.all() if one.org == self.lease.duty.name]
        self._fleet.recall(paused)
        await self._budget.open()
        self._opened = True

    async def begin(self, beginners: int = 1) -> None:
        """Give the feeds their turns from now on; so many orgs begin at this moment."""
        after = wait_before(self._fleet.name, beginners, self._fleet.step)
        self._ticking = self._tools.scheduler.every(
            self._fleet.name, self._fleet.step, self._tick, overlapping=True, after=after
        )

    async def _tick(self) -> None:
        """Tick; the first time as one of a few, so that a thousand orgs do not all wait for each other."""
        if self._begun:
            await self._fleet.tick()
            return
        if self._beginning:
            return
        self._beginning = True
        async with self._tools.beginners:
            self._begun = True
            first = asyncio.ensure_future(self._fleet.tick())
            try:
                await asyncio.wait([first], timeout=_BEGIN_WITHIN)
            except asyncio.CancelledError:
                first.cancel()
                await asyncio.gather(first, return_exceptions=True)  # what it works with is closed next
                raise
        await first

    async def at_once(self, tick: Callable[[], Awaitable[object]]) -> None:
        """Call something now, and mind it when the org is left; nothing is called before it begins."""
        if self._ticking is not None:
            await self._ticking.at_once(tick)

    def halt(self) -> None:
        """End every turn with the page in hand, and begin none."""
        self._fleet.halt()

    async def stop(self) -> None:
        """Finish the pages in hand, write down what was asked, and hang up."""
        self.halt()
        if self._ticking is not None:
            await self._ticking.end(GRACE)
        try:
            if self._opened:
                await self._budget.close()
        except LeaseLost as exc:
            log.debug("store.refused", org=self.lease.duty.name, error=str(exc))
        except StoreError as exc:
            # What was counted beforehand stands; the ledger has a few calls too many.
            log.warning("store.failed", org=self.lease.duty.name, error=str(exc))
        finally:
            await self.org.close()


class SinkUnit:
    """A sink: its dispatcher, what wakes it, and the task in which it delivers."""

    def __init__(self, lease: Lease, settings: SinkSettings, tools: Tools) -> None:
        self.lease = lease
        self.settings = settings
        self.stamps = stamps(settings)
        self._tools = tools
        store = tools.store.under(lease)
        sink = catalogue.build(settings, tools.clock)
        # Sinks never see the org; what describe says, they hear from the store.
        sink.learn(store.described.of)
        self.dispatcher = Dispatcher(
            lease.duty.name,
            settings,
            sink,
            store.outbox,
            clock=tools.clock,
            rng=tools.rng,
            current=partial(tools.holds, lease),
        )
        self._stop = asyncio.Event()
        self._store_fails = False
        self._forget: list[Callable[[], None]] = []
        self._delivering: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Nothing is to be read beforehand: each round asks the store."""

    async def begin(self, broken: Callable[[Exception], None]) -> None:
        """Deliver from now on; ``broken`` is told of a defect that ends it. Raises what opening the sink raises."""
        wake = self._woken()
        task = asyncio.create_task(self._deliver(wake))
        opened = asyncio.create_task(self.dispatcher.opened.wait())
        self._delivering = task
        await asyncio.wait([task, opened], return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if task.done() and not task.cancelled() and (failed := task.exception()):
            self._fall_silent()
            self._delivering = None
            raise failed
        task.add_done_callback(lambda _: self._check(broken))

    def halt(self) -> None:
        """Begin no more sends."""
        self._stop.set()

    async def stop(self) -> None:
        """Finish the sends in hand, write down what became of them, and close the sink. Raises what that raises."""
        self.halt()
        if self._delivering is not None:
            await asyncio.wait([self._delivering], timeout=GRACE.total_seconds())
            self._delivering.cancel()
            [outcome] = await asyncio.gather(self._delivering, return_exceptions=True)
            self._fall_silent()
            if isinstance(outcome, Exception):
                raise outcome

    def _woken(self) -> asyncio.Event:
        """Return what is set whenever there are new events, or a person owes the sink some again or has paused it."""
        wake, store = asyncio.Event(), self._tools.store
        self._forget = [
            store.feeds.on_events(wake.set),
            store.repairs.on_owed(wake.set),
            store.outbox.on_pause(self.dispatcher.cut_short),
            store.outbox.on_pause(lambda _sink: wake.set()),
        ]
        return wake

    def _fall_silent(self) -> None:
        forget, self._forget = self._forget, []
        for each in forget:
            each()

    def _check(self, broken: Callable[[Exception], None]) -> None:
        task = self._delivering
        assert task is not None
        if not self._stop.is_set() and not task.cancelled() and isinstance(failed := task.exception(), Exception):
            broken(failed)

    def _dispatched(self, report: DispatchReport) -> None:
        self._store_fails = False
        self._tools.dispatched(report)

    async def _deliver(self, wake: asyncio.Event) -> None:
        while not self._stop.is_set():
            try:
                await self.dispatcher.run(wake, self._stop, self._dispatched)
            except LeaseLost as exc:
                # Nothing was written; if the sink is not ours any more, we are stopped in a moment.
                log.debug("store.refused", sink=self.lease.duty.name, error=str(exc))
                await self._pause(_LEASE_AGAIN)
            except StoreError as exc:
                # A full disk, say: nothing is lost, and it goes on when there is room again.
                tell = log.debug if self._store_fails else log.warning  # said once, until a round works again
                tell("store.failed", sink=self.lease.duty.name, error=str(exc), next_try_s=_STORE_AGAIN.total_seconds())
                self._store_fails = True
                await self._pause(_STORE_AGAIN)

    async def _pause(self, span: timedelta) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), span.total_seconds())


Unit = OrgUnit | SinkUnit


def stamps(settings: Settings) -> Stamps:
    """Return what tells whether the files that settings name have changed."""
    named = [getattr(settings, key, None) for key in _FILES]
    return tuple(_stamp(path) for path in named if isinstance(path, Path))


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
