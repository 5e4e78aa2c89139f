"""Who holds what on a shared store, as ``status``, ``GET /api/leases`` and ``/readyz`` tell it; on PostgreSQL."""

import io
from collections.abc import AsyncIterator, Iterator
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path

import httpx
import orjson
import pytest
import stores
from builders import NOON
from fakes import FakeClock
from polling_builders import some_marks
from pydantic import SecretStr
from servers import Server

from salesforce_poller import app, config, views
from salesforce_poller.actions.present import Present
from salesforce_poller.admin import api, server
from salesforce_poller.admin.guard import Guard
from salesforce_poller.config import Config
from salesforce_poller.crew import TIDY, duties
from salesforce_poller.model import Duty
from salesforce_poller.store.leases import Process
from salesforce_poller.store.store import Store

CONFIG = """
[store]
url = "{url}"
[orgs.acme]
login_url = "https://acme.my.salesforce.com"
client_id = "me"
client_secret = "mine"
[orgs.acme.objects.Lead]
[orgs.beta]
login_url = "https://beta.my.salesforce.com"
client_id = "me"
client_secret = "mine"
[orgs.beta.objects.Lead]
[sinks.crm]
type = "stdout"
"""
ACME, BETA, CRM = Duty("org", "acme"), Duty("org", "beta"), Duty("sink", "crm")
ANN, BOB = Process("ann", "host-a", 11, "same"), Process("bob", "host-b", 22, "same")
SPAN = timedelta(seconds=30)
KEY = SecretStr("the key of this run")


@pytest.fixture
def where(tmp_path: Path, store_server: Server) -> Iterator[str]:
    """Where the store is."""
    with stores.stores_in(store_server):
        yield stores.url(tmp_path / "store.db")


@pytest.fixture
async def store(where: str) -> AsyncIterator[Store]:
    """A store with both feeds read, on which Ann polls acme and tidies, Bob beta, and nobody delivers."""
    async with Store(where) as made:
        for org in ("acme", "beta"):
            await made.feeds.commit_page(org, "Lead", events=[], sightings=[], marks=some_marks(), at=NOON)
        await made.outbox.ensure_sinks(["crm"])
        await made.leases.beat(ANN, SPAN)
        await made.leases.beat(BOB, SPAN)
        await made.leases.look([ACME, BETA, CRM, TIDY])
        await made.leases.take(ANN, [ACME, TIDY])
        await made.leases.take(BOB, [BETA])
        yield made


def settings(where: str) -> Config:
    """Return the configuration of both."""
    return config.parse(CONFIG.format(url=where), {})


async def status(where: str, *, as_json: bool = False) -> str:
    """Return what the command prints."""
    with redirect_stdout(io.StringIO()) as out:
        await views.show_status(settings(where), clock=FakeClock(), as_json=as_json)
    return out.getvalue()


def cells(told: str, first: str) -> list[str]:
    """Return the last row that begins so, without the space between its cells."""
    [*_, row] = [line for line in told.splitlines() if line.startswith(first)]
    return [cell.strip() for cell in row.split("  ") if cell.strip()]


async def test_status_shows_who_holds_what_and_what_nobody_holds(store: Store, where: str) -> None:
    """By process, and in the tables of orgs and sinks."""
    told = await status(where)
    assert cells(told, "acme  ")[-1] == "host-a:11"
    assert cells(told, "beta  ")[-1] == "host-b:22"
    assert cells(told, "crm  ")[-1] == "nobody"
    assert cells(told, "host-a:11")[2:] == ["acme", "-", "alive"]
    assert "✗ Nobody works for sink crm: " in told


async def test_status_shows_since_when_a_process_is_not_heard_of(store: Store, where: str) -> None:
    """What it held is nobody's, until somebody takes it."""
    await store.leases.beat(BOB, timedelta(minutes=-2))
    told = await status(where)
    assert cells(told, "beta  ")[-1] == "nobody"
    assert cells(told, "host-b:22")[2:] == ["-", "-", "not heard of for 2m"]
    assert "Nobody works for org beta; sink crm: " in told


async def test_status_without_a_daemon_says_so(store: Store, where: str) -> None:
    """Everybody has left in good order."""
    await store.leases.leave(ANN)
    await store.leases.leave(BOB)
    told = await status(where)
    assert "the chore of keeping the store small: no daemon is running." in told


async def test_status_says_the_same_to_programs(store: Store, where: str) -> None:
    """Processes by id, leases with their holder's."""
    told = orjson.loads(await status(where, as_json=True))
    assert [(one["id"], one["orgs"], one["tidies"]) for one in told["processes"]] == [
        ("ann", ["acme"], True),
        ("bob", ["beta"], False),
    ]
    assert {one["name"]: one["holder"] for one in told["leases"]} == {
        "acme": "ann",
        "beta": "bob",
        "crm": "",
        "tidy": "ann",
    }


async def test_one_process_alone_has_no_leases_to_show(tmp_path: Path) -> None:
    """On SQLite nothing of it is printed."""
    where = f"sqlite:///{tmp_path}/store.db"
    async with Store(where):
        pass
    assert "polled by" not in await status(where)
    assert "nobody" not in (await status(where)).lower()
    assert "leases" not in orjson.loads(await status(where, as_json=True))


@pytest.fixture
async def http(store: Store, where: str) -> AsyncIterator[tuple[httpx.AsyncClient, Present]]:
    """What Ann answers over HTTP; what she is asked about can be changed."""
    guard, present, clock = Guard(None, KEY), app.present(settings(where)), FakeClock()
    desk = app.desk_for(settings(where), store, clock=clock)
    routes = api.routes(api.Api(store, desk, guard, present, clock))
    application = server.build(store, clock, present=present, guard=guard, more=routes)
    async with (
        server.serving(application, ("127.0.0.1", 0)) as (host, port),
        httpx.AsyncClient(base_url=f"http://{host}:{port}") as client,
    ):
        yield client, present


async def test_http_tells_who_holds_what(store: Store, http: tuple[httpx.AsyncClient, Present]) -> None:
    """As the command does."""
    client, _ = http
    told = (await client.get("/api/leases")).json()
    assert {one["name"]: one["held_by"] for one in told["leases"]} == {
        "acme": "host-a:11",
        "beta": "host-b:22",
        "crm": "",
        "tidy": "host-a:11",
    }
    assert [one["host"] for one in told["processes"]] == ["host-a", "host-b"]


async def test_not_ready_when_nobody_holds_something_for_longer_than_a_lease(
    store: Store, where: str, http: tuple[httpx.AsyncClient, Present]
) -> None:
    """What changes hands at this moment is none; a feed that another process polls counts as one's own."""
    client, present = http
    assert (await client.get("/readyz")).status_code == 200, "the sink has been free for a moment only"
    stores.rows(where, "UPDATE leases SET since = since - 60000 WHERE name = 'crm'")
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    [problem] = answer.json()["problems"]
    assert problem.startswith("nobody works for sink crm, for 1m")
    present.lease = timedelta(minutes=10)
    assert (await client.get("/readyz")).status_code == 200
    await store.leases.beat(BOB, timedelta(minutes=-20))
    assert "org beta, for 20m" in (await client.get("/readyz")).text


async def test_not_ready_when_others_may_take_us_for_dead(http: tuple[httpx.AsyncClient, Present]) -> None:
    """Its beat is late; it lives, though."""
    client, present = http
    present.current = lambda: False
    answer = await client.get("/readyz")
    assert (answer.status_code, len(answer.json()["problems"])) == (503, 1)
    assert "for dead" in answer.json()["problems"][0]
    assert (await client.get("/healthz")).status_code == 200


async def test_a_database_that_is_away_is_a_line_and_a_503(
    store: Store, where: str, store_server: Server, http: tuple[httpx.AsyncClient, Present]
) -> None:
    """Everywhere where the store is asked."""
    client, _ = http
    name = where.rpartition("/")[2]
    cut = f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'"
    stores.ask(store_server, cut, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        for path in ("/readyz", "/api/leases", "/api/feeds", "/api/sinks"):
            answer = await client.get(path)
            assert answer.status_code == 503, path
            assert "the store postgresql://" in answer.text
    finally:
        stores.ask(store_server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert (await client.get("/readyz")).status_code == 200


def test_what_there_is_to_hold_is_what_the_crew_works_for(where: str) -> None:
    """Both are made from one configuration."""
    assert set(app.present(settings(where)).duties) == {*duties(settings(where)), TIDY}
