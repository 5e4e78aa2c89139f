"""Events on an EventBridge bus: the CloudEvent is the detail, its type the detail-type. How it is called: ``aws.py``.

EventBridge keeps no order between calls and knows no repeats: consumers have ``detail.sequence`` and ``detail.id``.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import aws_answers
from salesforce_poller.sinks.aws import Aws, AwsSettings, Line
from salesforce_poller.sinks.base import Dressed


def _source(value: str) -> str:
    if value.lower().startswith("aws."):
        raise ValueError('should not begin with "aws.", which AWS keeps for itself')
    return value


class EventbridgeSettings(AwsSettings):
    """``type = "eventbridge"``."""

    type: Literal["eventbridge"]
    #: Name or ARN of the bus.
    bus: Annotated[str, Field(min_length=1, max_length=1600)] = "default"
    #: What rules find as ``source``.
    source: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_source)] = "salesforce-poller"


class Eventbridge(Aws[EventbridgeSettings]):
    """One bus."""

    service = "events"
    limit = 256 * 1024

    def _entry(self, event: Dressed) -> tuple[dict[str, Any], int]:
        detail = aws_answers.text(event.body)
        about = f"{event.attributes['source']}/{event.attributes['subject']}"
        entry = {
            "Time": datetime.fromisoformat(event.attributes["time"]),
            "Source": self._settings.source,
            "Resources": [about],
            "DetailType": event.attributes["type"],
            "Detail": detail,
            "EventBusName": self._settings.bus,
        }
        texts = (detail, about, self._settings.source, event.attributes["type"])
        return entry, 14 + sum(len(each.encode()) for each in texts)  # 14 for the time ("PutEvents entry size")

    async def _call(self, line: Line, entries: Sequence[dict[str, Any]]) -> list[Receipt]:
        return aws_answers.by_place(await line.ask("put_events", Entries=list(entries)), len(entries))

    async def _look(self, connection: Line) -> Receipt:
        await connection.ask("describe_event_bus", Name=self._settings.bus)
        return Receipt(Verdict.ACCEPTED, f"reachable (bus {self._settings.bus})")

    async def _doubts(self, connection: Line) -> list[str]:
        found = await connection.ask("list_rules", EventBusName=self._settings.bus)
        if any(each.get("State") != "DISABLED" and each.get("EventPattern") for each in found["Rules"]):
            return []
        return ["no rule of the bus is switched on: what no rule matches is confirmed, and gone"]
