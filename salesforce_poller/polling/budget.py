"""Keeps the calls of one org within ``api_budget``, and gives way when the org itself runs out of them.

It is the meter through which every call of ``salesforce/client.py:Org`` goes, and it keeps its own ledger of 24 rolling
hours in ``store/calls.py``: what the org says of itself lags by dozens of calls and goes backwards (Limit Info Header).
``pace.py`` does the arithmetic; ``fleet.py`` heeds :attr:`Budget.stretch` and :attr:`Budget.resting`.

A call is counted on disk before it is sent, in small lots: after a crash the ledger has a few calls too many, never one
too few.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from salesforce_poller.clock import Clock
from salesforce_poller.errors import LimitReached, PollerError
from salesforce_poller.polling import forecast, pace
from salesforce_poller.polling.ledger import DAY_OF_MINUTES, Ledger, oldest
from salesforce_poller.polling.settings import Allowance, FeedSettings
from salesforce_poller.salesforce.usage import Usage
from salesforce_poller.store.calls import Calls, OrgState, minute_of, start_of

log = structlog.get_logger()

#: The org is nearly out from here on, and well again below that (shares of its allocation).
_NEARLY_OUT, _WELL_AGAIN = 0.95, 0.90
#: How long what the header said counts; it lags and goes backwards, so the highest of a while is believed.
_GAUGE_SPAN = timedelta(minutes=2).total_seconds()
#: First and longest pause in seconds: the daily allocation comes back by the hour, the concurrent one with the requests
#: that hold it.
_DAILY_PAUSES, _CONCURRENT_PAUSES = (900.0, 3_600.0), (20.0, 300.0)
#: Pauses are doubled so often at most.
_MOST_DOUBLINGS = 12
#: Calls are written in lots of at most this many.
_LARGEST_LOT = 25
#: How often what the org said is written down, when nothing else changed.
_NOTE_EVERY = timedelta(minutes=1)


@dataclass(slots=True)
class _Pause:
    """Nothing is asked until then (monotonic seconds); after that a few feeds are, to see whether it is over."""

    until: float
    why: str


class Budget:
    """The calls of one org. Open it before the first call; close it after the last."""

    def __init__(
        self,
        org: str,
        allowance: Allowance,
        riders: Sequence[pace.Rider],
        *,
        beside_polls: int = 0,
        calls: Calls,
        clock: Clock,
        rng: random.Random,
        called: Callable[[str, str], None] = lambda _org, _kind: None,
    ) -> None:
        self.stretch = 1.0
        self._org = org
        self._allowance = allowance
        self._riders = riders
        self._beside_polls = beside_polls
        self._demand = pace.demand(riders, 1.0) + beside_polls
        self._calls = calls
        self._clock = clock
        self._rng = rng
        #: Told of each call that is admitted: to which org, and its kind.
        self._called = called
        self._made = Ledger({})
        self._on_disk: dict[int, int] = {}
        #: The minute of the latest write.
        self._written_in = 0
        #: What an earlier process left in the ledger.
        self._inherited: dict[int, int] = {}
        self._writing = asyncio.Lock()
        self._usage: Usage | None = None
        #: What the header said and when, of the last while, but for what was exceeded since: the highest is the first.
        self._gauge: deque[tuple[float, int]] = deque()
        self._pause: _Pause | None = None
        self._refusals = 0
        self._refused_at = 0.0
        self._stretched_until: datetime | None = None
        self._noted = OrgState()

    async def open(self) -> None:
        """Read the ledger."""
        found, self._noted = await self._calls.ledger(self._org, oldest(self._minute()))
        self._made, self._on_disk, self._inherited = Ledger(found), dict(sorted(found.items())), dict(found)
        self._written_in = max(found, default=0)
        if self._noted.allowed:
            self._usage = Usage(self._noted.used or 0, self._noted.allowed)
        self.reconsider()

    def doubt(self) -> None:
        """Write down all that was counted once more, with the next call: the store may know of fewer than were made."""
        self._on_disk, self._noted = {}, OrgState()
        self._made.changed = set(self._made)

    async def close(self) -> None:
        """Write the exact counts, and how the org stands."""
        async with self._writing:
            await self._write(dict(self._made))
        await self.note()

    # ------------------------------------------------------------------ what may be asked

    def outlook(self, feeds: Mapping[str, FeedSettings]) -> forecast.Outlook:
        """Say how these feeds fit into the budget, as far as the org has told its limits."""
        return forecast.outlook(feeds, self._allowance, self._usage)

    @property
    def limit(self) -> int:
        """How many calls we may make in any 24 hours."""
        return self._allowance.of(self._usage.allowed if self._usage else forecast.SMALLEST_ALLOCATION)

    @property
    def is_informed(self) -> bool:
        """Whether the org has told what it allows, to this process or to an earlier one."""
        return self._usage is not None

    @property
    def spent(self) -> int:
        """How many calls we made in the last 24 hours, or a minute more."""
        self._made.tidy(self._minute())
        return self._made.sum

    @property
    def resting(self) -> bool:
        """True while nothing is to be asked at all."""
        return self._pause is not None and self._clock.monotonic() < self._pause.until

    @property
    def probing(self) -> bool:
        """True when a pause is over and a few feeds are to find out whether its reason is, too."""
        return self._pause is not None and not self.resting

    def is_roomy(self) -> bool:
        """Say whether there are calls to spare beside a day of polls, for what can wait: reading the past."""
        return self._pause is None and self.spent + self._demand < self.limit

    async def admit(self, kind: str) -> None:
        """Count a call that is about to be sent; see ``salesforce/client.py:Meter``.

        Raises:
            LimitReached: when the org is paused, or the call would exceed the budget.
        """
        if self._pause is not None and self.resting:
            raise LimitReached(self._pause.why, self._pause.until - self._clock.monotonic(), daily=True)
        spent, limit = self.spent, self.limit
        if spent >= limit:
            self._rest(self._until_one_comes_back(), f"api_budget is spent: {spent} of {limit} calls in 24 hours")
            raise LimitReached(f"api_budget is spent ({spent} of {limit} calls); {kind} was not asked", daily=True)
        minute = self._minute()
        self._made.tidy(minute)
        self._made.add(minute)
        async with self._writing:  # who comes while a lot is written waits for it
            if self._made.get(minute, 0) > self._on_disk.get(minute, 0):
                await self._clock.sleep(0)  # who asks at the same moment is written down in the same transaction
                count = self._made.get(minute, 0)
                ours = max(1, count - self._inherited.get(minute, 0))
                await self._write({**self._exactly(), minute: count + min(ours - 1, _LARGEST_LOT)})
        self._called(self._org, kind)

    def heard(self, usage: Usage | None, error: PollerError | None) -> None:
        """Take note of what an answer tells of the org's limits; see ``salesforce/client.py:Meter``."""
        if isinstance(error, LimitReached):
            self._refused(error)
            return
        if usage is not None and self._is_nearly_out(usage):
            return
        # A good answer that does not tell how much is used is one, too.
        if error is None and self.probing and (usage is None or usage.used < _WELL_AGAIN * usage.allowed):
            log.info("org.resumed", org=self._org)
            self._pause = None

    def _is_nearly_out(self, usage: Usage) -> bool:
        """Take note of what is used, and rest when it is nearly everything."""
        now = self._clock.monotonic()
        self._usage = usage
        gauge = self._gauge
        while gauge and now - gauge[0][0] >= _GAUGE_SPAN:
            gauge.popleft()
        while gauge and gauge[-1][1] <= usage.used:
            gauge.pop()
        gauge.append((now, usage.used))
        used = gauge[0][1]
        if used < _NEARLY_OUT * usage.allowed:
            return False
        why = f"the org has used {used} of its {usage.allowed} API requests; people's work comes first"
        self._rest(_DAILY_PAUSES[0], why)
        return True

    # ------------------------------------------------------------------ how fast

    def reconsider(self) -> None:
        """Choose the stretch anew."""
        spent, limit = self.spent, self.limit
        if spent + self._demand <= limit:
            stretch, until = 1.0, None
        else:
            now = self._clock.now()
            ledger = [pace.Spent(now - start_of(minute), calls) for minute, calls in self._made.items()]
            rate = pace.sustainable(ledger, limit)
            stretch = pace.stretch_to_fit(self._riders, rate.calls_per_day - self._beside_polls)
            until = now + rate.bound_for if stretch > 1.0 else None
        if stretch != self.stretch:
            log.info(
                "org.stretched" if stretch > 1.0 else "org.unstretched",
                org=self._org,
                intervals_times=round(stretch, 2),
                until=until and until.isoformat(timespec="minutes"),
                spent=spent,
                budget=limit,
            )
        self.stretch, self._stretched_until = stretch, until

    async def note(self) -> None:
        """Write down how the org stands, where that is news or a minute old."""
        now, have = self._clock.now(), self._noted
        told = have.heard_at is not None and abs(now - have.heard_at) < _NOTE_EVERY
        why = self._pause.why if self._pause else ""
        if told and (self.limit, self.stretch, why) == (have.budget, have.stretch, have.pause_reason):
            return
        state = OrgState(
            heard_at=now,
            used=self._usage.used if self._usage else None,
            allowed=self._usage.allowed if self._usage else None,
            budget=self.limit,
            stretch=self.stretch,
            stretched_until=self._stretched_until,
            paused_until=self._paused_until(now),
            pause_reason=why,
        )
        await self._calls.note(self._org, state)
        self._noted = state

    # ------------------------------------------------------------------ small things

    def _refused(self, error: LimitReached) -> None:
        """Rest after a REQUEST_LIMIT_EXCEEDED; longer each time, unless the last one was long ago."""
        first, longest = _DAILY_PAUSES if error.daily else _CONCURRENT_PAUSES
        now = self._clock.monotonic()
        if self.resting:
            return  # several requests were under way; one refusal is enough
        self._refusals = self._refusals + 1 if now - self._refused_at < 2 * longest else 1
        self._refused_at = now
        doublings = min(self._refusals - 1, _MOST_DOUBLINGS)
        seconds = min(longest, max(first * 2.0**doublings, error.retry_after or 0.0))
        self._rest(seconds * self._rng.uniform(0.8, 1.0), str(error), tell=log.info)  # the feed's report is the warning

    def _rest(self, seconds: float, why: str, *, tell: Callable[..., object] = log.warning) -> None:
        until = self._clock.monotonic() + seconds
        if self._pause is None or not self.resting:
            tell("org.paused", org=self._org, reason=why, next_try_s=round(seconds))
            self._pause = _Pause(until, why)

    def _paused_until(self, now: datetime) -> datetime | None:
        if self._pause is None:
            return None
        return now + timedelta(seconds=max(0.0, self._pause.until - self._clock.monotonic()))

    def _until_one_comes_back(self) -> float:
        """Return the seconds until the oldest call of the ledger no longer counts."""
        first = min((minute for minute, calls in self._made.items() if calls), default=self._minute())
        comes_back = start_of(first + DAY_OF_MINUTES + 1)
        return max(60.0, (comes_back - self._clock.now()).total_seconds())

    def _minute(self) -> int:
        return minute_of(self._clock.now())

    def _exactly(self) -> dict[int, int]:
        """Return the exact counts of minutes for which more was written beforehand, or less."""
        return {minute: self._made[minute] for minute in self._made.changed if minute in self._made}

    async def _write(self, made: dict[int, int]) -> None:
        if not made:
            return
        present = self._minute()
        kept = range(oldest(present), present + 1)
        await self._calls.put(self._org, made, kept=kept)
        self._on_disk |= made
        self._made.changed = {each for each in self._made.changed if self._made.get(each) != self._on_disk.get(each)}
        if present < self._written_in:  # the machine's clock was set back
            self._on_disk = {minute: calls for minute, calls in self._on_disk.items() if minute in kept}
        while self._on_disk and (first := next(iter(self._on_disk))) < kept.start:
            del self._on_disk[first]
        self._written_in = present
