"""The grants that need no ceremony: client credentials, refresh token, username and password.

Called by `tokens`; the other two are in `jwt_bearer` and `web_server`. Sources: Salesforce Help, "OAuth 2.0 Client
Credentials Flow", "OAuth 2.0 Refresh Token Flow" and "OAuth 2.0 Username-Password Flow".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from salesforce_poller.simulator.oauth import client
from salesforce_poller.simulator.oauth.refusal import OAuthError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.request import Request

SCOPE = "api refresh_token"
SHARED_HOSTS = ("login.", "test.")
"""Hosts that serve every org, and so know no client-credentials user."""


@dataclass(frozen=True, slots=True)
class Granted:
    """Who may have a session, and which refresh token belongs to it."""

    user_id: str
    scope: str = SCOPE
    refresh_token: str | None = None
    shown: bool = False
    """The answer tells the refresh token."""


def client_credentials(org: Org, request: Request, form: Mapping[str, str]) -> Granted:
    """The app itself, as the user that the administrator has named."""
    client.check(org, form)
    if request.headers.get("host", "").startswith(SHARED_HOSTS):
        raise OAuthError("invalid_grant", "request not supported on this domain")
    if not org.app.run_as:
        raise OAuthError("invalid_grant", "no client credentials user enabled")
    return Granted(org.integration_user)


def refresh_token(org: Org, _request: Request, form: Mapping[str, str]) -> Granted:
    """Somebody who has approved the app before; with rotation the answer has the token for the next time."""
    client.check(org, form, secret_required=org.app.secret_required)
    token = form.get("refresh_token", "")
    user_id = org.approvals.user_of(token)
    if user_id is None:
        raise OAuthError("invalid_grant", "expired access/refresh token")
    if not org.app.rotate_refresh_tokens:
        return Granted(user_id, refresh_token=token)
    return Granted(user_id, refresh_token=org.approvals.rotate(token), shown=True)


def password(org: Org, _request: Request, form: Mapping[str, str]) -> Granted:
    """The integration user, by name and password, with the security token behind it outside the trusted network."""
    client.check(org, form)
    if form.get("username") != org.app.username or not org.app.accepts_password(form.get("password", "")):
        raise OAuthError("invalid_grant", "authentication failure")
    return Granted(org.integration_user)
