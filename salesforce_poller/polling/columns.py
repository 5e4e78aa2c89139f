"""Which columns a feed selects at the moment: asks describe at start, every hour and when a field was refused.

Called by ``poller.py`` and ``check.py``; ``schema.py`` does the choosing. What describe says of the columns is kept in
``store/described.py``, for those who only see events.
"""

import math
import re
import zlib
from collections.abc import Iterator, Sequence
from datetime import timedelta

import structlog

from salesforce_poller.clock import Clock
from salesforce_poller.errors import FieldsUnknown, ObjectUnknown, OrgRefused, Refused, TryLater
from salesforce_poller.polling import schema
from salesforce_poller.salesforce import troubles
from salesforce_poller.salesforce.describe import ObjectInfo
from salesforce_poller.salesforce.questions import Questions
from salesforce_poller.store.described import Described

log = structlog.get_logger()

#: An admin may have added or hidden fields.
_DESCRIBE_EVERY = timedelta(hours=1).total_seconds()
_DESCRIBE_AGAIN = timedelta(minutes=5).total_seconds()
_JUST_NOW = timedelta(minutes=1).total_seconds()
#: Salesforce names the column that a query may not have.
_NO_SUCH_COLUMN = re.compile(r"No such column '([^']+)' on (?:entity|sobject of type) '?(\w+)", re.IGNORECASE)


class Columns:
    """The present schema of one feed."""

    def __init__(
        self, object_name: str, wanted: Sequence[str] | None, *, org: Questions, kept: Described, clock: Clock
    ) -> None:
        self._object = object_name
        self._wanted = wanted
        self._org = org
        self._kept_in = kept
        self._clock = clock
        self._schema: schema.Schema | None = None
        #: The one that is in the store, and since which era it is.
        self._kept: tuple[schema.Schema | None, int] = None, 0
        #: What the last describe failed with; empty when it worked.
        self._failing = ""
        self._described_at = 0.0
        self._due_at = 0.0
        self._unusable: frozenset[str] = frozenset()
        self._told: tuple[str, ...] = ()

    async def current(self, era: int = 0) -> schema.Schema:
        """Return the schema, described anew when it is due, once it is kept for those who only see events.

        What was kept in another ``era`` (``Intake.era``) may be gone since, and is kept anew.
        Raises what ``Org.describe`` raises, but only where there is no schema to go on with; and StoreError.
        """
        found = await self._present()
        if found is not self._kept[0] or era != self._kept[1]:
            types = {path: found.types[path] for path in found.visible}
            await self._kept_in.keep(self._org.name, self._object, types)
            self._kept = found, era
        return found

    async def _present(self) -> schema.Schema:
        now = self._clock.monotonic()
        if self._schema is not None and now < self._due_at:
            return self._schema
        if self._schema is not None:
            self._unusable = frozenset()  # what was refused is given another chance
        try:
            found = await describe_feed(self._org, self._object, self._wanted, self._unusable)
        except (TryLater, Refused) as exc:
            if self._schema is None or isinstance(exc, OrgRefused):
                raise  # the org's trouble, which the turn tells
            if not self._failing:  # said once, until it works again
                log.warning("feed.describe_failed", org=self._org.name, object=self._object, error=str(exc))
            self._failing = str(exc)
            self._due_at = now + _DESCRIBE_AGAIN
            return self._schema
        self._schema, self._described_at, self._due_at = found, now, _next_hour(now, self._org.name)
        if self._failing:
            log.info("feed.describe_works", org=self._org.name, object=self._object, failed_with=self._failing)
            self._failing = ""
        self._tell(found.dropped)
        return found

    def refuse(self, error: FieldsUnknown) -> None:
        """Describe anew next time.

        A column that has just been described and is refused all the same is left out, until describe is due again.
        """
        if self._schema is None:
            return
        just_described = self._clock.monotonic() - self._described_at < _JUST_NOW
        if just_described and (match := _NO_SUCH_COLUMN.search(str(error))):
            self._unusable |= set(self._meant(match[1].lower(), match[2].lower()))
        self._schema = None

    def _meant(self, column: str, entity: str) -> Iterator[str]:
        """Name the paths that Salesforce may mean: our own column, or a parent's of that name."""
        assert self._schema is not None
        ours = entity == self._schema.object.lower()
        for path in self._schema.visible:
            *parents, last = path.lower().split(".")
            if last == column and bool(parents) != ours:
                yield path

    def _tell(self, dropped: tuple[str, ...]) -> None:
        if lost := [name for name in dropped if name not in self._told]:
            log.warning("feed.fields_dropped", org=self._org.name, object=self._object, fields=lost)
        if back := [name for name in self._told if name not in dropped]:
            log.info("feed.fields_back", org=self._org.name, object=self._object, fields=back)
        self._told = dropped


def _next_hour(now: float, org: str) -> float:
    """Return the end of the org's own hour: the feeds of an org describe together, and the orgs one after the other."""
    shift = zlib.crc32(org.encode()) % _DESCRIBE_EVERY
    return math.ceil((now - shift + _JUST_NOW) / _DESCRIBE_EVERY) * _DESCRIBE_EVERY + shift


async def describe_feed(
    org: Questions, object_name: str, wanted: Sequence[str] | None, unusable: frozenset[str] = frozenset()
) -> schema.Schema:
    """Choose a feed's columns (1 call to describe the object, 1 for each parent that a wanted path leads to)."""
    info = await org.describe(object_name)
    if info.name != object_name:
        raise Refused(f"{object_name} is spelled {info.name}", facts=troubles.our_facts("SPELLING"))
    parents: dict[str, ObjectInfo | None] = {}
    while missing := schema.parents_to_describe(info, wanted, parents):
        for name in sorted(missing):
            try:
                parents[name] = await org.describe(name)
            except ObjectUnknown:
                parents[name] = None
    return schema.choose(info, wanted, parents, unusable)
