"""The web-server flow: a person says yes on the authorize page, and the app fetches its tokens with a one-use code.

Called through `endpoints` and by `tokens`. The person says yes at once, unless the app's `denial` says otherwise.
Sources: Salesforce Help, "OAuth 2.0 Web Server Flow" and "OAuth 2.0 Authorization Errors"; RFC 7636 (PKCE).
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlencode

from salesforce_poller.simulator.approvals import Code
from salesforce_poller.simulator.call import Answer
from salesforce_poller.simulator.fault_kinds import HTML_TYPE
from salesforce_poller.simulator.oauth import client, grants
from salesforce_poller.simulator.oauth.grants import Granted
from salesforce_poller.simulator.oauth.refusal import OAuthError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.request import Request

SCOPES = frozenset({"api", "refresh_token", "offline_access", "full", "id", "openid", "profile", "email", "web"})


def authorize(org: Org, request: Request) -> Answer:
    """302 to the app with a code, or with an error; a page when it is not sure that it is the app."""
    asked = {**request.params, **(request.form if request.method == "POST" else {})}
    if asked.get("client_id") != org.app.client_id:
        return _page("invalid_client_id", "client identifier invalid")
    if asked.get("redirect_uri") not in org.app.redirect_uris:
        return _page("redirect_uri_mismatch", "redirect_uri must match configuration")
    try:
        _check(org, asked)
    except OAuthError as error:
        return _redirect(asked, {"error": error.error, "error_description": error.description})
    challenge = asked.get("code_challenge") or None
    scope = asked.get("scope") or grants.SCOPE
    code = Code(org.integration_user, asked["redirect_uri"], scope, challenge, org.clock.now())
    return _redirect(asked, {"code": org.codes.issue(code)})


def authorization_code(org: Org, _request: Request, form: Mapping[str, str]) -> Granted:
    """Tokens for a code; the client, the redirect URI and the code verifier have to be those of the beginning."""
    client.check(org, form, secret_required=org.app.secret_required)
    text = form.get("code", "")
    code = org.codes.take(text, org.clock.now())
    if code is None:
        known = text in org.codes.known
        raise OAuthError("invalid_grant", "expired authorization code" if known else "invalid authorization code")
    if form.get("redirect_uri") != code.redirect_uri:
        raise OAuthError("redirect_uri_mismatch", "redirect_uri must match configuration")
    if code.challenge is not None and not _proves(form.get("code_verifier", ""), code.challenge):
        raise OAuthError("invalid_grant", "invalid code verifier")
    if not {"refresh_token", "offline_access", "full"} & set(code.scope.split()):
        return Granted(code.user_id, code.scope)
    return Granted(code.user_id, code.scope, org.approvals.add(code.user_id), shown=True)


def _check(org: Org, asked: Mapping[str, str]) -> None:
    """Everything that the app itself is told about."""
    if asked.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "response type not supported")
    if org.app.denial is not None:
        raise OAuthError(*org.app.denial)
    if unknown := set(asked.get("scope", "").split()) - SCOPES:
        raise OAuthError("invalid_scope", f"the requested scope is not allowed: {', '.join(sorted(unknown))}")
    challenge = asked.get("code_challenge")
    if org.app.require_pkce and not challenge:
        raise OAuthError("invalid_request", "missing required code challenge")
    if challenge and asked.get("code_challenge_method", "S256") != "S256":
        raise OAuthError("invalid_request", "code_challenge_method must be S256")


def _proves(verifier: str, challenge: str) -> bool:
    """RFC 7636, 4.6: BASE64URL(SHA256(verifier)), without padding."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"="), challenge.rstrip("=").encode())


def _redirect(asked: Mapping[str, str], parameters: Mapping[str, str]) -> Answer:
    state = {"state": asked["state"]} if "state" in asked else {}
    address = asked["redirect_uri"]
    joint = "&" if "?" in address else "?"
    return Answer(302, None, {"Location": f"{address}{joint}{urlencode({**parameters, **state})}"})


def _page(error: str, description: str) -> Answer:
    """For the person's eyes: nobody is redirected to an address that the app has not registered."""
    return Answer(400, urlencode({"error": error, "error_description": description}), media_type=HTML_TYPE)
