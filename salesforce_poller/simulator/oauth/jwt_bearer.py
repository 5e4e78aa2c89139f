"""The JWT bearer flow: an app proves itself with a signature, and names the user it acts for.

Called by `tokens`. Source: Salesforce Help, "OAuth 2.0 JWT Bearer Flow": RS256, `iss` the consumer key, `sub` the
username, `aud` the login server, `exp` soon. How soon is not enforced; Salesforce's own CLI says it in milliseconds.
`exp` may be a string, as some clients send it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from salesforce_poller.simulator.oauth.grants import Granted
from salesforce_poller.simulator.oauth.refusal import OAuthError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.request import Request

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LOGIN_HOSTS = ("https://login.salesforce.com", "https://test.salesforce.com")
PRODUCTION, SANDBOX = LOGIN_HOSTS
ALGORITHM = "RS256"


def grant(org: Org, request: Request, form: Mapping[str, str]) -> Granted:
    """The user the assertion names, when everything about it is right."""
    assertion = form.get("assertion", "")
    claims = _unverified(assertion)
    if claims.get("iss") != org.app.client_id:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    key = org.app.public_key()
    if key is None:
        raise OAuthError("invalid_grant", "invalid assertion")
    _check_signature(assertion, key)
    _check_expiry(claims.get("exp"), org.clock.now())
    if str(claims.get("aud")).rstrip("/") not in _audiences(org, request):
        raise OAuthError("invalid_grant", "Audience validation failed")
    return Granted(_user(org, str(claims.get("sub", ""))), scope="api")


def _unverified(assertion: str) -> dict[str, Any]:
    """The claims as they stand, to find out who says so; raises invalid_grant for what is no JWT."""
    try:
        return dict(jwt.decode(assertion, options={"verify_signature": False}))
    except jwt.PyJWTError as error:
        raise OAuthError("invalid_grant", "invalid assertion") from error


def _check_signature(assertion: str, key: RSAPublicKey) -> None:
    """Only the signature: time is the org's own, and the other claims have refusals of their own."""
    try:
        jwt.PyJWS().decode(assertion, key, algorithms=[ALGORITHM])
    except jwt.PyJWTError as error:
        raise OAuthError("invalid_grant", "invalid assertion") from error


def _check_expiry(exp: Any, now: datetime) -> None:
    """Salesforce calls an assertion that has expired, or never says when it will, an expired authorization code."""
    try:
        expires = float(exp)
    except (TypeError, ValueError):
        expires = 0.0
    if not expires > now.timestamp():  # so that NaN, which is a float as well, is not for ever
        raise OAuthError("invalid_grant", "expired authorization code")


def _audiences(org: Org, request: Request) -> tuple[str, ...]:
    """The login server of this kind of org, and the org's own addresses."""
    own = (request.base_url, org.instance.address(request), f"{request.base_url}/services/oauth2/token")
    return (SANDBOX if org.is_sandbox else PRODUCTION, *own)


def _user(org: Org, username: str) -> str:
    """The id of the user of that name; one who does not exist is told what one who never approved is told."""
    found = [each for each in org.storage.rows["User"].values() if str(each["Username"]).lower() == username.lower()]
    approved = org.app.approved
    if not found or (approved is not None and found[0]["Username"] not in approved):
        raise OAuthError("invalid_grant", "user hasn't approved this consumer")
    return str(found[0]["Id"])
