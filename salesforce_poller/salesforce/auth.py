"""Reads what the token endpoint answers, the same for every flow. Pure; called by ``session.py``.

What the flows ask is in ``grants.py``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import orjson

from salesforce_poller.salesforce import troubles
from salesforce_poller.salesforce.settings import OrgSettings

TOKEN_PATH = "/services/oauth2/token"  # noqa: S105  # a path, not a secret
USERINFO_PATH = "/services/oauth2/userinfo"
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Token:
    """A session: where to talk to, and with what. Its secret never appears in a repr."""

    access_token: str = field(repr=False)
    #: API base; may differ from the login host.
    instance_url: str
    #: 18 characters, or None when the answer does not tell.
    organization_id: str | None
    #: To be used from now on instead of the one that was sent; None when that one goes on.
    refresh_token: str | None = field(default=None, repr=False)
    #: Who we are there; None when the answer does not tell.
    user_id: str | None = field(default=None, compare=False)


def given_token(settings: OrgSettings) -> Token:
    """Return the session of ``auth = "access_token"``: the token from the configuration, as it is."""
    assert settings.access_token is not None
    token = settings.access_token.get_secret_value()
    return Token(token, settings.login_url, organization_of(token))


def read_token(status: int, body: bytes, headers: Mapping[str, str] = NO_HEADERS) -> Token:
    """Decipher the token endpoint's answer.

    Raises:
        LoginRefused: a person must act; says what.
        TryLater: the endpoint is not itself, or too many logins; says how long.
    """
    answer = _json_object(body)
    if status == 200 and answer.get("access_token") and answer.get("instance_url"):  # noqa: PLR2004  # HTTP OK
        token = str(answer["access_token"])
        identity = str(answer.get("id", ""))
        return Token(
            token,
            str(answer["instance_url"]).rstrip("/"),
            organization_of(token, identity),
            refresh_token=str(answer["refresh_token"]) if answer.get("refresh_token") else None,
            user_id=_user_of(identity),
        )
    raise troubles.login_error(status, headers, body)


def organization_of(token: str, identity_url: str = "") -> str | None:
    """Find the organisation id in an identity URL (``…/id/00D…/005…``) or in the token's first part (``00D…!…``)."""
    parts = identity_url.rstrip("/").split("/")
    candidate = parts[-2] if len(parts) > 2 and parts[-3] == "id" else token.partition("!")[0]  # noqa: PLR2004  # …/id/ORG/USER
    if not (candidate.startswith("00D") and candidate.isalnum()):
        return None
    return {15: to18(candidate), 18: candidate}.get(len(candidate))


def _user_of(identity_url: str) -> str | None:
    """Find the user's id in an identity URL."""
    *_, candidate = identity_url.rstrip("/").split("/")
    return candidate if candidate.startswith("005") and candidate.isalnum() else None


def to18(short: str) -> str:
    """Lengthen a 15-character id by its checksum: three letters say which of 3 x 5 characters are capitals."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
    suffix = (
        letters[sum(1 << bit for bit, letter in enumerate(short[start : start + 5]) if "A" <= letter <= "Z")]
        for start in (0, 5, 10)
    )
    return short + "".join(suffix)


def _json_object(body: bytes) -> Mapping[str, object]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}
