"""What a token says about its user, and its end: userinfo, identity, introspection, revocation, discovery.

Called through `endpoints`. Sources: Salesforce Help, "User Info Endpoint", "Identity URLs", "OAuth 2.0 Token
Introspection", "Revoke OAuth Tokens", and the OpenID discovery document.
"""

from collections.abc import Mapping
from typing import Any

from salesforce_poller.simulator.call import Answer
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.oauth import client
from salesforce_poller.simulator.oauth.refusal import OAuthError, bad_token
from salesforce_poller.simulator.oauth.tokens import identity_url
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.request import Request
from salesforce_poller.simulator.sessions import Session

SOAP_APIS = {"enterprise": "c", "metadata": "m", "partner": "u", "tooling_soap": "T"}


def bearer(org: Org, request: Request) -> Session | None:
    """The session of the request's token, if it has a good one; raises INVALID_AUTH_HEADER for another scheme."""
    header = request.headers.get("authorization", "")
    scheme, _, given = header.partition(" ")
    if header and scheme.lower() not in ("bearer", "oauth"):
        raise ApiError(401, "INVALID_AUTH_HEADER", "INVALID_HEADER_TYPE")
    session = org.sessions.find(given.strip(), org.clock.now())
    if session is None or not org.storage.rows["User"][session.user_id]["IsActive"]:
        return None  # deactivating a user ends what the user has open
    return session


def userinfo(org: Org, request: Request) -> Answer:
    """Who the token belongs to; 403 in plain text when to nobody."""
    session = bearer(org, request)
    if session is None:
        return bad_token(request)
    user, base = org.storage.rows["User"][session.user_id], org.instance.address(request)
    return Answer(
        body={
            "sub": identity_url(org, request, session),
            **_person(user),
            "organization_id": org.organization_id,
            "preferred_username": user["Username"],
            "nickname": user["CommunityNickname"],
            "name": _name(user),
            "email_verified": True,
            "given_name": user["FirstName"],
            "family_name": user["LastName"],
            "zoneinfo": user["TimeZoneSidKey"],
            "photos": {"picture": f"{base}/profilephoto/005/F", "thumbnail": f"{base}/profilephoto/005/T"},
            "profile": f"{base}/{user['Id']}",
            "picture": f"{base}/profilephoto/005/F",
            "address": {},
            "is_salesforce_integration_user": True,
            "urls": _urls(org, request),
            "utcOffset": 0,
            "updated_at": user["SystemModstamp"].strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )


def identity(org: Org, request: Request) -> Answer:
    """What the `id` of a token response leads to."""
    session = bearer(org, request)
    if session is None:
        return bad_token(request)
    user = org.storage.rows["User"][session.user_id]
    return Answer(
        body={
            "id": identity_url(org, request, session),
            "asserted_user": True,
            **_person(user),
            "organization_id": org.organization_id,
            "username": user["Username"],
            "nick_name": user["CommunityNickname"],
            "display_name": _name(user),
            "urls": _urls(org, request),
        }
    )


def introspect(org: Org, request: Request) -> Answer:
    """What a token is good for; the only place that tells when it expires."""
    form = client.form(request)
    try:
        client.check(org, form)
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
            "username": org.storage.rows["User"][session.user_id]["Username"],
            "sub": identity_url(org, request, session),
            "token_type": "access_token",
            "exp": int((org.clock.now() + org.sessions.idle).timestamp()),
            "iat": issued,
            "nbf": issued,
        }
    )


def revoke(org: Org, request: Request) -> Answer:
    """End a session, or an approval with the sessions that belong to it; 200 without a body."""
    given = request.form.get("token") or request.params.get("token", "")
    if org.approvals.revoke(given):
        org.sessions.end_of(given)
    elif org.sessions.find(given, org.clock.now()) is not None:
        org.sessions.end(given)
    else:
        return OAuthError("invalid_token", "token not valid or already revoked").answer
    return Answer(200)


def discovery(_org: Org, request: Request) -> Answer:
    """The OpenID discovery document, as far as there is something to discover."""
    oauth = f"{request.base_url}/services/oauth2"
    return Answer(
        body={
            "issuer": request.base_url,
            "authorization_endpoint": f"{oauth}/authorize",
            "token_endpoint": f"{oauth}/token",
            "revocation_endpoint": f"{oauth}/revoke",
            "userinfo_endpoint": f"{oauth}/userinfo",
            "introspection_endpoint": f"{oauth}/introspect",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        }
    )


def _person(user: Mapping[str, Any]) -> dict[str, Any]:
    """What both pages say in the same words."""
    return {
        "user_id": user["Id"],
        "email": user["Email"],
        "active": user["IsActive"],
        "user_type": "STANDARD",
        "language": user["LanguageLocaleKey"],
        "locale": user["LocaleSidKey"],
    }


def _name(user: Mapping[str, Any]) -> str:
    return f"{user['FirstName']} {user['LastName']}"


def _urls(org: Org, request: Request) -> dict[str, str]:
    """Where things are; `{version}` is for the client to fill in."""
    base, short_id = org.instance.address(request), org.organization_id[:15]
    root = base + "/services/data/v{version}/"
    return {
        **{name: f"{base}/services/Soap/{api}/{{version}}/{short_id}" for name, api in SOAP_APIS.items()},
        "rest": root,
        "tooling_rest": root + "tooling/",
        **{name: f"{root}{name}/" for name in ("sobjects", "search", "query", "recent")},
        "custom_domain": base,
    }
