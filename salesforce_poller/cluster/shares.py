"""Who takes which duties, and who gives some back, so that all have about the same number. Pure.

Every process decides for itself, from the same two tables; ``store/leases.py`` sees to it that nobody gets what another
one has. Orgs are shared evenly for themselves, and so are sinks. Those share whose configurations name the same: while
a new one is rolled out, old and new processes keep what they have, and what the old ones leave the new ones take.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from salesforce_poller.model import Duty, Lease

_KINDS = ("org", "sink", "house")


@dataclass(frozen=True, slots=True)
class Present:
    """What is true of all processes and leases at one moment."""

    #: The ids of the processes that are alive and have our configuration; ours is among them.
    peers: Collection[str]
    #: The leases of what our configuration names, with the holder who is alive; empty where there is none.
    leases: Sequence[Lease]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a process should do about its share."""

    take: list[Duty]
    give_back: list[Lease]


def digest(duties: Collection[Duty]) -> str:
    """Return what two processes have in common whose configurations name the same orgs and sinks."""
    return hashlib.sha256("\n".join(sorted(map(str, duties))).encode()).hexdigest()


def plan(me: str, present: Present) -> Plan:
    """Decide what ``me`` takes and gives back now."""
    take: list[Duty] = []
    give_back: list[Lease] = []
    for kind in _KINDS:
        of_kind = [lease for lease in present.leases if lease.duty.kind == kind]
        more, less = _of_one_kind(me, present.peers, of_kind)
        take += more
        give_back += less
    return Plan(take, give_back)


def _of_one_kind(me: str, peers: Collection[str], leases: Sequence[Lease]) -> tuple[list[Duty], list[Lease]]:
    ours = [lease for lease in leases if lease.holder in peers or not lease.holder]
    least, rest = divmod(len(ours), len(peers))
    most = least + bool(rest)
    free = sorted((lease.duty for lease in ours if not lease.holder), key=lambda duty: _rank(me, duty))
    mine = sorted((lease for lease in ours if lease.holder == me), key=lambda lease: _rank(me, lease.duty))
    if len(mine) > most:
        return [], mine[most:]
    held = Counter(lease.holder for lease in ours if lease.holder)
    spare = len(free) - sum(max(0, least - held[peer]) for peer in peers)  # below zero: so many must be given up
    # Of those who have one more than the least, so many give it up as others lack; all agree on who that is.
    richest = sorted((peer for peer in peers if held[peer] > least), key=lambda peer: (-held[peer], peer))
    if me in richest[: max(0, -spare)]:
        return [], mine[least:]
    enough = most if spare > 0 else least  # nobody takes one more than the least while others have less than that
    return free[: max(0, enough - len(mine))], []


def _rank(me: str, duty: Duty) -> bytes:
    """Order duties for each process in its own way, so that two of them reach for different ones."""
    return hashlib.sha256(f"{me}/{duty}".encode()).digest()
