"""telemetry.py: each trouble of a feed is said once, with all that is known, and its end once."""

import io
import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest
import structlog
from builders import NOON
from fakes import FakeClock
from structlog.testing import capture_logs

from salesforce_poller import telemetry
from salesforce_poller.errors import PollerError
from salesforce_poller.model import PollFailure, PollReport
from salesforce_poller.salesforce import troubles
from salesforce_poller.telemetry import PollLog

REFUSED = b'[{"errorCode": "INVALID_TYPE", "message": "sObject type Lead is not supported"}]'
WORKED = PollReport("acme", "Lead", "poll", 0)


def a_failure(error: PollerError, name: str = "Lead") -> PollFailure:
    """Return a failed turn."""
    return PollFailure("acme", name, str(error), 300.04, permanent=True, facts=error.facts)


def test_the_first_failure_says_all_and_the_others_are_for_the_curious() -> None:
    """What happened, in which org and object, what Salesforce said, what to do, and where to read on."""
    log, failure = PollLog(FakeClock(NOON)), a_failure(troubles.rest_error(400, {}, REFUSED))
    with capture_logs() as lines:
        for _ in range(3):
            log.polled(failure)
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "feed.failed"), ("debug", "feed.failed"), ("debug", "feed.failed"),
    ]  # fmt: skip
    row = troubles.named("INVALID_TYPE")
    assert row is not None
    assert lines[0] == {
        "log_level": "warning",
        "event": "feed.failed",
        "org": "acme",
        "object": "Lead",
        "error": "INVALID_TYPE: sObject type Lead is not supported",
        "trouble": "INVALID_TYPE",
        "means": row.means,
        "what_happens": "pause the feed and probe it",
        "what_to_do": row.advice,
        "help": row.help_url,
        "next_try_s": 300.0,
        "act": True,
    }


def test_a_refused_login_is_said_once_for_the_org() -> None:
    """Not once for each of its feeds."""
    log = PollLog(FakeClock(NOON))
    error = troubles.login_error(400, {}, b'{"error": "inactive_user"}')
    with capture_logs() as lines:
        for name in ("Lead", "Case", "Task"):
            log.polled(a_failure(error, name))
    assert [line["event"] for line in lines if line["log_level"] == "warning"] == ["org.failed"]


def test_the_end_is_said_once() -> None:
    """How long it took, and how often it was tried."""
    clock = FakeClock(NOON)
    log = PollLog(clock)
    with capture_logs() as lines:
        log.polled(a_failure(troubles.rest_error(503, {}, b"")))
        log.polled(a_failure(troubles.rest_error(400, {}, REFUSED)))
        clock.advance(timedelta(minutes=2).total_seconds())
        log.polled(WORKED)
        log.polled(WORKED)
    ends = [line for line in lines if line["event"].endswith(".recovered")]
    assert ends == [
        {"log_level": "info", "event": "org.recovered", "org": "acme", "after_s": 120, "failures": 1,
         "troubles": ["HTTP_503"]},
        {"log_level": "info", "event": "feed.recovered", "org": "acme", "object": "Lead", "after_s": 120,
         "failures": 1, "troubles": ["INVALID_TYPE"]},
    ]  # fmt: skip


def test_a_sweep_that_fails_is_said_once_while_polls_go_on() -> None:
    """And the org is well."""
    half = a_failure(troubles.rest_error(400, {}, REFUSED))
    log = PollLog(FakeClock(NOON))
    with capture_logs() as lines:
        for _ in range(3):
            log.polled(PollReport("acme", "Lead", "poll", 0, half=half))
        log.polled(WORKED)
    warned = [line["event"] for line in lines if line["log_level"] in {"warning", "info"}]
    assert warned == ["feed.sweep_failed", "feed.recovered"]


@pytest.mark.parametrize("kinds", [{}, {"created": 2}])
def test_routine_is_quiet(kinds: dict[str, int]) -> None:
    """A turn is for the curious, whatever it brought; the summary of the minute counts it."""
    with capture_logs() as lines:
        PollLog(FakeClock(NOON)).polled(PollReport("acme", "Lead", "poll", 2, kinds))
    assert lines == [{"log_level": "debug", "event": "feed.poll", "org": "acme", "object": "Lead", "rows": 2, **kinds}]


class Terminal(io.StringIO):
    """What a person looks at; or, where it is none, a pipe."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """Say so."""
        return self._terminal


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Take back what ``configure`` sets for the whole process."""
    root, processors = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**processors)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("logging_as_before")
@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("ours", [True, False])
def test_a_traceback_shows_no_local_variables(*, terminal: bool, ours: bool) -> None:
    """Headers and forms with secrets are among them, wherever a defect is; ours, or told of by a library."""
    stream = Terminal(terminal=terminal)
    telemetry.configure(stream=stream)
    where = structlog.get_logger() if ours else logging.getLogger("apscheduler.executors")

    def send(form: dict[str, str]) -> None:
        raise KeyError(len(form))

    try:
        send({"client_secret": "0123456789" * 2})
    except KeyError:
        where.exception("feed.bug")
    told = stream.getvalue()
    assert "in send" in told
    assert "KeyError" in told
    assert "01234567890123456789" not in told
