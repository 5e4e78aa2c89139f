"""What every delivery round says to the database: where a sink stands, what lies behind its cursor, how that moves.

The statements are made once: SQLAlchemy takes longer to make one than the database to answer it. Used by ``outbox.py``.
"""

from typing import Any

from sqlalchemy import BigInteger, Connection, Row, bindparam, exists, func, or_, select, update

from salesforce_poller.errors import SinkForgotten
from salesforce_poller.model import Delivery, SinkState
from salesforce_poller.store import versions
from salesforce_poller.store.tables import EVENTS, Words, counters, events, parked, sinks
from salesforce_poller.store.versions import Step

_mine = sinks.c.name == bindparam("sink")
_STATE = select(sinks, exists().where(parked.c.sink == sinks.c.name, ~parked.c.dead).label("alive")).where(_mine)
_ordered = select(events.c.position, events.c.body, events.c.version).order_by(events.c.position)
_ordered = _ordered.limit(bindparam("most"))
#: Position, body and version of at most ``most`` events behind the position ``after``, or the cursor of ``sink``.
BEHIND = _ordered.where(events.c.position > bindparam("after"))
BEHIND_SINK = _ordered.where(events.c.position > select(sinks.c.cursor).where(_mine).scalar_subquery())
_end = select(counters.c.last).where(counters.c.name == EVENTS).scalar_subquery()
_still_there = exists().where(events.c.position == bindparam("read"), events.c.version == bindparam("read_of"))
#: Moves a cursor; see :func:`passing`. One beyond the end would pass over the events to come; one of a store that went
#: back, over those that came in the places of others. Of what was read in order the last one tells of all, and what is
#: parked lies before the cursor.
PASS = (
    update(sinks)
    .where(
        _mine,
        sinks.c.version == func.coalesce(bindparam("was", type_=BigInteger), sinks.c.version),
        _end >= bindparam("reached"),
        or_(bindparam("read", type_=BigInteger).is_(None), _still_there),
    )
    .values(
        cursor=bindparam("reached"),
        failing_since=bindparam("failing"),
        down_since=bindparam("down"),
        last_error=bindparam("error"),
        paused=func.coalesce(bindparam("why", type_=Words), sinks.c.paused),  # somebody's pause stays
        version=bindparam("becomes"),
    )
)


def state_of(connection: Connection, name: str) -> tuple[SinkState, bool, int]:
    """Return where a sink stands, whether anything is parked for it that is not dead, and the round it is of.

    Raises:
        SinkForgotten: it was never seen by ``Outbox.ensure_sinks``.
    """
    row: Row[Any] | None = connection.execute(_STATE, {"sink": name}).one_or_none()
    if row is None:
        raise SinkForgotten(f"the store knows no sink {name!r}; it is made known by the first `salesforce-poller run`")
    state = SinkState(
        row.name, row.cursor, row.paused, row.paused_by_person, row.failing_since, row.last_error, row.down_since
    )
    return state, row.alive, row.version


def passing(state: SinkState, step: Step | None, read: Delivery | None) -> dict[str, Any]:
    """Return what :data:`PASS` wants to know."""
    return {
        "sink": state.name,
        "was": step.was if step else None,
        "becomes": step.becomes if step else versions.drawn(),
        "read": read.position if read else None,
        "read_of": read.version if read else None,
        "reached": state.cursor,
        "failing": state.failing_since,
        "down": state.down_since,
        "error": state.last_error,
        "why": state.paused or None,
    }
