"""sinks/eventbridge.py: the contract, with a rule that puts everything into a queue."""

from typing import Any

import orjson
from aws_contract import AwsContract
from sink_contract import dressed, verdicts

from salesforce_poller.model import Verdict
from salesforce_poller.sinks.base import Dressed


class TestEventbridge(AwsContract):
    """A bus with one rule."""

    def settings(self) -> dict[str, Any]:
        return {"type": "eventbridge", "bus": self.name}

    def make_more(self) -> None:
        client = self.server.client("events")
        client.create_event_bus(Name=self.name)
        pattern = orjson.dumps({"source": ["salesforce-poller"]}).decode()
        client.put_rule(Name="all", EventBusName=self.name, EventPattern=pattern)
        client.put_targets(Rule="all", EventBusName=self.name, Targets=[{"Id": "queue", "Arn": self.queue_arn}])

    def body_of(self, message: dict[str, Any]) -> bytes:
        return orjson.dumps(orjson.loads(message["Body"])["detail"])

    def repeat_id_of(self, message: dict[str, Any]) -> str:
        """It has no field for it; readers find the event's id in the detail."""
        found: str = orjson.loads(message["Body"])["detail"]["id"]
        return found

    async def test_it_carries_any_text_and_any_size(self) -> None:
        """Up to what a bus takes, beyond which it is refused: said by ``too_large``."""
        await self.carries(250_000)

    async def test_letters_that_a_message_may_not_hold_arrive_all_the_same(self) -> None:
        """As escapes in the detail, which is JSON anyway."""
        sink = self.a_sink()
        await sink.open()
        event = dressed(record={"Name": "\ufffe \uffff \x00 \x7f"})
        assert await verdicts(sink, [event]) == [Verdict.ACCEPTED]
        await sink.close()
        assert self.received() == [event.body]

    async def test_rules_find_what_they_match_by(self) -> None:
        """Source, type, record and time."""
        sink = self.a_sink()
        await sink.open()
        await sink.send([dressed()])
        await sink.close()
        self.received()
        told = orjson.loads(self._taken_out[0]["Body"])
        assert (told["source"], told["detail-type"]) == ("salesforce-poller", "salesforce.Lead.updated")
        assert told["resources"] == ["urn:salesforce:00D5g000008abcdEAA/Lead/00Q5g00000AbCdEEAV"]
        assert told["time"].startswith("2026-11-21T10:00:00")

    async def test_check_tells_of_a_bus_without_rules(self) -> None:
        """EventBridge confirms what no rule matches, and drops it."""
        sink = self.a_sink()
        await sink.open()
        assert await sink.warnings() == []
        self.server.client("events").disable_rule(Name="all", EventBusName=self.name)
        [warning] = await sink.warnings()
        assert warning.startswith("no rule of the bus is switched on")
        await sink.close()

    def too_large(self) -> Dressed:
        return dressed(2, id="2", record_id="001B", record={"Description": "x" * 1_100_000})
