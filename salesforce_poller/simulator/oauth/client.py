"""Which client is asking: its credentials, in the body or in HTTP Basic.

Used by `tokens` and `whoami`. Source: the OpenID discovery document (`client_secret_post`, `client_secret_basic`).
"""

import base64
from collections.abc import Mapping

from salesforce_poller.simulator.oauth.refusal import OAuthError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.request import Request


def form(request: Request) -> dict[str, str]:
    """The request's form; credentials in the Authorization header come before those in the body."""
    return {**request.form, **_basic(request)}


def check(org: Org, given: Mapping[str, str], *, secret_required: bool = True) -> None:
    """Raise invalid_client_id or invalid_client; a secret that was sent is checked, whether required or not."""
    if given.get("client_id") != org.app.client_id:
        raise OAuthError("invalid_client_id", "client identifier invalid")
    if (secret_required or "client_secret" in given) and given.get("client_secret") != org.app.client_secret:
        raise OAuthError("invalid_client", "invalid client credentials")


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
