"""The table of everything that Salesforce answers instead of what was asked for, and what happens then. Pure.

Rows are tried from the top, and the first one that fits counts; ``troubles.py`` looks them up. The errorCode stands
above the status, because a 403 alone can mean six things. Sources: REST API Developer Guide, *Status Codes and Error
Responses*; SOAP API Developer Guide, *Core Data Types Used in API Calls* (ExceptionCode); Salesforce Help, *OAuth 2.0
Authorization Errors*. The README shows the same table; a test compares them.
"""

from dataclasses import dataclass

from salesforce_poller.errors import Action, Scope

_DEVELOPER = "https://developer.salesforce.com/docs/atlas.en-us"
_ARTICLE = "https://help.salesforce.com/s/articleView?id="
STATUSES = f"{_DEVELOPER}.api_rest.meta/api_rest/errorcodes.htm"
CODES = f"{_DEVELOPER}.api.meta/api/sforce_api_calls_concepts_core_data_objects.htm"
EDITIONS = f"{_DEVELOPER}.api_rest.meta/api_rest/intro_rest_compatible_editions.htm"
DELETED = f"{_DEVELOPER}.api_rest.meta/api_rest/resources_getdeleted.htm"
LIMITS = (
    f"{_DEVELOPER}.salesforce_app_limits_cheatsheet.meta/salesforce_app_limits_cheatsheet"
    "/salesforce_app_limits_platform_api.htm"
)
OAUTH = f"{_ARTICLE}xcloud.remoteaccess_oauth_flow_errors.htm&type=5"
CREDENTIALS_FLOW = f"{_ARTICLE}xcloud.remoteaccess_oauth_client_credentials_flow_ca.htm&type=5"
JWT_FLOW = f"{_ARTICLE}xcloud.remoteaccess_oauth_jwt_flow.htm&type=5"
APPS = f"{_ARTICLE}xcloud.connected_app_manage_current_sessions.htm&type=5"
IP = f"{_ARTICLE}xcloud.connected_app_continuous_ip.htm&type=5"
LOGIN_RATE = f"{_ARTICLE}000381578&type=1"
MY_DOMAIN = f"{_ARTICLE}sf.domain_name_overview.htm&type=5"
OBJECTS = f"{_ARTICLE}platform.perm_sets_objects_and_fields.htm&type=5"
FIELDS = f"{_ARTICLE}sf.admin_fls.htm&type=5"

#: Seconds: the daily limit comes back over 24 hours, the concurrent one with the requests that hold it.
_DAILY_PAUSE, _CONCURRENT_PAUSE = 900.0, 20.0
#: More than 3,600 logins of a user in an hour are refused for the rest of it ("Login Rate Exceeded", Salesforce Help).
_LOGIN_RATE_PAUSE = 3600.0

_NOTHING = "nothing, it passes by itself"
_WITH_SUPPORT = "nothing at first; if it stays, give Salesforce's support the ErrorId and the request's id"
_A_BUG = "this is a mistake of this program: please report it, with the request's id"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One row: which answers it fits, what they mean, what happens, and what a person can do about it."""

    #: Unique and stable: the store keeps it.
    name: str
    action: Action
    means: str
    advice: str
    #: Salesforce's own page about it; empty where it is not about Salesforce.
    help_url: str = CODES
    #: Fits any of these errorCodes (the token endpoint's ``error``); empty: whatever the code.
    codes: tuple[str, ...] = ()
    #: Fits any of these statuses; empty: whatever the status.
    statuses: tuple[int, ...] = ()
    #: Fits when code and message hold one of these (in lower case); empty: whatever they say.
    pieces: tuple[str, ...] = ()
    scope: Scope = Scope.FEED
    #: Seconds to wait at least.
    pause: float | None = None

    def fits(self, status: int, code: str, message: str) -> bool:
        """Say whether this row is about such an answer."""
        said = f"{code} {message}".lower()
        return (
            (not self.codes or code in self.codes)
            and (not self.statuses or status in self.statuses)
            and (not self.pieces or any(piece in said for piece in self.pieces))
        )


_FEED, _ORG = Scope.FEED, Scope.ORG

#: What the REST API answers.
REST = (
    # ---- whom we may not be, and orgs that are closed
    Trouble("SESSION_NOT_FOR_REST", Action.STOP_ORG,
        "the session may not use the REST API; a new one would be the same",
        'give the app the OAuth scope "Manage user data via APIs (api)", and log in with an app that is meant for it',
        OAUTH, statuses=(401,), scope=_ORG,
        pieces=("not valid for use with the rest api", "connected app is not attached to agent")),
    Trouble("INVALID_SESSION_ID", Action.LOG_IN,
        "the session expired or was ended",
        "nothing; if it comes back at once after each login, look for session policies that end it, such as a lock to "
        "one IP address", STATUSES, codes=("INVALID_SESSION_ID", "INVALID_AUTH_HEADER"), scope=_ORG),
    Trouble("BAD_OAUTH_TOKEN", Action.LOG_IN, "the token is not accepted",
        "nothing; if it stays, check the app's scopes", OAUTH, statuses=(403,), scope=_ORG,
        pieces=("bad_oauth_token", "missing_oauth_token")),
    Trouble("API_DISABLED_FOR_ORG", Action.STOP_ORG,
        "the API is not enabled for this org",
        "the API comes with Enterprise, Unlimited, Performance and Developer Edition, and with Professional Edition as "
        'an add-on; also check that the user has the permission "API Enabled"; after a change it can take hours',
        EDITIONS, codes=("API_DISABLED_FOR_ORG",), scope=_ORG),
    Trouble("API_DISABLED_FOR_USER", Action.STOP_ORG,
        "this user may not use the API",
        'give the integration user the permission "API Enabled" (permission set → System Permissions)',
        EDITIONS, codes=("API_CURRENTLY_DISABLED",), pieces=("disabled for this user",), scope=_ORG),
    Trouble("API_CURRENTLY_DISABLED", Action.RETRY, "Salesforce's API is switched off for a while",
        _NOTHING, codes=("API_CURRENTLY_DISABLED",), scope=_ORG),
    Trouble("ORG_CLOSED", Action.STOP_ORG, "the org is locked, or its trial is over",
        "log in with a browser to see why; Salesforce's support can unlock it, a new sandbox or trial replaces it",
        codes=("ORG_LOCKED", "TRIAL_EXPIRED"), scope=_ORG),
    Trouble("USER_CLOSED", Action.STOP_ORG, "the user may not log in (any more), or not from here, or not now",
        "check that the integration user is active and not locked, and its profile's login hours and IP ranges",
        IP, codes=("INACTIVE_OWNER_OR_USER", "PASSWORD_LOCKOUT", "LOGIN_DURING_RESTRICTED_DOMAIN",
        "LOGIN_DURING_RESTRICTED_TIME", "LOGIN_MUST_USE_SECURITY_TOKEN"), scope=_ORG),
    Trouble("API_VERSION_RETIRED", Action.STOP_ORG, "this version of the API was retired",
        "set a newer `api_version` for the org; leaving it out takes the one this program was tested with",
        STATUSES, codes=("GONE", "UNSUPPORTED_API_VERSION", "INVALID_VERSION"), scope=_ORG),
    # ---- limits
    Trouble("DAILY_LIMIT", Action.SLOW_DOWN, "the org's API requests of the last 24 hours are used up",
        "wait, or poll less often, or find out who else uses them (Setup → Company Information), or buy more",
        LIMITS, codes=("REQUEST_LIMIT_EXCEEDED",), pieces=("totalrequests",), scope=_ORG, pause=_DAILY_PAUSE),
    Trouble("CONCURRENT_LIMIT", Action.SLOW_DOWN, "too many requests of 20 seconds and more are running in the org",
        "nothing, it passes with them; if it happens often, find the integration that sends them",
        LIMITS, codes=("REQUEST_LIMIT_EXCEEDED",), scope=_ORG, pause=_CONCURRENT_PAUSE),
    # ---- what was asked for, and may not be
    Trouble("INVALID_FIELD", Action.DROP_FIELD, "a field does not exist, or is hidden from this user",
        "correct `fields` and `where`, or give the integration user the field: field-level security, Read Access",
        FIELDS, codes=("INVALID_FIELD",)),
    Trouble("INVALID_TYPE", Action.PAUSE_FEED, "the object does not exist, or is hidden from this user",
        "correct its name (`__c` for custom objects), or give the integration user Read on it: permission set → "
        "Object Settings", OBJECTS, codes=("INVALID_TYPE",)),
    Trouble("ROW_NOT_FOUND", Action.PAUSE_FEED, "the record is gone, or not shared with this user",
        "share the record with the integration user, if it still exists",
        STATUSES, codes=("ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY")),
    Trouble("NOT_FOUND", Action.PAUSE_FEED, "there is no such object, resource or API version for this user",
        "check the object's name and `api_version`, and give the integration user Read on the object: permission set "
        "→ Object Settings", OBJECTS, codes=("NOT_FOUND",)),
    Trouble("INSUFFICIENT_ACCESS", Action.PAUSE_FEED, "the user lacks a permission",
        'give the integration user Read on the object (permission set → Object Settings) and "API Enabled"',
        OBJECTS, codes=("INSUFFICIENT_ACCESS", "INSUFFICIENT_ACCESS_OR_READONLY",
        "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY")),
    Trouble("FUNCTIONALITY_NOT_ENABLED", Action.PAUSE_FEED, "the feature behind this object is not switched on",
        "switch the feature on in Setup, or take the object out of the configuration",
        codes=("FUNCTIONALITY_NOT_ENABLED",)),
    Trouble("TXN_SECURITY_METERING_ERROR", Action.RETRY, "the org's transaction security policies took too long",
        'nothing at first; if it stays, give the integration user "Exempt from Transaction Security"',
        codes=("TXN_SECURITY_METERING_ERROR",)),
    Trouble("TXN_SECURITY", Action.PAUSE_FEED, "a transaction security policy of the org blocks this",
        'change the policy, or give the integration user the permission "Exempt from Transaction Security"',
        codes=("TXN_SECURITY_NO_ACCESS", "TXN_SECURITY_APEX_ERROR", "TXN_SECURITY_RUNTIME_ERROR",
        "TXN_SECURITY_END_A_SESSION", "TXN_SECURITY_FAIL_CLOSE", "TXN_SECURITY_TWO_FA_REQUIRED")),
    Trouble("QUERY_REFUSED", Action.PAUSE_FEED, "Salesforce does not understand the query",
        "check the feed's `where`: `check` sends it; without one, this is a mistake of this program",
        codes=("MALFORMED_QUERY", "INVALID_QUERY_FILTER_OPERATOR", "MALFORMED_ID", "NUMBER_OUTSIDE_VALID_RANGE")),
    Trouble("QUERY_TOO_COMPLICATED", Action.PAUSE_FEED, "the query has too many fields, formulas or conditions",
        "name fewer `fields` (formulas count most), or simplify `where`", codes=("QUERY_TOO_COMPLICATED",)),
    Trouble("WRITE_REFUSED", Action.PAUSE_FEED, "a write is not accepted, or a request is not well formed", _A_BUG,
        codes=("JSON_PARSER_ERROR", "INVALID_FIELD_FOR_INSERT_UPDATE", "REQUIRED_FIELD_MISSING", "DUPLICATES_DETECTED",
        "DUPLICATE_VALUE", "FIELD_CUSTOM_VALIDATION_EXCEPTION", "FIELD_INTEGRITY_EXCEPTION", "ENTITY_IS_LOCKED",
        "EXCEEDED_QUOTA", "INVALID_BATCH_SIZE")),
    # ---- questions to be asked in another way
    Trouble("INVALID_QUERY_LOCATOR", Action.RESTART_PAGE, "Salesforce forgot a query that was being read",
        "nothing; if it happens often, let nobody else use the integration user: a user has ten open queries",
        codes=("INVALID_QUERY_LOCATOR",)),
    Trouble("INVALID_REPLICATION_DATE", Action.TELL_GAP, "the delete log does not reach back that far",
        "nothing; a `gap` event tells from when to when deletions may have been missed",
        DELETED, codes=("INVALID_REPLICATION_DATE",)),
    Trouble("TOO_MUCH", Action.HALVE, "the answer would be too large, or take too long",
        'nothing at first; if it stays, an index on SystemModstamp or "View All" on the object helps Salesforce',
        codes=("EXCEEDED_ID_LIMIT", "QUERY_TIMEOUT", "OPERATION_TOO_LARGE", "REQUEST_RUNNING_TOO_LONG",
        "LIMIT_EXCEEDED", "EXCEEDED_MAX_SIZE_REQUEST")),
    # ---- bad moments
    Trouble("UNABLE_TO_LOCK_ROW", Action.RETRY, "somebody else was writing the same record", _NOTHING,
        codes=("UNABLE_TO_LOCK_ROW",)),
    Trouble("CANNOT_EXECUTE_FLOW_TRIGGER", Action.RETRY, "a flow of the org failed",
        "nothing at first; if it stays, look for the flow in Setup → Flows", codes=("CANNOT_EXECUTE_FLOW_TRIGGER",)),
    Trouble("SERVER_UNAVAILABLE", Action.RETRY, "Salesforce is down for maintenance, or overloaded",
        "nothing; https://status.salesforce.com tells how long", STATUSES, scope=_ORG,
        codes=("SERVER_UNAVAILABLE", "INSERT_UPDATE_DELETE_NOT_ALLOWED_DURING_MAINTENANCE")),
    Trouble("UNKNOWN_EXCEPTION", Action.RETRY, "an error inside Salesforce", _WITH_SUPPORT, STATUSES,
        codes=("UNKNOWN_EXCEPTION", "INTERNAL_ERROR", "API_ERROR")),
    # ---- where no code helps, the status decides
    Trouble("HTTP_300", Action.PAUSE_FEED, "an external id fits several records", _A_BUG, STATUSES, statuses=(300,)),
    Trouble("HTTP_REDIRECT", Action.RETRY, "the org moved to another address",
        "nothing: the next login tells the new one; if it stays, set `login_url` to the org's My Domain address",
        MY_DOMAIN, statuses=(301, 302, 303, 307, 308), scope=_ORG),
    Trouble("HTTP_400", Action.PAUSE_FEED, "Salesforce does not understand the request",
        "check the feed's `where` and `fields`; otherwise this is a mistake of this program",
        STATUSES, statuses=(400,)),
    Trouble("HTTP_401", Action.LOG_IN, "the session is not accepted", "nothing; if it stays, check the app's policies",
        STATUSES, statuses=(401,), scope=_ORG),
    Trouble("HTTP_403", Action.PAUSE_FEED, "Salesforce refuses the request",
        "check the integration user's permissions: \"API Enabled\", and Read on the object",
        STATUSES, statuses=(403,)),
    Trouble("HTTP_404", Action.PAUSE_FEED, "there is no such thing for this user",
        "check the object's name and `api_version`, and that the user may read it", STATUSES, statuses=(404,)),
    Trouble("HTTP_405", Action.PAUSE_FEED, "the method is not allowed here", _A_BUG, STATUSES, statuses=(405,)),
    Trouble("HTTP_406", Action.RETRY, "Salesforce's edge has a bad moment", _NOTHING, STATUSES, statuses=(406,)),
    Trouble("HTTP_409", Action.PAUSE_FEED, "the request contradicts another one, or an API version",
        "check `api_version`; otherwise this is a mistake of this program", STATUSES, statuses=(409,)),
    Trouble("HTTP_410", Action.STOP_ORG, "this version of the API was retired",
        "set a newer `api_version` for the org", STATUSES, statuses=(410,), scope=_ORG),
    Trouble("HTTP_412", Action.PAUSE_FEED, "a precondition failed", _A_BUG, STATUSES, statuses=(412,)),
    Trouble("HTTP_413", Action.HALVE, "the request is too large", _NOTHING, STATUSES, statuses=(413,)),
    Trouble("HTTP_414", Action.PAUSE_FEED, "the address is longer than 16,384 bytes",
        "name fewer `fields`, or shorten `where`", STATUSES, statuses=(414,)),
    Trouble("HTTP_415", Action.PAUSE_FEED, "the request has a format that is not supported", _A_BUG, STATUSES,
        statuses=(415,)),
    Trouble("HTTP_420", Action.RETRY, "Salesforce's edge does not know this host: the org moved, expired or is set up",
        "if it stays, check `login_url` and whether the org still exists", MY_DOMAIN, statuses=(420,), scope=_ORG),
    Trouble("HTTP_428", Action.PAUSE_FEED, "the request must be conditional", _A_BUG, STATUSES, statuses=(428,)),
    Trouble("HTTP_429", Action.SLOW_DOWN, "too many requests", _NOTHING, LIMITS, statuses=(429,), scope=_ORG),
    Trouble("HTTP_431", Action.PAUSE_FEED, "address and headers are longer than 16,384 bytes together",
        "name fewer `fields`, or shorten `where`", STATUSES, statuses=(431,)),
    Trouble("HTTP_500", Action.RETRY, "an error inside Salesforce", _WITH_SUPPORT, STATUSES, statuses=(500,)),
    Trouble("HTTP_502", Action.RETRY, "Salesforce's edge does not reach the org", _NOTHING, STATUSES, statuses=(502,),
        scope=_ORG),
    Trouble("HTTP_503", Action.RETRY, "Salesforce is down for maintenance, or overloaded",
        "nothing; https://status.salesforce.com tells how long", STATUSES, statuses=(503,), scope=_ORG),
    Trouble("HTTP_504", Action.RETRY, "Salesforce did not answer in time", _NOTHING, STATUSES, statuses=(504,)),
    # ---- what nobody has heard of yet
    Trouble("HTTP_5XX", Action.RETRY, "an error at Salesforce's side", _WITH_SUPPORT, STATUSES,
        statuses=tuple(range(500, 600))),
    Trouble("OTHER", Action.PAUSE_FEED, "Salesforce refuses, for a reason that this program does not know",
        "look the code up on Salesforce's page", CODES),
)  # fmt: skip

#: What the token endpoint answers; each of them is about the whole org.
LOGIN = (
    Trouble("LOGIN_RUN_AS", Action.STOP_ORG, "the client credentials flow has no user to run as",
        "set a Run As user in the app's client credentials flow (app policies)", CREDENTIALS_FLOW, scope=_ORG,
        pieces=("no client credentials user enabled",)),
    Trouble("LOGIN_CLIENT_ID", Action.STOP_ORG, "no app has this consumer key",
        "check client_id; a new app needs about ten minutes before it works",
        OAUTH, pieces=("invalid_client_id", "client identifier invalid"), scope=_ORG),
    Trouble("LOGIN_SECRET", Action.STOP_ORG, "the consumer secret is wrong",
        "check client_secret, and that client_id belongs to it",
        OAUTH, pieces=("invalid_client", "invalid client"), scope=_ORG),
    Trouble("LOGIN_IP", Action.STOP_ORG, "logins are not allowed from this IP address, or at this hour",
        "relax the app's IP restrictions or the user's login hours, or poll from an allowed address",
        IP, pieces=("ip restricted", "invalid login hours"), scope=_ORG),
    Trouble("LOGIN_USER_INACTIVE", Action.STOP_ORG, "the user is deactivated or frozen",
        "activate the integration user", OAUTH, pieces=("inactive_user", "inactive user"), scope=_ORG),
    Trouble("LOGIN_ORG_INACTIVE", Action.STOP_ORG, "the org is locked, closed or suspended",
        "log in with a browser to see why; Salesforce's support can unlock it",
        OAUTH, codes=("inactive_org",), scope=_ORG),
    Trouble("LOGIN_APP_BLOCKED", Action.STOP_ORG, "an admin blocked this app, or API Access Control does not list it",
        "unblock or install the app under Setup → Connected Apps OAuth Usage",
        APPS, codes=("OAUTH_APP_BLOCKED", "OAUTH_APPROVAL_ERROR_GENERIC"), scope=_ORG),
    Trouble("LOGIN_DOMAIN", Action.STOP_ORG, "this flow is not offered at this address",
        "use the org's My Domain address as login_url", MY_DOMAIN, scope=_ORG,
        pieces=("request not supported on this domain",)),
    Trouble("LOGIN_NOT_APPROVED", Action.STOP_ORG, "the app is not approved for this user",
        "pre-authorise the app for the user's profile or permission set (app policies)", JWT_FLOW, scope=_ORG,
        pieces=("hasn't approved this consumer", "not admin approved", "invalid_app_access")),
    Trouble("LOGIN_AUDIENCE", Action.STOP_ORG, "the assertion was made for another login address",
        "check login_url: a sandbox is not production", JWT_FLOW, scope=_ORG,
        pieces=("audience validation failed", "audience is invalid")),
    Trouble("LOGIN_ASSERTION", Action.STOP_ORG, "the signed assertion is not accepted",
        "check that private_key belongs to the certificate of the app, username, and this machine's clock",
        JWT_FLOW, pieces=("assertion",), scope=_ORG),
    Trouble("LOGIN_TOKEN_EXPIRED", Action.STOP_ORG, "the refresh token was revoked, expired or replaced",
        "authorise the app anew; a sixth login of the same user and app ends the first one's token",
        OAUTH, pieces=("expired access/refresh token", "token validity expired"), scope=_ORG),
    Trouble("LOGIN_CODE", Action.STOP_ORG, "the authorization code was used before, or is older than 15 minutes",
        "start the login again", OAUTH, pieces=("authorization code",), scope=_ORG),
    Trouble("LOGIN_AUTHENTICATION", Action.STOP_ORG, "user, password or token are not accepted, or the user is locked",
        "check username and password (with the security token behind it), and that the user is not locked; Setup → "
        "Login History tells more", OAUTH, pieces=("authentication failure",), scope=_ORG),
    Trouble("LOGIN_FLOW", Action.STOP_ORG, "the app does not have this OAuth flow switched on",
        "enable in the app the flow that `auth` says, or set `auth` to one that is; for a password, the org has a "
        "switch of its own (Setup → OAuth and OpenID Connect Settings)", OAUTH, scope=_ORG,
        pieces=("unsupported_grant_type", "grant type not supported")),
    Trouble("LOGIN_GRANT", Action.STOP_ORG, "the login is not accepted",
        "check the credentials and the app's policies; Setup → Login History tells more",
        OAUTH, codes=("invalid_grant",), scope=_ORG),
    Trouble("LOGIN_CONFIGURATION", Action.STOP_ORG, "the app and the configuration do not fit together",
        "check the app's flows, scopes and callback address against `auth`", OAUTH, scope=_ORG,
        codes=("unsupported_response_type", "invalid_request", "invalid_scope", "redirect_uri_mismatch")),
    Trouble("LOGIN_RATE", Action.SLOW_DOWN, "the user logged in more than 3,600 times within an hour",
        "wait an hour; look for another program that logs in as this user again and again",
        LOGIN_RATE, codes=("rate_limit_exceeded",), scope=_ORG, pause=_LOGIN_RATE_PAUSE),
    Trouble("LOGIN_PASSING", Action.RETRY, "the login page has a bad moment", _NOTHING, OAUTH, scope=_ORG,
        codes=("server_error", "temporarily_unavailable", "unknown_error")),
    Trouble("LOGIN_5XX", Action.RETRY, "the login page has a bad moment", _NOTHING, OAUTH, scope=_ORG,
        statuses=tuple(range(500, 600))),
    Trouble("LOGIN_UNEXPLAINED", Action.RETRY, "the login did not work, and the answer does not say why",
        "nothing at first; if it stays, check that login_url is the org's My Domain address", MY_DOMAIN, scope=_ORG,
        codes=("",)),
    Trouble("LOGIN_OTHER", Action.STOP_ORG, "the login is refused, for a reason that this program does not know",
        "look the error up on Salesforce's page", OAUTH, scope=_ORG),
)  # fmt: skip

#: What this program finds out by itself, by name.
OURS = (
    Trouble("UNREACHABLE", Action.RETRY, "nobody answers at the org's address",
        "nothing at first; if it stays, check login_url, the name server and the proxy of this machine", MY_DOMAIN,
        scope=_ORG),
    Trouble("NO_ANSWER", Action.RETRY, "the answer did not come in time, was cut off, or is too large",
        "nothing at first; if it stays, raise `timeout`, or name fewer `fields`, above all no long text", LIMITS),
    Trouble("NOT_JSON", Action.RETRY, "the answer is empty, cut off, or a web page",
        "nothing at first; if it stays, look for a proxy between here and Salesforce", STATUSES),
    Trouble("ODD_ANSWER", Action.RETRY, "the answer is not what was asked for",
        "nothing at first; if it stays, look for a proxy between here and Salesforce, and report it", STATUSES),
    Trouble("ACCESS_TOKEN", Action.STOP_ORG, "the access token is not accepted (any more)",
        "put a new access_token into the configuration, or choose another `auth`, which renews it by itself",
        OAUTH, scope=_ORG),
    Trouble("REFRESH_TOKEN", Action.STOP_ORG, "there is no refresh token to log in with",
        "log in with `salesforce-poller login ORG`; the daemon must not run meanwhile", OAUTH, scope=_ORG),
    Trouble("SECRET_KEY", Action.STOP_ORG, "the stored refresh token was encrypted with another secret_key",
        "put the former key back, as a second one in a list, or log in anew with `salesforce-poller login ORG`", "",
        scope=_ORG),
    Trouble("SESSION_REFUSED", Action.STOP_ORG, "a session is refused right after it was made by a login",
        "look for session policies that end it, such as a lock to one IP address, and check the app's scopes",
        IP, scope=_ORG),
    Trouble("DEFECT", Action.RETRY, "a mistake of this program", "please report it, with the traceback in the log", ""),
    Trouble("OTHER_ORGANIZATION", Action.STOP_ORG, "this is another org than the one that was read before",
        "a refreshed sandbox: give the org another name in the configuration, or start with a new store",
        MY_DOMAIN, scope=_ORG),
    Trouble("SPELLING", Action.PAUSE_FEED, "the object is spelled otherwise in Salesforce",
        "write its API name as Salesforce has it", OBJECTS),
    Trouble("NOT_POLLABLE", Action.PAUSE_FEED, "the object cannot be queried, or has nothing to poll by",
        "take it out of the configuration; `salesforce-poller objects ORG` lists what can be polled", OBJECTS),
    Trouble("START_IN_FUTURE", Action.PAUSE_FEED, "the feed's `start` lies in the future",
        "nothing, if that is meant: the feed begins then", ""),
    Trouble("TOO_MANY_MISSING", Action.DISBELIEVE,
        "so many known records are not there any more that it is no deletion, but a change of what the user may see",
        "look what has changed in the user's permissions or the org's sharing; if the records are really gone, raise "
        "`reconcile_limit` until they have been told", OBJECTS),
)  # fmt: skip
