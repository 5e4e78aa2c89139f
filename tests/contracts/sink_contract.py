"""What every sink promises. A sink's own test subclasses :class:`SinkContract` and adds what only it can do."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import orjson
from builders import a_delivery

from salesforce_poller.delivery import envelope
from salesforce_poller.model import Verdict
from salesforce_poller.sinks.base import Dressed, Sink


def dressed(position: int = 42, **event: Any) -> Dressed:
    """Return an event, dressed as the dispatcher does it."""
    return envelope.dress(a_delivery(position=position, **event))


async def verdicts(sink: Sink[Any], events: Sequence[Dressed]) -> list[Verdict]:
    """Send as many at a time as the sink takes, and return what it says of each."""
    found: list[Verdict] = []
    for start in range(0, len(events), sink.batch):
        found += [receipt.verdict for receipt in await sink.send(events[start : start + sink.batch])]
    return found


class SinkContract(ABC):
    """Every sink passes these, whatever is on its other side."""

    @abstractmethod
    def a_sink(self) -> Sink[Any]:
        """Return a sink that will accept."""

    @abstractmethod
    def a_broken_sink(self) -> Sink[Any]:
        """Return a sink whose other side cannot be reached."""

    @abstractmethod
    def received(self) -> list[bytes]:
        """Return the CloudEvents that arrived at the other side, in order."""

    async def test_what_it_accepts_has_arrived(self) -> None:
        """As it was handed over, byte for byte."""
        sink = self.a_sink()
        await sink.open()
        event = dressed()
        assert await verdicts(sink, [event]) == [Verdict.ACCEPTED]
        assert self.received() == [event.body]
        await sink.close()

    async def test_it_keeps_the_order(self) -> None:
        """Events arrive in the order in which they were sent."""
        sink = self.a_sink()
        await sink.open()
        events = [dressed(position, id=f"{position:032}") for position in range(1, 21)]
        assert await verdicts(sink, events) == [Verdict.ACCEPTED] * 20
        assert [orjson.loads(body)["id"] for body in self.received()] == [each.event_id for each in events]
        await sink.close()

    async def test_it_carries_any_text_and_any_size(self) -> None:
        """All of Unicode, line breaks inside values, and a record of a megabyte."""
        sink = self.a_sink()
        await sink.open()
        events = [
            dressed(1, id="1", record={"Name": "Zoë 株式会社 🚀 \u2028 \r\n \x00 \x1b[0m"}),
            dressed(2, id="2", record={"Description": "x" * 1_000_000}),
        ]
        assert await verdicts(sink, events) == [Verdict.ACCEPTED] * 2
        assert self.received() == [each.body for each in events]
        await sink.close()

    async def test_an_other_side_that_is_away_is_an_answer(self) -> None:
        """Not an exception: try later, with a line for the operator."""
        sink = self.a_broken_sink()
        await sink.open()
        [receipt] = await sink.send([dressed()])
        assert receipt.verdict is Verdict.TRY_LATER
        assert receipt.detail.isprintable()
        assert 0 < len(receipt.detail) <= 300
        assert (await sink.probe()).verdict is Verdict.TRY_LATER
        await sink.close()

    async def test_a_probe_sends_nothing(self) -> None:
        """It only says whether the sink can be reached."""
        sink = self.a_sink()
        await sink.open()
        assert (await sink.probe()).verdict is Verdict.ACCEPTED
        assert self.received() == []
        await sink.close()

    async def test_it_can_be_closed_twice_and_unopened(self) -> None:
        """Closing is for a ``finally``."""
        sink = self.a_sink()
        await sink.close()
        await sink.open()
        await sink.close()
        await sink.close()
