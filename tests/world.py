"""A small world for stories: a simulated org on real HTTP, the real client, the real store, and two clocks to move.

``world.org`` is the org's own side (statements take effect at once); ``world.poll()`` gives a feed its turn;
``world.events()`` is what polling has put into the store; ``world.judge()`` asks the oracle whether that is the truth.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import stores
from fakes import FakeClock
from oracle import judge
from pydantic import SecretStr

from salesforce_poller.model import Event, Kind, PollFailure, PollReport
from salesforce_poller.polling import forecast
from salesforce_poller.polling.budget import Budget
from salesforce_poller.polling.fleet import Fleet, Member
from salesforce_poller.polling.pace import Rider
from salesforce_poller.polling.poller import Feed
from salesforce_poller.polling.settings import Allowance, FeedSettings, read_allowance
from salesforce_poller.salesforce.client import Org as Client
from salesforce_poller.salesforce.questions import Questions
from salesforce_poller.salesforce.settings import OrgSettings
from salesforce_poller.salesforce.sharing import Seat
from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org
from salesforce_poller.store.store import Store

START = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)
#: Text fields whose stored value is what REST returns, by object.
WATCHED = {
    "Lead": ("LastName", "Company", "Status", "Email"),
    "Contact": ("LastName", "Email", "Title"),
    "Account": ("Name", "Industry"),
}


class World:
    """See the caption. Everything random comes from ``seed``."""

    def __init__(
        self,
        folder: Path,
        *,
        seed: int = 7,
        skew: timedelta = timedelta(0),
        clock: FakeClock | None = None,
        things: int = 0,
        wide: bool = False,
    ) -> None:
        self.seed = seed
        #: The store belongs to it, see ``stores.py``.
        self.path = folder / "store.db"
        self.org = Org(clock=OrgClock(START, speed=0), seed=seed, things=things, wide=wide)
        self.machine = clock or FakeClock(START + skew)
        self.reports: list[PollReport | PollFailure] = []
        self.stop = asyncio.Event()
        #: Seconds of real time in which the org must answer; from the next start on.
        self.patience = 5.0
        self.store: Store
        self.client: Client
        self.budget: Budget
        self._url = ""
        self._org_settings: OrgSettings
        self._feeds: dict[str, Feed] = {}
        self._settings: dict[str, FeedSettings] = {}
        self._since: dict[str, int] = {}
        self._process = AsyncExitStack()

    # ------------------------------------------------------------------ time and process

    def pass_time(self, seconds: float) -> None:
        """Let time pass for the org and for the machine alike."""
        self.org.clock.advance(seconds)
        self.machine.advance(seconds)

    async def start(self, url: str) -> None:
        """Start the poller's process: an open store, a client that has not logged in yet."""
        self._url = url
        self.store = await self._process.enter_async_context(Store(stores.url(self.path)))
        settings = OrgSettings(
            login_url=url,
            client_id="simulated-client",
            client_secret=SecretStr("simulated-secret"),
            timeout=self.patience,
        )
        self._org_settings = settings
        await self._connect(Allowance(calls=1_000_000), [])
        self.stop.clear()
        self._feeds = {}

    async def _connect(self, allowance: Allowance, riders: Sequence[Rider], beside_polls: int = 0) -> None:
        """Make a client whose calls are metered."""
        self.budget = Budget(
            "acme",
            allowance,
            riders,
            beside_polls=beside_polls,
            calls=self.store.calls,
            clock=self.machine,
            rng=random.Random(self.seed),
        )
        await self.budget.open()
        client = Client("acme", self._org_settings, clock=self.machine, meter=self.budget)
        self.client = await self._process.enter_async_context(client)

    def small_pages(self) -> None:
        """Have pages of 200 rows, the smallest that Salesforce gives, so that a few hundred rows make several."""
        self.client._query_headers = {"sforce-query-options": "batchSize=200"}

    async def end(self, *, died: bool = False) -> None:
        """End the poller's process; what is not in the store is forgotten. One that died ends nothing in good order."""
        if not died:
            await self.budget.close()
        await self._process.aclose()

    async def restart(self, *, died: bool = False) -> None:
        """Start again from what is on disk."""
        await self.end(died=died)
        await self.start(self._url)

    # ------------------------------------------------------------------ polling

    async def watch(self, object_name: str = "Lead", **settings: object) -> None:
        """Watch an object, and give the feed its first turn; the truth counts from here."""
        values = {"fields": list(WATCHED.get(object_name, ())) or None, "every": "60s", **settings}
        self._settings[object_name] = FeedSettings.model_validate(values)
        self._since[object_name] = len(self.org.truth)
        await self.poll(object_name)

    async def gather(self, objects: Mapping[str, Mapping[str, object]], api_budget: object = 1_000_000) -> Fleet:
        """Watch several objects as a fleet; give it its turns with ``fleet.tick()`` or :meth:`sail`."""
        for name, said in objects.items():
            values = {"fields": list(WATCHED.get(name, ())) or None, "every": "60s", **said}
            self._settings[name] = FeedSettings.model_validate(values)
            self._since.setdefault(name, len(self.org.truth))
        riders = [Rider(self._settings[name].every, self._settings[name].priority) for name in objects]
        besides = forecast.beside_polls({name: self._settings[name] for name in objects})
        await self._connect(read_allowance(api_budget), riders, besides)
        members = []
        for name in objects:
            seat = Seat(self.client)
            self._feeds[name] = self._new_feed(name, seat)
            members.append(Member(self._feeds[name], seat))
        return Fleet("acme", members, seat=Seat(self.client), budget=self.budget, clock=self.machine)

    async def sail(self, fleet: Fleet, seconds: float) -> None:
        """Let time pass, and give the fleet its turns in it."""
        for _ in range(round(seconds / fleet.step.total_seconds())):
            self.pass_time(fleet.step.total_seconds())
            await fleet.tick()

    def feed(self, object_name: str = "Lead") -> Feed:
        """Return a watched feed, made anew after a restart."""
        if object_name not in self._feeds:
            self._feeds[object_name] = self._new_feed(object_name, self.client)
        return self._feeds[object_name]

    def _new_feed(self, object_name: str, org: Questions) -> Feed:
        return Feed(
            object_name,
            self._settings[object_name],
            org=org,
            store=self.store.feeds,
            clock=self.machine,
            rng=random.Random(self.seed),
            stop=self.stop,
            report=self.reports.append,
            roomy=self.budget.is_roomy,
        )

    async def poll(self, object_name: str = "Lead") -> PollReport:
        """Give a feed one turn. Raises what the turn raises."""
        return await self.feed(object_name).turn()

    async def poll_after(self, seconds: float, object_name: str = "Lead") -> PollReport:
        """Let time pass, then give a feed one turn."""
        self.pass_time(seconds)
        return await self.poll(object_name)

    async def settle(self, object_name: str = "Lead") -> None:
        """Let enough time pass and enough turns happen that everything committed must have been told."""
        for _ in range(3):
            await self.poll_after(301, object_name)

    # ------------------------------------------------------------------ what came out

    async def events(self, object_name: str = "Lead") -> list[Event]:
        """Return every event of an object so far, in the order of the store."""
        found = await self.store.outbox.events(object_name=object_name, limit=1_000_000)
        return [event for _, event in reversed(found)]

    async def kinds(self, object_name: str = "Lead", record_id: str | None = None) -> list[str]:
        """Return the kinds of the events of an object, or of one record."""
        return [e.kind.value for e in await self.events(object_name) if record_id in (None, e.record_id)]

    async def judge(self, object_name: str = "Lead", watched: Sequence[str] = ()) -> list[str]:
        """Ask the oracle; an empty list is the truth, the whole truth and nothing but the truth."""
        fields = watched or WATCHED[object_name]
        return judge(
            await self.events(object_name), self.org.truth, fields, object_name, since=self._since[object_name]
        )

    async def gaps(self, object_name: str = "Lead") -> list[Event]:
        """Return the gap events of an object."""
        return [event for event in await self.events(object_name) if event.kind is Kind.GAP]


@asynccontextmanager
async def a_world(
    folder: Path, *, seed: int = 7, skew: timedelta = timedelta(0), things: int = 0, wide: bool = False
) -> AsyncIterator[World]:
    """Open a world; ``skew`` is how far the machine's clock is ahead of the org's, the rest are the org's."""
    world = World(folder, seed=seed, skew=skew, things=things, wide=wide)
    async with server.serve(server.build(world.org)) as url:
        await world.start(url)
        try:
            yield world
        finally:
            await world.end()
