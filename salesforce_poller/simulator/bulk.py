"""Bulk API 2.0 query jobs: a queue, the states a job goes through by the org's clock, and what it found.

Asked by `routes.query_jobs`; a job's rows are read and written down by `bulk_csv` at the instant the job starts. `Org`
has `run_due` called before anything changes, so that a job that waits sees what was committed, and what its user could
see, when its time came.
Source: Bulk API 2.0 Developer Guide, "Query", "Job States", "Bulk API and Bulk API 2.0 Limits and Allocations".
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

from pydantic import ConfigDict, NonNegativeFloat, PositiveInt

from salesforce_poller.simulator import bulk_csv, errors, ids
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.query import Source, plan

DAY = timedelta(hours=24)
LIFE = timedelta(days=7)
"""How long a job and its results are kept."""

PREFIX = "750"

UNSUPPORTED = (
    *("AcceptedEventRelation", "CaseStatus", "ContractStatus", "DeclinedEventRelation", "FieldSecurityClassification"),
    *("OrderStatus", "PartnerRole", "QuoteTemplateRichTextData", "RecentlyViewed", "ServiceAppointmentStatus"),
    *("ShiftStatus", "SolutionStatus", "TaskPriority", "TaskStatus", "UndecidedEventRelation", "WorkOrderStatus"),
)
"""Objects that only the REST API can query."""


@dataclass(slots=True)
class BulkSettings:
    """How the org treats query jobs; a test may change any of it at any time."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    queue_seconds: NonNegativeFloat = 0.0
    """How long a new job waits (UploadComplete), in org seconds."""
    run_seconds: NonNegativeFloat = 0.0
    """How long it then runs (InProgress), in org seconds."""
    set_rows: PositiveInt = 50_000
    """Rows in one set of results at most, whatever maxRecords asks for."""
    jobs_a_day: PositiveInt = 10_000
    """Jobs per rolling 24 hours; the next one is LIMIT_EXCEEDED."""
    unsupported: set[str] = field(default_factory=lambda: set(UNSUPPORTED))
    """Objects that are INVALIDENTITY."""
    restricted: set[str] = field(default_factory=set)
    """Objects that the user may only query here with View All Data, which it lacks: API_ERROR."""
    failure: str | None = None
    """What the jobs created from now on fail with, when their time comes; None: they do not."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client asked for."""

    text: str
    """The SOQL."""
    operation: str
    """query or queryAll."""
    version: str
    delimiter: str
    """A key of `bulk_csv.DELIMITERS`."""
    line_end: str
    """A key of `bulk_csv.LINE_ENDS`."""
    user_id: str


@dataclass(slots=True)
class Job:
    """One query job. Its state is a function of the time."""

    id: str
    wish: Wish
    object: str
    created_at: datetime
    starts_at: datetime
    ends_at: datetime
    failure: str | None = None
    """What it fails with, or will."""
    aborted_at: datetime | None = None
    table: bulk_csv.Table = field(default=bulk_csv.NOTHING)

    def state(self, now: datetime) -> str:
        """UploadComplete → InProgress → JobComplete | Failed, or Aborted from one of the first two."""
        if self.aborted_at is not None:
            return "Aborted"
        if now < self.starts_at:
            return "UploadComplete"
        if now < self.ends_at:
            return "InProgress"
        return "JobComplete" if self.failure is None else "Failed"

    def changed_at(self, now: datetime) -> datetime:
        """When its state last changed: its SystemModstamp."""
        instants = (self.aborted_at,) if self.aborted_at else (self.created_at, self.starts_at, self.ends_at)
        return max(each for each in instants if each <= now or each == self.created_at)


class Bulk:
    """The query jobs of one org, by id, oldest first.

    `source` is the org as queries see it, `now` its time; `rng` shuffles rows that ORDER BY does not tell apart.
    """

    def __init__(self, source: Source, now: Callable[[], datetime], rng: random.Random) -> None:
        self.settings = BulkSettings()
        self._source = source
        self._now = now
        self._rng = rng
        self._jobs: dict[str, Job] = {}
        self._waiting: list[Job] = []
        self._created: deque[datetime] = deque()
        self._number = 0

    def create(self, wish: Wish) -> Job:
        """Put a job into the queue.

        Raises LIMIT_EXCEEDED, what `bulk_csv.check` refuses, INVALIDENTITY and API_ERROR for objects that Bulk does
        not read, and SoqlError.
        """
        now = self._now()
        if self.used(now) >= self.settings.jobs_a_day:
            message = f"Max bulk v2 query jobs ({self.settings.jobs_a_day}) per 24 hrs has been reached"
            raise ApiError(400, "LIMIT_EXCEEDED", message)
        planned = plan(wish.text, self._source)
        self._admit(planned.object.name)
        bulk_csv.check(planned)
        starts_at = now + timedelta(seconds=self.settings.queue_seconds)
        ends_at = starts_at + timedelta(seconds=self.settings.run_seconds)
        self._number += 1
        job_id = ids.new_id(PREFIX, self._number)
        job = Job(job_id, wish, planned.object.name, now, starts_at, ends_at, self.settings.failure)
        self._jobs[job_id] = job
        self._waiting.append(job)
        self._created.append(now)
        self.run_due()
        return job

    def find(self, job_id: str) -> Job:
        """A job by its 15- or 18-character id; raises NOT_FOUND, also when it is more than seven days old."""
        self._forget_old()
        job = self._jobs.get(ids.to18(job_id)) if ids.is_id(job_id) else None
        if job is None:
            raise errors.not_found()
        self.run_due()
        return job

    def all(self) -> list[Job]:
        """Every job of the last seven days."""
        self._forget_old()
        self.run_due()
        return list(self._jobs.values())

    def abort(self, job: Job) -> None:
        """End a job that waits or runs; raises INVALIDJOBSTATE for one that has ended."""
        now = self._now()
        _expect(job, now, ("UploadComplete", "InProgress"), "aborted")
        job.aborted_at = now
        job.table = bulk_csv.NOTHING

    def delete(self, job: Job) -> None:
        """Forget a job that has ended, and its results; raises INVALIDJOBSTATE for one that has not."""
        _expect(job, self._now(), ("JobComplete", "Failed", "Aborted"), "deleted")
        del self._jobs[job.id]

    def used(self, now: datetime) -> int:
        """How many jobs were created in the last 24 hours, deleted ones included."""
        while self._created and self._created[0] <= now - DAY:
            self._created.popleft()
        return len(self._created)

    def object_of(self, job_id: str) -> str | None:
        """The object that a job reads, for the weather, which only wants to know that."""
        job = self._jobs.get(job_id)
        return None if job is None else job.object

    def run_due(self) -> None:
        """Run each job whose time has come: read its rows as they are committed now."""
        if not self._waiting:
            return
        now = self._now()
        due = [job for job in self._waiting if job.starts_at <= now]
        self._waiting = [job for job in self._waiting if job.starts_at > now]  # first: reading rows may commit, too
        for job in due:
            self._run(job)

    def _run(self, job: Job) -> None:
        if job.failure is not None or job.aborted_at is not None:
            return
        try:
            planned = plan(job.wish.text, self._source)  # once more: its fields may be gone by now
        except ApiError as error:
            job.failure = f"{error.code}: {error.message}"
            return
        deleted = job.wish.operation == "queryAll"
        job.table = bulk_csv.write(
            planned,
            self._source,
            deleted=deleted,
            now=job.starts_at,
            rng=self._rng,
            delimiter=bulk_csv.DELIMITERS[job.wish.delimiter],
            line_end=bulk_csv.LINE_ENDS[job.wish.line_end],
            alphabetical=float(job.wish.version) < bulk_csv.IN_ORDER_FROM,
        )

    def _admit(self, object_name: str) -> None:
        if object_name in self.settings.unsupported:
            raise ApiError(400, "INVALIDENTITY", f"Entity '{object_name}' is not supported by the Bulk API.")
        if object_name in self.settings.restricted:
            message = (
                f"Implementation restriction: {object_name} only allows security evaluation for non-admin users when "
                "LIMIT is specified and at most 1000"
            )
            raise ApiError(400, "API_ERROR", message)

    def _forget_old(self) -> None:
        now = self._now()
        for job_id in [job.id for job in self._jobs.values() if job.created_at <= now - LIFE]:
            del self._jobs[job_id]


def _expect(job: Job, now: datetime, states: tuple[str, ...], done: str) -> None:
    state = job.state(now)
    if state not in states:
        message = f"Job {job.id} cannot be {done} in state {state}; it must be in one of {', '.join(states)}"
        raise ApiError(400, "INVALIDJOBSTATE", message)
