"""Turns reports into log lines. Work returns what it did; only this file says it aloud.

Logs are structlog events on stderr: a name and fields. They are for people on a terminal and JSON anywhere else.
Each turn of a feed and each round of a sink is told at debug; once a minute, what they came to, at info; and what a
person must act on at warning, once until it is over. ``app.py`` makes one :class:`Telemetry`, and whoever works reports
to it; it passes every report on to ``admin/tally.py``, which counts for ``/metrics``.
"""

import logging
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TextIO

import structlog

from salesforce_poller.clock import Clock
from salesforce_poller.errors import PollerError, Scope
from salesforce_poller.model import DispatchReport, Duty, PollFailure, PollReport
from salesforce_poller.polling.spells import Spell, Spells

log = structlog.get_logger()

#: Nothing must have failed for so long before a sink is said to be well again.
_QUIET = timedelta(minutes=1)
#: Seconds between two summaries.
_MINUTE = 60.0


def configure(*, verbose: bool = False, quiet: bool = False, stream: TextIO | None = None) -> None:
    """Set logging up: at info, at debug when ``verbose``, at warning when ``quiet``; to stderr by default."""
    stream = stream or sys.stderr
    level = logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        # Plain tracebacks: the default ones show local variables, and there are secrets among them.
        structlog.dev.ConsoleRenderer(colors=True, exception_formatter=structlog.dev.plain_traceback)
        if stream.isatty()
        else structlog.processors.JSONRenderer()
    )
    if not stream.isatty():
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    _listen_to_libraries(stream, shared, renderer)


class _Ours(logging.StreamHandler[TextIO]):
    """The one handler that is ours, so that setting up twice does not say everything twice."""


def _listen_to_libraries(
    stream: TextIO, shared: list[structlog.typing.Processor], renderer: structlog.typing.Processor
) -> None:
    """Have what libraries warn of (they speak through logging) look like everything else."""
    handler = _Ours(stream)
    last = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=last))
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Ours)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    # A turn that takes longer than its interval skips the next one; that is as it should be.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    # What becomes of a sink's connection is in its receipts; this library tells it with tracebacks.
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)


class PollLog:
    """Tells of the turns of all feeds: each trouble once, until it is over."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spells = Spells()
        #: Bound once: most turns have nothing to say at the level that is set, and each look at it would bind anew.
        self._log = log.bind()

    def polled(self, report: PollReport | PollFailure) -> None:
        """Tell of one turn of a feed."""
        if isinstance(report, PollFailure):
            self._failed(report)
            return
        for spell in self._spells.worked(report.org, None if report.half else report.object):
            self._over(spell)
        if report.half:
            self._failed(report.half, "feed.sweep_failed")
        event = f"feed.{report.turn}"
        self._log.debug(event, org=report.org, object=report.object, rows=report.rows, **report.kinds)

    def forget(self, org: str) -> None:
        """Forget what was told of an org: it is stopped, or was begun anew."""
        self._spells.forget(org)

    def _failed(self, failure: PollFailure, event: str = "feed.failed") -> None:
        whole_org = failure.facts.scope is Scope.ORG
        fields: dict[str, object] = {"org": failure.org, "error": failure.error}
        if not whole_org:
            fields["object"] = failure.object
        if not self._spells.failed(failure, self._clock.now()):
            log.debug(event, **fields, next_try_s=round(failure.pause, 1))
            return
        if failure.facts.trouble:
            fields |= {
                "trouble": failure.facts.trouble,
                "means": failure.facts.means,
                "what_happens": failure.facts.action.value if failure.facts.action else "",
                "what_to_do": failure.facts.advice,
                "help": failure.facts.help_url,
            }
        log.warning(
            "org.failed" if whole_org else event,
            **fields,
            next_try_s=round(failure.pause, 1),
            act=failure.permanent,
        )

    def _over(self, spell: Spell) -> None:
        seconds = round((self._clock.now() - spell.since).total_seconds())
        fields = {"org": spell.org, "after_s": seconds, "failures": spell.failures, "troubles": sorted(spell.said)}
        if spell.object is None:
            log.info("org.recovered", **fields)
        else:
            log.info("feed.recovered", object=spell.object, **fields)


@dataclass(slots=True)
class _SinkSpell:
    """A time in which a sink does not take everything."""

    #: Machine time (UTC) of the first failure, and of the latest one.
    since: datetime
    latest: datetime
    failures: int = 0
    given_up: int = 0
    #: False while the latest round failed.
    well: bool = False


class SinkLog:
    """Tells of the delivery rounds of all sinks: each trouble once, until it is over.

    It is over when a round went well, and nothing has failed for a minute: a sink that takes every other event would
    fill the log otherwise.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spells: dict[str, _SinkSpell] = {}

    def dispatched(self, report: DispatchReport) -> None:
        """Tell of one delivery round of a sink."""
        fields = {
            "sink": report.sink,
            "delivered": report.delivered,
            "retried": report.retried,
            "parked": report.parked,
            "dead": report.dead,
            "filtered": report.filtered,
        }
        if report.dead or report.retried:
            self._failed(report, fields)
        elif report.delivered or report.filtered or report.parked:
            log.debug("sink.delivered", **fields)
            if spell := self._spells.get(report.sink):
                spell.well = True
                self.settle()

    def settle(self) -> None:
        """Tell what is over."""
        now = self._clock.now()
        for sink, spell in list(self._spells.items()):
            if spell.well and now - spell.latest >= _QUIET:
                del self._spells[sink]
                seconds = round((spell.latest - spell.since).total_seconds())
                log.info(
                    "sink.recovered", sink=sink, failing_s=seconds, failures=spell.failures, gave_up=spell.given_up
                )

    def forget(self, sink: str) -> None:
        """Forget what was told of a sink: it is stopped, or was begun anew."""
        self._spells.pop(sink, None)

    def _failed(self, report: DispatchReport, fields: Mapping[str, object]) -> None:
        now = self._clock.now()
        is_news = report.sink not in self._spells
        spell = self._spells.setdefault(report.sink, _SinkSpell(now, now))
        first_given_up = bool(report.dead) and not spell.given_up
        spell.latest, spell.well = now, False
        spell.failures += report.retried + report.dead
        spell.given_up += report.dead
        tell = log.warning if is_news or first_given_up or report.switched_off else log.debug
        event = "sink.gave_up" if report.dead else "sink.failing"
        tell(
            "sink.switched_off" if report.switched_off else event,
            **fields,
            detail=report.detail,
            next_try_s=report.wait and round(report.wait, 1),
        )


class Listener(Protocol):
    """Who wants to hear of every report."""

    def polled(self, report: PollReport | PollFailure) -> None:
        """Hear of a turn of a feed."""

    def dispatched(self, report: DispatchReport) -> None:
        """Hear of a delivery round of a sink."""

    def called(self, org: str, kind: str) -> None:
        """Hear that a call of this kind is sent to an org."""


class Telemetry:
    """Hears everything, says what is to be said, and passes it on to another listener."""

    def __init__(self, clock: Clock, also: Listener) -> None:
        self._clock = clock
        self._also = also
        self._polls = PollLog(clock)
        self._sinks = SinkLog(clock)
        #: What happened since the last summary.
        self._sums: Counter[str] = Counter()
        self._events: Counter[str] = Counter()
        self._deliveries: Counter[str] = Counter()
        self._summed_at = clock.monotonic()

    def polled(self, report: PollReport | PollFailure) -> None:
        """Tell of a turn of a feed."""
        self._polls.polled(report)
        self._also.polled(report)
        self._sums["polls"] += 1
        if isinstance(report, PollFailure) or report.half:
            self._sums["failures"] += 1
        if isinstance(report, PollReport):
            self._sums["rows"] += report.rows
            self._events.update(report.kinds)

    def dispatched(self, report: DispatchReport) -> None:
        """Tell of a delivery round of a sink."""
        self._sinks.dispatched(report)
        self._also.dispatched(report)
        outcomes = {
            "accepted": report.delivered,
            "retried": report.retried,
            "dead": report.dead,
            "filtered": report.filtered,
        }
        self._deliveries.update({outcome: count for outcome, count in outcomes.items() if count})

    def called(self, org: str, kind: str) -> None:
        """Count a call that is sent to an org; ``budget.py`` writes it down."""
        self._also.called(org, kind)
        self._sums["calls"] += 1

    def forget(self, duties: Iterable[Duty]) -> None:
        """Forget what was told of those who were stopped or begun anew: what fails from now on is news."""
        for duty in duties:
            if duty.kind == "org":
                self._polls.forget(duty.name)
            elif duty.kind == "sink":
                self._sinks.forget(duty.name)

    async def sum_up(self, look: Callable[[], Awaitable[Mapping[str, object]]]) -> None:
        """Tell what happened since the last time, and how things stand, as ``look`` tells it; for every minute.

        A scheduler calls at once when it starts, when there is nothing to tell.
        """
        self._sinks.settle()
        now = self._clock.monotonic()
        if now - self._summed_at < _MINUTE / 2:
            return
        self._summed_at = now
        sums, events, deliveries = self._sums, self._events, self._deliveries
        self._sums, self._events, self._deliveries = Counter(), Counter(), Counter()
        try:
            standing = await look()
        except PollerError as exc:
            standing = {"store": str(exc)}
        log.info(
            "summary",
            polls=sums["polls"],
            failures=sums["failures"],
            rows=sums["rows"],
            calls=sums["calls"],
            events=dict(events),
            deliveries=dict(deliveries),
            **standing,
        )
