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
import os
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from pydantic import SecretStr

from salesforce_poller import telemetry
from salesforce_poller.actions.desk import Desk, Poller
from salesforce_poller.actions.replay import Wants
from salesforce_poller.admin import api, server
from salesforce_poller.admin.guard import Guard
from salesforce_poller.admin.upkeep import Upkeep
from salesforce_poller.clock import Clock
from salesforce_poller.config import Config
from salesforce_poller.delivery import filters
from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.errors import ConfigError, StoreError
from salesforce_poller.polling import forecast
from salesforce_poller.polling.budget import Budget
from salesforce_poller.polling.fleet import Fleet, Member
from salesforce_poller.polling.helm import Helm
from salesforce_poller.polling.pace import Rider
from salesforce_poller.polling.poller import Feed
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.salesforce.client import Org
from salesforce_poller.salesforce.sharing import Seat
from salesforce_poller.scheduler import Scheduler
from salesforce_poller.sinks import catalogue
from salesforce_poller.store.lock import Holder
from salesforce_poller.store.store import Store

log = structlog.get_logger()

#: How long work in hand may go on after a signal; then it is cut off, which loses nothing and repeats a little.
_GRACE = timedelta(seconds=8)
_STORE_AGAIN = timedelta(seconds=10)
_TIDY_EVERY = timedelta(hours=1)
#: Who listens everywhere is found here.
_NEARBY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared with, not listened on


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
        ConfigError: when a new sink starts in the future.
    """
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(Store(config.store.path, keys=config.store.keys))
        pauses = {(one.org, one.object) for one in await store.pauses.all()}
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
                seat, halt = Seat(org), asyncio.Event()
                feed = Feed(
                    object_name,
                    feed_settings,
                    org=seat,
                    store=store.feeds,
                    clock=clock,
                    rng=rng,
                    stop=halt,
                    report=poll_log.polled,
                    roomy=budget.is_roomy,
                )
                paused = (name, object_name) in pauses
                members.append(Member(feed, seat, halt=halt, paused=paused))
            fleets.append(Fleet(name, members, seat=Seat(org), budget=budget, clock=clock))
        await _ensure_sinks(store, config, clock)
        await _resume_sinks(store, list(config.sinks))
        dispatchers = _dispatchers(config, store, clock, rng)
        upkeep = Upkeep(
            store,
            feeds=_watched(config),
            sinks=list(config.sinks),
            keep_events=config.store.keep_events,
            clock=clock,
        )
        yield App(orgs, store, fleets, dispatchers, upkeep, stop)


def _dispatchers(config: Config, store: Store, clock: Clock, rng: random.Random) -> list[Dispatcher]:
    """Make every sink and what feeds it. Sinks never see the org; what describe says, they hear from the store."""
    found = []
    for name, settings in config.sinks.items():
        sink = catalogue.build(settings, clock)
        sink.learn(store.described.of)
        found.append(Dispatcher(name, settings, sink, store.outbox, clock=clock, rng=rng))
    return found


async def run(config: Config, *, clock: Clock, rng: random.Random, stop: asyncio.Event) -> int:
    """Poll and deliver until ``stop`` is set; then finish the page and the deliveries in hand.

    Returns the number of API requests that were spent.

    Raises:
        StoreError: when the store cannot be used.
        ConfigError: when the HTTP address cannot be listened on, or a new sink starts in the future.
    """
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(build(config, clock=clock, rng=rng))
        scheduler = Scheduler(clock=clock, rng=rng)
        if address := config.http.address:
            await _serve(stack, app, config, address, scheduler=scheduler, clock=clock)
        for name, org in config.orgs.items():
            expected = forecast.of_org(org.objects)
            log.info("forecast", org=name, calls_per_day=expected.calls, by_object=dict(expected.by_object))
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
            for fleet in app.fleets:
                fleet.halt()
            await asyncio.gather(scheduler.drain(_GRACE), _finish(deliveries))
    calls = sum(org.calls for org in app.orgs.values())
    log.info("stopped", calls=calls)
    return calls


def desk_for(
    config: Config,
    store: Store,
    *,
    clock: Clock,
    poller: Poller | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Desk:
    """Return the desk at which orders about this configuration are taken; without a ``poller`` where nobody polls."""
    wants = {name: _wants(filters.Filters(sink, name)) for name, sink in config.sinks.items()}
    return Desk(store, feeds=list(_watched(config)), wants=wants, clock=clock, poller=poller, stopping=stopping)


def _wants(chosen: filters.Filters) -> Wants:
    """An event of which the filters cannot tell is owed: it then fails where a person sees it."""
    return lambda event: chosen.judge(event) is not False


async def _serve(
    stack: AsyncExitStack,
    app: App,
    config: Config,
    address: tuple[str, int],
    *,
    scheduler: Scheduler,
    clock: Clock,
) -> None:
    """Serve health and orders until the stack is left, and tell commands where. Raises ConfigError, StoreError."""
    guard = Guard(config.http.token, SecretStr(secrets.token_urlsafe(32)))
    poller = Helm({fleet.name: fleet for fleet in app.fleets}, scheduler.at_once)
    desk = desk_for(config, app.store, clock=clock, poller=poller, stopping=app.stop.is_set)
    watched = list(_watched(config))
    routes = api.routes(api.Api(app.store, desk, guard, watched, list(config.sinks), clock))
    application = server.build(app.store, clock, watched=watched, guard=guard, more=routes)
    host, port = await stack.enter_async_context(server.serving(application, address))
    app.store.announce(Holder(os.getpid(), _NEARBY.get(host, host), port, guard.key.get_secret_value()))
    log.info("http.listening", host=host, port=port)


def _watched(config: Config) -> dict[tuple[str, str], FeedSettings]:
    """Return every feed of the configuration by org and object."""
    return {(name, key): feed for name, org in config.orgs.items() for key, feed in org.objects.items()}


async def _ensure_sinks(store: Store, config: Config, clock: Clock) -> None:
    """Make new sinks known, each where it starts; say loudly when an old one comes back too late for some events."""
    starts = {name: sink.start for name, sink in config.sinks.items()}
    for name, start in starts.items():
        if isinstance(start, datetime) and start > clock.now() and not await store.outbox.knows(name):
            raise ConfigError([f"sinks.{name}.start: lies in the future; a new sink can begin now, or in the past"])
    await store.outbox.ensure_sinks(starts, starts)
    for name in starts:
        if missed := await store.outbox.missed(name):
            # Only a sink that was not configured for a while: what a configured one is owed is never pruned.
            log.warning("sink.events_lost_to_retention", sink=name, events=missed)


async def _resume_sinks(store: Store, names: list[str]) -> None:
    """Try sinks again that were switched off: a restart is a person's way of saying that it is mended.

    One that still fails is switched off again at once. What a person paused stays so.
    """
    for name in names:
        state = await store.outbox.sink(name)
        if state.paused and not state.paused_by_person:
            await store.outbox.resume(name, forgive=False)
            log.warning("sink.resumed", sink=name, was_paused_for=state.paused)


async def _deliver(app: App, dispatcher: Dispatcher) -> None:
    """Run one sink's loop, woken whenever there are new events, or a person owes it some again."""
    wake = asyncio.Event()
    app.store.feeds.on_events(wake.set)
    app.store.repairs.on_owed(wake.set)
    app.store.outbox.on_events(wake.set)
    app.store.outbox.on_pause(dispatcher.cut_short)
    app.store.outbox.on_pause(lambda _sink: wake.set())
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
