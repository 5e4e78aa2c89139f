"""The weather: which fault strikes which request, and when.

Tests and the control API arm faults; `edge` asks about every request, `rest` about every part of a composite one.
The faults themselves are in `faults`.
"""

import random
import re
from dataclasses import dataclass, field, replace

from salesforce_poller.simulator.faults import FAULTS, Fault


@dataclass(slots=True)
class Armed:
    """A fault that waits for its requests."""

    fault: Fault
    path: str | None
    object: str | None
    left: int | None
    """How often it will still strike; None: always."""
    chance: float
    after: int
    """How many matching requests it still lets pass first."""
    struck: int = field(default=0)

    def matches(self, target: str, object_name: str | None) -> bool:
        """Whether it is armed for this request."""
        if self.object is not None and (object_name is None or object_name.lower() != self.object.lower()):
            return False
        if self.path is None:
            return target.startswith(self.fault.where)
        return self.path in target or re.search(self.path, target) is not None


class Weather:
    """The faults that are armed in one org. `rng` decides for those that strike by chance."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._armed: list[Armed] = []

    def arm(
        self,
        fault: str | Fault,
        *,
        path: str | None = None,
        object: str | None = None,  # noqa: A002  # the word of the house for Lead, Contact …
        times: int | None = 1,
        chance: float = 1.0,
        after: int = 0,
        seconds: float | None = None,
        size: int | None = None,
    ) -> Armed:
        """Arm a fault, by its name in `FAULTS` or one of your own; the one armed first strikes first.

        `path` is a part of, or a regular expression in, the decoded path and query ("/query?q=SELECT Id …"); `object`
        the API name of the object a request is about; `times` how often it strikes (None: always); `chance` the
        probability each time; `after` how many matching requests pass first; `seconds` and `size` (bytes) replace
        those of the fault. Raises ValueError for an unknown name.
        """
        if isinstance(fault, str):
            if fault not in FAULTS:
                raise ValueError(f"no fault is called {fault!r}; there are {', '.join(FAULTS)}")
            fault = FAULTS[fault]
        if seconds is not None:
            fault = replace(fault, seconds=float(seconds))
        if size is not None:
            fault = replace(fault, size=int(size))
        armed = Armed(fault, path, object, times, chance, after)
        self._armed.append(armed)
        return armed

    def armed(self) -> list[Armed]:
        """What may still strike, in the order in which it was armed."""
        return [each for each in self._armed if each.left != 0]

    def clear(self) -> None:
        """Fine weather."""
        self._armed.clear()

    def strike(self, target: str, object_name: str | None, *, subrequest: bool = False) -> Fault | None:
        """The fault that meets this request, if any; `target` is the decoded path with its query."""
        for each in self.armed():
            if (subrequest and each.fault.whole_request) or not each.matches(target, object_name):
                continue
            if each.after > 0:
                each.after -= 1
            elif self._rng.random() < each.chance:
                each.left = None if each.left is None else each.left - 1
                each.struck += 1
                return each.fault
        return None
