"""Where health and readiness are served: ``[http]``."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr, model_validator

_HIGHEST_PORT = 65_535
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def _listen(value: str) -> str:
    if value and not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}", value):
        raise ValueError('should be "HOST:PORT", or "" to serve nothing')
    if value and int(value.rpartition(":")[2]) > _HIGHEST_PORT:
        raise ValueError(f"has a port beyond {_HIGHEST_PORT}")
    return value


def _token(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().strip():
        raise ValueError("is empty, and would let everybody in; `openssl rand -base64 32` makes one")
    return value


class HttpSettings(BaseModel):
    """The daemon's own HTTP address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: ``HOST:PORT``; an empty text serves nothing.
    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:8080"
    #: Required when listening beyond this machine; whoever shows it (``Authorization: Bearer …``) is told details, and
    #: may do what commands do.
    token: Annotated[SecretStr, AfterValidator(_token)] | None = None

    @model_validator(mode="after")
    def _is_guarded(self) -> Self:
        host = self.listen.rpartition(":")[0]
        if host and host not in _LOOPBACK and self.token is None:
            raise ValueError('listening beyond this machine needs a token: token = { env = "POLLER_TOKEN" }')
        return self

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port, or None when nothing is served."""
        host, _, port = self.listen.rpartition(":")
        return (host.strip("[]"), int(port)) if host else None
