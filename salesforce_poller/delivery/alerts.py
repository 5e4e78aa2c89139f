"""What an operator is told of a sink, as events for other sinks: it was switched off, or it gives events up. Pure.

Called by ``dispatcher.py``, which has the store write an alert down in the transaction of what caused it. Alerts cannot
breed alerts: a sink is never owed one about itself (``filters.py``), and giving up an alert is none.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from salesforce_poller.model import Alert, Event, Kind, Parked

SWITCHED_OFF = "switched_off"
GAVE_UP = "gave_up"


def switched_off(sink: str, why: str, since: datetime, now: datetime) -> Event:
    """Say that a sink was switched off, and ``why``; ``since`` is its first failure (UTC).

    When a restart tries the sink again and it fails again, this is the same alert, with the same id.
    """
    return _event(Alert(sink, SWITCHED_OFF, since, why), since.isoformat(), now)


def gave_up(sink: str, parked: Sequence[Parked], now: datetime) -> Event | None:
    """Say that a sink begins to give up events, if one of these deliveries is now dead: one alert a day (UTC)."""
    dead = [one for one in parked if one.dead and one.delivery.event.kind is not Kind.ALERT]
    if not dead:
        return None
    first = dead[0].delivery
    what = f"{first.event.object}/{first.event.record_id}" if first.event.record_id else first.event.object
    detail = (
        f"gave up the event {first.event.id} ({what} {first.event.kind}) after {first.attempts} tries: "
        f"{dead[0].detail}; there may be more today, see `salesforce-poller dead list`"
    )
    return _event(Alert(sink, GAVE_UP, first.first_tried_at or now, detail), f"{now:%Y-%m-%d}", now)


def _event(alert: Alert, once: str, now: datetime) -> Event:
    """Make the event; the store keeps one event of an id, so ``once`` says which alerts are the same."""
    digest = hashlib.sha256(f"alert\0{alert.sink}\0{alert.what}\0{once}".encode())
    return Event(
        id=digest.hexdigest()[:32],
        kind=Kind.ALERT,
        org="",
        source=f"urn:salesforce-poller:sink:{quote(alert.sink, safe='')}",
        object="",
        record_id=None,
        time=now.replace(microsecond=0),
        observed_at=now,
        alert=alert,
    )
