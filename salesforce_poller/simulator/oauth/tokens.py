"""The token endpoint: which grant, the limit on logins, and the answer with the keys that belong to the grant.

Called through `endpoints`. Sources: Salesforce Help, the pages on each flow, and recorded answers: a token response has
no `expires_in`, and `issued_at` is a string of milliseconds.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

from salesforce_poller.simulator.call import Answer
from salesforce_poller.simulator.oauth import client, grants, jwt_bearer, web_server
from salesforce_poller.simulator.oauth.grants import Granted
from salesforce_poller.simulator.oauth.refusal import NO_STORE, OAuthError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.request import Request
from salesforce_poller.simulator.sessions import Session

Grant = Callable[[Org, Request, Mapping[str, str]], Granted]

GRANTS: dict[str, Grant] = {
    "client_credentials": grants.client_credentials,
    "refresh_token": grants.refresh_token,
    "password": grants.password,
    "authorization_code": web_server.authorization_code,
    jwt_bearer.GRANT_TYPE: jwt_bearer.grant,
}
KEYS: dict[str, tuple[str, ...]] = {
    "client_credentials": ("signature", "scope", "issued_at", "api_instance_url"),
    "refresh_token": ("signature", "scope", "issued_at"),
    "password": ("signature", "issued_at"),
    "authorization_code": ("signature", "scope", "issued_at"),
    jwt_bearer.GRANT_TYPE: ("scope",),
}
"""What an answer has besides `access_token`, `instance_url`, `id` and `token_type`."""


def token(org: Org, request: Request) -> Answer:
    """The token endpoint."""
    form = client.form(request)
    grant_type = form.get("grant_type", "")
    try:
        granted = _grant(grant_type)(org, request, form)
        _admit(org, granted.user_id)
    except OAuthError as error:
        return error.answer
    session = org.sessions.issue(
        granted.user_id, org.app.client_id, granted.scope, org.clock.now(), refresh_token=granted.refresh_token
    )
    body = _body(org, request, session, grant_type)
    if granted.shown:
        body["refresh_token"] = granted.refresh_token
    return Answer(body=body, headers=NO_STORE)


def identity_url(org: Org, request: Request, session: Session) -> str:
    """The `id` of a token answer, which leads to `whoami.identity`."""
    return f"{request.base_url}/id/{org.organization_id}/{session.user_id}"


def _grant(grant_type: str) -> Grant:
    if grant_type not in GRANTS:
        raise OAuthError("unsupported_grant_type", "grant type not supported")
    return GRANTS[grant_type]


def _admit(org: Org, user_id: str) -> None:
    if not org.storage.rows["User"][user_id]["IsActive"]:
        raise OAuthError("inactive_user", "inactive user")
    if not org.login_rate.admit(user_id, org.clock.now()):
        raise OAuthError("rate_limit_exceeded", "login rate exceeded")


def _body(org: Org, request: Request, session: Session, grant_type: str) -> dict[str, Any]:
    identity = identity_url(org, request, session)
    issued_at = str(int(session.issued_at.timestamp() * 1000))
    digest = hmac.new(org.app.client_secret.encode(), (identity + issued_at).encode(), hashlib.sha256).digest()
    extras = {
        "signature": base64.b64encode(digest).decode(),
        "scope": session.scope,
        "issued_at": issued_at,
        "api_instance_url": "https://api.salesforce.com",
    }
    return {
        "access_token": session.token,
        "instance_url": org.instance.address(request),
        "id": identity,
        "token_type": "Bearer",
        **{name: extras[name] for name in KEYS[grant_type]},
    }
