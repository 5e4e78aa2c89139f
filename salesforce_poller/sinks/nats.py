"""Events in NATS JetStream, each under its id as Nats-Msg-Id. The only file that imports nats-py.

Published to JetStream only: a plain NATS message is confirmed by nobody. Accepted is what a stream has acknowledged;
how a stream keeps what it has is up to its configuration, and :meth:`Nats.warnings` tells what there can lose events.
A timeout may mean that an event arrived all the same; within the stream's duplicate window, sending it again changes
nothing. Called through ``broker.py``, which sends in waves.
"""

import errno
import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from salesforce_poller.clock import Clock
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import broker, templates
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.sinks.templates import Template
from salesforce_poller.sinks.tls import TlsSettings

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.js.api import PubAck, StreamConfig

_clean = templates.replacing(r"[\s.*>]")
#: JetStream's own numbers (err_code) of a "no" to one message: larger than the stream takes.
_OF_THE_EVENT = (10054,)
#: … and of a "no" to the subject, which may be the whole sink's: it belongs to another stream than ``stream`` says.
_GENERAL = (10060,)
_SERVER_ERROR = 500


def _url(value: str) -> str:
    return broker.address(value, ("nats", "tls"), "nats://nats.example.com:4222")


def _subject(value: str) -> str:
    plain = value.replace("{", "").replace("}", "")
    if re.search(r"[\s*>]", plain) or "" in plain.split("."):
        raise ValueError(
            'should be words joined by dots, without spaces, "*" and ">", as in "salesforce.{org}.{object}"'
        )
    return value


def _stream(value: str) -> str:
    if not re.fullmatch(r"[^\s.*>/\\]+", value):
        raise ValueError('is no name of a stream: no spaces, dots, slashes, "*" and ">"')
    return value


class NatsSettings(TlsSettings):
    """``type = "nats"``."""

    type: Literal["nats"]
    #: ``nats://`` or ``tls://``, which insists on TLS, as ``ca`` and ``client_certificate`` do; several for the
    #: servers of one cluster, tried in turn.
    url: (
        Annotated[str, AfterValidator(_url)]
        | Annotated[list[Annotated[str, AfterValidator(_url)]], Field(min_length=1)]
    )
    username: str | None = None
    #: Of the user; a token, when there is no user name.
    password: SecretStr | None = None
    #: The subject of an event; a stream must take it.
    subject: Annotated[Template, AfterValidator(_subject)] = "salesforce.{org}.{object}.{kind}"
    #: The stream that must be the one to take it; None: whichever does.
    stream: Annotated[str, AfterValidator(_stream)] | None = None

    @model_validator(mode="after")
    def _whole_login(self) -> Self:
        if self.username is not None and self.password is None:
            raise ValueError("username is nothing without password")
        return self

    def servers(self) -> list[str]:
        """Return where to connect, in turn."""
        return self.url if isinstance(self.url, list) else [self.url]


class Nats(broker.Broker[NatsSettings, "Client"]):
    """One NATS, or a cluster of them."""

    def __init__(self, settings: NatsSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self._secrets = (settings.password.get_secret_value(),) if settings.password else ()
        #: The latest trouble that the library told of aside: the reason behind its "no servers available" and timeouts.
        self._aside: Exception | None = None
        #: Whether the server that could not be connected to had asked for a login before.
        self._wants_login = False
        #: Whether what is said of one event's subject is true of every event's.
        self._one_subject = templates.fixed(settings.subject)

    async def _connect(self) -> "Client":
        from nats.aio.client import Client  # noqa: PLC0415  # an extra: imported when such a sink is used

        async def note(error: Exception) -> None:
            self._aside = error

        self._aside = None
        settings = self._settings
        files = settings.ca or settings.client_certificate
        safely = bool(files) or any(urlsplit(each).scheme == "tls" for each in settings.servers())
        client = _insisting(Client)() if safely else Client()
        try:
            await client.connect(
                servers=settings.servers(),
                error_cb=note,
                name="salesforce-poller",
                allow_reconnect=False,  # the next send connects anew, and nothing is left in buffers to be sent later
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                dont_randomize=True,
                connect_timeout=self._timeout,  # type: ignore[arg-type]  # any number of seconds will do
                tls=settings.context() if safely else None,
                **self._login(),
            )
        except BaseException:
            self._wants_login = bool(client._server_info.get("auth_required"))  # noqa: SLF001  # it tells nobody else
            await self._disconnect(client)
            raise
        self._wants_login = False
        return client

    def _login(self) -> dict[str, Any]:
        if self._settings.password is None:
            return {}
        secret = self._settings.password.get_secret_value()
        if self._settings.username is None:
            return {"token": secret}
        return {"user": self._settings.username, "password": secret}

    async def _disconnect(self, connection: "Client") -> None:
        await connection.close()

    def _alive(self, connection: "Client") -> bool:
        return connection.is_connected

    async def _publish(self, connection: "Client", event: Dressed) -> Receipt:
        from nats.js.errors import APIError, NoStreamResponseError  # noqa: PLC0415  # as above

        headers = {"Nats-Msg-Id": event.repeat_id, "Content-Type": "application/cloudevents+json"}
        subject = templates.fill(self._settings.subject, event, _clean)
        if self._settings.stream:
            headers["Nats-Expected-Stream"] = self._settings.stream
        size = len(event.body) + sum(len(name) + len(value) + 4 for name, value in headers.items()) + 12
        if size > connection.max_payload:  # the server would hang up
            taken = f"this server takes {connection.max_payload:,} (max_payload)"
            return Receipt(Verdict.REFUSED, f"the event has {size:,} bytes, {taken}")
        publish = partial(connection.jetstream().publish, timeout=self._timeout)
        try:
            found = await publish(subject, event.body, headers=headers)
            if found.duplicate and await self._is_elsewhere(connection, found, subject):
                headers["Nats-Msg-Id"] += f" {subject}"
                found = await publish(subject, event.body, headers=headers)
        except NoStreamResponseError:
            return Receipt(
                Verdict.REFUSED, f"no stream takes the subject {subject}", general=await self._is_nowhere(connection)
            )
        except APIError as exc:
            return self._refusal(exc.code or 0, exc.err_code or 0, exc.description or "")
        return Receipt(Verdict.ACCEPTED, reference=f"{found.stream} {found.seq}")

    async def _is_elsewhere(self, connection: "Client", found: "PubAck", subject: str) -> bool:
        """Say whether what a repeat is a repeat of has another subject: that of another sink, whose copy is not ours.

        A message that is gone by now, or that this user may not look at, is taken for ours.
        """
        aside, patience = self._aside, min(1.0, self._timeout / 4)
        try:
            first = await connection.jetstream(timeout=patience).get_msg(found.stream, found.seq)
        except Exception:  # noqa: BLE001  # whatever the library makes of it: there is no answer
            self._aside = aside
            return False
        return first.subject != subject

    async def _is_nowhere(self, connection: "Client") -> bool:
        """Say whether no event of any object would be taken, as far as JetStream tells."""
        if self._one_subject:
            return True
        try:
            await self._stream_of(connection)
        except Exception:  # noqa: BLE001  # there is no such stream, or no JetStream that could say so
            return True
        return False

    def _refusal(self, code: int, number: int, said: str) -> Receipt:
        """Return what JetStream's "no" means: its own troubles (full, no quorum) pass, the others are refusals."""
        detail = self._safe(f"JetStream says {code}: {said} ({number})")
        if code >= _SERVER_ERROR and number not in (*_OF_THE_EVENT, *_GENERAL):
            return Receipt(Verdict.TRY_LATER, detail)
        return Receipt(Verdict.REFUSED, detail, general=self._one_subject and number in _GENERAL)

    def _explain(self, error: Exception) -> Receipt | None:
        behind = self._aside or error
        said = str(behind).lower()
        if "permissions violation" in said:
            return Receipt(Verdict.REFUSED, str(behind), general=self._one_subject)
        if "authorization" in said or "authentication" in said:
            return Receipt(Verdict.REFUSED, str(behind), general=True)
        if self._wants_login and isinstance(behind, ConnectionError):
            # It says why and hangs up, while our PING is on its way: then the "why" is often lost with the connection.
            told = "hung up during the login, as it does when it refuses one: check username and password"
            return Receipt(Verdict.TRY_LATER, told)
        return None if behind is error else Receipt(Verdict.TRY_LATER, self._usual(behind))

    async def _look(self, connection: "Client") -> Receipt:
        from nats.js.errors import NotFoundError  # noqa: PLC0415  # as above

        try:
            name = await self._stream_of(connection)
        except NotFoundError:
            return Receipt(Verdict.REFUSED, f"no stream takes the subject {self._wildcard()}", general=True)
        if self._settings.stream not in (None, name):
            return Receipt(
                Verdict.REFUSED, f"the subject {self._wildcard()} belongs to the stream {name}", general=True
            )
        return Receipt(Verdict.ACCEPTED, f"reachable; the stream {name} takes {self._wildcard()}")

    async def _doubts(self, connection: "Client") -> list[str]:
        info = await connection.jetstream(timeout=self._timeout).stream_info(await self._stream_of(connection))
        return doubts(info.config)

    async def _stream_of(self, connection: "Client") -> str:
        return await connection.jetstream(timeout=self._timeout).find_stream_name_by_subject(self._wildcard())

    def _wildcard(self) -> str:
        """Return the subject of any event."""
        return re.sub(r"[^.]*\{[^.]*", "*", self._settings.subject)


def _insisting(client: "type[Client]") -> "type[Client]":
    """Return a client that says nothing, and no password, to a server that does not offer TLS.

    The library takes ``tls://`` for a wish: whether there is TLS, the server's first line decides, which anybody
    between could have changed.
    """

    class Insisting(client):  # type: ignore[misc, valid-type]  # the library is imported when it is needed
        async def _process_info(self, info: dict[str, Any], *, initial_connection: bool = False) -> None:
            if not info.get("tls_required"):
                raise ConnectionRefusedError(errno.ECONNREFUSED, "does not offer TLS, and the sink insists on it")
            await super()._process_info(info, initial_connection=initial_connection)

    return Insisting


def doubts(stream: "StreamConfig") -> list[str]:
    """Return what of a stream's configuration can lose or repeat events that it has acknowledged."""
    said: list[str] = []
    name = f"the stream {stream.name}"
    if stream.no_ack:
        said.append(f"{name} acknowledges nothing (no_ack), so that no event will ever count as delivered")
    if stream.storage == "memory":
        said.append(f"{name} is kept in memory: a restart of its server loses it")
    elif (stream.num_replicas or 1) == 1:
        said.append(
            f"{name} has one replica, and its server acknowledges before the disk has it (sync_interval, 2 minutes "
            "unless it is set to always): a power cut can lose the last events"
        )
    limits = {"max_msgs": stream.max_msgs, "max_bytes": stream.max_bytes, "max_age": stream.max_age}
    limits["max_msgs_per_subject"] = stream.max_msgs_per_subject
    limited = [key for key, limit in limits.items() if limit and limit > 0]
    if limited and stream.discard != "new":
        said.append(f"{name} drops its oldest events, read or not, beyond its limits ({', '.join(limited)})")
    if stream.retention == "interest":
        said.append(f"{name} drops what comes while it has no consumer (retention interest)")
    return said
