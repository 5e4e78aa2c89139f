"""Names of streams, topics and queues with places to fill in: ``salesforce.{org}.{object}``. Pure.

A :data:`Template` is checked when the configuration is read; :func:`fill` makes a name of it for one event. Which
letters a name may hold is the broker's business: each sink hands in how it cleans a value. Used by the sinks that
publish to a name, and by them alone.
"""

import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator

from salesforce_poller.sinks.base import Dressed

#: What can be filled in; each is a key of the event's ``data``.
PLACES = ("org", "object", "kind", "record_id")
#: Stands where an event has no such value: a gap is about no one record.
NOTHING = "_"
_PLACE = re.compile(r"\{([^{}]*)\}")


def checked(value: str) -> str:
    """Return a template as it is.

    Raises:
        ValueError: when it has another place than those in :data:`PLACES`, or a brace that is no part of one.
    """
    known = ", ".join(f"{{{place}}}" for place in PLACES)
    if not value.strip():
        raise ValueError("should not be empty")
    for place in _PLACE.findall(value):
        if place not in PLACES:
            raise ValueError(f"{{{place}}} is not known here; there are {known}")
    if re.search(r"[{}]", _PLACE.sub("", value)):
        raise ValueError(f"has a brace without its other half; what can be filled in is {known}")
    return value


Template = Annotated[str, AfterValidator(checked)]


def fill(template: str, event: Dressed, clean: Callable[[str], str] = str) -> str:
    """Return the name for one event; ``clean`` is given each value that is filled in, never the template's own text."""
    data = event.cloudevent["data"]

    def value(match: re.Match[str]) -> str:
        found = data.get(match[1])
        return NOTHING if found is None else clean(str(found))

    return _PLACE.sub(value, template)


def fixed(template: str) -> bool:
    """Say whether the name is the same for every event, so that it can be looked for before there is one."""
    return not _PLACE.search(template)


def replacing(pattern: str) -> Callable[[str], str]:
    """Return a way to clean values: each letter that ``pattern`` matches becomes an underscore."""
    forbidden = re.compile(pattern)
    return lambda value: forbidden.sub("_", value)
