"""cluster/shares.py: however processes come and go, everything is held soon, evenly, and then nobody moves any more."""

import random

from hypothesis import given
from hypothesis import strategies as st

from salesforce_poller.cluster.shares import Plan, Present, digest, plan
from salesforce_poller.model import Duty, Lease

DUTIES = [Duty("org", f"org{number}") for number in range(23)] + [Duty("sink", f"sink{number}") for number in range(4)]
PEERS = "abcdefg"


def one_round(holders: dict[Duty, str], peers: list[str], order: list[str]) -> bool:
    """Let every process look and act once, one after the other; returns whether anybody did anything."""
    acted = False
    for me in order:
        told = [Lease(duty, holder if holder in peers else "", 1) for duty, holder in holders.items()]
        found = plan(me, Present(peers, told))
        for lease in found.give_back:
            assert holders[lease.duty] == me, "nobody gives back what is another one's"
            holders[lease.duty] = ""
        for duty in found.take:
            assert holders[duty] not in peers, "nobody takes what is held"
            holders[duty] = me
        acted = acted or found != Plan([], [])
    return acted


def count(holders: dict[Duty, str], peers: list[str], kind: str) -> list[int]:
    """Count what each process has of a kind."""
    return [sum(holder == peer and duty.kind == kind for duty, holder in holders.items()) for peer in peers]


@given(
    st.lists(st.sets(st.sampled_from(PEERS), min_size=1), min_size=1, max_size=4),
    st.integers(1, len(DUTIES)),
    st.randoms(use_true_random=False),
)
def test_all_is_held_evenly_and_then_stays(generations: list[set[str]], size: int, rng: random.Random) -> None:
    """Each generation of processes begins with what the one before left."""
    holders = dict.fromkeys(DUTIES[:size], "")
    for generation in generations:
        peers = sorted(generation)
        for _ in range(6):
            order = list(peers)
            rng.shuffle(order)
            if not one_round(holders, peers, order):
                break
        assert not one_round(holders, peers, peers), "it comes to rest"
        assert all(holder in peers for holder in holders.values()), "everything is held"
        for kind in ("org", "sink"):
            counts = count(holders, peers, kind)
            assert max(counts) - min(counts) <= 1, counts


def test_who_has_another_configuration_keeps_what_it_has() -> None:
    """A rollout moves nothing that is held; what nobody holds is taken by whoever knows it."""
    told = [Lease(DUTIES[0], "old", 1), Lease(DUTIES[1], "old", 1), Lease(DUTIES[2], "", 0)]
    assert plan("new", Present(["new"], told)) == Plan([DUTIES[2]], [])


def test_a_newcomer_gets_its_share_and_no_more_moves_than_must() -> None:
    """Of twenty orgs on two processes, a third gets six or seven."""
    holders = {duty: "a" if number < 10 else "b" for number, duty in enumerate(DUTIES[:20])}
    before = dict(holders)
    for _ in range(3):
        one_round(holders, ["a", "b", "c"], ["a", "b", "c"])
    moved = sum(holders[duty] != before[duty] for duty in before)
    assert moved == sum(holder == "c" for holder in holders.values()) in (6, 7)


def test_a_digest_is_of_names_in_any_order() -> None:
    """Two configurations that name the same are the same."""
    assert digest(DUTIES) == digest(DUTIES[::-1]) != digest(DUTIES[1:])
