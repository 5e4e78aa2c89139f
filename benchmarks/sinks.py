"""Every kind of sink, from the durable store through the dispatcher to a server that confirms, against its bare client.

    python -m benchmarks sinks                all kinds
    python -m benchmarks sinks redis sql      some of them

What is measured beside each in the same run is the client library alone (``bare.py``): the same bodies to the same
server, confirmed in the same way. How the servers are started is in ``rigs.py``; they run in processes of their own,
and their work is not counted.
"""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks.bare import Send
from benchmarks.examples import START, an_update
from benchmarks.rigs import RIGS, Rig
from salesforce_poller.clock import SystemClock
from salesforce_poller.delivery import envelope
from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.model import Delivery, Event, Watermarks
from salesforce_poller.sinks import catalogue
from salesforce_poller.store.store import Store

_CLOCK = SystemClock()
#: Of each there are so many runs; the table has the medians.
_RUNS = 3


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one run."""

    per_second: float
    #: Microseconds of this process's processors for an event.
    processor: float


def report(asked: Sequence[str]) -> bool:
    """Measure these kinds, or all, and show; returns whether all of them could be measured."""
    rigs = [each for each in RIGS if each.kind in (asked or catalogue.KINDS)]
    table = Table(box=None, pad_edge=False)
    for heading in ("sink", "events/s", "bare client", "ratio", "processor/event", "bare client", "ratio"):
        table.add_column(heading, justify="left" if heading == "sink" else "right")
    complete = True
    for rig in rigs:
        Console(stderr=True).print(f"measuring {rig.name} …")
        try:
            ours, alone = asyncio.run(measure(rig))
        except pytest.skip.Exception as exc:
            table.add_row(rig.name, str(exc))
            complete = False
            continue
        table.add_row(
            rig.name,
            f"{ours.per_second:,.0f}",
            f"{alone.per_second:,.0f}",
            f"{ours.per_second / alone.per_second:.2f}",
            f"{ours.processor:,.0f} µs",
            f"{alone.processor:,.0f} µs",
            f"{ours.processor / alone.processor:.1f}",
        )
    Console(width=120).print(table)
    return complete


async def measure(rig: Rig) -> tuple[Speed, Speed]:
    """Return what the sink manages, and what its bare client does; the medians of several runs, taken in turns."""
    if problem := catalogue.lacking(rig.kind):
        pytest.skip(problem)
    ours: list[Speed] = []
    alone: list[Speed] = []
    with tempfile.TemporaryDirectory() as folder:
        async with rig.begin(Path(folder)) as (settings, send), Store(f"{folder}/store.db") as store:
            delivery = _Delivery(rig, settings, store)
            await delivery.begin()
            for run in range(_RUNS):
                events = [an_update(run * rig.events + number) for number in range(rig.events)]
                alone.append(await _alone(send, events))
                ours.append(await delivery.measured(events))
            await delivery.end()
    return _median(ours), _median(alone)


class _Delivery:
    """A sink with its dispatcher over a store."""

    def __init__(self, rig: Rig, settings: dict[str, Any], store: Store) -> None:
        kind = catalogue.KINDS[rig.kind]
        known = kind.settings.model_validate({"type": rig.kind, **settings})
        self._sink = kind.sink(known, _CLOCK)
        self._store = store
        rng = random.Random(1)
        self._dispatcher = Dispatcher("bench", known, self._sink, store.outbox, clock=_CLOCK, rng=rng)

    async def begin(self) -> None:
        """Connect, by a first event that is not counted."""
        await self._store.outbox.ensure_sinks(["bench"])
        await self._sink.open()
        await self.measured([an_update(-1)])

    async def measured(self, events: Sequence[Event]) -> Speed:
        """Put events into the store, and then measure how they get out of it."""
        marks = Watermarks(START, START, START, START, START)
        await self._store.feeds.commit_page("acme", "Lead", events=events, sightings=[], marks=marks, at=_CLOCK.now())
        speed = await _timed(self._drain, len(events))
        left = await self._store.outbox.backlog("bench")
        state = await self._store.outbox.sink("bench")
        assert (left.waiting, left.parked, left.dead) == (0, 0, 0), f"{left}: {state.last_error}"
        return speed

    async def end(self) -> None:
        """Let go of the other side."""
        await self._sink.close()

    async def _drain(self) -> None:
        while (await self._dispatcher.dispatch_once()).busy:
            pass


async def _alone(send: Send, events: Sequence[Event]) -> Speed:
    dressed = [envelope.dress(Delivery("bench", number, event)) for number, event in enumerate(events)]
    await send(dressed[:1])
    return await _timed(lambda: send(dressed), len(dressed))


async def _timed(work: Callable[[], Awaitable[None]], events: int) -> Speed:
    began, spent = _CLOCK.monotonic(), time.process_time()
    await work()
    seconds = _CLOCK.monotonic() - began
    return Speed(events / seconds, (time.process_time() - spent) / events * 1e6)


def _median(speeds: Sequence[Speed]) -> Speed:
    return Speed(
        statistics.median(each.per_second for each in speeds), statistics.median(each.processor for each in speeds)
    )
