"""The daemon as an operator sees it: ready or not, stopped in the middle, a refused second process, honest commands."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import stores
from consumer import Consumer, a_consumer
from fakes import FakeClock
from pydantic import SecretStr
from world import World

from salesforce_poller import app, config
from salesforce_poller.actions.present import Present
from salesforce_poller.admin import server
from salesforce_poller.admin.guard import Guard
from salesforce_poller.admin.settings import HttpSettings
from salesforce_poller.clock import SystemClock
from salesforce_poller.errors import ConfigError, StoreInUse

pytestmark = pytest.mark.both_databases

CONFIG = """
[store]
url = "{store}"
[http]
listen = ""
[orgs.acme]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
[orgs.acme.objects.Lead]
every = "1s"
[sinks.hook]
type = "webhook"
url = "{hook}"
"""
STUCK = 60
KEY = SecretStr("the key of this run")
LEADS = [("acme", "Lead")]


@pytest.fixture
async def consumer() -> AsyncIterator[Consumer]:
    """A consumer that takes everything."""
    async with a_consumer() as made:
        yield made


@asynccontextmanager
async def a_running_daemon(settings: config.Config) -> AsyncIterator[asyncio.Event]:
    """Run the whole app in this loop; yields what stops it, and stops it at the end."""
    stop = asyncio.Event()
    running = asyncio.create_task(app.run(settings, clock=SystemClock(), rng=random.Random(3), stop=stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(STUCK):
            await running


async def test_a_daemon_polls_and_delivers_until_it_is_stopped(
    world: World, consumer: Consumer, tmp_path: Path
) -> None:
    """From a TOML text to a webhook, on the machine's own clock; a stop ends it cleanly."""
    world.org.clock.set_speed(1)
    settings = config.parse(
        CONFIG.format(store=stores.url(tmp_path / "daemon.db"), url=world._url, hook=consumer.url), {}
    )
    async with asyncio.timeout(STUCK), a_running_daemon(settings):
        leads = []
        while not consumer.accepted:
            leads.append(world.org.insert("Lead", LastName="Ng", Company="Acme"))
            try:
                async with asyncio.timeout(1):
                    await consumer.wait_for(lambda: bool(consumer.accepted))
            except TimeoutError:
                continue
    assert consumer.accepted[0]["data"]["record_id"] in leads


@pytest.mark.sqlite_only("PostgreSQL may be shared")
async def test_a_second_daemon_on_the_same_store_is_refused(world: World, consumer: Consumer, tmp_path: Path) -> None:
    """Two would poll twice and deliver twice."""
    settings = config.parse(
        CONFIG.format(store=stores.url(tmp_path / "daemon.db"), url=world._url, hook=consumer.url), {}
    )
    async with app.build(settings, clock=SystemClock(), rng=random.Random(3)):
        with pytest.raises(StoreInUse, match="another process"):
            async with app.build(settings, clock=SystemClock(), rng=random.Random(3)):
                pass


async def test_a_long_turn_stops_at_the_end_of_its_page(world: World) -> None:
    """A stop does not wait for a backlog, and loses none of it."""
    await world.watch()
    leads = world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(4_500)])
    world.pass_time(60)
    world.stop.set()
    await world.feed().tick()
    assert len(await world.events()) == 2_000
    await world.restart()
    await world.poll_after(60)
    assert sorted(str(event.record_id) for event in await world.events()) == sorted(leads)
    assert await world.judge() == []


async def test_readiness_says_what_is_wrong_to_whoever_may_know(world: World) -> None:
    """Not read yet, then ready, then failing for ten minutes; details only for the token."""
    secret = HttpSettings.model_validate({"listen": "127.0.0.1:0", "token": "let-me-in"})
    application = server.build(world.store, world.machine, present=Present(LEADS), guard=Guard(secret.token, KEY))
    async with server.serving(application, ("127.0.0.1", 0)) as (host, port), httpx.AsyncClient() as http:
        base = f"http://{host}:{port}"
        bearer = {"authorization": "Bearer let-me-in"}
        assert (await http.get(f"{base}/healthz")).status_code == 200
        unread = await http.get(f"{base}/readyz", headers=bearer)
        assert (unread.status_code, unread.json()["problems"]) == (503, ["acme/Lead has not been read yet"])
        await world.watch()
        assert (await http.get(f"{base}/readyz")).status_code == 200
        world.org.weather.arm("SERVER_UNAVAILABLE", times=None)
        for _ in range(3):
            world.pass_time(301)
            await world.feed().tick()
        stranger = await http.get(f"{base}/readyz")
        assert (stranger.status_code, stranger.json()) == (503, {"ready": False})
        told = (await http.get(f"{base}/readyz", headers=bearer)).json()
        assert "SERVER_UNAVAILABLE" in told["problems"][0]
        [trouble] = told["troubles"]
        assert (trouble["org"], trouble["object"], trouble["name"]) == ("acme", None, "SERVER_UNAVAILABLE")
        assert "status.salesforce.com" in trouble["what_to_do"]
        assert trouble["help"].startswith("https://developer.salesforce.com/")


async def test_readiness_tells_at_once_what_a_person_must_mend(world: World) -> None:
    """An object that vanished does not come back by waiting ten minutes."""
    await world.watch()
    application = server.build(world.store, world.machine, present=Present(LEADS), guard=Guard(None, KEY))
    world.org.access.object("Lead", visible=False, now=world.org.clock.now())
    await world.feed().tick()
    async with server.serving(application, ("127.0.0.1", 0)) as (host, port), httpx.AsyncClient() as http:
        answer = await http.get(f"http://{host}:{port}/readyz")
    assert (answer.status_code, answer.json()["troubles"][0]["name"]) == (503, "INVALID_TYPE")


async def test_an_address_in_use_is_a_clear_line(world: World) -> None:
    """Not a traceback at start."""
    application = server.build(world.store, FakeClock(), present=Present([]), guard=Guard(None, KEY))
    async with server.serving(application, ("127.0.0.1", 0)) as (host, port):
        with pytest.raises(ConfigError, match="choose another port"):
            async with server.serving(application, (host, port)):
                pass


async def test_an_object_in_other_letters_is_told_at_once(world: World) -> None:
    """Events would carry a name that no filter knows."""
    with pytest.raises(Exception, match="is spelled Lead"):
        await world.watch("lead")
