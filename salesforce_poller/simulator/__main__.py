"""`python -m salesforce_poller.simulator`: a simulated org on a port, with people at work in it if wanted.

Used by people who try things out, by the demo, and by users' own integration tests, which read the one line of JSON it
prints with `--json` and then drive it through the control API (`control`).
"""

import asyncio
import json
import os
import random
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from salesforce_poller.simulator import scenes, server
from salesforce_poller.simulator.clock import OrgClock, machine_sleep
from salesforce_poller.simulator.connected_app import ConnectedApp
from salesforce_poller.simulator.org import Org

READY = """\
A simulated Salesforce org is at {url}

To poll it, paste this into your configuration:

    [orgs.practice]
    login_url = "{url}"
    auth = "client_credentials"
    client_id = "{client_id}"
    client_secret = "{client_secret}"
    api_budget = "100%"

    [orgs.practice.objects.Lead]
    every = "10s"

{scenes} Its control API is at {url}/simulator
(what happened so far: curl {url}/simulator/truth). Stop it with Ctrl-C.
"""

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """What was asked for on the command line."""

    host: str
    port: int
    seed: int
    speed: float
    clock_offset: float
    scenes: bool
    pace: float
    records: int
    as_json: bool
    certificate: str | None
    """PEM text."""


@app.command()
def main(
    *,
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes any free one.", min=0, max=65535)] = 0,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="Makes ids, names and accidents repeatable.")] = 0,
    speed: Annotated[float, typer.Option(help="Seconds the org lives per second of this machine.", min=0)] = 1.0,
    clock_offset: Annotated[
        float, typer.Option(help="How far ahead of this machine the org's clock is, in seconds.")
    ] = 0,
    scenes: Annotated[bool, typer.Option(help="Have people at work in the org.")] = True,
    pace: Annotated[float, typer.Option(help="How fast they work; 2 is twice as fast.", min=0.01)] = 1.0,
    records: Annotated[int, typer.Option(help="How many leads there are to begin with.", min=0)] = 40,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON when ready.")] = False,
    certificate: Annotated[
        Path | None, typer.Option(help="A PEM file with the certificate or public key for JWT logins.")
    ] = None,
) -> None:
    """Serve a small simulated Salesforce org over HTTP, to practise on and to test against."""
    settings = Settings(
        host, port, seed, speed, clock_offset, scenes, pace, records, as_json, _read_certificate(certificate)
    )
    try:
        asyncio.run(run(settings))
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        typer.echo(f"cannot listen on {host}:{port}: {reason}", err=True)
        raise typer.Exit(1) from error


async def run(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; raises OSError when the address cannot be had."""
    clock = OrgClock(speed=settings.speed, offset=timedelta(seconds=settings.clock_offset))
    org = Org(clock=clock, seed=settings.seed, app=ConnectedApp(certificate=settings.certificate))
    rng = random.Random(settings.seed)
    scenes.populate(org, settings.records, rng=rng)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with server.serve(server.build(org), settings.host, settings.port) as url:
        typer.echo(_ready(org, url, settings))
        sys.stdout.flush()
        if not settings.scenes:
            await stop.wait()
            return
        playing = asyncio.create_task(scenes.play(org, pace=settings.pace, rng=rng, sleep=machine_sleep))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await _cancel(stopping)
        await _cancel(playing)


def _read_certificate(path: Path | None) -> str | None:
    """The text of the file, once it is clear that it holds an RSA key; otherwise one line, and exit 2."""
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
        ConnectedApp(certificate=text).public_key()
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="--certificate") from error
    return text


async def _cancel(task: "asyncio.Task[object]") -> None:
    """End a task; one that has failed raises here."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _ready(org: Org, url: str, settings: Settings) -> str:
    facts = {
        "url": url,
        "client_id": org.app.client_id,
        "client_secret": org.app.client_secret,
        "organization_id": org.organization_id,
        "seed": settings.seed,
    }
    if settings.as_json:
        return json.dumps(facts)
    at_work = "People are at work in it." if settings.scenes else "Nobody is at work in it."
    return READY.format(**facts, scenes=at_work)


if __name__ == "__main__":
    app()
