"""``GET /metrics``: counts and gauges in Prometheus' text format; the only file that imports prometheus_client.

Put into the application by ``server.py``. A page is good for a few seconds, so that it is made once however many ask,
and it is made in small parts, between which polls and deliveries have their turns: with ten thousand feeds it is a few
megabytes. prometheus_client tells of the process. Who may ask is decided by ``guard.py``.
"""

import asyncio
import platform
from collections.abc import Collection, Mapping
from datetime import timedelta
from itertools import islice

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from salesforce_poller.admin import exposition, gauges, meters
from salesforce_poller.admin.exposition import Spreads, Values
from salesforce_poller.admin.guard import Guard
from salesforce_poller.admin.lookout import FRESH, Lookout, OrgNow
from salesforce_poller.admin.meters import Meter
from salesforce_poller.admin.tally import Labels, Tally
from salesforce_poller.clock import Clock
from salesforce_poller.errors import StoreError
from salesforce_poller.store.survey import Survey

#: Whoever is not configured any more has reported for the last time after so many seconds.
_LAST_REPORT = 30.0
#: So many orgs, and so many feeds, are looked at before others have their turn.
_ORGS, _FEEDS = 50, 500
_TURN_OUTCOMES = ("ok", "half", "failed")
_DELIVERY_OUTCOMES = ("accepted", "retried", "dead", "filtered")


class Metrics:
    """The page, and what it is made of."""

    def __init__(self, tally: Tally, lookout: Lookout, clock: Clock, *, version: str) -> None:
        self._tally = tally
        self._lookout = lookout
        self._clock = clock
        self._build: Values = [((platform.python_version(), version), 1.0)]
        self._of_process = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._of_process)
        self._writing = asyncio.Lock()
        self._page = b""
        self._written_at: float | None = None
        #: The names by which the tally was put in order the last time.
        self._names: tuple[Collection[tuple[str, str]], Collection[str]] = ((), ())
        #: When these were seen first; None once those who left have been forgotten for good.
        self._changed_at: float | None = None

    async def page(self) -> bytes:
        """Return the metrics as they are, or were a few seconds ago."""
        async with self._writing:
            now = self._clock.monotonic()
            if self._written_at is None or now - self._written_at >= FRESH:
                self._page = await self._write()
                self._written_at = self._clock.monotonic()
            return self._page

    async def _write(self) -> bytes:
        running = self._lookout.running
        feeds, sinks = running.feeds(), running.sinks()
        self._forget_others(feeds.keys(), sinks)
        await self._breathe()
        values = await self._standing(feeds, sinks)
        await self._breathe()
        values |= self._counts({org for org, _ in feeds}, sinks)
        written = []
        for piece in exposition.pieces(meters.METERS, values, self._spreads()):
            written.append(piece.encode())
            await self._breathe()
        return b"".join([*written, generate_latest(self._of_process)])

    async def _breathe(self) -> None:
        """Let others have their turn."""
        await self._clock.sleep(0)

    def _forget_others(self, feeds: Collection[tuple[str, str]], sinks: Collection[str]) -> None:
        """Forget what is not configured any more, when that has changed.

        And once more a while later: whoever leaves ends what it has in hand, and reports of it.
        """
        names, now = (frozenset(feeds), frozenset(sinks)), self._clock.monotonic()
        if names != self._names:
            self._names, self._changed_at = names, now
        if self._changed_at is not None:
            self._tally.forget_others(*names)
            if now - self._changed_at >= _LAST_REPORT:
                self._changed_at = None

    # ------------------------------------------------------------------ how things stand

    async def _standing(
        self, feeds: Mapping[tuple[str, str], timedelta], sinks: Collection[str]
    ) -> dict[Meter, Values]:
        running, orgs = self._lookout.running, await self._orgs()
        values = gauges.of_orgs(orgs) | gauges.of_leases(running.held(), running.wanted())
        values[meters.BUILD] = self._build
        try:
            survey = await self._lookout.look()
        except StoreError:
            return {**values, meters.STORE_UP: [((), 0.0)]}
        skews = {org.name: org.skew for org in orgs if org.skew is not None}
        of_sinks = gauges.of_sinks(sinks, survey, self._clock.now())
        return {**values, **await self._feeds(feeds, survey, skews), **of_sinks, meters.STORE_UP: [((), 1.0)]}

    async def _orgs(self) -> list[OrgNow]:
        found = []
        for number, org in enumerate(self._lookout.running.orgs(), start=1):
            found.append(org)
            if not number % _ORGS:
                await self._breathe()
        return found

    async def _feeds(
        self, feeds: Mapping[tuple[str, str], timedelta], survey: Survey, skews: Mapping[str, timedelta]
    ) -> dict[Meter, Values]:
        count, now, names = gauges.OfFeeds(), self._clock.now(), iter(feeds.items())
        while part := list(islice(names, _FEEDS)):
            for key, every in part:
                count.add(key, every, survey, skews, now)
            await self._breathe()
        return count.values()

    # ------------------------------------------------------------------ what was counted

    def _counts(self, orgs: Collection[str], sinks: Collection[str]) -> dict[Meter, Values]:
        """Return the counters; where labels are few, zeros too, since the first step from nothing is no increase."""
        tally = self._tally
        turns: dict[Labels, int] = {(org, outcome): 0 for org in orgs for outcome in _TURN_OUTCOMES}
        gaps: dict[Labels, int] = {(org,): 0 for org in orgs}
        deliveries: dict[Labels, int] = {(sink, outcome): 0 for sink in sinks for outcome in _DELIVERY_OUTCOMES}
        # Copies: counting goes on while the page is written.
        return {
            meters.TURNS: list((turns | tally.turns).items()),
            meters.ROWS: list(tally.rows.items()),
            meters.EVENTS: list(tally.events.items()),
            meters.GAPS: list((gaps | tally.gaps).items()),
            meters.CALLS: list(tally.calls.items()),
            meters.DELIVERIES: list((deliveries | tally.deliveries).items()),
        }

    def _spreads(self) -> dict[Meter, Spreads]:
        tally = self._tally
        return {
            meters.DELAY: list(tally.delays.items()),
            meters.FEED_DELAY: list(tally.feed_delays.items()),
            meters.LATE: list(tally.late.items()),
            meters.SENDS: list(tally.sends.items()),
        }


def route(metrics: Metrics, guard: Guard) -> Route:
    """Return ``/metrics``; with a token configured it needs it, as everything else that tells how things stand."""

    async def answer(request: Request) -> Response:
        if no := guard.looking(request.headers):
            headers = {"www-authenticate": "Bearer"} if no.status == 401 else {}  # noqa: PLR2004  # HTTP's own number
            return PlainTextResponse(f"{no.why}\n", no.status, headers)
        return Response(await metrics.page(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return Route("/metrics", answer)
