"""Events as messages to an SNS topic, standard or FIFO. How it is called is in ``aws.py``.

A FIFO topic gets the record as MessageGroupId and the event id as MessageDeduplicationId, by which SNS itself drops
repeats within five minutes.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import aws, aws_answers
from salesforce_poller.sinks.aws import Aws, AwsSettings, Line
from salesforce_poller.sinks.base import Dressed

_ARN = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+(\.fifo)?")


def _arn(value: str) -> str:
    if not _ARN.fullmatch(value):
        raise ValueError('should be the ARN of a topic, such as "arn:aws:sns:eu-central-1:123456789012:leads"')
    return value


class SnsSettings(AwsSettings):
    """``type = "sns"``."""

    type: Literal["sns"]
    #: The topic; that of a FIFO topic ends with ``.fifo``.
    topic_arn: Annotated[str, AfterValidator(_arn)]

    @property
    def fifo(self) -> bool:
        """Say whether it is a FIFO topic; its name must say so."""
        return self.topic_arn.endswith(".fifo")


class Sns(Aws[SnsSettings]):
    """One topic."""

    service = "sns"
    limit = 256 * 1024

    def _entry(self, event: Dressed) -> tuple[dict[str, Any], int]:
        body = aws_answers.text(event.body)
        entry, size = aws.queued(event, fifo=self._settings.fifo, body=body)
        return entry | {"Message": body}, size

    async def _call(self, line: Line, entries: Sequence[dict[str, Any]]) -> list[Receipt]:
        numbered = [{"Id": str(place), **entry} for place, entry in enumerate(entries)]
        topic = self._settings.topic_arn
        answer = await line.ask("publish_batch", TopicArn=topic, PublishBatchRequestEntries=numbered)
        return aws_answers.by_id(answer, len(entries))

    async def _look(self, connection: Line) -> Receipt:
        await connection.ask("get_topic_attributes", TopicArn=self._settings.topic_arn)
        return Receipt(Verdict.ACCEPTED, f"reachable ({'FIFO' if self._settings.fifo else 'standard'} topic)")

    async def _doubts(self, connection: Line) -> list[str]:
        found = await connection.ask("list_subscriptions_by_topic", TopicArn=self._settings.topic_arn)
        if any(each["SubscriptionArn"].startswith("arn:") for each in found["Subscriptions"]):
            return []
        return ["nobody has subscribed to the topic: what is published to it is confirmed, and gone"]
