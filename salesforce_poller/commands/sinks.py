"""``salesforce-poller sinks``: how sinks stand; stopping them and letting them go on."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from salesforce_poller import printing
from salesforce_poller.actions import overview
from salesforce_poller.clock import Clock, SystemClock
from salesforce_poller.commands import desk, options
from salesforce_poller.config import Config
from salesforce_poller.store.store import Store

doors = options.group("See how sinks stand, stop one, let it go on; `sinks` alone lists them.")
_Name = Annotated[str, typer.Argument(metavar="SINK", help="The sink's name in the configuration.")]


@doors.command("list")
def list_sinks(path: options.ConfigFile = options.CONFIG, *, as_json: options.AsJson = False) -> None:
    """List the sinks: what each is owed, what it gave up, whether it is paused or failing, and what to do about it."""
    options.go(show_sinks(options.load(path), clock=SystemClock(), as_json=as_json))


@doors.command()
def pause(
    name: _Name,
    path: options.ConfigFile = options.CONFIG,
    *,
    reason: options.Reason = None,
    as_json: options.AsJson = False,
) -> None:
    """Let a sink take nothing until it is resumed, over restarts too; its events wait, sends in hand are finished."""
    options.go(turn(options.load(path), name, "pause", reason=reason, clock=SystemClock(), as_json=as_json))


@doors.command()
def resume(name: _Name, path: options.ConfigFile = options.CONFIG, *, as_json: options.AsJson = False) -> None:
    """End a pause, whoever asked for it; the sink goes on at once, where it stopped."""
    options.go(turn(options.load(path), name, "resume", reason=None, clock=SystemClock(), as_json=as_json))


async def show_sinks(config: Config, *, clock: Clock, as_json: bool) -> None:
    """Show how the sinks stand. Raises StoreError when there is no store yet."""
    async with Store(config.store.url, writable=False) as store:
        views = await overview.of_sinks(store, list(config.sinks))
    if as_json:
        printing.as_json([asdict(one) for one in views])
        return
    console = printing.console()
    console.print(printing.sinks_table(views, clock.now()))
    for trouble in printing.sink_troubles(views):
        console.print(f"\n{trouble}")


async def turn(config: Config, name: str, verb: str, *, reason: str | None, clock: Clock, as_json: bool) -> None:
    """Pause or resume a sink, and say what came of it. Raises what ``desk.hand_over`` raises."""
    said = {"reason": reason} if reason is not None else {}
    told = await desk.hand_over(config, f"sinks/{name}/{verb}", said, clock=clock)
    if as_json:
        printing.as_json(told)
        return
    async with Store(config.store.url, writable=False) as store:
        backlog = await store.outbox.backlog(name)
    owed = printing.count(backlog.waiting + backlog.parked, "event")
    console = printing.console()
    if verb == "pause":
        console.print(f"{printing.GOOD} {escape(name)} is paused: {escape(told['paused'])}. Waiting for it: {owed}.")
    elif told["was_paused"]:
        console.print(
            f"{printing.GOOD} {escape(name)} goes on; it was paused: {escape(told['was_paused'])}. Waiting: {owed}."
        )
    else:
        console.print(f"{printing.NOTE} {escape(name)} was not paused.")
