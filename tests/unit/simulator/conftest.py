"""An org that stands still in time, and a client that is logged in to it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org

TEN = datetime(2026, 11, 21, 10, 0, 30, tzinfo=UTC)
"""The instant at which every org of these tests begins."""

ROOT = "/services/data/v66.0"

naps: list[float] = []


async def nap(seconds: float) -> None:
    """Remember how long somebody would have slept."""
    naps.append(seconds)


class Api(httpx.AsyncClient):
    """A client whose relative paths begin below a version."""

    async def request(self, method: str, url: httpx.URL | str, **more: Any) -> httpx.Response:
        """Send a request."""
        path = str(url)
        return await super().request(method, path if path.startswith("/") else f"{ROOT}/{path}", **more)


@pytest.fixture
def org() -> Org:
    """An org whose clock stands at half past ten o'clock's first minute until a test advances it."""
    return Org(clock=OrgClock(TEN, speed=0), seed=7)


@pytest.fixture
def slept() -> list[float]:
    """What the server slept, in seconds."""
    naps.clear()
    return naps


@pytest.fixture
async def http(org: Org) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the org that has not logged in."""
    async with (
        server.serve(server.build(org, sleep=nap)) as url,
        Api(base_url=url, timeout=10) as client,
    ):
        yield client


@pytest.fixture
async def api(http: httpx.AsyncClient) -> httpx.AsyncClient:
    """A client that has logged in; its paths begin below /services/data/v66.0."""
    credentials = {
        "grant_type": "client_credentials",
        "client_id": "simulated-client",
        "client_secret": "simulated-secret",
    }
    token = (await http.post("/services/oauth2/token", data=credentials)).json()["access_token"]
    http.headers["Authorization"] = f"Bearer {token}"
    return http
