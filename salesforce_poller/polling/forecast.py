"""What a feed will cost the org in a day, before it starts. Pure; ``check`` and the start of ``run`` tell it."""

from salesforce_poller.polling.settings import FeedSettings

_DAY = 86_400.0
#: getUpdated and getDeleted.
_CALLS_PER_SWEEP = 2
#: The object is described once an hour.
_DESCRIBES = 24


def calls_per_day(settings: FeedSettings, *, replicateable: bool = True) -> int:
    """Return how many API requests a quiet feed makes in 24 hours.

    A poll is one request, and one more for every further 2,000 rows; a sweep adds two to the poll that it replaces,
    where the object is replicateable.
    """
    every = settings.every.total_seconds()
    sweeps = _DAY / max(every, settings.sweep_every.total_seconds()) if replicateable else 0
    return round(_DAY / every + _CALLS_PER_SWEEP * sweeps + _DESCRIBES)
