"""Builds what is sent to the token endpoint, for each word of ``auth``. Pure; takes time. Called by ``session.py``.

The parameters are those of Salesforce Help, "OAuth Authorization Flows"; the answers are read by ``auth.py``.
"""

from datetime import datetime, timedelta
from urllib.parse import urlsplit

from pydantic import SecretStr

from salesforce_poller.errors import LoginRefused
from salesforce_poller.salesforce.settings import OrgSettings

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: How long an assertion is good for: "no more than three minutes" (OAuth 2.0 JWT Bearer Flow, Salesforce Help).
ASSERTION_LIFE = timedelta(minutes=3)
PRODUCTION, SANDBOX = "https://login.salesforce.com", "https://test.salesforce.com"
#: Hosts of sandboxes and scratch orgs, whose login server is the second one (My Domain URL Formats, Salesforce Help).
_SANDBOX_HOSTS = (".sandbox.my.salesforce.com", ".scratch.my.salesforce.com", ".sandbox.my.salesforce.mil")


def form(settings: OrgSettings, *, now: datetime, refresh_token: str | None = None) -> dict[str, str]:
    """Return the form to post to the token endpoint.

    Args:
        settings: an org whose ``auth`` asks the token endpoint (``access_token`` does not).
        now: Salesforce's time, as far as it is known.
        refresh_token: the one to use, where ``auth`` is ``refresh_token``.
    """
    match settings.auth:
        case "client_credentials":
            return {"grant_type": "client_credentials", **client(settings)}
        case "jwt_bearer":
            return {"grant_type": JWT_BEARER, "assertion": assertion(settings, now)}
        case "refresh_token":
            assert refresh_token is not None
            return {"grant_type": "refresh_token", "refresh_token": refresh_token, **client(settings)}
        case "password":
            assert settings.username is not None
            who = {"username": settings.username, "password": _text(settings.password)}
            return {"grant_type": "password", **who, **client(settings)}
        case "access_token":
            raise AssertionError("an access token is used as it is")


def client(settings: OrgSettings) -> dict[str, str]:
    """Return what names the app, and proves it where it has a secret."""
    assert settings.client_id is not None
    secret = {"client_secret": _text(settings.client_secret)} if settings.client_secret else {}
    return {"client_id": settings.client_id, **secret}


def assertion(settings: OrgSettings, now: datetime) -> str:
    """Return a signed assertion that we may act for the user, good for three minutes from ``now``."""
    import jwt  # noqa: PLC0415  # 9 MB with what it signs with, for those who log in like this

    claims = {
        "iss": settings.client_id,
        "sub": settings.username,
        "aud": audience(settings),
        "exp": int((now + ASSERTION_LIFE).timestamp()),
    }
    return jwt.encode(claims, _text(settings.private_key), algorithm="RS256")


def audience(settings: OrgSettings) -> str:
    """Return the login server that assertions are made for: what is configured, or what ``login_url`` tells."""
    if settings.audience:
        return settings.audience
    host = urlsplit(settings.login_url).hostname or ""
    is_sandbox = host.endswith(_SANDBOX_HOSTS) or f"https://{host}" == SANDBOX
    return SANDBOX if is_sandbox else PRODUCTION


def with_hint(error: LoginRefused, org: str, settings: OrgSettings) -> LoginRefused:
    """Add to a refusal what only we know: which audience was sent, which command brings a new refresh token."""
    said = str(error).lower()
    if settings.auth == "jwt_bearer" and "audience" in said:
        why = f'the assertion was made for {audience(settings)}; set audience = "{_other(settings)}" if that is not it'
    elif settings.auth == "refresh_token" and "expired access/refresh token" in said:
        why = f"run `salesforce-poller login {org}`, or put a new refresh_token into the configuration"
    else:
        return error
    return LoginRefused(f"{error}; {why}", facts=error.facts)


def _other(settings: OrgSettings) -> str:
    return PRODUCTION if audience(settings) == SANDBOX else SANDBOX


def _text(secret: SecretStr | None) -> str:
    assert secret is not None
    return secret.get_secret_value()
