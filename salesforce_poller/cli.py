"""The front door: parses, calls, prints; thinks nothing. Results go to stdout, logs and troubles to stderr.

``run`` leads to ``app.py``; all other commands are in ``commands``.
Exit codes: 0 done, 1 failed, 2 configuration wrong.
"""

import gc
import os
import random
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from salesforce_poller import app, config, telemetry
from salesforce_poller.clock import SystemClock
from salesforce_poller.commands import options
from salesforce_poller.errors import ConfigError, PollerError
from salesforce_poller.source import Source


class Doors(TyperGroup):
    """All commands; those beside ``run`` are loaded when one of them, or the list of them, is asked for."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Find a command by its name."""
        if cmd_name not in self.commands:
            self._open_others()
        return super().get_command(ctx, cmd_name)

    def list_commands(self, ctx: Any) -> list[str]:
        """Name all of them."""
        self._open_others()
        return super().list_commands(ctx)

    def _open_others(self) -> None:
        from salesforce_poller.commands import others  # noqa: PLC0415  # 100 modules that a daemon does without

        for name, command in typer.main.get_group(others.doors).commands.items():
            self.commands.setdefault(name, command)


doors = typer.Typer(
    cls=Doors,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Watches Salesforce orgs by polling and delivers every created, updated, deleted, merged and undeleted "
    "record to webhooks, queues, databases, files and stdout: at least once, and in order per record.",
)


#: New objects after which the collector looks for cycles among them: a page is thousands of objects, and has none.
_LOOK_AFTER = 20_000


@doors.callback()
def _all() -> None:
    """Say nothing: with one command alone, Typer would take that for the whole program."""


@doors.command()
def run(
    path: options.ConfigFile = options.CONFIG,
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also log every poll and delivery.")] = False,
) -> None:
    """Run the daemon until SIGTERM or SIGINT; the page and the deliveries in hand are finished first."""
    telemetry.configure(verbose=verbose)
    source = Source(path, os.environ)
    options.hear(source.asked)
    settings, clock, rng = config.load(path, os.environ), SystemClock(), random.Random()
    gc.freeze()  # what was imported stays as long as the process: it need not be looked through again and again
    gc.set_threshold(_LOOK_AFTER)
    options.go(
        options.until_signal(
            lambda stop: app.run(settings, clock=clock, rng=rng, stop=stop, source=source), source.asked
        )
    )


def main() -> None:
    """Open the door; turn what was foreseen into a clear line and an exit code."""
    try:
        doors()
    except ConfigError as exc:
        _complain(*exc.problems)
        sys.exit(2)
    except PollerError as exc:
        _complain(exc.explained())
        sys.exit(1)
    except OSError as exc:
        if not isinstance(exc, BrokenPipeError):
            _complain(f"cannot write the results: {exc.strerror}")
        # Nobody reads our results any more; keep the interpreter from complaining about it at exit.
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _complain(*lines: str) -> None:
    from rich.console import Console  # noqa: PLC0415  # for commands; a daemon has its log
    from rich.markup import escape  # noqa: PLC0415  # as above

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for line in lines:
        console.print(f"[bold red]error[/] {escape(line)}")
