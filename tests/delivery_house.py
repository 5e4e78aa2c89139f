"""A store, a sink and the dispatcher between them, for ``unit/test_dispatcher.py`` and its neighbours."""

import random
from dataclasses import dataclass, field
from typing import Any

from builders import an_event, watermarks
from fakes import FakeClock, FakeSink

from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.model import DispatchReport, Receipt, Verdict
from salesforce_poller.sinks.base import SinkSettings
from salesforce_poller.store.store import Store

LATER = Receipt(Verdict.TRY_LATER, "HTTP 503")


@dataclass
class House:
    """A store, a sink and the dispatcher between them."""

    store: Store
    clock: FakeClock = field(default_factory=FakeClock)
    events: int = 0

    def dispatcher(self, sink: FakeSink, **settings: Any) -> Dispatcher:
        known = SinkSettings.model_validate(settings)
        return Dispatcher("crm", known, sink, self.store.outbox, clock=self.clock, rng=random.Random(1))

    async def happen(self, *records: str, **event: Any) -> list[str]:
        """Let an event happen to each of these records; returns the events' ids."""
        ids = [f"{self.events + number:032}" for number in range(1, len(records) + 1)]
        self.events += len(records)
        events = [an_event(id=each, record_id=record, **event) for each, record in zip(ids, records, strict=True)]
        await self.store.feeds.commit_page(
            "acme", "Lead", events=events, sightings=[], marks=watermarks(), at=self.clock.now()
        )
        return ids

    async def until_quiet_or_parked(self, dispatcher: Dispatcher) -> list[DispatchReport]:
        """Let rounds follow each other until there is nothing to do for the moment."""
        reports = [await dispatcher.dispatch_once()]
        while reports[-1].busy:
            reports.append(await dispatcher.dispatch_once())
        return reports

    async def until_quiet(self, dispatcher: Dispatcher) -> list[DispatchReport]:
        """Let rounds and waits follow each other until nothing is left to wait for."""
        reports = [await dispatcher.dispatch_once()]
        while reports[-1].busy or reports[-1].wait is not None:
            assert len(reports) < 1000, "it never comes to rest"
            self.clock.advance(reports[-1].wait or 0)
            reports.append(await dispatcher.dispatch_once())
        return reports


def fail_on(*records: str, receipt: Receipt = LATER) -> Any:
    """Return an answer that is a failure for these records."""
    return lambda event: receipt if event.key in records else Receipt(Verdict.ACCEPTED)
