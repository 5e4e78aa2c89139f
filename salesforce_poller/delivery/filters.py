"""Does this sink want this event? Pure. ``dispatcher.py`` asks it about whatever it reads for a sink.

The one place that decides it: what a filter lets through is owed, what it does not is passed over for ever.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from salesforce_poller.model import Delivery, Event, Kind, Receipt, Verdict
from salesforce_poller.sinks.base import SinkSettings

if TYPE_CHECKING:
    from salesforce_poller.delivery.expression import Condition


class Filters:
    """A sink's filters, ready to be asked: the four lists, then the expression in ``when``."""

    def __init__(self, settings: SinkSettings, sink: str) -> None:
        self._settings = settings
        self._sink = sink
        self._when = None if settings.when is None else _condition(settings.when)
        filters = (settings.orgs, settings.objects, settings.events, settings.changed, settings.when)
        #: Whether it is sent all but alerts, as most are.
        self._open = all(each is None for each in filters)

    def judge(self, event: Event) -> bool | Receipt:
        """Say whether the sink wants an event, or how it fails because ``when`` cannot tell.

        It fails as one that was refused: it is tried again later, and given up in the end, for a person to see.
        """
        if not wants(self._settings, event, self._sink):
            return False
        told = True if self._when is None or event.alert is not None else self._when.holds(event)
        return told if isinstance(told, bool) else Receipt(Verdict.REFUSED, f"when: {told}")

    def sift(self, deliveries: Iterable[Delivery]) -> tuple[frozenset[int], dict[int, Receipt]]:
        """Return the positions that the sink does not want, and how those fail of which it cannot be told."""
        if self._open:
            return frozenset(each.position for each in deliveries if each.event.alert is not None), {}
        verdicts = {each.position: self.judge(each.event) for each in deliveries}
        unwanted = frozenset(position for position, verdict in verdicts.items() if verdict is False)
        return unwanted, {at: verdict for at, verdict in verdicts.items() if isinstance(verdict, Receipt)}


def _condition(text: str) -> "Condition":
    """Compile an expression."""
    from salesforce_poller.delivery.expression import Condition  # noqa: PLC0415  # CEL is 7 MB that most do without

    return Condition(text)


def wants(settings: SinkSettings, event: Event, sink: str) -> bool:
    """Say whether an event passes the four filters of the sink of this name; each that is None lets everything through.

    ``changed`` is about ``updated`` events only, and lets one pass whose previous state is not known: better told than
    lost. Names of objects and fields are compared as Salesforce does, without regard to case.

    An alert is another matter: only a sink whose ``events`` name it gets it, whatever its other filters say, and never
    the sink it is about, which could not take it.
    """
    if event.alert is not None:
        return event.alert.sink != sink and settings.events is not None and Kind.ALERT in settings.events
    return (
        (settings.orgs is None or event.org in settings.orgs)
        and chooses(settings.objects, event.object)
        and (settings.events is None or event.kind in settings.events)
        and (
            event.kind is not Kind.UPDATED
            or event.changed is None
            or settings.changed is None
            or any(chooses(settings.changed, path) for path in event.changed)
        )
    )


def chooses(wanted: list[str] | None, name: str) -> bool:
    """Say whether a list of names has this one, in any case of letters; one that is None has everything."""
    return wanted is None or name.casefold() in {each.casefold() for each in wanted}
