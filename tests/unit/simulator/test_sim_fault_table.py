"""Everything a client must be able to tell apart is in the table of faults, under a name, and arrives as it should."""

import json

import httpx

from salesforce_poller.simulator.faults import FAULTS
from salesforce_poller.simulator.org import Org

#: Token endpoint: error, description (None: there is none). Salesforce Help, "OAuth 2.0 Authorization Errors".
OAUTH = [
    ("invalid_grant", "expired access/refresh token"),
    ("invalid_grant", "authentication failure"),
    ("invalid_grant", "authentication failure - Invalid Password"),
    ("invalid_grant", "user hasn't approved this consumer"),
    ("invalid_grant", "no client credentials user enabled"),
    ("invalid_grant", "Audience validation failed"),
    ("invalid_grant", "ip restricted or invalid login hours"),
    ("invalid_grant", "IP restricted or invalid login hours"),
    ("invalid_grant", "expired authorization code"),
    ("invalid_grant", "invalid authorization code"),
    ("invalid_grant", "invalid assertion"),
    ("invalid_grant", "user is not admin approved to access this app"),
    ("invalid_app_access", "user is not admin approved to access this app"),
    ("invalid_grant", "request not supported on this domain"),
    ("invalid_grant", "inactive user"),
    ("invalid_grant", None),
    ("inactive_user", "inactive user"),
    ("invalid_client_id", "client identifier invalid"),
    ("invalid_client", "invalid client credentials"),
    ("invalid_client_credentials", "invalid client"),
    ("inactive_org", "organization is locked, closed, or suspended"),
    ("OAUTH_APP_BLOCKED", "this app is blocked by admin"),
    ("OAUTH_APPROVAL_ERROR_GENERIC", None),
    ("unsupported_grant_type", "grant type not supported"),
    ("unsupported_response_type", "response type not supported"),
    ("invalid_request", "invalid request"),
    ("invalid_scope", "the requested scope is not allowed"),
    ("redirect_uri_mismatch", "redirect_uri must match configuration"),
    ("rate_limit_exceeded", "login rate exceeded"),
    ("server_error", "internal server error"),
    ("temporarily_unavailable", "temporarily unavailable"),
    ("unknown_error", "retry your request"),
]
#: REST API: status, code, the beginning of the message. "Status Codes and Error Responses", getUpdated(), getDeleted().
REST = [
    (400, "INVALID_TYPE", "sObject type"),
    (400, "INVALID_FIELD", "No such column"),
    (400, "INVALID_FIELD_FOR_INSERT_UPDATE", "Unable to create/update fields: MasterRecordId."),
    (400, "MALFORMED_QUERY", "unexpected token: "),
    (400, "MALFORMED_ID", "Lead ID: id value of incorrect type: "),
    (400, "JSON_PARSER_ERROR", ""),
    (400, "REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]"),
    (400, "DUPLICATES_DETECTED", "Use one of these records?"),
    (400, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access to this record or 1 records: 00Q"),
    (500, "UNABLE_TO_LOCK_ROW", "unable to obtain exclusive access"),
    (400, "QUERY_TIMEOUT", "Your query request was running for too long."),
    (400, "QUERY_TOO_COMPLICATED", ""),
    (400, "REQUEST_RUNNING_TOO_LONG", ""),
    (400, "OPERATION_TOO_LARGE", ""),
    (400, "INVALID_QUERY_LOCATOR", ""),
    (400, "INVALID_BATCH_SIZE", ""),
    (400, "INVALID_REPLICATION_DATE", "startDate cannot be more than 30 days ago"),
    (400, "INVALID_REPLICATION_DATE", "startDate must be at least one minute greater than endDate"),
    (400, "INVALID_REPLICATION_DATE", "startDate before org replication enabled date"),
    (400, "INVALID_REPLICATION_DATE", "startDate cannot be later than or equal to endDate"),
    (400, "INVALID_REPLICATION_DATE", "latestDateCovered cannot be more than endDate"),
    (400, "EXCEEDED_ID_LIMIT", ""),
    (400, "LIMIT_EXCEEDED", ""),
    (400, "CANNOT_EXECUTE_FLOW_TRIGGER", ""),
    (400, "FIELD_CUSTOM_VALIDATION_EXCEPTION", ""),
    (400, "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE", ""),
    (401, "INVALID_SESSION_ID", "Session expired or invalid"),
    (401, "INVALID_SESSION_ID", "This session is not valid for use with the REST API"),
    (401, "INVALID_SESSION_ID", "Connected app is not attached to Agent"),
    (401, "INVALID_AUTH_HEADER", ""),
    (403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
    (403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded"),
    (403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests "),
    (403, "API_DISABLED_FOR_ORG", "The REST API is not enabled for this Organization."),
    (403, "API_CURRENTLY_DISABLED", "API is disabled for this User"),
    (403, "API_CURRENTLY_DISABLED", "API functionality is unavailable."),
    (403, "INSUFFICIENT_ACCESS", ""),
    (403, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object id"),
    (403, "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", ""),
    (403, "FUNCTIONALITY_NOT_ENABLED", ""),
    *[
        (403, f"TXN_SECURITY_{name}", "")
        for name in (
            *("APEX_ERROR", "METERING_ERROR", "NO_ACCESS", "RUNTIME_ERROR"),
            *("END_A_SESSION", "FAIL_CLOSE", "TWO_FA_REQUIRED"),
        )
    ],
    (404, "NOT_FOUND", "The requested resource does not exist"),
    (404, "NOT_FOUND", "Provided external ID field does not exist or is not accessible: rid"),
    (404, "ENTITY_IS_DELETED", "entity is deleted"),
    (404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id"),
    (405, "METHOD_NOT_ALLOWED", ""),
    (409, "CONFLICT", ""),
    (410, "GONE", ""),
    (410, "UNSUPPORTED_API_VERSION", ""),
    (410, "INVALID_VERSION", ""),
    (415, "UNSUPPORTED_MEDIA_TYPE", ""),
    (500, "UNKNOWN_EXCEPTION", "An unexpected error occurred. Please include this ErrorId if you contact support: "),
    (500, "INTERNAL_ERROR", ""),
    (500, "API_ERROR", ""),
    (503, "SERVER_UNAVAILABLE", ""),
]
#: Statuses that come without JSON: with a page, or with nothing.
BARE = [
    *[(status, "") for status in (200, 304, 406, 412, 413, 428, 429, 503, 504)],
    *[(status, "<!DOCTYPE html>") for status in (200, 414, 420, 431, 502, 503)],
    (300, '["/services/data/'),
    (503, "<?xml"),
    (403, "Bad_OAuth_Token"),
    (403, "Missing_OAuth_Token"),
]


def named(**looks: object) -> str:
    """The name of the first fault that looks so."""
    for each in FAULTS.values():
        if all(getattr(each, key) == value for key, value in looks.items()):
            return each.name
    raise AssertionError(f"no fault looks like {looks}")


async def test_every_refusal_of_the_token_endpoint_has_a_fault(org: Org, http: httpx.AsyncClient) -> None:
    """400, no-store, the error and its description, over the wire and without naming a path."""
    for error, description in OAUTH:
        expected = {"error": error} if description is None else {"error": error, "error_description": description}
        org.weather.arm(named(status=400, body=json.dumps(expected)))
        response = await http.post("/services/oauth2/token", data={"grant_type": "client_credentials"})
        assert (response.status_code, response.json()) == (400, expected)
        assert response.headers["cache-control"] == "no-store", error


async def test_every_error_of_the_rest_api_has_a_fault(org: Org, api: httpx.AsyncClient) -> None:
    """Status, code and message, as one part of a composite request that is 200 outside, and on its own."""
    url = "/services/data/v66.0/sobjects/Lead/describe"
    request = {"compositeRequest": [{"method": "GET", "url": url, "referenceId": "a"}]}
    for status, code, message in REST:
        found = [
            each.name
            for each in FAULTS.values()
            if each.status == status
            and each.body.startswith("[{")
            and json.loads(each.body)[0]["errorCode"] == code
            and json.loads(each.body)[0]["message"].startswith(message)
        ]
        assert found, (status, code, message)
        org.weather.arm(found[0], path="/describe", times=2)
        outer = await api.post("composite", json=request)
        alone = await api.get(url)
        (inner,) = outer.json()["compositeResponse"]
        assert outer.status_code == 200
        assert (alone.status_code, alone.json()[0]["errorCode"]) == (status, code)
        assert (inner["httpStatusCode"], inner["body"]) == (status, alone.json())
        session = org.sessions.issue(org.integration_user, "test", "api", org.clock.now())  # the last one may be dead
        api.headers["Authorization"] = f"Bearer {session.token}"


async def test_every_answer_that_is_no_error_in_json_has_a_fault(org: Org, api: httpx.AsyncClient) -> None:
    """Pages from the edge, empty answers, plain text."""
    for status, body in BARE:
        found = [
            each.name
            for each in FAULTS.values()
            if (each.effect, each.status) == ("answer", status)
            and (each.body.startswith(body) if body else not each.body)
        ]
        assert found, (status, body)
        org.weather.arm(found[0], path="/limits")
        response = await api.get("limits")
        assert response.status_code == status
        assert response.text.startswith(body) if body else response.content == b"", (status, body)


def test_no_two_faults_look_alike() -> None:
    """A name more than needed is a name to choose the wrong one by."""
    looks = [(each.status, each.body, each.effect, each.where) for each in FAULTS.values()]
    assert len(set(looks)) == len(looks)
