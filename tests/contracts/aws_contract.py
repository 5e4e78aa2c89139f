"""What the sinks for SQS, SNS and EventBridge share under test: moto, and one queue in which all of it ends."""

import secrets
from abc import abstractmethod
from typing import Any

import pytest
from broker_contract import SECRET, BrokerContract
from fakes import FakeClock
from moto_process import REGION, Moto
from sink_contract import dressed, verdicts

from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import catalogue
from salesforce_poller.sinks.base import Dressed, Sink


class AwsContract(BrokerContract):
    """A sink whose messages end in an SQS queue of each test's own, from which they are taken as they are read."""

    timeout = 2.0
    fifo = False

    @pytest.fixture(autouse=True)
    def _stand_in(self, moto_server: Moto, guarded_moto_server: Moto) -> None:
        self._moto, self._guarded = moto_server, guarded_moto_server
        self._moto.save = self._moto.make_again = lambda: None
        self._moto.start()
        self.name = f"t{secrets.token_hex(6)}{'.fifo' if self.fifo else ''}"
        self._taken_out: list[dict[str, Any]] = []
        self._make()
        self._moto.save, self._moto.make_again = self._take_out, self._make

    @property
    def server(self) -> Moto:
        return self._moto

    # ------------------------------------------------------------------ what a subclass says

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return ``type`` and where to publish, as the configuration has it."""

    def make_more(self) -> None:
        """Make what stands before the queue."""

    def body_of(self, message: dict[str, Any]) -> bytes:
        """Return the CloudEvent in a message of the queue."""
        return str(message["Body"]).encode()

    def repeat_id_of(self, message: dict[str, Any]) -> str:
        """Return what tells repeats."""
        found: str = message["MessageAttributes"]["id"]["StringValue"]
        return found

    # ------------------------------------------------------------------ the contract

    def sink_at(self, port: int, **settings: Any) -> Sink[Any]:
        keys = {"region": REGION, "access_key_id": "test", "secret_access_key": "test", "timeout": f"{self.timeout}s"}
        where = {"endpoint_url": f"http://127.0.0.1:{port}"}
        everything = {**self.settings(), **keys, **where, **settings}
        kind = catalogue.KINDS[everything["type"]]
        return kind.sink(kind.settings(**everything), FakeClock())

    def received(self) -> list[bytes]:
        self._take_out()
        return [self.body_of(each) for each in self._taken_out]

    def repeat_ids(self) -> list[str]:
        self._take_out()
        return [self.repeat_id_of(each) for each in self._taken_out]

    def too_large(self) -> Dressed:
        return dressed(2, id="2", record_id="001B", record={"Description": "x" * 1_100_000})

    async def with_wrong_login(self) -> Receipt:
        sink = self.sink_at(self._guarded.port, access_key_id="AKIAWRONG", secret_access_key=SECRET)
        await sink.open()
        [receipt] = await sink.send([dressed()])
        probed = await sink.probe()
        await sink.close()
        assert (probed.verdict, probed.general) == (receipt.verdict, receipt.general)
        return receipt

    async def test_what_is_not_there_is_about_the_whole_sink(self) -> None:
        """A queue, topic or bus that nobody has made."""
        where = {key: value.replace(self.name, f"nowhere{self.name}") for key, value in self.settings().items()}
        sink = self.sink_at(self.server.port, **where)
        await sink.open()
        [receipt] = await sink.send([dressed()])
        probed = await sink.probe()
        await sink.close()
        assert (receipt.verdict, receipt.general) == (Verdict.REFUSED, True), receipt
        assert (probed.verdict, probed.general) == (Verdict.REFUSED, True), probed

    async def test_letters_that_a_message_may_not_hold_arrive_all_the_same(self) -> None:
        """SQS would put U+FFFD in their place without a word."""
        sink = self.a_sink()
        await sink.open()
        event = dressed(record={"Name": "\ufffe \uffff \x00 \x0b \x7f"})
        assert await verdicts(sink, [event]) == [Verdict.ACCEPTED]
        await sink.close()
        [body] = self.received()
        assert body.decode().isascii()
        assert b"\\ufffe \\uffff \\u0000 \\u000b \x7f" in body

    async def test_a_replay_is_no_repeat(self) -> None:
        """It has an id of its own where repeats are dropped, and arrives."""
        sink = self.a_sink()
        await sink.open()
        assert await verdicts(sink, [dressed(), dressed(replay=True)]) == [Verdict.ACCEPTED] * 2
        await sink.close()
        assert len(self.received()) == 2

    async def carries(self, size: int) -> None:
        """Have it carry any text, and a record of so many letters."""
        sink = self.a_sink()
        await sink.open()
        events = [
            dressed(1, id="1", record={"Name": "Zoë 株式会社 🚀 \u2028 \r\n \x00 \x1b[0m"}),
            dressed(2, id="2", record={"Description": "x" * size}),
        ]
        assert await verdicts(sink, events) == [Verdict.ACCEPTED] * 2
        await sink.close()
        assert self.received() == [each.body for each in events]

    # ------------------------------------------------------------------ the queue

    @property
    def queue_url(self) -> str:
        """The address of the queue; it names another port than the sinks use, which must not matter."""
        return f"http://127.0.0.1:{self.server.port}/123456789012/{self.name}"

    @property
    def queue_arn(self) -> str:
        """How others name the queue."""
        return f"arn:aws:sqs:{REGION}:123456789012:{self.name}"

    def _make(self) -> None:
        attributes = {"FifoQueue": "true"} if self.fifo else {}
        self.server.client("sqs").create_queue(QueueName=self.name, Attributes=attributes)
        self.make_more()

    def _take_out(self) -> None:
        """Take everything out of the queue, in its order."""
        client = self.server.client("sqs")
        wanted = {"MaxNumberOfMessages": 10, "AttributeNames": ["All"], "MessageAttributeNames": ["All"]}
        while found := client.receive_message(QueueUrl=self.queue_url, **wanted).get("Messages"):
            self._taken_out += found
            for each in found:
                client.delete_message(QueueUrl=self.queue_url, ReceiptHandle=each["ReceiptHandle"])
        client.close()
