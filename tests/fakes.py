"""Hand-written stand-ins that tests share."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks.base import Dressed, Sink, SinkSettings


class FakeClock:
    """A clock that stands still until somebody sleeps or moves it. Satisfies ``salesforce_poller.clock.Clock``."""

    def __init__(self, now: datetime = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> datetime:
        """Return virtual wall time."""
        return self._now

    def monotonic(self) -> float:
        """Return virtual seconds since the clock was made."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def set(self, now: datetime) -> None:
        """Set the wall clock, as an operator does; the other one does not notice."""
        self._now = now

    async def sleep(self, seconds: float) -> None:
        """Let time pass at once, and others have a turn."""
        self.advance(seconds)
        await asyncio.sleep(0)  # noqa: TID251  # a turn of the loop, not a wait


class Broken(BaseException):
    """A promise to a fake was broken. No ``Exception``, so that nothing under test can take it for an answer."""


class FakeSink(Sink[SinkSettings]):
    """A sink that remembers what it was sent and answers as it is told."""

    def __init__(
        self,
        *,
        concurrency: int = 3,
        batch: int = 1,
        batch_wait: timedelta = timedelta(),
        any_order: bool = False,
        one_answer: bool = False,
    ) -> None:
        super().__init__(SinkSettings(), FakeClock())
        self._batch_wait = batch_wait
        self._any_order = any_order
        self._one_answer = one_answer
        self._concurrency = concurrency
        self._batch = batch
        #: What it says of each event; may raise.
        self.answer: Callable[[Dressed], Receipt] = lambda _event: Receipt(Verdict.ACCEPTED)
        #: Everything it was sent, call by call.
        self.sends: list[list[Dressed]] = []
        #: Ids of what it accepted, in order.
        self.accepted: list[str] = []
        #: Records that are being sent at this moment, and the most there ever were.
        self.under_way: list[str] = []
        self.most_under_way = 0
        self.life: list[str] = []

    @property
    def concurrency(self) -> int:
        """As told."""
        return self._concurrency

    @property
    def batch(self) -> int:
        """As told."""
        return self._batch

    @property
    def batch_wait(self) -> timedelta:
        """As told."""
        return self._batch_wait

    @property
    def one_answer(self) -> bool:
        """As told; then the first failure is the answer to all of a send."""
        return self._one_answer

    async def open(self) -> None:
        """Remember it."""
        self.life.append("opened")

    async def send(self, events: Sequence[Dressed]) -> list[Receipt]:
        """Answer after a moment in which others have their turns."""
        keys = {each.key for each in events}
        if keys.intersection(self.under_way) and not self._any_order:
            raise Broken("two sends of one record side by side")
        if not 0 < len(events) <= self._batch:
            raise Broken("more than a batch, or nothing at all")
        self.under_way.extend(keys)
        self.most_under_way = max(self.most_under_way, len(self.under_way))
        try:
            self.sends.append(list(events))
            await asyncio.sleep(0)  # noqa: TID251  # a turn of the loop, not a wait
            receipts = self._answers(events)
            if self._one_answer:
                failed = [each for each in receipts if each.verdict is not Verdict.ACCEPTED]
                receipts = [(failed or receipts)[0]] * len(receipts)
        finally:
            self.under_way = [key for key in self.under_way if key not in keys]
        accepted = (each for each, receipt in zip(events, receipts, strict=True) if receipt.verdict is Verdict.ACCEPTED)
        self.accepted += [each.event_id for each in accepted]
        return receipts

    def _answers(self, events: Sequence[Dressed]) -> list[Receipt]:
        """Answer each event; what follows a failure of its record is not taken, as every sink promises."""
        failed: dict[str, Receipt] = {}
        receipts = []
        for each in events:
            held = None if self._any_order else failed.get(each.key)
            receipts.append(held or self.answer(each))
            if receipts[-1].verdict is not Verdict.ACCEPTED:
                failed.setdefault(each.key, receipts[-1])
        return receipts

    async def probe(self) -> Receipt:
        """It is always there."""
        return Receipt(Verdict.ACCEPTED)

    async def close(self) -> None:
        """Remember it."""
        self.life.append("closed")
