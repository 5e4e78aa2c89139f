"""cluster/membership.py, on tables in memory and a clock to move."""

import asyncio
from collections.abc import Callable

import pytest
from fakes import FakeClock
from shared_store import ALIVE, Member, Tables, away
from structlog.testing import capture_logs

from salesforce_poller.errors import NotNow, StoreAway
from salesforce_poller.model import Duty, Lease

ORGS = [Duty("org", f"org{number}") for number in range(4)]
ACME, CRM = Duty("org", "acme"), Duty("sink", "crm")


class Gate:
    """Lets everything through, until a test wants something to wait or to fail."""

    def __init__(self) -> None:
        self.fails: Callable[[str, bool], bool] = lambda _what, _answer: False
        self.holds: dict[tuple[str, bool], asyncio.Event] = {}
        self.passed: list[tuple[str, bool]] = []

    async def __call__(self, what: str, answer: bool) -> None:
        """Wait, or raise StoreAway, as it was told."""
        self.passed.append((what, answer))
        if (what, answer) in self.holds:
            await self.holds[what, answer].wait()
        if self.fails(what, answer):
            raise away()

    def close(self, what: str, *, answer: bool = False) -> asyncio.Event:
        """Have something wait; returns what lets it go on."""
        self.holds[what, answer] = asyncio.Event()
        return self.holds[what, answer]


@pytest.fixture
def tables() -> Tables:
    """Empty tables."""
    return Tables(FakeClock())


def a_member(tables: Tables, name: str, duties: list[Duty] = ORGS) -> tuple[Member, Gate]:
    """Return a process that nobody has heard of yet, and the gate to its store."""
    gate = Gate()
    return Member(tables, name, duties, gate), gate


async def settled(*members: Member) -> None:
    """Have all of them look until nobody moves any more."""
    for _ in range(6):
        for member in members:
            await member.look()


def works_for(member: Member) -> set[Duty]:
    """Return what it works for and may send for."""
    return set(member.sending)


async def test_who_is_alone_takes_everything_and_works_for_it(tables: Tables) -> None:
    """The first look says that it is alive, takes, and has the work begin."""
    ann, _ = a_member(tables, "ann")
    assert not ann.membership.is_current(), "nobody has heard of it"
    await ann.look()
    assert works_for(ann) == set(ORGS)
    assert {tables.holder(duty) for duty in ORGS} == {"ann"}


async def test_a_newcomer_gets_its_share_when_the_work_for_it_has_stopped(tables: Tables) -> None:
    """Not before: else two would send side by side."""
    (ann, gate), (bob, _) = a_member(tables, "ann"), a_member(tables, "bob")
    await ann.look()
    stopped = gate.close("apply")
    await bob.look()
    await ann.look()
    await bob.look()
    assert works_for(bob) == set(), "it is asked to stop, and still at work"
    assert len(ann.membership.held) == 2
    assert works_for(ann) == set(ORGS), "what it finishes is still its own"
    stopped.set()
    await settled(ann, bob)
    assert (len(works_for(ann)), len(works_for(bob))) == (2, 2)
    assert not works_for(ann) & works_for(bob)


async def test_while_it_gives_something_up_it_does_not_do_so_twice(tables: Tables) -> None:
    """Looks go on while work is being stopped; what is under way is under way."""
    (ann, gate), (bob, _) = a_member(tables, "ann"), a_member(tables, "bob")
    await ann.look()
    stopped = gate.close("apply")
    await bob.look()
    for _ in range(3):
        await ann.look()
    stopped.set()
    await ann.turns()
    assert gate.passed.count(("give_back", True)) == 1
    assert gate.passed.count(("apply", False)) == 2


async def test_who_slept_past_its_lease_is_not_current_before_anything_else_happens(tables: Tables) -> None:
    """The clock alone tells it; and a beat alone does not make it current again."""
    (ann, gate), (bob, _) = a_member(tables, "ann"), a_member(tables, "bob")
    await ann.look()
    tables.clock.advance(ALIVE - 0.1)
    assert works_for(ann) == set(ORGS)
    tables.clock.advance(0.1)
    gate.passed.clear()
    assert not ann.membership.is_current()
    assert works_for(ann) == set()
    assert gate.passed == [], "nobody was asked"
    await bob.look()
    assert works_for(bob) == set(ORGS)
    await ann.membership.beat()
    assert works_for(ann) == set(), "it is heard of again; that it was replaced it does not know yet"
    looked = gate.close("look", answer=True)
    look = asyncio.create_task(ann.membership.look(ann.apply))
    await ann.turns()
    assert works_for(ann) == set()
    looked.set()
    with capture_logs() as logs:
        await look
    assert works_for(ann) == set(), "nor does a unit send that has not heard yet that it must stop"
    assert {line["duty"] for line in logs if line["event"] == "lease.lost"} == {str(duty) for duty in ORGS}
    await ann.turns()
    assert ann.working == {}
    await settled(ann, bob)
    assert (len(works_for(ann)), len(works_for(bob))) == (2, 2)


async def test_who_slept_and_was_not_replaced_goes_on_without_beginning_anew(tables: Tables) -> None:
    """Its work is the same, under the same leases."""
    ann, gate = a_member(tables, "ann")
    await ann.look()
    tables.clock.advance(3600)
    gate.passed.clear()
    await ann.look()
    assert works_for(ann) == set(ORGS)
    assert ("apply", False) not in gate.passed
    assert {lease.fence for lease in ann.working.values()} == {1}


async def test_what_was_read_before_a_sleep_does_not_count(tables: Tables) -> None:
    """An answer that waited for the sleeper to wake up says how things were."""
    (ann, gate), (bob, _) = a_member(tables, "ann"), a_member(tables, "bob")
    await ann.look()
    looked = gate.close("look", answer=True)
    look = asyncio.create_task(ann.membership.look(ann.apply))
    await ann.turns()
    tables.clock.advance(60)
    await bob.look()
    await ann.membership.beat()
    looked.set()
    await look
    await ann.turns()
    assert not ann.membership.is_current()
    assert works_for(ann) == set()
    await settled(ann, bob)
    assert (len(works_for(ann)), len(works_for(bob))) == (2, 2)


async def test_what_was_taken_before_a_sleep_is_not_worked_for(tables: Tables) -> None:
    """Somebody else may have it by the time the answer is heard."""
    (ann, gate), (bob, _) = a_member(tables, "ann"), a_member(tables, "bob")
    took = gate.close("take", answer=True)
    look = asyncio.create_task(ann.membership.look(ann.apply))
    await ann.turns()
    tables.clock.advance(60)
    await bob.look()
    took.set()
    await look
    await ann.turns()
    assert (ann.membership.held, ann.working) == ({}, {})


async def test_a_look_may_take_longer_than_a_beat(tables: Tables) -> None:
    """Beats go on beside it, and what it read is true as long as they do."""
    ann, gate = a_member(tables, "ann")
    await ann.look()
    looked = gate.close("look", answer=True)
    look = asyncio.create_task(ann.membership.look(ann.apply))
    for _ in range(10):
        await ann.turns()
        tables.clock.advance(3)
        assert works_for(ann) == set(ORGS)
        await ann.membership.beat()
    looked.set()
    await look
    await ann.turns()
    assert works_for(ann) == set(ORGS)


async def test_a_look_never_brings_back_what_was_given_back_meanwhile(tables: Tables) -> None:
    """It read the table before, and would have the work begin again under a lease that anybody may take."""
    (ann, gate), (bob, _) = a_member(tables, "ann"), a_member(tables, "bob")
    await ann.look()
    await bob.look()
    stopped = gate.close("apply")
    await ann.look()
    await bob.membership.leave()
    looked = gate.close("look", answer=True)
    look = asyncio.create_task(ann.membership.look(ann.apply))
    await ann.turns()
    stopped.set()
    await ann.turns()
    looked.set()
    await look
    await ann.turns()
    assert all(tables.leases[duty] == lease for duty, lease in ann.membership.held.items())


async def test_a_database_that_is_away_ends_what_it_may_not_go_on_with(tables: Tables) -> None:
    """After the last beat that was heard; when it is back, all goes on."""
    ann, gate = a_member(tables, "ann")
    await ann.look()
    gate.fails = lambda _what, _answer: True
    tables.clock.advance(ALIVE / 2)
    with pytest.raises(StoreAway):
        await ann.look()
    assert works_for(ann) == set(ORGS), "others still take it for alive"
    tables.clock.advance(ALIVE / 2)
    with pytest.raises(StoreAway):
        await ann.look()
    assert works_for(ann) == set()
    gate.fails = lambda _what, _answer: False
    await ann.look()
    assert works_for(ann) == set(ORGS)


async def test_what_was_taken_and_not_heard_of_is_found_by_the_next_look(tables: Tables) -> None:
    """The commit worked, its answer was lost."""
    ann, gate = a_member(tables, "ann")
    gate.fails = lambda what, answer: what == "take" and answer
    with pytest.raises(StoreAway):
        await ann.look()
    assert works_for(ann) == set()
    gate.fails = lambda _what, _answer: False
    await ann.look()
    assert works_for(ann) == set(ORGS)


@pytest.mark.parametrize("answer", [False, True])
async def test_what_could_not_be_given_back_is_found_by_the_next_look(tables: Tables, answer: bool) -> None:
    """Whether it reached the database or not; what nobody here wants any more is not kept from others either."""
    ann, gate = a_member(tables, "ann", [ACME, CRM])
    await ann.look()
    gate.fails = lambda what, is_answer: what == "give_back" and is_answer == answer
    ann.membership.want([CRM])
    await ann.look()
    assert works_for(ann) == {CRM}
    gate.fails = lambda _what, _answer: False
    await ann.look()
    assert tables.holder(ACME) == ""
    ann.membership.want([ACME, CRM])
    await settled(ann)
    assert works_for(ann) == {ACME, CRM}


async def test_what_is_added_and_removed_by_a_reload_is_taken_and_given_back(tables: Tables) -> None:
    """At once, whenever the next beat is due: others hear of it with the look."""
    ann, _ = a_member(tables, "ann", [ACME])
    await ann.look()
    ann.membership.want([CRM])
    await ann.look()
    await ann.look()
    assert works_for(ann) == {CRM}
    assert tables.holder(ACME) == ""
    process, _ = tables.processes["ann"]
    assert process.duties == ann.membership._process.duties


@pytest.mark.parametrize("what", ["beat", "look", "take"])
async def test_a_reload_may_come_in_the_middle_of_a_look(tables: Tables, what: str) -> None:
    """Whatever others know of us by then; the next look puts it right."""
    ann, gate = a_member(tables, "ann", [ACME])
    waits = gate.close(what, answer=True)
    look = asyncio.create_task(ann.membership.look(ann.apply))
    await ann.turns()
    ann.membership.want([CRM])
    waits.set()
    await look
    await settled(ann)
    assert works_for(ann) == {CRM}
    assert tables.holder(ACME) == ""


async def test_what_is_wanted_again_while_it_is_being_stopped_begins_anew(tables: Tables) -> None:
    """Under a new lease, after the old work has stopped."""
    ann, gate = a_member(tables, "ann", [ACME])
    await ann.look()
    stopped = gate.close("apply")
    ann.membership.want([])
    await ann.look()
    ann.membership.want([ACME])
    await ann.look()
    assert ann.working[ACME].fence == 1
    stopped.set()
    await settled(ann)
    assert ann.sending == {ACME: Lease(ACME, "ann", 2)}


async def test_a_lease_that_is_taken_again_while_its_old_work_is_stopping_is_another_one(tables: Tables) -> None:
    """What is given back when the old work has stopped is the old lease, not the new one."""
    (ann, gate), (bob, _) = a_member(tables, "ann", [ACME]), a_member(tables, "bob", [ACME])
    await ann.look()
    stopped = gate.close("apply")
    ann.membership.want([])
    await ann.look()
    tables.clock.advance(60)
    await bob.look()
    bob.working = {}
    await bob.membership.leave()
    ann.membership.want([ACME])
    await ann.look()
    assert works_for(ann) == set(), "what works is under the old lease"
    stopped.set()
    await settled(ann)
    assert ann.sending == {ACME: Lease(ACME, "ann", 3)}


async def test_work_that_could_not_begin_or_end_is_tried_again_and_not_given_back(tables: Tables) -> None:
    """Nobody knows whether it has stopped."""
    (ann, _), (bob, _) = a_member(tables, "ann"), a_member(tables, "bob")
    await ann.look()
    apply, broken = ann.apply, True

    async def breaks() -> None:
        if broken:
            raise ZeroDivisionError
        await apply()

    await bob.look()
    with capture_logs() as logs:
        for _ in range(3):
            await ann.membership.look(breaks)
            await ann.turns()
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["lease.bug"]
    assert {tables.holder(duty) for duty in ORGS} == {"ann"}
    broken = False
    await ann.membership.look(breaks)
    await ann.turns()
    await settled(ann, bob)
    assert (len(works_for(ann)), len(works_for(bob))) == (2, 2)


async def test_who_ends_gives_back_only_when_its_work_has_ended(tables: Tables) -> None:
    """The crew says that it is closing, which takes as long as the sends in hand; others hear beats meanwhile."""
    (ann, _), (bob, _) = a_member(tables, "ann"), a_member(tables, "bob")
    await ann.look()
    await bob.look()

    async def closing() -> None:
        raise NotNow("the daemon is stopping")

    await ann.membership.look(closing)
    ann.membership.take_no_more()
    await ann.turns()
    tables.clock.advance(8)
    await ann.membership.beat()
    tables.clock.advance(8)
    await ann.look()
    await bob.look()
    assert works_for(ann) == set(ORGS), "it finishes what it has in hand"
    assert works_for(bob) == set()
    ann.working = {}
    await ann.membership.leave()
    assert not ann.membership.is_current()
    await bob.look()
    assert works_for(bob) == set(ORGS)


async def test_who_leaves_while_it_settles_in_holds_nothing(tables: Tables) -> None:
    """What was under way is left to the end of all work."""
    ann, gate = a_member(tables, "ann")
    gate.close("apply")
    await ann.look()
    await ann.membership.leave()
    assert (tables.processes, {tables.holder(duty) for duty in ORGS}) == ({}, {""})
    assert not ann.membership._settling


async def test_a_database_that_is_away_at_the_end_finds_out_by_itself(tables: Tables) -> None:
    """Leaving raises nothing, and the lease runs out."""
    (ann, gate), (bob, _) = a_member(tables, "ann"), a_member(tables, "bob")
    await ann.look()
    gate.fails = lambda _what, _answer: True
    ann.working = {}
    await ann.membership.leave()
    tables.clock.advance(ALIVE)
    await bob.look()
    assert works_for(bob) == set(ORGS)


async def test_who_is_gone_in_the_table_is_not_current(tables: Tables) -> None:
    """Others act on what stands there, whatever its own clock says; it begins anew."""
    ann, _ = a_member(tables, "ann")
    await ann.look()
    del tables.processes["ann"]
    await ann.look()
    assert not ann.membership.is_current()
    await ann.look()
    assert works_for(ann) == set(ORGS)


async def test_it_goes_on_by_itself_and_tells_once_that_the_store_is_away(tables: Tables) -> None:
    """The loops beat and look, and outlast the database."""
    ann, gate = a_member(tables, "ann")
    with capture_logs() as logs:
        running = asyncio.create_task(ann.membership.run(ann.apply))
        while works_for(ann) != set(ORGS):
            await ann.turns()
        gate.fails = lambda _what, _answer: True
        while works_for(ann):
            await ann.turns()
        gate.fails = lambda _what, _answer: False
        while works_for(ann) != set(ORGS):
            await ann.turns()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [line["event"] for line in logs if line["event"].startswith("store.")] == ["store.away", "store.back"]


async def test_it_counts_from_before_the_beat_was_written(tables: Tables) -> None:
    """Others count from when it reached the database, which may be long before its answer."""
    ann, gate = a_member(tables, "ann")
    await ann.look()
    tables.clock.advance(3)
    answered = gate.close("beat", answer=True)
    beat = asyncio.create_task(ann.membership.beat())
    await ann.turns()
    tables.clock.advance(6)
    answered.set()
    await beat
    tables.clock.advance(4)
    assert not tables.alive("ann")
    assert not ann.membership.is_current()


async def test_who_ends_takes_nothing_more(tables: Tables) -> None:
    """What becomes free at that moment is for others."""
    ann, _ = a_member(tables, "ann")
    ann.membership.take_no_more()
    await ann.look()
    assert (tables.leases, ann.membership.held) == ({}, {})
