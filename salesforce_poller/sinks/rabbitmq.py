"""Events as messages in RabbitMQ: persistent, routed by exchange and routing key, confirmed by the broker.

The only file that imports aio-pika. A message that no queue takes comes back (``mandatory``) and is a failure: the
library's default is to call it a success. A broker answers what it does not like by closing the channel, and with it
everything that is on its way there; so exchanges are looked for first, and large events go alone. Order per record is
kept by the waves of ``broker.py``.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from salesforce_poller.clock import Clock
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import templates
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.sinks.broker import Broker
from salesforce_poller.sinks.rabbitmq_settings import LONGEST_KEY, LONGEST_NAME, RabbitmqSettings

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractConnection

#: Seconds between signs of life; a connection that shows none of three is dead.
_HEARTBEAT = 10
#: Seconds for saying goodbye.
_GOODBYE = 1.0
#: Bytes from which an event goes alone: the broker may find it too large, and closes the channel on all that is there.
_LARGE = 100_000
_BLOCKED = Receipt(Verdict.TRY_LATER, "the broker takes no messages at the moment: an alarm (memory or disk) is on")


@dataclass(slots=True)
class _Line:
    """A connection and what is open on it."""

    connection: "AbstractConnection"
    channel: "AbstractChannel"
    #: Exchanges that were there when somebody looked.
    exchanges: set[str] = field(default_factory=set)


class Rabbitmq(Broker[RabbitmqSettings, _Line]):
    """One virtual host."""

    def __init__(self, settings: RabbitmqSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self._secrets = (settings.password.get_secret_value(),)
        self._vhost = unquote(urlsplit(settings.url).path[1:]) or "/"
        self._one_exchange = templates.fixed(settings.exchange)
        self._one_route = self._one_exchange and templates.fixed(settings.routing_key)

    async def _connect(self) -> _Line:
        import aio_pika  # noqa: PLC0415  # an extra: imported when there is such a sink

        parts = urlsplit(self._settings.url)
        tls = parts.scheme == "amqps"
        connection = await aio_pika.connect(
            host=parts.hostname or "",
            port=parts.port or (5671 if tls else 5672),
            login=self._settings.username,
            password=self._settings.password.get_secret_value(),
            virtualhost=self._vhost,
            ssl=tls,
            ssl_context=self._settings.context() if tls else None,
            heartbeat=_HEARTBEAT,
            client_properties={"connection_name": "salesforce-poller"},
        )
        try:
            return _Line(connection, await _channel(connection))
        except BaseException:
            await _goodbye(connection)
            raise

    async def _disconnect(self, connection: _Line) -> None:
        await _goodbye(connection.connection)

    async def _connected(self) -> _Line:
        """Have a channel that is open; the broker closes one with each refusal, and a connection when it goes."""
        if self._connection is not None and not self._connection.connection.connected.is_set():
            await self._let_go()
        line = await super()._connected()
        if line.channel.is_closed:
            line.exchanges.clear()
            line.channel = await _channel(line.connection)
        return line

    async def _publish_all(self, connection: _Line, events: Sequence[Dressed]) -> Sequence[Receipt | Exception]:
        """Publish at once what is small, then one by one what is large; nothing to an exchange that is not there."""
        found: dict[int, Receipt | Exception] = {}
        for index, event in enumerate(events):
            missing = await self._missing(connection, templates.fill(self._settings.exchange, event))
            if missing is not None:
                found[index] = missing
        going = [index for index in range(len(events)) if index not in found]
        together = [index for index in going if len(events[index].body) < _LARGE]
        alone = [[index] for index in going if len(events[index].body) >= _LARGE]
        for group in [together, *alone] if together else alone:
            broken = next((each for each in found.values() if isinstance(each, Exception)), None)
            if broken is not None:
                found |= dict.fromkeys(group, broken)
                continue
            async with asyncio.timeout(self._timeout):
                line = await self._connected()
            outcomes = await super()._publish_all(line, [events[index] for index in group])
            found |= dict(zip(group, outcomes, strict=True))
        return [found[index] for index in range(len(events))]

    async def _publish(self, connection: _Line, event: Dressed) -> Receipt:
        import aio_pika  # noqa: PLC0415  # an extra: imported when there is such a sink
        from aiormq.exceptions import (  # noqa: PLC0415  # as above
            AMQPChannelError,
            ChannelInvalidStateError,
            DeliveryError,
            PublishError,
        )

        exchange = templates.fill(self._settings.exchange, event)
        key = templates.fill(self._settings.routing_key, event)
        if len(key.encode()) > LONGEST_KEY:
            return Receipt(Verdict.REFUSED, f"the routing key would be longer than {LONGEST_KEY} bytes: {key[:50]}…")
        if await _is_blocked(connection):
            return _BLOCKED
        known = event.cloudevent
        message = aio_pika.Message(
            event.body,
            content_type="application/cloudevents+json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            message_id=event.event_id,
            type=known["type"],
            timestamp=datetime.fromisoformat(known["time"]),
            app_id="salesforce-poller",
            headers={name: known["data"][name] for name in ("org", "object", "kind")},
        )
        try:
            there = await connection.channel.get_exchange(exchange, ensure=False)
            await there.publish(message, key, mandatory=True)
        except PublishError:
            text = f"no queue takes what exchange {exchange!r} gets with routing key {key!r}: bind one"
            return Receipt(Verdict.REFUSED, self._safe(text), general=self._one_route)
        except DeliveryError:
            return Receipt(
                Verdict.TRY_LATER, f"a queue behind exchange {exchange!r} did not take it (nack): it may be full"
            )
        except (AMQPChannelError, ChannelInvalidStateError) as exc:
            return self._closed(event, exchange, exc)
        return Receipt(Verdict.ACCEPTED, reference=f"{exchange} {key}")

    def _closed(self, event: Dressed, exchange: str, error: Exception) -> Receipt:
        """Say what it means that the channel was closed: it may have been for another event that was on its way."""
        from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed  # noqa: PLC0415  # as above

        text = self._safe(f"the broker closed the channel: {error}")
        match error:
            case ChannelPreconditionFailed() if f" {len(event.body)} " in f"{error} ":
                return Receipt(Verdict.REFUSED, text)
            case ChannelAccessRefused() if f"'{exchange}'" in str(error):
                return Receipt(Verdict.REFUSED, text, general=self._one_exchange)
            case _:
                return Receipt(Verdict.TRY_LATER, text)

    async def _failed(self, error: Exception) -> Receipt:
        """Keep a connection that the broker blocks: what is under way on it is taken first when the alarm is over."""
        if isinstance(error, TimeoutError) and self._connection is not None and await _is_blocked(self._connection):
            return _BLOCKED
        return await super()._failed(error)

    def _explain(self, error: Exception) -> Receipt | None:
        from aiormq.exceptions import InvalidFrameError, ProbableAuthenticationError  # noqa: PLC0415  # as above

        match error:
            case ProbableAuthenticationError():
                return Receipt(Verdict.REFUSED, f"the broker does not let us in: {error}", general=True)
            case InvalidFrameError() if "Connection.OpenOk" in str(error):  # the library waits for nothing else
                text = (
                    f"virtual host {self._vhost!r} does not exist, or user {self._settings.username!r} may not use it"
                )
                return Receipt(Verdict.REFUSED, text, general=True)
        return None

    async def _missing(self, connection: _Line, exchange: str) -> Receipt | None:
        """Look for an exchange, on a channel of its own, since that does not survive when there is none."""
        from aiormq.exceptions import ChannelNotFoundEntity  # noqa: PLC0415  # as above

        if exchange in connection.exchanges:
            return None
        if len(exchange) > LONGEST_NAME:
            return Receipt(
                Verdict.REFUSED, f"the exchange's name would be longer than {LONGEST_NAME}: {exchange[:50]}…"
            )
        try:
            async with asyncio.timeout(self._timeout), connection.connection.channel() as channel:
                await channel.get_exchange(exchange, ensure=True)
        except ChannelNotFoundEntity:
            text = f"there is no exchange {exchange!r} in this virtual host: declare it, durable, and bind queues to it"
            return Receipt(Verdict.REFUSED, self._safe(text), general=self._one_exchange)
        connection.exchanges.add(exchange)
        return None

    async def _look(self, connection: _Line) -> Receipt:
        if await _is_blocked(connection):
            return _BLOCKED
        if self._one_exchange and (missing := await self._missing(connection, self._settings.exchange)):
            return missing
        return Receipt(Verdict.ACCEPTED, "reachable" + (", and the exchange is there" if self._one_exchange else ""))


async def _channel(connection: "AbstractConnection") -> "AbstractChannel":
    return await connection.channel(publisher_confirms=True, on_return_raises=True)


async def _goodbye(connection: "AbstractConnection") -> None:
    async with asyncio.timeout(_GOODBYE):
        await connection.close()


async def _is_blocked(line: _Line) -> bool:
    """Say whether the broker has told us that it reads nothing more for now."""
    transport = line.connection.transport
    if transport is None:
        return False
    try:
        async with asyncio.timeout(0):
            await transport.ready()
    except TimeoutError:
        return True
    return False
