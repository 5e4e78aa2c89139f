"""A real daemon whose refresh token rotates is killed with SIGKILL while the next one is on its way to the disk."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import stores
from consumer import Consumer, a_consumer, as_events
from credentials import a_secret_key
from daemons import STUCK, a_daemon, lead_until
from logins import Desk, a_desk
from oracle import judge
from person import Person, free_port

from salesforce_poller import config, login

pytestmark = pytest.mark.both_databases

DIES_SAVING = Path(__file__).parents[1] / "dies_saving.py"
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
api_budget = 1_000_000
[orgs.acme.objects.Lead]
fields = ["LastName", "Company"]
every = "1s"
[orgs.other]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
api_budget = 1_000_000
[orgs.other.objects.Lead]
fields = ["LastName"]
every = "1s"
[sinks.hook]
type = "webhook"
url = "{hook}"
"""


class Office:
    """An org where refresh tokens rotate, a daemon's files, a consumer, and somebody who can log in."""

    def __init__(self, desk: Desk, consumer: Consumer, folder: Path) -> None:
        self.desk = desk
        self.consumer = consumer
        self.person = Person(free_port())
        desk.app(redirect_uris=(self.person.callback,), rotate_refresh_tokens=True)
        desk.org.set_usage(0, 5_000_000)  # so that polls come every second
        self.config = folder / "config.toml"
        self.log = folder / "daemon.log"
        text = CONFIG.format(store=stores.url(desk.path), key=a_secret_key(), url=desk.url, hook=consumer.url)
        self.config.write_text(text, encoding="utf-8")
        self.settings = config.parse(text, {})
        self.leads: list[str] = []

    async def log_in(self) -> None:
        """Run ``salesforce-poller login acme``, and follow it in the browser."""
        person = Person(self.person.port)
        hands = login.Hands(say=person.say, browse=None)
        stop = asyncio.Event()
        running = login.run(self.settings, "acme", hands, clock=self.desk.machine, stop=stop, port=person.port)
        async with asyncio.timeout(STUCK):
            _, page = await asyncio.gather(running, person.follow())
        assert page.status_code == 200

    async def tells_of_a_lead(self, org: str) -> None:
        """Insert a lead and wait until it was delivered: in this time, each org had a poll at least."""
        lead = self.desk.org.insert("Lead", LastName="Adeyemi", Company="Acme")
        self.leads.append(lead)
        await self.consumer.wait_for(lambda: org in self.told(lead))

    def told(self, lead: str) -> list[str]:
        """Return the names of the orgs in whose events this lead was."""
        data = [event["data"] for event in self.consumer.accepted]
        return [each["org"] for each in data if each["record_id"] == lead]

    async def starts(self) -> int:
        """Have the first login and the first start; returns where the truth begins."""
        await self.log_in()
        async with asyncio.timeout(STUCK), a_daemon(self.config):
            await lead_until(self.desk.org, self.consumer, self.leads, self.both_have_started)
        self.leads.clear()
        return len(self.desk.org.truth)

    def both_have_started(self) -> bool:
        """Say whether something was told of either org."""
        return {event["data"]["org"] for event in self.consumer.accepted} == {"acme", "other"}

    async def dies(self, when: str) -> None:
        """Start the daemon and kill it before or after the next refresh token is on disk."""
        program = (str(DIES_SAVING), when)
        async with asyncio.timeout(STUCK), a_daemon(self.config, *program, said=asyncio.subprocess.PIPE) as daemon:
            assert daemon.stdout is not None
            assert await daemon.stdout.readline() == f"{when} it is stored\n".encode(), self.log.read_text()
            daemon.send_signal(signal.SIGKILL)

    async def ends(self, daemon: asyncio.subprocess.Process) -> None:
        """Have the daemon end in good order, so that everything it had to say is in the log."""
        daemon.send_signal(signal.SIGTERM)
        assert await daemon.wait() == 0, self.log.read_text()

    def wrong(self, since: int) -> list[str]:
        """Judge what was told of acme's leads that came into being after the start."""
        ours = set(self.leads)
        events = [one for one in as_events(self.consumer) if one.org == "acme" and one.record_id in ours]
        truth = [change for change in self.desk.org.truth if change.record_id in ours]
        return judge(events, truth, ("LastName", "Company"), "Lead", since=since, must_tell=ours)

    def failures(self) -> list[dict[str, Any]]:
        """Return what the log says of logins that failed."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == "org.failed"]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """Time runs here: a minute a second."""
    async with a_desk(tmp_path, speed=60) as desk, a_consumer() as consumer:
        yield Office(desk, consumer, tmp_path)


async def test_a_token_that_died_with_the_process_is_told_once_and_a_login_mends_it(office: Office) -> None:
    """The next start asks once, says which command helps, and works on for other orgs; after it, nothing is missing."""
    since = await office.starts()
    await office.dies("before")
    meanwhile = office.desk.org.insert("Lead", LastName="Meanwhile", Company="Acme")
    office.leads.append(meanwhile)
    logins = office.desk.logins
    async with asyncio.timeout(STUCK), a_daemon(office.config) as daemon:
        for _ in range(3):
            await office.tells_of_a_lead("other")
        await office.ends(daemon)
    assert office.desk.logins - logins == 2, "one that worked, of the other org, and one that was refused"
    assert office.told(meanwhile) == ["other"]
    [failure] = office.failures()
    assert (failure["org"], failure["act"]) == ("acme", True)
    assert "run `salesforce-poller login acme`" in failure["error"]
    assert failure["next_try_s"] >= 900
    await office.log_in()
    async with asyncio.timeout(STUCK), a_daemon(office.config) as daemon:
        await office.consumer.wait_for(lambda: not office.wrong(since))
        await office.ends(daemon)
    assert len(office.failures()) == 1
    for secret in [*office.desk.org.approvals._users, *office.desk.org.sessions._by_token]:
        assert secret not in office.log.read_text()


async def test_a_token_that_was_stored_just_in_time_is_used_by_the_next_start(office: Office) -> None:
    """Nobody has to do anything, and nobody is told of anything."""
    since = await office.starts()
    await office.dies("after")
    office.leads.append(office.desk.org.insert("Lead", LastName="Meanwhile", Company="Acme"))
    async with asyncio.timeout(STUCK), a_daemon(office.config) as daemon:
        await office.consumer.wait_for(lambda: not office.wrong(since))
        await office.ends(daemon)
    assert office.failures() == []
