"""Reads what was there before a feed started, beside its polls: by a Bulk query job where there is much of it.

``poller.py`` calls :meth:`Backfill.read_on` at the end of each turn; rows go through ``intake.py`` as those of polls
do, and how far it came goes to disk in the same transaction (``plan.by_job``, ``plan.job_read``, ``plan.backfilled``).

The seam: the backfill reads what is stamped before ``backfill_until``, an instant before which everything was committed
when the feed started; polls and sweeps read everything that is stamped later, whenever it is committed. A job shows
rows as they were when it ran. What happened to them since has a later stamp and is the polls' to tell, so
``diff.is_outdated`` passes over copies of records of which something newer was seen.

A process that dies between creating a job and writing down its id leaves a job behind that nobody reads; Salesforce
deletes it after seven days.
"""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace

import structlog

from salesforce_poller.clock import Clock
from salesforce_poller.errors import (
    BulkRefused,
    FieldsUnknown,
    JobLost,
    OrgRefused,
    Refused,
)
from salesforce_poller.model import Watermarks
from salesforce_poller.polling import plan
from salesforce_poller.polling.intake import Intake
from salesforce_poller.polling.query_job import QueryJob
from salesforce_poller.polling.reading import follow
from salesforce_poller.polling.schema import Schema
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.salesforce import bulk
from salesforce_poller.salesforce.questions import Questions

log = structlog.get_logger()

#: Rows in one transaction, so that nobody waits long for the writer.
ROWS_AT_ONCE = 2_000
#: Jobs that may be lost before REST queries take over.
_MOST_LOST = 2
#: Seconds between two lines of progress.
_TELL_EVERY = 30.0


class Backfill:
    """The past of one feed."""

    def __init__(
        self,
        object_name: str,
        settings: FeedSettings,
        *,
        org: Questions,
        intake: Intake,
        clock: Clock,
        roomy: Callable[[], bool],
    ) -> None:
        #: True while there is nothing to do but to wait for a job.
        self.waiting = False
        self._object = object_name
        self._settings = settings
        self._org = org
        self._intake = intake
        self._clock = clock
        self._roomy = roomy
        self._job = QueryJob(org, clock)
        self._by_rest = False
        self._lost = 0
        self._calls = 0
        self._told_at: float | None = None

    async def read_on(self, columns: Schema, marks: Watermarks, *, until: float) -> Watermarks:
        """Read a page, or as many as there are room and time for (``until``: monotonic); returns the new watermarks.

        Raises:
            PollerError: when Salesforce or the store would not have it; everything committed so far stays.
        """
        self.waiting = False
        try:
            if marks.backfill_job is None and not self._by_rest and marks.backfill_after is None:
                marks = await self._begin(columns, marks)
            if marks.backfill_job is not None:
                return await self._read_job(columns, marks, marks.backfill_job, until=until)
        except BulkRefused as exc:
            log.info("feed.bulk_refused", **self._names, reason=str(exc))
            self._by_rest = True
            marks = plan.without_job(marks)
        except JobLost as exc:
            self._lost += 1
            self._by_rest = self._lost >= _MOST_LOST
            log.warning("feed.job_lost", **self._names, error=str(exc), again_by="REST" if self._by_rest else "Bulk")
            marks = plan.without_job(marks)
            await self._intake.commit(marks)
            return marks
        return await self._read_rest(columns, marks, until=until)

    # ------------------------------------------------------------------ which way

    async def _begin(self, columns: Schema, marks: Watermarks) -> Watermarks:
        """Choose between REST and Bulk; create the job, if it is to be one.

        Raises:
            BulkRefused: when a job is not possible.
        """
        above = self._settings.bulk_above
        if above == "never":
            self._by_rest = True
            return marks
        count = await self._count()
        if count <= above:
            self._by_rest = True
            return replace(marks, backfill_total=count or None)
        window = plan.backfill_window(columns, self._settings, marks)
        if odd := bulk.unfaithful(window.select, columns.types):
            raise BulkRefused(f"the type of {', '.join(odd)} does not come out of a job as it does of a query")
        self._calls += 1
        job_id = await self._job.create(bulk.query(window))
        marks = plan.by_job(marks, job_id, count)
        await self._intake.commit(marks)
        log.info("feed.job_created", **self._names, job=job_id, records=count)
        return marks

    async def _count(self) -> int:
        """Ask about how many records there are. Raises BulkRefused when that may not be known."""
        self._calls += 1
        try:
            return await self._org.record_count(self._object)
        except (OrgRefused, FieldsUnknown):
            raise
        except Refused as exc:
            raise BulkRefused(f"the number of records is not told: {exc}", facts=exc.facts) from exc

    # ------------------------------------------------------------------ by a job

    async def _read_job(self, columns: Schema, marks: Watermarks, job_id: str, *, until: float) -> Watermarks:
        if not self._job.is_complete(job_id):
            if not self._job.is_due:
                self.waiting = True
                return marks
            self._calls += 1
            job = await self._job.look(job_id)
            if not self._job.is_complete(job_id):
                self.waiting = True
                return marks
            marks = replace(marks, backfill_total=job.rows)
        while True:
            marks = await self._read_page(columns, marks, job_id)
            self._tell(marks, "Bulk")
            if marks.backfill_done:
                self._calls += 1
                await self._job.clear_away(job_id)
            if marks.backfill_done or self._clock.monotonic() >= until or not self._roomy():
                return marks

    async def _read_page(self, columns: Schema, marks: Watermarks, job_id: str) -> Watermarks:
        """Take a page in, a transaction for each few rows; the last one moves the backfill on."""
        self._calls += 1
        results = await self._job.read(job_id, marks.backfill_locator)
        records = bulk.read_records(results, plan.backfill_window(columns, self._settings, marks), columns.types)
        behind = plan.job_read(marks, len(records), results.locator)
        for start in range(0, max(len(records), 1), ROWS_AT_ONCE):
            last = start + ROWS_AT_ONCE >= len(records)
            part = records[start : start + ROWS_AT_ONCE]
            await self._intake.take(part, behind if last else marks, columns, copied=True)
        return behind

    # ------------------------------------------------------------------ by queries

    async def _read_rest(self, columns: Schema, marks: Watermarks, *, until: float) -> Watermarks:
        window = plan.backfill_window(columns, self._settings, marks)
        async with aclosing(follow(self._org, window, proven_before=marks.backfill_until)) as steps:
            async for step in steps:
                self._calls += 1
                marks = replace(plan.backfilled(marks, step.left, len(step.records)), backfill_done=step.last)
                await self._intake.take(step.records, marks, columns)
                self._tell(marks, "REST")
                if self._clock.monotonic() >= until or not self._roomy():
                    break
        return marks

    # ------------------------------------------------------------------ small things

    @property
    def _names(self) -> dict[str, str]:
        return {"org": self._org.name, "object": self._object}

    def _tell(self, marks: Watermarks, by: str) -> None:
        """Tell of the progress, now and then and at the end."""
        now = self._clock.monotonic()
        if not marks.backfill_done and self._told_at is not None and now - self._told_at < _TELL_EVERY:
            return
        self._told_at = now
        log.info(
            "feed.backfill",
            **self._names,
            rows=marks.backfill_rows,
            total=marks.backfill_total,
            percent=marks.backfill_percent,
            calls=self._calls,
            by=by,
            done=marks.backfill_done,
        )
