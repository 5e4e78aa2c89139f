"""What follows from a sink's answer: done, again at some time, or given up. Pure; the only place that decides it.

Called by ``round.py`` when it closes its books. Whether the whole sink is down is ``breaker.py``'s question.
"""

import random
from datetime import datetime, timedelta

from salesforce_poller.model import Delivery, Parked, Receipt, Verdict

#: Seconds after each failure, the schedule of Standard Webhooks 1.0.0: ten tries in 75.6 hours. Where it ends, the
#: last pause repeats; what ends the tries is ``give_up_after``, and its default of three days does with the tenth.
_PAUSES = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
#: A pause is up to so much longer, never shorter, so that what failed together does not come back together.
_JITTER = 0.2
#: A sink's own wish can only lengthen a pause, and only to ten hours, so that a wrong one does not end the delivery.
_LONGEST_WISH = 36000.0


def settle(
    delivery: Delivery, receipt: Receipt, *, give_up_after: timedelta, now: datetime, rng: random.Random
) -> Parked | None:
    """Return what becomes of a delivery: None when it is done, else when it is tried again or that it is dead.

    It is given up at a failure ``give_up_after`` or later after its first try, when it also had as many tries as the
    schedule has in that time: neither a sink that comes and goes nor a pause of days costs it what it was promised.
    ``now`` is machine time, UTC.
    """
    if receipt.verdict is Verdict.ACCEPTED:
        return None
    first_tried_at = delivery.first_tried_at or now
    tried = delivery.but(attempts=delivery.attempts + 1, first_tried_at=first_tried_at)
    if now - first_tried_at >= give_up_after and _due_after(tried.attempts) >= give_up_after:
        return Parked(tried, due_at=now, detail=receipt.detail, dead=True, response=receipt.response)
    pause = max(_pause(delivery.attempts, receipt.verdict, rng), wish(receipt))
    return Parked(tried, due_at=now + timedelta(seconds=pause), detail=receipt.detail, response=receipt.response)


def wish(receipt: Receipt) -> float:
    """Return the pause in seconds the sink asked for, as far as it is granted."""
    return min(max(receipt.retry_after or 0.0, 0.0), _LONGEST_WISH)


def _due_after(tries: int) -> timedelta:
    """How long after the first try the schedule has the last one of so many."""
    repeated = max(0, tries - 1 - len(_PAUSES))
    return timedelta(seconds=sum(_PAUSES[: tries - 1]) + repeated * _PAUSES[-1])


def _pause(failures: int, verdict: Verdict, rng: random.Random) -> float:
    """Seconds until the next try of a delivery that failed ``failures`` times before."""
    if verdict is Verdict.GONE:
        return 0.0  # the whole sink is switched off; when somebody resumes it, the delivery is due
    return _PAUSES[min(failures, len(_PAUSES) - 1)] * rng.uniform(1.0, 1.0 + _JITTER)
