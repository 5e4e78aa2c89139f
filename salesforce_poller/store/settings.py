"""Where the memory is kept, and how long: ``[store]``."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from salesforce_poller.clock import parse_span

_SQLITE = "sqlite:///"


def _url(value: str) -> str:
    if not value.startswith(_SQLITE) or value == _SQLITE:
        raise ValueError('should be "sqlite:///FILE"; no other database is supported yet')
    if ":memory:" in value:
        raise ValueError("should be a file: what is only in memory is lost with the process")
    return value


class StoreSettings(BaseModel):
    """The store: an SQLite file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: ``sqlite:///relative.db`` or ``sqlite:////absolute/path.db``.
    url: Annotated[str, AfterValidator(_url)] = "sqlite:///salesforce-poller.db"
    #: How long delivered events are kept for looking at and replaying. What is still owed is always kept.
    keep_events: Annotated[timedelta, BeforeValidator(parse_span)] = timedelta(days=7)

    @property
    def path(self) -> str:
        """The file's path."""
        return self.url.removeprefix(_SQLITE)
