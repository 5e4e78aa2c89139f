"""cluster/membership.py: whatever happens to whom, no two processes send for the same, and in the end all have work.

Hypothesis makes up histories of several processes on one store: each word to it and each answer waits until it is its
turn, or is lost; processes sleep (nothing of theirs goes on), die, leave, come, and want something else; time passes.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from fakes import Broken, FakeClock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from shared_store import LEASE, Member, Tables, away

from salesforce_poller.model import Duty, Lease

DUTIES = [Duty("org", f"org{number}") for number in range(4)] + [Duty("sink", f"sink{number}") for number in range(2)]
MOST = 4
which = st.integers(0, 99)


class Life:
    """A process, and what waits at its gate."""

    def __init__(self, tables: Tables, name: str, duties: list[Duty]) -> None:
        self.waiting: list[asyncio.Future[None]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.member = Member(tables, name, duties, self._gate)

    async def _gate(self, what: str, answer: bool) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        await turn

    def begin(self, what: str) -> None:
        """Begin to look or to beat, if it does not do so already."""
        if what in {task.get_name() for task in self.tasks}:
            return
        membership = self.member.membership
        work = membership.beat() if what == "beat" else membership.look(self.member.apply)
        task = asyncio.get_running_loop().create_task(work, name=what)
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (failed := task.exception()) and not isinstance(failed, type(away())):
            raise Broken from failed

    def go_on(self, number: int, *, lost: bool = False) -> None:
        """Let one thing that waits go on, or be lost."""
        if self.waiting:
            turn = self.waiting.pop(number % len(self.waiting))
            if turn.done():
                return
            if lost:
                turn.set_exception(away())
            else:
                turn.set_result(None)

    async def die(self) -> None:
        """End without a word."""
        going = [*self.tasks, *self.member.membership._settling]
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)


async def turns() -> None:
    """Let everything go on that does not wait."""
    for _ in range(4):
        await asyncio.sleep(0)  # noqa: TID251  # a turn of the loop, not a wait


class MembershipMachine(RuleBasedStateMachine):
    """Some processes and one store."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.failed: list[BaseException] = []
        self.loop.set_exception_handler(lambda _loop, told: self.failed.append(told["exception"]))
        self.tables = Tables(FakeClock())
        self.lives: list[Life] = []
        self.born = 0

    @initialize(count=st.integers(1, MOST))
    def begin(self, count: int) -> None:
        for _ in range(count):
            self.comes()

    def one(self, number: int) -> Life | None:
        """Return one of the processes."""
        return self.lives[number % len(self.lives)] if self.lives else None

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something, and let everything go on that does not wait."""

        async def go() -> None:
            await work
            await turns()

        self.loop.run_until_complete(go())
        assert not self.failed, self.failed

    @rule()
    def comes(self) -> None:
        """A process is started."""
        if len(self.lives) < MOST:
            self.lives.append(Life(self.tables, f"process{self.born}", DUTIES))
            self.born += 1

    @rule(number=which, what=st.sampled_from(["look", "look", "beat"]), words=st.integers(0, 12))
    def does_something(self, number: int, what: str, words: int) -> None:
        """It begins to look or to beat, and comes some way."""
        if life := self.one(number):
            self.run(self._do(life, what, words))

    async def _do(self, life: Life, what: str, words: int) -> None:
        life.begin(what)
        for _ in range(words):
            await turns()
            life.go_on(0)

    @rule(number=which, thing=which, lost=st.booleans(), words=st.integers(1, 5))
    def goes_on(self, number: int, thing: int, lost: bool, words: int) -> None:
        """Something that waited goes on, and others behind it; or it is lost."""
        if life := self.one(number):
            self.run(self._go_on(life, thing, lost, words))

    async def _go_on(self, life: Life, thing: int, lost: bool, words: int) -> None:
        for word in range(words):
            life.go_on(thing, lost=lost and word == 0)
            await turns()

    @rule(seconds=st.sampled_from([0.5, 1, 3, 5, 9.5, 10, 30]))
    def time_passes(self, seconds: float) -> None:
        self.tables.clock.advance(seconds)

    @rule(number=which, seconds=st.sampled_from([3, 9, 11, 12]), wakes=st.booleans())
    def sleeps(self, number: int, seconds: int, wakes: bool) -> None:
        """Nothing of its own goes on while the others live on; what it does first when it wakes up may be a beat."""
        if life := self.one(number):
            for _ in range(seconds):
                self.run(self._live_on([one for one in self.lives if one is not life]))
            if wakes:
                self.run(self._do(life, "beat", 3))

    @rule()
    def all_goes_well(self) -> None:
        """For two seconds."""
        for _ in range(2):
            self.run(self._live_on(self.lives))

    @rule(number=which)
    def dies(self, number: int) -> None:
        if life := self.one(number):
            self.lives.remove(life)
            self.run(life.die())

    @rule(number=which)
    def leaves(self, number: int) -> None:
        """Its work ends, then it gives everything back."""
        if life := self.one(number):
            self.lives.remove(life)
            self.run(self._leave(life))

    async def _leave(self, life: Life) -> None:
        life.member.membership.take_no_more()
        for task in life.tasks:
            task.cancel()
        await turns()
        life.member.working = {}
        leaving = asyncio.create_task(life.member.membership.leave())
        while not leaving.done():
            life.go_on(0)
            await asyncio.sleep(0)  # noqa: TID251  # a turn of the loop, not a wait
        await leaving
        await life.die()

    @rule(number=which, duties=st.lists(st.sampled_from(DUTIES), unique=True))
    def wants_something_else(self, number: int, duties: list[Duty]) -> None:
        """Its configuration is read again."""
        if life := self.one(number):
            life.member.membership.want(duties)

    @invariant()
    def nobody_sends_what_another_one_may(self) -> None:
        """Whoever would send at this moment has the lease in the store, and so nobody else has."""
        for life in self.lives:
            for duty, lease in life.member.sending.items():
                assert self.tables.leases[duty] == lease, f"{life.member.name} sends for {duty}"
                assert self.tables.alive(life.member.name)
        senders = Counter(duty for life in self.lives for duty in life.member.sending)
        assert not [duty for duty, count in senders.items() if count > 1]

    def teardown(self) -> None:
        """When nothing happens any more, everything is held, evenly, and worked for."""
        try:
            if self.lives:
                self.run(self._come_to_rest())
                self._judge()
        finally:
            for life in self.lives:
                self.run(life.die())
            self.loop.close()

    async def _come_to_rest(self) -> None:
        for life in self.lives:
            life.member.membership.want(DUTIES)
        for _ in range(round(LEASE) + 10):
            await self._live_on(self.lives)

    async def _live_on(self, lives: Sequence[Life]) -> None:
        """Have them beat and look, for a second."""
        self.tables.clock.advance(1)
        for life in lives:
            await self._do(life, "beat", 3)
            await self._do(life, "look", 9)
            self.nobody_sends_what_another_one_may()

    def _judge(self) -> None:
        working: dict[Duty, Lease] = {}
        for life in self.lives:
            assert life.member.working == life.member.sending
            working |= life.member.working
        assert set(working) == set(DUTIES)
        for kind in ("org", "sink"):
            counts = [sum(duty.kind == kind for duty in life.member.working) for life in self.lives]
            assert max(counts) - min(counts) <= 1, counts


TestMembershipMachine = pytest.mark.filterwarnings("error")(MembershipMachine.TestCase)
MembershipMachine.TestCase.settings = settings(stateful_step_count=30)
