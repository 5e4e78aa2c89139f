"""An operator at work: commands and HTTP orders against a daemon, in a process of its own where that must end."""

import asyncio
import io
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import stores
from consumer import Consumer, a_consumer
from daemons import STUCK, a_daemon, lead_until
from servers import free_port

from salesforce_poller import app, cli, config, telemetry
from salesforce_poller.clock import SystemClock
from salesforce_poller.errors import PollerError
from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org
from salesforce_poller.store.lock import holder_of

CONFIG = """
[store]
url = "{store}"
[http]
listen = "{listen}"
{token}
[orgs.acme]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
api_budget = 1_000_000
[orgs.acme.objects.Lead]
fields = ["LastName", "Company", "Status", "Email"]
every = "{every}"
[sinks.hook]
type = "webhook"
url = "{hook}"
give_up_after = "1s"
"""
TOKEN = "let-me-in"

pytestmark = pytest.mark.both_databases


@pytest.fixture(autouse=True)
def _logs_of_their_own() -> None:
    """Commands set up logging for the whole process; what the daemon logs must not get between their lines."""
    telemetry.configure(quiet=True)  # tests/conftest.py puts it back


def _typed(words: list[str]) -> tuple[int, str]:
    """Return the exit code, and what was printed or complained of."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()):
        try:
            code = cli.doors(words, standalone_mode=False)
        except PollerError as exc:
            return 1, str(exc)
    return code or 0, out.getvalue()


@dataclass
class Site:
    """A place with an org, a consumer, a configuration, and somebody who types commands."""

    org: Org
    consumer: Consumer
    config: Path
    #: Where the daemon listens.
    port: int

    @property
    def store(self) -> Path:
        """The path that the store belongs to."""
        return self.config.with_name("store.db")

    @property
    def http(self) -> httpx.AsyncClient:
        """Return who speaks to the daemon."""
        return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}")

    async def type(self, *words: str, code: int = 0) -> str:
        """Carry a command out, in this process; returns what it printed, or what it complained of."""
        found, told = await asyncio.to_thread(_typed, [*words, "--config", str(self.config)])
        assert found == code, told
        return told

    async def ask(self, *words: str) -> Any:
        """Run a command with ``--json``; returns what it told."""
        return orjson.loads(await self.type(*words, "--json"))

    async def until(self, *words: str, holds: Callable[[Any], bool]) -> Any:
        """Ask again and again, until the answer is as it should be."""
        await self.up()
        while not holds(told := await self.ask(*words)):
            pass
        return told

    async def up(self) -> None:
        """Wait until the daemon is reached, by HTTP and by commands; on PostgreSQL they reach it by the store."""
        async with self.http as http:
            while not await _answers(http):
                pass
        while not stores.on_postgresql() and await asyncio.to_thread(holder_of, self.store) is None:
            pass

    def got(self, record: str) -> list[dict[str, Any]]:
        """Return what the consumer has accepted of a record."""
        return [one for one in self.consumer.accepted if one["data"]["record_id"] == record]


async def _answers(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get("/healthz")).is_success
    except httpx.TransportError:
        return False


@asynccontextmanager
async def a_site(folder: Path, *, every: str = "1s", listens: bool = True, token: str = "") -> AsyncIterator[Site]:
    """Make one; nothing may take longer than a minute or two."""
    org = Org(clock=OrgClock(datetime(2026, 11, 21, 10, tzinfo=UTC), speed=1), seed=5)
    org.set_usage(0, 5_000_000)  # so that polls come every second
    async with asyncio.timeout(STUCK), a_consumer() as consumer, server.serve(server.build(org)) as url:
        site = Site(org, consumer, folder / "config.toml", free_port())
        said = {"store": stores.url(site.store), "url": url, "hook": consumer.url, "every": every}
        said |= {"listen": f"127.0.0.1:{site.port}" if listens else "", "token": f'token = "{token}"' if token else ""}
        site.config.write_text(CONFIG.format(**said))
        yield site


@asynccontextmanager
async def a_daemon_here(site: Site) -> AsyncIterator[None]:
    """Run the whole app in this loop: as good as a process of its own where it need not die, and quicker there."""
    stop, rng = asyncio.Event(), random.Random(3)
    running = asyncio.create_task(app.run(config.load(site.config, {}), clock=SystemClock(), rng=rng, stop=stop))
    try:
        yield
    finally:
        stop.set()
        await running


async def begun(site: Site) -> None:
    """Wait until the feed has started: a change made after its start tells."""
    await lead_until(site.org, site.consumer, [], lambda: bool(site.consumer.accepted))


async def test_a_paused_sink_waits_over_a_restart_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Its events wait in the store; resumed, it is woken at once."""
    async with a_site(tmp_path) as site:
        async with a_daemon(site.config) as daemon:
            await begun(site)
            assert "hook is paused: lunch" in await site.type("sinks", "pause", "hook", "--reason", "lunch")
            lead = site.org.insert("Lead", LastName="Ng", Company="Acme")
            [hook] = await site.until("sinks", holds=lambda told: told[0]["waiting"] > 0)
            assert (hook["paused"], hook["paused_by_person"]) == ("lunch", True)
            assert "`salesforce-poller sinks resume hook`" in hook["what_to_do"]
            daemon.send_signal(signal.SIGTERM)
            assert await daemon.wait() == 0
        async with a_daemon(site.config):
            await site.up()
            holder = holder_of(site.store)
            shown = await site.type("status")
            assert "sink hook is paused: lunch." in shown
            assert "paused" in shown
            assert site.got(lead) == []
            assert "it was paused: lunch" in await site.type("sinks", "resume", "hook")
            await site.consumer.wait_for(lambda: bool(site.got(lead)))
            assert "was not paused" in await site.type("sinks", "resume", "hook")
        assert (holder is None) == stores.on_postgresql()
        assert holder is None or holder.key not in (tmp_path / "daemon.log").read_text()


async def test_what_was_given_up_is_seen_requeued_and_replayed_under_the_same_id(tmp_path: Path) -> None:
    """Requeued it is no replay, since it never arrived; replayed it says so beside its id."""
    async with a_site(tmp_path) as site, a_daemon_here(site):
        await begun(site)
        lead = site.org.insert("Lead", LastName="Ng", Company="Acme")
        await site.consumer.wait_for(lambda: bool(site.got(lead)))
        site.consumer.refused_records.add(lead)
        site.org.update(lead, Company="Umbrella")
        dead = ""
        while not dead:  # one line a delivery
            dead = await site.type("dead", "--record", lead[:15], "--json")
        told = orjson.loads(dead)
        assert (told["sink"], told["event"]["data"]["kind"], told["attempts"] > 1) == ("hook", "updated", True)
        shown = await site.type("dead", "show", "--event", told["event"]["id"])
        assert "no such customer" in shown
        assert "Umbrella" in shown
        assert "shows what was given up, `dead requeue --sink hook`" in await site.type("sinks")
        site.consumer.refused_records.clear()
        assert "nothing is selected" in await site.type("dead", "requeue", code=1)
        assert "Would owe 1 delivery" in await site.type("dead", "requeue", "--sink", "hook", "--dry-run")
        assert "Owed 1 delivery" in await site.type("dead", "requeue", "--sink", "hook")
        await site.consumer.wait_for(lambda: len(site.got(lead)) == 2)
        assert [one.get("replay") for one in site.got(lead)] == [None, None]

        assert "nothing is selected" in await site.type("replay", code=1)
        assert (await site.ask("replay", "--record", lead, "--dry-run"))["sinks"]["hook"]["again"] == 2
        assert len(site.got(lead)) == 2
        assert "as replays" in await site.type("replay", "--record", lead)
        await site.consumer.wait_for(lambda: len(site.got(lead)) == 4)
        first, again = site.got(lead)[:2], site.got(lead)[2:]
        assert [one["replay"] for one in again] == [True, True]
        assert [{key: value for key, value in one.items() if key != "replay"} for one in again] == first
        for name in ("crm", "büro", "my hook", "hook?"):
            told = await site.type("sinks", "pause", name, code=1)
            assert f"there is no sink named {name}; there is hook" in told


async def test_a_feed_is_polled_now_paused_and_resumed(tmp_path: Path) -> None:
    """Its own interval is an hour: whatever comes, comes because somebody asked for it."""
    async with a_site(tmp_path, every="1h") as site:
        async with a_daemon(site.config) as daemon:
            await site.until("feeds", holds=lambda told: told[0]["polled_at"] is not None)
            lead = site.org.insert("Lead", LastName="Ng", Company="Acme")
            site.org.clock.advance(1)
            told = await site.ask("feeds", "poll", "acme", "Lead")
            told_there = {"done": False, "events": 0} if stores.on_postgresql() else {"done": True, "events": 1}
            assert told == {"feed": "acme/Lead", "error": "", **told_there}
            while not site.got(lead):  # on PostgreSQL an order that comes in the middle of a turn is not heard
                try:
                    async with asyncio.timeout(1):
                        await site.consumer.wait_for(lambda: bool(site.got(lead)))
                except TimeoutError:
                    await site.ask("feeds", "poll", "acme", "Lead")

            assert "acme/Lead is paused: load" in await site.type("feeds", "pause", "acme", "Lead", "--reason", "load")
            refused = await site.type("feeds", "poll", "acme", "Lead", code=1)
            assert "acme/Lead is paused (load); resume it" in refused
            daemon.send_signal(signal.SIGTERM)
            assert await daemon.wait() == 0
        site.org.update(lead, Company="Umbrella")
        async with a_daemon(site.config):
            await site.up()
            async with site.http as http:
                while not (ready := (await http.get("/readyz")).json())["ready"]:  # it is as somebody wants it
                    pass
            assert [one["why"] for one in ready["paused"]] == ["load"]
            assert "`salesforce-poller feeds resume acme Lead`" in await site.type("status")
            assert len(site.got(lead)) == 1
            await site.type("feeds", "resume", "acme", "Lead")
            await site.consumer.wait_for(lambda: len(site.got(lead)) == 2)
            unknown = await site.type("feeds", "poll", "acme", "Case", code=1)
            assert "there is no feed acme/Case; there is acme/Lead" in unknown


async def test_orders_over_http_need_the_token_and_say_what_is_wrong(tmp_path: Path) -> None:
    """401 without, 400, 404 and 409 with one line each; what is in records is shown to nobody else either."""
    async with a_site(tmp_path, token=TOKEN) as site, a_daemon_here(site):
        await begun(site)
        async with site.http as http:
            for path in ("/api/events", "/api/dead", "/api/sinks", "/api/feeds"):
                assert (await http.get(path)).status_code == 401
            no = await http.post("/api/sinks/hook/pause")
            assert (no.status_code, no.headers["www-authenticate"]) == (401, "Bearer")
            http.headers["authorization"] = f"Bearer {TOKEN}"

            async def post(path: str, body: str = "") -> tuple[int, str]:
                answer = await http.post(f"/api/{path}", content=body)
                return answer.status_code, answer.json().get("error", "")

            assert await post("sinks/hook/pause", '{"reason": "lunch"}') == (200, "")
            [hook] = (await http.get("/api/sinks")).json()
            assert hook["paused"] == "lunch"
            assert await post("sinks/hook/resume") == (200, "")
            assert await post("sinks/crm/resume") == (404, "there is no sink named crm; there is hook")
            assert await post("replay", "{}") == (400, (await post("replay"))[1])
            assert (await post("replay"))[1].startswith("nothing is selected")
            assert await post("replay", "[1]") == (
                400,
                'the body should be a JSON object, such as {"object": "Lead", "dry_run": true}',
            )
            assert await post("replay", "{") == (400, "the body should be JSON, and is not")
            assert (await post("replay", '{"objekt": "Lead"}'))[1].startswith("objekt: unknown key; there is event")
            assert (await post("replay", '{"object": "Case"}'))[0] == 404
            assert (await post("replay", '{"org": "acme", "x": "' + "x" * 70_000 + '"}'))[1].startswith(
                "the body is larger"
            )
            assert (await post("feeds/acme/Lead/stop"))[0] == 404
            assert await post("feeds/acme/Lead/pause") == (200, "")
            assert (await post("feeds/acme/Lead/poll"))[0] == 409
            [feed] = (await http.get("/api/feeds")).json()
            assert feed["paused"] == "by a person"
            told = await http.post("/api/replay", json={"object": "Lead", "dry_run": True})
            assert told.json()["sinks"]["hook"]["again"] + told.json()["sinks"]["hook"]["ahead"] > 0
            [first] = (await http.get("/api/events", params={"after": 0, "limit": 1})).json()
            assert (first["position"], first["event"]["id"]) == (1, site.consumer.accepted[0]["id"])
            assert (await http.get("/api/events", params={"limit": "all"})).status_code == 400
            assert (await http.get("/api/nothing")).status_code == 404


async def test_without_a_token_only_commands_change_anything(tmp_path: Path) -> None:
    """Another user of the machine, or a page in a browser, does not; the answer says what to set."""
    async with a_site(tmp_path) as site, a_daemon_here(site):
        await begun(site)
        async with site.http as http:
            no = await http.post("/api/sinks/hook/pause")
            assert no.status_code == 403
            assert "set token" in no.json()["error"]
            assert (await http.get("/api/events")).status_code == 403
            assert (await http.get("/api/sinks")).status_code == 200
            rebound = await http.get("/api/sinks", headers={"host": "evil.example"})
            assert rebound.status_code == 403
        if not stores.on_postgresql():
            assert site.store.with_name("store.db.lock").stat().st_mode & 0o777 == 0o600
        await site.type("sinks", "pause", "hook")


async def test_without_a_daemon_commands_carry_out_orders_themselves(tmp_path: Path) -> None:
    """The next run finds it so; what only a daemon can do says so. Nothing is dropped without being asked."""
    async with a_site(tmp_path) as site:
        if not stores.on_postgresql():  # there it is made by whoever makes the database
            assert "there is no store at" in await site.type("sinks", "pause", "hook", code=1)
        async with a_daemon(site.config) as daemon:
            await begun(site)
            lead = site.org.insert("Lead", LastName="Ng", Company="Acme")
            await site.consumer.wait_for(lambda: bool(site.got(lead)))
            daemon.send_signal(signal.SIGTERM)
            assert await daemon.wait() == 0
        assert "no daemon is running" in await site.type("feeds", "poll", "acme", "Lead", code=1)
        told = await site.ask("replay", "--record", lead)
        assert told["sinks"]["hook"] == {"again": 1, "revived": 0, "waiting": 0, "ahead": 0}
        assert (await site.ask("replay", "--all"))["sinks"]["hook"]["waiting"] == 1
        assert "Nothing that was given up matches" in await site.type("dead", "drop", "--all")
        async with a_daemon(site.config):
            await site.consumer.wait_for(lambda: len(site.got(lead)) == 2)


@pytest.mark.sqlite_only("on PostgreSQL a command writes to the store that all share, and daemons hear of it")
async def test_a_daemon_without_http_takes_no_orders_and_the_command_says_so(tmp_path: Path) -> None:
    """Writing behind its back would be noticed by nobody."""
    async with a_site(tmp_path, listens=False) as site, a_daemon_here(site):
        await begun(site)
        told = await site.type("sinks", "pause", "hook", code=1)
        assert "a daemon without HTTP (listen in [http] is empty)" in told
        assert "Traceback" not in told


@pytest.mark.parametrize("end", ["interrupt", "closed pipe"])
async def test_events_are_followed_until_somebody_has_seen_enough(tmp_path: Path, end: str) -> None:
    """Live, newest last; Ctrl-C and a reader that goes away end it cleanly, also when nothing happens any more."""
    async with a_site(tmp_path) as site, a_daemon_here(site):
        await begun(site)
        follow = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "salesforce_poller", "events", "-f", "--json", "--limit", "1"),
            *("--config", str(site.config)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert follow.stdout is not None
        assert follow.stderr is not None
        assert orjson.loads(await follow.stdout.readline())["data"]["kind"] == "created"
        lead = site.org.insert("Lead", LastName="Ng", Company="Acme")
        while orjson.loads(await follow.stdout.readline())["data"]["record_id"] != lead:
            pass
        if end == "interrupt":
            follow.send_signal(signal.SIGINT)
        else:
            follow.stdout._transport.close()  # type: ignore[attr-defined]  # asyncio has no other way to close our end
        assert await follow.stderr.read() == b""
        assert await follow.wait() == 0
