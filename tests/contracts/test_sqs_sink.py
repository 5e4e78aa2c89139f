"""sinks/sqs.py: the contract, for both kinds of queues, and what only SQS can do."""

from typing import Any

from aws_contract import AwsContract
from sink_contract import dressed

from salesforce_poller.model import Verdict


class TestSqs(AwsContract):
    """A standard queue."""

    def settings(self) -> dict[str, Any]:
        return {"type": "sqs", "queue_url": self.queue_url}

    async def test_what_readers_filter_by_stands_beside_the_message(self) -> None:
        """As attributes, which need no parsing."""
        sink = self.a_sink()
        await sink.open()
        await sink.send([dressed()])
        await sink.close()
        self.received()
        [message] = self._taken_out
        told = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
        assert told == {
            "id": "b1946ac92492d2347c6235b4d2611184",
            "type": "salesforce.Lead.updated",
            "source": "urn:salesforce:00D5g000008abcdEAA",
            "org": "acme",
            "object": "Lead",
            "kind": "updated",
        }

    async def test_a_batch_beyond_the_size_of_a_call_is_several_calls(self) -> None:
        """Ten of them make more than SQS takes at once."""
        sink = self.a_sink()
        await sink.open()
        events = [dressed(n, record_id=f"{n}", record={"Description": "x" * 300_000}) for n in range(10)]
        assert [each.verdict for each in await sink.send(events)] == [Verdict.ACCEPTED] * 10
        await sink.close()
        assert sorted(self.received()) == sorted(each.body for each in events)

    async def test_check_tells_of_a_queue_that_forgets_soon(self) -> None:
        """A weekend without a reader should not cost a message."""
        sink = self.a_sink()
        await sink.open()
        assert await sink.warnings() == []
        shorter = {"MessageRetentionPeriod": "3600"}
        self.server.client("sqs").set_queue_attributes(QueueUrl=self.queue_url, Attributes=shorter)
        assert await sink.warnings() == ["the queue drops messages that nobody has taken within 1h"]
        await sink.close()


class TestSqsFifo(AwsContract):
    """A FIFO queue."""

    fifo = True

    def settings(self) -> dict[str, Any]:
        return {"type": "sqs", "queue_url": self.queue_url}

    def repeat_id_of(self, message: dict[str, Any]) -> str:
        found: str = message["Attributes"]["MessageDeduplicationId"]
        return found

    async def test_it_carries_any_text_and_any_size(self) -> None:
        """A megabyte; two events of one id would be one here."""
        await self.carries(1_000_000)

    async def test_a_repeat_within_minutes_is_dropped_by_sqs_itself(self) -> None:
        """And the record is the group."""
        sink = self.a_sink()
        await sink.open()
        for _ in range(2):
            [receipt] = await sink.send([dressed()])
            assert receipt.verdict is Verdict.ACCEPTED
        await sink.close()
        assert self.received() == [dressed().body]
        assert self._taken_out[0]["Attributes"]["MessageGroupId"] == dressed().key
