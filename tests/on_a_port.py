"""A simulated org on a port, served from a thread of its own: for clients that do not know our event loop.

Used by the tests in `clients`, whose clients others wrote.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
from anyio.from_thread import start_blocking_portal

from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org

TEN = datetime(2026, 11, 21, 10, 0, 30, tzinfo=UTC)


def quiet_org() -> Org:
    """An org with nobody at work in it, whose clock stands at half past ten o'clock's first minute."""
    return Org(clock=OrgClock(TEN, speed=0), seed=7)


@contextmanager
def serving(org: Org) -> Iterator[str]:
    """Serve the org; yields its address. Change the org only while no client is asking."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(server.serve(server.build(org))) as url,
    ):
        yield url


def a_token(org: Org, url: str) -> str:
    """An access token of the integration user."""
    form = {"grant_type": "client_credentials", "client_id": org.app.client_id, "client_secret": org.app.client_secret}
    answer = httpx.post(f"{url}/services/oauth2/token", data=form)
    return str(answer.raise_for_status().json()["access_token"])
