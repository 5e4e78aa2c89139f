"""What a person asks for, read and checked: the same words in a command, in an HTTP body and in a query. Pure.

Built by ``desk.py`` from what the HTTP API or a command was given, and by commands that only look. What is wrong with
it is said in one line that names the key.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StringConstraints, ValidationError

from salesforce_poller.clock import parse_span
from salesforce_poller.errors import NotUnderstood, capped
from salesforce_poller.model import Kind
from salesforce_poller.store.selection import Selection

#: Said where an order would be about everything there is and does not say that it is meant.
NOTHING_SELECTED = (
    "nothing is selected: say which ones (event, record, object, org, kind, sink, since, until), or all of them (all)"
)
#: Characters: a reason is one line in a table.
_LONGEST_REASON = 200


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=_LONGEST_REASON)]
#: The largest number that the store knows.
_LARGEST = 2**63 - 1
Position = Annotated[int, Field(ge=0, le=_LARGEST, strict=True)]


class Wanted(BaseModel):
    """Which events, or which deliveries of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    event: Text | None = None
    record: Text | None = None
    object: Text | None = None
    org: Text | None = None
    kind: Kind | None = None
    #: When they were recorded: an instant, or a span for so long ago.
    since: Text | None = None
    until: Text | None = None
    #: Names of sinks; None: all of them.
    sink: Annotated[list[Text], BeforeValidator(_one_or_more), Field(min_length=1)] | None = None

    def selection(self, now: datetime) -> Selection:
        """Return it as the store knows it; ``now`` (UTC) is what spans are counted from.

        Raises:
            NotUnderstood: a time is none, or the span of time is empty.
        """
        since, until = _instant("since", self.since, now), _instant("until", self.until, now)
        if since and until and since >= until:
            raise NotUnderstood("since: should be before until; as it is, nothing can be selected")
        return Selection(self.event, self.record, self.object, self.org, self.kind, since, until)

    @property
    def selects(self) -> bool:
        """Whether it leaves anything out."""
        return any(getattr(self, name) is not None for name in Wanted.model_fields)


class Look(Wanted):
    """Show some of them."""

    limit: Annotated[int, Field(ge=1, le=10_000)] = 50
    #: Of events: the first ones behind this position of the store, instead of the newest.
    after: Annotated[int, Field(ge=0, le=_LARGEST)] | None = None


class Repair(Wanted):
    """Do something about them."""

    #: Says that everything is meant, where nothing is selected.
    all: StrictBool = False
    #: Only says what would be done.
    dry_run: StrictBool = False

    def checked(self) -> None:
        """Raise NotUnderstood where it does not say what is meant."""
        if not self.selects and not self.all:
            raise NotUnderstood(NOTHING_SELECTED)


class Replay(Repair):
    """Owe them again. A long one can be asked for in parts: go on with ``next`` of the answer before as ``after``."""

    #: Only events behind this position of the store ...
    after: Position = 0
    #: ... and not behind this one; None: the newest one when the order came.
    through: Position | None = None
    #: Look at about so many events, then answer; None: at all of them.
    most: Annotated[int, Field(ge=1, strict=True)] | None = None


class Pause(BaseModel):
    """Stop something."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Shown wherever the pause is.
    reason: Text = "by a person"


class Nothing(BaseModel):
    """An order that needs no words."""

    model_config = ConfigDict(extra="forbid", frozen=True)


OrderT = TypeVar("OrderT", bound=BaseModel)


def read(kind: type[OrderT], said: Mapping[str, Any]) -> OrderT:
    """Read an order.

    Raises:
        NotUnderstood: it has an unknown key or a wrong value; the text says where, for each of them.
    """
    try:
        return kind.model_validate(dict(said))
    except ValidationError as exc:
        known = ", ".join(kind.model_fields) or "none"
        raise NotUnderstood("; ".join(_problem(found, known) for found in exc.errors(include_url=False))) from exc


def _problem(found: Any, known: str) -> str:
    place = ".".join(str(part) for part in found["loc"])
    if found["type"] == "extra_forbidden":
        return f"{capped(place, 60)}: unknown key; there is {known}"
    if found["type"] == "too_short":
        return f"{place}: should hold at least one"
    return f"{place}: {found['msg'].removeprefix('Value error, ')}"


def _instant(key: str, said: str | None, now: datetime) -> datetime | None:
    if said is None:
        return None
    with suppress(ValueError, OverflowError):  # it is no span, or reaches back beyond the first year
        return now - parse_span(said)
    try:
        found = datetime.fromisoformat(said)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as exc:
        raise NotUnderstood(
            f"{key}: should be a time such as 2026-11-21T10:00:00Z (UTC where it does not say), or a span such as 2h "
            "for so long ago"
        ) from exc
