"""telemetry.py about sinks and about the minute: one warning for each trouble, one line a minute, the rest at debug."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from builders import NOON
from fakes import FakeClock
from structlog.testing import capture_logs

from salesforce_poller.errors import StoreError
from salesforce_poller.model import DispatchReport, Duty, PollFailure, PollReport
from salesforce_poller.telemetry import SinkLog, Telemetry

FAILS = DispatchReport("crm", parked=2, retried=1, wait=4.96, detail="HTTP 503")
WORKS = DispatchReport("crm", delivered=3)


@dataclass
class Heard:
    """A listener that remembers what it heard."""

    reports: list[object] = field(default_factory=list)

    def polled(self, report: PollReport | PollFailure) -> None:
        """Remember it."""
        self.reports.append(report)

    def dispatched(self, report: DispatchReport) -> None:
        """Remember it."""
        self.reports.append(report)

    def called(self, org: str, kind: str) -> None:
        """Remember it."""
        self.reports.append((org, kind))


def told(*rounds: tuple[float, DispatchReport]) -> list[tuple[str, str]]:
    """Return level and event of what is said of rounds, each so many seconds after the one before."""
    clock = FakeClock(NOON)
    log = SinkLog(clock)
    with capture_logs() as lines:
        for seconds, report in rounds:
            clock.advance(seconds)
            log.dispatched(report)
    return [(line["log_level"], line["event"]) for line in lines]


def test_each_round_that_did_something_is_told_at_debug_with_all_it_came_to() -> None:
    """And one that found nothing to do is not told at all."""
    log = SinkLog(FakeClock(NOON))
    with capture_logs() as lines:
        log.dispatched(DispatchReport("crm", delivered=3, filtered=1))
        log.dispatched(DispatchReport("crm"))
    assert lines == [
        {"log_level": "debug", "event": "sink.delivered", "sink": "crm", "delivered": 3, "retried": 0, "parked": 0,
         "dead": 0, "filtered": 1},
    ]  # fmt: skip


def test_a_sink_that_fails_is_warned_of_once_and_its_end_is_told_once() -> None:
    """The end is known when nothing has failed for a minute."""
    assert told((0, FAILS), (5, FAILS), (300, WORKS), (1, WORKS)) == [
        ("warning", "sink.failing"), ("debug", "sink.failing"),
        ("debug", "sink.delivered"), ("info", "sink.recovered"), ("debug", "sink.delivered"),
    ]  # fmt: skip


def test_a_sink_that_takes_every_other_event_does_not_fill_the_log() -> None:
    """Nor one that has many bad records among good ones."""
    lines = told(*[(1, FAILS), (1, WORKS)] * 50)
    assert [line for line in lines if line[0] != "debug"] == [("warning", "sink.failing")]


def test_what_waits_behind_another_event_is_no_failure() -> None:
    """The one before it was told when it failed."""
    assert told((0, DispatchReport("crm", parked=4))) == [("debug", "sink.delivered")]


def test_giving_up_and_switching_off_are_warned_of_in_the_middle_of_a_failure() -> None:
    """They want a person; the first event that is given up, and the switch."""
    gave_up = DispatchReport("crm", dead=1, detail="HTTP 400")
    off = DispatchReport("crm", retried=1, switched_off=True, detail="HTTP 410")
    assert told((0, FAILS), (1, gave_up), (1, gave_up), (1, off)) == [
        ("warning", "sink.failing"), ("warning", "sink.gave_up"), ("debug", "sink.gave_up"),
        ("warning", "sink.switched_off"),
    ]  # fmt: skip


async def test_a_quiet_sink_is_told_to_be_well_by_the_minute() -> None:
    """Whether there are more events or not."""
    clock = FakeClock(NOON)
    telemetry = Telemetry(clock, Heard())
    with capture_logs() as lines:
        for report in (FAILS, WORKS):
            telemetry.dispatched(report)
        clock.advance(60)
        await telemetry.sum_up(standing)
    [line] = [line for line in lines if line["event"] == "sink.recovered"]
    assert (line["failing_s"], line["failures"], line["gave_up"]) == (0, 1, 0)


async def standing() -> Mapping[str, Any]:
    """Return how things stand."""
    return {"backlog": 7, "oldest_undelivered_s": 12, "feeds_behind": 1}


async def test_a_minute_is_one_line_at_info() -> None:
    """With everything it came to; the next minute begins with nothing, and the start is no minute."""
    clock = FakeClock(NOON)
    heard = Heard()
    telemetry = Telemetry(clock, heard)
    failure = PollFailure("acme", "Case", "HTTP 503", 1.0, permanent=False)
    with capture_logs() as lines:
        await telemetry.sum_up(standing)
        telemetry.polled(PollReport("acme", "Lead", "poll", 4, {"created": 2}))
        telemetry.polled(PollReport("acme", "Contact", "sweep", 3, {"created": 1, "merged": 1}))
        telemetry.polled(failure)
        telemetry.called("acme", "composite")
        telemetry.dispatched(DispatchReport("crm", delivered=3, filtered=1))
        for _ in range(2):
            clock.advance(60)
            await telemetry.sum_up(standing)
    first, second = [line for line in lines if line["log_level"] == "info"]
    assert first == {
        "log_level": "info", "event": "summary", "polls": 3, "failures": 1, "rows": 7, "calls": 1,
        "events": {"created": 3, "merged": 1}, "deliveries": {"accepted": 3, "filtered": 1},
        "backlog": 7, "oldest_undelivered_s": 12, "feeds_behind": 1,
    }  # fmt: skip
    assert (second["polls"], second["events"], second["deliveries"]) == (0, {}, {})
    assert len(heard.reports) == 5, "the other listener hears everything as well"


async def test_a_minute_in_which_the_store_fails_is_told_all_the_same() -> None:
    """With what is wrong in place of how things stand."""
    clock = FakeClock(NOON)
    telemetry = Telemetry(clock, Heard())
    clock.advance(60)

    async def fails() -> Mapping[str, Any]:
        raise StoreError("the disk is full")

    with capture_logs() as lines:
        await telemetry.sum_up(fails)
    assert [(line["event"], line["store"]) for line in lines] == [("summary", "the disk is full")]


def test_who_was_left_out_and_is_back_is_news() -> None:
    """Nobody remembers what was said before a sink, or an org, was taken out of the configuration, or changed in it."""
    telemetry = Telemetry(FakeClock(NOON), Heard())
    failure = PollFailure("acme", "Lead", "HTTP 503", 1.0, permanent=False)
    with capture_logs() as lines:
        for _ in range(2):
            telemetry.dispatched(FAILS)
            telemetry.polled(failure)
            telemetry.forget([Duty("org", "acme"), Duty("sink", "crm")])
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["sink.failing", "feed.failed"] * 2
