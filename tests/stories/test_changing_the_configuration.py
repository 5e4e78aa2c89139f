"""The file is changed while the daemon runs, by a signal or a command, rightly or wrongly: nothing is lost by it."""

import asyncio
import io
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import stores
from certificates import Certificates
from consumer import Consumer, a_consumer, as_events
from daemons import STUCK, a_daemon, lead_until, work
from oracle import judge
from world import WATCHED

from salesforce_poller import app, cli, config, telemetry
from salesforce_poller.clock import Clock, SystemClock
from salesforce_poller.errors import ConfigError, PollerError, StoreError
from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org
from salesforce_poller.sinks import catalogue
from salesforce_poller.sinks.base import Sink
from salesforce_poller.source import Source
from salesforce_poller.store.calls import Calls, OrgState
from salesforce_poller.store.lock import Holder, holder_of

CONFIG = """
[store]
url = "{store}"
[http]
listen = "127.0.0.1:0"
{http}
[orgs.acme]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
api_budget = 1_000_000
[orgs.acme.defaults]
every = "1s"
sweep_every = "1s"
[orgs.acme.objects.Lead]
fields = ["LastName", "Company", "Status", "Email"]
{objects}
[sinks.hook]
type = "webhook"
url = "{hook}"
{sinks}
"""
CONTACT = """[orgs.acme.objects.Contact]
fields = ["LastName", "Email", "Title"]
"""


@pytest.fixture(autouse=True)
def _logs_of_their_own() -> None:
    """Commands set up logging for the whole process; what the daemon logs must not get between their lines."""
    telemetry.configure(quiet=True)  # tests/conftest.py puts it back


def _typed(words: list[str]) -> tuple[int, str]:
    """Return the exit code, and what was printed or complained of."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()):
        try:
            code = cli.doors(words, standalone_mode=False)
        except ConfigError as exc:
            return 2, str(exc)
        except PollerError as exc:
            return 1, str(exc)
    return code or 0, out.getvalue()


@dataclass
class Site:
    """A place with an org, a consumer, and a configuration to change."""

    org: Org
    url: str
    consumer: Consumer
    config: Path
    store: str

    def write(self, *, objects: str = "", sinks: str = "", http: str = "", more: str = "") -> None:
        """Write the configuration anew."""
        said = {"store": self.store, "url": self.url, "hook": self.consumer.url}
        self.config.write_text(CONFIG.format(**said, objects=objects, sinks=sinks, http=http) + more)

    def file_sink(self, name: str) -> str:
        """Return the table of a sink that writes to a file of this name."""
        return f'[sinks.{name}]\ntype = "file"\npath = "{self.config.with_name(name)}"\n'

    async def reload(self, *words: str, code: int = 0) -> str:
        """Carry the command out, in this process; returns what it printed, or what it complained of."""
        found, told = await asyncio.to_thread(_typed, ["reload", *words, "--config", str(self.config)])
        assert found == code, told
        return told

    async def holder(self) -> Holder:
        """Wait until the daemon says how it is reached."""
        while (found := await asyncio.to_thread(holder_of, self.config.with_name("store.db"))) is None:
            pass
        return found

    async def logged(self, event: str, times: int = 1) -> list[dict[str, Any]]:
        """Wait until the daemon's log tells of something so often; returns these lines."""
        while True:
            lines = (await asyncio.to_thread(self.config.with_name("daemon.log").read_text)).splitlines()
            found = [orjson.loads(line) for line in lines if f'"event": "{event}"' in line]
            if len(found) >= times:
                return found

    def judge(self, consumer: Consumer, name: str, records: set[str], since: int) -> list[str]:
        """Say what is wrong with what a consumer was told of these records."""
        events = [event for event in as_events(consumer) if event.record_id in records]
        truth = [change for change in self.org.truth if change.record_id in records]
        return judge(events, truth, WATCHED[name], name, since=since, must_tell=records)


@asynccontextmanager
async def a_site(folder: Path, *, speed: float = 1) -> AsyncIterator[Site]:
    """Make one; nothing may take longer than a minute or two."""
    org = Org(clock=OrgClock(datetime(2026, 11, 21, 10, tzinfo=UTC), speed=speed), seed=5)
    org.set_usage(0, 5_000_000)  # so that polls come every second
    async with asyncio.timeout(STUCK), a_consumer() as consumer, server.serve(server.build(org)) as url:
        site = Site(org, url, consumer, folder / "config.toml", stores.url(folder / "store.db"))
        site.write()
        yield site


@asynccontextmanager
async def a_daemon_here(site: Site, environ: dict[str, str] | None = None, seed: int = 3) -> AsyncIterator[None]:
    """Run the whole app in this loop; what it is started with, and what it reads again, may differ by ``environ``."""
    stop, source = asyncio.Event(), Source(site.config, environ or {})
    run = app.run(config.load(site.config, {}), clock=SystemClock(), rng=random.Random(seed), stop=stop, source=source)
    running = asyncio.create_task(run)
    try:
        if not stores.on_postgresql():
            await site.holder()
        yield
    finally:
        stop.set()
        await running


def started(sink: str) -> list[str]:
    """Return what a reload has started at once; where the store is shared, whoever takes the new sink starts it."""
    return [] if stores.on_postgresql() else [f"sink:{sink}"]


@pytest.mark.both_databases
async def test_a_signal_changes_a_daemon_at_work_and_nothing_is_lost(tmp_path: Path) -> None:
    """An object and a sink come, a sink goes, then the file is broken: the old stays, and every change is told."""
    rng = random.Random(5)
    async with a_site(tmp_path, speed=60) as site, a_consumer() as second:
        org, leads = site.org, list[str]()
        site.write(sinks=site.file_sink("gone"))
        async with a_daemon(site.config) as daemon:
            await lead_until(org, site.consumer, leads, lambda: bool(site.consumer.accepted))
            since, before, heard = len(org.truth), set(leads), len(site.consumer.accepted)
            for _ in range(20):
                work(org, rng, leads)
            new = f'[sinks.second]\ntype = "webhook"\nurl = "{second.url}"\n'
            site.write(objects=CONTACT, sinks=new)
            daemon.send_signal(signal.SIGHUP)
            while not await asyncio.to_thread(_holds, tmp_path, "config.reloaded"):
                work(org, rng, leads)
            [told] = await site.logged("config.reloaded")
            changed = {key: told[key] for key in ("started", "stopped", "restarted")}
            assert changed == {"started": started("second"), "stopped": ["sink:gone"], "restarted": ["org:acme"]}

            site.config.write_text(site.config.read_text() + "\n[sinks.third]\ntype = 'carrier pigeon'\n")
            daemon.send_signal(signal.SIGHUP)
            while not await asyncio.to_thread(_holds, tmp_path, "config.reload_refused"):
                work(org, rng, leads)
            [refused] = await site.logged("config.reload_refused")
            [problem] = refused["problems"]
            assert problem.startswith(f"{site.config}:")
            assert "sinks.third: type should be one of" in problem

            # A change made after the start tells that the new feed has started.
            await contact_until(org, second)
            late = len(org.truth)
            fresh = {org.insert("Contact", LastName=f"Late {n}") for n in range(5)}
            after = {org.insert("Lead", LastName=f"Late {n}", Company="Acme") for n in range(5)}
            work(org, rng, leads)
            told_to = [(site.consumer, "Lead", (set(leads) - before) | after, since), (second, "Contact", fresh, late)]
            told_to += [(second, "Lead", after, late), (site.consumer, "Contact", fresh, late)]
            for consumer, name, records, start in told_to:
                alive = {one for one in records if org.get(name, one)}
                await consumer.wait_for(
                    lambda consumer=consumer, name=name, alive=alive, start=start: (  # type: ignore[misc]  # mypy cannot infer a lambda with a default
                        not site.judge(consumer, name, alive, start)
                    )
                )
            assert len(site.consumer.accepted) > heard
            daemon.send_signal(signal.SIGTERM)
            assert await daemon.wait() == 0, (tmp_path / "daemon.log").read_text()


#: Runs the daemon, and sends it the signal as soon as it comes to import anything of consequence.
EARLY = """
import os, runpy, signal, sys
class Early:
    def find_spec(self, name, path=None, target=None):
        if name == "salesforce_poller.cli":
            os.kill(os.getpid(), signal.SIGHUP)
sys.meta_path.insert(0, Early())
sys.argv[0] = "salesforce-poller"
runpy.run_module("salesforce_poller", run_name="__main__")
"""


@pytest.mark.both_databases
async def test_a_signal_at_the_very_start_ends_nothing(tmp_path: Path) -> None:
    """Whoever changes files and signals need not know how far the daemon has come; what it has read is read again."""
    async with a_site(tmp_path) as site:
        text, pipe = site.config.read_text(), tmp_path / "pipe.toml"
        os.mkfifo(pipe)
        async with a_daemon(pipe, "-c", EARLY) as daemon:
            reading = await _opened(pipe, daemon)
            daemon.send_signal(signal.SIGHUP)
            _write(reading, text)
            await site.logged("http.listening")  # all of it was read
            _write(await _opened(pipe, daemon), text + site.file_sink("new"))
            [told] = await site.logged("config.reloaded")
            assert told["started"] in (started("new"), ["sink:new"])  # a look at the leases may have come between
            daemon.send_signal(signal.SIGTERM)
            assert await daemon.wait() == 0, (tmp_path / "daemon.log").read_text()


async def _opened(pipe: Path, daemon: asyncio.subprocess.Process) -> int:
    """Wait until the daemon comes to read a pipe; returns the end to write to."""
    while daemon.returncode is None:
        try:
            return await asyncio.to_thread(os.open, pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads yet
            continue
    pytest.fail(f"the daemon has ended with {daemon.returncode}")


def _write(end: int, text: str) -> None:
    with open(end, "w", encoding="utf-8") as file:
        file.write(text)


async def contact_until(org: Org, consumer: Consumer) -> None:
    """Insert a contact each second until a consumer was told of one."""

    def heard() -> bool:
        return any(one["data"]["object"] == "Contact" for one in consumer.accepted)

    while not heard():
        org.insert("Contact", LastName="Early")
        try:
            async with asyncio.timeout(1):
                await consumer.wait_for(heard)
        except TimeoutError:
            continue


def _holds(folder: Path, event: str) -> bool:
    """Say whether the daemon's log tells of something."""
    return f'"event": "{event}"' in (folder / "daemon.log").read_text()


async def test_the_command_says_what_was_changed(tmp_path: Path) -> None:
    """For people and for programs; what cannot change now is named, and stays."""
    async with a_site(tmp_path) as site, a_daemon_here(site):
        assert "unchanged  org:acme, sink:hook" in await site.reload()
        site.write(objects=CONTACT, sinks=site.file_sink("new"), http='token = "let-me-in"')
        told = orjson.loads(await site.reload("--json"))
        assert told == {
            "file": str(site.config),
            "started": ["sink:new"],
            "stopped": [],
            "restarted": ["org:acme"],
            "unchanged": ["sink:hook"],
            "failed": {},
            "needs_restart": ["http.token"],
        }
        holder = await site.holder()
        async with httpx.AsyncClient(base_url=f"http://{holder.host}:{holder.port}") as http:
            names = [one["name"] for one in (await http.get("/api/sinks")).json()]
            feeds = [one["object"] for one in (await http.get("/api/feeds")).json()]
            assert (await http.post("/api/reload")).status_code == 403
        assert (names, feeds) == (["hook", "new"], ["Lead", "Contact"])
        site.write()
        shown = await site.reload()
        assert [line.split() for line in shown.splitlines()[1:]] == [
            ["stopped", "sink:new"],
            ["restarted", "org:acme"],
            ["unchanged", "sink:hook"],
        ]


async def test_a_wrong_file_changes_nothing_and_says_where_it_is_wrong(tmp_path: Path) -> None:
    """The daemon reads its own file in its own environment: it may be wrong where the command finds it right."""
    async with a_site(tmp_path) as site, a_daemon_here(site, {"SALESFORCE_POLLER__STORE__KEEP_EVENTS": "soon"}):
        told = await site.reload(code=2)
        assert told.splitlines()[0].startswith(f"{site.config}:2: store.keep_events: ")
        assert told.splitlines()[-1] == "nothing was changed; a daemon that runs goes on as it was"
        assert "store.keep_events" in (await site.reload("--json", code=2))
        site.write(more="[sinks.third]\ntype = 'carrier pigeon'\n")
        told = await site.reload(code=2)
        assert "sinks.third: type should be one of" in told


async def test_a_new_sink_cannot_start_in_the_future(tmp_path: Path) -> None:
    """It is refused as at the start; nothing of the rest is changed either."""
    async with a_site(tmp_path) as site, a_daemon_here(site):
        site.write(objects=CONTACT, sinks=site.file_sink("new") + "start = 2100-01-01T00:00:00Z\n")
        told = await site.reload(code=2)
        assert told.startswith(f"{site.config}: sinks.new.start: lies in the future")
        site.write()
        assert "unchanged  org:acme, sink:hook" in await site.reload()


async def test_what_cannot_start_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest goes on; an org that is not polled keeps the daemon from being ready, a sink does not."""
    ledger, build, fails = Calls.ledger, catalogue.build, True

    async def read(self: Calls, org: str, oldest: int) -> tuple[dict[int, int], OrgState]:
        if fails and org == "other":
            raise StoreError("the disk is full")
        return await ledger(self, org, oldest)

    def make(settings: catalogue.AnySinkSettings, clock: Clock) -> Sink[Any]:
        if fails and catalogue.word_of(settings) == "file":
            raise RuntimeError("what a library says may hold secrets")
        return build(settings, clock)

    monkeypatch.setattr(Calls, "ledger", read)
    monkeypatch.setattr(catalogue, "build", make)
    async with a_site(tmp_path) as site, a_daemon_here(site):
        other = CONFIG.partition("[orgs.acme]\n")[2].partition("[orgs.acme.defaults]")[0].format(url=site.url)
        site.write(sinks=f"{site.file_sink('new')}[orgs.other]\n{other}[orgs.other.objects.Lead]\n")
        told = await site.reload(code=1)
        assert "org:other could not be started, and is tried again: the disk is full" in told
        assert "sink:new could not be started, and is tried again: unexpected RuntimeError" in told
        assert "unchanged  org:acme, sink:hook" in told
        holder = await site.holder()
        async with httpx.AsyncClient(base_url=f"http://{holder.host}:{holder.port}") as http:
            problems = (await http.get("/readyz")).json()["problems"]
        assert "other could not be started: the disk is full" in problems
        assert not [problem for problem in problems if "new" in problem]
        fails = False
        told = await site.reload()  # they start now, or did so by themselves a moment ago
        assert "could not be started" not in told
        assert "org:other" in told
        assert "sink:new" in told
        async with httpx.AsyncClient(base_url=f"http://{holder.host}:{holder.port}") as http:
            while (await http.get("/readyz")).status_code != 200:
                pass


async def test_a_sink_that_was_switched_off_is_tried_again_with_its_new_certificate(
    tmp_path: Path, some_certificates: Certificates
) -> None:
    """The settings are the same, what they name is not: a certificate that had run out, say, was renewed."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(some_certificates.ca.read_bytes())
    async with a_site(tmp_path) as site:
        site.write(sinks=f'[sinks.tls]\ntype = "webhook"\nurl = "https://127.0.0.1:9"\nca = "{ca}"\n')
        said, source = config.load(site.config, {}), Source(site.config, {})
        async with app.build(said, clock=SystemClock(), rng=random.Random(3), source=source) as house:
            await house.store.outbox._set_paused("tls", "nothing was accepted for days", by_person=False)
            assert (await house.reload())["restarted"] == []
            assert (await house.store.outbox.sink("tls")).paused
            ca.write_bytes(some_certificates.ca.read_bytes() + b"\n")
            assert (await house.reload())["restarted"] == ["sink:tls"]
            assert not (await house.store.outbox.sink("tls")).paused


async def test_without_a_daemon_there_is_nobody_to_tell(tmp_path: Path) -> None:
    """Neither before the first run nor after it."""
    async with a_site(tmp_path) as site:
        assert "there is no store at" in await site.reload(code=1)
        async with a_daemon_here(site):
            pass
        assert "no daemon is running on this store" in await site.reload(code=1)


@pytest.mark.usefixtures("stores_on_postgresql")
async def test_all_daemons_that_share_a_store_are_asked(tmp_path: Path) -> None:
    """Each reads its own file; whoever gets the new sink delivers to it. Without any, that is said."""
    async with a_site(tmp_path) as site:
        async with a_daemon_here(site), a_daemon_here(site, seed=4):
            await lead_until(site.org, site.consumer, [], lambda: bool(site.consumer.accepted))
            while len(orjson.loads(await site.reload("--json"))["asked"]) < 2:
                pass  # the second is coming
            new = site.config.with_name("new")
            site.write(sinks=site.file_sink("new"))
            assert "2 daemons asked to read the file again" in await site.reload()
            while not await asyncio.to_thread(new.exists):
                heard = len(site.consumer.accepted)
                await lead_until(site.org, site.consumer, [], lambda: len(site.consumer.accepted) > heard)  # noqa: B023  # waited for
        assert "no daemon is running on this store" in await site.reload(code=1)
