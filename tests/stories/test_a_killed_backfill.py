"""A real daemon reads the past of a large object, and is killed with SIGKILL three times before it is through.

Where it is in its work when it is killed, the org decides: it keeps a certain answer back.
"""

import asyncio
import os
import random
import signal
from collections import Counter, defaultdict
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import stores
from consumer import Consumer, a_consumer, as_event, as_events
from daemons import STUCK, a_daemon, work
from oracle import judge
from starlette.types import ASGIApp, Receive, Scope, Send

from salesforce_poller.model import Watermarks
from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org
from salesforce_poller.store.store import Store

pytestmark = pytest.mark.both_databases

#: Records of long ago, in CI and elsewhere: a laptop has better things to do. On PostgreSQL few are enough in CI, too.
MANY, FEW = 120_000, 12_000
PAGES = 12
FIELDS = ("LastName", "Company")
CONFIG = """
[store]
url = "{store}"
[http]
listen = ""
[orgs.acme]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
api_budget = 1_000_000
[orgs.acme.objects.Lead]
fields = ["LastName", "Company"]
every = "1s"
sweep_every = "1s"
start = "beginning"
bulk_above = {bulk_above}
[sinks.hook]
type = "webhook"
url = "{hook}"
batch = {batch}
"""


class Gate:
    """Stands before the org and keeps answers back: that to a new job, or those to pages of results.

    What is kept back has happened in the org. ``reached`` is set as soon as something is kept back.
    """

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.jobs = False
        #: How many pages are let through; None: all.
        self.pages: int | None = None
        self.pages_asked = 0

    def let(self, *, jobs: bool = True, pages: int | None = None) -> None:
        """Say for the next process what is let through."""
        self.reached.clear()
        self.jobs, self.pages, self.pages_asked = jobs, pages, 0

    def keeps_back(self, scope: Scope) -> bool:
        """Say whether this request gets no answer."""
        if scope["path"].endswith("/results"):
            self.pages_asked += 1
            return self.pages is not None and self.pages_asked > self.pages
        return bool(not self.jobs and scope["method"] == "POST" and scope["path"].endswith("/jobs/query"))


class Gatekeeper:
    """Puts a gate before the org's application."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer if the gate lets it."""
        if not self._gate.keeps_back(scope):
            await self._app(scope, receive, send)
            return

        async def swallow(_message: object) -> None:
            self._gate.reached.set()

        await self._app(scope, receive, swallow)
        await asyncio.Event().wait()  # until the server ends


async def test_a_backfill_that_is_killed_three_times_tells_every_record_once(tmp_path: Path) -> None:
    """Repeats have the id of the first telling, nothing is missing, and work that goes on meanwhile is told as well."""
    rng, rows = random.Random(5), MANY if os.environ.get("CI") and not stores.on_postgresql() else FEW
    org = Org(clock=OrgClock(datetime(2026, 11, 21, 10, tzinfo=UTC), speed=60), seed=5)
    old = org.insert_many("Lead", [{"LastName": f"Old {n}", "Company": "Old"} for n in range(rows)])
    org.clock.advance(3_600)
    org.set_usage(0, 5_000_000)  # so that polls come every second
    org.bulk.settings.set_rows = rows // PAGES
    since = len(org.truth)
    busy = rng.sample(old, 40)
    gate = Gate()
    application = server.build(org)
    application.add_middleware(Gatekeeper, gate=gate)
    async with a_consumer() as consumer, server.serve(application) as url:
        config = tmp_path / "config.toml"
        said = {
            "store": stores.url(tmp_path / "store.db"),
            "url": url,
            "hook": consumer.url,
            "bulk_above": rows // 3,
            "batch": rows // 120,
        }
        config.write_text(CONFIG.format(**said))
        marks = []
        # 1. Between the creation of the job and the answer that names it.
        gate.let(jobs=False)
        marks.append(await killed(config, gate.reached.wait()))
        assert (marks[0].backfill_job, marks[0].backfill_rows) == (None, 0)
        people_work(org, rng, busy)
        # 2. Anywhere in the first pages, while events of them are being delivered.
        gate.let(pages=PAGES // 2)
        enough = rng.randrange(rows // PAGES, rows // PAGES * 3)
        marks.append(await killed(config, consumer.wait_for(lambda: len(consumer.accepted) >= enough)))
        people_work(org, rng, busy)
        # 3. While it waits for a page.
        gate.let(pages=PAGES // 4)
        marks.append(await killed(config, gate.reached.wait()))
        people_work(org, rng, busy)
        assert 0 < marks[1].backfill_rows < marks[2].backfill_rows < rows, "each was killed before the end"
        gate.let()
        async with asyncio.timeout(STUCK), a_daemon(config) as daemon:
            await consumer.wait_for(lambda: is_complete(consumer, org, old, busy, since))
            daemon.send_signal(signal.SIGTERM)
            assert await daemon.wait() == 0, (tmp_path / "daemon.log").read_text()
    assert gate.pages_asked < PAGES, "pages that were on disk are not read again"
    assert len(org.bulk.all()) == 1, "the job that nobody knows is left, the other one is cleared away"
    assert judge(as_events(consumer), org.truth, FIELDS, "Lead", since=since, must_tell=old) == []
    tellings = defaultdict(set)
    for event in consumer.accepted:
        tellings[event["data"]["record_id"]].add((event["source"], event["id"]))
    assert {lead: len(tellings[lead]) for lead in old if lead not in busy} == {
        lead: 1 for lead in old if lead not in busy
    }
    snapshots = {event["id"]: event["data"]["record_id"] for event in consumer.accepted if is_snapshot(event)}
    assert max(Counter(snapshots.values()).values()) == 1


async def killed(config: Path, moment: Coroutine[Any, Any, object]) -> Watermarks:
    """Run the daemon, kill it at a moment; returns how far it came, as it is on disk."""
    async with asyncio.timeout(STUCK), a_daemon(config) as daemon:
        await moment
        daemon.send_signal(signal.SIGKILL)
    async with Store(stores.url(config.parent / "store.db"), writable=False) as store:
        marks = await store.feeds.watermarks("acme", "Lead")
    assert marks is not None
    assert not marks.backfill_done
    return marks


def people_work(org: Org, rng: random.Random, busy: list[str]) -> None:
    """Have a few of the leads changed, merged and deleted, and others created."""
    for _ in range(15):
        work(org, rng, busy)


def is_complete(consumer: Consumer, org: Org, old: list[str], busy: list[str], since: int) -> bool:
    """Say whether something was told of every record, and of those that people worked on the truth."""
    told = {event["data"]["record_id"] for event in consumer.accepted}
    if not told.issuperset(old):
        return False
    those = set(busy)
    events = [as_event(event) for event in consumer.accepted if event["data"]["record_id"] in those]
    return not judge(events, (one for one in org.truth if one.record_id in those), FIELDS, "Lead", since=since)


def is_snapshot(event: Mapping[str, Any]) -> bool:
    """Say whether an event that was delivered is one of the past."""
    return bool(event["data"]["kind"] == "snapshot")
