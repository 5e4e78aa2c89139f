"""What the org is like: its resources, limits, record counts and the describe calls.

Called through `rest`. Sources: REST API Developer Guide, "Resources by Version", "Limits", "Record Count",
"Describe Global", "sObject Basic Information" and "sObject Describe".
"""

from datetime import timedelta

from salesforce_poller.simulator import allocations
from salesforce_poller.simulator import describe as describing
from salesforce_poller.simulator.call import Answer, Call
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.routes import conditional, naming

SECTIONS = (
    *("tooling", "metadata", "folders", "chatter", "tabs", "appMenu", "quickActions", "queryAll", "analytics"),
    *("search", "composite", "parameterizedSearch", "theme", "nouns", "event", "recent", "connect", "licensing"),
    *("limits", "process", "async-queries", "query", "jobs", "match", "consent", "compactLayouts", "sobjects"),
    *("actions", "support"),
)
STALE = timedelta(minutes=5)
"""How far behind the truth `/limits` may be."""


def index(org: Org, call: Call) -> Answer:
    """The resources of this version: name to URL."""
    urls = {name: f"{call.root}/{name}" for name in SECTIONS}
    identity = f"https://login.salesforce.com/id/{org.organization_id}/{call.user_id}"
    return Answer(body={**urls, "identity": identity})


def limits(org: Org, _call: Call) -> Answer:
    """The org's limits, as they were at the last full five minutes; refused without View Setup and Configuration."""
    if not org.access.view_setup:
        raise ApiError(403, "INSUFFICIENT_ACCESS", "You need the permission View Setup and Configuration.")
    now = org.clock.now()
    behind = timedelta(seconds=now.timestamp() % STALE.total_seconds())
    used = org.meter.used(now, until=now - behind)
    return Answer(body=allocations.report(used, org.meter.allowance, query_jobs=org.bulk.used(now)))


def record_count(org: Org, call: Call) -> Answer:
    """About how many records each object has; objects without any are left out."""
    asked = call.params.get("sObjects")
    names = asked.split(",") if asked else list(org.types())
    types = [type_ for name in names if (type_ := org.type(name.strip())) is not None]
    counts = [{"count": _about(org, len(org.scan(each.name, deleted=False))), "name": each.name} for each in types]
    return Answer(body={"sObjects": [each for each in counts if each["count"]]})


def describe_global(org: Org, call: Call) -> Answer:
    """Every object, in short."""
    body = describing.describe_global(org.types().values(), version=call.version)
    return conditional.answer(call, body, org.access.changed_at)


def basic_information(org: Org, call: Call, name: str) -> Answer:
    """One object, in short, and the records the user looked at lately: none."""
    type_ = naming.named(org, name)
    short = describing.describe_global([type_], version=call.version)["sobjects"][0]
    return Answer(body={"objectDescribe": short, "recentItems": []})


def describe(org: Org, call: Call, name: str) -> Answer:
    """One object with all its fields, as far as this user may see them."""
    type_ = naming.named(org, name)
    body = describing.describe_object(type_, version=call.version, hidden=org.hidden(type_.name))
    return conditional.answer(call, body, org.access.changed_at)


def _about(org: Org, number: int) -> int:
    error = org.undocumented.record_count_error
    return round(number * (1 + org.rng.uniform(-error, error))) if error else number
