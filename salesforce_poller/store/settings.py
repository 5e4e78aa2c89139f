"""Where the memory is kept, and how long: ``[store]``."""

import base64
import binascii
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from salesforce_poller.clock import parse_span

_SQLITE = "sqlite:///"
_KEY_BYTES = 32


def _url(value: str) -> str:
    if not value.startswith(_SQLITE) or value == _SQLITE:
        raise ValueError('should be "sqlite:///FILE"; no other database is supported yet')
    if ":memory:" in value:
        raise ValueError("should be a file: what is only in memory is lost with the process")
    return value


def key_bytes(key: SecretStr) -> bytes:
    """Return the 32 bytes of a key, which is written in base64, the usual one or that for addresses.

    Raises:
        ValueError: it is something else.
    """
    text = key.get_secret_value().strip().replace("-", "+").replace("_", "/")
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != _KEY_BYTES:
        raise ValueError("should be 32 random bytes in base64; `openssl rand -base64 32` makes some")
    return found


def _key(value: SecretStr) -> SecretStr:
    key_bytes(value)
    return value


def _one_or_more(value: Any) -> Any:
    return value if isinstance(value, list) or value is None else [value]


Key = Annotated[SecretStr, AfterValidator(_key)]


class StoreSettings(BaseModel):
    """The store: an SQLite file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: ``sqlite:///relative.db`` or ``sqlite:////absolute/path.db``.
    url: Annotated[str, AfterValidator(_url)] = "sqlite:///salesforce-poller.db"
    #: How long delivered events are kept for looking at and replaying. What is still owed is always kept.
    keep_events: Annotated[timedelta, BeforeValidator(parse_span)] = timedelta(days=7)

    #: Encrypts the refresh tokens that are kept; several while it is being changed, the new one first.
    secret_key: Annotated[list[Key], BeforeValidator(_one_or_more), Field(min_length=1)] | None = None

    @property
    def keys(self) -> list[SecretStr]:
        """The keys, the one that encrypts first; none where nothing secret is kept."""
        return self.secret_key or []

    @property
    def path(self) -> str:
        """The file's path."""
        return self.url.removeprefix(_SQLITE)
