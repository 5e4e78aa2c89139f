"""Which calls were made, by kind: what a benchmark counts, and what each kind costs.

Kept by `Org`; filled by `edge` for requests, by `rest` for the parts of composite ones; told by the control API (`GET
/simulator/calls`). Sources: "API Request Limits and Allocations" and the REST API Developer Guide's pages on each
resource: a composite, graph, tree or collections request is one call, a batch is one per subrequest; Versions is free,
and so are logins and what belongs to them, whose answers carry no Sforce-Limit-Info.
"""

import re
from collections import defaultdict
from dataclasses import asdict, dataclass

ROOT = re.compile(r"/services/data/v[0-9.]+(?P<rest>/.*?)?/?")

_OUTSIDE = (
    (r"/services/data/?", "versions"),
    (r"/services/oauth2/(token|authorize|userinfo|introspect|revoke)", r"\1"),
    (r"/\.well-known/openid-configuration", "discovery"),
    (r"/id/[^/]+/[^/]+", "identity"),
    (r"/services/Soap/.+", "soap"),
)
_INSIDE = (
    ("/limits", "limits"),
    ("/limits/recordCount", "record_count"),
    ("/query", "query"),
    ("/queryAll", "query_all"),
    ("/query(?:All)?/[^/]+", "query_more"),
    ("/sobjects", "describe_global"),
    ("/sobjects/[^/]+/describe", "describe"),
    ("/sobjects/[^/]+/(updated|deleted)", r"\1"),
    ("/sobjects/.+", "rows"),
    ("/composite", "composite"),
    ("/composite/(batch|graph)", r"\1"),
    ("/composite/tree/.+", "tree"),
    ("/composite/sobjects(?:/.+)?", "collections"),
    ("/jobs/.+", "jobs"),
)
"""Paths below the version, and their kinds; what is not here is "other"."""

PAID_BY_PART = "batch"
"""The one kind of request that costs nothing itself: each of its parts does."""


def kind(path: str) -> str:
    """The kind of a call, by its decoded path."""
    found = ROOT.fullmatch(path)
    if found is not None and found["rest"] in (None, "", "/"):
        return "resources"
    table, place = (_OUTSIDE, path) if found is None else (_INSIDE, found["rest"])
    for pattern, name in table:
        if matched := re.fullmatch(pattern, place):
            return matched.expand(name)
    return "other"


@dataclass(slots=True)
class Count:
    """How often there was one kind of call."""

    requests: int = 0
    """On their own, refused ones included."""
    parts: int = 0
    """Inside a composite, batch or graph request."""
    metered: int = 0
    """Calls of the org's allowance that they cost."""


class Tally:
    """The counts of one org since it was founded, or since `clear`."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, Count] = defaultdict(Count)

    def request(self, kind: str) -> None:
        """Count a request."""
        self._counts[kind].requests += 1

    def part(self, kind: str) -> None:
        """Count a part of one."""
        self._counts[kind].parts += 1

    def pay(self, kind: str) -> None:
        """Count a call that was taken off the allowance."""
        self._counts[kind].metered += 1

    def clear(self) -> None:
        """Begin anew."""
        self._counts.clear()

    def metered(self) -> dict[str, int]:
        """What was taken off the allowance, by the kind of call that it was taken for."""
        return {kind: count.metered for kind, count in sorted(self._counts.items()) if count.metered}

    def report(self) -> dict[str, object]:
        """All counts by kind, and what all of them cost together."""
        kinds = {kind: asdict(count) for kind, count in sorted(self._counts.items())}
        return {"metered": sum(self.metered().values()), "kinds": kinds}
