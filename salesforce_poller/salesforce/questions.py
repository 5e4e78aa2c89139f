"""What can be asked of an org, typed: windows in, records out. Who carries the questions is somebody else's business.

``client.py:Org`` carries them one by one; ``sharing.py:Seat`` lets the feeds that are due together share a request.
``soql``, ``wire`` and ``describe`` think.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote_plus, urlencode

from salesforce_poller.errors import PollerError, Refused, capped
from salesforce_poller.model import Record, Window
from salesforce_poller.salesforce import bulk, describe, instants, soql, usage, wire

#: A Composite request may have this many parts, and this many of them may be queries (Composite Request Body).
MOST_PARTS, MOST_QUERIES = 25, 5

#: Letters of the bounds of a poll, which are kept as they are encoded; a query by ids has thousands.
_SHORT = 250

#: Makes of (status, headers, body) what was asked for, or raises one of our errors.
Reader = Callable[[int, Mapping[str, str], bytes], Any]

Kind = Literal["query", "updated", "deleted", "describe", "describe_global", "limits"]


@dataclass(frozen=True, slots=True)
class Request:
    """One GET: what it is for, and its address below the instance, query string and all."""

    kind: Kind
    url: str


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at an object brought: each part is an answer, or the error that came in its place.

    None stands for what was not asked.
    """

    covered: datetime | PollerError | None
    deleted: wire.DeletedIds | PollerError | None
    page: wire.Page | PollerError


class Questions(ABC):
    """The questions. Every method raises the errors of ``salesforce_poller.errors`` and no others."""

    name: str
    api_version: str

    # ------------------------------------------------------------------ how they are carried

    @abstractmethod
    async def ask(self, *requests: Request) -> list[Any | PollerError]:
        """Answer the requests in this order, one after the other; an error stands in its answer's place.

        Raises what concerns all of them.
        """

    @abstractmethod
    async def follow(self, url: str) -> bytes:
        """Get the next page of a query (1 call), as it came: read ahead, it takes a quarter of the room."""

    @abstractmethod
    async def send(
        self,
        kind: str,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        read: Reader = wire.decipher,
    ) -> Any:
        """Send a request that never shares a call (1 call)."""

    @abstractmethod
    async def organization_id(self) -> str:
        """Return the organisation's own id (18 characters); it names the source of every event."""

    @abstractmethod
    def server_now(self) -> datetime:
        """Return Salesforce's time (UTC), never our own clock's. Raises TryLater before it has answered anything."""

    # ------------------------------------------------------------------ what there is

    async def describe_global(self) -> tuple[describe.ObjectSummary, ...]:
        """List the org's objects (1 call)."""
        return describe.read_global(await self._ask(Request("describe_global", self._path("sobjects"))))

    async def describe(self, object_name: str) -> describe.ObjectInfo:
        """Describe one object (1 call). Raises ObjectUnknown when this user cannot see it."""
        if not soql.is_name(object_name):
            raise Refused(f"not the API name of an object: {capped(object_name)}")
        request = Request("describe", self._path(f"sobjects/{object_name}/describe"))
        return describe.read_object(await self._ask(request))

    async def limits(self) -> usage.Usage:
        """Ask for the daily API requests (1 call); needs "View Setup and Configuration" (REST API, Limits)."""
        return usage.read_limits(await self._ask(Request("limits", self._path("limits"))))

    async def record_count(self, object_name: str) -> int:
        """Ask about how many records an object has (1 call); objects without any are left out (Record Count)."""
        url = f"{self._path('limits/recordCount')}?{urlencode({'sObjects': object_name})}"
        return usage.read_count(await self.send("record_count", "GET", url), object_name)

    # ------------------------------------------------------------------ what changed

    async def pages(
        self, window: Window, first: wire.Page | None = None, *, ahead: bool = False
    ) -> AsyncGenerator[wire.Page]:
        """Ask for a window through queryAll and follow its pages (1 call each), in their order.

        queryAll, because it also returns deleted and merged rows (REST API Developer Guide, QueryAll). ``first`` is
        the first page where it is here already. Raises LocatorLost when a page's locator was released; the caller
        goes on from its last committed row. With ``ahead`` the next page is asked for while the caller works on one:
        for those who read to the end, since it is a call for nothing when they stop before. What is wrong with it is
        raised when the caller comes for it.
        """
        page = first or wire.read_page(await self._ask(self._query(soql.render(window))), window)
        del first  # as every page below: not to be held beside the next one
        while True:
            following = page.next_url
            coming = asyncio.create_task(self.follow(following)) if ahead and following else None
            try:
                yield page
                del page
                if following is None:
                    return
                body = await (coming or self.follow(following))
            finally:
                if coming is not None:
                    coming.cancel()
                    await asyncio.gather(coming, return_exceptions=True)
                del coming
            page = wire.read_following_page(body, window)
            del body

    async def first_page(self, window: Window) -> wire.Page | PollerError:
        """Ask for the first page of :meth:`pages` alone (1 call); an error stands in its place, to be raised there."""
        try:
            return wire.read_page(await self._ask(self._query(soql.render(window))), window)
        except PollerError as exc:
            return exc

    async def records(self, window: Window, ids: Sequence[str]) -> AsyncGenerator[Record]:
        """Read certain records of a window's object, deleted ones included (1 call for every 400 ids)."""
        for batch in soql.id_batches(ids):
            page = wire.read_page(await self._ask(self._query(soql.render_by_ids(window, batch))), window)
            while True:
                for record in page.records:
                    yield record
                if page.next_url is None:
                    break
                page = wire.read_following_page(await self.follow(page.next_url), window)

    async def covered_until(self, object_name: str, start: datetime, end: datetime) -> datetime:
        """Return getUpdated's ``latestDateCovered`` (1 call): everything stamped before it is committed."""
        return wire.read_updated(await self._ask(self._replication("updated", object_name, start, end)))

    async def deleted(self, object_name: str, start: datetime, end: datetime) -> wire.DeletedIds:
        """Ask the delete log (1 call)."""
        return wire.read_deleted(await self._ask(self._replication("deleted", object_name, start, end)))

    async def look(
        self,
        window: Window,
        *,
        updated: tuple[datetime, datetime],
        deleted: tuple[datetime, datetime],
    ) -> Look:
        """Ask how far everything is committed, *then* for the delete log, *then* for a window's first page (1 call).

        The order is kept by the org: a Composite request that is not collated runs its parts as they stand (REST API
        Developer Guide, Composite, ``collateSubrequests``).
        """
        told = await self.ask(
            self._replication("updated", window.object, *updated),
            self._replication("deleted", window.object, *deleted),
            self._query(soql.render(window)),
        )
        covered, log, page = told
        return Look(
            covered if isinstance(covered, PollerError) else wire.read_updated(covered),
            log if isinstance(log, PollerError) else wire.read_deleted(log),
            page if isinstance(page, PollerError) else wire.read_page(page, window),
        )

    async def ids(self, soql_query: str) -> list[str]:
        """Read all ids that a query brings (1 call a page); deleted records are for the query to leave out."""
        found, following = wire.read_ids(await self._ask(self._query(soql_query)))
        while following:
            more, following = wire.read_ids(wire.decode(await self.follow(following)))
            found += more
        return found

    # ------------------------------------------------------------------ query jobs of the Bulk API

    async def create_job(self, soql_query: str) -> str:
        """Create a query job and return its id (1 call). Raises BulkRefused where REST queries should be used."""
        try:
            path, body = self._path("jobs/query"), bulk.body(soql_query)
            return bulk.read_created(await self.send("bulk_job", "POST", path, json=body))
        except PollerError as exc:
            raise bulk.of_creation(exc) from exc

    async def job(self, job_id: str) -> bulk.Job:
        """Ask a job how it is (1 call). Raises JobLost when it is not there any more."""
        try:
            return bulk.read_job(await self.send("bulk_job", "GET", self._path(f"jobs/query/{job_id}")))
        except PollerError as exc:
            raise bulk.of_reading(exc) from exc

    async def job_results(self, job_id: str, locator: str | None, *, most: int) -> bulk.Results:
        """Read a page of at most so many rows of a complete job's results (1 call). Raises JobLost as :meth:`job`."""
        said = {"maxRecords": str(most), **({"locator": locator} if locator else {})}
        path = f"{self._path(f'jobs/query/{job_id}/results')}?{urlencode(said)}"
        csv_please = {"accept": "text/csv"}
        try:
            found: bulk.Results = await self.send(
                "bulk_results", "GET", path, headers=csv_please, read=bulk.read_results
            )
        except PollerError as exc:
            raise bulk.of_reading(exc) from exc
        return found

    async def delete_job(self, job_id: str) -> None:
        """Delete a job and its results (1 call); Salesforce does it by itself after seven days."""
        await self.send("bulk_job", "DELETE", self._path(f"jobs/query/{job_id}"))

    # ------------------------------------------------------------------ small things

    async def _ask(self, request: Request) -> Any:
        (answer,) = await self.ask(request)
        if isinstance(answer, PollerError):
            raise answer
        return answer

    def _path(self, resource: str) -> str:
        return f"/services/data/v{self.api_version}/{resource}"

    def _query(self, query: str) -> Request:
        head, where, rest = query.partition(" WHERE ")
        bounds = where + rest
        encoded = _bounds(bounds) if len(bounds) <= _SHORT else quote_plus(bounds)
        return Request("query", f"{self._path('queryAll')}?q={_encoded(head)}{encoded}")

    def _replication(
        self, what: Literal["updated", "deleted"], object_name: str, start: datetime, end: datetime
    ) -> Request:
        span = urlencode({"start": instants.literal(start), "end": instants.literal(end)})
        return Request(what, f"{self._path(f'sobjects/{object_name}/{what}/')}?{span}")


@lru_cache(maxsize=soql.HEADS)
def _encoded(head: str) -> str:
    """Encode what a query begins with: a long list of columns that is the same at every poll."""
    return quote_plus(head)


@lru_cache(maxsize=soql.HEADS)
def _bounds(rest: str) -> str:
    """Encode what a query ends with: the same at every poll for as long as nothing changes."""
    return quote_plus(rest)
