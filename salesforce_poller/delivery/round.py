"""The book of one delivery round: who may be sent now, what was answered, what is written down at the end. Pure.

Kept by ``dispatcher.py``, which does the sending. Deliveries that must keep their order form a lane: those of one
record, all of them (``strict``), or each its own (``none``). A lane moves one send at a time and stops at its first
failure; lanes move side by side, lowest position first, so that a round that is cut short leaves few holes below the
cursor.
"""

import heapq
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from operator import attrgetter

from salesforce_poller.delivery import retry, switch
from salesforce_poller.delivery.breaker import CLOSED, THRESHOLD, Breaker
from salesforce_poller.model import Delivery, Ordering, Parked, Receipt, SinkState, Verdict

_HELD = "waits for an earlier event of the same record"
#: Why an event is parked that was not tried below one that was accepted: the round was cut short.
_UNTRIED = "was not tried yet"

Lane = str | int
_position = attrgetter("position")


@dataclass(frozen=True, slots=True)
class Owed:
    """What a sink is owed at the beginning of a round."""

    #: Parked deliveries that are due: as the ordering allows, see ``store/parking.py``.
    due: Sequence[Delivery] = ()
    #: The next events behind the cursor, in order of position.
    fresh: Sequence[Delivery] = ()
    #: Positions of those of both that the sink's filters do not want.
    unwanted: frozenset[int] = frozenset()
    #: Records with something parked: their fresh events must wait behind it.
    blocked: frozenset[str] = frozenset()
    #: What fails without being sent, since the sink's filters cannot tell whether it is wanted; it holds its lane.
    refused: Mapping[int, Receipt] = field(default_factory=dict)
    ordering: Ordering = Ordering.RECORD

    def lane_of(self, delivery: Delivery) -> Lane:
        """Return the lane of a delivery."""
        if self.ordering is Ordering.RECORD:
            return delivery.event.key
        return delivery.position if self.ordering is Ordering.NONE else ""

    def unhindered(self) -> list[Delivery]:
        """Return what may be sent in this round, in order, where nothing can hold anything up; else nothing."""
        if self.due or self.blocked or self.refused:
            return []
        return [each for each in self.fresh if each.position not in self.unwanted] if self.unwanted else [*self.fresh]

    def fresh_lanes(self) -> dict[Lane, list[Delivery]]:
        """Return what may be sent of the fresh events, by lane."""
        return self._lanes(self.fresh, set(self.blocked))

    def lanes(self) -> dict[Lane, list[Delivery]]:
        """Return what may be sent in this round, by lane."""
        return self.fresh_lanes() | self._lanes(self.due, set())

    def _lanes(self, deliveries: Iterable[Delivery], held: set[Lane]) -> dict[Lane, list[Delivery]]:
        lanes: dict[Lane, list[Delivery]] = {}
        for delivery in deliveries:
            lane = self.lane_of(delivery)
            if delivery.position in self.refused:
                held.add(lane)
            elif delivery.position not in self.unwanted and lane not in held:
                lanes.setdefault(lane, []).append(delivery)
        return lanes


@dataclass(frozen=True, slots=True)
class Closing:
    """What a round leaves behind, for the store and for the report."""

    state: SinkState
    #: Fresh deliveries that are parked now.
    park: list[Parked]
    #: Parked deliveries that failed again.
    again: list[Parked]
    #: Positions of parked deliveries that were accepted, or are not wanted any more.
    done: list[int]
    #: How many events the filters passed over.
    filtered: int


class Round:
    """One round of one sink."""

    def __init__(
        self, state: SinkState, owed: Owed, breaker: Breaker, rng: random.Random, *, alone: bool = False
    ) -> None:
        #: What the sink as a whole looks like by now.
        self.breaker = breaker
        #: Positions that were accepted.
        self.accepted: set[int] = set()
        #: True when the sink was taken to be down: a few lanes are tried, one after the other.
        self.probing = breaker.is_open
        self._state = state
        self._owed = owed
        self._rng = rng
        self._strict = owed.ordering is Ordering.STRICT
        #: Whether what failed before is sent alone, so that a bad one in a batch does not fail the others again.
        self._alone = alone
        #: Everything, where it need not be laid out in lanes as long as it can be sent at once: nothing waits then.
        self._whole = [] if self.probing or self._strict else owed.unhindered()
        self._lanes: dict[Lane, list[Delivery]] = {}
        self._ready: list[tuple[int, Lane]] = []
        if not self._whole:
            self._lay_out(_probes(owed, rng) if self.probing else owed.lanes())
        self._failures: dict[int, Receipt] = dict(owed.refused)
        #: Whether the sink failed on a probe, or on an event that had failed before.
        self._in_vain = False

    def take(self, limit: int) -> list[Delivery]:
        """Return what to send next, at most ``limit``; none when the round is over.

        Several deliveries of one lane may be taken for one send, in order; none of it is taken again before that
        send is answered. With ``strict`` it is one delivery, since a sink keeps the order of a record only.
        """
        taken: list[Delivery] = []
        if self._over:
            return taken
        limit = 1 if self._strict else limit
        if whole := self._whole:
            self._whole = []
            if len(whole) <= limit:
                return whole
            self._lay_out(self._owed.lanes())
        if not self._alone and 1 < len(self._ready) <= limit and self._count_ready() <= limit:
            return self._take_all()
        while self._ready and len(taken) < limit:
            if self._alone and self._lanes[self._ready[0][1]][0].attempts:
                if taken:
                    break
                limit = 1
            _, key = heapq.heappop(self._ready)
            taken.append(self._lanes[key].pop(0))
            if len(taken) < limit:
                self._make_ready(key)
        if limit > 1:  # what else these lanes have must wait for the answer
            busy = {self._owed.lane_of(delivery) for delivery in taken}
            self._ready = [entry for entry in self._ready if entry[1] not in busy]
            heapq.heapify(self._ready)
        return taken

    def _lay_out(self, lanes: dict[Lane, list[Delivery]]) -> None:
        self._lanes = lanes
        self._ready = sorted((lane[0].position, key) for key, lane in lanes.items())  # a sorted list is a heap

    def _count_ready(self) -> int:
        return sum(len(self._lanes[key]) for _, key in self._ready)

    def _take_all(self) -> list[Delivery]:
        """Return all that is ready: most rounds of a sink that takes large batches are one send."""
        taken: list[Delivery] = []
        for _, key in self._ready:
            taken += self._lanes[key]
            self._lanes[key] = []
        self._ready = []
        return sorted(taken, key=_position)

    def answer(self, sent: Sequence[Delivery], receipts: Sequence[Receipt], now: datetime) -> None:
        """Note the receipts of one send, one for each delivery and in the same order."""
        if not self._is_all_well(receipts):
            self._answer_each(sent, receipts, now)
            return
        self.accepted.update(map(_position, sent))
        if not self._lanes:
            return
        for lane in dict.fromkeys(map(self._owed.lane_of, sent)):
            self._make_ready(lane)

    def _is_all_well(self, receipts: Sequence[Receipt]) -> bool:
        """Say whether there is nothing to be told but that everything was accepted, as nearly always."""
        silent = self.breaker is CLOSED and not (self._state.failing_since or self._state.last_error)
        return silent and all(receipt.verdict is Verdict.ACCEPTED for receipt in receipts)

    def _answer_each(self, sent: Sequence[Delivery], receipts: Sequence[Receipt], now: datetime) -> None:
        stopped: set[Lane] = set()
        moved: dict[Lane, None] = {}
        for delivery, receipt in zip(sent, receipts, strict=True):
            lane = self._owed.lane_of(delivery)
            if lane in stopped:
                continue  # held behind the failure before it, whatever the sink says of it
            moved[lane] = None
            if receipt.verdict is Verdict.ACCEPTED:
                self.accepted.add(delivery.position)
                if self._state.failing_since or self._state.last_error:
                    self._state = replace(self._state, failing_since=None, last_error="")
            else:
                stopped.add(lane)
                self._note_failure(delivery, receipt, now)
            if receipt.verdict is Verdict.ACCEPTED and self.breaker is CLOSED:
                continue
            # That a parked delivery fails again is no news about the sink; unless nothing else may be tried before it.
            if delivery.attempts == 0 or self._strict or receipt.verdict is Verdict.ACCEPTED:
                threshold = 1 if self._strict else THRESHOLD
                self.breaker = self.breaker.after(delivery.event.key, receipt, now, self._rng, threshold=threshold)
        for lane in moved:
            if lane not in stopped:
                self._make_ready(lane)

    def close(self, give_up_after: timedelta, now: datetime) -> Closing:
        """Decide what is written down. Failures of a sink that is down are its own: they change no delivery."""
        if self.probing and self.breaker.is_open:
            longest_wish = max(map(retry.wish, self._failures.values()), default=0.0)
            self.breaker = self.breaker.after_probes(longest_wish, now, self._rng)
        if self._in_vain and not self.accepted:
            self._state = switch.off_after_days(self._state, now)
        cursor = self._cursor()
        over = self.accepted | self._owed.unwanted
        park = [
            self._park(delivery, give_up_after, now)
            for delivery in self._owed.fresh
            if delivery.position not in over and delivery.position <= cursor
        ]
        failed = (delivery for delivery in self._owed.due if delivery.position in self._failures)
        return Closing(
            state=replace(self._state, cursor=cursor),
            park=park,
            again=[] if self._is_down else [self._park(delivery, give_up_after, now) for delivery in failed],
            done=[each.position for each in self._owed.due if each.position in over],
            filtered=self._filtered(cursor),
        )

    def _filtered(self, cursor: int) -> int:
        unwanted = self._owed.unwanted
        if not unwanted:
            return 0
        return sum(each.position <= cursor and each.position in unwanted for each in self._owed.fresh)

    @property
    def failed(self) -> int:
        """How many deliveries were tried and not accepted; those that the filters could not judge are among them."""
        return len(self._failures)

    @property
    def _is_down(self) -> bool:
        return self.breaker.is_open or bool(self._state.paused)

    @property
    def _over(self) -> bool:
        """The sink is gone, or it was found to be down, or a probe found it to be up again."""
        return bool(self._state.paused) or self.breaker.is_open is not self.probing

    def _make_ready(self, key: Lane) -> None:
        if lane := self._lanes.get(key):  # there are none where everything was sent at once
            heapq.heappush(self._ready, (lane[0].position, key))

    def _note_failure(self, delivery: Delivery, receipt: Receipt, now: datetime) -> None:
        self._failures[delivery.position] = receipt
        self._in_vain = self._in_vain or self.probing or delivery.attempts > 0
        since = self._state.failing_since or now
        self._state = replace(self._state, failing_since=since, last_error=receipt.detail)
        if receipt.verdict is Verdict.GONE:
            self._state = switch.off_when_gone(self._state)

    def _park(self, delivery: Delivery, give_up_after: timedelta, now: datetime) -> Parked:
        receipt = self._failures.get(delivery.position)
        if receipt is None:
            held = self._owed.ordering is Ordering.RECORD
            return Parked(delivery, due_at=now, detail=_HELD if held else _UNTRIED)
        if receipt.verdict is Verdict.TRY_LATER and self._silent_since(delivery.first_tried_at or now):
            give_up_after = timedelta.max
        parked = retry.settle(delivery, receipt, give_up_after=give_up_after, now=now, rng=self._rng)
        assert parked is not None, "a failure is never done"
        return parked

    def _silent_since(self, first_tried_at: datetime) -> bool:
        """Say whether the sink has accepted nothing at all since then: it may be away, which is nobody's fault."""
        return self._state.failing_since is not None and self._state.failing_since <= first_tried_at

    def _cursor(self) -> int:
        """Return up to where every event is accepted, parked or not wanted when this round is written down.

        A round that tried everything passes all of it. One that was cut short goes as far as the sink accepted
        something, so that nothing is sent twice without need and nothing is parked for a sink that is down. With
        ``strict`` it goes to the first event that was not settled, since nothing may be parked but the one that failed.
        """
        positions = [delivery.position for delivery in self._owed.fresh]
        if self._strict:
            return self._first_not_settled(positions)
        if not (self._whole or self._ready or self.probing or self._is_down):
            return max(positions, default=self._state.cursor)
        reached = max(self.accepted.intersection(positions), default=self._state.cursor)
        cursor = self._state.cursor
        for position in positions:
            if position > reached and position not in self._owed.unwanted and position not in self._owed.refused:
                break
            cursor = position
        return cursor

    def _first_not_settled(self, positions: Iterable[int]) -> int:
        """Return up to where everything is accepted or not wanted, with one event in it that is parked."""
        parkable = self._owed.refused.keys() if self._is_down else self._failures.keys()
        cursor, failed = self._state.cursor, False
        for position in positions:
            if position not in self._owed.unwanted and position not in self.accepted:
                if failed or position not in parkable:
                    break
                failed = True
            cursor = position
        return cursor


def _probes(owed: Owed, rng: random.Random) -> dict[Lane, list[Delivery]]:
    """Choose the first delivery of up to three lanes: the oldest, the newest, and one at random between them.

    The oldest goes first, since a sink that is back takes it and nothing need be parked. The others are there for a
    sink that is up and refuses a whole row of bad records.
    """
    lanes = owed.fresh_lanes() or owed.lanes()
    heads = sorted((lane[0] for lane in lanes.values()), key=_position)
    middle = [rng.choice(heads[1:-1])] if len(heads) > 2 else []  # noqa: PLR2004  # first, last, and what lies between
    return {owed.lane_of(delivery): [delivery] for delivery in [*heads[:1], *middle, *heads[-1:]]}
