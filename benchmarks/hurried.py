"""The real program, except that time flies: a parked event is due in half a second, not in five minutes.

Run by ``endurance.py`` as ``python -m benchmarks.hurried SPEED BEGAN run …``. Its time was thirty days behind the
machine's at the instant ``BEGAN``, and has passed ``SPEED`` times as fast ever since, through all restarts. Only what
asks the Clock is fooled: connections and their timeouts take as long as they take.
"""

import sys
from datetime import datetime, timedelta

from salesforce_poller import clock
from salesforce_poller.clock import SystemClock

#: So far behind that it never catches up with the machine's clock, by which APScheduler waits.
_BEHIND = timedelta(days=30)


class HurriedClock:
    """A clock that goes faster than the machine's. Satisfies ``salesforce_poller.clock.Clock``."""

    def __init__(self, speed: float, began: datetime) -> None:
        self._real = SystemClock()
        self._speed = speed
        self._began = began

    def now(self) -> datetime:
        """Return the hurried wall clock, UTC."""
        return self._began - _BEHIND + (self._real.now() - self._began) * self._speed

    def monotonic(self) -> float:
        """Return hurried seconds."""
        return self._real.monotonic() * self._speed

    async def sleep(self, seconds: float) -> None:
        """Let hurried seconds pass."""
        await self._real.sleep(seconds / self._speed)


if __name__ == "__main__":
    hurried = HurriedClock(float(sys.argv.pop(1)), datetime.fromisoformat(sys.argv.pop(1)))
    clock.SystemClock = lambda: hurried  # type: ignore[assignment,misc,return-value]  # the one difference to the real program
    from salesforce_poller import cli  # every file of the program takes the clock from there as it is imported

    cli.main()
