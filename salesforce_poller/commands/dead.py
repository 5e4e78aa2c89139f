"""``salesforce-poller dead``: what was given up; looking at it, owing it once more, letting go of it."""

import sys
from typing import Annotated, Any

import typer
from rich.markup import escape

from salesforce_poller import app, printing
from salesforce_poller.actions import orders
from salesforce_poller.admin import facts
from salesforce_poller.clock import Clock, SystemClock
from salesforce_poller.commands import desk, options
from salesforce_poller.config import Config
from salesforce_poller.errors import NotUnderstood
from salesforce_poller.store.repairs import Dead
from salesforce_poller.store.store import Store

doors = options.group("See what was given up, owe it once more, or let go of it; `dead` alone lists it.")
_Limit = Annotated[int, typer.Option(help="At most so many, those of the newest events.", min=1, max=10_000)]


@doors.command("list")
def list_dead(
    path: options.ConfigFile = options.CONFIG,
    *,
    event: options.OfEvent = None,
    record: options.OfRecord = None,
    object_name: options.OfObject = None,
    org: options.OfOrg = None,
    kind: options.OfKind = None,
    since: options.Since = None,
    until: options.Until = None,
    sink: options.OfSink = None,
    limit: _Limit = 50,
    as_json: options.AsJson = False,
) -> None:
    """List deliveries that were given up, oldest first: to whom, of which event, after how many tries, and why."""
    look = orders.read(orders.Look, options.said(locals(), "limit"))
    options.go(show_dead(options.load(path), look, clock=SystemClock(), as_json=as_json, whole=False))


@doors.command()
def show(
    path: options.ConfigFile = options.CONFIG,
    *,
    event: options.OfEvent = None,
    record: options.OfRecord = None,
    object_name: options.OfObject = None,
    org: options.OfOrg = None,
    kind: options.OfKind = None,
    since: options.Since = None,
    until: options.Until = None,
    sink: options.OfSink = None,
    limit: _Limit = 5,
    as_json: options.AsJson = False,
) -> None:
    """Show all that is known of them: the event, its tries, why it was given up, and the sink's last answer."""
    look = orders.read(orders.Look, options.said(locals(), "limit"))
    options.go(show_dead(options.load(path), look, clock=SystemClock(), as_json=as_json, whole=True))


@doors.command()
def requeue(
    path: options.ConfigFile = options.CONFIG,
    *,
    event: options.OfEvent = None,
    record: options.OfRecord = None,
    object_name: options.OfObject = None,
    org: options.OfOrg = None,
    kind: options.OfKind = None,
    since: options.Since = None,
    until: options.Until = None,
    sink: options.OfSink = None,
    everything: options.Everything = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Owe them once more, due at once and as if never tried."""
    order = {**options.said(locals()), "all": everything, "dry_run": dry_run}
    orders.read(orders.Repair, order).checked()
    options.go(repair(options.load(path), "requeue", order, clock=SystemClock(), as_json=as_json))


@doors.command()
def drop(
    path: options.ConfigFile = options.CONFIG,
    *,
    event: options.OfEvent = None,
    record: options.OfRecord = None,
    object_name: options.OfObject = None,
    org: options.OfOrg = None,
    kind: options.OfKind = None,
    since: options.Since = None,
    until: options.Until = None,
    sink: options.OfSink = None,
    everything: options.Everything = False,
    dry_run: options.DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether that is meant.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Let go of them for good: these sinks never get these events. Asks first."""
    order = {**options.said(locals()), "all": everything, "dry_run": dry_run}
    orders.read(orders.Repair, order).checked()
    settings, clock = options.load(path), SystemClock()
    if not dry_run and not yes:
        counts = options.go(desk.hand_over(settings, "dead/drop", {**order, "dry_run": True}, clock=clock))["sinks"]
        if counts and not _is_meant(counts):
            raise typer.Exit(1)
    options.go(repair(settings, "drop", order, clock=clock, as_json=as_json))


def _is_meant(counts: dict[str, int]) -> bool:
    if not sys.stdin.isatty():
        raise NotUnderstood("whether that is meant cannot be asked here: say --yes")
    what = f"Let go of {_deliveries(counts)} for good?"
    return typer.confirm(what, err=True)


async def show_dead(config: Config, look: orders.Look, *, clock: Clock, as_json: bool, whole: bool) -> None:
    """Show what was given up. Raises StoreError when there is no store yet, NotKnown for names that never were."""
    async with Store(config.store.url, writable=False) as store:
        await app.desk_for(config, store, clock=clock).check_names(look)
        names = look.sink or await store.repairs.sinks()
        found = await store.repairs.dead(look.selection(clock.now()), names, look.limit)
        counts = await store.repairs.count_dead(look.selection(clock.now()), names)
    if as_json:
        for one in found:
            printing.as_json(facts.of_dead(one))
        return
    console = printing.console()
    if not found:
        console.print("Nothing that was given up matches." if look.selects else "Nothing was given up.")
        return
    if whole:
        for one in found:
            _show_whole(one)
    else:
        table = printing.table("sink", "event", "what", "record", "tries", "given up", "why")
        for one in found:
            delivery, event = one.parked.delivery, one.parked.delivery.event
            what, ago = f"{event.object} {event.kind}", printing.ago(one.parked.due_at, clock.now())
            cells = (delivery.sink, event.id, what, event.key, str(delivery.attempts), ago, one.parked.detail)
            table.add_row(*map(escape, cells))
        console.print(table)
    if (rest := sum(counts.values()) - len(found)) > 0:
        console.print(f"\n… and {rest:,} more: say --limit, or which ones.")


def _show_whole(one: Dead) -> None:
    console, told = printing.console(), facts.of_dead(one)
    delivery = one.parked.delivery
    first = printing.instant(delivery.first_tried_at) if delivery.first_tried_at else "never"
    replay = ", as a replay" if delivery.replay else ""
    console.print(f"[bold]{escape(delivery.event.id)}[/] to sink [bold]{escape(delivery.sink)}[/]{replay}")
    console.print(f"  recorded   {printing.instant(one.recorded_at)}")
    console.print(f"  tried      {printing.count(delivery.attempts, 'time')}, first {first}")
    console.print(f"  given up   {printing.instant(one.parked.due_at)}")
    console.print(f"  why        {escape(one.parked.detail)}")
    console.print(
        "  answer     " + escape(one.parked.response.strip() or "none was kept").replace("\n", "\n             ")
    )
    console.print("  event")
    console.print_json(data=told["event"], indent=2, default=str)
    console.print()


async def repair(config: Config, verb: str, order: dict[str, Any], *, clock: Clock, as_json: bool) -> None:
    """Requeue or drop, and say how many. Raises what ``desk.hand_over`` raises."""
    told = await desk.hand_over(config, f"dead/{verb}", order, clock=clock)
    if as_json:
        printing.as_json(told)
        return
    console, counts = printing.console(), told["sinks"]
    if not counts:
        console.print("Nothing that was given up matches.")
        return
    done = {"requeue": ("Would owe", "Owed"), "drop": ("Would let go of", "Let go of")}[verb][
        0 if told["dry_run"] else 1
    ]
    after = " once more" if verb == "requeue" else ""
    console.print(f"{printing.GOOD} {done} {escape(_deliveries(counts))}{after}.")


def _deliveries(counts: dict[str, int]) -> str:
    number = printing.count(sum(counts.values()), "delivery", "deliveries")
    return f"{number} that had been given up ({printing.by_sink(counts)})"
