"""Feeds that are due together share their calls: up to five queries, and what goes with them, ride in one Composite.

A :class:`Round` is one departure. Everybody who rides takes a :class:`Seat` first; then each asks its questions when it
likes, and a request leaves when **everybody who is seated has asked something** (or has left): no timer, no waiting for
nobody. Who needs the answer to ask the next question asks again, and rides on with the others who do.

``polling/fleet.py`` seats the feeds; ``client.py:Org`` sends what :func:`loads` packs.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from salesforce_poller.errors import LimitReached, OrgRefused, PollerError, Refused
from salesforce_poller.salesforce import wire
from salesforce_poller.salesforce.client import Org
from salesforce_poller.salesforce.questions import MOST_PARTS, MOST_QUERIES, Questions, Reader, Request
from salesforce_poller.salesforce.transport import NoAnswer, Unreachable

log = structlog.get_logger()

#: Requests of one round that are under way at the same time. Salesforce counts requests that take 20 s or more, and a
#: Developer Edition may have five of them (API Request Limits and Allocations); some are left for others.
_AT_ONCE = 3
#: Statuses that say nothing about whose fault it was: a whole answer that makes no sense, an internal error.
_ANYBODYS = frozenset({200, 500})


@dataclass(eq=False, slots=True)
class Bundle:
    """The questions of one rider, to be answered in this order, and where the answers are waited for."""

    seat: "Seat"
    requests: tuple[Request, ...]
    answers: "asyncio.Future[list[Any | PollerError]]"

    @property
    def queries(self) -> int:
        """How many of them count as queries."""
        return sum(request.kind == "query" for request in self.requests)


def loads(bundles: Iterable[Bundle]) -> list[list[Bundle]]:
    """Pack bundles into as few requests as there must be; a bundle is never torn, and a seat ``alone`` rides alone."""
    packed: list[list[Bundle]] = []
    for bundle in bundles:
        for load in packed:
            parts = sum(len(one.requests) for one in load) + len(bundle.requests)
            queries = sum(one.queries for one in load) + bundle.queries
            alone = bundle.seat.alone or load[0].seat.alone
            if parts <= MOST_PARTS and queries <= MOST_QUERIES and not alone:
                load.append(bundle)
                break
        else:
            packed.append([bundle])
    return packed


class Round:
    """One departure; see the head of this file."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._seated: set[Seat] = set()
        self._asked: list[Bundle] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    def sit(self, seat: "Seat") -> None:
        """Wait for this rider before leaving."""
        self._seated.add(seat)

    def leave(self, seat: "Seat") -> None:
        """Wait for this rider no more."""
        self._seated.discard(seat)
        self._leave_if_complete()

    async def ask(self, seat: "Seat", requests: tuple[Request, ...]) -> list[Any | PollerError]:
        """Answer a rider's requests together with those of the others."""
        bundle = Bundle(seat, requests, asyncio.get_running_loop().create_future())
        self._asked.append(bundle)
        self._leave_if_complete()
        try:
            return await bundle.answers
        finally:
            if bundle in self._asked:  # the rider was called off before the departure
                self._asked.remove(bundle)

    def _leave_if_complete(self) -> None:
        if not self._asked or len(self._asked) < len(self._seated):
            return
        bundles, self._asked = self._asked, []
        for load in loads(bundles):
            task = asyncio.create_task(self._carry(load))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _carry(self, load: Sequence[Bundle]) -> None:
        """Send one load. What may be the fault of a single rider is asked again one by one, so that only it fails."""
        try:
            async with self._at_once:
                if not _still_waited_for(load):
                    return
                answers = await self._org.ask(*(request for bundle in load for request in bundle.requests))
        except Exception as exc:  # noqa: BLE001  # every rider must hear of it, whatever it is
            if len(load) > 1 and _may_be_one_of_them(exc):
                log.info("org.asked_apart", org=self._org.name, feeds=len(load), error=str(exc))
                await asyncio.gather(*(self._carry([bundle]) for bundle in _still_waited_for(load)))
                return
            for bundle in load:
                bundle.seat.alone = _may_be_one_of_them(exc)
                if not bundle.answers.done():
                    bundle.answers.set_exception(exc)
            return
        for bundle in load:
            own, answers = answers[: len(bundle.requests)], answers[len(bundle.requests) :]
            bundle.seat.alone = len(load) == 1 and _came_to_nothing(own)
            if not bundle.answers.done():
                bundle.answers.set_result(own)


class Seat(Questions):
    """One feed's way to ask its org: rides while it is seated in a round, and asks on its own otherwise."""

    def __init__(self, org: Org) -> None:
        self.name = org.name
        self.api_version = org.api_version
        #: True after an answer failed as a whole that nobody else shared: it may have been too much, and must not
        #: take others with it.
        self.alone = False
        self._org = org
        self._round: Round | None = None

    def new_round(self) -> Round:
        """Begin a round of this org."""
        return Round(self._org)

    def join(self, ride: Round) -> None:
        """Take the seat: the round waits for this rider from now on."""
        self._round = ride
        ride.sit(self)

    def leave(self) -> None:
        """Give the seat up, if it is taken."""
        if self._round is not None:
            ride, self._round = self._round, None
            ride.leave(self)

    async def ask(self, *requests: Request) -> list[Any | PollerError]:
        """Answer requests; see :meth:`Org.ask`."""
        if self._round is None:
            return await self._org.ask(*requests)
        return await self._round.ask(self, requests)

    async def follow(self, url: str) -> bytes:
        """Get the next page as it came (1 call). Who has more than a page reads on alone; nobody waits for it."""
        self.leave()
        return await self._org.follow(url)

    async def send(
        self,
        kind: str,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        read: Reader = wire.decipher,
    ) -> Any:
        """Send a request that never shares a call (1 call); nobody waits for it."""
        self.leave()
        return await self._org.send(kind, method, path, headers=headers, json=json, read=read)

    async def organization_id(self) -> str:
        """Return the organisation's own id (18 characters)."""
        return await self._org.organization_id()

    def server_now(self) -> datetime:
        """Return Salesforce's time."""
        return self._org.server_now()


def _still_waited_for(load: Sequence[Bundle]) -> list[Bundle]:
    """Return the bundles whose riders have not been called off: at the end of the program nobody waits any more."""
    return [bundle for bundle in load if not bundle.answers.done()]


def _came_to_nothing(answers: Sequence[Any | PollerError]) -> bool:
    """Say whether a question that was asked as it is failed in a way in which it would have failed a shared request.

    It is no part of a Composite, so that its error stands in its answer's place.
    """
    error = answers[0]
    if len(answers) > 1 or not isinstance(error, PollerError) or isinstance(error, Refused):
        return False
    return _may_be_one_of_them(error)


def _may_be_one_of_them(error: Exception) -> bool:
    """Say whether a failure of a shared request may come from one of its parts, rather than from the org."""
    if isinstance(error, Unreachable | LimitReached | OrgRefused) or not isinstance(error, PollerError):
        return False
    return isinstance(error, NoAnswer | Refused) or error.facts.status in _ANYBODYS
