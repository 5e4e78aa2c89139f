"""Salesforce's ways of writing an instant, and ours of writing one to Salesforce. Pure.

REST answers say ``2026-11-21T10:00:00.000+0000`` (offset without a colon, always UTC); other APIs say ``Z``.
SOQL and the replication calls take ``2026-11-21T10:00:00Z``: the ``Z`` form needs no escaping in a URL.
"""

import functools
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@functools.lru_cache(maxsize=4096)  # rows that were changed together have their stamps in common
def parse(text: str) -> datetime:
    """Read an instant as Salesforce writes it. Raises ValueError for anything else, dates without a time included."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"not an instant with an offset: {text!r}")
    return instant.astimezone(UTC)


def literal(instant: datetime) -> str:
    """Write an instant as a SOQL literal or a URL parameter, in whole seconds, rounded down."""
    return f"{instant.astimezone(UTC).isoformat()[:19]}Z"


def http_date(text: str) -> datetime:
    """Read an HTTP ``Date`` header. Raises ValueError when it is none."""
    instant = parsedate_to_datetime(text)  # "-0000" leaves it without a zone, and HTTP knows no other than UTC
    return instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
