"""What is true right now, from what the store tells. Pure; ``server.py`` and the ``status`` command ask."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from salesforce_poller.clock import format_span
from salesforce_poller.store.feeds import FeedHealth

#: A feed that has failed for this long is stuck; a shorter spell is weather.
STUCK_AFTER = timedelta(minutes=10)


def not_ready(feeds: Sequence[FeedHealth], watched: Iterable[tuple[str, str]], now: datetime) -> list[str]:
    """Say what keeps the daemon from being ready, one line each; ``now`` is machine time (UTC).

    ``feeds`` are those that ever ran, ``watched`` those that should, by org and object.

    A failing sink does not: its events wait in the store and the other sinks go on.
    """
    started = {(feed.org, feed.object) for feed in feeds}
    problems = [f"{org}/{name} has not been read yet" for org, name in watched if (org, name) not in started]
    for feed in feeds:
        if feed.failing_since is not None and now - feed.failing_since >= STUCK_AFTER:
            span = format_span((now - feed.failing_since).total_seconds())
            problems.append(f"{feed.org}/{feed.object} has failed for {span}: {feed.last_error}")
    return problems
