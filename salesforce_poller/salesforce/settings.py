"""Which org, and with which key: the part of ``[orgs.NAME]`` that the door to the org needs."""

import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

#: Client-credentials logins are refused on the shared hosts (OAuth 2.0 Client Credentials Flow, Salesforce Help).
SHARED_LOGIN_HOSTS = ("login.salesforce.com", "test.salesforce.com")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


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


class OrgSettings(BaseModel):
    """One Salesforce organisation and how to log in to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: My Domain, sandbox My Domain, login or test host.
    login_url: Annotated[str, AfterValidator(_login_url)]
    auth: Literal["client_credentials", "access_token"] = "client_credentials"
    client_id: str | None = None
    client_secret: SecretStr | None = None
    access_token: SecretStr | None = None
    #: Pinned, never "the newest": a new version may change what a query answers.
    api_version: Annotated[str, AfterValidator(_api_version)] = "66.0"
    #: Rows in one page of an answer; fewer need less memory where rows are large, and more calls.
    page_size: int = Field(default=2000, ge=200, le=2000)
    #: Seconds to wait for one answer. Salesforce gives up on a query after 120 s, so a little more than that.
    timeout: float = Field(default=130.0, gt=0)

    @model_validator(mode="after")
    def _has_what_the_flow_needs(self) -> Self:
        needs = {"client_credentials": ("client_id", "client_secret"), "access_token": ("access_token",)}[self.auth]
        missing = [name for name in needs if not getattr(self, name)]
        if missing:
            raise ValueError(f'auth = "{self.auth}" also needs {" and ".join(missing)}')
        if self.auth == "client_credentials" and urlsplit(self.login_url).hostname in SHARED_LOGIN_HOSTS:
            raise ValueError('auth = "client_credentials" needs your My Domain address as login_url, not a shared host')
        return self
