"""Is the whole sink down? The circuit breaker, as a value. Pure.

    closed ── 5 records in a row fail at their first try ──▶ open ── a probe is accepted ──▶ closed
                                                            │  ▲
                                                            └──┘ every probe fails: a longer pause

While it is open nothing is parked and the sink's cursor stays, so an outage costs no row a missed event. A refusal of
one event says that the sink is up, unless it speaks of the whole of it (a wrong address, a wrong key). Kept by
``dispatcher.py``; the store remembers since when a sink is down, so that a restart begins with a probe.
"""

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from salesforce_poller.delivery import retry
from salesforce_poller.model import Receipt, Verdict

#: So many different records in a row must fail, so that one bad record never looks like a bad sink.
THRESHOLD = 5
#: Seconds: the first pause before a probe, doubling up to ...
_FIRST_PAUSE = 1.0
#: ... five minutes: how long a sink that is back may go unnoticed.
_LONGEST_PAUSE = 300.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """What the latest answers say about the sink as a whole. A new one is closed."""

    #: Records that failed at their first try since the last acceptance.
    failed: frozenset[str] = frozenset()
    #: Rounds of probes that failed since it opened.
    rounds: int = 0
    #: When the sink is probed next (machine time, UTC); None while the breaker is closed.
    probe_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether the sink is taken to be down."""
        return self.probe_at is not None

    def after(
        self, key: str, receipt: Receipt, now: datetime, rng: random.Random, *, threshold: int = THRESHOLD
    ) -> "Breaker":
        """Return what one more answer makes of it; ``key`` is the record it was about.

        Only first tries should be told: that a parked delivery fails again is no news about the sink. ``threshold`` is
        1 where no other record may be tried, so that one failure is all that can be known.
        """
        if receipt.verdict is Verdict.ACCEPTED:
            return CLOSED
        if receipt.verdict is Verdict.REFUSED and not receipt.general:
            # An answer about this event: whoever gives it is up.
            return CLOSED if self.is_open else self
        if self.probe_at is not None:  # a straggler that was on its way when the breaker opened
            return replace(self, probe_at=max(self.probe_at, now + timedelta(seconds=retry.wish(receipt))))
        failed = self.failed | {key}
        if len(failed) < threshold:
            return replace(self, failed=failed)
        return Breaker(failed, probe_at=now + _pause(0, retry.wish(receipt), rng))

    def after_probes(self, longest_wish: float, now: datetime, rng: random.Random) -> "Breaker":
        """Return what a round of probes makes of it in which none was accepted.

        ``longest_wish`` is the longest pause in seconds that one of the answers asked for.
        """
        rounds = self.rounds + 1
        return replace(self, rounds=rounds, probe_at=now + _pause(rounds, longest_wish, rng))


#: What a sink that takes events looks like.
CLOSED = Breaker()


def _pause(rounds: int, wish: float, rng: random.Random) -> timedelta:
    """Jittered, but never below half: a sink that is down gains nothing from a quick second look."""
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(rounds, 32))
    return timedelta(seconds=max(rng.uniform(longest / 2, longest), wish))
