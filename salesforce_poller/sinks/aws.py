"""What the sinks for SQS, SNS and EventBridge share: a client of botocore's, in threads, and calls of up to ten events.

The only file that imports botocore, of which boto3 makes its clients. Its own retries are switched off, since retrying
is decided in ``delivery/``. Each event of a call is of another record (``broker.py`` sends in waves), so that an entry
that fails lets nothing pass it. What the answers mean is thought out in ``aws_answers.py``.
"""

import asyncio
import functools
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from salesforce_poller.clock import Clock
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import aws_answers
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.sinks.broker import Broker, BrokerSettings

#: Calls side by side: a hundred events are ten calls.
_THREADS = 5


def http_address(value: str) -> str:
    """Return an address as it is.

    Raises:
        ValueError: when it is none of http or https.
    """
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError('should be an address such as "https://sqs.eu-central-1.amazonaws.com/123456789012/leads"')
    return value


class AwsSettings(BrokerSettings):
    """What every AWS sink can say of where and who. What it does not say is looked for as AWS's own tools do."""

    #: Such as eu-central-1; None: AWS_REGION, or that of the profile.
    region: Annotated[str, Field(min_length=1)] | None = None
    #: For a VPC endpoint or a stand-in; None: AWS's own.
    endpoint_url: Annotated[str, AfterValidator(http_address)] | None = None
    #: A key of its own; None: the environment, the profile, or the role of the machine.
    access_key_id: Annotated[str, Field(min_length=1)] | None = None
    secret_access_key: SecretStr | None = None
    #: Belongs to temporary keys.
    session_token: SecretStr | None = None

    @model_validator(mode="after")
    def _whole_keys(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key belong together: give both, or none of them")
        if self.session_token is not None and self.access_key_id is None:
            raise ValueError("session_token belongs to access_key_id and secret_access_key, which are missing")
        return self


@dataclass(frozen=True, slots=True)
class Line:
    """A client, and the threads that wait for its answers."""

    client: Any
    threads: ThreadPoolExecutor

    async def ask(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Make one call; raises what botocore raises."""
        call = getattr(self.client, operation)
        answer: Mapping[str, Any] = await asyncio.get_running_loop().run_in_executor(
            self.threads, lambda: call(**parameters)
        )
        return answer


SettingsT = TypeVar("SettingsT", bound=AwsSettings)


class Aws(Broker[SettingsT, Line]):
    """One queue, topic or bus."""

    #: botocore's name of the service.
    service: ClassVar[str]
    #: Bytes in one call, where there is more than one entry in it.
    limit: ClassVar[int]

    def __init__(self, settings: SettingsT, clock: Clock) -> None:
        super().__init__(settings, clock)
        keys = (settings.secret_access_key, settings.session_token)
        self._secrets = tuple(each.get_secret_value() for each in keys if each is not None)

    async def open(self) -> None:
        """Read what the library knows of the service, which should not count as waiting for it."""
        await asyncio.to_thread(_warm_up, self.service)

    @abstractmethod
    def _entry(self, event: Dressed) -> tuple[dict[str, Any], int]:
        """Return what stands for an event in a call, without an id, and how many bytes AWS counts of it."""

    @abstractmethod
    async def _call(self, line: Line, entries: Sequence[dict[str, Any]]) -> list[Receipt]:
        """Make one call for these entries, and read what is said of each. Raises what botocore raises."""

    async def _connect(self) -> Line:
        threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=self.service)
        try:
            client = await asyncio.get_running_loop().run_in_executor(threads, self._client)
        except BaseException:
            threads.shutdown(wait=False)
            raise
        return Line(client, threads)

    async def _disconnect(self, connection: Line) -> None:
        connection.threads.shutdown(wait=False, cancel_futures=True)
        connection.client.close()

    async def _publish(self, connection: Line, event: Dressed) -> Receipt:
        [receipt] = await self._call(connection, [self._entry(event)[0]])
        return receipt

    async def _publish_all(self, connection: Line, events: Sequence[Dressed]) -> Sequence[Receipt | Exception]:
        """Make as few calls as will do, side by side; what was accepted counts. The client has timeouts of its own."""
        made = [self._entry(each) for each in events]
        parcels = list(aws_answers.parcels([size for _, size in made], self.limit))
        calls = [asyncio.create_task(self._parcel(connection, [made[n][0] for n in parcel])) for parcel in parcels]
        try:
            await asyncio.wait(calls, timeout=2 * self._timeout)  # for what has none: looking for credentials
        finally:
            for call in calls:
                call.cancel()
            answers = await asyncio.gather(*calls, return_exceptions=True)
        found: list[Receipt | Exception] = []
        for parcel, answer in zip(parcels, answers, strict=True):
            if isinstance(answer, list):
                found += answer
            else:  # what is no exception of the usual kind was cancelled
                found += [answer if isinstance(answer, Exception) else TimeoutError()] * len(parcel)
        return found

    async def _parcel(self, line: Line, entries: Sequence[dict[str, Any]]) -> list[Receipt | Exception]:
        """Make one call. One that is refused as a whole for what is in it is made again, entry by entry."""
        try:
            receipts = await self._call(line, entries)
        except Exception as exc:
            receipt = self._explain(exc)
            if receipt is None or receipt.verdict is not Verdict.REFUSED or receipt.general:
                raise
            if len(entries) > 1:
                return await self._one_by_one(line, entries)
            receipts = [receipt]
        return [replace(each, detail=self._safe(each.detail)) for each in receipts]

    async def _one_by_one(self, line: Line, entries: Sequence[dict[str, Any]]) -> list[Receipt | Exception]:
        """Make a call for each, until one breaks: the others would fare no better, and those before it are accepted."""
        found: list[Receipt | Exception] = []
        for entry in entries:
            try:
                found += await self._parcel(line, [entry])
            except Exception as exc:  # noqa: BLE001  # whatever botocore raises is an answer here, as in ``broker.py``
                return found + [exc] * (len(entries) - len(found))
        return found

    def _explain(self, error: Exception) -> Receipt | None:
        from botocore import exceptions  # noqa: PLC0415  # an extra: imported when such a sink is built

        if isinstance(error, exceptions.ClientError):
            said = error.response.get("Error", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return aws_answers.of_code(str(said.get("Code", "")), str(said.get("Message", "")), status)
        if isinstance(error, exceptions.NoRegionError):
            return Receipt(Verdict.REFUSED, "there is no region: set region, or AWS_REGION", general=True)
        if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
            told = "there are no credentials: set access_key_id and secret_access_key, or what AWS's own tools read"
            return Receipt(Verdict.REFUSED, told, general=True)
        if isinstance(error, exceptions.ParamValidationError):
            return Receipt(Verdict.REFUSED, str(error))
        if isinstance(error, exceptions.ConnectTimeoutError | exceptions.ReadTimeoutError):
            return Receipt(Verdict.TRY_LATER, f"no answer within {self._timeout:g} s")
        return None

    def _client(self) -> Any:
        """Build the client, which reads files and takes a moment."""
        from botocore.config import Config  # noqa: PLC0415  # an extra: imported when such a sink is built

        settings = self._settings
        secret, token = settings.secret_access_key, settings.session_token
        config = Config(
            connect_timeout=self._timeout,
            read_timeout=self._timeout,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=_THREADS,
            user_agent_extra="salesforce-poller",
        )
        return _session().create_client(
            self.service,
            region_name=settings.region,
            endpoint_url=settings.endpoint_url,
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=secret.get_secret_value() if secret else None,
            aws_session_token=token.get_secret_value() if token else None,
            config=config,
        )


@functools.cache
def _descriptions() -> Any:
    """Return what reads the descriptions of services from disk, and remembers them: a second of work, once."""
    from botocore.session import Session  # noqa: PLC0415  # an extra: imported when such a sink is built

    return Session().get_component("data_loader")


def _session() -> Any:
    """Return a session that looks for credentials anew, as they may have changed."""
    from botocore.session import Session  # noqa: PLC0415  # an extra: imported when such a sink is built

    session = Session()
    session.register_component("data_loader", _descriptions())
    return session


def _warm_up(service: str) -> None:
    """Do what takes long the first time; the client is for nothing else."""
    session = _session()
    session.create_client(service, region_name="us-east-1", aws_access_key_id="-", aws_secret_access_key="-").close()  # noqa: S106  # no password


def attributes(event: Dressed) -> tuple[dict[str, Any], int]:
    """Return what SQS and SNS carry beside a message, for filters, and how many bytes AWS counts of it."""
    data = event.cloudevent["data"]
    values = {"id": event.event_id, "type": event.attributes["type"], "source": event.attributes["source"]}
    values |= {name: data[name] for name in ("org", "object", "kind") if data[name]}
    made = {name: {"DataType": "String", "StringValue": str(value)} for name, value in values.items()}
    return made, sum(len(name) + len("String") + len(str(value).encode()) for name, value in values.items())


def queued(event: Dressed, *, fifo: bool, body: str) -> tuple[dict[str, Any], int]:
    """Return what SQS and SNS have in common: attributes, and for FIFO ones the record and the id against repeats."""
    carried, size = attributes(event)
    entry: dict[str, Any] = {"MessageAttributes": carried}
    if fifo:
        entry |= {"MessageGroupId": event.key, "MessageDeduplicationId": event.repeat_id}
    return entry, size + len(body.encode())
