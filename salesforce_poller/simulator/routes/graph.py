"""Composite graphs: lists of subrequests in one request, which counts as one; each list is all or nothing.

Called by `rest`, which lends its `inside`; the subrequests are those of `composite`. Source: REST API Developer Guide,
"Composite Graph" and "Composite Graph Limits".
"""

from typing import Any

from salesforce_poller.simulator.call import Answer, Call
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.routes import composite
from salesforce_poller.simulator.routes.composite import Inside

MOST_GRAPHS = 75
MOST_NODES = 500


def run(org: Org, call: Call, *, inside: Inside) -> Answer:
    """Handle one graph after the other; raises INVALID_INPUT or LIMIT_EXCEEDED when the request as a whole is wrong."""
    graphs = call.json_object().get("graphs")
    if not isinstance(graphs, list) or not graphs or not all(_is_graph(graph) for graph in graphs):
        raise ApiError(400, "INVALID_INPUT", "graphs must be a list of at least one object with a graphId")
    parts = [composite.check(graph.get("compositeRequest"), call.version) for graph in graphs]
    if len(graphs) > MOST_GRAPHS or sum(map(len, parts)) > MOST_NODES:
        message = f"A graph request may have at most {MOST_GRAPHS} graphs and {MOST_NODES} subrequests"
        raise ApiError(400, "LIMIT_EXCEEDED", message)
    answers = []
    for graph, subrequests in zip(graphs, parts, strict=True):
        results, good = composite.atomic(org, call, subrequests, inside=inside)
        response = {"compositeResponse": [results[part["referenceId"]] for part in subrequests]}
        answers.append({"graphId": graph["graphId"], "graphResponse": response, "isSuccessful": good})
    return Answer(body={"graphs": answers})


def _is_graph(graph: Any) -> bool:
    return isinstance(graph, dict) and isinstance(graph.get("graphId"), str)
