"""What every sink promises: open, send, probe, close; and the settings all sinks share.

A sink answers with values. It never raises for "no", never retries and never sleeps: what follows from an answer is
decided in ``delivery/retry.py``. Called by ``delivery/dispatcher.py``; the sinks themselves are the files beside this
one, listed in ``catalogue.py``.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from salesforce_poller.clock import Clock, parse_span, parse_start
from salesforce_poller.model import Kind, Ordering, Receipt

#: A span of time as people write it: "30s", "5m", "3d".
Span = Annotated[timedelta, BeforeValidator(parse_span)]
#: Names to let through. An empty list would let nothing through, which nobody means.
Names = Annotated[list[str], Field(min_length=1)]


class SinkSettings(BaseModel):
    """What every ``[sinks.NAME]`` can say: which events it wants, and how long to try."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Names of orgs in this configuration; None: all.
    orgs: Names | None = None
    #: API names of objects, in any case of letters; None: all.
    objects: Names | None = None
    #: Kinds of events; None: all but alerts.
    events: Annotated[list[Kind], Field(min_length=1)] | None = None
    #: Field paths; of ``updated`` events, only those in which one of these changed. None: all.
    changed: Names | None = None
    #: A CEL expression over ``event``, ``record`` and ``previous``; only events of which it is true. None: all.
    when: str | None = None
    #: Paths of the fields that are sent in ``record``, ``previous`` and ``changed``, in any case of letters; None: all.
    fields: Names | None = None
    #: Which events wait for an earlier one that is neither delivered nor given up.
    ordering: Ordering = Ordering.RECORD
    #: Where a sink begins that the store has never seen: with what is recorded from now on, with all that is kept, or
    #: with the first event recorded at or after an instant (UTC).
    start: Annotated[Literal["now", "beginning"] | datetime, BeforeValidator(parse_start)] = "now"
    #: How long one event is tried before it is given up: long enough for a weekend without anybody looking.
    give_up_after: Span = timedelta(days=3)


class Attributes(msgspec.Struct, gc=False):
    """What a CloudEvent says of itself, in the order in which it is written."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    partitionkey: str
    #: Compared as text, so it is padded: 20 digits hold every 64-bit number.
    sequence: str


class _Attributes(Attributes):
    """With an extension that is there where it is true, behind the data; the data is passed over."""

    replay: bool | msgspec.UnsetType = msgspec.UNSET


_attributes = msgspec.json.Decoder(_Attributes).decode


@dataclass  # a frozen one takes three times as long to make
class Dressed:
    """One event, dressed for the road by ``delivery/envelope.py``. Nobody changes it."""

    #: The CloudEvent as JSON, without line breaks.
    body: bytes

    @functools.cached_property
    def attributes(self) -> Mapping[str, Any]:
        """The context attributes of the CloudEvent: all of it but ``data``, which is not read."""
        found: Mapping[str, Any] = msgspec.to_builtins(_attributes(self.body))
        return found

    @functools.cached_property
    def cloudevent(self) -> Mapping[str, Any]:
        """The same as a value, for those who need more of it than the attributes: for templates and columns."""
        found: Mapping[str, Any] = orjson.loads(self.body)
        return found

    @property
    def event_id(self) -> str:
        """The id by which consumers recognise a repeat, together with ``source``."""
        found: str = self.attributes["id"]
        return found

    @property
    def repeat_id(self) -> str:
        """For the field by which a broker itself drops repeats: somebody who asks for a replay wants to see it."""
        return f"{self.event_id}-replay" if self.attributes.get("replay") else self.event_id

    @property
    def key(self) -> str:
        """The unit of ordering: the record."""
        found: str = self.attributes["partitionkey"]
        return found


#: Tells what describe says of an object, by the names of org and object: the types of its fields by path, several where
#: a path leads to objects that do not agree; None when nothing is known. Raises StoreError.
Describe = Callable[[str, str], Awaitable[Mapping[str, Sequence[str]] | None]]

SettingsT = TypeVar("SettingsT", bound=SinkSettings)


class Sink(ABC, Generic[SettingsT]):
    """Somewhere events go."""

    def __init__(self, settings: SettingsT, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock

    @property
    def concurrency(self) -> int:
        """How many sends may run side by side; events of one record are in two of them only if ``ordering`` is none."""
        return 1

    @property
    def batch(self) -> int:
        """How many events one send takes at most."""
        return 1

    @property
    def batch_wait(self) -> timedelta:
        """How long fewer events than ``batch`` may wait for company before they are sent."""
        return timedelta()

    @property
    def one_answer(self) -> bool:
        """Whether the answer to a send counts for all of its events; then one that failed before is sent alone."""
        return False

    def learn(self, describe: Describe) -> None:
        """Take what tells the types of fields, before :meth:`open`; a sink keeps it if types mean something to it."""

    async def open(self) -> None:
        """Make what must live in the running loop. Does not talk to the other side, so it cannot fail on it."""

    @abstractmethod
    async def send(self, events: Sequence[Dressed]) -> list[Receipt]:
        """Hand over up to ``batch`` events, in order; answer one receipt each, in the same order.

        Events of one record come in their order. When one of them is not accepted, later ones of the same record in
        the same call must not have reached the other side before it.
        """

    @abstractmethod
    async def probe(self) -> Receipt:
        """Say whether the sink can be reached, without sending an event; for ``check``."""

    async def warnings(self) -> list[str]:
        """Say how the other side is set up to lose or repeat events without telling anybody; for ``check``.

        Asked after a probe that was accepted. What cannot be found out is said too, or left out; it never raises.
        """
        return []

    async def close(self) -> None:
        """Let go of everything. May be called twice, and without :meth:`open`."""
