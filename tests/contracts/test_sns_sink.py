"""sinks/sns.py: the contract, for both kinds of topics, with a queue that has subscribed."""

from typing import Any

from aws_contract import AwsContract
from moto_process import REGION
from sink_contract import dressed

from salesforce_poller.sinks.base import Dressed


class TestSns(AwsContract):
    """A standard topic."""

    def settings(self) -> dict[str, Any]:
        return {"type": "sns", "topic_arn": f"arn:aws:sns:{REGION}:123456789012:{self.name}"}

    def make_more(self) -> None:
        client = self.server.client("sns")
        client.create_topic(Name=self.name, Attributes={"FifoTopic": "true"} if self.fifo else {})
        raw = {"RawMessageDelivery": "true"}
        topic = self.settings()["topic_arn"]
        client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.queue_arn, Attributes=raw)

    async def test_it_carries_any_text_and_any_size(self) -> None:
        """Up to the 256 KiB of a topic, beyond which it is refused: said by ``too_large``."""
        await self.carries(250_000)

    def too_large(self) -> Dressed:
        return dressed(2, id="2", record_id="001B", record={"Description": "x" * 300_000})

    async def test_check_tells_of_a_topic_that_nobody_listens_to(self) -> None:
        """SNS confirms all the same."""
        sink = self.a_sink()
        await sink.open()
        assert await sink.warnings() == []
        client = self.server.client("sns")
        for each in client.list_subscriptions_by_topic(TopicArn=self.settings()["topic_arn"])["Subscriptions"]:
            client.unsubscribe(SubscriptionArn=each["SubscriptionArn"])
        [warning] = await sink.warnings()
        assert warning.startswith("nobody has subscribed to the topic")
        await sink.close()


class TestSnsFifo(TestSns):
    """A FIFO topic, with a FIFO queue."""

    fifo = True

    def repeat_id_of(self, message: dict[str, Any]) -> str:
        found: str = message["Attributes"]["MessageDeduplicationId"]
        return found
