"""Runs every measurement and prints one table. Figures vary with the machine; the ratios are what counts."""

import asyncio

from rich.console import Console
from rich.table import Table

from benchmarks import backlog, webhooks
from benchmarks.figures import Figure
from salesforce_poller import telemetry


def main() -> None:
    """Measure, and show."""
    telemetry.configure(quiet=True)
    figures: list[Figure] = []
    for measure in (backlog.measure, webhooks.measure):
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
