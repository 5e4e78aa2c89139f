"""The org's API allowance: calls over a rolling 24 hours, and the gauge that tells about them late and roughly.

Asked by `edge` for every metered request. Source: "API Request Limits and Allocations" (rolling, not per calendar day)
and REST API Developer Guide, "Limit Info Header"; that the header lags and goes backwards is observed behaviour.
"""

import random
from collections import deque
from datetime import datetime, timedelta

DAY = timedelta(hours=24)
LAG = timedelta(seconds=10)
JITTER = 4
APP_NAME = "simulated-app"

ALLOWANCES = {
    "Developer Edition": 15_000,
    "Professional Edition": 102_000,
    "Enterprise Edition": 102_000,
    "Unlimited Edition": 110_000,
    "Full Sandbox": 5_000_000,
}
"""Calls per 24 hours by edition, for an org with two licences."""


class Meter:
    """Counts calls. `allowance` is how many the org has per rolling 24 hours of its own time.

    `overage` is how many more a paying org gets before it is refused. `lag` and `jitter` say how wrong the gauge is;
    with `app_allowance` it has the tail that orgs with a quota per connected app send.
    """

    def __init__(self, allowance: int, rng: random.Random) -> None:
        self.allowance = allowance
        self.lag = LAG
        self.jitter = JITTER
        self.app_allowance: int | None = None
        self.overage = 0
        self._rng = rng
        self._spent: deque[tuple[datetime, int]] = deque()
        self._total = 0

    def spend(self, now: datetime) -> bool:
        """Count one call; False when the allowance is used up, and then it is not counted."""
        if self.used(now) >= self.allowance + self.overage:
            return False
        self._spent.append((now, 1))
        self._total += 1
        return True

    def used(self, now: datetime, *, until: datetime | None = None) -> int:
        """How many calls were made in the last 24 hours; with `until`, as somebody knew who looked then."""
        while self._spent and self._spent[0][0] <= now - DAY:
            self._total -= self._spent.popleft()[1]
        if until is None:
            return self._total
        return self._total - sum(calls for instant, calls in self._spent if instant > until)

    def set_usage(self, used: int, allowance: int, now: datetime) -> None:
        """Pretend that others have just made so many calls."""
        self.allowance = allowance
        self._spent = deque([(now, used)])
        self._total = used

    def gauge(self, now: datetime) -> str:
        """`Sforce-Limit-Info`: the calls of the last seconds are missing, give or take a few."""
        recent = 0
        for instant, calls in reversed(self._spent):
            if instant <= now - self.lag or calls > 1:
                break
            recent += calls
        shown = self.used(now) - recent + self._rng.randint(0, min(recent, self.jitter))
        gauge = f"api-usage={shown}/{self.allowance}"
        if self.app_allowance is None:
            return gauge
        return f"{gauge}; per-app-api-usage={shown}/{self.app_allowance}(appName={APP_NAME})"
