"""An org on a port, in a thread of its own, for clients that nobody here wrote: they do not know our event loop.

The org stands still in time, so that what a client is told can be compared to the letter.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org

TEN = datetime(2026, 11, 21, 10, 0, 30, tzinfo=UTC)
"""The instant at which every org of these tests begins."""


@pytest.fixture
def org() -> Org:
    """An org with nobody at work in it. Change it while no client is asking."""
    return Org(clock=OrgClock(TEN, speed=0), seed=7)


@pytest.fixture
def url(org: Org) -> Iterator[str]:
    """Where the org is."""
    with start_blocking_portal() as portal:
        serving = portal.wrap_async_context_manager(server.serve(server.build(org)))
        with serving as address:
            yield address


@pytest.fixture
def token(org: Org, url: str) -> str:
    """An access token of the integration user."""
    form = {"grant_type": "client_credentials", "client_id": org.app.client_id, "client_secret": org.app.client_secret}
    answer = httpx.post(f"{url}/services/oauth2/token", data=form)
    return str(answer.raise_for_status().json()["access_token"])
