"""From the store to one sink: :meth:`Dispatcher.dispatch_once` is a round, :meth:`Dispatcher.run` the loop.

Built by ``app.py``, one for each sink. A round reads what is owed, sends it and writes the outcome down in one
transaction; what was not written down when the process dies is sent again, so that everything arrives at least once.
What to send when, and what becomes of it, is decided in ``round.py``; the next stop of an event is ``sinks/``.
"""

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from salesforce_poller.clock import Clock
from salesforce_poller.delivery import alerts, envelope, filters
from salesforce_poller.delivery.breaker import CLOSED, Breaker
from salesforce_poller.delivery.company import Company
from salesforce_poller.delivery.projection import Projection
from salesforce_poller.delivery.round import Closing, Owed, Round
from salesforce_poller.errors import SinkForgotten, StoreError, StoreWentBack
from salesforce_poller.model import Delivery, DispatchReport, Ordering, Parked, Receipt, Verdict
from salesforce_poller.sinks.base import Sink, SinkSettings
from salesforce_poller.spread import SENDS, Spread
from salesforce_poller.store.outbox import Outbox, Standing
from salesforce_poller.store.versions import Step

#: Events read in one round, for a sink that takes no larger batch: what may be sent twice after a crash.
ROUND_SIZE = 300
#: Seconds until it is looked again whether the sink is still ours.
_NOT_CURRENT = 1.0
#: A clock that is so far behind was set back; a clock that is put right bit by bit is not.
_SET_BACK = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a round came to: how the store is told, if there is anything to tell, and the report."""

    settle: Callable[[], Awaitable[None]] | None
    report: DispatchReport


class Dispatcher:
    """Delivers to one sink, as long as it is ours to do so. ``outbox`` must know the sink (``ensure_sinks``)."""

    def __init__(
        self,
        name: str,
        settings: SinkSettings,
        sink: Sink[Any],
        outbox: Outbox,
        *,
        clock: Clock,
        rng: random.Random,
        current: Callable[[], bool] = lambda: True,
    ) -> None:
        self._name = name
        self._settings = settings
        self._filters = filters.Filters(settings, name)
        self._projection = Projection(settings.fields)
        self._sink = sink
        self._round_size = max(ROUND_SIZE, sink.batch)
        self._outbox = outbox
        self._clock = clock
        #: Where it begins anew, should the store go back to before it was first seen: nothing since is passed over.
        self._start = clock.now() if settings.start == "now" else settings.start
        self._rng = rng
        #: Whether nobody else can be delivering in our place by now.
        self._current = current
        #: Set when the sink is open.
        self.opened = asyncio.Event()
        self._breaker: Breaker | None = None
        self._cut_short = False
        self._company = Company()
        #: When it last looked what is owed (machine time, UTC).
        self._looked_at: datetime | None = None
        #: How long the sends took since the last report.
        self._sends = Spread(SENDS)
        #: What the latest round came to, until it is written down.
        self._unwritten: _Outcome | None = None
        #: Events that were read while others were sent, and the position they lie behind.
        self._ahead: tuple[int, list[Delivery]] = (-1, [])

    async def run(self, wake: asyncio.Event, stop: asyncio.Event, report: Callable[[DispatchReport], None]) -> None:
        """Deliver until ``stop``; the sends in hand are finished and written down.

        ``wake`` says that there are new events or that the sink was resumed. Every round is told to ``report``.
        """
        await self._sink.open()
        self.opened.set()
        try:
            while not stop.is_set():
                wake.clear()
                if not self._current():
                    await self._rest(_NOT_CURRENT, wake, stop)
                    continue
                outcome = await self.dispatch_once(stop)
                report(outcome)
                if not outcome.busy:
                    await self._rest(outcome.wait, wake, stop)
        finally:
            await self._sink.close()

    def cut_short(self, sink: str) -> None:
        """Let the round in hand, if it is this sink's, end with the sends in hand: the sink was paused."""
        self._cut_short = self._cut_short or sink == self._name

    async def dispatch_once(self, stop: asyncio.Event | None = None) -> DispatchReport:
        """Deliver one round: what is due again, and the next events behind the cursor.

        Once ``stop`` is set no further send begins. The sink must be open.
        """
        if self._unwritten is not None:
            return await self._write_down(self._unwritten)  # the store failed; what was sent need not be sent again
        self._cut_short = False
        now = self._clock.now()
        if self._looked_at is not None and now < self._looked_at - _SET_BACK:
            # Whatever waits for an instant would wait for it a second time.
            self._breaker, self._company = None, Company()
            found = await self._standing(now, tried=0, untried=0)
            # A pause is left as it is by then.
            await self._outbox.settle(replace(found.state, paused=""), step=Step.after(found.version), back_at=now)
        self._looked_at = now
        # Of the parked that failed before, as many as can be sent at once: trouble must not hold up the healthy.
        tried = self._sink.concurrency * (1 if self._sink.one_answer else self._sink.batch)
        standing = await self._standing(now, tried=tried, untried=self._round_size)
        state = standing.state
        if state.paused:
            self._breaker = None  # whoever resumes it wants to know at once
            return self._idle(None)
        if self._breaker is None:
            # A process that ended in the middle of an outage: the next one begins with a probe.
            self._breaker = Breaker(probe_at=now) if state.down_since else CLOSED
        if self._breaker.probe_at is not None and now < self._breaker.probe_at:
            return self._idle(self._breaker.probe_at)
        owed = await self._owed(standing)
        if not owed.due and not owed.fresh:
            return self._idle(await self._outbox.next_due(self._name, self._settings.ordering))
        if (until := self._waits_until(owed, now)) is not None:
            return self._idle(min(until, await self._outbox.next_due(self._name, self._settings.ordering) or until))
        book = Round(state, owed, self._breaker, self._rng, alone=self._sink.one_answer)
        try:
            await self._send_all(book, owed.fresh, stop or asyncio.Event())
        except asyncio.CancelledError:
            await self._close(book, standing, owed)  # what was not answered is sent again, but not what was
            raise
        return await self._close(book, standing, owed)

    async def _standing(self, now: datetime, *, tried: int, untried: int) -> Standing:
        ordering = self._settings.ordering
        try:
            return await self._outbox.standing(self._name, now, ordering, tried=tried, untried=untried)
        except SinkForgotten:
            await self._outbox.ensure_sinks([self._name], {self._name: self._start})
            return await self._outbox.standing(self._name, now, ordering, tried=tried, untried=untried)

    async def _owed(self, standing: Standing) -> Owed:
        ordering = self._settings.ordering
        if ordering is Ordering.STRICT and standing.parked:
            fresh: list[Delivery] = []  # everything waits behind what is parked, where it is
        else:
            fresh = await self._fresh(standing.state.cursor)
        unwanted, refused = self._filters.sift([*standing.due, *fresh])
        blocked: set[str] = set()
        if ordering is Ordering.RECORD and standing.parked:
            keys = {each.event.key for each in fresh if each.position not in unwanted}
            blocked = await self._outbox.blocked(self._name, keys)
        return Owed(standing.due, fresh, unwanted, frozenset(blocked), refused, ordering)

    def _waits_until(self, owed: Owed, now: datetime) -> datetime | None:
        """Return until when a batch that is not full waits for more; None when something is to be sent now."""
        if not self._sink.batch_wait:
            return None
        positions = [each.position for each in owed.fresh if each.position not in owed.unwanted]
        self._company = self._company.after(positions, now)
        batch = 1 if owed.ordering is Ordering.STRICT else self._sink.batch
        # Behind a full round there is more: what it holds that is wanted leaves, or the rest of it would wait, too.
        in_a_hurry = owed.due or len(owed.fresh) == self._round_size
        until = None if in_a_hurry else self._company.until(positions, batch, self._sink.batch_wait)
        return until if until is not None and now < until else None

    async def _fresh(self, cursor: int) -> list[Delivery]:
        after, ahead = self._ahead
        self._ahead = (-1, [])
        # Nothing found ahead says nothing: there may be something by now, and its wake-up is spent.
        if ahead and after == cursor:
            return ahead
        return await self._read(cursor)

    async def _read(self, after: int) -> list[Delivery]:
        # A batch that waits for company must be full where there is enough, or it would wait in vain with each round.
        least = self._sink.batch if self._sink.batch_wait else 0
        return await self._outbox.read(self._name, self._round_size, after=after, least=least)

    async def _send_all(self, book: Round, fresh: Sequence[Delivery], stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as senders:
            for _ in range(1 if book.probing else self._sink.concurrency):
                senders.create_task(self._send_some(book, stop))
            if len(fresh) == self._round_size:
                senders.create_task(self._read_ahead(fresh[-1].position))

    async def _read_ahead(self, after: int) -> None:
        """Read the next round while this one is sent. Where that fails, the round itself will read it, and complain."""
        try:
            self._ahead = (after, await self._read(after))
        except StoreError:
            self._ahead = (-1, [])

    async def _send_some(self, book: Round, stop: asyncio.Event) -> None:
        limit = 1 if book.probing else self._sink.batch
        while self._current() and not (stop.is_set() or self._cut_short) and (sent := book.take(limit)):
            receipts = await self._send(sent)
            book.answer(sent, receipts, self._clock.now())

    async def _send(self, deliveries: Sequence[Delivery]) -> list[Receipt]:
        began = self._clock.monotonic()
        try:
            receipts = await self._sink.send([envelope.dress(each, self._projection) for each in deliveries])
            assert len(receipts) == len(deliveries), "a sink answers with one receipt for each event"
        except Exception as exc:  # noqa: BLE001  # a sink's bug, or its library's, must not end the loop or lose an event
            receipts = [Receipt(Verdict.TRY_LATER, f"unexpected {type(exc).__name__}")] * len(deliveries)
        self._sends.add(self._clock.monotonic() - began)
        return receipts

    async def _close(self, book: Round, standing: Standing, owed: Owed) -> DispatchReport:
        now, before = self._clock.now(), standing.state
        closing = book.close(self._settings.give_up_after, now)
        state = replace(closing.state, down_since=(before.down_since or now) if book.breaker.is_open else None)
        back = before.down_since is not None and state.down_since is None
        since = min(at for at in (before.failing_since, before.down_since, now) if at)
        found = [alerts.gave_up(self._name, closing.park + closing.again, now)]
        if state.paused:
            found.append(alerts.switched_off(self._name, state.paused, state.failing_since or now, now))
        settle = None
        if closing.park or closing.again or closing.done or state != before:
            settle = functools.partial(
                self._outbox.settle,
                state,
                step=Step.after(standing.version),
                read=owed.fresh[-1] if owed.fresh else None,
                park=closing.park,
                again=closing.again,
                done=closing.done,
                back_at=now if back else None,
                outage=now - since if back else timedelta(),
                alerts=[each for each in found if each],
                at=now,
            )
        self._breaker = book.breaker
        return await self._write_down(_Outcome(settle, self._report(book, closing, now)))

    async def _write_down(self, outcome: _Outcome) -> DispatchReport:
        """Settle a round and forget it. Where the store fails it is kept, and nothing is sent before it is settled.

        Only where the events of the round are not in the store any more, there is nothing to settle.
        """
        self._unwritten = outcome
        if outcome.settle is not None:
            try:
                await outcome.settle()
            except StoreWentBack:
                self._unwritten = None
                self._ahead = (-1, [])
                raise
        self._unwritten = None
        return outcome.report

    def _report(self, book: Round, closing: Closing, now: datetime) -> DispatchReport:
        parked = [*closing.park, *closing.again]
        dead = sum(each.dead for each in parked)
        probe_at = book.breaker.probe_at
        sends, self._sends = self._sends, Spread(SENDS)
        return DispatchReport(
            self._name,
            delivered=len(book.accepted),
            parked=len(parked) - dead,
            dead=dead,
            filtered=closing.filtered,
            retried=book.failed - dead,
            sends=sends,
            wait=None if probe_at is None else max(0.0, (probe_at - now).total_seconds()),
            busy=not (book.breaker.is_open or closing.state.paused),
            switched_off=bool(closing.state.paused),
            detail=closing.state.paused or _why(parked) or closing.state.last_error,
        )

    def _idle(self, until: datetime | None) -> DispatchReport:
        return DispatchReport(self._name, wait=self._seconds_until(until))

    def _seconds_until(self, at: datetime | None) -> float | None:
        return None if at is None else max(0.0, (at - self._clock.now()).total_seconds())

    async def _rest(self, seconds: float | None, wake: asyncio.Event, stop: asyncio.Event) -> None:
        """Wait for new events, for the end, or for ``seconds``, whichever comes first."""
        waits: list[asyncio.Task[Any]] = [asyncio.create_task(wake.wait()), asyncio.create_task(stop.wait())]
        if seconds is not None:
            waits.append(asyncio.create_task(self._clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)


def _why(parked: Sequence[Parked]) -> str:
    """Say why events failed, best of one that was given up; empty where none did, but for those held behind others.

    A sink that has accepted something since is not failing any more, but its log should still say what happened.
    """
    failed = [each for each in parked if each.delivery.attempts]
    return next((each.detail for each in failed if each.dead), failed[0].detail if failed else "")
