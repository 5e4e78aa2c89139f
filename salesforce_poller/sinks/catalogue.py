"""The table of sinks: the word in the configuration, its settings and its class.

A new kind of sink is one file beside this one, one line in :data:`KINDS` and one subclass of the contract in
``tests/contracts``. The file is imported when a configuration names the kind: a process has one or two of them. Called
by ``config.py`` and ``app.py``.
"""

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import PlainValidator
from pydantic_core import PydanticCustomError

from salesforce_poller.clock import Clock
from salesforce_poller.sinks.base import Sink, SinkSettings


@dataclass(frozen=True, slots=True)
class SinkKind:
    """What one word stands for: ``Webhook`` and ``WebhookSettings`` in ``webhook.py``."""

    word: str
    #: The module that must be there for it, when it is not installed without the extra of this name.
    module: str = ""

    @property
    def settings(self) -> type[SinkSettings]:
        """What reads its table of the configuration."""
        found: type[SinkSettings] = self._named(f"{self.word.capitalize()}Settings")
        return found

    @property
    def sink(self) -> type[Sink[Any]]:
        """What delivers."""
        found: type[Sink[Any]] = self._named(self.word.capitalize())
        return found

    def _named(self, name: str) -> Any:
        return getattr(importlib.import_module(f"salesforce_poller.sinks.{self.word}"), name)


_ALL = (
    SinkKind("webhook"),
    SinkKind("stdout"),
    SinkKind("file"),
    SinkKind("redis", module="redis"),
    SinkKind("kafka", module="confluent_kafka"),
    SinkKind("sqs", module="botocore"),
    SinkKind("sns", module="botocore"),
    SinkKind("eventbridge", module="botocore"),
    SinkKind("sql"),  # looks for its library itself: SQLite needs none
    SinkKind("rabbitmq", module="aio_pika"),
    SinkKind("nats", module="nats"),
    SinkKind("mqtt", module="paho"),
)
KINDS = {kind.word: kind for kind in _ALL}


def _read(value: Any) -> SinkSettings:
    """Read a table as its ``type`` says; what is wrong in it keeps its place."""
    if isinstance(value, SinkSettings):
        return value
    word = value.get("type") if isinstance(value, dict) else None
    if not isinstance(word, str) or word not in KINDS:
        raise PydanticCustomError("sink_type", f"type should be one of: {', '.join(KINDS)}")
    return KINDS[word].settings.model_validate(value)


#: ``[sinks.NAME]``: which of the tables it is, its ``type`` says.
AnySinkSettings = Annotated[SinkSettings, PlainValidator(_read)]


def lacking(word: str) -> str:
    """Say what a kind of sink needs that is not installed; empty when nothing is, or when there is no such kind."""
    kind = KINDS.get(word)
    if kind is None or not kind.module or importlib.util.find_spec(kind.module):
        return ""
    return f"needs a library that is not installed: pip install 'salesforce-poller[{word}]'"


def word_of(settings: SinkSettings) -> str:
    """Return the ``type`` of a sink, which each kind has as a field of its own."""
    found: str = settings.type  # type: ignore[attr-defined]  # a kind's settings, not the base's
    return found


def build(settings: SinkSettings, clock: Clock) -> Sink[Any]:
    """Return the sink for its settings, not yet open."""
    return KINDS[word_of(settings)].sink(settings, clock)
