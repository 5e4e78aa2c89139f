"""Turns reports into log lines. Work returns what it did; only this file says it aloud.

Logs are structlog events on stderr: a name and fields. They are for people on a terminal and JSON anywhere else.
Routine is told at debug, what changed at info, and what a person must act on at warning. Called by ``app.py``.
"""

import logging
import sys
from typing import TextIO

import structlog

from salesforce_poller.model import DispatchReport, PollFailure, PollReport

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
        structlog.dev.ConsoleRenderer(colors=True) if stream.isatty() else structlog.processors.JSONRenderer()
    )
    if not stream.isatty():
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    # Libraries speak through logging; only what they warn of is worth a person's time.
    logging.basicConfig(stream=stream, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s", force=True)


def polled(report: PollReport | PollFailure) -> None:
    """Tell of one turn of a feed."""
    if isinstance(report, PollFailure):
        log.warning(
            "feed.failed",
            org=report.org,
            object=report.object,
            error=report.error,
            next_try_s=round(report.pause, 1),
            act=report.permanent,
        )
        return
    tell = log.info if report.kinds else log.debug
    tell(f"feed.{report.turn}", org=report.org, object=report.object, rows=report.rows, **report.kinds)


def dispatched(report: DispatchReport) -> None:
    """Tell of one delivery round of a sink."""
    fields = {"sink": report.sink, "delivered": report.delivered, "parked": report.parked, "dead": report.dead}
    if report.dead:
        log.warning("sink.gave_up", **fields, detail=report.detail)
    elif report.parked or (report.detail and not report.delivered):
        log.warning("sink.failing", **fields, detail=report.detail, next_try_s=report.wait and round(report.wait, 1))
    elif report.delivered:
        log.debug("sink.delivered", **fields)
