"""What an org says of its daily API requests: the ``Sforce-Limit-Info`` header and the Limits resource. Pure.

The header lags by dozens of calls, goes down as well as up and may carry the share of an app behind it; it is a gauge,
never a counter (REST API Developer Guide, Limit Info Header). ``polling/budget.py`` keeps its own ledger.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from salesforce_poller.salesforce.wire import expected_shape

_API_USAGE = re.compile(r"\bapi-usage=(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls that the whole org, all its apps together, has spent in the last 24 hours, and how many it may spend."""

    used: int
    allowed: int


def read_usage(headers: Mapping[str, str]) -> Usage | None:
    """Read the header of an answer; None where it has none that makes sense."""
    match = _API_USAGE.search(headers.get("sforce-limit-info", ""))
    return Usage(int(match[1]), int(match[2])) if match and int(match[2]) else None


@expected_shape()
def read_limits(answer: Any) -> Usage:
    """Read the daily API requests from the Limits resource; ``Remaining`` may be negative where an org ran over."""
    daily = answer["DailyApiRequests"]
    return Usage(int(daily["Max"]) - int(daily["Remaining"]), int(daily["Max"]))


@expected_shape()
def read_count(answer: Any, object_name: str) -> int:
    """Read about how many records an object has; one that has none is left out of the answer."""
    return next((int(one["count"]) for one in answer["sObjects"] if one["name"] == object_name), 0)
