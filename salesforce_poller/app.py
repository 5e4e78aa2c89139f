"""Builds the house from a Config and keeps the lights on; the only file that knows everybody.

    org  →  poller  →  store  →  dispatcher  →  sink

The five stops of that path, in the order in which a change takes them:

1. ``salesforce/client.py:Org.pages``          asks the org for a window of changed rows
2. ``polling/poller.py:Feed.turn``             lets ``polling/diff.py`` decide what happened to each
3. ``store/feeds.py:Feeds.commit_page``        puts events, sightings and watermarks on disk in one transaction
4. ``delivery/dispatcher.py:dispatch_once``    sends what a sink is owed, in order per record
5. ``sinks/webhook.py:Webhook.send``           (or its neighbours) hands events over, answers with receipts

Two loops move it: every feed polls at its own interval, every sink is woken when there are events. Between the loops
stands the store, and nothing else: polling never sees a sink, delivery never sees the org.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import structlog

from salesforce_poller import telemetry
from salesforce_poller.admin import server
from salesforce_poller.admin.upkeep import Upkeep
from salesforce_poller.clock import Clock
from salesforce_poller.config import Config
from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.errors import StoreError
from salesforce_poller.polling import forecast
from salesforce_poller.polling.budget import Budget
from salesforce_poller.polling.fleet import Fleet, Member
from salesforce_poller.polling.pace import Rider
from salesforce_poller.polling.poller import Feed
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.salesforce.client import Org
from salesforce_poller.salesforce.sharing import Seat
from salesforce_poller.scheduler import Scheduler
from salesforce_poller.sinks import catalogue
from salesforce_poller.store.store import Store

log = structlog.get_logger()

#: How long work in hand may go on after a signal; then it is cut off, which loses nothing and repeats a little.
_GRACE = timedelta(seconds=8)
_STORE_AGAIN = timedelta(seconds=10)
_TIDY_EVERY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class App:
    """Everything that runs, built and connected."""

    orgs: dict[str, Org]
    store: Store
    fleets: list[Fleet]
    dispatchers: list[Dispatcher]
    upkeep: Upkeep
    #: Set when the program shall end.
    stop: asyncio.Event


@asynccontextmanager
async def build(config: Config, *, clock: Clock, rng: random.Random) -> AsyncIterator[App]:
    """Build every part in the order of the path; nothing is polled or sent yet.

    Raises:
        StoreError: when the store cannot be used.
    """
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(Store(config.store.path, keys=config.store.keys))
        orgs: dict[str, Org] = {}
        fleets: list[Fleet] = []
        poll_log = telemetry.PollLog(clock)
        for name, settings in config.orgs.items():
            riders = [Rider(feed.every, feed.priority) for feed in settings.objects.values()]
            besides = forecast.beside_polls(settings.objects)
            budget = Budget(
                name, settings.api_budget, riders, beside_polls=besides, calls=store.calls, clock=clock, rng=rng
            )
            await budget.open()
            stack.push_async_callback(budget.close)
            keeper = store.secrets.keeper(name, clock)
            org = Org(name, settings, clock=clock, meter=budget, keeper=keeper)
            orgs[name] = await stack.enter_async_context(org)
            members = []
            for object_name, feed_settings in settings.objects.items():
                seat = Seat(org)
                feed = Feed(
                    object_name,
                    feed_settings,
                    org=seat,
                    store=store.feeds,
                    clock=clock,
                    rng=rng,
                    stop=stop,
                    report=poll_log.polled,
                    roomy=budget.is_roomy,
                )
                members.append(Member(feed, seat))
            fleets.append(Fleet(name, members, seat=Seat(org), budget=budget, clock=clock))
        await store.outbox.ensure_sinks(list(config.sinks))
        await _resume_sinks(store, list(config.sinks))
        dispatchers = []
        for name, sink_settings in config.sinks.items():
            sink = catalogue.build(sink_settings, clock)
            dispatchers.append(Dispatcher(name, sink_settings, sink, store.outbox, clock=clock, rng=rng))
        upkeep = Upkeep(
            store,
            feeds=_watched(config),
            sinks=list(config.sinks),
            keep_events=config.store.keep_events,
            clock=clock,
        )
        yield App(orgs, store, fleets, dispatchers, upkeep, stop)


async def run(config: Config, *, clock: Clock, rng: random.Random, stop: asyncio.Event) -> int:
    """Poll and deliver until ``stop`` is set; then finish the page and the deliveries in hand.

    Returns the number of API requests that were spent.

    Raises:
        StoreError: when the store cannot be used.
        ConfigError: when the HTTP address cannot be listened on.
    """
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(build(config, clock=clock, rng=rng))
        if address := config.http.address:
            host, port = await stack.enter_async_context(
                server.serving(
                    server.build(app.store.feeds, clock, watched=list(_watched(config)), token=config.http.token),
                    address,
                )
            )
            log.info("http.listening", host=host, port=port)
        for name, org in config.orgs.items():
            expected = forecast.of_org(org.objects)
            log.info("forecast", org=name, calls_per_day=expected.calls, by_object=dict(expected.by_object))
        scheduler = Scheduler(clock=clock, rng=rng)
        for fleet in app.fleets:
            scheduler.every(fleet.name, fleet.step, fleet.tick, overlapping=True)
        scheduler.every("tidy", _TIDY_EVERY, app.upkeep.tidy)
        deliveries = [asyncio.create_task(_deliver(app, dispatcher)) for dispatcher in app.dispatchers]
        scheduler.start()
        log.info("started", orgs=len(app.orgs), feeds=len(_watched(config)), sinks=len(app.dispatchers))
        try:
            await asyncio.wait([asyncio.create_task(stop.wait()), *deliveries], return_when=asyncio.FIRST_COMPLETED)
        finally:
            log.info("stopping")
            app.stop.set()
            await asyncio.gather(scheduler.drain(_GRACE), _finish(deliveries))
    calls = sum(org.calls for org in app.orgs.values())
    log.info("stopped", calls=calls)
    return calls


def _watched(config: Config) -> dict[tuple[str, str], FeedSettings]:
    """Return every feed of the configuration by org and object."""
    return {(name, key): feed for name, org in config.orgs.items() for key, feed in org.objects.items()}


async def _resume_sinks(store: Store, names: list[str]) -> None:
    """Try sinks again that asked us to stop (410): a restart is a person's way of saying that it is mended.

    What a person paused stays so.
    """
    for name in names:
        state = await store.outbox.sink(name)
        if state.paused and not state.paused_by_person:
            await store.outbox.resume(name)
            log.warning("sink.resumed", sink=name, was_paused_for=state.paused)


async def _deliver(app: App, dispatcher: Dispatcher) -> None:
    """Run one sink's loop, woken whenever there are new events."""
    wake = asyncio.Event()
    app.store.feeds.on_events(wake.set)
    while not app.stop.is_set():
        try:
            await dispatcher.run(wake, app.stop, telemetry.dispatched)
        except StoreError as exc:
            # A full disk, say: nothing is lost, and it goes on when there is room again.
            log.warning("store.failed", error=str(exc), next_try_s=_STORE_AGAIN.total_seconds())
            with suppress(TimeoutError):
                await asyncio.wait_for(app.stop.wait(), _STORE_AGAIN.total_seconds())


async def _finish(tasks: list[asyncio.Task[None]]) -> None:
    """Wait for work in hand, for a while."""
    _, late = await asyncio.wait(tasks, timeout=_GRACE.total_seconds())
    for task in late:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
