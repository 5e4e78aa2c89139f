"""What people may do to feeds while they run: pause, resume, poll now. Satisfies ``actions/desk.py:Poller``.

Built by ``app.py`` over the fleets of all orgs. What must outlive a restart is remembered by the desk, in the store.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from salesforce_poller.polling.fleet import Fleet

#: Calls something at once, and minds it when the program ends.
AtOnce = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]


class Helm:
    """The fleets by org, and the scheduler's ``at_once``."""

    def __init__(self, fleets: Mapping[str, Fleet], at_once: AtOnce) -> None:
        self._fleets = fleets
        self._at_once = at_once
        self._ticks: set[asyncio.Future[None]] = set()

    def pause(self, org: str, object_name: str) -> None:
        """Give the feed no more turns; one under way ends with its page."""
        self._fleets[org].pause(object_name)

    def resume(self, org: str, object_name: str) -> None:
        """Give the feed its turns again, the first one at once."""
        fleet = self._fleets[org]
        fleet.resume(object_name)
        tick = asyncio.ensure_future(self._at_once(fleet.tick))
        self._ticks.add(tick)  # the loop itself holds tasks by weak references only
        tick.add_done_callback(self._ticks.discard)

    async def poll(self, org: str, object_name: str) -> bool | None:
        """Give the feed a turn now, and say whether it worked out; None when one is under way. Raises NotNow."""
        had: list[bool | None] = []

        async def turn() -> None:
            had.append(await self._fleets[org].poll_now(object_name))

        await self._at_once(turn)
        return had[0] if had else None  # nothing: the program ended meanwhile
