"""Follows a window to its end, whatever happens on the way: lost locators, queries that are too much for Salesforce.

Called by ``poller.py``; ``plan.py`` says where to go on and where to cut.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

import structlog

from salesforce_poller.errors import LocatorLost, PollerError, TooMuch, TryLater
from salesforce_poller.model import Record, Window
from salesforce_poller.polling import plan
from salesforce_poller.salesforce.questions import Questions
from salesforce_poller.salesforce.wire import Page

log = structlog.get_logger()

#: Locators lost in a row without a step forward, after which we suspect something else and try again later.
_MOST_FRUITLESS = 5


@dataclass(frozen=True, slots=True)
class Step:
    """One page of a window."""

    records: list[Record]
    #: What is left of the window behind this page, as far as that is proven; see ``plan.after_page``.
    left: Window
    #: True when nothing is left.
    last: bool


@dataclass(slots=True)
class Opening:
    """The first page of a window, or the error in its place, asked for no earlier than ``at`` (the org's time, UTC)."""

    at: datetime
    page: Page | PollerError | None

    @property
    def is_empty(self) -> bool:
        """Whether it is the whole window, without a row in it."""
        return isinstance(self.page, Page) and not self.page.records and self.page.next_url is None

    def taken(self) -> Page | PollerError | None:
        """Return the page and let go of it: whoever reads on must not hold it all the time."""
        page, self.page = self.page, None
        return page


async def follow(
    org: Questions,
    window: Window,
    *,
    proven_before: datetime,
    first: Page | PollerError | None = None,
    ahead: bool = False,
) -> AsyncGenerator[Step]:
    """Yield the pages of a window in order (1 call each); with ``ahead``, ask for the next one meanwhile.

    ``first`` is the first page where it was asked for already, or the error that came in its place. A lost locator is
    resumed from the last proven row; a query that takes too long is cut in halves, the earlier one first. Rows may come
    twice, none is left out.

    Raises:
        TryLater: when locators are lost again and again without a step forward.
        TooMuch: when even a second of the window is too much.
    """
    todo, fruitless = [window], 0
    while todo:
        rest, told, first = todo.pop(), first, None
        try:
            if isinstance(told, PollerError):
                raise told
            pages = org.pages(rest, told, ahead=ahead)
            del told  # as every page below: not to be held beside the next one
            async with aclosing(pages):
                async for page in pages:
                    left = plan.after_page(rest, page.records, proven_before=proven_before)
                    fruitless = fruitless if left == rest else 0
                    rest = left
                    yield Step(page.records, rest, last=page.next_url is None and not todo)
                    del page
        except LocatorLost as exc:
            fruitless += 1
            log.warning("feed.locator_lost", org=org.name, object=window.object, error=str(exc))
            if fruitless > _MOST_FRUITLESS:
                said = "the query locator is lost again and again; other programs may share this Salesforce user"
                raise TryLater(said) from exc
            todo.append(rest)
        except TooMuch as exc:
            halves = plan.split(rest, org.server_now())
            if halves is None:
                raise
            log.info("feed.window_cut", org=org.name, object=window.object, error=str(exc))
            todo += reversed(halves)
