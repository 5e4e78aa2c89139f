"""sinks/broker.py: what becomes of the events of a wave, whatever becomes of the others."""

from typing import Literal

from fakes import FakeClock
from sink_contract import dressed

from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks.base import Dressed
from salesforce_poller.sinks.broker import Broker, BrokerSettings


class _Settings(BrokerSettings):
    type: Literal["nowhere"] = "nowhere"


class _Nowhere(Broker[_Settings, str]):
    """A broker to which objects are topics: one is missing, one is slow, every other is fine."""

    async def _connect(self) -> str:
        return "a connection"

    async def _disconnect(self, connection: str) -> None:
        del connection

    async def _publish(self, connection: str, event: Dressed) -> Receipt:
        match event.cloudevent["data"]["object"]:
            case "Missing":
                raise LookupError
            case "Slow":
                raise TimeoutError
        return Receipt(Verdict.ACCEPTED, reference=connection)

    def _explain(self, error: Exception) -> Receipt | None:
        return Receipt(Verdict.REFUSED, "there is no such topic") if isinstance(error, LookupError) else None


async def test_each_event_of_a_wave_is_told_what_is_wrong_with_it() -> None:
    """Two topics can fail for two reasons; one of them must not be the other's refusal."""
    objects = ("Missing", "Slow", "Lead", "Missing")
    events = [dressed(n, id=str(n), record_id=str(n), object=each) for n, each in enumerate(objects)]
    sink = _Nowhere(_Settings(), FakeClock())
    receipts = await sink.send(events)
    missing = (Verdict.REFUSED, "there is no such topic")
    slow = (Verdict.TRY_LATER, "no answer within 20 s")
    assert [(each.verdict, each.detail) for each in receipts] == [missing, slow, (Verdict.ACCEPTED, ""), missing]
