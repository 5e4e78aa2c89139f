"""Builds the house from a Config and keeps the lights on; with ``crew.py`` the only file that knows everybody.

    org  →  poller  →  store  →  dispatcher  →  sink

The five stops of that path, in the order in which a change takes them:

1. ``salesforce/client.py:Org.pages``          asks the org for a window of changed rows
2. ``polling/poller.py:Feed.turn``             lets ``polling/diff.py`` decide what happened to each
3. ``store/feeds.py:Feeds.commit_page``        puts events, sightings and watermarks on disk in one transaction
4. ``delivery/dispatcher.py:dispatch_once``    sends what a sink is owed, in order per record
5. ``sinks/webhook.py:Webhook.send``           (or its neighbours) hands events over, answers with receipts

Two loops move it: every feed polls at its own interval, every sink is woken when there are events. Between the loops
stands the store, and nothing else: polling never sees a sink, delivery never sees the org.

Which orgs and sinks are at work is the affair of ``crew.py``, since it may change while the program runs: when the
configuration is read again (:meth:`App.reload`), and on a store that several processes share, whenever one of them
comes or goes (``cluster/membership.py``).
"""

import asyncio
import os
import random
import secrets
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from typing import Any

import structlog
from pydantic import SecretStr

from salesforce_poller import opening, telemetry
from salesforce_poller.actions.desk import Desk
from salesforce_poller.actions.present import Present
from salesforce_poller.actions.replay import Wants
from salesforce_poller.admin.guard import Guard
from salesforce_poller.admin.lookout import Lookout
from salesforce_poller.admin.tally import Tally
from salesforce_poller.admin.upkeep import Upkeep
from salesforce_poller.clock import Clock
from salesforce_poller.cluster.membership import Membership
from salesforce_poller.config import Config
from salesforce_poller.crew import TIDY, Crew, duties, everything, names
from salesforce_poller.delivery import filters
from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.errors import ConfigError, NotNow, PollerError, Stopped, StoreError
from salesforce_poller.model import Duty
from salesforce_poller.polling import forecast
from salesforce_poller.polling.fleet import Fleet
from salesforce_poller.polling.helm import Helm
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.salesforce.client import Org
from salesforce_poller.scheduler import Scheduler
from salesforce_poller.source import Source, keep_fixed
from salesforce_poller.store.lock import Holder
from salesforce_poller.store.store import Store
from salesforce_poller.units import GRACE, Tools

log = structlog.get_logger()

_NAME = "salesforce-poller"
_TIDY_EVERY, _SUM_UP_EVERY = timedelta(hours=1), timedelta(minutes=1)
#: At the start there is more urgent work for the store.
_TIDY_AFTER = timedelta(seconds=30)
#: How often it is tried to start what could not be started.
_AGAIN_EVERY = timedelta(minutes=1)
#: Who listens everywhere is found here.
_NEARBY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared with, not listened on


@dataclass(slots=True)
class App:
    """Everything that runs, built and connected."""

    #: What is in effect; replaced as a whole by :meth:`reload`.
    config: Config
    store: Store
    crew: Crew
    scheduler: Scheduler
    upkeep: Upkeep
    #: What the configuration names, for those who answer and take orders.
    present: Present
    clock: Clock
    #: Hears what everybody reports; and counts it for ``/metrics``.
    told: telemetry.Telemetry
    tally: Tally
    #: Where the configuration is read again; None where it came from nowhere that could change.
    source: Source | None
    #: Our place among the processes that share the store; None where we have it alone, and hold everything.
    membership: Membership | None = None
    #: Set when the program shall end.
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    _reloading: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def orgs(self) -> dict[str, Org]:
        """The clients of the orgs that are polled, by name."""
        return self.crew.orgs

    @property
    def fleets(self) -> list[Fleet]:
        """The fleets of the orgs that are polled."""
        return self.crew.fleets

    @property
    def dispatchers(self) -> list[Dispatcher]:
        """The dispatchers of the sinks that are delivered to."""
        return self.crew.dispatchers

    async def reload(self) -> dict[str, Any]:
        """Read the configuration again and put it into effect; returns what was changed, for programs.

        Raises:
            ConfigError: it is wrong; the one before stays in effect.
            NotNow: there is nothing to read, or the program is ending.
            StoreError: the store failed; the configuration before stays in effect.
        """
        if self.source is None:
            raise NotNow("this daemon was not started from a configuration file; there is nothing to read again")
        async with self._reloading:
            try:
                return await self._reload(self.source)
            except PollerError as exc:
                problems = exc.problems if isinstance(exc, ConfigError) else [str(exc)]
                log.warning("config.reload_refused", file=self.source.name, problems=problems)
                raise

    async def _reload(self, source: Source) -> dict[str, Any]:
        config, needs_restart = keep_fixed(self.config, await asyncio.to_thread(source.load))
        before = self.config
        new = [name for name in config.sinks if name not in before.sinks]
        mended = [name for name, sink in config.sinks.items() if sink != before.sinks.get(name)]
        try:
            await opening.ensure_sinks(self.store, config, self.clock, new)
        except ConfigError as exc:
            raise ConfigError([f"{source.name}: {problem}" for problem in exc.problems]) from exc
        if needs_restart:
            log.warning("reload.needs_restart", file=source.name, keys=needs_restart)
        # First those who answer and clean up: what a new sink is owed must not be pruned before it begins.
        self.config, now = config, present(config)
        self.present.feeds, self.present.wants = now.feeds, now.wants
        if self.membership is not None:
            self.membership.want([*duties(config), TIDY])
        self.upkeep.change(feeds=_watched(config), sinks=list(config.sinks), keep_events=config.store.keep_events)
        _tell_forecast(config, [name for name, org in config.orgs.items() if org != before.orgs.get(name)])
        told = {"file": source.name, **await self.apply(), "needs_restart": needs_restart}
        mended += [name for name in config.sinks if str(Duty("sink", name)) in told["restarted"]]  # new certificates
        try:
            # Only now: who was there before would have it switched off again.
            await opening.resume_sinks(self.store, mended)
        except StoreError as exc:
            log.warning("store.failed", error=str(exc))
        said = {key: told[key] for key in ("started", "stopped", "restarted")}
        log.info("config.reloaded", file=source.name, **said, not_started=list(told["failed"]))
        return told

    async def apply(self) -> dict[str, Any]:
        """Have those at work that are configured and held; returns what was changed, for programs. Raises NotNow."""
        held = everything(self.config) if self.membership is None else self.membership.held
        changes = await self.crew.apply(self.config, held)
        self.told.forget([*changes.stopped, *changes.restarted])
        # A failing sink does not keep the daemon from being ready: its events wait in the store.
        lacking = {duty.name: why for duty, why in self.crew.lacking.items() if duty.kind == "org"}
        self.present.lacking = [f"{name} could not be started: {why}" for name, why in lacking.items()]
        return {
            "started": names(changes.started),
            "stopped": names(changes.stopped),
            "restarted": names(changes.restarted),
            "unchanged": names(changes.unchanged),
            "failed": {str(duty): why for duty, why in changes.failed.items()},
        }

    async def tidy(self) -> None:
        """Keep the store small; of several processes one does."""
        if self.membership is None or TIDY in self.membership.held:
            await self.upkeep.tidy()

    async def try_again(self) -> None:
        """Start what could not be started, if there is any."""
        if self.crew.lacking:
            with suppress(NotNow):  # the program is ending
                await self.apply()

    async def share(self) -> None:
        """Take our part in the work that several processes share, for as long as the program runs."""
        if self.membership is None:
            await self.stop.wait()
        else:
            await self.membership.run(self.apply)

    async def heed(self) -> None:
        """Reload whenever the source says so."""
        while self.source is not None:
            await self.source.asked.wait()
            self.source.asked.clear()
            try:
                await self.reload()
            except PollerError:
                continue  # it is told in the log
            except Exception:
                log.exception("config.bug")


@asynccontextmanager
async def build(
    config: Config,
    *,
    clock: Clock,
    rng: random.Random,
    source: Source | None = None,
    stop: asyncio.Event | None = None,
) -> AsyncIterator[App]:
    """Build every part in the order of the path; nothing is polled or sent yet. A store that is away is waited for.

    Raises:
        StoreError: when the store cannot be used.
        ConfigError: when a new sink starts in the future.
        Stopped: ``stop`` was set while the store was waited for.
    """
    name, stop = f"{socket.gethostname()}-{rng.getrandbits(32):08x}", stop or asyncio.Event()
    async with opening.the_store(config, name, clock, stop) as store:
        membership = opening.membership(config, store, name, clock) if store.is_shared else None
        holds = membership.holds if membership else lambda _lease: True
        scheduler = Scheduler(clock=clock, rng=rng)
        tally = Tally()
        told = telemetry.Telemetry(clock, tally)
        crew = Crew(Tools(store, scheduler, clock, rng, told.polled, told.dispatched, told.called, holds))
        try:
            await opening.when_there(lambda: opening.the_sinks(store, config, clock), clock, stop)
            upkeep = Upkeep(
                store,
                feeds=_watched(config),
                sinks=list(config.sinks),
                keep_events=config.store.keep_events,
                clock=clock,
            )
            app = App(config, store, crew, scheduler, upkeep, present(config), clock, told, tally, source, membership)
            if membership is not None:
                app.present.current = membership.is_current
            await opening.when_there(app.apply, clock, stop)
            yield app
        finally:
            await crew.close()
            if membership is not None:
                await membership.leave()


async def run(
    config: Config, *, clock: Clock, rng: random.Random, stop: asyncio.Event, source: Source | None = None
) -> int:
    """Poll and deliver until ``stop`` is set; then finish the page and the deliveries in hand.

    ``source`` is where the configuration can be read again. Returns the number of API requests that were spent.

    Raises:
        StoreError: when the store cannot be used.
        ConfigError: when the HTTP address cannot be listened on, or a new sink starts in the future.
    """
    opening.allow_many_files()
    async with AsyncExitStack() as stack:
        try:
            app = await stack.enter_async_context(build(config, clock=clock, rng=rng, source=source, stop=stop))
        except Stopped:  # while the store was waited for
            log.info("stopped", calls=0)
            return 0
        helm = Helm(app.crew.polled)
        _listen(stack, app, helm)
        lookout = Lookout(app.store.surveys, app.crew.running(lambda: app.config), clock)
        if address := config.http.address:
            await _serve(stack, app, helm, lookout, address)
        _tell_forecast(config, list(config.orgs))
        app.scheduler.every("tidy", _TIDY_EVERY, app.tidy, after=_TIDY_AFTER)
        app.scheduler.every("summary", _SUM_UP_EVERY, partial(app.told.sum_up, lookout.summary))
        app.scheduler.every("again", _AGAIN_EVERY, app.try_again)
        app.scheduler.start()
        heeding = asyncio.create_task(app.heed())
        sharing = await stack.enter_async_context(_sharing(app))
        ended: set[asyncio.Task[Any]] = set()
        ends: list[asyncio.Task[Any]] = [
            asyncio.create_task(stop.wait()),
            asyncio.create_task(app.crew.broken.wait()),
            sharing,
        ]
        try:
            await app.crew.begin()
            log.info("started", orgs=len(app.orgs), feeds=len(app.present.feeds), sinks=len(app.dispatchers))
            ended, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            log.info("stopping")
            app.stop.set()
            if app.membership is not None:
                app.membership.take_no_more()
            for task in (heeding, *ends):
                if task is not sharing:  # others hear that we are alive until what is in hand has ended
                    task.cancel()
            await asyncio.gather(app.scheduler.drain(GRACE), app.crew.close())
        if sharing in ended:
            await sharing
        if app.crew.defect is not None:
            raise app.crew.defect
    log.info("stopped", calls=app.crew.calls)
    return app.crew.calls


@asynccontextmanager
async def _sharing(app: App) -> AsyncIterator[asyncio.Task[None]]:
    """Take part in what several processes share while the block runs; yields the task, which ends only by a defect."""
    task = asyncio.create_task(app.share())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)  # it has told others for the last time that we are alive


def present(config: Config) -> Present:
    """Return what a configuration names."""
    wants = {name: _wants(filters.Filters(sink, name)) for name, sink in config.sinks.items()}
    return Present(list(_watched(config)), wants, lease=config.store.lease, chores=[TIDY])


def desk_for(config: Config, store: Store, *, clock: Clock) -> Desk:
    """Return the desk at which a command takes orders about a configuration where no daemon runs."""
    return Desk(store, present=present(config), clock=clock)


def _wants(chosen: filters.Filters) -> Wants:
    """An event of which the filters cannot tell is owed: it then fails where a person sees it."""
    return lambda event: chosen.judge(event) is not False


def _listen(stack: AsyncExitStack, app: App, helm: Helm) -> None:
    """Hear until the stack is left what people say of feeds and of the configuration, to whichever process."""
    tasks: set[asyncio.Task[None]] = set()

    async def look_anew() -> None:
        try:
            paused = await app.store.pauses.all()
        except StoreError as exc:
            log.warning("store.failed", error=str(exc))
            return
        for fleet in app.fleets:
            fleet.look_anew({one.object for one in paused if one.org == fleet.name})

    def in_doubt() -> None:
        for fleet in app.fleets:
            fleet.doubt()
        task = asyncio.create_task(look_anew())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    stack.callback(app.store.pauses.on_feed(helm.heed))
    stack.callback(app.store.pauses.on_doubt(in_doubt))
    if app.source is not None:
        stack.callback(app.store.leases.on_reload(app.source.asked.set))


async def _serve(stack: AsyncExitStack, app: App, helm: Helm, lookout: Lookout, address: tuple[str, int]) -> None:
    """Serve health and orders until the stack is left, and tell commands where. Raises ConfigError, StoreError."""
    from salesforce_poller.admin import api, server  # noqa: PLC0415  # 3 MB with what they need, for who listens
    from salesforce_poller.admin.metrics import Metrics, route  # noqa: PLC0415  # as above

    metrics = Metrics(app.tally, lookout, app.clock, version=version(_NAME))
    guard = Guard(app.config.http.token, SecretStr(secrets.token_urlsafe(32)))
    desk = Desk(
        app.store,
        present=app.present,
        clock=app.clock,
        poller=helm,
        reload=app.reload,
        stopping=app.stop.is_set,
    )
    routes = api.routes(api.Api(app.store, desk, guard, app.present, app.clock))
    application = server.build(
        app.store, app.clock, present=app.present, guard=guard, more=[*routes, route(metrics, guard)]
    )
    host, port = await stack.enter_async_context(server.serving(application, address))
    app.store.announce(Holder(os.getpid(), _NEARBY.get(host, host), port, guard.key.get_secret_value()))
    log.info("http.listening", host=host, port=port)


def _watched(config: Config) -> dict[tuple[str, str], FeedSettings]:
    """Return every feed of the configuration by org and object."""
    return {(name, key): feed for name, org in config.orgs.items() for key, feed in org.objects.items()}


def _tell_forecast(config: Config, orgs: Iterable[str]) -> None:
    """Say what these orgs will be asked."""
    for name in orgs:
        expected = forecast.of_org(config.orgs[name].objects)
        log.info("forecast", org=name, calls_per_day=expected.calls, by_object=dict(expected.by_object))
