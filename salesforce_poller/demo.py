"""The whole thing with no account: a simulated org with people at work in it, polled and told like any other.

The simulator is another program, met only over HTTP; what runs here is the same ``app.run`` as in production, with a
configuration that could be anybody's. Called by the ``demo`` command.
"""

import asyncio
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from salesforce_poller import app, config
from salesforce_poller.clock import Clock, format_span
from salesforce_poller.errors import PollerError
from salesforce_poller.model import Kind
from salesforce_poller.store.store import Store

_CONFIG = """\
[store]
url = "sqlite:///{store}"

[http]
listen = ""

[orgs.demo]
login_url = "{url}"
auth = "client_credentials"
client_id = "{client_id}"
client_secret = "{client_secret}"
api_budget = 100000   # a second between polls is for the impatient; the default, a quarter, would stretch it

[orgs.demo.defaults]
every = "1s"
sweep_every = "15s"

[orgs.demo.objects.Lead]
[orgs.demo.objects.Contact]
[orgs.demo.objects.Account]
[orgs.demo.objects.Opportunity]

[sinks.screen]
type = "stdout"
format = "{format}"
"""

_WELCOME = """\
[bold]salesforce-poller[/]  a simulated Salesforce org with people at work in it is at [cyan]{url}[/]
It is polled every second, as a real one would be. Every event below was found by polling alone: no Apex, no
streaming, nothing installed in the org. [bold]Ctrl-C[/] ends it.
"""

_FAREWELL = """
[bold]{total}[/] events in {span}, for {calls} API calls: {kinds}
A real org next: copy config.example.toml to config.toml, and run [cyan]salesforce-poller check[/].
"""


async def run(*, stop: asyncio.Event, clock: Clock, as_json: bool, seconds: float | None) -> None:
    """Show the demo until ``stop`` is set, or for so many seconds.

    Raises:
        PollerError: when the simulated org does not start.
    """
    say = Console(stderr=as_json, highlight=False, soft_wrap=True)
    began = clock.monotonic()
    with tempfile.TemporaryDirectory(prefix="salesforce-poller-demo-") as folder:
        store = Path(folder) / "demo.db"
        async with _simulated_org() as org:
            text = _CONFIG.format(store=store, format="json" if as_json else "pretty", **org)
            say.print(_WELCOME.format(url=org["url"]))
            timer = asyncio.create_task(_stop_after(seconds, stop, clock)) if seconds else None
            calls = await app.run(config.parse(text, {}), clock=clock, rng=random.Random(), stop=stop)
            if timer:
                timer.cancel()
        async with Store(str(store), writable=False) as looked_at:
            found = await looked_at.outbox.events(limit=1_000_000)
    kinds = Counter(event.kind for _, event in found)
    told = ", ".join(f"{kinds[kind]} {kind.value}" for kind in Kind if kinds[kind]) or "nothing yet"
    span = format_span(clock.monotonic() - began)
    say.print(_FAREWELL.format(total=len(found), span=span, calls=calls, kinds=told))


async def _stop_after(seconds: float, stop: asyncio.Event, clock: Clock) -> None:
    await clock.sleep(seconds)
    stop.set()


@asynccontextmanager
async def _simulated_org() -> AsyncIterator[dict[str, Any]]:
    """Start the simulator on a free port; yields what it says of itself: url, client_id, client_secret."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "salesforce_poller.simulator",
        "--json",
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us; we end it ourselves, afterwards
    )
    assert process.stdout is not None
    try:
        line = await process.stdout.readline()
        if not line:
            raise PollerError("the simulated org did not start; what it said stands above")
        yield orjson.loads(line)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
