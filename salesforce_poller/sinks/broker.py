"""What sinks that speak to a broker share: one connection, waves, a timeout, and receipts out of exceptions.

The sinks beside this file subclass :class:`Broker` and say how to connect, to publish and to explain what went wrong.

A send goes in waves, so that order per record holds whatever fails: the first event of every record goes out, all of
them at once, then the second of those whose first was accepted, and so on. The connection is made by the first send
that needs it, and again by the next one after it broke; nothing is retried here.
"""

import asyncio
import ssl
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlsplit

from pydantic import Field

from salesforce_poller.clock import Clock
from salesforce_poller.errors import capped
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks.base import Dressed, Sink, SinkSettings, Span

ConnectionT = TypeVar("ConnectionT")


class BrokerSettings(SinkSettings):
    """What every broker's ``[sinks.NAME]`` can say."""

    #: For the broker to answer: a connection that is being made, and each wave of events.
    timeout: Annotated[Span, Field(gt=timedelta())] = timedelta(seconds=20)


SettingsT = TypeVar("SettingsT", bound=BrokerSettings)


class Broker(Sink[SettingsT], Generic[SettingsT, ConnectionT]):
    """A broker, and the one connection to it."""

    def __init__(self, settings: SettingsT, clock: Clock) -> None:
        super().__init__(settings, clock)
        self._connection: ConnectionT | None = None
        self._timeout = settings.timeout.total_seconds()
        #: What no receipt may repeat: passwords, tokens. A subclass says which.
        self._secrets: tuple[str, ...] = ()

    @property
    def batch(self) -> int:
        """One wave for many records."""
        return 100

    async def send(self, events: Sequence[Dressed]) -> list[Receipt]:
        """Publish the events in waves; each is accepted when the broker has confirmed it."""
        receipts: list[Receipt | None] = [None] * len(events)
        failed: set[str] = set()
        for wave in waves(events):
            open_ones = [index for index in wave if events[index].key not in failed]
            await self._wave(events, open_ones, receipts)
            failed.update(events[index].key for index in open_ones if not accepted(receipts[index]))
        return [receipt or HELD for receipt in receipts]

    async def probe(self) -> Receipt:
        """Connect, and look at what can be seen without publishing anything."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._look(await self._connected())
        except Exception as exc:  # noqa: BLE001  # whatever a client library raises is an answer here, never a crash
            return await self._failed(exc)

    async def warnings(self) -> list[str]:
        """Ask the broker how it is set up; a broker that does not say so is a warning too."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._doubts(await self._connected())
        except Exception as exc:  # noqa: BLE001  # as above
            receipt = await self._failed(exc)
            return [f"how it is set up cannot be told: {receipt.detail}"]

    async def close(self) -> None:
        """Close the connection."""
        await self._let_go()

    @abstractmethod
    async def _connect(self) -> ConnectionT:
        """Connect and log in. What it raises becomes a receipt; what it has begun when cancelled, it ends itself."""

    @abstractmethod
    async def _disconnect(self, connection: ConnectionT) -> None:
        """End a connection, also one that is broken; without a long goodbye."""

    @abstractmethod
    async def _publish(self, connection: ConnectionT, event: Dressed) -> Receipt:
        """Publish one event and wait for its confirmation; other events are published at the same time.

        A "no" to this event alone is a receipt. What it raises says that the connection is to be made anew.
        """

    async def _publish_all(self, connection: ConnectionT, events: Sequence[Dressed]) -> Sequence[Receipt | Exception]:
        """Publish one event each of several records within the timeout; what was confirmed until then counts.

        To override for brokers that take many in one command.
        """
        tasks = [asyncio.create_task(self._publish(connection, event)) for event in events]
        try:
            await asyncio.wait(tasks, timeout=self._timeout)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        # What is no exception of the usual kind was cancelled.
        return [each if isinstance(each, Receipt | Exception) else TimeoutError() for each in outcomes]

    async def _look(self, connection: ConnectionT) -> Receipt:
        """Say whether what is published to is there, as far as it can be known before there is an event."""
        del connection
        return Receipt(Verdict.ACCEPTED)

    async def _doubts(self, connection: ConnectionT) -> list[str]:
        """See :meth:`Sink.warnings`."""
        del connection
        return []

    def _explain(self, error: Exception) -> Receipt | None:
        """Return what an exception of the library means; None for "the usual": try later, with its text."""
        del error
        return None

    def _alive(self, connection: ConnectionT) -> bool:
        """Say whether a connection is, as far as is known without asking the other side."""
        del connection
        return True

    async def _connected(self) -> ConnectionT:
        if self._connection is not None and not self._alive(self._connection):
            await self._let_go()
        if self._connection is None:
            self._connection = await self._connect()
        return self._connection

    async def _wave(self, events: Sequence[Dressed], wave: Sequence[int], receipts: list[Receipt | None]) -> None:
        """Publish these, and note what became of each; a failure of the connection is that of all without a receipt."""
        if not wave:
            return
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._connected()
            done = await self._publish_all(connection, [events[index] for index in wave])
        except Exception as exc:  # noqa: BLE001  # whatever a client library raises is an answer here, never a crash
            done = [exc] * len(wave)
        except BaseException:
            await self._let_go()  # cancelled in the middle: what is still to come over it belongs to nobody
            raise
        for index, each in zip(wave, done, strict=True):
            receipts[index] = each if isinstance(each, Receipt) else await self._failed(each)

    async def _failed(self, error: Exception) -> Receipt:
        """Return the receipt for a connection that cannot be used, and end it: the next send makes a new one."""
        await self._let_go()
        receipt = self._explain(error) or Receipt(Verdict.TRY_LATER, self._usual(error))
        return replace(receipt, detail=self._safe(receipt.detail))

    def _usual(self, error: Exception) -> str:
        match error:
            case TimeoutError():
                return f"no answer within {self._timeout:g} s"
            case ssl.SSLCertVerificationError():
                return f"TLS: the server's certificate is not trusted: {error.verify_message}"
            case ssl.SSLError():
                return f"TLS: {error.reason or error}"
            case OSError():
                return f"cannot be reached: {error.strerror or str(error) or type(error).__name__}"
            case _:
                return f"{type(error).__name__}: {error}"

    def _safe(self, text: str) -> str:
        """Return foreign text for the operator: one printable line, without secrets."""
        for secret in sorted(filter(None, self._secrets), key=len, reverse=True):
            text = text.replace(secret, "***")
        return "".join(letter if letter.isprintable() else "?" for letter in capped(text))

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            async with asyncio.timeout(self._timeout):
                await self._disconnect(connection)
        except Exception:  # noqa: BLE001, S110  # a connection that cannot even be closed properly: it is gone anyway
            pass


#: Of an event whose record's earlier event was not accepted.
HELD = Receipt(Verdict.TRY_LATER, "waits for an earlier event of the same record")


def accepted(receipt: Receipt | None) -> bool:
    """Say whether it is one, and a good one."""
    return receipt is not None and receipt.verdict is Verdict.ACCEPTED


def waves(events: Sequence[Dressed]) -> list[list[int]]:
    """Return places in ``events``: first those of each record's first event, then of its second, and so on."""
    found: list[list[int]] = []
    count: dict[str, int] = {}
    for index, event in enumerate(events):
        turn = count[event.key] = count.get(event.key, -1) + 1
        if turn == len(found):
            found.append([])
        found[turn].append(index)
    return found


def address(value: Any, schemes: Sequence[str], example: str) -> str:
    """Return the address of a broker as it is.

    Raises:
        ValueError: when it is of another scheme, has no host, or holds a user name or a password.
    """
    try:
        parts = urlsplit(value)
        good = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except (TypeError, ValueError, AttributeError):
        good = False
    if not good:
        raise ValueError(f'should be an address such as "{example}"')
    if parts.username is not None or parts.password is not None:
        raise ValueError("should hold no user name or password; there are keys of their own for them")
    return str(value)
