"""Runs every measurement, or those that are named, and prints tables.

Figures of time vary with the machine, and only the ratios count; calls do not vary.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import backlog, calls, endurance, failover, idle, latency, memory, prune, restart, soak, webhooks
from benchmarks.figures import Figure
from salesforce_poller import telemetry

#: Of the run whose figures are in README.md.
_SEED = 20261122
#: Each prints a table of its own, takes arguments, and says whether its limits are kept.
_LIMITED: dict[str, Callable[[Sequence[str]], bool]] = {
    "idle": idle.report,
    "poll": idle.report_poll,
    "latency": latency.report,
    "restart": restart.report,
    "prune": prune.report,
    "memory": memory.report,
    "soak": soak.report,
    "failover": failover.report,
}
_TIMED = {"backlog": backlog.measure, "webhooks": webhooks.measure}


def main() -> None:
    """Measure, and show; exits with 1 when a limit that does not vary is missed."""
    telemetry.configure(quiet=True)
    asked = sys.argv[1:] or ["calls", *_TIMED]
    if asked[0] == "sinks":  # starts a dozen servers; kinds of sinks may follow
        sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))  # where the servers are started from
        from benchmarks import sinks

        sys.exit(0 if sinks.report(asked[1:]) else 1)
    if asked[0] == "endurance":  # takes minutes, so that it is only done when it is named; a seed may follow
        sys.exit(0 if endurance.report(int(asked[1]) if asked[1:] else _SEED) else 1)
    if asked[0] in _LIMITED:  # takes minutes as well
        sys.exit(0 if _LIMITED[asked[0]](asked[1:]) else 1)
    if unknown := set(asked) - {"calls", *_TIMED}:
        known = ", ".join(["calls", *_TIMED, *_LIMITED, "endurance [SEED]", "sinks [KIND]..."])
        sys.exit(f"there is no benchmark called {', '.join(sorted(unknown))}; there are {known}")
    if "calls" in asked and not calls.report():
        sys.exit("five feeds and more need more calls than they may")
    if timed := [_TIMED[name] for name in asked if name in _TIMED]:
        _time(timed)


def _time(measures: Sequence[Callable[[], Coroutine[object, object, list[Figure]]]]) -> None:
    figures: list[Figure] = []
    for measure in measures:
        Console(stderr=True).print(f"measuring {measure.__module__.rpartition('.')[2]} …")
        figures += asyncio.run(measure())
    table = Table(box=None, pad_edge=False)
    for heading in ("what", "measured", "limit in the same run", "ratio"):
        table.add_column(heading)
    for one in figures:
        table.add_row(
            one.what,
            f"{one.value:,.0f} {one.unit}",
            f"{one.limit:,.0f} {one.unit} ({one.limit_is})",
            f"{one.ratio:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
