"""The front door: parses, calls, prints; thinks nothing. Results go to stdout, logs and troubles to stderr.

``run`` leads to ``app.py``, ``check`` to ``check.py``, ``demo`` to ``demo.py``; what only looks is in ``views.py``.
Exit codes: 0 done, 1 failed, 2 configuration wrong.
"""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from salesforce_poller import app, config, demo, telemetry, views
from salesforce_poller.clock import SystemClock
from salesforce_poller.errors import ConfigError, PollerError
from salesforce_poller.login import PORT
from salesforce_poller.model import Kind

T = TypeVar("T")
doors = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Watches Salesforce orgs by polling and delivers every created, updated, deleted, merged and undeleted "
    "record to webhooks, stdout and files: at least once, and in order per record.",
)

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="The configuration file (TOML).", envvar="SALESFORCE_POLLER_CONFIG")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
_CONFIG = Path("config.toml")


@doors.command()
def run(
    path: ConfigFile = _CONFIG,
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also log every poll and delivery.")] = False,
) -> None:
    """Run the daemon until SIGTERM or SIGINT; the page and the deliveries in hand are finished first."""
    telemetry.configure(verbose=verbose)
    settings = config.load(path, os.environ)
    _go(_until_signal(lambda stop: app.run(settings, clock=SystemClock(), rng=random.Random(), stop=stop)))


@doors.command("demo")
def demo_command(
    *,
    as_json: AsJson = False,
    seconds: Annotated[float | None, typer.Option("--for", help="End after this many seconds.", min=1)] = None,
) -> None:
    """See it work, with no account: a simulated org with people at work in it, and every event they cause."""
    telemetry.configure(quiet=True)
    _go(_until_signal(lambda stop: demo.run(stop=stop, clock=SystemClock(), as_json=as_json, seconds=seconds)))


@doors.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def simulate(context: typer.Context) -> None:
    """Serve a simulated org over HTTP, to practise on and for your own integration tests."""
    # Another program, met only over HTTP: the simulator shares no code with the rest.
    command = [sys.executable, "-m", "salesforce_poller.simulator", *context.args]
    os.execv(sys.executable, command)  # noqa: S606  # our own interpreter, no shell


@doors.command("check")
def check_command(path: ConfigFile = _CONFIG, *, as_json: AsJson = False) -> None:
    """Prove a configuration against the real orgs and sinks: logins, objects, fields, deletes, sinks, and its cost."""
    telemetry.configure(quiet=True)
    settings = config.load(path, os.environ)
    good = _go(views.show_findings(settings, clock=SystemClock(), as_json=as_json))
    raise typer.Exit(0 if good else 1)


@doors.command()
def login(
    org: Annotated[str, typer.Argument(help="The org's name in the configuration.")],
    path: ConfigFile = _CONFIG,
    *,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Open no browser, only print the address to open.")
    ] = False,
    port: Annotated[
        int,
        typer.Option(
            help="Where the browser comes back to; the app needs it as http://localhost:PORT/callback.",
            min=1,
            max=65_535,
        ),
    ] = PORT,
) -> None:
    """Log in to an org in the browser (auth = "refresh_token") and store the refresh token; the daemon must not run."""
    telemetry.configure(quiet=True)
    settings = config.load(path, os.environ)
    clock = SystemClock()
    _go(
        _until_signal(
            lambda stop: views.log_in(settings, org, clock=clock, stop=stop, port=port, browser=not no_browser)
        )
    )


@doors.command()
def objects(
    org: Annotated[str, typer.Argument(help="The org's name in the configuration.")],
    path: ConfigFile = _CONFIG,
    *,
    as_json: AsJson = False,
) -> None:
    """List an org's objects, and which of them can be polled how (1 API call)."""
    telemetry.configure(quiet=True)
    settings = config.load(path, os.environ)
    _go(views.show_objects(settings, org, clock=SystemClock(), as_json=as_json))


@doors.command()
def status(path: ConfigFile = _CONFIG, *, as_json: AsJson = False) -> None:
    """Show feeds and deliveries, from the store; works beside a running daemon."""
    telemetry.configure(quiet=True)
    settings = config.load(path, os.environ)
    _go(views.show_status(settings, clock=SystemClock(), as_json=as_json))


@doors.command()
def events(
    path: ConfigFile = _CONFIG,
    *,
    org: Annotated[str | None, typer.Option(help="Only of this org.")] = None,
    object_name: Annotated[str | None, typer.Option("--object", help="Only of this object.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="Only of this kind.")] = None,
    record: Annotated[str | None, typer.Option(help="Only of the record with this id.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest ones.", min=1)] = 50,
    as_json: AsJson = False,
) -> None:
    """Show the latest events, oldest of them first; works beside a running daemon."""
    telemetry.configure(quiet=True)
    settings = config.load(path, os.environ)
    wanted = views.Wanted(org=org, object=object_name, kind=kind, record=record, limit=limit)
    _go(views.show_events(settings, wanted, as_json=as_json))


@doors.command("send-test")
def send_test(
    sink: Annotated[str, typer.Argument(help="The sink's name in the configuration.")], path: ConfigFile = _CONFIG
) -> None:
    """Send one sample event to a sink and say what it answered."""
    telemetry.configure(quiet=True)
    settings = config.load(path, os.environ)
    good = _go(views.send_sample(settings, sink, clock=SystemClock()))
    raise typer.Exit(0 if good else 1)


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
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for line in lines:
        console.print(f"[bold red]error[/] {escape(line)}")


def _go(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def _until_signal(work: Callable[[asyncio.Event], Coroutine[Any, Any, T]]) -> T:
    """Run work that heeds a stop event; the first signal sets it, a second one ends the program the hard way."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, ask, number)
    return await work(stop)
