"""Which org, and with which key: the part of ``[orgs.NAME]`` that the door to the org needs."""

import re
from typing import Annotated, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

#: Client-credentials logins are refused on the shared hosts (OAuth 2.0 Client Credentials Flow, Salesforce Help).
SHARED_LOGIN_HOSTS = ("login.salesforce.com", "test.salesforce.com")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: RS256 needs a key of this many bits (RFC 7518, 3.3).
_LEAST_BITS = 2048


class Flow(NamedTuple):
    """The keys of ``[orgs.NAME]`` that a way of logging in has to itself or shares with some others."""

    needs: tuple[str, ...]
    may_have: tuple[str, ...] = ()


#: By the word that stands in ``auth``.
FLOWS = {
    "client_credentials": Flow(("client_id", "client_secret")),
    "jwt_bearer": Flow(("client_id", "username", "private_key"), ("audience",)),
    "refresh_token": Flow(("client_id",), ("client_secret", "refresh_token")),
    "password": Flow(("client_id", "client_secret", "username", "password")),
    "access_token": Flow(("access_token",)),
}
_KEYS_OF_FLOWS = sorted({key for flow in FLOWS.values() for key in (*flow.needs, *flow.may_have)})


def _login_url(value: str) -> str:
    """Accept https anywhere and plain http only to this machine; drop a trailing slash."""
    url = urlsplit(value)
    if not url.hostname or url.scheme not in ("http", "https"):
        raise ValueError('should be an address such as "https://acme.my.salesforce.com"')
    if url.scheme == "http" and url.hostname not in _LOOPBACK:
        raise ValueError("should begin with https://; plain http is only for a simulated org on this machine")
    if url.path not in ("", "/") or url.query or url.fragment or "@" in url.netloc or any(map(str.isspace, value)):
        raise ValueError("should be the host alone, without a path, a query, a user name or blanks")
    if url.port == 0:  # any other wrong port is a ValueError of its own
        raise ValueError("Port out of range 0-65535")
    return value.rstrip("/")


def _api_version(value: str) -> str:
    if not re.fullmatch(r"\d{2,3}\.0", value):
        raise ValueError('should be a version such as "66.0"')
    return value


def _audience(value: str) -> str:
    url = urlsplit(value)
    if url.scheme != "https" or not url.hostname or any(map(str.isspace, value)):
        raise ValueError('should be an address such as "https://login.salesforce.com"')
    return value.rstrip("/")


def _private_key(value: SecretStr) -> SecretStr:
    """Accept an RSA private key in PEM, without a passphrase. No message shows any of it."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415  # 7 MB, for those who have such a key
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415  # as above
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415  # as above

    pem = value.get_secret_value().strip()
    if not pem.startswith("-----BEGIN "):
        raise ValueError('should be a private key in PEM ("-----BEGIN …"); { file = "key.pem" } reads it from a file')
    kind = pem.removeprefix("-----BEGIN ").partition("-----")[0]
    if "PRIVATE KEY" not in kind:
        raise ValueError(f"is a {kind.lower()}; what is needed is the private key that belongs to it")
    if "\\n" in pem:
        raise ValueError(r'holds "\n" where its lines should end; give it as it is in its file')
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except TypeError as exc:
        raise ValueError(
            "is protected by a passphrase, which a daemon cannot type in; "
            "`openssl pkey -in key.pem -out plain.pem` writes it without"
        ) from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ValueError("is damaged, or not a private key in PEM") from exc
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("should be an RSA key, since Salesforce wants RS256 signatures")  # noqa: TRY004  # pydantic's signal
    if key.key_size < _LEAST_BITS:
        raise ValueError(f"should have at least {_LEAST_BITS} bits, and has {key.key_size}")
    return value


def _access_token(value: SecretStr) -> SecretStr:
    """Accept what can stand in a header. No message shows any of it."""
    text = value.get_secret_value()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("holds a blank, a line break or a letter that no token has; give it as it came")
    return value


class OrgSettings(BaseModel):
    """One Salesforce organisation and how to log in to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: My Domain, sandbox My Domain, login or test host.
    login_url: Annotated[str, AfterValidator(_login_url)]
    auth: Literal["client_credentials", "jwt_bearer", "refresh_token", "password", "access_token"] = (
        "client_credentials"
    )
    #: The consumer key of the app in the org.
    client_id: str | None = None
    client_secret: SecretStr | None = None
    #: Whom to log in as.
    username: str | None = None
    #: With the security token behind it, unless the app or the network is trusted.
    password: SecretStr | None = None
    #: RSA, PEM; the app has the certificate that belongs to it.
    private_key: Annotated[SecretStr, AfterValidator(_private_key)] | None = None
    #: The ``aud`` of assertions, where it cannot be told from ``login_url``.
    audience: Annotated[str, AfterValidator(_audience)] | None = None
    #: None where `salesforce-poller login` has put one into the store.
    refresh_token: SecretStr | None = None
    access_token: Annotated[SecretStr, AfterValidator(_access_token)] | None = None
    #: Pinned, never "the newest": a new version may change what a query answers.
    api_version: Annotated[str, AfterValidator(_api_version)] = "66.0"
    #: Rows in one page of an answer; fewer need less memory where rows are large, and more calls.
    page_size: int = Field(default=2000, ge=200, le=2000)
    #: Seconds to wait for one answer. Salesforce gives up on a query after 120 s, so a little more than that.
    timeout: float = Field(default=130.0, gt=0)

    @model_validator(mode="after")
    def _has_what_the_flow_needs(self) -> Self:
        flow = FLOWS[self.auth]
        missing = [key for key in flow.needs if not getattr(self, key)]
        if missing:
            raise ValueError(f'auth = "{self.auth}" also needs {" and ".join(missing)}')
        foreign = [key for key in _KEYS_OF_FLOWS if key not in (*flow.needs, *flow.may_have) and _said(self, key)]
        if foreign:
            raise ValueError(
                f'auth = "{self.auth}" has no use for {" and ".join(foreign)}; take it out, or change auth'
            )
        if self.auth == "client_credentials" and urlsplit(self.login_url).hostname in SHARED_LOGIN_HOSTS:
            raise ValueError('auth = "client_credentials" needs your My Domain address as login_url, not a shared host')
        return self


def _said(settings: OrgSettings, key: str) -> bool:
    return getattr(settings, key) is not None
