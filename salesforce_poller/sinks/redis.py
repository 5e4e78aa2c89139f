"""Events in Redis streams: one entry each, appended with XADD. The only file that imports redis-py.

Accepted is what Redis has answered with the entry's id. Whether it is on disk by then is up to the server's
configuration; what there can lose or repeat events, :meth:`Redis.warnings` tells. Called through ``broker.py``, which
sends in waves.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import compress
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr

from salesforce_poller.clock import Clock
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import broker, templates
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.sinks.templates import Template
from salesforce_poller.sinks.tls import TlsSettings

if TYPE_CHECKING:
    from redis.asyncio import Redis as Client

_EXAMPLE = "redis://redis.example.com:6379/0"
#: The longest value Redis takes unless it is told otherwise (proto-max-bulk-len).
_LARGEST = 512 * 1024**2
#: The first version whose XADD drops an entry that it was given before, for as long as it remembers the id.
_DROPS_REPEATS = (8, 6)
#: Whose ids those are. The same for everybody, since an event has the same id whoever finds it.
_PRODUCER = "salesforce-poller"
#: Errors of redis-py by name, and of Redis by their first word, that speak of the moment: another try may pass.
_PASSING = {"OutOfMemoryError", "ReadOnlyError", "BusyLoadingError", "MasterDownError", "ClusterDownError"}
_PASSING |= {"TryAgainError", "MISCONF", "NOREPLICAS", "BUSY"}
#: … those by which a question is not answered, or not understood …
_DENIED = {"NoPermissionError", "ResponseError", "KeyError", "ValueError"}
#: … and those that speak of the whole sink: a person must act.
_GENERAL = {"AuthenticationError", "AuthorizationError", "NoPermissionError", "MovedError", "DENIED"}

#: Of them, those that other streams need not share: not permitted, or kept by another server of a cluster.
_OF_THE_STREAM = {"NoPermissionError", "MovedError"}


def _url(value: str) -> str:
    if value.startswith("unix:///"):
        return value
    broker.address(value, ("redis", "rediss"), _EXAMPLE)
    database = urlsplit(value).path.strip("/")
    if database and not (database.isascii() and database.isdigit()):
        raise ValueError(f'should end with the number of a database, as in "{_EXAMPLE}"')
    if urlsplit(value).query:
        raise ValueError("should have no options behind a question mark; each has a key of its own")
    return value


class RedisSettings(TlsSettings):
    """``type = "redis"``."""

    tls_scheme = "rediss"

    type: Literal["redis"]
    #: ``redis://``, ``rediss://`` (TLS), each with a database's number, or ``unix:///path``.
    url: Annotated[str, AfterValidator(_url)]
    #: Of an ACL user; None: the default user.
    username: str | None = None
    password: SecretStr | None = None
    #: The stream of an event.
    stream: Template = "salesforce:{org}:{object}"
    #: About how many entries a stream keeps; the oldest go, read or not. None: all.
    maxlen: Annotated[int, Field(ge=1)] | None = None


class Redis(broker.Broker[RedisSettings, "Client"]):
    """One Redis."""

    def __init__(self, settings: RedisSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self._secrets = (settings.password.get_secret_value(),) if settings.password else ()
        self._one_stream = templates.fixed(settings.stream)
        self._largest = _LARGEST
        self._drops_repeats = False

    @property
    def batch(self) -> int:
        """One pipeline for many records."""
        return 500

    async def _connect(self) -> "Client":
        from redis.asyncio import Redis as Client  # noqa: PLC0415  # an extra: imported when such a sink is used
        from redis.asyncio.retry import Retry  # noqa: PLC0415  # as above
        from redis.backoff import NoBackoff  # noqa: PLC0415  # as above

        # Retrying is not the sink's business, and the timeouts are those of ``broker.py``.
        patience: dict[str, Any] = {"retry": Retry(NoBackoff(), 0), "socket_timeout": None}
        client = Client(
            **_where(self._settings),
            **patience,
            socket_connect_timeout=None,
            username=self._settings.username,
            password=self._settings.password.get_secret_value() if self._settings.password else None,
            protocol=2,  # asks for no more than AUTH, which every server knows and every user may
        )
        try:
            await client.ping()
            self._largest = await _largest(client)
            self._drops_repeats = await _version(client) >= _DROPS_REPEATS
        except BaseException:
            with suppress(Exception):
                await client.aclose()
            raise
        return client

    async def _disconnect(self, connection: "Client") -> None:
        await connection.aclose()

    async def _publish(self, connection: "Client", event: Dressed) -> Receipt:
        [receipt] = await self._publish_all(connection, [event])
        if isinstance(receipt, Exception):
            raise receipt
        return receipt

    async def _publish_all(self, connection: "Client", events: Sequence[Dressed]) -> list[Receipt | Exception]:
        """Append the events in one pipeline: one round trip, and an answer for each."""
        small = [len(event.body) <= self._largest for event in events]
        async with asyncio.timeout(self._timeout), connection.pipeline(transaction=False) as pipeline:
            for event in compress(events, small):
                pipeline.xadd(
                    templates.fill(self._settings.stream, event),
                    {"id": event.event_id, "key": event.key, "event": event.body},
                    maxlen=self._settings.maxlen,
                    idmp=(_PRODUCER, event.repeat_id.encode()) if self._drops_repeats else None,
                )
            answers = iter(await pipeline.execute(raise_on_error=False))
        return [
            self._answer(next(answers)) if fits else self._too_large(event)
            for event, fits in zip(events, small, strict=True)
        ]

    def _answer(self, answer: Any) -> Receipt | Exception:
        if not isinstance(answer, Exception):
            return Receipt(Verdict.ACCEPTED, reference=answer.decode())
        words = _words(answer)
        if words & (_PASSING | _GENERAL) and (self._one_stream or not words & _OF_THE_STREAM):
            return answer  # the connection is made anew: another server may answer then, or another login
        return Receipt(Verdict.REFUSED, self._safe(str(answer)))

    def _too_large(self, event: Dressed) -> Receipt:
        taken = f"this Redis takes {self._largest:,} (proto-max-bulk-len)"
        return Receipt(Verdict.REFUSED, f"the event has {len(event.body):,} bytes, {taken}")

    def _explain(self, error: Exception) -> Receipt | None:
        # A "no" to one event was a receipt already: what is left was said while connecting.
        words = _words(error)
        if words & _GENERAL or ("ResponseError" in words and not words & _PASSING):
            return Receipt(Verdict.REFUSED, str(error), general=True)
        if _words(error) & {"TimeoutError", "ConnectionError"} and isinstance(error.__cause__, Exception):
            return Receipt(Verdict.TRY_LATER, self._usual(error.__cause__))
        return None

    async def _doubts(self, connection: "Client") -> list[str]:
        try:
            found: dict[str | None, str | None] = {}
            for key in ("maxmemory", "maxmemory-policy", "appendonly", "appendfsync"):
                found |= await connection.config_get(key)
        except Exception as exc:  # noqa: BLE001  # many managed servers do not let clients ask
            return [f"does not tell how it keeps entries: {self._safe(str(exc))}"]
        return doubts({key: value for key, value in found.items() if key and value})


def doubts(found: Mapping[str, str]) -> list[str]:
    """Return what of a server's configuration can lose entries that it has confirmed; ``found`` is CONFIG GET's."""
    said = []
    policy = found.get("maxmemory-policy", "")
    if policy not in ("", "noeviction") and not policy.startswith("volatile-"):
        when = "when its memory is full" if found.get("maxmemory") == "0" else f"at maxmemory {found.get('maxmemory')}"
        said.append(f"may evict whole streams {when} (maxmemory-policy {policy}); set it to noeviction")
    if found.get("appendonly") == "no":
        said.append("keeps entries in memory only, between its snapshots (appendonly no): a crash loses the last ones")
    elif found.get("appendfsync") not in (None, "always"):
        often = {"everysec": "once a second", "no": "when the system likes"}.get(found["appendfsync"], "seldom")
        said.append(f"confirms before it is on disk: it syncs {often} (appendfsync {found['appendfsync']})")
    return said


async def _largest(client: "Client") -> int:
    """Ask for the longest value it takes; many managed servers do not tell, and have the default."""
    try:
        return int((await client.config_get("proto-max-bulk-len"))["proto-max-bulk-len"] or _LARGEST)
    except Exception as exc:
        if _words(exc) & _DENIED:
            return _LARGEST
        raise


async def _version(client: "Client") -> tuple[int, ...]:
    """Ask for its version; one that does not tell is taken for an old one."""
    try:
        return tuple(int(each) for each in (await client.info("server"))["redis_version"].split(".")[:2])
    except Exception as exc:
        if _words(exc) & _DENIED:
            return ()
        raise


def _words(error: BaseException) -> set[str]:
    """Return what an error is known by: the names of its classes in redis-py, and Redis's own first word."""
    return {kind.__name__ for kind in type(error).__mro__} | set(str(error).split(maxsplit=1)[:1])


def _where(settings: RedisSettings) -> dict[str, Any]:
    """Return redis-py's arguments for the address."""
    parts = urlsplit(settings.url)
    if parts.scheme == "unix":
        return {"unix_socket_path": unquote(parts.path)}
    where: dict[str, Any] = {
        "host": parts.hostname,
        "port": parts.port or 6379,
        "db": int(parts.path.strip("/") or 0),
    }
    if parts.scheme == "rediss":
        files = {"ssl_ca_certs": settings.ca, "ssl_certfile": settings.client_certificate}
        files["ssl_keyfile"] = settings.client_key or settings.client_certificate
        where |= {"ssl": True, **{key: str(path) for key, path in files.items() if path}}
    return where
