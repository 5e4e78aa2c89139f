"""Who works for which org and which sink in this process, and how that changes while it runs: :meth:`Crew.apply`.

One routine compares what is at work with what the configuration says and what this process holds, stops what must
not go on and starts what is missing; asked twice it does nothing the second time. ``app.py`` calls it at the start,
when the configuration was read again, and when ``cluster/membership.py`` holds something else than before. What is
started and stopped is in ``units.py``.
"""

import asyncio
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from salesforce_poller.admin.lookout import Running
from salesforce_poller.config import Config, OrgConfig
from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.errors import NotNow, PollerError
from salesforce_poller.model import Duty, Lease
from salesforce_poller.polling.fleet import Fleet
from salesforce_poller.salesforce.client import Org
from salesforce_poller.units import OrgUnit, Settings, SinkUnit, Tools, Unit, stamps

log = structlog.get_logger()

#: Keeping the store small: of several processes, one does.
TIDY = Duty("house", "tidy")


@dataclass(slots=True)
class Changes:
    """What one :meth:`Crew.apply` came to."""

    started: list[Duty] = field(default_factory=list)
    stopped: list[Duty] = field(default_factory=list)
    #: Stopped, and started with other settings or under another lease.
    restarted: list[Duty] = field(default_factory=list)
    unchanged: list[Duty] = field(default_factory=list)
    #: Should be at work and could not be started, and why, in one line; tried again by the next call.
    failed: dict[Duty, str] = field(default_factory=dict)


def everything(config: Config) -> dict[Duty, Lease]:
    """Return the leases of a process that has the store for itself: all there is to hold."""
    return {duty: Lease(duty, "", 0) for duty in duties(config)}


def duties(config: Config) -> dict[Duty, Settings]:
    """Return what there is to do, with its settings: first the orgs, then the sinks."""
    found: dict[Duty, Settings] = {Duty("org", name): org for name, org in config.orgs.items()}
    return found | {Duty("sink", name): sink for name, sink in config.sinks.items()}


class Crew:
    """The units at work. Until :meth:`begin` they are only opened, and what fails is raised."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._units: dict[Duty, Unit] = {}
        self._begun = self._closed = False
        self._turn = asyncio.Lock()
        #: What was asked for last, and the call that will see to it once the one before has ended.
        self._wanted: tuple[Config, Mapping[Duty, Lease]] | None = None
        self._next: asyncio.Task[Changes] | None = None
        #: Calls of orgs that are not polled any more.
        self._calls_before = 0
        #: How many orgs begin together: they spread their first polls.
        self._beginners = 0
        #: Set when a defect has ended a unit; the program should end with :attr:`defect`.
        self.broken = asyncio.Event()
        self.defect: Exception | None = None
        #: What should be at work and is not, and why.
        self.lacking: Mapping[Duty, str] = {}

    # ------------------------------------------------------------------ who is there

    @property
    def orgs(self) -> dict[str, Org]:
        """The clients of the orgs that are polled, by name."""
        return {duty.name: unit.org for duty, unit in self._units.items() if isinstance(unit, OrgUnit)}

    @property
    def fleets(self) -> list[Fleet]:
        """The fleets of the orgs that are polled."""
        return [unit.fleet for unit in self._units.values() if isinstance(unit, OrgUnit)]

    @property
    def dispatchers(self) -> list[Dispatcher]:
        """The dispatchers of the sinks that are delivered to."""
        return [unit.dispatcher for unit in self._units.values() if isinstance(unit, SinkUnit)]

    @property
    def calls(self) -> int:
        """API requests that were sent so far, by those who have gone, too."""
        return self._calls_before + sum(org.calls for org in self.orgs.values())

    def running(self, config: Callable[[], Config]) -> Running:
        """Return what is asked for metrics: what the configuration in effect names, and what is at work of it."""
        return Running(
            lambda: {(org, key): feed.every for org, one in config().orgs.items() for key, feed in one.objects.items()},
            lambda: list(config().sinks),
            lambda: (unit.now() for unit in list(self._units.values()) if isinstance(unit, OrgUnit)),
            lambda: Counter(duty.kind for duty in self._units),
        )

    def polled(self, org: str) -> OrgUnit | None:
        """Return the unit of an org; None when this process does not poll it."""
        unit = self._units.get(Duty("org", org))
        return unit if isinstance(unit, OrgUnit) else None

    # ------------------------------------------------------------------ life

    async def begin(self) -> None:
        """Let what was opened work, and whatever is started later. Raises what a sink raises that cannot be opened."""
        async with self._turn:
            self._begun = True
            self._beginners = len(self.fleets)
            # Sinks first: one that cannot be opened at the start ends the program, before anything was asked.
            for unit in sorted(self._units.values(), key=lambda unit: isinstance(unit, OrgUnit)):
                await self._set_to_work(unit)

    async def apply(self, config: Config, held: Mapping[Duty, Lease]) -> Changes:
        """Have those at work that are configured and held, with these settings and under these leases.

        Calls never overlap; of those that come while one is under way the last one wins, and answers for all of them.

        Raises:
            PollerError: something could not be opened, before :meth:`begin`; after it that is told in the log.
            NotNow: the program is ending.
        """
        self._wanted = config, held
        if self._next is None:
            self._next = asyncio.create_task(self._when_it_is_our_turn())
        # Not to be cut off in the middle: whoever asked may go away.
        return await asyncio.shield(self._next)

    async def close(self) -> None:
        """Stop everybody; afterwards nobody can be started. Raises the first of what stopping them raised."""
        self._closed = True
        for unit in list(self._units.values()):
            unit.halt()
        async with self._turn:
            going = list(self._units)
            outcomes = await asyncio.gather(*map(self._stop, going), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    # ------------------------------------------------------------------ one change

    async def _when_it_is_our_turn(self) -> Changes:
        async with self._turn:
            self._next = None
            assert self._wanted is not None
            return await self._apply(*self._wanted)

    async def _apply(self, config: Config, held: Mapping[Duty, Lease]) -> Changes:
        if self._closed:
            raise NotNow("the daemon is stopping")
        wanted = {duty: settings for duty, settings in duties(config).items() if duty in held}
        changes = Changes()
        going = [duty for duty in self._units if duty not in wanted]
        self._beginners = sum(duty.kind == "org" and not self._goes_on(held[duty], wanted[duty]) for duty in wanted)
        gone = asyncio.ensure_future(asyncio.gather(*(self._leave(duty, changes) for duty in going)))
        took_over = [self._take_over(held[duty], settings, gone, changes) for duty, settings in wanted.items()]
        failures = await asyncio.gather(*took_over, return_exceptions=True)
        await gone
        self.lacking = dict(changes.failed)
        for failure in failures:
            if isinstance(failure, BaseException):
                raise failure
        return changes

    async def _leave(self, duty: Duty, changes: Changes) -> None:
        await self._stop_whatever_happens(duty)
        changes.stopped.append(duty)

    def _goes_on(self, lease: Lease, settings: Settings) -> bool:
        present = self._units.get(lease.duty)
        return present is not None and _is_as_wanted(present, lease, settings)

    async def _take_over(
        self, lease: Lease, settings: Settings, gone: asyncio.Future[list[None]], changes: Changes
    ) -> None:
        """Have one unit at work as it should be."""
        duty = lease.duty
        present = self._units.get(duty)
        if self._goes_on(lease, settings):
            changes.unchanged.append(duty)
            return
        if present:
            await self._stop_whatever_happens(duty)
        else:
            # Under its new name something may write to the same file, or log in with the same token.
            await asyncio.wait([gone])
        if self._closed:
            return
        try:
            await self._start(lease, settings)
        except Exception as exc:
            if not self._begun:
                raise
            changes.failed[duty] = _told(exc)
            log.warning("unit.not_started", unit=str(duty), error=_told(exc))
            return
        (changes.restarted if present else changes.started).append(duty)

    async def _start(self, lease: Lease, settings: Settings) -> None:
        """Make a unit and let it work. Raises what it raises; then there is none."""
        unit: Unit
        if isinstance(settings, OrgConfig):
            unit = OrgUnit(lease, settings, self._tools)
        else:
            unit = SinkUnit(lease, settings, self._tools)
        self._units[lease.duty] = unit  # before it reads what people have said: what they say now reaches it
        try:
            await unit.open()
            if self._begun:
                await self._set_to_work(unit)
        except BaseException:
            await self._stop_whatever_happens(lease.duty)
            raise

    async def _set_to_work(self, unit: Unit) -> None:
        if isinstance(unit, OrgUnit):
            await unit.begin(self._beginners)
        else:
            await unit.begin(self._break)

    def _break(self, defect: Exception) -> None:
        self.defect = self.defect or defect
        self.broken.set()

    async def _stop_whatever_happens(self, duty: Duty) -> None:
        """Stop a unit while others go on: a defect of its end is told and does not end them."""
        try:
            await self._stop(duty)
        except Exception as exc:  # noqa: BLE001  # whatever it is, it is over
            log.error("unit.bug", unit=str(duty), error=_told(exc))  # noqa: TRY400  # what it says may hold secrets

    async def _stop(self, duty: Duty) -> None:
        unit = self._units.pop(duty)  # first of all: what a person says from now on is for who comes after it
        try:
            await unit.stop()
        finally:
            if isinstance(unit, OrgUnit):
                self._calls_before += unit.org.calls


def names(found: Iterable[Duty]) -> list[str]:
    """Return duties in order, as people know them: ``org:acme``, ``sink:crm``."""
    return [str(duty) for duty in sorted(found)]


def _is_as_wanted(unit: Unit, lease: Lease, settings: Settings) -> bool:
    same = unit.lease.fence == lease.fence and unit.settings == settings
    return same and unit.stamps == stamps(settings)


def _told(error: Exception) -> str:
    """Say why something did not start or end; of a defect where it is, since what a library says may hold secrets."""
    if isinstance(error, PollerError | OSError):
        return str(error)
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"unexpected {type(error).__name__} in {Path(at.filename).name}:{at.lineno}"
