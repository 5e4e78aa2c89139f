"""Events over MQTT 5 with QoS 1.

Accepted is what the broker has acknowledged with a reason code that says so. MQTT promises no storage: a message to a
topic that nobody has subscribed to is acknowledged and gone, unless ``require_subscriber`` makes a failure of it.

One connection is a :class:`Line`, in ``mqtt_line.py``. Called through ``broker.py``, which sends in waves.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from salesforce_poller.clock import Clock
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import broker, mqtt_many_files, templates
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.sinks.mqtt_line import FAILURES, Closing, Line, Rejected
from salesforce_poller.sinks.templates import Template
from salesforce_poller.sinks.tls import TlsSettings

if TYPE_CHECKING:
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

_clean = templates.replacing(r"[/+#\x00]")
#: Reason codes (MQTT 5, 2.4). Acknowledged, and dropped: nobody has subscribed.
_NOBODY = 0x10
#: Of a "no" to one message: larger than the broker takes, not what it expects, a topic it does not allow.
_TOO_LARGE = 0x95
_OF_THE_EVENT = (_TOO_LARGE, 0x90, 0x99)
#: Of a "no" to a login, or to one topic.
_NOT_AUTHORIZED = 0x87
#: Of a "no" to the whole sink: the protocol, the client id, the login, the rights, QoS or retain not supported.
_GENERAL = (0x84, 0x85, 0x86, _NOT_AUTHORIZED, 0x8A, 0x8C, 0x9A, 0x9B)


def _url(value: str) -> str:
    return broker.address(value, ("mqtt", "mqtts"), "mqtt://mqtt.example.com:1883")


def _topic(value: str) -> str:
    if re.search(r"[+#\x00]", value) or value.startswith("$"):
        raise ValueError('should be a topic to publish to, without "+" and "#" and not beginning with "$"')
    return value


class MqttSettings(TlsSettings):
    """``type = "mqtt"``."""

    tls_scheme = "mqtts"

    type: Literal["mqtt"]
    #: ``mqtt://`` or ``mqtts://`` (TLS).
    url: Annotated[str, AfterValidator(_url)]
    username: str | None = None
    password: SecretStr | None = None
    #: For brokers that know their clients by name; no two connections may have the same. "": the broker gives one.
    client_id: str = ""
    #: The topic of an event.
    topic: Annotated[Template, AfterValidator(_topic)] = "salesforce/{org}/{object}/{kind}"
    #: Have the broker keep the last event of each topic for those who subscribe later.
    retain: bool = False
    #: Wait until somebody has subscribed, instead of publishing to nobody.
    require_subscriber: bool = False


class Mqtt(broker.Broker[MqttSettings, Line]):
    """One MQTT broker."""

    def __init__(self, settings: MqttSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self._secrets = (settings.password.get_secret_value(),) if settings.password else ()
        #: Whether what is said of one event's topic is true of every event's.
        self._one_topic = templates.fixed(settings.topic)

    async def _connect(self) -> Line:
        from paho.mqtt import client as paho  # noqa: PLC0415  # an extra: imported when it is used
        from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion  # noqa: PLC0415  # as above

        mqtt_many_files.allow(paho)
        settings, parts = self._settings, urlsplit(self._settings.url)
        safely = parts.scheme == "mqtts"
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            settings.client_id,
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,  # the next send connects anew, and nothing is left in queues to be sent later
        )
        client.connect_timeout = self._timeout
        client.max_inflight_messages_set(0)  # how many the broker wants at a time, paho does not ask: see Line.room
        if safely:
            context = settings.context()
            context.sslsocket_class = Closing
            client.tls_set_context(context)
        if settings.username is not None or settings.password is not None:
            client.username_pw_set(
                settings.username, settings.password.get_secret_value() if settings.password else None
            )
        line = Line(client)
        try:
            await asyncio.to_thread(line.dial, parts.hostname or "", parts.port or (8883 if safely else 1883))
            client.loop_start()
            await line.welcome
        except BaseException:
            line.abandoned = True
            line.welcome.cancel()
            await asyncio.to_thread(line.hang_up)
            raise
        return line

    async def _disconnect(self, connection: Line) -> None:
        await asyncio.to_thread(connection.hang_up)

    def _alive(self, connection: Line) -> bool:
        return not connection.lost

    async def _publish_all(self, connection: Line, events: Sequence[Dressed]) -> list[Receipt | Exception]:
        """Publish; where the broker hangs up on a packet that is too large, it is the largest that is refused."""
        found = list(await super()._publish_all(connection, events))
        refused = {
            index: each for index, each in enumerate(found) if isinstance(each, Rejected) and each.code == _TOO_LARGE
        }
        if refused:
            largest = max(refused, key=lambda index: len(events[index].body))
            found[largest] = Receipt(Verdict.REFUSED, self._safe(str(refused[largest])))
        return found

    async def _publish(self, connection: Line, event: Dressed) -> Receipt:
        topic, properties = templates.fill(self._settings.topic, event, _clean), _properties(event)
        packed: bytes = properties.pack()  # type: ignore[no-untyped-call]  # paho's types end here
        size = len(event.body) + len(topic.encode()) + len(packed) + 9
        if connection.largest is not None and size > connection.largest:
            taken = f"this broker takes {connection.largest:,} in a packet"
            return Receipt(Verdict.REFUSED, f"the event has {size:,} bytes, {taken}")
        async with connection.room:
            sent = connection.client.publish(
                topic, event.body, qos=1, retain=self._settings.retain, properties=properties
            )
            if sent.rc:
                raise ConnectionResetError("the connection was lost")
            answer: asyncio.Future[ReasonCode] = asyncio.get_running_loop().create_future()
            connection.waiting[sent.mid] = answer
            return self._receipt(await answer, topic)

    def _receipt(self, reason: "ReasonCode", topic: str) -> Receipt:
        code = reason.value
        if code < FAILURES and not (code == _NOBODY and self._settings.require_subscriber):
            return Receipt(Verdict.ACCEPTED, reference=f"0x{code:02x}")
        if code == _NOBODY:
            return Receipt(Verdict.TRY_LATER, f"nobody has subscribed to {topic}", reference="0x10")
        detail = self._safe(f"the broker says: {reason} (0x{code:02x})")
        if code in (*_OF_THE_EVENT, *_GENERAL):
            general = code in _GENERAL and (self._one_topic or code != _NOT_AUTHORIZED)
            return Receipt(Verdict.REFUSED, detail, reference=f"0x{code:02x}", general=general)
        return Receipt(Verdict.TRY_LATER, detail, reference=f"0x{code:02x}")

    def _explain(self, error: Exception) -> Receipt | None:
        if isinstance(error, Rejected):
            general = error.code in _GENERAL
            return Receipt(Verdict.REFUSED if general else Verdict.TRY_LATER, str(error), general=general)
        return None

    async def _doubts(self, connection: Line) -> list[str]:
        del connection
        if self._settings.require_subscriber:
            return []
        told = "MQTT stores nothing: what is published while nobody has subscribed is acknowledged and gone"
        return [f"{told}; require_subscriber = true waits for somebody instead"]


def _properties(event: Dressed) -> "Properties":
    """Return what goes beside the body: what it is, and the attributes by which readers drop repeats and sort."""
    from paho.mqtt.packettypes import PacketTypes  # noqa: PLC0415  # an extra: imported when it is used
    from paho.mqtt.properties import Properties  # noqa: PLC0415  # as above

    said = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's types end here
    said.PayloadFormatIndicator = 1  # UTF-8
    said.ContentType = "application/cloudevents+json"
    said.UserProperty = [(name, str(event.attributes[name])) for name in ("id", "source", "type", "partitionkey")]
    return said
