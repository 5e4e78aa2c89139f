"""Logging in: the token endpoint and its neighbours.

Called by `edge` for paths that belong to no API version. Sources: Salesforce Help, "OAuth 2.0 Client Credentials Flow",
"Refresh Token Flow", "Username-Password Flow" and "OAuth 2.0 Authorization Errors"; "User Info Endpoint"; "Token
Introspection Endpoint". A token response has no `expires_in`, and `issued_at` is a string of milliseconds.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from salesforce_poller.simulator.call import Answer
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.request import Request
from salesforce_poller.simulator.sessions import Session

SCOPE = "api refresh_token"
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
SHARED_HOSTS = ("login.", "test.")
"""Hosts that serve every org, and so know no client-credentials user."""

Endpoint = Callable[[Org, Request], Answer]
Grant = Callable[[Org, Request, Mapping[str, str]], None]


class OAuthError(Exception):
    """A refusal of the token endpoint, in its own shape."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.answer = Answer(400, {"error": error, "error_description": description}, NO_STORE)


def token(org: Org, request: Request) -> Answer:
    """The token endpoint: client credentials, refresh token, or username and password."""
    form = {**request.form, **_basic(request)}
    grant = GRANTS.get(form.get("grant_type", ""))
    if grant is None:
        return OAuthError("unsupported_grant_type", "grant type not supported").answer
    try:
        _check_client(org, form)
        grant(org, request, form)
    except OAuthError as error:
        return error.answer
    session = org.sessions.issue(org.integration_user, org.app.client_id, SCOPE, org.clock.now())
    return Answer(body=_token_body(org, request, session, form["grant_type"]), headers=NO_STORE)


def userinfo(org: Org, request: Request) -> Answer:
    """Who the token belongs to; 403 in plain text when to nobody."""
    session = bearer(org, request)
    if session is None:
        return _bad_token(request)
    user = org.storage.rows["User"][session.user_id]
    return Answer(
        body={
            "sub": _identity_url(org, request, session),
            "user_id": session.user_id,
            "organization_id": org.organization_id,
            "preferred_username": user["Username"],
            "nickname": user["CommunityNickname"],
            "name": f"{user['FirstName']} {user['LastName']}",
            "email": user["Email"],
            "email_verified": True,
            "given_name": user["FirstName"],
            "family_name": user["LastName"],
            "zoneinfo": user["TimeZoneSidKey"],
            "is_salesforce_integration_user": True,
            "urls": _urls(request),
            "active": user["IsActive"],
            "user_type": "STANDARD",
            "language": user["LanguageLocaleKey"],
            "locale": user["LocaleSidKey"],
            "utcOffset": 0,
            "updated_at": user["SystemModstamp"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )


def identity(org: Org, request: Request) -> Answer:
    """What the `id` of a token response leads to (Salesforce Help, "Identity URLs")."""
    session = bearer(org, request)
    if session is None:
        return _bad_token(request)
    user = org.storage.rows["User"][session.user_id]
    return Answer(
        body={
            "id": _identity_url(org, request, session),
            "asserted_user": True,
            "user_id": session.user_id,
            "organization_id": org.organization_id,
            "username": user["Username"],
            "nick_name": user["CommunityNickname"],
            "display_name": f"{user['FirstName']} {user['LastName']}",
            "email": user["Email"],
            "active": user["IsActive"],
            "user_type": "STANDARD",
            "language": user["LanguageLocaleKey"],
            "locale": user["LocaleSidKey"],
            "urls": _urls(request),
        }
    )


def introspect(org: Org, request: Request) -> Answer:
    """What a token is good for; the only place that tells when it expires."""
    form = {**request.form, **_basic(request)}
    try:
        _check_client(org, form)
    except OAuthError as error:
        return error.answer
    session = org.sessions.find(form.get("token", ""), org.clock.now())
    if session is None:
        return Answer(body={"active": False})
    issued = int(session.issued_at.timestamp())
    return Answer(
        body={
            "active": True,
            "scope": session.scope,
            "client_id": session.client_id,
            "username": org.app.username,
            "sub": _identity_url(org, request, session),
            "token_type": "access_token",
            "exp": int((org.clock.now() + org.sessions.idle).timestamp()),
            "iat": issued,
            "nbf": issued,
        }
    )


def revoke(org: Org, request: Request) -> Answer:
    """End a session; 200 without a body."""
    given = request.form.get("token") or request.params.get("token", "")
    if org.sessions.find(given, org.clock.now()) is None:
        return OAuthError("invalid_token", "token not valid or already revoked").answer
    org.sessions.end(given)
    return Answer(200)


def discovery(_org: Org, request: Request) -> Answer:
    """The OpenID discovery document, as far as there is something to discover."""
    base = request.base_url
    return Answer(
        body={
            "issuer": base,
            "token_endpoint": f"{base}/services/oauth2/token",
            "revocation_endpoint": f"{base}/services/oauth2/revoke",
            "userinfo_endpoint": f"{base}/services/oauth2/userinfo",
            "introspection_endpoint": f"{base}/services/oauth2/introspect",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        }
    )


ENDPOINTS: tuple[tuple[str, tuple[str, ...], Endpoint], ...] = (
    ("/services/oauth2/token", ("POST",), token),
    ("/services/oauth2/userinfo", ("GET", "POST"), userinfo),
    ("/services/oauth2/introspect", ("POST",), introspect),
    ("/services/oauth2/revoke", ("GET", "POST"), revoke),
    ("/.well-known/openid-configuration", ("GET",), discovery),
    ("/id/[^/]+/[^/]+", ("GET",), identity),
)
"""Paths, their methods and their handlers."""


def answer(org: Org, request: Request) -> Answer | None:
    """The answer, when the path is one of these; raises METHOD_NOT_ALLOWED."""
    for path, methods, endpoint in ENDPOINTS:
        if re.fullmatch(path, request.path):
            if request.method not in methods:
                raise ApiError(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed.")
            return endpoint(org, request)
    return None


def bearer(org: Org, request: Request) -> Session | None:
    """The session of the request's token, if it has a good one; raises INVALID_AUTH_HEADER for another scheme."""
    header = request.headers.get("authorization", "")
    scheme, _, given = header.partition(" ")
    if header and scheme.lower() not in ("bearer", "oauth"):
        raise ApiError(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
    return org.sessions.find(given.strip(), org.clock.now())


def _client_credentials(org: Org, request: Request, _form: Mapping[str, str]) -> None:
    if request.headers.get("host", "").startswith(SHARED_HOSTS):
        raise OAuthError("invalid_grant", "request not supported on this domain")
    if not org.app.run_as:
        raise OAuthError("invalid_grant", "no client credentials user enabled")


def _refresh_token(org: Org, _request: Request, form: Mapping[str, str]) -> None:
    if form.get("refresh_token") != org.app.refresh_token:
        raise OAuthError("invalid_grant", "expired access/refresh token")


def _password(org: Org, _request: Request, form: Mapping[str, str]) -> None:
    if (form.get("username"), form.get("password")) != (org.app.username, org.app.password):
        raise OAuthError("invalid_grant", "authentication failure")


GRANTS: dict[str, Grant] = {
    "client_credentials": _client_credentials,
    "refresh_token": _refresh_token,
    "password": _password,
}


def _basic(request: Request) -> dict[str, str]:
    """Client credentials from HTTP Basic."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return {}
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:
        return {"client_id": "", "client_secret": ""}
    return {"client_id": client_id, "client_secret": secret}


def _check_client(org: Org, form: Mapping[str, str]) -> None:
    if form.get("client_id") != org.app.client_id:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    if form.get("client_secret") != org.app.client_secret:
        raise OAuthError("invalid_client", "invalid client credentials")


def _token_body(org: Org, request: Request, session: Session, grant: str) -> dict[str, Any]:
    identity = _identity_url(org, request, session)
    issued_at = str(_milliseconds(session.issued_at))
    digest = hmac.new(org.app.client_secret.encode(), (identity + issued_at).encode(), hashlib.sha256).digest()
    body = {
        "access_token": session.token,
        "signature": base64.b64encode(digest).decode(),
        "scope": session.scope,
        "instance_url": request.base_url,
        "id": identity,
        "token_type": "Bearer",
        "issued_at": issued_at,
    }
    if grant == "password":
        del body["scope"]
    if grant == "client_credentials":
        body["api_instance_url"] = "https://api.salesforce.com"
    return body


def _identity_url(org: Org, request: Request, session: Session) -> str:
    return f"{request.base_url}/id/{org.organization_id}/{session.user_id}"


def _urls(request: Request) -> dict[str, str]:
    """Where things are; `{version}` is for the client to fill in."""
    root = request.base_url + "/services/data/v{version}/"
    return {"rest": root, "sobjects": root + "sobjects/", "query": root + "query/", "custom_domain": request.base_url}


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def _bad_token(request: Request) -> Answer:
    text = "Bad_OAuth_Token" if "authorization" in request.headers else "Missing_OAuth_Token"
    return Answer(403, text, media_type="text/html;charset=UTF-8")
