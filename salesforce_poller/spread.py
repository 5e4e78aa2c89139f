"""How long things took, counted by bounds as Prometheus counts them. Pure; part of the reports in ``model.py``."""

from bisect import bisect_left
from dataclasses import dataclass, field

#: Seconds by which changes are late, and those that a send to a sink takes, as metrics count them.
LAGS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0)
SENDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(slots=True)
class Spread:
    """How many values were at most each bound, but above the one before; the last count is of those above them all."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    #: The sum of all values.
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float, times: int = 1) -> None:
        """Count a value; one below zero, as clocks that differ bring about, is none: sums of metrics never go down."""
        value = max(0.0, value)
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    def add_all(self, other: "Spread") -> None:
        """Count what another one with the same bounds has counted."""
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, other.counts, strict=True)]
        self.total += other.total
