"""The connected app: the one client the org knows, and the ways in which it may log in.

Given to `Org` or changed through the control API (`POST /simulator/app`); read by `oauth` and `soap`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import TypeAdapter

CERTIFICATE_HEAD = "-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True, slots=True)
class ConnectedApp:
    """What an administrator sets on the app's page, and the credentials that go with it; all of them made up."""

    client_id: str = "simulated-client"
    client_secret: str = "simulated-secret"  # noqa: S105  # a pretend secret, printed for everybody
    secret_required: bool = True
    """Whether the web-server and refresh-token flows ask for the secret; a public client has none."""
    run_as: bool = True
    """The administrator has named a user for the client-credentials flow."""
    approved: tuple[str, ...] | None = None
    """The usernames that may log in with a JWT; None: every user is pre-authorised."""
    certificate: str | None = None
    """The public key that JWTs are checked with: an X.509 certificate or a public key, as PEM text."""
    refresh_token: str = "simulated-refresh-token"  # noqa: S105  # likewise
    """An approval of the first day, by the integration user."""
    rotate_refresh_tokens: bool = False
    """Each use of a refresh token gives a new one and ends the old one."""
    redirect_uris: tuple[str, ...] = ("http://localhost:1717/OauthRedirect",)
    """Where the web-server flow may send people; compared letter by letter."""
    require_pkce: bool = False
    """The web-server flow refuses requests without a code challenge; one that was sent is always checked."""
    denial: tuple[str, str] | None = None
    """What the person, or the org, answers to the authorize page instead of yes: error and description."""
    username: str = "integration.user@example.com"
    password: str = "simulated-password"  # noqa: S105  # likewise
    security_token: str = "simulated-security-token"  # noqa: S105  # likewise
    trusted_network: bool = True
    """The password is enough; otherwise the security token has to follow it."""

    def public_key(self) -> RSAPublicKey | None:
        """The registered key; None when there is none. Raises ValueError for what is no RSA key or certificate."""
        if self.certificate is None:
            return None
        pem = self.certificate.encode()
        if self.certificate.lstrip().startswith(CERTIFICATE_HEAD):
            key: object = x509.load_pem_x509_certificate(pem).public_key()
        else:
            key = serialization.load_pem_public_key(pem)
        if not isinstance(key, RSAPublicKey):
            raise ValueError("certificate: JWTs are signed with RS256, so the key must be an RSA key")  # noqa: TRY004  # bad input
        return key

    def accepts_password(self, given: str) -> bool:
        """Whether this is the password, with the security token behind it where that is needed."""
        return given == self.password + self.security_token or (self.trusted_network and given == self.password)


def changed(app: ConnectedApp, changes: Mapping[str, Any]) -> ConnectedApp:
    """The app with other settings, from JSON; raises ValueError for a name or a key that is not right."""
    known = [field.name for field in fields(app)]
    if unknown := set(changes) - set(known):
        raise ValueError(f"unknown keys: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    new = TypeAdapter(ConnectedApp).validate_python({**asdict(app), **changes})
    new.public_key()
    return new
