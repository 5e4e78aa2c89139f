"""The most memory that a process needs for a backlog of ten thousand records, and of a million: it should not matter.

    python -m benchmarks memory

Takes minutes, and 5 GB below the folder for temporary files. See ``readers.py`` for what is run.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import canned_org, readers

FEW, MANY = 10_000, 1_000_000
#: In MB; and by how much the two may differ.
MOST, APART = 120, 0.2


def report(_asked: Sequence[str]) -> bool:
    """Measure both, and show; returns whether the limits are kept."""
    peaks = {}
    table = Table(box=None, pad_edge=False)
    for heading in ("records", "peak memory", "records/s", "limit"):
        table.add_column(heading)
    for records in (FEW, MANY):
        with canned_org.running(records) as org, tempfile.TemporaryDirectory() as folder:
            told = readers.read("ours", org, Path(folder))
        peaks[records] = told.peak
        table.add_row(f"{records:,}", f"{told.peak:.0f} MB", f"{records / told.seconds:,.0f}", f"{MOST} MB")
    apart = abs(peaks[MANY] / peaks[FEW] - 1)
    table.add_row("difference", f"{apart:.0%}", "", f"{APART:.0%}")
    Console().print(table)
    return max(peaks.values()) < MOST and apart <= APART
