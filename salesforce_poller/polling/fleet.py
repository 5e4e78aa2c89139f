"""All feeds of one org: who is due, and that those who are due together ride together.

The scheduler calls :meth:`Fleet.tick` at every step of the org's timetable. ``timetable.py`` says who is due,
``budget.py`` whether and how fast, ``salesforce/sharing.py`` carries the questions of those who ride; each feed's turn
is its own affair (``poller.py``), and so is its failure.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from salesforce_poller.clock import Clock, write_span
from salesforce_poller.errors import LeaseLost, NotNow, PollerError, StoreError
from salesforce_poller.polling import pace
from salesforce_poller.polling.budget import Budget
from salesforce_poller.polling.poller import Feed
from salesforce_poller.polling.timetable import is_due, step_of
from salesforce_poller.salesforce.questions import MOST_QUERIES
from salesforce_poller.salesforce.sharing import Seat

log = structlog.get_logger()

#: How often the org is asked for its limits, beyond what every answer says of them.
_LIMITS_EVERY = timedelta(days=1).total_seconds()
#: A budget that has fewer calls than this left keeps them for polls.
_CALLS_TO_SPARE = 20
#: Feeds of long intervals are looked at this often as well: one whose turn did not work out must not wait for the next.
_LOOK_EVERY = timedelta(minutes=1)


@dataclass(slots=True)
class Member:
    """One feed of the fleet, its seat, and the step at which it last had its turn."""

    feed: Feed
    seat: Seat
    last: int | None = None
    #: Ends the feed's turn with the page in hand; set while a person has paused it, and at the end of the program.
    halt: asyncio.Event = field(default_factory=asyncio.Event)
    paused: bool = False
    #: True from the moment at which it was chosen for a turn until that ends.
    riding: bool = False


class Fleet:
    """The feeds of one org."""

    def __init__(self, name: str, members: Sequence[Member], *, seat: Seat, budget: Budget, clock: Clock) -> None:
        self.name = name
        self.step = step_of([_LOOK_EVERY, *(member.feed.settings.every for member in members)])
        self._members = members
        self._seat = seat
        self._budget = budget
        self._clock = clock
        #: The step of the last tick that counted, and when that was (monotonic seconds).
        self._last_step = 0
        self._last_tick: float | None = None
        self._limits_due = 0.0
        self._outlook_told = False
        self._store_fails = False
        self._halted = False
        #: Feeds of which a person has said something since this fleet was made.
        self._told: set[str] = set()

    @property
    def objects(self) -> list[str]:
        """The names of its objects."""
        return [member.feed.object for member in self._members]

    async def tick(self) -> None:
        """Give every feed that is due its turn. Ticks may overlap; a feed that is still busy is passed over."""
        step = self._step_now()
        self._budget.reconsider()
        due = [] if self._budget.resting else [member for member in self._members if self._is_due(member, step)]
        if self._budget.probing:
            # One request is enough to find out; those who have waited longest ask it.
            due = sorted(due, key=lambda member: -1 if member.last is None else member.last)[:MOST_QUERIES]
        for member in due:
            member.last = step
        await self._ride(due)
        self._tell_outlook()
        try:
            await self._budget.note()
            self._store_fails = False
        except LeaseLost as exc:
            log.debug("store.refused", org=self.name, error=str(exc))  # whoever holds the leases tells of it
        except StoreError as exc:
            tell = log.debug if self._store_fails else log.warning  # said once, until it works again
            tell("store.failed", org=self.name, error=str(exc))
            self._store_fails = True

    def pause(self, object_name: str) -> None:
        """Give a feed no more turns until :meth:`resume`; one under way ends with its page."""
        self._told.add(object_name)
        member = self._member(object_name)
        member.paused = True
        member.halt.set()

    def doubt(self) -> None:
        """Build upon nothing that is not read again: another server may have taken over that lacks the last moments."""
        self._budget.doubt()
        for member in self._members:
            member.feed.doubt()

    def look_anew(self, paused: Collection[str]) -> None:
        """Pause and resume feeds as the store has it: what was said meanwhile may not have been heard."""
        for member in [] if self._halted else self._members:
            if member.paused != (member.feed.object in paused):
                (self.resume if member.paused else self.pause)(member.feed.object)

    def recall(self, paused: Collection[str]) -> None:
        """Pause the feeds that were paused before this fleet was made, but for those that were resumed since."""
        for member in self._members:
            if member.feed.object in paused and member.feed.object not in self._told:
                self.pause(member.feed.object)

    def resume(self, object_name: str) -> None:
        """Give a feed its turns again; it is due at once."""
        self._told.add(object_name)
        member = self._member(object_name)
        member.paused, member.last = False, None
        member.halt.clear()

    async def poll_now(self, object_name: str) -> bool | None:
        """Give a feed a turn now, also one that rests after a failure; says whether it worked out.

        None where a turn is under way already.

        Raises:
            NotNow: the whole org is left alone for a while.
        """
        member = self._member(object_name)
        if self._budget.resting:
            raise NotNow(f"{self.name} is not asked anything at the moment; `salesforce-poller status` says until when")
        if member.riding:
            return None
        member.feed.hurry()
        member.last = self._step_now()
        await self._ride([member])
        return not member.feed.behind

    def halt(self) -> None:
        """End every turn with the page in hand, and begin none."""
        self._halted = True
        for member in self._members:
            member.paused = True
            member.halt.set()

    def _member(self, object_name: str) -> Member:
        return next(member for member in self._members if member.feed.object == object_name)

    def _step_now(self) -> int:
        """Return the step that this tick belongs to.

        Counted from tick to tick: a clock that was set moves all later ticks, and in the middle between two steps of a
        fixed grid a tick that comes a little early would belong to the step before.
        """
        now = self._clock.monotonic()
        passed = 0 if self._last_tick is None else round((now - self._last_tick) / self.step.total_seconds())
        if passed or self._last_tick is None:
            self._last_step, self._last_tick = self._last_step + passed, now
        return self._last_step

    async def _ride(self, due: Sequence[Member]) -> None:
        if not due:
            return
        ride = self._seat.new_round()
        for member in due:
            member.riding = True
            member.seat.join(ride)
        limits = [self._ask_limits()] if self._clock.monotonic() >= self._limits_due else []
        await asyncio.gather(*limits, *(self._turn(member) for member in due))

    async def _turn(self, member: Member) -> None:
        try:
            await member.feed.tick()
        finally:
            member.seat.leave()
            member.riding = False

    async def _ask_limits(self) -> None:
        """Ask for the org's limits at the start and once a day; a user who may not ask is told by every answer."""
        now = self._clock.monotonic()
        if self._budget.limit - self._budget.spent < _CALLS_TO_SPARE:
            return
        self._limits_due = now + _LIMITS_EVERY
        try:
            self._budget.heard(await self._seat.limits(), None)
        except PollerError as exc:
            log.debug("org.limits_not_told", org=self.name, error=str(exc))

    def _tell_outlook(self) -> None:
        """Say once whether these feeds fit into the budget, as soon as the org has told what it allows."""
        if self._outlook_told or not self._budget.is_informed:
            return
        self._outlook_told = True
        outlook = self._budget.outlook({member.feed.object: member.feed.settings for member in self._members})
        told = {
            "org": self.name,
            "calls_per_day": outlook.forecast.calls,
            "budget": outlook.budget,
            "left": outlook.left,
        }
        if outlook.fitting is None:
            log.info("org.budget", **told)
        else:
            fitting = {name: write_span(every) for name, every in outlook.fitting.items()}
            log.warning("org.budget_too_small", **told, every_that_would_fit=fitting)

    def _is_due(self, member: Member, step: int) -> bool:
        if member.paused or member.riding or not member.feed.free:
            return False
        if member.feed.behind:
            return True
        every, factor = member.feed.settings.every, pace.factor(self._budget.stretch, member.feed.settings.priority)
        if factor > 1.0:
            every = max(every, min(every * factor, pace.DAY))
        return is_due(step, member.last, every / self.step)
