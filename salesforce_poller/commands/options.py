"""Options that commands share, and how a command runs. Used by ``cli.py`` and the files beside this one."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperGroup

from salesforce_poller import config, telemetry
from salesforce_poller.model import Kind

T = TypeVar("T")
CONFIG = Path("config.toml")

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file (TOML).", envvar="SALESFORCE_POLLER_CONFIG")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
#: Which events: the same options wherever events are chosen.
_WHICH = "Which ones"
OfEvent = Annotated[str | None, typer.Option("--event", help="The event with this id.", rich_help_panel=_WHICH)]
OfRecord = Annotated[
    str | None,
    typer.Option("--record", help="Events of the record with this id (18 or 15 characters).", rich_help_panel=_WHICH),
]
OfObject = Annotated[str | None, typer.Option("--object", help="Events of this object.", rich_help_panel=_WHICH)]
OfOrg = Annotated[str | None, typer.Option("--org", help="Events of this org.", rich_help_panel=_WHICH)]
OfKind = Annotated[Kind | None, typer.Option("--kind", help="Events of this kind.", rich_help_panel=_WHICH)]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        help="Events that were recorded (when the daemon stored them) at or after this time, such as "
        "2026-11-21T10:00:00Z, or so long ago, such as 2h.",
        rich_help_panel=_WHICH,
    ),
]
Until = Annotated[
    str | None, typer.Option("--until", help="Events that were recorded before this time.", rich_help_panel=_WHICH)
]
OfSink = Annotated[
    list[str] | None,
    typer.Option("--sink", help="Deliveries to this sink; can be given several times.", rich_help_panel=_WHICH),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say how many for each sink.")]
Everything = Annotated[
    bool,
    typer.Option("--all", help="All of them: where nothing is selected, that must be said.", rich_help_panel=_WHICH),
]
Reason = Annotated[str | None, typer.Option("--reason", help="Shown wherever the pause is.")]


class ListsByDefault(TyperGroup):
    """A group of commands that lists where no command is named: ``sinks`` is ``sinks list``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``list`` before options of its own."""
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def group(summary: str) -> typer.Typer:
    """Return a group of commands whose first is ``list``."""
    return typer.Typer(cls=ListsByDefault, help=summary, rich_markup_mode="rich", add_completion=False)


def said(values: Mapping[str, Any], *more: str) -> dict[str, Any]:
    """Return what a command was told, as ``actions/orders.py`` reads it: of its ``locals()`` what is about events.

    ``more`` names others of them that are to go along.
    """
    wanted = {"object": values["object_name"], **{name: values.get(name) for name in (*_NAMES, *more)}}
    return {name: value for name, value in wanted.items() if value is not None}


_NAMES = ("event", "record", "org", "kind", "since", "until", "sink")


def load(path: Path) -> config.Config:
    """Read the configuration for a command that prints results, not logs. Raises ConfigError."""
    telemetry.configure(quiet=True)
    return config.load(path, os.environ)


def go(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work to its end."""
    return asyncio.run(work)


def hear(reload: asyncio.Event) -> None:
    """Have SIGHUP set ``reload`` from now on, while there is no loop yet; :func:`until_signal` takes over from it."""
    if hasattr(signal, "SIGHUP"):  # not on Windows
        signal.signal(signal.SIGHUP, lambda _number, _frame: reload.set())


async def until_signal(
    work: Callable[[asyncio.Event], Coroutine[Any, Any, T]], reload: asyncio.Event | None = None
) -> T:
    """Run work that heeds a stop event; the first signal sets it, a second one ends the program the hard way.

    SIGHUP sets ``reload``, where it is given.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, ask, number)
    if reload is not None:
        with suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(signal.SIGHUP, reload.set)
    return await work(stop)
