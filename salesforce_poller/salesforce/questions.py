"""What can be asked of an org, typed: windows in, records out. Who carries the questions is somebody else's business.

``client.py:Org`` carries them one by one; ``sharing.py:Seat`` lets the feeds that are due together share a request.
``soql``, ``wire`` and ``describe`` think.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

from salesforce_poller.errors import PollerError, Refused, capped
from salesforce_poller.model import Record, Window
from salesforce_poller.salesforce import describe, instants, soql, usage, wire

#: A Composite request may have this many parts, and this many of them may be queries (Composite Request Body).
MOST_PARTS, MOST_QUERIES = 25, 5

Kind = Literal["query", "updated", "deleted", "describe", "describe_global", "limits", "record_count"]


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
    async def follow(self, url: str) -> Any:
        """Get the next page of a query (1 call)."""

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

    # ------------------------------------------------------------------ what changed

    async def pages(self, window: Window, first: wire.Page | None = None) -> AsyncGenerator[wire.Page]:
        """Ask for a window through queryAll and follow its pages (1 call each), one page in memory at a time.

        queryAll, because it also returns deleted and merged rows (REST API Developer Guide, QueryAll). ``first`` is
        the first page where it is here already. Raises LocatorLost when a page's locator was released; the caller
        goes on from its last committed row.
        """
        page = first or wire.read_page(await self._ask(self._query(soql.render(window))), window)
        while True:
            yield page
            if page.next_url is None:
                return
            page = wire.read_page(await self.follow(page.next_url), window)

    async def records(self, window: Window, ids: Sequence[str]) -> AsyncGenerator[Record]:
        """Read certain records of a window's object, deleted ones included (1 call for every 400 ids)."""
        for batch in soql.id_batches(ids):
            page = wire.read_page(await self._ask(self._query(soql.render_by_ids(window, batch))), window)
            while True:
                for record in page.records:
                    yield record
                if page.next_url is None:
                    break
                page = wire.read_page(await self.follow(page.next_url), window)

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

    # ------------------------------------------------------------------ small things

    async def _ask(self, request: Request) -> Any:
        (answer,) = await self.ask(request)
        if isinstance(answer, PollerError):
            raise answer
        return answer

    def _path(self, resource: str) -> str:
        return f"/services/data/v{self.api_version}/{resource}"

    def _query(self, query: str) -> Request:
        return Request("query", f"{self._path('queryAll')}?{urlencode({'q': query})}")

    def _replication(
        self, what: Literal["updated", "deleted"], object_name: str, start: datetime, end: datetime
    ) -> Request:
        span = urlencode({"start": instants.literal(start), "end": instants.literal(end)})
        return Request(what, f"{self._path(f'sobjects/{object_name}/{what}/')}?{span}")
