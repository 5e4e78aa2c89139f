"""When feeds of one org are due, so that they meet. Pure; called by ``fleet.py``.

All feeds of an org stand on one grid of *steps*, as far apart as the greatest common divisor of their intervals, and a
feed that is polled every n steps is due at the multiples of n. So feeds of one interval always meet, and those of a
longer one meet those of a shorter one whenever they are due. What meets shares a request (``salesforce/sharing.py``).
"""

import math
from collections.abc import Iterable
from datetime import timedelta

_SHORTEST = timedelta(seconds=1)
_UNIT = timedelta(milliseconds=1)


def step_of(intervals: Iterable[timedelta]) -> timedelta:
    """Return how far the steps of a grid are apart: a second or more."""
    return max(_SHORTEST, math.gcd(*(interval // _UNIT for interval in intervals)) * _UNIT)


def is_due(step: int, last: int | None, every: float) -> bool:
    """Say whether what is due every so many steps, and had its turn at step ``last``, is due at this one.

    A stretched interval need not be a whole number of steps: 1.25 is due at four of five steps.
    """
    return last is None or math.floor(step / every) > math.floor(last / every)
