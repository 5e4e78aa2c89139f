"""Keeps the store small: forgets old sightings, prunes delivered events. Called by the scheduler, wired by ``app.py``.

In small batches, so that no poll and no delivery waits long for the writer. What is still owed is never pruned, and
what lies at or after ``settled_through`` is never forgotten.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import structlog

from salesforce_poller.clock import Clock
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.store.store import Store

log = structlog.get_logger()

#: Deleted records are remembered at least this long: they can come back for 15 days, and the delete log errs after 30.
_REMEMBER_DELETED = timedelta(days=31)


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

    async def tidy(self) -> None:
        """Forget and prune what is due, batch by batch."""
        forgotten = 0
        for (org, object_name), settings in self._feeds.items():
            forgotten += await self._forget(org, object_name, settings)
        before = self._clock.now() - self._keep_events
        let_go = 0
        while batch := await self._store.outbox.let_go(before, self._sinks):
            let_go += batch
        if let_go:
            log.warning("sinks.removed_let_go", deliveries=let_go, keep_events=str(self._keep_events))
        pruned = 0
        while batch := await self._store.outbox.prune(before, self._sinks):
            pruned += batch
        if forgotten or pruned:
            log.info("store.tidied", sightings=forgotten, events=pruned)

    async def _forget(self, org: str, object_name: str, settings: FeedSettings) -> int:
        marks = await self._store.feeds.watermarks(org, object_name)
        if marks is None:
            return 0
        live_before = None if settings.baseline or settings.reconcile else marks.settled_through - settings.remember
        if live_before and not marks.backfill_done:
            # A job may still show an older copy of what was seen since the start; it must be known as such.
            live_before = min(live_before, marks.backfill_until)
        deleted_before = marks.settled_through - max(settings.remember, _REMEMBER_DELETED)
        total = 0
        while batch := await self._store.feeds.forget(
            org, object_name, live_before=live_before, deleted_before=deleted_before
        ):
            total += batch
        return total
