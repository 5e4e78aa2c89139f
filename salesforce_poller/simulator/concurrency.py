"""How many requests may be long at once: those that have run for 20 seconds or more, by the org's clock.

Asked by `edge` for every API request. Source: "API Request Limits and Allocations", Concurrent API Request Limits: 25
in production orgs and sandboxes, 5 in Developer Edition and trial orgs; shorter requests are not limited.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

LONG = timedelta(seconds=20)
MOST = 25
MOST_IN_DEVELOPER_EDITION = 5


class Concurrency:
    """The requests that are running in one org. `others` are long ones that somebody else has going."""

    def __init__(self, edition: str) -> None:
        self.most = MOST_IN_DEVELOPER_EDITION if edition == "Developer Edition" else MOST
        self.others = 0
        self._running: dict[int, datetime] = {}
        self._number = 0

    @contextmanager
    def visit(self, now: datetime) -> Iterator[bool]:
        """A request that runs for as long as the block does; False when it has to be refused instead."""
        if self.long(now) >= self.most:
            yield False
            return
        self._number = number = self._number + 1
        self._running[number] = now
        try:
            yield True
        finally:
            del self._running[number]

    def long(self, now: datetime) -> int:
        """How many requests have been running for 20 seconds or more."""
        return self.others + sum(now - began >= LONG for began in self._running.values())
