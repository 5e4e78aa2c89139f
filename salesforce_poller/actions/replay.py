"""Owes events again, batch by batch. Called by ``desk.py``; the next stop is ``store/repairs.py:Repairs.owe``.

A replay leaves an event as it is: it keeps its id, says ``replay`` beside it, and is delivered in order with the other
events of its record. What a sink's filters do not want now is not owed; what it gave up is owed once more; what it is
owed already is left alone, and what still lies before it comes by itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from salesforce_poller.clock import Clock
from salesforce_poller.model import Event
from salesforce_poller.store.repairs import BATCH, Owed, Repairs
from salesforce_poller.store.selection import Selection

#: Says whether a sink wants an event.
Wants = Callable[[Event], bool]


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a replay goes, in positions of the store."""

    after: int
    through: int
    #: Look at about so many events, then come back; None: at all of them.
    most: int | None


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay came to, or a part of it."""

    #: By sink.
    sinks: Mapping[str, Owed]
    #: Events that were selected.
    selected: int
    #: Where to go on; None when everything was looked at.
    next: int | None


async def owe_again(
    repairs: Repairs,
    wants: Mapping[str, Wants],
    selection: Selection,
    extent: Extent,
    *,
    clock: Clock,
    dry_run: bool,
    stopping: Callable[[], bool],
) -> Replayed:
    """Owe the selected events to these sinks once more, or with ``dry_run`` only say what that comes to.

    A program that is ``stopping`` breaks off after a batch.
    """
    totals = {sink: Owed() for sink in wants}
    after, selected = extent.after, 0
    while batch := await repairs.following(selection, after=after, through=extent.through):
        wanted = {sink: [one.position for one in batch if wish(one.event)] for sink, wish in wants.items()}
        owed = await (repairs.would_owe(wanted) if dry_run else repairs.owe(wanted, clock.now()))
        for sink, more in owed.items():
            totals[sink] = totals[sink].plus(more)
        after, selected = batch[-1].position, selected + len(batch)
        if len(batch) < BATCH:
            break
        if stopping() or (extent.most is not None and selected >= extent.most):
            return Replayed(totals, selected, after)
    return Replayed(totals, selected, None)
