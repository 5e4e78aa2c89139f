"""Keeps the store small: forgets old sightings, prunes delivered events. Called by the scheduler, wired by ``app.py``.

In small batches with pauses between them, so that no poll and no delivery waits long for the writer. What is still owed
is never pruned, and what lies at or after ``settled_through`` is never forgotten.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

import structlog

from salesforce_poller.clock import Clock
from salesforce_poller.model import Watermarks
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.store.store import Store

log = structlog.get_logger()

#: Deleted records are remembered at least this long: they can come back for 15 days, and the delete log errs after 30.
_REMEMBER_DELETED = timedelta(days=31)

#: The machine's clock, by which feeds are chosen, may be so far behind Salesforce's, by which records are forgotten.
_MARGIN = timedelta(days=1)


class Upkeep:
    """The store's housekeeping."""

    def __init__(
        self,
        store: Store,
        *,
        feeds: Mapping[tuple[str, str], FeedSettings],
        sinks: Sequence[str],
        keep_events: timedelta,
        clock: Clock,
    ) -> None:
        self._store = store
        self._feeds = feeds
        self._sinks = sinks
        self._keep_events = keep_events
        self._clock = clock

    def change(
        self, *, feeds: Mapping[tuple[str, str], FeedSettings], sinks: Sequence[str], keep_events: timedelta
    ) -> None:
        """Keep house for these from the next time on."""
        self._feeds, self._sinks, self._keep_events = feeds, sinks, keep_events

    async def tidy(self) -> None:
        """Forget and prune what is due, batch by batch."""
        forgotten = await self._forget_all()
        before = self._clock.now() - self._keep_events
        sinks = await self._owed_sinks()
        let_go = await self._all(lambda: self._store.outbox.let_go(before, sinks))
        if let_go:
            log.warning("sinks.removed_let_go", deliveries=let_go, keep_events=str(self._keep_events))
        pruned = await self._all(lambda: self._store.outbox.prune(before, sinks))
        if forgotten or pruned:
            log.info("store.tidied", sightings=forgotten, events=pruned)

    async def _owed_sinks(self) -> set[str]:
        """Return the sinks whose events are kept: ours, and those of processes with another configuration.

        While a new one is rolled out, the old one does not know of all sinks that are owed something.
        """
        others = await self._store.leases.sinks_in_use(self._keep_events) if self._store.is_shared else set()
        return {*self._sinks, *others}

    async def _forget_all(self) -> int:
        if not self._feeds:
            return 0
        shortest = min(settings.remember for settings in self._feeds.values())
        # Most feeds of a quiet org have nothing that old, and a look at each of them would cost more than all the rest.
        old = await self._store.feeds.remembering(self._clock.now() - shortest + _MARGIN)
        total = 0
        for (org, object_name), marks in old.items():
            if settings := self._feeds.get((org, object_name)):
                total += await self._forget(org, object_name, settings, marks)
        return total

    async def _forget(self, org: str, object_name: str, settings: FeedSettings, marks: Watermarks) -> int:
        live_before = None if settings.baseline or settings.reconcile else marks.settled_through - settings.remember
        if live_before and not marks.backfill_done:
            # A job may still show an older copy of what was seen since the start; it must be known as such.
            live_before = min(live_before, marks.backfill_until)
        deleted_before = marks.settled_through - max(settings.remember, _REMEMBER_DELETED)
        return await self._all(
            lambda: self._store.feeds.forget(org, object_name, live_before=live_before, deleted_before=deleted_before)
        )

    async def _all(self, batch: Callable[[], Awaitable[int]]) -> int:
        """Do a batch after the other until there is nothing left; returns how much it was.

        Between two of them the store is left to others for as long as the last one took.
        """
        total = 0
        while True:
            began = self._clock.monotonic()
            done = await batch()
            await self._clock.sleep(self._clock.monotonic() - began)
            if not done:
                return total
            total += done
