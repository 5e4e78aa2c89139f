"""Turns reports into log lines. Work returns what it did; only this file says it aloud.

Logs are structlog events on stderr: a name and fields. They are for people on a terminal and JSON anywhere else.
Routine is told at debug, what changed at info, and what a person must act on at warning. Called by ``app.py``.
"""

import logging
import sys
from typing import TextIO

import structlog

from salesforce_poller.clock import Clock
from salesforce_poller.errors import Scope
from salesforce_poller.model import DispatchReport, PollFailure, PollReport
from salesforce_poller.polling.spells import Spell, Spells

log = structlog.get_logger()


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

    def polled(self, report: PollReport | PollFailure) -> None:
        """Tell of one turn of a feed."""
        if isinstance(report, PollFailure):
            self._failed(report)
            return
        for spell in self._spells.worked(report.org, None if report.half else report.object):
            self._over(spell)
        if report.half:
            self._failed(report.half, "feed.sweep_failed")
        tell = log.info if report.kinds else log.debug
        tell(f"feed.{report.turn}", org=report.org, object=report.object, rows=report.rows, **report.kinds)

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


def dispatched(report: DispatchReport) -> None:
    """Tell of one delivery round of a sink."""
    fields = {"sink": report.sink, "delivered": report.delivered, "parked": report.parked, "dead": report.dead}
    if report.dead:
        log.warning("sink.gave_up", **fields, detail=report.detail)
    elif report.parked or (report.detail and not report.delivered):
        log.warning("sink.failing", **fields, detail=report.detail, next_try_s=report.wait and round(report.wait, 1))
    elif report.delivered:
        log.debug("sink.delivered", **fields)
