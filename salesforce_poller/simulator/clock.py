"""The org's clock: it can be set apart from the machine's, stand still, jump and run faster.

Everything in the simulator asks `OrgClock.now`; this is the only file that reads the machine's clock or
waits on it. Who stamps rows with it: `transactions`; who tells it to clients: the `Date` header in `edge`.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class OrgClock:
    """A clock of its own, in UTC.

    `start=None` begins at the machine's time plus `offset`; otherwise the clock begins at `start` (tz-aware).
    `speed` is org seconds per machine second: 1.0 keeps pace, 0 stands still until `advance`, 3600 lives an
    hour a second. `ticks` are the machine's, in seconds.
    """

    def __init__(
        self,
        start: datetime | None = None,
        *,
        speed: float = 1.0,
        offset: timedelta = timedelta(0),
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ticks = ticks
        begin = datetime.now(UTC) if start is None else start.astimezone(UTC)
        self._speed = speed
        self._org_anchor = begin + offset
        self._machine_anchor = self._ticks()

    @property
    def speed(self) -> float:
        """Org seconds per machine second."""
        return self._speed

    def now(self) -> datetime:
        """The org's present instant, with microseconds."""
        elapsed = (self._ticks() - self._machine_anchor) * self._speed
        return self._org_anchor + timedelta(seconds=elapsed)

    def advance(self, seconds: float) -> None:
        """Jump forward by that many org seconds."""
        self.set(self.now() + timedelta(seconds=seconds))

    def set(self, instant: datetime) -> None:
        """Jump to an instant (tz-aware), forward or back, and go on from there at the same speed."""
        self._org_anchor = instant.astimezone(UTC)
        self._machine_anchor = self._ticks()

    def set_speed(self, speed: float) -> None:
        """Go on from the present instant at another speed."""
        self.set(self.now())
        self._speed = speed


def stamp(instant: datetime) -> datetime:
    """The instant as Salesforce stamps rows with it: whole seconds, never rounded up."""
    return instant.replace(microsecond=0)


async def machine_sleep(seconds: float) -> None:
    """Wait that many seconds of the machine's time; what slow answers and watchable scenes are made of."""
    await asyncio.sleep(seconds)
