"""What travels between the edge and the routes: a call to the REST API, and the answer to it.

Made by `edge` from an HTTP request and by `routes.composite` from a part of one; handled by `rest`. No HTTP
library is in sight, so a call inside a composite request is handled exactly like one of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.fault_kinds import JSON_TYPE
from salesforce_poller.simulator.transactions import Transaction


@dataclass(frozen=True, slots=True)
class Call:
    """One call by a user who is logged in."""

    method: str
    path: str
    """Decoded, from the root: /services/data/v66.0/query."""
    params: Mapping[str, str]
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    user_id: str
    version: str = ""
    """As in the path, without the v: 66.0. Filled in by `rest`."""
    transaction: Transaction | None = None
    """The transaction this call's writes belong to, when it is part of an all-or-none composite request."""

    @property
    def root(self) -> str:
        """The beginning of every path of this call's version."""
        return f"/services/data/v{self.version}"

    def json(self) -> Any:
        """The body; raises JSON_PARSER_ERROR."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            message = f"{error.msg} at [line:{error.lineno}, column:{error.colno}]"
            raise ApiError(400, "JSON_PARSER_ERROR", message) from error

    def json_object(self) -> dict[str, Any]:
        """The body, which must be a JSON object; raises JSON_PARSER_ERROR."""
        value = self.json()
        if not isinstance(value, dict):
            raise ApiError(400, "JSON_PARSER_ERROR", "The request body must be a JSON object at [line:1, column:1]")
        return value


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back. `body` is JSON to be, or text when `media_type` says so; None is no body at all."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = JSON_TYPE

    @property
    def ok(self) -> bool:
        """Whether the call did what it was asked to."""
        return self.status < 400  # noqa: PLR2004  # HTTP's own number


def refusal(error: ApiError) -> Answer:
    """The answer that tells of an error."""
    return Answer(error.status, error.body())
