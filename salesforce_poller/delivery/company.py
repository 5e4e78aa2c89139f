"""Shall a few events leave now, or wait for company? A value that remembers since when the first of them waits. Pure.

Kept by ``dispatcher.py`` for sinks that send batches and say how long a smaller one may wait (``Sink.batch_wait``).
Waiting costs nothing but time: the cursor stays, and what is not sent yet is still owed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Company:
    """Who waits for whom. A new one has seen nobody."""

    #: Position of the event that waits the longest; 0 when none does.
    first: int = 0
    #: When it was first seen (machine time, UTC).
    since: datetime | None = None

    def after(self, positions: Sequence[int], now: datetime) -> "Company":
        """Return what is known once these positions are seen waiting, in order."""
        if not positions:
            return Company()
        return self if positions[0] == self.first else Company(positions[0], now)

    def until(self, positions: Sequence[int], batch: int, patience: timedelta) -> datetime | None:
        """Return the instant until which these positions wait; None when they leave now."""
        if not patience or not positions or len(positions) >= batch or self.since is None:
            return None
        return self.since + patience
