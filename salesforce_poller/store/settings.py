"""Where the memory is kept, and how long: ``[store]``."""

import base64
import binascii
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from salesforce_poller.clock import parse_span

_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgres://")
_KEY_BYTES = 32


def checked_url(value: str) -> str:
    """Return the address of a store as it is.

    Raises:
        ValueError: it is none; the text says what would be right, and nothing of the address.
    """
    if is_postgresql(value):
        if "#" in value or "@" in urlsplit(value).path:
            raise ValueError("should have what is special in a password as %2F for /, %23 for #, %3F for ?, %40 for @")
        if not urlsplit(value).path.strip("/"):
            raise ValueError('should name the database: "postgresql://user:password@host/database"')
        return value
    if not value.startswith(_SQLITE) or value == _SQLITE:
        raise ValueError('should be "sqlite:///FILE" or "postgresql://user:password@host/database"')
    if ":memory:" in value:
        raise ValueError("should be a file: what is only in memory is lost with the process")
    return value


def is_postgresql(url: str) -> bool:
    """Say whether a store is in PostgreSQL."""
    return url.startswith(_POSTGRESQL)


def path_of(url: str) -> str:
    """Return the path of an SQLite file by its address."""
    return url.removeprefix(_SQLITE)


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
    """The store: an SQLite file, or a PostgreSQL that several processes share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: ``sqlite:///relative.db``, ``sqlite:////absolute/path.db`` or ``postgresql://user:password@host/database``.
    url: Annotated[str, AfterValidator(checked_url), Field(repr=False)] = "sqlite:///salesforce-poller.db"
    #: How long delivered events are kept for looking at and replaying. What is still owed is always kept.
    keep_events: Annotated[timedelta, BeforeValidator(parse_span)] = timedelta(days=7)

    #: On PostgreSQL: within this time a process that died is replaced by another one.
    lease: Annotated[timedelta, BeforeValidator(parse_span), Field(ge=timedelta(seconds=3))] = timedelta(seconds=15)

    #: Encrypts the refresh tokens that are kept; several while it is being changed, the new one first.
    secret_key: Annotated[list[Key], BeforeValidator(_one_or_more), Field(min_length=1)] | None = None

    @property
    def keys(self) -> list[SecretStr]:
        """The keys, the one that encrypts first; none where nothing secret is kept."""
        return self.secret_key or []

    @property
    def path(self) -> Path | None:
        """The file's path; None where the store is no file."""
        return None if is_postgresql(self.url) else Path(path_of(self.url))
