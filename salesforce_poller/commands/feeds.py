"""``salesforce-poller feeds``: how feeds stand; polling one now, stopping it, letting it go on."""

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape

from salesforce_poller import printing
from salesforce_poller.actions import overview
from salesforce_poller.clock import Clock, SystemClock
from salesforce_poller.commands import desk, options
from salesforce_poller.config import Config
from salesforce_poller.store.store import Store

doors = options.group("See how feeds stand, poll one now, stop one, let it go on; `feeds` alone lists them.")
_Org = Annotated[str, typer.Argument(metavar="ORG", help="The org's name in the configuration.")]
_Object = Annotated[str, typer.Argument(metavar="OBJECT", help="The object's API name.")]


@doors.command("list")
def list_feeds(path: options.ConfigFile = options.CONFIG, *, as_json: options.AsJson = False) -> None:
    """List the feeds: when each was polled, how far it is read, whether it is paused or failing."""
    options.go(show_feeds(options.load(path), clock=SystemClock(), as_json=as_json))


@doors.command()
def poll(
    org: _Org, name: _Object, path: options.ConfigFile = options.CONFIG, *, as_json: options.AsJson = False
) -> None:
    """Have the running daemon poll a feed now, also one that rests after a failure; says what came of it."""
    good = options.go(turn(options.load(path), (org, name), "poll", clock=SystemClock(), as_json=as_json))
    raise typer.Exit(0 if good else 1)


@doors.command()
def pause(
    org: _Org,
    name: _Object,
    path: options.ConfigFile = options.CONFIG,
    *,
    reason: options.Reason = None,
    as_json: options.AsJson = False,
) -> None:
    """Poll a feed no more until it is resumed, over restarts too; nothing is lost, it goes on where it stopped."""
    said = {"reason": reason} if reason is not None else {}
    options.go(turn(options.load(path), (org, name), "pause", said, clock=SystemClock(), as_json=as_json))


@doors.command()
def resume(
    org: _Org, name: _Object, path: options.ConfigFile = options.CONFIG, *, as_json: options.AsJson = False
) -> None:
    """End a pause; the feed is polled at once, and finds what has changed meanwhile."""
    options.go(turn(options.load(path), (org, name), "resume", clock=SystemClock(), as_json=as_json))


async def show_feeds(config: Config, *, clock: Clock, as_json: bool) -> None:
    """Show how the feeds stand. Raises StoreError when there is no store yet."""
    watched = [(org, name) for org, settings in config.orgs.items() for name in settings.objects]
    async with Store(config.store.url, writable=False) as store:
        views = await overview.of_feeds(store, watched)
    if as_json:
        printing.as_json([asdict(one) for one in views])
        return
    now, console = clock.now(), printing.console()
    table = printing.table("feed", "polled", "settled", "state")
    for one in views:
        settled = printing.instant(one.settled_through) if one.settled_through else "-"
        name = escape(f"{one.org}/{one.object}")
        table.add_row(name, printing.ago(one.polled_at, now), settled, printing.feed_state(one, now))
    console.print(table)
    for line in printing.feed_pauses(views):
        console.print(f"\n{line}")
    for one in views:
        if one.error and not one.paused:
            console.print(f"\n{printing.BAD} {escape(f'{one.org}/{one.object}: {one.error}')}")


async def turn(
    config: Config,
    feed: tuple[str, str],
    verb: str,
    said: dict[str, Any] | None = None,
    *,
    clock: Clock,
    as_json: bool,
) -> bool:
    """Poll, pause or resume a feed and say what came of it; False where a poll failed. Raises as ``hand_over``."""
    told = await desk.hand_over(config, f"feeds/{feed[0]}/{feed[1]}/{verb}", said or {}, clock=clock)
    good = not told.get("error")
    if as_json:
        printing.as_json(told)
        return good
    mark, text = printing.GOOD, f"{told['feed']} "
    if verb == "pause":
        text += f"is paused: {told['paused']}."
    elif verb == "resume":
        text += "goes on." if told["was_paused"] else "was not paused."
    elif not good:
        mark, text = printing.BAD, f"{text}could not be polled: {told['error']}"
    elif told["done"]:
        text += f"was polled: {printing.count(told['events'], 'new event')}."
    else:
        text += "is to be polled now; `salesforce-poller status` tells how it goes."
    printing.console().print(f"{mark} {escape(text)}")
    return good
