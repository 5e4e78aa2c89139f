"""How long a feed waits after a turn that did not work out. Pure; called by ``poller.py``."""

import random
from datetime import timedelta

from salesforce_poller.errors import OrgRefused, PollerError, Refused, TryLater

#: A passing trouble is asked about again after a second or so, then twice as long, up to this.
_LONGEST = timedelta(minutes=5).total_seconds()
#: Nobody is believed who asks for more than an hour: the longest that Salesforce has a reason for (its login limit).
_LONGEST_WISH = timedelta(hours=1).total_seconds()
#: What a person must mend is probed this often: soon enough to notice, rarely enough not to hammer.
_REFUSED = timedelta(minutes=5).total_seconds()
#: An org that is closed to us, or refuses the login, more rarely: failed logins are counted, and lock users out.
_ORG_REFUSED = timedelta(minutes=15).total_seconds()


def pause_after(error: PollerError, failures: int, rng: random.Random) -> float:
    """Return the seconds to wait after ``failures`` turns in a row that ended in an error.

    Exponential, with jitter, for what may pass by itself; the other side's own wish only ever lengthens it.
    """
    if isinstance(error, Refused):
        return _ORG_REFUSED if isinstance(error, OrgRefused) else _REFUSED
    backoff = min(_LONGEST, 2.0 ** min(failures, 12)) * rng.uniform(0.5, 1.0)
    wish = error.retry_after if isinstance(error, TryLater) else None
    return max(backoff, min(wish or 0.0, _LONGEST_WISH))
