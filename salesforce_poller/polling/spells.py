"""Which troubles were said already, so that each is said once until it is over. Pure; ``telemetry.py`` asks.

A spell begins with the first failure of a feed, or of a whole org, and ends with the next turn that works. Within it
each kind of trouble is news once: an edge that answers 502 and 503 by turns says nothing new after the second.
"""

from dataclasses import dataclass, field
from datetime import datetime

from salesforce_poller.errors import Scope
from salesforce_poller.model import PollFailure

#: Begins the id of a request at the end of an error (``salesforce/troubles.py``).
_REQUEST = " (request "


@dataclass(slots=True)
class Spell:
    """A time in which something does not work."""

    org: str
    #: None when the whole org is concerned.
    object: str | None
    #: Machine time (UTC) of its first failure.
    since: datetime
    failures: int = 0
    said: set[str] = field(default_factory=set)


class Spells:
    """Those that are going on."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str | None], Spell] = {}

    def failed(self, failure: PollFailure, now: datetime) -> bool:
        """Note a failure; says whether it is news. What concerns a whole org is news once, not once for every feed."""
        concerned = None if failure.facts.scope is Scope.ORG else failure.object
        spell = self._open.setdefault((failure.org, concerned), Spell(failure.org, concerned, now))
        spell.failures += 1
        # What has no row in the table is known by its words, but not by the id that each request has of its own.
        kind = failure.facts.trouble or failure.error.partition(_REQUEST)[0]
        is_news = kind not in spell.said
        spell.said.add(kind)
        return is_news

    def worked(self, org: str, object_name: str | None = None) -> list[Spell]:
        """Note that an org answers, and a feed works; returns the spells that are over."""
        if not self._open:
            return []
        found = [self._open.pop((org, concerned), None) for concerned in dict.fromkeys((None, object_name))]
        return [spell for spell in found if spell]

    def forget(self, org: str) -> None:
        """Forget what was said of an org and its feeds."""
        for key in [key for key in self._open if key[0] == org]:
            del self._open[key]
