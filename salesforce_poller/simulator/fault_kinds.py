"""What a fault is, and how the usual ones are made.

The table of those that have a name is in `faults`; `weather` decides when one strikes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

JSON_TYPE = "application/json;charset=UTF-8"
HTML_TYPE = "text/html;charset=UTF-8"
XML_TYPE = "application/xml;charset=UTF-8"

Effect = Literal["answer", "expire_session", "reset", "truncate", "slow", "drip", "stall", "oversize"]
"""answer: this instead of the real one · expire_session: and the caller's session is dead · reset: the connection is,
before anything was done · truncate: the real answer breaks off half-way · slow: the real answer comes late · drip: it
comes in small pieces, with a pause before each · stall: its first half comes, and then nothing, for ever · oversize: it
is followed by so many blanks that nobody should read them all."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail; `faults.FAULTS` has them by name, and a test may make its own."""

    name: str
    status: int = 200
    body: str = ""
    media_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    effect: Effect = "answer"
    seconds: float = 0.0
    """How late a slow answer is, or the next piece of one that drips, in machine seconds."""
    size: int = 0
    """How long an oversized body is, in bytes before compression."""
    where: str = "/services/"
    """Where it strikes when nobody says: the beginning of the path."""

    @property
    def whole_request(self) -> bool:
        """Only a request of its own can meet it, not one part of a composite request."""
        return self.media_type != JSON_TYPE or not self.body


def rest(name: str, status: int, code: str, message: str, *, effect: Effect = "answer") -> Fault:
    """A fault with a REST error body."""
    body = json.dumps([{"message": message, "errorCode": code}])
    headers = {"WWW-Authenticate": "Token"} if status == 401 else {}  # noqa: PLR2004  # HTTP's own number
    return Fault(name, status, body, headers=headers, effect=effect, where="/services/data/v")


def oauth(name: str, error: str, description: str | None) -> Fault:
    """A fault of the token endpoint; some have no description."""
    body = json.dumps({"error": error} if description is None else {"error": error, "error_description": description})
    return Fault(name, 400, body, headers={"Cache-Control": "no-store"}, where="/services/oauth2/token")


def page(name: str, status: int, title: str) -> Fault:
    """An HTML page from the edge."""
    body = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Fault(name, status, body, HTML_TYPE)


def bare(name: str, status: int, headers: Mapping[str, str] | None = None) -> Fault:
    """A status and nothing else."""
    return Fault(name, status, headers=headers or {})
