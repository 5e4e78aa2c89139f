"""sinks/sqs.py: the contract, for both kinds of queues, and what only SQS can do."""

from typing import Any

import orjson
import scripted
from aiohttp import web
from aws_contract import AwsContract
from broker_contract import events_of
from canned import answering
from fakes import FakeClock
from sink_contract import dressed, verdicts

from salesforce_poller.model import Verdict
from salesforce_poller.sinks.sqs import Sqs, SqsSettings


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

    async def test_a_call_that_succeeds_in_part_is_not_taken_for_a_success(self) -> None:
        """HTTP 200, with a failure in it: only that one is sent again, and nothing of its record passed it."""
        calls: list[list[str]] = []

        def half(body: bytes) -> tuple[int, bytes]:
            entries = orjson.loads(body)["Entries"]
            calls.append([orjson.loads(each["MessageBody"])["id"] for each in entries])
            failed = [{"Id": "0", "Code": "InternalError", "SenderFault": False}]
            good = [{"Id": each["Id"], "MessageId": "m", "MD5OfMessageBody": "-"} for each in entries[1:]]
            return 200, orjson.dumps({"Successful": good, "Failed": failed})

        with answering(half) as port:
            sink = self.sink_at(port)
            await sink.open()
            receipts = await sink.send(events_of(["001A", "001B"], rounds=2))
            await sink.close()
        assert [each.verdict for each in receipts] == [
            Verdict.TRY_LATER,
            Verdict.ACCEPTED,
            Verdict.TRY_LATER,
            Verdict.TRY_LATER,
        ]
        assert calls == [[f"{1:032}", f"{2:032}"], [f"{4:032}"]]

    async def test_throttling_is_about_the_moment(self) -> None:
        """And botocore does not try again behind our back."""
        calls: list[bytes] = []

        def enough(body: bytes) -> tuple[int, bytes]:
            calls.append(body)
            return 400, b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'

        with answering(enough) as port:
            sink = self.sink_at(port)
            await sink.open()
            [receipt] = await sink.send([dressed()])
            await sink.close()
        assert (receipt.verdict, receipt.detail) == (Verdict.TRY_LATER, "ThrottlingException: Rate exceeded")
        assert len(calls) == 1

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


async def test_what_was_taken_before_the_connection_broke_stays_taken() -> None:
    """A call that is too long as a whole is made entry by entry; what breaks in the middle is no reason to repeat."""
    calls: list[int] = []

    async def answer(request: web.Request) -> web.Response:
        entries = orjson.loads(receiver.bodies[-1])["Entries"]
        calls.append(len(entries))
        if len(entries) > 1:
            said = {"__type": "com.amazonaws.sqs#BatchRequestTooLong", "message": "too long"}
            return web.json_response(said, status=400)
        if len(calls) > 2:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"Successful": [{"Id": "0", "MessageId": "m"}], "Failed": []})

    async with scripted.serving() as receiver:
        receiver.answer = answer
        where = {
            "queue_url": receiver.url,
            "endpoint_url": receiver.url.removesuffix("/hook"),
            "region": "eu-central-1",
        }
        keys = {"access_key_id": "test", "secret_access_key": "test"}
        sink = Sqs(SqsSettings.model_validate({"type": "sqs", **where, **keys}), FakeClock())
        await sink.open()
        found = await verdicts(sink, [dressed(n, id=str(n), record_id=str(n)) for n in range(3)])
        await sink.close()
    assert calls[:3] == [3, 1, 1]
    assert found == [Verdict.ACCEPTED, Verdict.TRY_LATER, Verdict.TRY_LATER]


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
