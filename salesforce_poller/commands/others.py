"""Every command but ``run``, as ``salesforce-poller --help`` lists them; the longer ones have files beside this one.

Loaded by ``cli.py`` when one of them is asked for: a daemon does without what they import. What only looks is in
``views.py``, ``check`` leads to ``check.py``, ``demo`` to ``demo.py``.
"""

import os
import sys
from typing import Annotated

import typer

from salesforce_poller import demo, telemetry, views
from salesforce_poller.clock import SystemClock
from salesforce_poller.commands import db, dead, events, feeds, options, reload, replay, sinks
from salesforce_poller.login import PORT

doors = typer.Typer(add_completion=False, rich_markup_mode="rich")


@doors.command("demo")
def demo_command(
    *,
    as_json: options.AsJson = False,
    seconds: Annotated[float | None, typer.Option("--for", help="End after this many seconds.", min=1)] = None,
) -> None:
    """See it work, with no account: a simulated org with people at work in it, and every event they cause."""
    telemetry.configure(quiet=True)
    options.go(
        options.until_signal(lambda stop: demo.run(stop=stop, clock=SystemClock(), as_json=as_json, seconds=seconds))
    )


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
def check_command(path: options.ConfigFile = options.CONFIG, *, as_json: options.AsJson = False) -> None:
    """Prove a configuration against the real orgs and sinks: logins, objects, fields, deletes, sinks, and its cost."""
    settings = options.load(path)
    good = options.go(views.show_findings(settings, clock=SystemClock(), as_json=as_json))
    raise typer.Exit(0 if good else 1)


@doors.command()
def login(
    org: Annotated[str, typer.Argument(help="The org's name in the configuration.")],
    path: options.ConfigFile = options.CONFIG,
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
    settings = options.load(path)
    clock = SystemClock()
    options.go(
        options.until_signal(
            lambda stop: views.log_in(settings, org, clock=clock, stop=stop, port=port, browser=not no_browser)
        )
    )


@doors.command()
def objects(
    org: Annotated[str, typer.Argument(help="The org's name in the configuration.")],
    path: options.ConfigFile = options.CONFIG,
    *,
    as_json: options.AsJson = False,
) -> None:
    """List an org's objects, and which of them can be polled how (1 API call)."""
    settings = options.load(path)
    options.go(views.show_objects(settings, org, clock=SystemClock(), as_json=as_json))


@doors.command()
def status(path: options.ConfigFile = options.CONFIG, *, as_json: options.AsJson = False) -> None:
    """Show feeds and deliveries, from the store; works beside a running daemon."""
    settings = options.load(path)
    options.go(views.show_status(settings, clock=SystemClock(), as_json=as_json))


doors.command("reload")(reload.reload)
doors.command("events")(events.events)
doors.command("replay")(replay.replay)


@doors.command("send-test")
def send_test(
    sink: Annotated[str, typer.Argument(help="The sink's name in the configuration.")],
    path: options.ConfigFile = options.CONFIG,
) -> None:
    """Send one sample event to a sink and say what it answered."""
    settings = options.load(path)
    good = options.go(views.send_sample(settings, sink, clock=SystemClock()))
    raise typer.Exit(0 if good else 1)


doors.add_typer(dead.doors, name="dead")
doors.add_typer(sinks.doors, name="sinks")
doors.add_typer(feeds.doors, name="feeds")
doors.add_typer(db.doors, name="db")
