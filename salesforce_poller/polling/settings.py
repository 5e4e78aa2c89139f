"""Which objects, how often, how much overlap: the part of ``[orgs.NAME.objects.OBJECT]`` that polling needs."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from salesforce_poller.clock import parse_span, parse_start
from salesforce_poller.salesforce import soql

Span = Annotated[timedelta, BeforeValidator(parse_span)]
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def _at_least_one_second(value: timedelta) -> timedelta:
    if value < timedelta(seconds=1):
        raise ValueError("should be at least 1s")
    return value


def _paths(value: list[str]) -> list[str]:
    wrong = [path for path in value if not soql.is_path(path)]
    if wrong:
        raise ValueError(f"should hold field names such as Email or Owner.Name, not {', '.join(map(repr, wrong))}")
    if not value:
        raise ValueError("is empty; leave it out to get every readable field")
    return list(dict.fromkeys(value))


def _condition(value: str) -> str:
    if problem := soql.check_condition(value):
        raise ValueError(problem)
    return value


def _threshold(value: Any) -> Any:
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    if value == "never" or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ValueError('should be a number of records, or "never"')


def _share(value: Any) -> Any:
    """Read ``"10%"``."""
    if isinstance(value, float) and 0 <= value <= 1:
        return value
    if isinstance(value, str) and (match := _SHARE.fullmatch(value)) and float(match[1]) <= 100:  # noqa: PLR2004  # per cent
        return float(match[1]) / 100
    raise ValueError('should be a share such as "10%"')


def _at_least_one_hour(value: timedelta) -> timedelta:
    if value < timedelta(hours=1):
        raise ValueError("should be at least 1h")
    return value


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many of an org's daily API requests may be spent: a share of them, or a number."""

    share: float | None = None
    calls: int | None = None

    def of(self, allowed: int) -> int:
        """Return the number of calls, for an org that may make so many."""
        return self.calls if self.calls is not None else int(allowed * (self.share or 0.0))


def read_allowance(value: Any) -> Any:
    """Read ``"25%"`` or a number of calls."""
    if isinstance(value, Allowance):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return Allowance(calls=value)
    if isinstance(value, str) and (match := _SHARE.fullmatch(value)) and 0 < float(match[1]) <= 100:  # noqa: PLR2004  # per cent
        return Allowance(share=float(match[1]) / 100)
    raise ValueError('should be a share such as "25%", or a number of calls a day')


class FeedSettings(BaseModel):
    """One watched object. Every key can also stand in ``[orgs.NAME.defaults]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: How often the object is polled. Five feeds that are due together share one call: 1,440 a day for a minute.
    every: Annotated[Span, AfterValidator(_at_least_one_second)] = timedelta(minutes=1)
    #: Paths of the fields to read; None: every readable field that is not a blob.
    fields: Annotated[list[str], AfterValidator(_paths)] | None = None
    #: A SOQL condition that narrows the feed.
    where: Annotated[str, AfterValidator(_condition)] | None = None
    #: Where a feed begins that has never run: with the changes from now on, with everything there is, or at a time.
    start: Annotated[Literal["now", "beginning"] | datetime, BeforeValidator(parse_start)] = "now"
    #: Read every record once, silently, so that even the first update knows its previous values.
    baseline: bool = False
    #: What was there before is read by a Bulk API job where the object has more records than this.
    bulk_above: Annotated[int | Literal["never"], BeforeValidator(_threshold)] = 50_000
    #: How far each poll reads back, for rows that were committed a little late.
    overlap: Span = timedelta(seconds=10)
    #: How often late commits and hard deletes are looked for; Salesforce advises five minutes or more.
    sweep_every: Annotated[Span, AfterValidator(_at_least_one_second)] = timedelta(minutes=5)
    #: How long a record's last values are kept for ``changed`` and ``previous``.
    remember: Span = timedelta(days=30)
    #: Feeds of priority 2 are only slowed down when others already have twice their interval, and so on.
    priority: int = Field(default=1, ge=1, le=100)
    #: Also tell of new stamps on rows whose fields did not change.
    unchanged: bool = False
    #: How often the ids that the org has are compared with those we know; None: never.
    reconcile: Annotated[Span, AfterValidator(_at_least_one_hour)] | None = None
    #: The share of the known records that may be found missing at once without being disbelieved.
    reconcile_limit: Annotated[float, BeforeValidator(_share)] = 0.1
