"""The table of everything that can go wrong between a client and Salesforce.

Each fault is a whole answer, by name; `weather` decides when one strikes, `edge` and `rest` carry it out. Codes,
statuses and texts: REST API Developer Guide, "Status Codes and Error Responses"; Salesforce Help, "OAuth 2.0
Authorization Errors"; and what Salesforce's edge servers answer in HTML or with nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

JSON_TYPE = "application/json;charset=UTF-8"
HTML_TYPE = "text/html;charset=UTF-8"

Effect = Literal["answer", "expire_session", "reset", "truncate", "slow"]
"""answer: this instead of the real one · expire_session: and the caller's session is dead · reset: the connection is,
before anything was done · truncate: the real answer breaks off half-way · slow: the real answer comes late."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to fail; `FAULTS` has them by name, and a test may make its own."""

    name: str
    status: int = 200
    body: str = ""
    media_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    effect: Effect = "answer"
    seconds: float = 0.0
    """How late a slow answer is, in machine seconds."""
    where: str = "/services/"
    """Where it strikes when nobody says: the beginning of the path."""

    @property
    def whole_request(self) -> bool:
        """Only a request of its own can meet it, not one part of a composite request."""
        return self.media_type == HTML_TYPE or not self.body


def rest(name: str, status: int, code: str, message: str, *, effect: Effect = "answer") -> Fault:
    """A fault with a REST error body."""
    body = json.dumps([{"message": message, "errorCode": code}])
    headers = {"WWW-Authenticate": "Token"} if status == 401 else {}  # noqa: PLR2004  # HTTP's own number
    return Fault(name, status, body, headers=headers, effect=effect, where="/services/data/v")


def oauth(name: str, error: str, description: str) -> Fault:
    """A fault of the token endpoint."""
    body = json.dumps({"error": error, "error_description": description})
    return Fault(name, 400, body, headers={"Cache-Control": "no-store"}, where="/services/oauth2/token")


def page(name: str, status: int, title: str) -> Fault:
    """An HTML page from the edge."""
    body = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Fault(name, status, body, HTML_TYPE)


def bare(name: str, status: int, headers: Mapping[str, str] | None = None) -> Fault:
    """A status and nothing else."""
    return Fault(name, status, headers=headers or {})


UNKNOWN = (
    "An unexpected error occurred. Please include this ErrorId if you contact support: 1234567890-98765 (-1122334455)"
)
TRY_AGAIN = "The flow failed to access the value; an error occurred at element. Try again later."

_REST = (
    ("MALFORMED_QUERY", 400, "unexpected token: 'FORM'"),
    ("INVALID_FIELD", 400, "No such column 'Gone__c' on sobject of type Lead"),
    ("INVALID_TYPE", 400, "sObject type 'Lead' is not supported."),
    ("MALFORMED_ID", 400, "Lead ID: id value of incorrect type: 00Q"),
    ("INVALID_QUERY_LOCATOR", 400, "invalid query locator"),
    ("INVALID_REPLICATION_DATE", 400, "startDate cannot be more than 30 days ago"),
    ("EXCEEDED_ID_LIMIT", 400, "exceeded max number of ids in the result: 600000"),
    ("JSON_PARSER_ERROR", 400, "Unexpected character at [line:1, column:2]"),
    ("LIMIT_EXCEEDED", 400, "limit exceeded"),
    ("UNABLE_TO_LOCK_ROW", 400, "unable to obtain exclusive access to this record or 1 records: 00QSm0000000001"),
    ("QUERY_TIMEOUT", 400, "Your query request was running for too long."),
    (
        "QUERY_TOO_COMPLICATED",
        400,
        "query is either selecting too many fields or the filter conditions are too complicated.",
    ),
    ("OPERATION_TOO_LARGE", 400, "exceeded 100000 distinct who/what's"),
    ("CANNOT_EXECUTE_FLOW_TRIGGER", 400, TRY_AGAIN),
    ("FIELD_CUSTOM_VALIDATION_EXCEPTION", 400, "The close date must not lie in the past."),
    ("INVALID_AUTH_HEADER", 401, "INVALID_HEADER_TYPE"),
    ("REQUEST_LIMIT_EXCEEDED", 403, "TotalRequests Limit exceeded."),
    ("API_DISABLED_FOR_ORG", 403, "The REST API is not enabled for this Organization."),
    ("API_CURRENTLY_DISABLED", 403, "API is disabled for this User"),
    ("INSUFFICIENT_ACCESS", 403, "insufficient access rights on object id"),
    ("INSUFFICIENT_ACCESS_OR_READONLY", 403, "insufficient access rights on object id"),
    ("FUNCTIONALITY_NOT_ENABLED", 403, "This feature is not currently enabled for this user."),
    ("TXN_SECURITY_METERING_ERROR", 403, "Something went wrong with a transaction security policy. Try again later."),
    ("TXN_SECURITY_NO_ACCESS", 403, "The operation you requested was blocked by a transaction security policy."),
    ("NOT_FOUND", 404, "The requested resource does not exist"),
    ("ENTITY_IS_DELETED", 404, "entity is deleted"),
    ("METHOD_NOT_ALLOWED", 405, "HTTP Method 'GET' not allowed. Allowed are HEAD,POST"),
    ("CONFLICT", 409, "The request could not be completed due to a conflict with the current state of the resource."),
    ("GONE", 410, "The requested resource has been retired"),
    ("UNSUPPORTED_MEDIA_TYPE", 415, "The provided content type is not supported by this resource"),
    ("UNKNOWN_EXCEPTION", 500, UNKNOWN),
    ("INTERNAL_ERROR", 500, "An internal error occurred."),
    ("API_ERROR", 500, "An internal error occurred."),
    (
        "SERVER_UNAVAILABLE",
        503,
        "The server is unavailable; it is down for maintenance or overloaded. Try again later.",
    ),
)
"""Faults whose name is their error code."""

_OAUTH = (
    ("OAUTH_EXPIRED_TOKEN", "invalid_grant", "expired access/refresh token"),
    ("OAUTH_AUTHENTICATION_FAILURE", "invalid_grant", "authentication failure"),
    ("OAUTH_NOT_APPROVED", "invalid_grant", "user hasn't approved this consumer"),
    ("OAUTH_NO_RUN_AS_USER", "invalid_grant", "no client credentials user enabled"),
    ("OAUTH_AUDIENCE", "invalid_grant", "Audience validation failed"),
    ("OAUTH_IP_RESTRICTED", "invalid_grant", "ip restricted or invalid login hours"),
    ("OAUTH_INACTIVE_USER", "inactive_user", "inactive user"),
    ("OAUTH_INVALID_CLIENT_ID", "invalid_client_id", "client identifier invalid"),
    ("OAUTH_INVALID_CLIENT", "invalid_client", "invalid client credentials"),
    ("OAUTH_INACTIVE_ORG", "inactive_org", "organization is locked, closed, or suspended"),
    ("OAUTH_APP_BLOCKED", "OAUTH_APP_BLOCKED", "this app is blocked by admin"),
    ("OAUTH_UNSUPPORTED_GRANT_TYPE", "unsupported_grant_type", "grant type not supported"),
    ("OAUTH_LOGIN_RATE", "rate_limit_exceeded", "login rate exceeded"),
    ("OAUTH_UNKNOWN_ERROR", "unknown_error", "retry your request"),
)

_OTHERS = (
    rest("INVALID_SESSION_ID", 401, "INVALID_SESSION_ID", "Session expired or invalid", effect="expire_session"),
    rest(
        "SESSION_NOT_FOR_REST",
        401,
        "INVALID_SESSION_ID",
        "This session is not valid for use with the REST API",  # a new token would not help
    ),
    rest("CONCURRENT_LIMIT_EXCEEDED", 403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded"),
    rest("YOUNG_ORG", 400, "INVALID_REPLICATION_DATE", "startDate before org replication enabled date"),
    bare("NOT_ACCEPTABLE", 406),
    bare("PRECONDITION_FAILED", 412),
    bare("CONTENT_TOO_LARGE", 413),
    page("URI_TOO_LONG", 414, "414 Request-URI Too Long"),
    page("EDGE_HAS_NO_ROUTE", 420, "We are setting things up"),
    bare("PRECONDITION_REQUIRED", 428),
    bare("TOO_MANY_REQUESTS", 429, {"Retry-After": "2"}),
    page("HEADERS_TOO_LARGE", 431, "431 Request Header Fields Too Large"),
    page("BAD_GATEWAY", 502, "502 Bad Gateway"),
    page("SERVICE_UNAVAILABLE_PAGE", 503, "Down for Maintenance"),
    bare("GATEWAY_TIMEOUT", 504),
    Fault("CONNECTION_RESET", effect="reset"),
    Fault("TRUNCATED_BODY", effect="truncate"),
    Fault("SLOW", effect="slow", seconds=1.0),
)

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        *(rest(code, status, code, message) for code, status, message in _REST),
        *_OTHERS,
        *(oauth(name, error, description) for name, error, description in _OAUTH),
    )
}
"""Every ready-made fault by name."""
