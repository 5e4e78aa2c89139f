"""Events as messages in an SQS queue, standard or FIFO. How it is called is in ``aws.py``.

A FIFO queue gets the record as MessageGroupId and the event id as MessageDeduplicationId, by which SQS itself drops
repeats within five minutes.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from salesforce_poller.clock import format_span
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import aws, aws_answers
from salesforce_poller.sinks.aws import Aws, AwsSettings, Line
from salesforce_poller.sinks.base import Dressed

#: What SQS itself takes when nothing is said. Less is somebody's decision, or slip.
_USUAL_RETENTION = timedelta(days=4)


class SqsSettings(AwsSettings):
    """``type = "sqs"``."""

    type: Literal["sqs"]
    #: The address of the queue; that of a FIFO queue ends with ``.fifo``.
    queue_url: Annotated[str, AfterValidator(aws.http_address)]

    @property
    def fifo(self) -> bool:
        """Say whether it is a FIFO queue; its name must say so."""
        return self.queue_url.endswith(".fifo")


class Sqs(Aws[SqsSettings]):
    """One queue."""

    service = "sqs"
    limit = 1024 * 1024

    def _entry(self, event: Dressed) -> tuple[dict[str, Any], int]:
        body = aws_answers.text(event.body)
        entry, size = aws.queued(event, fifo=self._settings.fifo, body=body)
        return entry | {"MessageBody": body}, size

    async def _call(self, line: Line, entries: Sequence[dict[str, Any]]) -> list[Receipt]:
        numbered = [{"Id": str(place), **entry} for place, entry in enumerate(entries)]
        answer = await line.ask("send_message_batch", QueueUrl=self._settings.queue_url, Entries=numbered)
        return aws_answers.by_id(answer, len(entries))

    async def _look(self, connection: Line) -> Receipt:
        await self._attributes(connection)
        return Receipt(Verdict.ACCEPTED, f"reachable ({'FIFO' if self._settings.fifo else 'standard'} queue)")

    async def _doubts(self, connection: Line) -> list[str]:
        kept = timedelta(seconds=int((await self._attributes(connection))["MessageRetentionPeriod"]))
        if kept >= _USUAL_RETENTION:
            return []
        return [f"the queue drops messages that nobody has taken within {format_span(kept.total_seconds())}"]

    async def _attributes(self, line: Line) -> dict[str, str]:
        wanted = ["QueueArn", "MessageRetentionPeriod"]
        answer = await line.ask("get_queue_attributes", QueueUrl=self._settings.queue_url, AttributeNames=wanted)
        found: dict[str, str] = answer["Attributes"]
        return found
