"""Composite: up to 25 calls in one request, which counts as one.

Called by `rest`, which lends its `inside` to handle the parts, and by `graph`. Source: REST API Developer Guide,
"Composite". Whatever happens to the parts, the status outside is 200; a part may use results of earlier ones as
`@{referenceId.path}`. The answer has the parts in their order, but with collateSubrequests (the default from version
49) writes that do not refer to each other are carried out in any order.
One limit of the simulator: with allOrNone, a part cannot read what an earlier part of the same request has written.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

from salesforce_poller.simulator.call import Answer, Call
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.transactions import Transaction

MOST_PARTS = 25
MOST_QUERIES = 5
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
OWN_HEADERS = ("accept", "authorization", "content-type")
REFERENCE_ID = re.compile(r"[A-Za-z0-9]\w*", re.ASCII)
REFERENCE = re.compile(r"@\{(\w+)\.([^}]+)\}", re.ASCII)
COUNTED = re.compile(r"/services/data/v[\d.]+/(query|queryAll|composite/sobjects)(/|\?|$)")
ROOT = re.compile(r"/services/data/v\d+\.\d/")
NESTED = re.compile(ROOT.pattern + r"composite(/(batch|graph))?/?(\?|$)")
COLLATING = 49.0
"""The first version whose subrequests are collated unless the request says otherwise."""

STRICT = 52.0
"""The first version in which a referenceId with other characters fails the request."""

Inside = Callable[[Org, Call], Answer]
Part = Mapping[str, Any]
Results = dict[str, dict[str, Any]]
"""By reference."""


def run(org: Org, call: Call, *, inside: Inside) -> Answer:
    """Handle the parts; raises INVALID_INPUT or LIMIT_EXCEEDED when the request as a whole is wrong."""
    body = call.json_object()
    parts = check(body.get("compositeRequest"), call.version)
    if len(parts) > MOST_PARTS:
        raise ApiError(400, "LIMIT_EXCEEDED", f"A composite request may have at most {MOST_PARTS} subrequests")
    if sum(COUNTED.match(part["url"]) is not None for part in parts) > MOST_QUERIES:
        message = f"A composite request may have at most {MOST_QUERIES} query or sObject Collections subrequests"
        raise ApiError(400, "LIMIT_EXCEEDED", message)
    collate = body.get("collateSubrequests", float(call.version) >= COLLATING)
    steps = list(_collated(parts, org.rng)) if collate else parts
    if body.get("allOrNone"):
        results, _ = atomic(org, call, steps, inside=inside)
    else:
        results = _results(org, call, steps, inside, None)
    return Answer(body={"compositeResponse": [results[part["referenceId"]] for part in parts]})


def atomic(org: Org, call: Call, parts: Sequence[Part], *, inside: Inside) -> tuple[Results, bool]:
    """Handle the parts in one transaction: all of them, or none; the results by reference, and which it was."""
    transaction = org.begin(by=call.user_id)
    results = _results(org, call, parts, inside, transaction)
    if any(result["httpStatusCode"] >= 400 for result in results.values()):  # noqa: PLR2004  # HTTP's own number
        transaction.rollback()
        return {reference: _halted(result) for reference, result in results.items()}, False
    transaction.commit()
    return results, True


def _results(org: Org, call: Call, parts: Sequence[Part], inside: Inside, transaction: Transaction | None) -> Results:
    results: Results = {}
    for part in parts:
        try:
            answer = inside(org, _call(call, part, results, transaction))
        except ApiError as error:
            answer = Answer(error.status, error.body())
        results[part["referenceId"]] = {
            "body": answer.body,
            "httpHeaders": dict(answer.headers),
            "httpStatusCode": answer.status,
            "referenceId": part["referenceId"],
        }
    return results


def _collated(parts: Sequence[Part], rng: random.Random) -> Iterator[Part]:
    """The parts as they may be carried out: neighbouring writes that do not need each other come in any order."""
    together: list[Part] = []
    for part in parts:
        text = orjson.dumps(part).decode()
        needed = {found[1] for found in REFERENCE.finditer(text)}
        if part["method"] == "GET" or needed & {each["referenceId"] for each in together}:
            rng.shuffle(together)
            yield from together
            together = []
        if part["method"] == "GET":
            yield part
        else:
            together.append(part)
    rng.shuffle(together)
    yield from together


def _call(call: Call, part: Part, results: Mapping[str, Any], transaction: Transaction | None) -> Call:
    """A part as a call of its own."""
    url = urlsplit(_resolve(part["url"], results))
    body = b"" if part.get("body") is None else _resolve(orjson.dumps(part["body"]).decode(), results).encode()
    headers = {name.lower(): str(value) for name, value in (part.get("httpHeaders") or {}).items()}
    return Call(
        method=part["method"],
        path=unquote(url.path),
        params=dict(parse_qsl(url.query, keep_blank_values=True)),
        headers=headers,
        body=body,
        user_id=call.user_id,
        transaction=transaction,
    )


def _resolve(text: str, results: Mapping[str, Any]) -> str:
    """Put earlier results in the place of their references; raises PROCESSING_HALTED for one that is not there."""

    def value(found: re.Match[str]) -> str:
        here: Any = results.get(found[1], {}).get("body")
        for step in re.findall(r"\w+", found[2]):
            if isinstance(here, list) and step.isdigit() and int(step) < len(here):
                here = here[int(step)]
            elif isinstance(here, dict) and step in here:
                here = here[step]
            else:
                message = f"Invalid reference specified. No value for {found[2]} found in {found[1]}"
                raise ApiError(400, "PROCESSING_HALTED", message)
        return str(here)

    return REFERENCE.sub(value, text)


def check(parts: Any, version: str) -> list[Part]:
    """The rules about every list of subrequests; raises INVALID_INPUT."""
    if not isinstance(parts, list) or not parts or not all(isinstance(part, dict) for part in parts):
        raise _invalid("compositeRequest must be a list of at least one subrequest")
    for part in parts:
        _check_part(part, version)
    references = [part["referenceId"] for part in parts]
    if len(set(references)) < len(references):
        raise _invalid("Each referenceId must be unique")
    return parts


def _check_part(part: Part, version: str) -> None:
    reference = part.get("referenceId")
    strict = float(version) >= STRICT
    if not isinstance(reference, str) or not reference or (strict and REFERENCE_ID.fullmatch(reference) is None):
        raise _invalid(f"Provided referenceId ('{reference}') must start with a letter or a number, and it can contain "
                       "only letters, numbers, and underscores")  # fmt: skip  # one sentence
    url = part.get("url")
    if not isinstance(url, str) or ROOT.match(url) is None or NESTED.match(url):
        raise _invalid(f"The url of subrequest '{reference}' is not one that a composite request may have: {url}")
    if part.get("method") not in METHODS:
        raise _invalid(f"The method of subrequest '{reference}' must be one of {', '.join(METHODS)}")
    headers = part.get("httpHeaders") or {}
    if not isinstance(headers, dict):
        raise _invalid(f"The httpHeaders of subrequest '{reference}' must be an object")
    banned = [name for name in headers if name.lower() in OWN_HEADERS]
    if banned:
        raise _invalid(f"Subrequest '{reference}' may not have the header {banned[0]}")


def _halted(result: Mapping[str, Any]) -> dict[str, Any]:
    if result["httpStatusCode"] >= 400:  # noqa: PLR2004  # HTTP's own number
        return dict(result)
    message = "The transaction was rolled back since another operation in the same transaction failed."
    error = ApiError(400, "PROCESSING_HALTED", message)
    return {**result, "body": error.body(), "httpHeaders": {}, "httpStatusCode": error.status}


def _invalid(message: str) -> ApiError:
    return ApiError(400, "INVALID_INPUT", message)
