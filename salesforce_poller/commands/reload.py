"""``salesforce-poller reload``: has the running daemon read its configuration again.

The daemon reads the file it was started with, in the environment it was started in; the command's own ``--config`` only
says where the daemon's store is, and with it the daemon. Daemons that share a store on PostgreSQL are all asked, and
each tells in its log what came of it. Next stop: ``app.py:App.reload``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.markup import escape

from salesforce_poller import printing
from salesforce_poller.clock import Clock, SystemClock
from salesforce_poller.commands import desk, options
from salesforce_poller.config import Config
from salesforce_poller.errors import ConfigError, NotNow, StoreError

#: Where the two need not be the same.
_OTHERWISE = "a daemon that was started with another [store] url, or that has no HTTP, reads its file again on SIGHUP"


def reload(path: options.ConfigFile = options.CONFIG, *, as_json: options.AsJson = False) -> None:
    """Have the running daemon read its file again: says what was started, stopped, changed; wrong changes nothing."""
    try:
        told = options.go(ask(options.load(path), clock=SystemClock()))
    except ConfigError as exc:
        if not as_json:
            raise ConfigError([*exc.problems, "nothing was changed; a daemon that runs goes on as it was"]) from exc
        printing.as_json({"problems": exc.problems})
        raise typer.Exit(2) from exc
    if as_json:
        printing.as_json(told)
    elif "asked" in told:
        show_asked(told["asked"])
    else:
        show(told)
    raise typer.Exit(1 if told.get("failed") else 0)


async def ask(config: Config, *, clock: Clock) -> dict[str, Any]:
    """Have the daemon of this store read its file again; returns what was changed, or who was asked.

    Raises:
        ConfigError: that file is wrong.
        PollerError: there is no daemon, or it cannot be reached, or it is stopping.
    """
    try:
        told = await desk.hand_over(config, "reload", {}, clock=clock)
    except StoreError as exc:
        raise StoreError(f"{exc}; {_OTHERWISE}") from exc
    if told.get("asked") == []:
        raise NotNow(f"no daemon is running on this store; {_OTHERWISE}")
    return told


def show_asked(asked: Sequence[str]) -> None:
    """Show people which daemons will read their files again."""
    who = escape(", ".join(asked))
    console = printing.console()
    console.print(f"{printing.GOOD} {printing.count(len(asked), 'daemon')} asked to read the file again: {who}.")
    console.print("  What is changed by it, or wrong with it, each of them tells in its log.")


def show(told: Mapping[str, Any]) -> None:
    """Show people what was changed."""
    console = printing.console()
    console.print(f"{printing.GOOD} {escape(told['file'])} was read again.")
    for what in ("started", "stopped", "restarted", "unchanged"):
        if told[what]:
            console.print(f"  {what:<10} {escape(', '.join(told[what]))}")
    if told["needs_restart"]:
        keys = escape(", ".join(told["needs_restart"]))
        console.print(f"{printing.NOTE} Of what was changed, {keys} needs a restart; until then it stays as it was.")
    for name, why in told["failed"].items():
        console.print(f"{printing.BAD} {escape(name)} could not be started, and is tried again: {escape(why)}")
