"""Conditional reads: ETag, Last-Modified and If-Modified-Since.

Used by the describe calls in `resources` and by row reads in `records`. Source: REST API Developer Guide,
"Conditional Request Headers".
"""

import hashlib
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import orjson

from salesforce_poller.simulator.call import Answer, Call
from salesforce_poller.simulator.clock import stamp
from salesforce_poller.simulator.errors import ApiError


def answer(call: Call, body: Any, modified_at: datetime) -> Answer:
    """The body with its tags, or 304 without one when it has not changed since the caller last asked."""
    tag = hashlib.sha256(orjson.dumps(body)).hexdigest()[:8]
    suffix = "--gzip" if "gzip" in call.headers.get("accept-encoding", "") else ""
    headers = {"ETag": f'"{tag}{suffix}"', "Last-Modified": format_datetime(modified_at, usegmt=True)}
    since = call.headers.get("if-modified-since")
    if since is not None and stamp(modified_at) <= _instant(since):
        return Answer(304, None, headers)
    return Answer(200, body, headers)


def _instant(text: str) -> datetime:
    try:
        return parsedate_to_datetime(text)
    except ValueError as error:
        raise ApiError(400, "INVALID_HEADER", f"If-Modified-Since is not a date: {text}") from error
