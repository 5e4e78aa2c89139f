"""What one part of the house tells the others when it is on disk: new events, a sink that was paused, a feed to poll.

A bell rings after the commit, in this process at once; on PostgreSQL the transaction also notifies the others (NOTIFY),
who listen on a connection of their own. A notification that was lost with that connection is made good by ringing for
everything when there is a new one, and a line that died without a word is found by asking now and then: a bell says
only that there may be something, and whoever hears it looks.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Protocol

import orjson
import structlog

from salesforce_poller.clock import Clock
from salesforce_poller.errors import StoreError

log = structlog.get_logger()

#: What PostgreSQL knows our notifications by.
CHANNEL = "salesforce_poller"
#: Seconds between two tries to listen again.
_AGAIN = 1.0
#: Seconds after which a line on which nothing was heard is looked at, and within which the server must answer then.
_LOOK_EVERY, _ANSWER_WITHIN = 10.0, 10.0
_LISTENING = "SELECT $1 IN (SELECT pg_listening_channels())"

Listener = Callable[..., None]


class Bell(StrEnum):
    """What is told, and in which words."""

    #: There are new events. No words.
    EVENTS = "events"
    #: Something is owed that was not, or may be sent again. No words.
    OWED = "owed"
    #: A sink was paused: its name.
    PAUSED = "paused"
    #: A feed was paused or resumed, or is to be polled now: ``pause``, ``resume`` or ``poll``; org; object.
    FEED = "feed"
    #: Configurations are to be read again. No words.
    RELOAD = "reload"
    #: Something may have been missed: look at everything anew. No words.
    AGAIN = "again"


#: Those that do no harm where there is nothing: whoever hears them only looks.
INVITATIONS = frozenset({Bell.EVENTS, Bell.OWED})
#: One ring: the bell and its words.
Ring = tuple[Bell, tuple[str, ...]]


class Bells:
    """Who listens in this process. ``origin`` tells it from the others."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._listeners: dict[Bell, list[Listener]] = {bell: [] for bell in Bell}

    def listen(self, bell: Bell, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with the bell's words whenever it rings, until what is returned is called."""
        listeners = self._listeners[bell]
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def ring(self, rung: Iterable[Ring]) -> None:
        """Tell those in this process."""
        for bell, words in rung:
            for listener in list(self._listeners[bell]):
                listener(*words)

    def written(self, ring: Ring) -> str:
        """Return a ring as other processes are told of it."""
        bell, words = ring
        return orjson.dumps([self.origin, bell, *words]).decode()

    def heard(self, text: str) -> None:
        """Ring for what another process told; what this one told it has heard already."""
        said: Sequence[str] = orjson.loads(text)
        if said[0] != self.origin and said[1] in set(Bell):
            self.ring([(Bell(said[1]), tuple(said[2:]))])


class Line(Protocol):
    """The way to a connection of one's own (asyncpg's)."""

    async def connect(self) -> Any:
        """Return one. Raises StoreError or OSError."""
        ...


async def hear(line: Line, bells: Bells, clock: Clock, begun: Callable[[], None]) -> None:
    """Ring for what other processes tell, until cancelled; ``begun`` is called as soon as nothing can be missed."""
    while True:
        try:
            connection = await line.connect()
        except (OSError, StoreError) as exc:
            log.debug("store.not_listening", error=str(exc))
            await clock.sleep(_AGAIN)
            continue
        try:
            lost = asyncio.Event()
            connection.add_termination_listener(lambda _connection, lost=lost: lost.set())
            if not await _well(connection.add_listener(CHANNEL, lambda *said: bells.heard(said[-1]))):
                await clock.sleep(_AGAIN)
                continue
            begun()
            bells.ring([(Bell.AGAIN, ()), (Bell.EVENTS, ()), (Bell.OWED, ())])
            while not await _within(_LOOK_EVERY, lost, clock) and await _well(_still_there(connection)):
                pass
        except Exception:
            # A defect of whoever was told must not leave this process deaf, nor be passed over in silence.
            log.exception("store.bell_bug")
            await clock.sleep(_AGAIN)
        finally:
            connection.terminate()


async def _within(seconds: float, event: asyncio.Event, clock: Clock) -> bool:
    """Say whether something happens within so many seconds."""
    waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep(seconds))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
    return event.is_set()


async def _still_there(connection: Any) -> None:
    """See that the server is at the other end: who only listens never learns that a line is dead. Raises if not."""
    if not await connection.fetchval(_LISTENING, CHANNEL, timeout=_ANSWER_WITHIN):
        raise ConnectionError("the server does not know that we listen; is there a pooler between us?")


async def _well(doing: Awaitable[object]) -> bool:
    """Say whether something went well on a connection; of one that was lost right away it does not."""
    try:
        await doing
    except Exception as exc:  # noqa: BLE001  # asyncpg's errors, which only the door knows; the connection is lost then
        log.debug("store.not_listening", error=str(exc) or type(exc).__name__)
        return False
    return True
