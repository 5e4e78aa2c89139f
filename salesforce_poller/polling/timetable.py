"""When feeds of one org are due, so that they meet. Pure; called by ``fleet.py``.

All feeds of an org stand on one grid of *steps*, as far apart as the greatest common divisor of their intervals, and a
feed that is polled every n steps is due at the multiples of n. So feeds of one interval always meet, and those of a
longer one meet those of a shorter one whenever they are due. What meets shares a request (``salesforce/sharing.py``).
"""

import math
import zlib
from collections.abc import Iterable
from datetime import timedelta

_SHORTEST = timedelta(seconds=1)
_UNIT = timedelta(milliseconds=1)
#: Orgs of one process begin so far apart on average, as long as all of them have begun within their own step.
_APART = timedelta(milliseconds=60)
_CRC = 2**32


def step_of(intervals: Iterable[timedelta]) -> timedelta:
    """Return how far the steps of a grid are apart: a second or more."""
    return max(_SHORTEST, math.gcd(*(interval // _UNIT for interval in intervals)) * _UNIT)


def is_due(step: int, last: int | None, every: float) -> bool:
    """Say whether what is due every so many steps, and had its turn at step ``last``, is due at this one.

    A stretched interval need not be a whole number of steps: 1.25 is due at four of five steps.
    """
    return last is None or math.floor(step / every) > math.floor(last / every)


def wait_before(org: str, orgs: int, step: timedelta) -> timedelta:
    """Return how long an org's first step waits, when so many start together: one alone hardly, 1,000 up to a step.

    Without it all of them would be due in the same second for ever. By name, so that an org keeps its place.
    """
    return min(step, orgs * _APART) * (zlib.crc32(org.encode()) / _CRC)
