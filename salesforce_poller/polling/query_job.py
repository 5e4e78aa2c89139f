"""Waits for a query job of the Bulk API and reads its results; ``backfill.py`` and ``reconcile.py`` each hold one.

Nothing here blocks: a turn of a feed asks at most once whether the job is complete, and only when that is due.
"""

from contextlib import suppress

from salesforce_poller.clock import Clock
from salesforce_poller.errors import JobLost, PollerError, TooMuch
from salesforce_poller.salesforce.bulk import Job, Results, State
from salesforce_poller.salesforce.questions import Questions

#: Seconds until a new job is looked at for the first time, and between two looks at the longest.
_FIRST_LOOK, _LONGEST_WAIT = 2.0, 60.0
_LONGER = 1.5
#: Rows in a page at first, and at the least: pages that are too much for the way here are halved.
_MOST_ROWS, _FEWEST_ROWS = 10_000, 250


class QueryJob:
    """One job at a time, named by its id; what is known of it besides is forgotten with the process."""

    def __init__(self, org: Questions, clock: Clock, *, most_rows: int = _MOST_ROWS) -> None:
        self._org = org
        self._clock = clock
        self._most_rows = most_rows
        self._wait = _FIRST_LOOK
        self._next_look = 0.0
        self._complete: str | None = None

    async def create(self, soql_query: str) -> str:
        """Create a job and return its id (1 call). Raises BulkRefused where REST queries should be used."""
        job_id = await self._org.create_job(soql_query)
        self._wait, self._next_look = _FIRST_LOOK, self._clock.monotonic() + _FIRST_LOOK
        return job_id

    def is_complete(self, job_id: str) -> bool:
        """Say whether the job is known to be complete."""
        return self._complete == job_id

    @property
    def is_due(self) -> bool:
        """True when it is time to look at the job again."""
        return self._clock.monotonic() >= self._next_look

    async def look(self, job_id: str) -> Job:
        """Ask how the job is (1 call), and note when to ask next. Raises JobLost when there is no use in waiting."""
        job = await self._org.job(job_id)
        if job.state is State.LOST:
            raise JobLost(f"job {job_id} {job.why}")
        if job.state is State.COMPLETE:
            self._complete = job_id
        else:
            self._next_look = self._clock.monotonic() + self._wait
            self._wait = min(_LONGEST_WAIT, self._wait * _LONGER)
        return job

    async def clear_away(self, job_id: str) -> None:
        """Delete a job that was read (1 call); it does not matter if that fails."""
        with suppress(PollerError):
            await self._org.delete_job(job_id)

    async def read(self, job_id: str, locator: str | None) -> Results:
        """Read the next page of a complete job (1 call).

        Raises:
            JobLost: the job or its results are gone.
            PollerError: anything else; where the page may have been too large, the next one is smaller.
        """
        try:
            return await self._org.job_results(job_id, locator, most=self._most_rows)
        except PollerError as exc:
            if isinstance(exc, TooMuch) or exc.facts.trouble == "NO_ANSWER":
                self._most_rows = max(_FEWEST_ROWS, self._most_rows // 2)
            raise
