"""What follows from a sink's answer: done, again at some time, or given up. Pure; the only place that decides it.

Called by ``round.py`` when it closes its books. Whether the whole sink is down is ``breaker.py``'s question.
"""

import random
from dataclasses import replace
from datetime import datetime, timedelta

from salesforce_poller.model import Delivery, Parked, Receipt, Verdict

#: Seconds: the first pause after "try later", doubling up to ...
_FIRST_PAUSE = 1.0
#: ... this. With full jitter, so that deliveries that failed together do not come back together.
_LONGEST_PAUSE = 600.0
#: Seconds after each refusal: the schedule of Standard Webhooks 1.0.0. Most refusals are somebody's deployment mistake.
_AFTER_REFUSAL = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
#: A sink's own wish can only lengthen a pause, and only to ten hours, so that a wrong one does not end the delivery.
_LONGEST_WISH = 36000.0


def settle(
    delivery: Delivery, receipt: Receipt, *, give_up_after: timedelta, now: datetime, rng: random.Random
) -> Parked | None:
    """Return what becomes of a delivery: None when it is done, else when it is tried again or that it is dead.

    It is given up at the first failure ``give_up_after`` or later after its first try. ``now`` is machine time, UTC.
    """
    if receipt.verdict is Verdict.ACCEPTED:
        return None
    first_tried_at = delivery.first_tried_at or now
    tried = replace(delivery, attempts=delivery.attempts + 1, first_tried_at=first_tried_at)
    if now - first_tried_at >= give_up_after:
        return Parked(tried, due_at=now, detail=receipt.detail, dead=True, response=receipt.response)
    pause = max(_pause(delivery.attempts, receipt.verdict, rng), wish(receipt))
    return Parked(tried, due_at=now + timedelta(seconds=pause), detail=receipt.detail, response=receipt.response)


def wish(receipt: Receipt) -> float:
    """Return the pause in seconds the sink asked for, as far as it is granted."""
    return min(max(receipt.retry_after or 0.0, 0.0), _LONGEST_WISH)


def _pause(failures: int, verdict: Verdict, rng: random.Random) -> float:
    """Seconds until the next try of a delivery that failed ``failures`` times before."""
    match verdict:
        case Verdict.REFUSED:
            pause = _AFTER_REFUSAL[min(failures, len(_AFTER_REFUSAL) - 1)]
            return pause * rng.uniform(1.0, 1.2)
        case Verdict.GONE:
            return 0.0  # the whole sink is paused; when somebody resumes it, the delivery is due
        case _:
            return rng.uniform(0.0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures, 32)))
