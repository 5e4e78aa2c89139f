"""A person logs in with `salesforce-poller login`, and the daemon goes on from there. The browser is an HTTP client."""

import asyncio
import os
import random
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import stores
from credentials import a_secret_key
from daemons import at_work
from logins import START, Desk, a_desk
from person import Person, free_port
from polling_builders import some_marks
from rich.console import Console

from salesforce_poller import app, check, config, login, printing, views
from salesforce_poller.clock import SystemClock
from salesforce_poller.errors import ConfigError, LoginRefused, OrgRefused, Stopped, StoreInUse, TryLater
from salesforce_poller.store.store import Store

pytestmark = pytest.mark.both_databases

CONFIG = """
[store]
url = "{store}"
secret_key = "{key}"
[http]
listen = ""
[orgs.acme]
login_url = "{url}"
auth = "refresh_token"
client_id = "simulated-client"
client_secret = "simulated-secret"
[orgs.acme.objects.Lead]
fields = ["LastName"]
[orgs.other]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
[orgs.other.objects.Lead]
[sinks.log]
type = "stdout"
"""
#: Seconds after which something that should long be over is called stuck.
STUCK = 60


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """An org."""
    async with a_desk(tmp_path) as made:
        yield made


@pytest.fixture
def person(desk: Desk) -> Person:
    """Somebody whose app has the right callback address."""
    made = Person(free_port())
    desk.app(redirect_uris=(made.callback,))
    return made


@pytest.fixture
def settings(desk: Desk) -> config.Config:
    """An org that waits for its first login, and one that needs none."""
    return config.parse(CONFIG.format(store=stores.url(desk.path), key=a_secret_key(), url=desk.url), {})


async def log_in(desk: Desk, settings: config.Config, person: Person, **more: Any) -> login.LoggedIn:
    """Run the command's work."""
    values: dict[str, Any] = {"clock": desk.machine, "stop": asyncio.Event(), "port": person.port} | more
    async with asyncio.timeout(STUCK):
        return await login.run(settings, "acme", login.Hands(say=person.say, browse=None), **values)


async def both(desk: Desk, settings: config.Config, person: Person) -> tuple[Any, httpx.Response]:
    """Log in while the person follows the address; returns what came of each."""
    outcome, page = await asyncio.gather(log_in(desk, settings, person), person.follow(), return_exceptions=True)
    assert isinstance(page, httpx.Response)
    return outcome, page


class TestLoggingIn:
    """When all goes well."""

    @pytest.mark.parametrize("rotate", [False, True])
    async def test_a_login_ends_with_a_stored_token_that_works(
        self, desk: Desk, settings: config.Config, person: Person, rotate: bool
    ) -> None:
        """The browser is told so, and so is the person; then the daemon's own way in works."""
        desk.app(rotate_refresh_tokens=rotate, require_pkce=True)
        found, page = await both(desk, settings, person)
        assert found == login.LoggedIn(desk.org.organization_id, "integration.user@example.com")
        assert (page.status_code, "You can close this page" in page.text) == (200, True)
        assert desk.logins == 2  # the code, and the proof
        assert any(person.callback in line for line in person.told)
        client = await desk.client("refresh_token", refresh_token=None)
        assert await client.describe_global()

    async def test_no_secret_is_said_or_shown(self, desk: Desk, settings: config.Config, person: Person) -> None:
        """Neither to the terminal nor to the browser, which has seen the code anyway."""
        _, page = await both(desk, settings, person)
        everything = "\n".join([*person.told, page.text])
        for secret in ["simulated-secret", *desk.org.approvals._users, *desk.org.sessions._by_token]:
            assert secret not in everything

    async def test_the_daemon_polls_with_what_the_login_stored(
        self, desk: Desk, settings: config.Config, person: Person
    ) -> None:
        """From the browser to the first turn of a feed."""
        await both(desk, settings, person)
        desk.app(rotate_refresh_tokens=True)
        async with app.build(settings, clock=desk.machine, rng=random.Random(3)) as built:
            await at_work(built)
            assert await built.orgs["acme"].describe_global()

    async def test_check_and_objects_use_the_stored_token(
        self, desk: Desk, settings: config.Config, person: Person, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """And store the next one."""
        desk.app(rotate_refresh_tokens=True)
        await both(desk, settings, person)
        for _ in range(2):
            await views.show_objects(settings, "acme", clock=desk.machine, as_json=True)
            assert "Lead" in capsys.readouterr().out
            findings = [one async for one in check.findings(settings, clock=desk.machine)]
            assert {one.mark for one in findings if one.about.startswith("acme")} == {check.Mark.GOOD}

    async def test_an_answer_to_somebody_else_is_not_taken(
        self, desk: Desk, settings: config.Config, person: Person
    ) -> None:
        """Any page may send a browser to the callback: without our state it changes nothing."""
        running = asyncio.create_task(log_in(desk, settings, person))
        await person.asked.wait()
        for query in ("?code=stolen&state=guessed", "?error=access_denied", ""):
            assert (await person.visit(person.callback + query)).status_code == 400
        assert not running.done()
        assert (await person.follow()).status_code == 200
        assert (await running).organization_id == desk.org.organization_id

    async def test_a_browser_for_terminals_may_stay_open(
        self, desk: Desk, settings: config.Config, person: Person
    ) -> None:
        """It comes back only when it is closed; nobody waits for that."""
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def browse(address: str) -> None:
            async def until_closed() -> None:
                await person.visit(address)
                await closed.wait()

            with suppress(RuntimeError):
                asyncio.run_coroutine_threadsafe(until_closed(), loop).result(STUCK)

        hands = login.Hands(say=person.say, browse=browse)
        async with asyncio.timeout(STUCK):
            found = await login.run(settings, "acme", hands, clock=desk.machine, stop=asyncio.Event(), port=person.port)
        assert found.organization_id == desk.org.organization_id
        closed.set()


class TestTrouble:
    """Each with what to do about it, and with nothing stored."""

    async def stored(self, desk: Desk) -> str | None:
        """Return what the store has."""
        await desk.client()
        return await desk.store.secrets.load("acme", "refresh_token")

    @pytest.mark.parametrize(
        ("denial", "told"),
        [
            (("access_denied", "end-user denied authorization"), "said no in the browser"),
            (("OAUTH_APP_BLOCKED", "this app is blocked by admin"), "this app is blocked by admin"),
        ],
    )
    async def test_a_no_is_explained(
        self, desk: Desk, settings: config.Config, person: Person, denial: tuple[str, str], told: str
    ) -> None:
        """In the terminal and in the browser."""
        desk.app(denial=denial)
        outcome, page = await both(desk, settings, person)
        assert isinstance(outcome, LoginRefused)
        assert told in str(outcome)
        assert (page.status_code, told in page.text) == (400, True)
        assert await self.stored(desk) is None

    async def test_a_code_that_is_not_accepted_is_explained(
        self, desk: Desk, settings: config.Config, person: Person
    ) -> None:
        """The secret is wrong, say."""
        desk.app(client_secret="changed meanwhile")
        outcome, page = await both(desk, settings, person)
        assert isinstance(outcome, LoginRefused)
        assert outcome.facts.trouble == "LOGIN_SECRET"
        assert "That did not work" in page.text
        assert await self.stored(desk) is None

    async def test_an_app_without_the_scope_is_told(self, desk: Desk, settings: config.Config, person: Person) -> None:
        """Salesforce then simply leaves the refresh token out."""
        running = asyncio.create_task(log_in(desk, settings, person))
        await person.asked.wait()
        page = await person.visit(person.address.replace("scope=api+refresh_token", "scope=api"))
        with pytest.raises(LoginRefused, match="refresh_token, offline_access"):
            await running
        assert page.status_code == 400
        assert await self.stored(desk) is None

    async def test_a_login_to_another_org_is_refused_before_it_is_stored(
        self, desk: Desk, settings: config.Config, person: Person
    ) -> None:
        """Browsers stay logged in to whatever they were used for last; the good token of before is kept."""
        await desk.client()
        await desk.store.feeds.commit_page("acme", "Lead", events=(), sightings=(), marks=some_marks(), at=START)
        await desk.store.secrets.save("acme", "refresh_token", "as before", START)
        await desk.end()
        outcome, page = await both(desk, settings, person)
        assert isinstance(outcome, OrgRefused)
        assert outcome.facts.trouble == "OTHER_ORGANIZATION"
        assert desk.org.organization_id in page.text
        assert "log out there and begin again" in str(outcome)
        assert await self.stored(desk) == "as before"

    async def test_nobody_comes_back(self, desk: Desk, settings: config.Config, person: Person) -> None:
        """The wait ends."""
        with pytest.raises(TryLater, match="nobody came back from the browser within 1ms"):
            await log_in(desk, settings, person, patience=timedelta(milliseconds=1))
        assert await self.stored(desk) is None

    async def test_somebody_has_had_enough(self, desk: Desk, settings: config.Config, person: Person) -> None:
        """Ctrl-C ends it."""
        stop = asyncio.Event()
        running = asyncio.create_task(log_in(desk, settings, person, stop=stop))
        await person.asked.wait()
        stop.set()
        with pytest.raises(Stopped, match="nothing was stored"):
            await running

    @pytest.mark.sqlite_only("PostgreSQL may be shared")
    async def test_a_running_daemon_is_in_the_way_before_anybody_is_asked(
        self, desk: Desk, settings: config.Config, person: Person
    ) -> None:
        """Its refresh token would be replaced behind its back; the same goes for ``check`` and ``objects``."""
        async with app.build(settings, clock=desk.machine, rng=random.Random(3)):
            with pytest.raises(StoreInUse, match="stop the daemon first"):
                await log_in(desk, settings, person)
            with pytest.raises(StoreInUse, match="stop the daemon first"):
                await views.show_objects(settings, "acme", clock=desk.machine, as_json=True)
            findings = [one async for one in check.findings(settings, clock=desk.machine)]
        assert {one.about: one.mark for one in findings if one.about == "acme"} == {"acme": check.Mark.BAD}
        assert {one.mark for one in findings if one.about == "other"} == {check.Mark.GOOD}
        assert person.told == []

    async def test_a_check_that_nobody_reads_to_its_end_lets_the_store_go(
        self, desk: Desk, settings: config.Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As in ``check | head -1``: all is closed in its order, and the next command finds the store free."""

        class Gone(Console):
            def print(self, *said: Any, **_how: Any) -> None:
                if "acme" in str(said):
                    raise BrokenPipeError

        monkeypatch.setattr(printing, "console", Gone)
        with pytest.raises(BrokenPipeError) as caught:
            await views.show_findings(settings, clock=desk.machine, as_json=False)
        async with Store(stores.url(desk.path)):
            assert caught.value.__traceback__  # what was left open would be held by it

    async def test_a_taken_port_is_told(self, desk: Desk, settings: config.Config, person: Person) -> None:
        """With what else has to be changed."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", person.port))
            taken.listen()
            with pytest.raises(ConfigError, match=f"port {person.port} of this machine: .* choose another --port"):
                await log_in(desk, settings, person)

    @pytest.mark.parametrize(("name", "told"), [("nobody", "there is no org named"), ("other", "needs no login")])
    async def test_an_org_that_needs_no_login_is_told(
        self, desk: Desk, settings: config.Config, person: Person, name: str, told: str
    ) -> None:
        """Before anything else."""
        hands = login.Hands(say=person.say, browse=None)
        with pytest.raises(ConfigError, match=told):
            await login.run(settings, name, hands, clock=SystemClock(), stop=asyncio.Event())
        assert person.told == []


async def test_the_command_prints_an_address_and_who_one_is(desk: Desk, person: Person, tmp_path: Path) -> None:
    """The real program in a process of its own, without a browser, on a pipe."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(store=stores.url(desk.path), key=a_secret_key(), url=desk.url), encoding="utf-8")
    command = ["-m", "salesforce_poller", "login", "acme", "--config", str(path), "--no-browser"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        f"--port={person.port}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(STUCK):
            while not person.asked.is_set():
                line = await process.stdout.readline()
                assert line, await process.communicate()
                person.say(line.decode().strip())
            assert (await person.follow()).status_code == 200
            rest, errors = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    assert (process.returncode, errors) == (0, b"")
    told = rest.decode()
    assert f"logged in to organisation {desk.org.organization_id} as integration.user@example.com" in told
    assert "simulated-secret" not in told
