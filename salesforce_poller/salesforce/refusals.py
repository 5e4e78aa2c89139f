"""Decides how long a login that did not work is not tried again, and whether there were too many. Pure; takes time.

Called by ``session.py``. In between, everybody is told at once what the last attempt was told: a wrong password that
is tried over and over locks its user out, and a user has 3,600 logins an hour ("Login Rate Exceeded", Salesforce Help).
All times are seconds of a clock that never runs backwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from salesforce_poller.errors import LimitReached, PollerError, Refused, TryLater

#: A refusal is a person's matter: tried again after a minute, then after twice as long, up to a quarter of an hour.
FIRST, LONGEST = 60.0, 900.0
#: Password policies lock a user out after 3 to 10 wrong passwords: twenty minutes, then once an hour.
FIRST_PASSWORD, LONGEST_PASSWORD = 1200.0, 3600.0
#: Somebody who was refused longer ago than this after the last pause begins anew.
FORGIVEN = 3600.0
#: This many logins in so many seconds are enough, whatever makes them necessary: one every six seconds.
MOST_LOGINS, LOGINS_WITHIN = 10, 60.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the last attempt was told, and until when that is all there is to say."""

    error: PollerError
    until: float
    #: How many there were in a row.
    times: int

    def told_at(self, now: float) -> PollerError | None:
        """Return what somebody who wants to log in now is told; None when it may be tried again."""
        if now >= self.until:
            return None
        match self.error:
            case LimitReached() as limit:
                return LimitReached(str(limit), self.until - now, daily=limit.daily, facts=limit.facts)
            case TryLater() as later:
                return TryLater(str(later), self.until - now, facts=later.facts)
        return self.error


def after(error: PollerError, before: Refusal | None, now: float, *, password: bool) -> Refusal | None:
    """Return what to remember of a login that failed; None when the next one may be tried at once.

    Args:
        error: what came of it.
        before: what was remembered until now.
        now: seconds.
        password: whether a password was sent, which must not be tried often.
    """
    times = before.times + 1 if before and now - before.until < FORGIVEN else 1
    if isinstance(error, Refused):
        first, longest = (FIRST_PASSWORD, LONGEST_PASSWORD) if password else (FIRST, LONGEST)
        return Refusal(error, now + min(longest, first * 2.0 ** min(times - 1, 10)), times)
    if isinstance(error, TryLater) and error.retry_after:
        return Refusal(error, now + error.retry_after, times)
    return before


def too_many(logins: Sequence[float], now: float) -> TryLater | None:
    """Return what to say when there have been too many logins; ``logins`` are the times of the latest, oldest first."""
    if len(logins) < MOST_LOGINS or (wait := logins[-MOST_LOGINS] + LOGINS_WITHIN - now) <= 0:
        return None
    return TryLater(
        f"{MOST_LOGINS} logins within {LOGINS_WITHIN:g}s are enough; sessions of this org seem to end at once", wait
    )
