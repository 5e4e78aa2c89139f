"""What the configuration names at this moment, for those who answer questions and take orders while it may change.

Made by ``app.py``, which puts the new values in when the configuration was read again; asked by ``desk.py``, and by
``admin`` for its answers. A command makes its own, which does not change.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from salesforce_poller.actions.replay import Wants
from salesforce_poller.model import Duty


@dataclass(slots=True)
class Present:
    """The feeds and the sinks that are configured."""

    #: By org and object.
    feeds: Sequence[tuple[str, str]]
    #: By name of sink: which events it wants.
    wants: Mapping[str, Wants] = field(default_factory=dict)
    #: Orgs that this process should poll and that could not be started, one line each.
    lacking: Sequence[str] = ()
    #: Whether nobody can have taken this process's place, where several share the store.
    current: Callable[[], bool] = lambda: True
    #: How long something may be held by nobody, there.
    lease: timedelta = timedelta(seconds=15)
    #: What there is to do beside the feeds and the sinks.
    chores: Sequence[Duty] = ()

    @property
    def sinks(self) -> list[str]:
        """The names of the sinks."""
        return list(self.wants)

    @property
    def duties(self) -> list[Duty]:
        """What is to be held: orgs, sinks, chores."""
        orgs = dict.fromkeys(org for org, _ in self.feeds)
        return [*(Duty("org", org) for org in orgs), *(Duty("sink", name) for name in self.wants), *self.chores]
