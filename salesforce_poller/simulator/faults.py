"""The table of everything that can go wrong between a client and Salesforce.

Each fault is a whole answer, by name; `weather` decides when one strikes, `edge` and `rest` carry it out. Codes,
statuses and texts: REST API Developer Guide, "Status Codes and Error Responses"; SOAP API Developer Guide, "Core Data
Types Used in API Calls"; Salesforce Help, "OAuth 2.0 Authorization Errors"; and what Salesforce's edge servers answer
in HTML or with nothing. What a fault is: `fault_kinds`.
"""

import json
from dataclasses import replace

from salesforce_poller.simulator.fault_kinds import XML_TYPE, Fault, bare, oauth, page, rest

__all__ = ["FAULTS", "UNKNOWN", "Fault", "rest"]

OVERSIZE = 64 * 1024 * 1024
"""Bytes; nothing that Salesforce sends as one page comes near."""

UNKNOWN = (
    "An unexpected error occurred. Please include this ErrorId if you contact support: 1234567890-98765 (-1122334455)"
)
NOT_WRITABLE = (
    "Unable to create/update fields: MasterRecordId. Please check the security settings of this field and verify that "
    "it is read/write for your profile or permission set."
)
TRY_AGAIN = "The flow failed to access the value; an error occurred at element. Try again later."

_REST = (
    ("MALFORMED_QUERY", 400, "unexpected token: 'FORM'"),
    ("INVALID_FIELD", 400, "No such column 'Gone__c' on sobject of type Lead"),
    ("INVALID_TYPE", 400, "sObject type 'Lead' is not supported."),
    ("MALFORMED_ID", 400, "Lead ID: id value of incorrect type: 00Q"),
    ("INVALID_QUERY_LOCATOR", 400, "invalid query locator"),
    ("INVALID_REPLICATION_DATE", 400, "startDate cannot be more than 30 days ago"),
    ("INVALID_BATCH_SIZE", 400, "Invalid value for header Sforce-Query-Options: batchSize=many"),
    ("REQUIRED_FIELD_MISSING", 400, "Required fields are missing: [LastName]"),
    ("INVALID_FIELD_FOR_INSERT_UPDATE", 400, NOT_WRITABLE),
    ("DUPLICATES_DETECTED", 400, "Use one of these records?"),
    ("INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", 400, "Writes are not allowed during maintenance."),
    ("REQUEST_RUNNING_TOO_LONG", 400, "Your request was running for too long, and has been stopped."),
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
    ("INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", 403, "insufficient access rights on cross-reference id"),
    ("FUNCTIONALITY_NOT_ENABLED", 403, "This feature is not currently enabled for this user."),
    ("TXN_SECURITY_METERING_ERROR", 403, "Something went wrong with a transaction security policy. Try again later."),
    ("TXN_SECURITY_APEX_ERROR", 403, "A transaction security policy has failed."),
    ("TXN_SECURITY_RUNTIME_ERROR", 403, "A transaction security policy has failed at run time."),
    ("TXN_SECURITY_END_A_SESSION", 403, "A transaction security policy requires that you end a session."),
    ("TXN_SECURITY_FAIL_CLOSE", 403, "A transaction security policy could not be evaluated."),
    ("TXN_SECURITY_TWO_FA_REQUIRED", 403, "A transaction security policy requires a second factor."),
    ("TXN_SECURITY_NO_ACCESS", 403, "The operation you requested was blocked by a transaction security policy."),
    ("NOT_FOUND", 404, "The requested resource does not exist"),
    ("ENTITY_IS_DELETED", 404, "entity is deleted"),
    ("INVALID_CROSS_REFERENCE_KEY", 404, "invalid cross reference id"),
    ("METHOD_NOT_ALLOWED", 405, "HTTP Method 'GET' not allowed. Allowed are HEAD,POST"),
    ("CONFLICT", 409, "The request could not be completed due to a conflict with the current state of the resource."),
    ("GONE", 410, "The requested resource has been retired"),
    ("UNSUPPORTED_API_VERSION", 410, "The requested API version has been retired: 20.0"),
    ("INVALID_VERSION", 410, "The requested API version is not supported"),
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
    ("OAUTH_INVALID_PASSWORD", "invalid_grant", "authentication failure - Invalid Password"),
    ("OAUTH_CODE_EXPIRED", "invalid_grant", "expired authorization code"),
    ("OAUTH_CODE_INVALID", "invalid_grant", "invalid authorization code"),
    ("OAUTH_INVALID_ASSERTION", "invalid_grant", "invalid assertion"),
    ("OAUTH_WRONG_DOMAIN", "invalid_grant", "request not supported on this domain"),
    ("OAUTH_NOT_ADMIN_APPROVED", "invalid_grant", "user is not admin approved to access this app"),
    ("OAUTH_INVALID_APP_ACCESS", "invalid_app_access", "user is not admin approved to access this app"),
    ("OAUTH_NO_DESCRIPTION", "invalid_grant", None),
    ("OAUTH_NOT_APPROVED", "invalid_grant", "user hasn't approved this consumer"),
    ("OAUTH_NO_RUN_AS_USER", "invalid_grant", "no client credentials user enabled"),
    ("OAUTH_AUDIENCE", "invalid_grant", "Audience validation failed"),
    ("OAUTH_IP_RESTRICTED", "invalid_grant", "ip restricted or invalid login hours"),
    ("OAUTH_IP_RESTRICTED_IN_CAPITALS", "invalid_grant", "IP restricted or invalid login hours"),
    ("OAUTH_INACTIVE_USER", "inactive_user", "inactive user"),
    ("OAUTH_INACTIVE_USER_GRANT", "invalid_grant", "inactive user"),
    ("OAUTH_INVALID_CLIENT_ID", "invalid_client_id", "client identifier invalid"),
    ("OAUTH_INVALID_CLIENT", "invalid_client", "invalid client credentials"),
    ("OAUTH_INVALID_CLIENT_CREDENTIALS", "invalid_client_credentials", "invalid client"),
    ("OAUTH_INACTIVE_ORG", "inactive_org", "organization is locked, closed, or suspended"),
    ("OAUTH_APP_BLOCKED", "OAUTH_APP_BLOCKED", "this app is blocked by admin"),
    ("OAUTH_UNSUPPORTED_GRANT_TYPE", "unsupported_grant_type", "grant type not supported"),
    ("OAUTH_APPROVAL_ERROR", "OAUTH_APPROVAL_ERROR_GENERIC", None),
    ("OAUTH_UNSUPPORTED_RESPONSE_TYPE", "unsupported_response_type", "response type not supported"),
    ("OAUTH_INVALID_REQUEST", "invalid_request", "invalid request"),
    ("OAUTH_INVALID_SCOPE", "invalid_scope", "the requested scope is not allowed"),
    ("OAUTH_REDIRECT_URI_MISMATCH", "redirect_uri_mismatch", "redirect_uri must match configuration"),
    ("OAUTH_SERVER_ERROR", "server_error", "internal server error"),
    ("OAUTH_TEMPORARILY_UNAVAILABLE", "temporarily_unavailable", "temporarily unavailable"),
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
    rest("AGENT_NOT_ATTACHED", 401, "INVALID_SESSION_ID", "Connected app is not attached to Agent"),  # nor here
    rest("CONCURRENT_LIMIT_EXCEEDED", 403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded"),
    rest(
        "CONCURRENT_REQUESTS_EXCEEDED",
        403,
        "REQUEST_LIMIT_EXCEEDED",
        "ConcurrentRequests (Concurrent API Requests) Limit exceeded.",
    ),
    rest("API_CURRENTLY_DISABLED_BY_A_PROBLEM", 403, "API_CURRENTLY_DISABLED", "API functionality is unavailable."),
    rest("UNABLE_TO_LOCK_ROW_AS_500", 500, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record"),
    rest("NO_EXTERNAL_ID", 404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: rid"),
    rest(
        "SPAN_TOO_SHORT",
        400,
        "INVALID_REPLICATION_DATE",
        "startDate must be at least one minute greater than endDate",  # Salesforce has it the wrong way round
    ),
    rest("SPAN_BACKWARDS", 400, "INVALID_REPLICATION_DATE", "startDate cannot be later than or equal to endDate"),
    rest("COVERED_BEYOND_END", 400, "INVALID_REPLICATION_DATE", "latestDateCovered cannot be more than endDate"),
    rest("YOUNG_ORG", 400, "INVALID_REPLICATION_DATE", "startDate before org replication enabled date"),
    Fault("MULTIPLE_CHOICES", 300, json.dumps(["/services/data/v66.0/sobjects/Lead/00QSm0000000001MAA"])),
    bare("NOT_MODIFIED", 304),
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
    bare("EMPTY_UNAVAILABLE", 503),
    Fault(
        "XML_ERROR",
        503,
        '<?xml version="1.0" encoding="UTF-8"?><Errors><Error><errorCode>SERVER_UNAVAILABLE</errorCode>'
        "<message>Try again later.</message></Error></Errors>",
        XML_TYPE,
    ),
    bare("EMPTY_BODY", 200),
    page("HTML_BODY", 200, "Login | Salesforce"),
    Fault("CONNECTION_RESET", effect="reset"),
    Fault("TRUNCATED_BODY", effect="truncate"),
    Fault("SLOW", effect="slow", seconds=1.0),
    Fault("DRIPPING_BODY", effect="drip", seconds=1.0),
    Fault("STALLED_BODY", effect="stall"),
    Fault("OVERSIZED_BODY", effect="oversize", size=OVERSIZE),
    replace(page("OAUTH_BAD_TOKEN", 403, ""), body="Bad_OAuth_Token", where="/services/oauth2/userinfo"),
    replace(page("OAUTH_MISSING_TOKEN", 403, ""), body="Missing_OAuth_Token", where="/services/oauth2/userinfo"),
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
