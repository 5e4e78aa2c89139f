"""``salesforce-poller events``: the newest events, and with ``--follow`` those that come. Only reads the store."""

import asyncio
import os
import select
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from salesforce_poller import app, printing
from salesforce_poller.actions import orders
from salesforce_poller.clock import Clock, SystemClock
from salesforce_poller.commands import options
from salesforce_poller.config import Config
from salesforce_poller.delivery import envelope
from salesforce_poller.model import Delivery
from salesforce_poller.sinks import stdout_lines
from salesforce_poller.store.repairs import Recorded
from salesforce_poller.store.store import Store

#: Seconds between two looks at the store.
_LOOK = 0.5


def events(
    path: options.ConfigFile = options.CONFIG,
    *,
    event: options.OfEvent = None,
    record: options.OfRecord = None,
    object_name: options.OfObject = None,
    org: options.OfOrg = None,
    kind: options.OfKind = None,
    since: options.Since = None,
    until: options.Until = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest ones.", min=1, max=10_000)] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with those that come, until Ctrl-C.")] = False,
    ids: Annotated[bool, typer.Option("--ids", help="Show the id of each event, for replay.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Show the latest events, oldest of them first; works beside a running daemon."""
    look = orders.read(orders.Look, options.said(locals(), "limit"))
    settings = options.load(path)
    printer = Printer(ids=ids, as_json=as_json)
    clock = SystemClock()
    if follow:
        options.go(options.until_signal(lambda stop: follow_events(settings, look, printer, clock=clock, stop=stop)))
    else:
        options.go(show_events(settings, look, printer, clock=clock))


class Printer:
    """Prints events as lines: for people, or as CloudEvents for programs."""

    def __init__(self, *, ids: bool = False, as_json: bool = False) -> None:
        self._ids = ids
        self._as_json = as_json
        self._console = Console(highlight=False, soft_wrap=True)

    def show(self, found: Iterable[Recorded]) -> None:
        """Print them in their order. Raises BrokenPipeError when nobody reads on."""
        for one in found:
            dressed = envelope.cloudevent(Delivery("", one.position, one.event))
            if self._as_json:
                printing.as_json(dressed)
                continue
            room = self._console.width - (len(one.event.id) + 2 if self._ids else 0)
            line = stdout_lines.line(dressed, max(room, stdout_lines.COMFORTABLE if self._ids else room))
            self._console.print(Text(f"{one.event.id}  ", "dim") + line if self._ids else line, soft_wrap=True)

    def nothing(self) -> None:
        """Say to people that there are none."""
        if not self._as_json:
            self._console.print("No such events yet.")


async def show_events(config: Config, look: orders.Look, printer: Printer, *, clock: Clock) -> None:
    """Show the newest events.

    Raises:
        StoreError: there is no store yet.
        NotKnown: an org or object is named that never was.
    """
    async with Store(config.store.url, writable=False) as store:
        await app.desk_for(config, store, clock=clock).check_names(look)
        found = await store.repairs.newest(look.selection(clock.now()), look.limit)
    printer.show(found)
    if not found:
        printer.nothing()


async def follow_events(
    config: Config, look: orders.Look, printer: Printer, *, clock: Clock, stop: asyncio.Event
) -> None:
    """Show the newest events and then those that come, until ``stop`` or until nobody reads on. Raises as above."""
    async with Store(config.store.url, writable=False) as store:
        await app.desk_for(config, store, clock=clock).check_names(look)
        selection = look.selection(clock.now())
        after = await store.repairs.end()
        with suppress(BrokenPipeError):
            printer.show([one for one in await store.repairs.newest(selection, look.limit) if one.position <= after])
            while not stop.is_set() and _somebody_reads():
                found = await store.repairs.following(selection, after=after)
                printer.show(found)
                after = found[-1].position if found else after
                if not found:
                    await _rest(clock, stop)
            return
    # Nobody reads our results any more; keep the interpreter from complaining about it at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _somebody_reads() -> bool:
    """Say whether the other end of a pipe is open: without it nobody would notice before the next event."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):  # no file at all
        return True
    watch = select.poll()
    watch.register(number, 0)
    return not any(mask & (select.POLLERR | select.POLLHUP) for _, mask in watch.poll(0))


async def _rest(clock: Clock, stop: asyncio.Event) -> None:
    waits: list[asyncio.Task[Any]] = [asyncio.create_task(clock.sleep(_LOOK)), asyncio.create_task(stop.wait())]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for each in waits:
        each.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
