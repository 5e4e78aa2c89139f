"""Has paho wait for its socket with ``poll()``: ``select()`` knows no file whose number is 1,024 or above.

A process that watches a thousand orgs has that many open (``opening.py:allow_many_files``); paho takes the error for a
connection that was lost, each time it has a new one. Called by ``mqtt.py``.
"""

import math
import select
from collections.abc import Sequence
from typing import Any


class Polling:
    """Stands for the module ``select``, as far as paho uses it."""

    @staticmethod
    def select(
        readers: Sequence[Any], writers: Sequence[Any], _odd: Sequence[Any], timeout: float
    ) -> tuple[list[Any], list[Any], list[Any]]:
        """Return which of them can be read and written. Raises TypeError and ValueError as the original does."""
        poll = select.poll()
        for each in {*readers, *writers}:
            poll.register(each, (each in readers and select.POLLIN) | (each in writers and select.POLLOUT))
        found = dict(poll.poll(math.ceil(timeout * 1000)))
        if any(said & select.POLLNVAL for said in found.values()):
            raise ValueError("closed meanwhile")
        over = select.POLLHUP | select.POLLERR
        return _those(readers, found, select.POLLIN | over), _those(writers, found, select.POLLOUT | over), []


def _those(asked: Sequence[Any], found: dict[int, int], wanted: int) -> list[Any]:
    return [each for each in asked if found.get(each.fileno(), 0) & wanted]


def allow(client: Any) -> None:
    """Do so for paho's module of this name, where the system has ``poll()``."""
    if hasattr(select, "poll"):
        client.select = Polling
