"""What must be reached, and what was: the table of the benchmarks that have limits of their own."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Reached:
    """One figure with its limit, or without one where it only explains the others."""

    what: str
    value: float
    unit: str
    #: The most that it may be; None: anything.
    most: float | None = None
    #: Decimals that are shown.
    digits: int = 0

    @property
    def good(self) -> bool:
        """Whether the limit is kept."""
        return self.most is None or self.value <= self.most


def show(figures: Sequence[Reached]) -> bool:
    """Print the figures; returns whether every limit is kept."""
    table = Table(box=None, pad_edge=False)
    for heading in ("what", "measured", "at most", ""):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for one in figures:
        limit = "" if one.most is None else f"{one.most:,.{one.digits}f} {one.unit}"
        verdict = "" if one.most is None else "good" if one.good else "MISSED"
        table.add_row(one.what, f"{one.value:,.{one.digits}f} {one.unit}", limit, verdict)
    Console(width=120).print(table)
    return all(one.good for one in figures)


def share(values: Sequence[float], part: float) -> float:
    """Return the value that ``part`` of all values do not exceed: 0.99 is the 99th percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
