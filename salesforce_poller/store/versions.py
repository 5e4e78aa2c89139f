"""Every commit names the one before it, so that nobody builds on what is not there any more.

A database can be in an earlier state than we have seen it in: a standby takes over that lacks the last moments, or a
backup is put in its place while we run. No server tells of it in time, and some tell nobody. So each commit that moves
a feed or a sink, or appends events, leaves a number behind that is drawn by lot, in ``version``; and whoever writes on
top of what it remembers says which number that was made of. Where another one is found, or none, the store went back:
nothing is written (``errors.py:StoreWentBack``), and what was remembered is read anew.

By lot, since numbers that are counted are given anew after a step back. The history of a database that went back is the
beginning of the one we knew, and then another: where a number is found that we knew, all before it is as it was.
"""

import secrets
from dataclasses import dataclass
from typing import Self

#: What was never committed has this one, and so has what was written before there were versions.
NEVER = 0
_BITS = 63


@dataclass(frozen=True, slots=True)
class Step:
    """One commit behind another."""

    was: int
    becomes: int

    @classmethod
    def after(cls, was: int) -> Self:
        """Return a new step behind the commit of this number."""
        return cls(was, drawn())


def drawn() -> int:
    """Draw the number of a commit."""
    return 1 + secrets.randbits(_BITS - 1)
