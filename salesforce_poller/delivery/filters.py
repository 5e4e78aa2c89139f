"""Does this sink want this event? Pure. Called by ``dispatcher.py`` for every event behind a sink's cursor."""

from salesforce_poller.model import Event, Kind
from salesforce_poller.sinks.base import SinkSettings


def wants(settings: SinkSettings, event: Event) -> bool:
    """Say whether an event passes the sink's four filters; each that is None lets everything through.

    ``changed`` is about ``updated`` events only, and lets one pass whose previous state is not known: better told than
    lost. Names of objects and fields are compared as Salesforce does, without regard to case.
    """
    return (
        (settings.orgs is None or event.org in settings.orgs)
        and _passes(settings.objects, event.object)
        and (settings.events is None or event.kind in settings.events)
        and (
            event.kind is not Kind.UPDATED
            or event.changed is None
            or settings.changed is None
            or any(_passes(settings.changed, path) for path in event.changed)
        )
    )


def _passes(wanted: list[str] | None, name: str) -> bool:
    return wanted is None or name.casefold() in {each.casefold() for each in wanted}
