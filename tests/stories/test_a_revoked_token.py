"""Somebody revokes the refresh token for good: that org stops, says so once, and is patient; other orgs go on."""

import random
from pathlib import Path
from typing import Any

import pytest
import stores
from credentials import a_secret_key
from daemons import at_work
from logins import a_desk
from structlog.testing import capture_logs

from salesforce_poller import app, config
from salesforce_poller.model import Kind

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
refresh_token = "simulated-refresh-token"
[orgs.acme.defaults]
every = "10m"
[orgs.acme.objects.Lead]
[orgs.acme.objects.Contact]
[orgs.other]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
[orgs.other.objects.Lead]
every = "10m"
[sinks.log]
type = "stdout"
"""


async def test_an_org_whose_token_was_revoked_stops_and_the_other_goes_on(tmp_path: Path) -> None:
    """A day of it: one warning that names the command, a login attempt every quarter of an hour at most."""
    async with a_desk(tmp_path) as desk:
        settings = config.parse(CONFIG.format(store=stores.url(desk.path), key=a_secret_key(), url=desk.url), {})
        async with app.build(settings, clock=desk.machine, rng=random.Random(3)) as house:

            async def sail(hours: int) -> None:
                for _ in range(hours * 6):
                    desk.pass_time(600)
                    await at_work(house)
                    for fleet in house.fleets:
                        await fleet.tick()

            await sail(1)
            desk.org.approvals.clear()
            desk.org.expire_sessions()
            acme = house.orgs["acme"]
            logins, calls = desk.logins, acme.calls
            lead = desk.org.insert("Lead", LastName="Ng", Company="Acme")
            with capture_logs() as lines:
                await sail(24)
            events = await house.store.outbox.events(object_name="Lead", limit=10)
            troubles = await house.store.feeds.open_troubles()
        told: list[Any] = [line for line in lines if line["log_level"] in {"warning", "error"}]
        assert [(line["event"], line["org"]) for line in told] == [("org.failed", "acme")]
        assert "salesforce-poller login acme" in f"{told[0]['error']} {told[0]['what_to_do']}"
        assert "simulated-refresh-token" not in str(lines)
        assert 20 <= desk.logins - logins <= 24 * 4 + 1
        assert acme.calls - calls <= 1, "the one that was answered with 401"
        assert [(event.org, event.kind, event.record_id) for _, event in events] == [("other", Kind.CREATED, lead)]
        assert [(trouble.org, trouble.object) for trouble in troubles] == [("acme", None)]
