"""How many calls were made in which minute of the last 24 hours, and their sum at any moment. Pure.

``budget.py`` asks for the sum several times a poll, so nothing here walks through the 1,440 minutes of a day: those
that are too old go from the one end, and the present minute is at the other.
"""

from collections.abc import Iterator, Mapping

DAY_OF_MINUTES = 24 * 60


def oldest(present: int) -> int:
    """Return the oldest minute that still counts; one more than a day, since both ends are cut off."""
    return present - DAY_OF_MINUTES


class Ledger(Mapping[int, int]):
    """Calls by the number of their minute, in the order of the minutes."""

    def __init__(self, made: Mapping[int, int]) -> None:
        self._made = dict(sorted(made.items()))
        self._sum = sum(made.values())
        #: The minutes that have another number than when they were last written down.
        self.changed: set[int] = set()

    @property
    def sum(self) -> int:
        """How many calls there are in it."""
        return self._sum

    def tidy(self, present: int) -> None:
        """Forget what does not count any more.

        What is younger than now was made before the machine's clock was set back; it would count until the clock gets
        there again, and counts as made now.
        """
        first = oldest(present)
        while self._made and (minute := next(iter(self._made))) < first:
            self._sum -= self._made.pop(minute)
        ahead = 0
        while self._made and (minute := next(reversed(self._made))) > present:
            ahead += self._made.pop(minute)
        if ahead:
            self._made[present] = self._made.get(present, 0) + ahead
            self.changed.add(present)

    def add(self, present: int) -> None:
        """Count a call that is made in this minute, for which :meth:`tidy` was called."""
        self._made[present] = self._made.get(present, 0) + 1
        self.changed.add(present)
        self._sum += 1

    def __getitem__(self, minute: int) -> int:
        return self._made[minute]

    def __iter__(self) -> Iterator[int]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)
