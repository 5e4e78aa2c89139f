"""What ``[sinks.NAME]`` can say with ``type = "webhook"``, and everything that can be wrong with it beforehand.

Read by ``config.py`` through ``catalogue.py``; used by ``webhook.py`` and ``transport.py``. Files are tried here, so
that a wrong one is a line of ``check`` and not of the log at night.
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from salesforce_poller.sinks import addresses, formats, pem, signing
from salesforce_poller.sinks.base import SinkSettings, Span

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
#: Headers that are ours, or the connection's.
_RESERVED = ("content-type", "content-length", "transfer-encoding", "connection", "host")
#: Lines in one message to Slack, which cuts a text behind 40,000 characters.
_SLACK_BATCH = 50


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError('should be an address such as "https://example.com/hooks/salesforce"')
    if parts.username is not None or parts.password is not None:
        raise ValueError("should hold no user name or password; use basic, bearer or oauth2 for credentials")
    address = addresses.read(parts.hostname)
    if address is not None and (refusal := addresses.refusal(address, [addresses.ANY])):
        raise ValueError(refusal)
    return value


def _proxy(value: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(value.get_secret_value())
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.path in ("", "/") and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise ValueError('should be an address such as "http://user:password@proxy.example.com:3128"')
    return value


def _secret(value: SecretStr) -> SecretStr:
    signing.key_of(value.get_secret_value())
    return value


def _headers(value: dict[str, SecretStr]) -> dict[str, SecretStr]:
    for name, secret in value.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a header")
        if name.lower() in _RESERVED or name.lower().startswith(("webhook-", "ce-")):
            raise ValueError(f"{name} is set by the sink itself")
        if not all(letter.isprintable() for letter in secret.get_secret_value()):
            raise ValueError(f"the value of {name} must not hold line breaks or other control characters")
    return value


def _token(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[\x21-\x7e]+", value.get_secret_value()):
        raise ValueError("should be the token alone, without spaces or line breaks")
    return value


def _user_name(value: str) -> str:
    if ":" in value or not value.isprintable():
        raise ValueError("should hold no colon and no control characters")
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _network(value: str) -> str:
    return value if value in (addresses.ANY, addresses.PUBLIC) else addresses.network(value)


Url = Annotated[str, AfterValidator(_url)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
PemFile = Annotated[Path, AfterValidator(pem.readable)]
Networks = Annotated[list[Annotated[str, AfterValidator(_network)]], BeforeValidator(_listed), Field(min_length=1)]


class BasicAuth(BaseModel):
    """``basic``: a user name and a password in every request (RFC 7617)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: Annotated[str, AfterValidator(_user_name)]
    password: SecretStr


class OAuth2Settings(BaseModel):
    """``oauth2``: a token for the daemon itself, by the client credentials grant (RFC 6749, 4.4)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: The token endpoint.
    token_url: Url
    client_id: Annotated[str, Field(min_length=1)]
    client_secret: SecretStr
    #: Where the two of them travel: the standard's way, or in the form, which some servers insist on.
    credentials_in: Literal["header", "body"] = "header"
    #: What to ask for, as the authorization server says; None: nothing in particular.
    scope: str | None = None
    audience: str | None = None


class WebhookSettings(SinkSettings):
    """``type = "webhook"``."""

    type: Literal["webhook"]
    #: Where to post; https, or http inside a trusted network.
    url: Url
    #: ``whsec_…`` or ``whsk_…``; several while secrets are being rotated; None: unsigned.
    secret: Secret | Annotated[list[Secret], Field(min_length=1)] | None = None
    #: What is posted: a CloudEvent, its data alone, or a line for a Slack channel.
    format: formats.Format = "cloudevents"
    #: Of CloudEvents: all of it as JSON in the body, or its attributes as ``ce-`` headers and its data as the body.
    mode: formats.Mode = "structured"
    #: Events in one request. More than one is CloudEvents' batch format, which the receiver must understand.
    batch: Annotated[int, Field(ge=1, le=1000)] = 1
    #: How long fewer events than ``batch`` wait for more.
    batch_wait: Span = timedelta()
    #: Requests side by side.
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 10
    #: For a whole request. Standard Webhooks advises 15 to 30 seconds.
    timeout: Annotated[Span, Field(gt=timedelta())] = timedelta(seconds=20)
    #: Of it, for the connection.
    connect_timeout: Annotated[Span, Field(gt=timedelta())] = timedelta(seconds=10)
    #: Further headers for every request.
    headers: Annotated[dict[str, SecretStr], AfterValidator(_headers)] = Field(default_factory=dict)
    #: One of three ways to an Authorization header.
    basic: BasicAuth | None = None
    bearer: Annotated[SecretStr, AfterValidator(_token)] | None = None
    oauth2: OAuth2Settings | None = None
    #: Authorities (PEM) to trust instead of those of the system.
    ca: PemFile | None = None
    #: What we show of ourselves (PEM), and its key when that is not in the same file.
    client_certificate: PemFile | None = None
    client_key: PemFile | None = None
    #: Every connection goes through it. It resolves names, so it is the one to guard networks.
    proxy: Annotated[SecretStr, AfterValidator(_proxy)] | None = None
    #: Addresses that may be connected to; where clouds keep credentials is never among them.
    networks: Networks = Field(default_factory=lambda: [addresses.ANY])

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        named = {name.lower() for name in self.headers}
        ways = [name for name in ("basic", "bearer", "oauth2") if getattr(self, name)]
        ways += ["headers.Authorization"] * ("authorization" in named)
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)} exclude each other: there is one Authorization header")
        if self.mode == "binary" and self.format != "cloudevents":
            raise ValueError('mode = "binary" is for format = "cloudevents" only')
        if self.mode == "binary" and self.batch > 1:
            raise ValueError('mode = "binary" has one event in a request; leave out batch, or mode')
        if self.batch_wait and self.batch == 1:
            raise ValueError("batch_wait is for batch = 2 and more: a single event has nothing to wait for")
        if self.format == "slack" and self.batch > _SLACK_BATCH:
            raise ValueError(f'batch should be {_SLACK_BATCH} at most with format = "slack", which cuts long messages')
        self._check_networks()
        self._check_certificates()
        return self

    def _check_networks(self) -> None:
        urls = [self.url, *([self.oauth2.token_url] if self.oauth2 else [])]
        for host in (urlsplit(each).hostname or "" for each in urls):
            address = addresses.read(host)
            if address is not None and (refusal := addresses.refusal(address, self.networks)):
                raise ValueError(refusal)

    def _check_certificates(self) -> None:
        if self.client_key and not self.client_certificate:
            raise ValueError("client_key is nothing without client_certificate")
        pem.context(self.ca, self.client_certificate, self.client_key)

    def keys(self) -> list[signing.Key]:
        """Return the signing keys; none for unsigned requests."""
        secrets = self.secret if isinstance(self.secret, list) else [self.secret] if self.secret else []
        return [signing.key_of(each.get_secret_value()) for each in secrets]
