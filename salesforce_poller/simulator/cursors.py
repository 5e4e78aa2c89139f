"""Query locators: where a client may go on reading a result that was longer than a page.

Opened and read by `queries`. Source: SOQL and SOSL Limits (results stay for two days); Integration Patterns (ten open
cursors per user, the oldest gives way).
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from salesforce_poller.simulator import ids
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.query import Plan

PER_USER = 10
LIFE = timedelta(days=2)
PREFIX = "0r8"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A query's result as it was when the query ran: its ids, to be rendered with their values of later."""

    id: str
    plan: Plan
    record_ids: tuple[str, ...]
    deleted: bool
    """Opened by queryAll."""
    page_size: int
    opened_at: datetime


class Cursors:
    """The open cursors of one org, by user."""

    def __init__(self) -> None:
        self._by_user: dict[str, OrderedDict[str, Cursor]] = {}
        self._opened = 0

    def open(
        self, user_id: str, plan: Plan, record_ids: list[str], *, deleted: bool, page_size: int, now: datetime
    ) -> Cursor:
        """Keep a result; the user's least recently used cursor beyond ten is closed."""
        self._opened += 1
        cursor = Cursor(ids.new_id(PREFIX, self._opened), plan, tuple(record_ids), deleted, page_size, now)
        own = self._by_user.setdefault(user_id, OrderedDict())
        own[cursor.id] = cursor
        if len(own) > PER_USER:
            own.popitem(last=False)
        return cursor

    def find(self, user_id: str, locator: str, now: datetime) -> tuple[Cursor, int]:
        """The cursor and the offset that a locator (`0r8…-2000`) names; raises INVALID_QUERY_LOCATOR."""
        cursor_id, _, offset = locator.partition("-")
        own = self._by_user.get(user_id, OrderedDict())
        cursor = own.get(cursor_id)
        fresh = cursor is not None and now - cursor.opened_at <= LIFE
        if cursor is None or not fresh or not offset.isdigit() or int(offset) >= len(cursor.record_ids):
            raise ApiError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        own.move_to_end(cursor_id)
        return cursor, int(offset)

    def peek(self, locator: str) -> str | None:
        """The object that a locator's query reads, for the weather, which only wants to know that."""
        cursor_id = locator.partition("-")[0]
        found = (own[cursor_id] for own in self._by_user.values() if cursor_id in own)
        return next((cursor.plan.object.name for cursor in found), None)
