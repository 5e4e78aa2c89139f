"""The web-server flow with PKCE, seen from the app: where the browser is sent, and what it comes back with. Pure.

Called by ``login.py``. Sources: Salesforce Help, "OAuth 2.0 Web Server Flow" and "OAuth 2.0 Authorization Errors";
RFC 7636 (PKCE); RFC 8252 (a program that has no address of its own listens on the loopback interface).
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

import orjson

from salesforce_poller.errors import LoginRefused
from salesforce_poller.salesforce import auth, grants
from salesforce_poller.salesforce.settings import OrgSettings

AUTHORIZE_PATH = "/services/oauth2/authorize"
CALLBACK_PATH = "/callback"
#: What reading records needs, and what the daemon needs to go on without a person.
SCOPES = "api refresh_token"
_SAID_NO = "access_denied"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login in a browser."""

    #: Where the browser comes back to; the app in the org must have exactly this callback address.
    redirect_uri: str
    #: Comes back with the answer, and proves that it is an answer to us.
    state: str = field(repr=False)
    #: Proves to the token endpoint that we are who began: 43 to 128 letters, digits, "-", ".", "_" and "~".
    verifier: str = field(repr=False)


def redirect_uri(port: int) -> str:
    """Return the callback address; plain http is accepted for localhost only."""
    return f"http://localhost:{port}{CALLBACK_PATH}"


def address(settings: OrgSettings, attempt: Attempt) -> str:
    """Return what to open in the browser. It holds no secret: the verifier is there as a digest only."""
    digest = hashlib.sha256(attempt.verifier.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": settings.client_id or "",
        "redirect_uri": attempt.redirect_uri,
        "scope": SCOPES,
        "state": attempt.state,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    return f"{settings.login_url}{AUTHORIZE_PATH}?{urlencode(asked)}"


def is_ours(parameters: Mapping[str, str], attempt: Attempt) -> bool:
    """Return whether what came back belongs to this attempt; anybody's page can send a browser to our address."""
    return hmac.compare_digest(parameters.get("state", "").encode(), attempt.state.encode())


def code_of(parameters: Mapping[str, str]) -> str:
    """Return the code that the browser came back with.

    Raises:
        LoginRefused: it came back with an error; says what, and what to do about it.
        TryLater: the login page is not itself.
    """
    error, description = parameters.get("error", ""), parameters.get("error_description", "")
    if error.lower() == _SAID_NO:
        raise LoginRefused(
            "login refused: access_denied; somebody said no in the browser, or the org does not let this user use the "
            "app (its policies say who may)",
            code=error,
        )
    if error:
        auth.read_token(400, orjson.dumps({"error": error, "error_description": description}))
    if code := parameters.get("code"):
        return code
    raise LoginRefused("the browser came back without a code and without an error; begin again")


def exchange(settings: OrgSettings, attempt: Attempt, code: str) -> dict[str, str]:
    """Return the form that gets the tokens for a code."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": attempt.redirect_uri,
        "code_verifier": attempt.verifier,
        **grants.client(settings),
    }
