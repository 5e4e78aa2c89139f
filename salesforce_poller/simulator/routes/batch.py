"""Batch: up to 25 independent calls in one request, each of which counts.

Called by `rest`, which lends its `inside` to handle the parts. Source: REST API Developer Guide, "Composite Batch":
they are carried out one after the other, each commits for itself, and each counts against the org's allowance.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

from salesforce_poller.simulator import tally
from salesforce_poller.simulator.call import Answer, Call, refusal
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org

MOST_PARTS = 25
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
URL = re.compile(r"(?:/?services/data/)?(?P<rest>v\d+\.\d/(?!composite(?:/batch|/graph)?/?(?:\?|$)).*)")

Inside = Callable[[Org, Call], Answer]
Part = Mapping[str, Any]


def run(org: Org, call: Call, *, inside: Inside) -> Answer:
    """Handle the parts in their order; raises INVALID_INPUT or LIMIT_EXCEEDED when the request as a whole is wrong."""
    body = call.json_object()
    parts = _check(body.get("batchRequests"))
    results: list[dict[str, Any]] = []
    failed = False
    for part in parts:
        halted = failed and bool(body.get("haltOnError"))
        answer = _halted() if halted else _answer(org, _call(call, part), inside)
        failed = failed or not answer.ok
        results.append({"statusCode": answer.status, "result": answer.body})
    return Answer(body={"hasErrors": failed, "results": results})


def _answer(org: Org, part: Call, inside: Inside) -> Answer:
    """Pay, be served."""
    try:
        org.pay(tally.PAID_BY_PART)
    except ApiError as error:
        return refusal(error)
    return inside(org, part)


def _halted() -> Answer:
    message = "The batch was stopped since an earlier request in it failed and haltOnError was set."
    return refusal(ApiError(412, "BATCH_PROCESSING_HALTED", message))


def _call(call: Call, part: Part) -> Call:
    """A part as a call of its own."""
    found = URL.fullmatch(part["url"])
    assert found  # `_check` has seen to it
    url = urlsplit("/services/data/" + found["rest"])
    return Call(
        method=part["method"],
        path=unquote(url.path),
        params=dict(parse_qsl(url.query, keep_blank_values=True)),
        headers={},
        body=b"" if part.get("richInput") is None else orjson.dumps(part["richInput"]),
        user_id=call.user_id,
    )


def _check(parts: Any) -> list[Part]:
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        raise ApiError(400, "INVALID_INPUT", "batchRequests must be a list of at least one subrequest")
    if len(parts) > MOST_PARTS:
        raise ApiError(400, "LIMIT_EXCEEDED", f"A batch request may have at most {MOST_PARTS} subrequests")
    for part in parts:
        if part.get("method") not in METHODS:
            raise ApiError(400, "INVALID_INPUT", f"The method of a subrequest must be one of {', '.join(METHODS)}")
        if URL.fullmatch(str(part.get("url"))) is None:
            message = f"The url of a subrequest is not one that a batch request may have: {part.get('url')}"
            raise ApiError(400, "INVALID_INPUT", message)
    return parts
