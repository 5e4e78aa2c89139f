"""What people may do to feeds while they run: pause, resume, poll now. Satisfies ``actions/desk.py:Poller``.

What was said of a feed comes by a bell of the store (``store/pauses.py``), whichever process it was said to.

Built by ``app.py`` over the crew, which knows the org that each fleet belongs to and may change while the program runs.
What must outlive a restart is remembered by the desk, in the store.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from salesforce_poller.errors import NotNow
from salesforce_poller.polling.fleet import Fleet


class Polled(Protocol):
    """An org that this process polls."""

    @property
    def fleet(self) -> Fleet:
        """Its feeds."""

    async def at_once(self, tick: Callable[[], Awaitable[object]]) -> None:
        """Call something now, and mind it when the org is left."""


class Helm:
    """Finds an org that this process polls by its name; ``find`` returns None for one that it does not poll."""

    def __init__(self, find: Callable[[str], Polled | None]) -> None:
        self._find = find
        self._ticks: set[asyncio.Future[None]] = set()

    def polls(self, org: str) -> bool:
        """Say whether this process polls an org at this moment."""
        return self._find(org) is not None

    def heed(self, verb: str, org: str, object_name: str) -> None:
        """Do what was said of a feed, here or in another process: pause, resume or poll it.

        Of an org that this process does not poll, somebody else hears; one that begins later asks the store.
        """
        if (polled := self._find(org)) is None or object_name not in polled.fleet.objects:
            return
        match verb:
            case "pause":
                polled.fleet.pause(object_name)
            case "resume":
                polled.fleet.resume(object_name)
                self._mind(polled.at_once(polled.fleet.tick))
            case "poll":
                self._mind(self._poll_quietly(org, object_name))

    async def _poll_quietly(self, org: str, object_name: str) -> None:
        with suppress(NotNow):  # nobody is waiting for an answer
            await self.poll(org, object_name)

    def _mind(self, work: Awaitable[None]) -> None:
        tick = asyncio.ensure_future(work)
        self._ticks.add(tick)  # the loop itself holds tasks by weak references only
        tick.add_done_callback(self._ticks.discard)

    async def poll(self, org: str, object_name: str) -> bool | None:
        """Give the feed a turn now, and say whether it worked out; None when one is under way. Raises NotNow."""
        polled = self._polled(org)
        had: list[bool | None] = []

        async def turn() -> None:
            had.append(await polled.fleet.poll_now(object_name))

        await polled.at_once(turn)
        if not had:
            raise NotNow(f"{org} is being begun or left at this moment; try again")
        return had[0]

    def _polled(self, org: str) -> Polled:
        if (polled := self._find(org)) is None:
            raise NotNow(f"{org} is not polled by this process at the moment; its log says why")
        return polled
