"""Counts the API calls of a simulated day: what an org is asked by 1, 5, 10 and 50 feeds that are polled every minute.

The org counts, by its own rules, everything included: polls, sweeps, describes, the confirmation of hard deletes, the
limits. People work in it all day long, and every hour a record is deleted for good. Time is moved by hand, so that a
day takes a minute or so.
"""

import asyncio
import random
import tempfile
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import SecretStr
from rich.console import Console
from rich.progress import track
from rich.table import Table

from salesforce_poller.clock import Clock
from salesforce_poller.model import PollFailure, PollReport
from salesforce_poller.polling import forecast
from salesforce_poller.polling.budget import Budget
from salesforce_poller.polling.fleet import Fleet, Member
from salesforce_poller.polling.pace import Rider
from salesforce_poller.polling.poller import Feed
from salesforce_poller.polling.settings import Allowance, FeedSettings
from salesforce_poller.salesforce.client import Org as Client
from salesforce_poller.salesforce.settings import OrgSettings
from salesforce_poller.salesforce.sharing import Seat
from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org
from salesforce_poller.store.store import Store

FEEDS = (1, 5, 10, 50)
MINUTES = 24 * 60
#: Calls for each poll of a feed, everything included, that 5 feeds and more may need at most.
MOST_PER_POLL = 0.21
_START = datetime(2026, 11, 21, 10, tzinfo=UTC)


class HandClock(Clock):
    """A machine's clock that stands until it is moved."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        """Return the time that it shows."""
        return _START + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        """Return the seconds that passed."""
        return self.passed

    async def sleep(self, seconds: float) -> None:
        """Nothing here sleeps."""
        raise NotImplementedError


def report() -> bool:
    """Count, and show; returns whether five feeds and more stay below the limit."""
    table = Table(box=None, pad_edge=False)
    for heading in (
        "feeds",
        "polls",
        "calls a day",
        "forecast",
        "calls per poll",
        f"of {MOST_PER_POLL}",
        "calls by kind",
    ):
        table.add_column(heading, justify="left" if heading == "calls by kind" else "right")
    good = True
    for feeds in FEEDS:
        by_kind, expected, polls = asyncio.run(_a_day(feeds))
        calls = sum(by_kind.values())
        good = good and (feeds < 5 or calls / polls <= MOST_PER_POLL)  # noqa: PLR2004  # one Composite holds five
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(by_kind.items(), key=lambda one: -one[1]))
        share = f"{calls / polls / MOST_PER_POLL:.2f}"
        table.add_row(str(feeds), f"{polls:,}", f"{calls:,}", f"{expected:,}", f"{calls / polls:.4f}", share, kinds)
    Console().print(table)
    return good


async def _a_day(feeds: int) -> tuple[dict[str, int], int, int]:
    """Poll so many objects for a day; returns the metered calls by kind, the forecast, and the number of polls."""
    clock, rng = HandClock(), random.Random(feeds)
    org = Org(clock=OrgClock(_START, speed=0), seed=feeds, edition="Full Sandbox", things=max(FEEDS))
    objects = {f"Thing{number:03}__c": FeedSettings() for number in range(1, feeds + 1)}
    failures: list[PollReport | PollFailure] = []
    polls = 0

    def told(outcome: PollReport | PollFailure) -> None:
        nonlocal polls
        polls += 1
        if isinstance(outcome, PollFailure):
            failures.append(outcome)

    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = await stack.enter_async_context(server.serve(server.build(org)))
        store = await stack.enter_async_context(Store(str(folder / "store.db")))
        riders = [Rider(one.every, one.priority) for one in objects.values()]
        budget = Budget("bench", Allowance(share=0.25), riders, calls=store.calls, clock=clock, rng=rng)
        await budget.open()
        settings = OrgSettings(
            login_url=url, client_id=org.app.client_id, client_secret=SecretStr(org.app.client_secret)
        )
        client = await stack.enter_async_context(Client("bench", settings, clock=clock, meter=budget))
        members = []
        for name, one in objects.items():
            seat = Seat(client)
            feed = Feed(name, one, org=seat, store=store.feeds, clock=clock, rng=rng, stop=asyncio.Event(), report=told)
            members.append(Member(feed, seat))
        fleet = Fleet("bench", members, seat=Seat(client), budget=budget, clock=clock)
        people = _People(org, list(objects), rng)
        for minute in track(range(MINUTES), f"{feeds} feeds", console=Console(stderr=True), transient=True):
            people.work(minute)
            await fleet.tick()
            clock.passed += 60
            org.clock.advance(60)
    assert not failures, failures[0]
    return org.tally.metered(), forecast.of_org(objects).calls, polls


class _People:
    """Somebody enters, changes and deletes records, now and then in any of the objects."""

    def __init__(self, org: Org, objects: list[str], rng: random.Random) -> None:
        self._org = org
        self._objects = objects
        self._rng = rng
        self._records: list[str] = []

    def work(self, minute: int) -> None:
        """Do what is done in this minute of the day."""
        for _ in range(3):
            self._records.append(self._org.insert(self._rng.choice(self._objects), Name="Thing"))
            self._org.update(self._rng.choice(self._records), Colour__c=f"shade {minute}")
        if minute % 10 == 0:
            self._org.delete(self._take())
        if minute % 60 == 30:  # noqa: PLR2004  # half past
            self._org.hard_delete(self._take())

    def _take(self) -> str:
        return self._records.pop(self._rng.randrange(len(self._records)))
