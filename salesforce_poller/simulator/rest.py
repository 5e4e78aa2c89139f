"""The REST API's table of resources, and how a call finds its handler.

Called by `edge` for each request and, through `inside`, by `routes.composite` for each part of one. Handlers take the
org and the call and return an answer or raise `ApiError`; they are in `routes`, one file per concern.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import orjson

from salesforce_poller.simulator import errors, releases, tally
from salesforce_poller.simulator.call import Answer, Call, refusal
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.fault_kinds import JSON_TYPE, Fault
from salesforce_poller.simulator.faults import UNKNOWN
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.query import SoqlError
from salesforce_poller.simulator.routes import (
    batch,
    collections,
    composite,
    graph,
    queries,
    query_jobs,
    records,
    replication,
    resources,
    tree,
    upsert,
)

log = logging.getLogger(__name__)

Handler = Callable[..., Answer]

NAME = r"(?P<name>[^/]+)"
JOB = r"/jobs/query/(?P<job_id>[^/]+)"
ROOT = re.compile(r"/services/data/v(?P<version>[0-9]+\.[0-9])(?P<rest>/.*)?")
BODY_METHODS = ("POST", "PATCH", "PUT")


@dataclass(frozen=True, slots=True)
class Resource:
    """A path below the version, and what each method does there."""

    path: re.Pattern[str]
    methods: Mapping[str, Handler]


def _resource(path: str, **methods: Handler) -> Resource:
    return Resource(re.compile(path + "/?"), methods)


def _composite(org: Org, call: Call) -> Answer:
    return composite.run(org, call, inside=inside)


def _batch(org: Org, call: Call) -> Answer:
    return batch.run(org, call, inside=inside)


def _graph(org: Org, call: Call) -> Answer:
    return graph.run(org, call, inside=inside)


RESOURCES = (
    _resource("", GET=resources.index),
    _resource("/limits", GET=resources.limits),
    _resource("/limits/recordCount", GET=resources.record_count),
    _resource("/query", GET=queries.query),
    _resource("/queryAll", GET=queries.query_all),
    _resource("/query(?:All)?/(?P<locator>[^/]+)", GET=queries.more),
    _resource("/jobs/query", GET=query_jobs.listing, POST=query_jobs.create),
    _resource(JOB, GET=query_jobs.read, PATCH=query_jobs.change, DELETE=query_jobs.delete),
    _resource(f"{JOB}/results", GET=query_jobs.results),
    _resource(f"(?i:{JOB}/resultPages)", GET=query_jobs.result_pages),  # Salesforce's own links say resultpages
    _resource("/sobjects", GET=resources.describe_global),
    _resource(f"/sobjects/{NAME}", GET=resources.basic_information, POST=records.create),
    _resource(f"/sobjects/{NAME}/describe", GET=resources.describe),
    _resource(f"/sobjects/{NAME}/updated", GET=replication.get_updated),
    _resource(f"/sobjects/{NAME}/deleted", GET=replication.get_deleted),
    _resource(f"/sobjects/{NAME}/(?P<record_id>[^/]+)", GET=records.read, PATCH=records.update, DELETE=records.delete),
    _resource(f"/sobjects/{NAME}/(?P<field>[^/]+)/(?P<value>[^/]+)", GET=upsert.read, PATCH=upsert.upsert),
    _resource("/composite", POST=_composite),
    _resource("/composite/batch", POST=_batch),
    _resource("/composite/graph", POST=_graph),
    _resource(f"/composite/tree/{NAME}", POST=tree.create),
    _resource("/composite/sobjects", POST=collections.create, PATCH=collections.update, DELETE=collections.delete),
    _resource(f"/composite/sobjects/{NAME}", GET=collections.retrieve, POST=collections.retrieve_many),
)


def answer(org: Org, call: Call) -> Answer:
    """Handle a call; whatever goes wrong becomes an answer as well."""
    try:
        return _handle(org, call)
    except ApiError as error:
        return refusal(error)
    except SoqlError as error:
        return refusal(ApiError(400, error.code, error.message))
    except Exception:  # a mistake of ours must look like one of Salesforce's, and be seen in the log
        log.exception("the simulator could not handle %s %s", call.method, call.path)
        return refusal(ApiError(500, "UNKNOWN_EXCEPTION", UNKNOWN))


def inside(org: Org, call: Call) -> Answer:
    """Handle a part of a composite request, which has weather of its own."""
    org.tally.part(tally.kind(call.path))
    fault = org.weather.strike(target(call.path, call.params), object_of(org, call), subrequest=True)
    return answer(org, call) if fault is None else faulty(org, fault)


def faulty(org: Org, fault: Fault) -> Answer:
    """The answer that a fault gives instead of the real one."""
    if fault.effect == "expire_session":
        org.expire_sessions()
    body = orjson.loads(fault.body) if fault.body and fault.media_type == JSON_TYPE else fault.body or None
    return Answer(fault.status, body, fault.headers, fault.media_type)


def target(path: str, params: Mapping[str, str]) -> str:
    """The decoded path and query, as the weather matches them."""
    query = "&".join(f"{name}={value}" for name, value in params.items())
    return f"{path}?{query}" if query else path


def object_of(org: Org, call: Call) -> str | None:
    """The object a call is about, if it is about one; for the weather."""
    found = ROOT.fullmatch(call.path)
    rest = (found["rest"] or "") if found else ""
    if named := re.match(r"(?:/composite)?/sobjects/([^/]+)", rest):
        return named[1]
    if paged := re.match(r"/query(?:All)?/([^/]+)", rest):
        return org.cursors.peek(paged[1])
    if about_job := re.match(JOB, rest):
        return org.bulk.object_of(about_job["job_id"])
    soql = call.body.decode("utf-8", "replace") if rest == "/jobs/query" else call.params.get("q", "")
    outer = re.sub(r"\([^()]*\)", "", soql)  # a child subquery has a FROM as well
    from_clause = re.search(r"\bFROM\s+(\w+)", outer, re.IGNORECASE)
    return from_clause[1] if from_clause else None


def _handle(org: Org, call: Call) -> Answer:
    found = ROOT.fullmatch(call.path)
    if found is None:
        raise errors.not_found()
    releases.check(found["version"])
    call = replace(call, version=found["version"])
    rest = found["rest"] or ""
    for resource in RESOURCES:
        if matched := resource.path.fullmatch(rest):
            return _method(resource, call)(org, call, **matched.groupdict())
    raise errors.not_found()


def _method(resource: Resource, call: Call) -> Handler:
    method = "GET" if call.method == "HEAD" else call.method
    handler = resource.methods.get(method)
    if handler is None:
        allowed = ",".join(sorted({"HEAD", *resource.methods}))
        message = f"HTTP Method '{call.method}' not allowed. Allowed are {allowed}"
        raise ApiError(405, "METHOD_NOT_ALLOWED", message)
    media_type = call.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if method in BODY_METHODS and media_type != "application/json":
        message = "The provided content type is not supported by this resource"
        raise ApiError(415, "UNSUPPORTED_MEDIA_TYPE", message)
    return handler
