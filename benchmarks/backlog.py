"""A backlog of changed records, from the org through the durable store into a file, against who else can read it.

All read the same canned org (``canned_org.py``), one after the other, each in a process of its own (``readers.py``,
``tap.py``); the medians count. The org's own cost is a row of its own.
"""

import tempfile
from pathlib import Path
from statistics import median

from rich.console import Console

from benchmarks import canned_org, readers, tap
from benchmarks.figures import Figure

RECORDS = 100_000
ROUNDS = 3
#: Who takes turns; the tap is slow, and goes last.
_READERS = ("nobody", "simple_salesforce", "ours", "tap")


async def measure() -> list[Figure]:
    """Measure records per second of every reader."""
    tap.installed()
    speeds: dict[str, list[float]] = {name: [] for name in _READERS}
    with canned_org.running(RECORDS) as org:
        for _ in range(ROUNDS):
            for name in _READERS:
                told = _read(name, org)
                speeds[name].append(RECORDS / told.seconds)
                Console(stderr=True).print(
                    f"{name}: {RECORDS / told.seconds:,.0f} records/s, "
                    f"{told.processor / RECORDS * 1e6:.0f} µs of processors each, {told.peak:.0f} MB"
                )
    nobody, simple, ours, other = (median(speeds[name]) for name in _READERS)
    what = f"{RECORDS:,} changed records, org to durable store to file; median of {ROUNDS}"
    served = f"{RECORDS:,} records, served and thrown away: the org's own cost"
    return [
        Figure(what, ours, "records/s", other, f"tap-salesforce {tap.RELEASE}; must reach 5"),
        Figure(what, ours, "records/s", simple, "simple-salesforce's query_all_iter; must reach 0.5"),
        Figure(served, nobody, "records/s", simple, "simple-salesforce's query_all_iter"),
    ]


def _read(name: str, org: canned_org.Canned) -> readers.Told:
    with tempfile.TemporaryDirectory() as folder:
        if name == "tap":
            return readers.Told(**tap.read(org.url, org.begin.isoformat(), Path(folder)))
        return readers.read(name, org, Path(folder))
