"""The five things that travel: Window, Record, Event, Delivery, Receipt.

What we ask for, what the org returned, what changed, what we owe and what the sink said. Beside them their small
companions: Watermarks (how far a feed is read), Sighting (what a record looked like last time), Gap (what may have
been missed), Alert (what is wrong with a sink), Duty and Lease (what a process works for). All are frozen values on the
ground floor: every room may know them, they know the files beside them only; ``app.py`` draws their path.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from msgspec.structs import astuple

from salesforce_poller.errors import NOTHING_KNOWN, Facts
from salesforce_poller.spread import LAGS, SENDS, Spread
from salesforce_poller.value import Value

#: The columns of a record by name, nested where the REST API nests them; values are passed on as Salesforce sent them.
Fields = Mapping[str, Any]


class Kind(StrEnum):
    """What happened to a record."""

    #: The record came into being after everything before ``settled_through`` had been read.
    CREATED = "created"
    #: The record was there before, or may have been, and is different now.
    UPDATED = "updated"
    #: The record is gone: in the recycle bin, or for good.
    DELETED = "deleted"
    #: The record lost a merge; ``merged_into`` names the record that survived.
    MERGED = "merged"
    #: The record came back from the recycle bin.
    UNDELETED = "undeleted"
    #: The record was already there when a feed started from the past.
    SNAPSHOT = "snapshot"
    #: Not about one record: changes may have been missed.
    GAP = "gap"
    #: Not about an org at all: a sink was switched off, or gives events up. Only for sinks that ask for it.
    ALERT = "alert"

    __hash__ = str.__hash__  # an enumeration's own is Python, and events are counted by kind


class Ordering(StrEnum):
    """Which events of a sink wait for an earlier one that is neither delivered nor given up."""

    #: Those of the same record.
    RECORD = "record"
    #: All of them: nothing overtakes anything.
    STRICT = "strict"
    #: None.
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Window:
    """What shall we ask? One query over one object, in the order (stamp, Id)."""

    object: str
    #: Every column of the query, our own bookkeeping columns included.
    select: tuple[str, ...]
    #: The columns that belong to the user's record, as paths (``Owner.Name``).
    visible: tuple[str, ...]
    #: SystemModstamp, or what stands in for it on objects that have none.
    stamp_field: str
    #: Inclusive lower bound (UTC), or None for "from the beginning".
    since: datetime | None = None
    #: Exclusive upper bound (UTC), or None for "as far as there is".
    until: datetime | None = None
    #: Continue behind this (stamp, Id); used when a locator was lost in mid-paging.
    after: tuple[datetime, str] | None = None
    #: The user's own SOQL condition, without the word WHERE.
    where: str | None = None


class Record(Value, frozen=True):
    """What did the org say? One row, deciphered."""

    #: 18 characters.
    id: str
    #: SystemModstamp (whole seconds, UTC).
    stamp: datetime
    #: CreatedDate (UTC), where the object has one. Can be back-dated by data loads.
    created: datetime | None
    deleted: bool
    #: MasterRecordId: the survivor, when the record lost a merge.
    merged_into: str | None
    #: LastModifiedById.
    changed_by: str | None
    #: The visible columns, nested as the REST API nests them, without ``attributes``.
    fields: Fields


class Sighting(Value, frozen=True):
    """What did this record look like when we last saw it?"""

    record_id: str
    stamp: datetime
    #: Of ``fields``; see ``polling/fingerprint.py``.
    digest: str
    deleted: bool
    merged_into: str | None
    #: None when the record was only ever seen in the delete log.
    fields: Fields | None


@dataclass(frozen=True, slots=True)
class Watermarks:
    """How far one feed is read. All instants are Salesforce's, UTC."""

    #: The highest stamp read.
    seen_through: datetime
    #: Everything stamped before this instant is committed and has been read.
    settled_through: datetime
    #: How far the delete log is covered.
    deleted_through: datetime
    #: Server time at which the feed was first started.
    started_at: datetime
    #: What is stamped before this was there when the feed started; read by the backfill, if there is one.
    backfill_until: datetime
    #: Where the backfill stands, as (stamp, Id) of the last committed row; None before its first row.
    backfill_after: tuple[datetime, str] | None = None
    #: Lower bound of the backfill; None for the beginning of time.
    backfill_since: datetime | None = None
    #: True when there is nothing (more) to backfill.
    backfill_done: bool = True
    #: The Bulk query job that the backfill is read from; None when it is read with REST queries, or not begun.
    backfill_job: str | None = None
    #: Where in the job's results to go on; None for their beginning.
    backfill_locator: str | None = None
    #: Rows read so far, and about how many there are (None: not known).
    backfill_rows: int = 0
    backfill_total: int | None = None
    #: When the ids of the org and ours were last compared to the end.
    reconciled_at: datetime | None = None
    #: False while a feed that starts now is still learning what was visible before it started.
    primed: bool = True
    #: The organisation (18 characters) that all of this is true of; a refreshed sandbox is another one.
    organization_id: str = ""
    #: Names the commit that they were read of (``store/versions.py``); what was made of them since keeps it.
    version: int = field(default=0, compare=False)

    @property
    def backfill_percent(self) -> int | None:
        """How much of the backfill is read; totals are approximate, so it is 100 only at the end. None: not known."""
        if self.backfill_done:
            return 100
        return min(99, 100 * self.backfill_rows // self.backfill_total) if self.backfill_total else None


@dataclass(frozen=True, slots=True)
class Gap:
    """Which changes may have been missed, between which instants (UTC), and why."""

    what: str
    since: datetime
    until: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Alert:
    """What an operator should know of a sink."""

    sink: str
    #: "switched_off" or "gave_up".
    what: str
    #: Machine time (UTC) of the first failure that led to it.
    since: datetime
    #: A sentence for the operator, free of secrets.
    detail: str


class Event(Value, frozen=True):
    """What changed? One change of one record (or one gap in a feed, or one alert about a sink)."""

    #: Derived from org, record, kind, stamp and content: reading the same change twice gives the same id.
    id: str
    kind: Kind
    #: The org's name in the configuration; empty for an alert.
    org: str
    #: ``urn:salesforce:`` and the organisation id; of an alert, the urn of the sink it is about.
    source: str
    #: Empty for an alert.
    object: str
    #: None for a gap and for an alert.
    record_id: str | None
    #: Salesforce's stamp (SystemModstamp or deletedDate), whole seconds, UTC.
    time: datetime
    #: When we read it, by the server's clock, UTC.
    observed_at: datetime
    #: The record's state; for deleted and merged the last one that could be read, or None.
    record: Fields | None = None
    #: Paths of the fields that differ from the previous state; None when that is not known.
    changed: tuple[str, ...] | None = None
    #: Their previous values, nested like ``record``.
    previous: Fields | None = None
    merged_into: str | None = None
    changed_by: str | None = None
    gap: Gap | None = None
    alert: Alert | None = None

    @property
    def key(self) -> str:
        """The unit of ordering: the record, for a gap the object, for an alert the sink it is about."""
        return self.record_id or self.object or self.source


class Delivery(Value, frozen=True):
    """What do we owe, to whom? One event on its way to one sink."""

    sink: str
    #: The event's place in the store; grows; becomes ``sequence``.
    position: int
    event: Event
    #: How often it was sent without success so far.
    attempts: int = 0
    #: When it was first tried (machine time, UTC); None before that.
    first_tried_at: datetime | None = None
    #: True when somebody asked for it once more; it keeps its id, and says ``replay`` beside it.
    replay: bool = False
    #: Names the commit that gave the event its position (``store/versions.py``); 0: not known.
    version: int = 0

    def __eq__(self, other: object) -> bool:
        """Say whether the same is owed, whatever commit it is of."""
        return isinstance(other, Delivery) and astuple(self)[:-1] == astuple(other)[:-1]

    def __hash__(self) -> int:
        """Agree with :meth:`__eq__`."""
        return hash((self.sink, self.position))


class Verdict(StrEnum):
    """What a sink says about one delivery."""

    #: It is the sink's now.
    ACCEPTED = "accepted"
    #: Not now: the sink is down, slow or asks for patience.
    TRY_LATER = "try_later"
    #: Not this one, as it is: retried slowly, since most refusals are somebody's deployment mistake.
    REFUSED = "refused"
    #: Never again: the sink asks us to stop (410). It is switched off, its cursor stays.
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What did the sink say? Sinks answer with a value; only ``delivery/retry.py`` decides what follows."""

    verdict: Verdict
    #: One line for the operator, capped, free of secrets.
    detail: str = ""
    #: Seconds the sink asked us to wait, if it did.
    retry_after: float | None = None
    #: HTTP status, offset or message id.
    reference: str = ""
    #: True when a refusal is about the whole sink (a wrong address or key), not about this event.
    general: bool = False
    #: The head of the answer (status, headers, the beginning of the body) for the operator: 4 KB, no secrets.
    response: str = ""


@dataclass(frozen=True, slots=True)
class Parked:
    """A delivery that was not simply accepted: waiting for its next try, held behind an earlier one, or dead."""

    delivery: Delivery
    #: When it is due again (machine time, UTC).
    due_at: datetime
    detail: str = ""
    dead: bool = False
    #: The head of the sink's last answer, where it gave one.
    response: str = ""


@dataclass(frozen=True, slots=True)
class SinkState:
    """Where a sink stands, as the store remembers it."""

    name: str
    #: Every event up to and including this position is delivered, parked or not wanted by this sink.
    cursor: int
    #: Why the sink takes nothing at the moment; empty when it does.
    paused: str = ""
    #: True when a person asked for the pause; False when the daemon switched the sink off.
    paused_by_person: bool = False
    #: Machine time (UTC) of the first failure since the last acceptance.
    failing_since: datetime | None = None
    last_error: str = ""
    #: Machine time (UTC) since which the whole sink is taken to be down; None when it is not.
    down_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class PollFailure:
    """A turn of a feed that did not work out; nothing was lost, the next one reads from the same watermarks."""

    org: str
    object: str
    error: str
    #: Seconds until the next try.
    pause: float
    #: True when a person must act.
    permanent: bool
    #: What Salesforce said, whom it concerns and what to do about it.
    facts: Facts = NOTHING_KNOWN


@dataclass(frozen=True, slots=True)
class PollReport:
    """What one turn of a feed did; work returns this, nobody counts while working."""

    org: str
    object: str
    #: "start", "poll" or "sweep".
    turn: str
    #: Read since the last report: a turn that failed leaves what it did to the next one that works.
    rows: int
    #: How many events of each kind, since then.
    kinds: Mapping[str, int] = field(default_factory=dict)
    #: True when a backfill is unfinished, so that the next turn should follow at once.
    more: bool = False
    #: What of the turn did not work, where the rest did.
    half: PollFailure | None = None
    #: Seconds from Salesforce's stamp of each change to when it was read; not of what was there before the feed began.
    delays: Spread = field(default_factory=lambda: Spread(LAGS), compare=False)
    #: The same of rows that were committed late: with a stamp at which polls had looked already, found by a sweep.
    late: Spread = field(default_factory=lambda: Spread(LAGS), compare=False)


@dataclass(frozen=True, slots=True)
class DispatchReport:
    """What one delivery round of a sink did."""

    sink: str
    delivered: int = 0
    parked: int = 0
    dead: int = 0
    #: Passed over because the sink's filters do not want them.
    filtered: int = 0
    #: Tries that failed and will be repeated; what waits behind another event is parked and was not tried.
    retried: int = 0
    #: Seconds from the beginning of each send to its answer.
    sends: Spread = field(default_factory=lambda: Spread(SENDS), compare=False)
    #: Seconds until the sink should be asked again; None when new events should wake it.
    wait: float | None = None
    #: True when there was something to do, so that more may be waiting.
    busy: bool = False
    #: True when this round was the sink's last until a person acts: it was switched off.
    switched_off: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Duty:
    """What a process can work for: an org that it polls, a sink that it delivers to, or keeping the store small."""

    kind: Literal["org", "sink", "house"]
    #: Its name in the configuration.
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Lease:
    """Who works for it at present."""

    duty: Duty
    #: The process; empty where there can be only one.
    holder: str
    #: Grows whenever the duty changes hands; what is written under an older number is refused.
    fence: int
