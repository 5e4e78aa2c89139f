"""What is true right now, from what the store tells. Pure; ``server.py`` and the ``status`` command ask."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from salesforce_poller.actions.sharing import Sharing
from salesforce_poller.clock import format_span
from salesforce_poller.delivery import envelope
from salesforce_poller.errors import Action
from salesforce_poller.model import Delivery
from salesforce_poller.salesforce import troubles
from salesforce_poller.store.repairs import Dead, Recorded
from salesforce_poller.store.troubles import OpenTrouble

#: What has failed for this long is stuck; a shorter spell is weather.
STUCK_AFTER = timedelta(minutes=10)
#: What does not pass by itself is told at once.
_LASTING = {Action.PAUSE_FEED, Action.STOP_ORG}


def not_ready(
    started: Collection[tuple[str, str]],
    open_troubles: Sequence[OpenTrouble],
    watched: Iterable[tuple[str, str]],
    now: datetime,
    paused: Collection[tuple[str, str]] = (),
) -> list[str]:
    """Say what keeps the daemon from being ready, one line each; ``now`` is machine time (UTC).

    ``started`` are the feeds that ever ran, ``watched`` those that should, by org and object.

    A feed that is ``paused`` by a person does not: it is as somebody wants it. A failing sink does not: its
    events wait in the store and the other sinks go on.
    """
    seen = {*started, *paused}
    problems = [f"{org}/{name} has not been read yet" for org, name in watched if (org, name) not in seen]
    for one in open_troubles:
        if (one.org, one.object) in paused:
            continue
        row = troubles.named(one.name)
        if (row and row.action in _LASTING) or now - one.since >= STUCK_AFTER:
            span = format_span(max(0.0, (now - one.since).total_seconds()))
            problems.append(f"{concerned(one)} has failed for {span}: {one.error}")
    return problems


def not_shared(sharing: Sharing | None, lease: timedelta, *, current: bool) -> list[str]:
    """Say what is wrong with this process's place among others, and what nobody has held for longer than a lease."""
    if sharing is None:
        return []
    problems = [
        f"nobody works for {one.duty}, for {format_span(one.vacant_s)} now"
        for one in sharing.vacant
        if one.vacant_s is not None and one.vacant_s > lease.total_seconds()
    ]
    if not current:
        problems.append("others may take this process for dead: its latest word to the store is too long ago")
    return problems


def of_watched(open_troubles: Iterable[OpenTrouble], watched: Iterable[tuple[str, str]]) -> list[OpenTrouble]:
    """Leave out the troubles of feeds and orgs that are not in the configuration any more."""
    pairs = set(watched)
    orgs = {org for org, _ in pairs}
    return [one for one in open_troubles if (one.org in orgs if one.object is None else (one.org, one.object) in pairs)]


def concerned(trouble: OpenTrouble) -> str:
    """Return whom it is about, for people: ``acme`` or ``acme/Lead``."""
    return trouble.org if trouble.object is None else f"{trouble.org}/{trouble.object}"


def told(trouble: OpenTrouble) -> dict[str, Any]:
    """Return all that is known of a trouble, for programs: what, where, since when, what to do, where to read on."""
    row = troubles.named(trouble.name)
    return {
        "org": trouble.org,
        "object": trouble.object,
        "since": trouble.since,
        "name": trouble.name,
        "error": trouble.error,
        "means": row.means if row else "",
        "what_happens": row.action.value if row else "",
        "what_to_do": row.advice if row else "",
        "help": row.help_url if row else "",
    }


def of_event(one: Recorded) -> dict[str, Any]:
    """Return an event with where it stands in the store, for programs."""
    event = envelope.cloudevent(Delivery("", one.position, one.event))
    return {"position": one.position, "recorded_at": one.recorded_at, "event": event}


def of_dead(one: Dead) -> dict[str, Any]:
    """Return all that is known of a delivery that was given up, for programs."""
    delivery = one.parked.delivery
    return {
        "sink": delivery.sink,
        "position": delivery.position,
        "recorded_at": one.recorded_at,
        "attempts": delivery.attempts,
        "first_tried_at": delivery.first_tried_at,
        "given_up_at": one.parked.due_at,
        "why": one.parked.detail,
        "response": one.parked.response,
        "event": envelope.cloudevent(delivery),
    }
