"""Fills stores for the benchmarks of restarts and of pruning, with what a daemon would have left behind."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import track

from benchmarks.examples import an_update
from salesforce_poller.model import Event, Sighting, Watermarks
from salesforce_poller.store.store import Store

#: The organisation behind the first of the quick orgs.
ORGANIZATION = "00D5g0000000000EAA"
_PAGE = 5_000


async def fill(
    folder: Path,
    objects: Sequence[str],
    *,
    sightings: int = 0,
    old: int = 0,
    owed: int = 0,
    now: datetime,
    past: datetime,
) -> None:
    """Make ``store.db`` in a folder: feeds of the org ``a`` that were read up to ``now``, sightings shared among them.

    ``old`` events were recorded in the ``past`` and delivered by the sink ``hook``; as many as are ``owed`` were not.
    """
    marks = Watermarks(now, now, now, now, now, organization_id=ORGANIZATION, primed=True, backfill_done=True)
    async with Store(f"sqlite:///{folder}/store.db") as store:
        for name, seen in _shared(objects, sightings, past):
            await store.feeds.commit_page("a", name, events=[], sightings=seen, marks=marks, at=now)
        for happened in _events(0, old):
            await store.feeds.commit_page("a", objects[0], events=happened, sightings=[], marks=marks, at=past)
        await store.outbox.ensure_sinks(["hook"])
        for happened in _events(old, old + owed):
            await store.feeds.commit_page("a", objects[0], events=happened, sightings=[], marks=marks, at=now)


def _shared(objects: Sequence[str], count: int, at: datetime) -> Iterator[tuple[str, list[Sighting]]]:
    each = count // len(objects)
    for place, name in enumerate(objects):
        for first in range(0, each, _PAGE):
            numbers = range(first, min(first + _PAGE, each))
            yield name, [_sighting(place, number, at) for number in numbers]
        if not each:
            yield name, []


def _sighting(place: int, number: int, at: datetime) -> Sighting:
    record_id = f"{place:03d}{number:012d}AAA"
    fields = {"Id": record_id, "Name": f"Record {number}", "Description": "x" * 200}
    return Sighting(record_id, at, f"{number:032x}", deleted=False, merged_into=None, fields=fields)


def _events(first: int, end: int) -> Iterator[list[Event]]:
    for start in track(range(first, end, _PAGE), "events", console=Console(stderr=True), transient=True):
        yield [an_update(number) for number in range(start, min(start + _PAGE, end))]
