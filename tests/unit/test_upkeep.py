"""admin/upkeep.py: what keeps the store small leaves it to others in between."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from builders import NOON, watermarks
from fakes import FakeClock

from salesforce_poller.admin.upkeep import Upkeep
from salesforce_poller.model import Sighting
from salesforce_poller.store.store import Store


class SlowOutbox:
    """Prunes three batches, each of which takes longer than the one before."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.spans: list[tuple[float, float]] = []

    async def let_go(self, *_asked: object) -> int:
        """There is nothing of that kind."""
        return 0

    async def prune(self, *_asked: object) -> int:
        """Prune one batch."""
        began = self.clock.monotonic()
        self.clock.advance(1.0 + len(self.spans))
        self.spans.append((began, self.clock.monotonic()))
        return 500 if len(self.spans) < 4 else 0


async def test_between_two_batches_the_store_is_left_alone_for_as_long_as_the_first_took() -> None:
    """Polls and deliveries write in between, however many events there are to prune."""
    clock = FakeClock()
    outbox = SlowOutbox(clock)
    store = cast("Store", SimpleNamespace(outbox=outbox, is_shared=False))
    await Upkeep(store, feeds={}, sinks=["crm"], keep_events=timedelta(days=7), clock=clock).tidy()
    assert outbox.spans == [(0.0, 1.0), (2.0, 4.0), (6.0, 9.0), (12.0, 16.0)]


@pytest.mark.parametrize("deleted", [False, True])
async def test_only_feeds_that_remember_something_old_are_looked_at(tmp_path: Path, deleted: bool) -> None:
    """Ten thousand feeds in which nothing ever happens cost one look together."""
    async with Store(str(tmp_path / "store.db")) as store:
        for name, at in (("Lead", NOON - timedelta(days=40)), ("Contact", NOON), ("Case", None)):
            seen = [Sighting("00Q000000000001AAA", at, "x", deleted, None, None)] if at else []
            marks = watermarks()
            await store.feeds.commit_page("acme", name, events=[], sightings=seen, marks=marks, at=NOON)
        found = await store.feeds.remembering(NOON - timedelta(days=30))
        assert found == {("acme", "Lead"): watermarks()}
