"""The great law: whatever the org does, the weather turns to and the process dies at, everything is delivered.

A Hypothesis state machine over the real poller, the real client on real HTTP, the real store and the real dispatcher.
People work in the org, in transactions of any length; faults strike; the process dies at any await and is started
again; the sink fails. At the end all transactions are closed, the sky clears, and the oracle compares what arrived
with the org's own truth log.
"""

import asyncio
import random
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import earlier
import handed
import orjson
import pytest
import stores
from consumer import as_event
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, precondition, rule
from mortal import DiesAt, ProcessDied
from oracle import judge
from world import WATCHED, World, a_world

from salesforce_poller.admin.upkeep import Upkeep
from salesforce_poller.delivery.dispatcher import Dispatcher
from salesforce_poller.errors import StoreError, StoreWentBack
from salesforce_poller.model import DispatchReport, Event, PollReport, Receipt, Verdict
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.transactions import Transaction
from salesforce_poller.sinks.base import Dressed, Sink, SinkSettings

T = TypeVar("T")

#: Everything that passes by itself. INVALID_REPLICATION_DATE is left out: it *is* a loss, and is told as a gap.
WEATHER = [
    "SERVER_UNAVAILABLE",
    "UNKNOWN_EXCEPTION",
    "INVALID_QUERY_LOCATOR",
    "INVALID_SESSION_ID",
    "CONNECTION_RESET",
    "TRUNCATED_BODY",
    "NOT_ACCEPTABLE",
    "EDGE_HAS_NO_ROUTE",
    "BAD_GATEWAY",
    "TOO_MANY_REQUESTS",
    "REQUEST_LIMIT_EXCEEDED",
    "QUERY_TIMEOUT",
    "EXCEEDED_ID_LIMIT",
    "API_DISABLED_FOR_ORG",
    "INSUFFICIENT_ACCESS",
    "INVALID_FIELD",
    "INVALID_TYPE",
]
PATHS = [None, "/query", "/query/0r8", "/updated", "/deleted", "/describe", "/jobs/query", "/services/oauth2/token"]
COMPANIES = st.sampled_from(["Acme", "Globex", "Initech"])


class Notebook(Sink[SinkSettings]):
    """A sink that writes down what it accepts, and fails as it is told."""

    def __init__(self, clock: Any) -> None:
        super().__init__(SinkSettings(), clock)
        self.accepted: list[dict[str, Any]] = []
        self.failing: set[str] = set()
        self.down = False

    async def send(self, events: Sequence[Dressed]) -> list[Receipt]:
        """Accept, or not."""
        return [await self._take(event) for event in events]

    async def _take(self, event: Dressed) -> Receipt:
        await asyncio.sleep(0)  # noqa: TID251  # a place to die at, not a wait
        if self.down:
            return Receipt(Verdict.TRY_LATER)
        if event.key in self.failing:
            return Receipt(Verdict.REFUSED)
        self.accepted.append(orjson.loads(event.body))
        await asyncio.sleep(0)  # noqa: TID251  # accepted, and dead before the receipt is written down
        return Receipt(Verdict.ACCEPTED)

    async def probe(self) -> Receipt:
        """There is nothing to reach."""
        return Receipt(Verdict.ACCEPTED)

    def events(self) -> list[Event]:
        """Read back what was accepted."""
        return [as_event(got) for got in self.accepted]


class Life(RuleBasedStateMachine):
    """See the caption."""

    leads = Bundle("leads")
    transactions = Bundle("transactions")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.open: list[Transaction] = []
        self.world: World
        self.sink: Notebook
        #: Records that a sweep could see alive: something must be told of each.
        self.must_tell: set[str] = set()
        #: What a standby has of the store; whether it ever took over.
        self.standby: earlier.Copy | None = None
        self.went_back = False

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the machine's loop."""
        return self.runner.run(work)

    @initialize(
        seed=st.integers(0, 2**16),
        start=st.sampled_from(["now", "now", "beginning", "beginning"]),
        baseline=st.booleans(),
        bulk_above=st.sampled_from(["never", 0]),
        job_seconds=st.sampled_from([0, 40, 400]),
        reconcile=st.sampled_from([None, "1h"]),
    )
    def begin(  # noqa: PLR0917  # Hypothesis hands them in by name
        self, seed: int, start: str, baseline: bool, bulk_above: object, job_seconds: float, reconcile: str | None
    ) -> None:
        """Open an org with some leads in it, and watch it; the past comes by queries, or by jobs that take a while."""
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.world = self.do(self.stack.enter_async_context(a_world(folder, seed=seed)))
        self.sink = Notebook(self.world.machine)
        self.rng = random.Random(seed)
        jobs = self.world.org.bulk.settings
        jobs.queue_seconds, jobs.run_seconds, jobs.set_rows = job_seconds / 2, job_seconds / 2, 2
        old = [{"LastName": f"Old {n}", "Company": "Acme"} for n in range(5)]
        self.olds = self.world.org.insert_many("Lead", old)
        self.world.pass_time(3_600)
        said = {"start": start, "baseline": baseline, "bulk_above": bulk_above, "reconcile": reconcile}
        self.do(self._start(said))

    async def _start(self, said: dict[str, object]) -> None:
        await self.world.store.outbox.ensure_sinks(["notebook"])
        self._small_pages()
        await self.world.watch("Lead", every="30s", sweep_every="2m", **said)

    @rule(target=leads, which=st.integers(0, 4))
    def remember_an_old_one(self, which: int) -> str:
        """Somebody looks at a lead that was there before."""
        return self.olds[which]

    def _small_pages(self) -> None:
        """Have pages of 200 rows, the smallest that Salesforce gives, so that a few hundred rows make several."""
        self.world.small_pages()

    # ------------------------------------------------------------------ people at work

    @rule(target=leads, company=COMPANIES)
    def insert(self, company: str) -> str:
        """Somebody enters a lead."""
        return self.world.org.insert("Lead", LastName="New", Company=company)

    @rule(count=st.sampled_from([2, 250]), company=COMPANIES)
    def load(self, count: int, company: str) -> None:
        """Somebody loads many at once: one transaction, one stamp."""
        self.world.org.insert_many("Lead", [{"LastName": f"Load {n}", "Company": company} for n in range(count)])

    @rule(lead=leads, company=COMPANIES)
    def update(self, lead: str, company: str) -> None:
        """Somebody saves a lead, changed or not."""
        with suppress(ApiError):  # it may be deleted or locked
            self.world.org.update(lead, Company=company)

    @rule(lead=leads, what=st.sampled_from(["delete", "undelete", "purge", "hard_delete"]))
    def remove(self, lead: str, what: str) -> None:
        """Somebody deletes, restores, or empties the bin."""
        with suppress(ApiError):
            getattr(self.world.org, what)(lead)

    @rule(winner=leads, loser=leads)
    def merge(self, winner: str, loser: str) -> None:
        """Somebody merges two leads."""
        with suppress(ApiError):
            self.world.org.merge(winner, loser)

    @rule()
    def restamp(self) -> None:
        """Salesforce stamps every row, for its own reasons."""
        with suppress(ApiError):
            self.world.org.restamp("Lead")

    @precondition(lambda self: len(self.open) < 3)
    @rule(target=transactions)
    def begin_transaction(self) -> Transaction:
        """A long job begins."""
        self.open.append(self.world.org.begin())
        return self.open[-1]

    @rule(transaction=transactions, lead=leads, company=COMPANIES, what=st.sampled_from(["insert", "update", "delete"]))
    def work_in_transaction(self, transaction: Transaction, lead: str, company: str, what: str) -> None:
        """The long job does something that nobody can see yet."""
        if transaction not in self.open:
            return
        with suppress(ApiError):
            if what == "insert":
                transaction.insert("Lead", LastName="Slow", Company=company)
            elif what == "update":
                transaction.update(lead, Company=company)
            else:
                transaction.delete(lead)

    @rule(transaction=consumes(transactions), commit=st.booleans())
    def end_transaction(self, transaction: Transaction, commit: bool) -> None:
        """The long job ends."""
        if transaction in self.open:
            self.open.remove(transaction)
            transaction.commit() if commit else transaction.rollback()

    @rule(lead=leads, company=COMPANIES)
    def commit_late(self, lead: str, company: str) -> None:
        """A job changes a record and adds one; others are quicker, and a poll has passed its stamps when it commits."""
        job = self.world.org.begin()
        with suppress(ApiError):
            job.update(lead, Company=company)
        job.insert("Lead", LastName="Late", Company=company)
        self.world.pass_time(31)
        self.insert(company)
        self.poll(31)
        job.commit()

    @rule(seconds=st.sampled_from([0.3, 1, 7, 31, 61, 400, 7_200]))
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.world.pass_time(seconds)

    # ------------------------------------------------------------------ weather

    @rule(
        fault=st.sampled_from(WEATHER),
        path=st.sampled_from(PATHS),
        times=st.integers(1, 4),
        after=st.integers(0, 2),
    )
    def storm(self, fault: str, path: str | None, times: int, after: int) -> None:
        """Something goes wrong over there, soon."""
        self.world.org.weather.arm(fault, path=path, times=times, after=after)

    @rule()
    def clear_sky(self) -> None:
        """It passes."""
        self.world.org.weather.clear()

    @rule(lead=leads, down=st.booleans())
    def consumer_trouble(self, lead: str, down: bool) -> None:
        """The consumer is down, or does not like one record."""
        self.sink.down = down
        self.sink.failing ^= {lead}

    # ------------------------------------------------------------------ the daemon

    @rule(later=st.sampled_from([0, 1, 30, 121]))
    def poll(self, later: float) -> None:
        """The feed gets its turn."""
        self.world.pass_time(later)
        before = len(self.world.reports)
        self.do(self.world.feed().tick())
        if not self.went_back:  # else what was lost may be handed on, as it was sent: to be refused when it is settled
            self.do(handed.check(self.world.store))
        if any(isinstance(one, PollReport) and one.turn == "sweep" for one in self.world.reports[before:]):
            since = self.world._since["Lead"]
            born = {change.record_id for change in self.world.org.truth[since:] if change.kind == "created"}
            self.must_tell |= born & {str(row["Id"]) for row in self.world.org.scan("Lead", deleted=False)}

    @rule(lead=leads, what=st.sampled_from(["delete", "undelete", "merge"]), winner=leads)
    def work_and_poll(self, lead: str, what: str, winner: str) -> None:
        """Something is done that a poll sees right away; else such steps would drown in each other."""
        if what == "merge":
            self.merge(winner, lead)
        else:
            self.remove(lead, what)
        self.poll(30)

    @rule()
    def tidy(self) -> None:
        """The store is tidied up, as every hour."""
        feeds = {("acme", "Lead"): self.world._settings["Lead"]}
        keep, clock = timedelta(days=365), self.world.machine
        self.do(Upkeep(self.world.store, feeds=feeds, sinks=["notebook"], keep_events=keep, clock=clock).tidy())

    @rule()
    def deliver(self) -> None:
        """The sink gets its turn."""
        self.do(self._dispatch())

    @rule(awaits=st.integers(0, 120), later=st.sampled_from([0, 30, 121]))
    def die_polling(self, awaits: int, later: float) -> None:
        """The process dies in the middle of a turn, and is started again."""
        self.world.pass_time(later)
        self.do(self._die(self.world.feed().tick(), awaits))

    @rule(awaits=st.integers(0, 40))
    def die_delivering(self, awaits: int) -> None:
        """The process dies in the middle of a delivery round, and is started again."""
        self.do(self._die(self._dispatcher().dispatch_once(), awaits))

    async def _die(self, work: Coroutine[Any, Any, object], awaits: int) -> None:
        """Let a process die; the next one finds the bytes that were on disk at that moment, and nothing else."""
        left: list[Path] = []
        try:
            await DiesAt(work, awaits, lambda: left.append(stores.bury(self.world.path)))
        except ProcessDied:
            pass
        except StoreWentBack:
            assert left or self.went_back
        except StoreError:  # it was on its way to write something down
            assert left, "nothing else is wrong with the store"
        except BaseExceptionGroup as group:  # the network library died in a task group
            if group.subgroup(ProcessDied) is None:
                raise
        self.world.path = left[0] if left else self.world.path
        await self.world.restart(died=True)
        self._small_pages()

    @rule()
    def fall_behind(self) -> None:
        """A standby has come so far, and lacks everything that happens from now on."""
        self.standby = self.do(earlier.copied(self.world.store))

    @precondition(lambda self: self.standby is not None)
    @rule()
    def take_over(self) -> None:
        """The standby takes over between two turns, without a word."""
        self.do(self._take_over())

    @precondition(lambda self: self.standby is not None)
    @rule(commits=st.integers(1, 3), later=st.sampled_from([0, 31, 121, 400]))
    def take_over_in_a_turn(self, commits: int, later: float) -> None:
        """The standby takes over as soon as so many pages of a turn are on disk, without a word."""
        feeds, left = self.world.store.feeds, iter(range(1, commits + 1))
        commit = feeds.commit_page

        async def commits_and_is_lost(*said: Any, **page: Any) -> int:
            added = await commit(*said, **page)
            if next(left, None) == commits:
                await self._take_over()
            return added

        feeds.commit_page = commits_and_is_lost  # type: ignore[method-assign]  # the real one, and what follows on it
        try:
            self.poll(later)
        finally:
            feeds.commit_page = commit  # type: ignore[method-assign]  # as it was

    async def _take_over(self) -> None:
        assert self.standby is not None
        self.went_back = True
        await earlier.put_back(self.world.store, self.standby)

    async def _dispatch(self, dispatcher: Dispatcher | None = None) -> DispatchReport:
        """Dispatch a round; what the store handed on from memory may be lost, which is found out at its end."""
        try:
            return await (dispatcher or self._dispatcher()).dispatch_once()
        except StoreWentBack:
            assert self.went_back
            return DispatchReport("notebook", busy=True)

    def _dispatcher(self) -> Dispatcher:
        outbox = self.world.store.outbox
        return Dispatcher("notebook", SinkSettings(), self.sink, outbox, clock=self.world.machine, rng=self.rng)

    # ------------------------------------------------------------------ the end

    def teardown(self) -> None:
        """The sky clears, every transaction ends, and the oracle speaks."""
        try:
            if hasattr(self, "world"):
                self.do(self._settle())
                self._judge()
        finally:
            self.do(self.stack.aclose())
            self.runner.close()
            if hasattr(self, "world"):
                stores.forget(self.world.path)

    async def _settle(self) -> None:
        for transaction in self.open:
            transaction.commit()
        self.world.org.weather.clear()
        self.sink.down, self.sink.failing = False, set()
        self.world.pass_time(3_600)  # ids are compared, where they are
        for _ in range(12):
            self.world.pass_time(301)
            await self.world.feed().tick()
        dispatcher = self._dispatcher()
        for _ in range(500):
            report = await self._dispatch(dispatcher)
            if not report.busy and report.wait is None:
                break
            self.world.pass_time(report.wait or 0)

    def _judge(self) -> None:
        since = self.world._since["Lead"]
        truth, told = self.world.org.truth, self.sink.events()
        if self.went_back:  # what was lost may have been delivered; what is there is the truth, and was
            accepted, told = {event.id for event in told}, self.do(self.world.events())
            assert {event.id for event in told} <= accepted
        problems = judge(told, truth, WATCHED["Lead"], "Lead", since=since, must_tell=self.must_tell)
        last = f"seed {self.world.seed}, last turn {self.world.reports[-1:]}"
        assert not problems, "\n".join([last, *problems])
        assert isinstance(self.world.reports[-1], PollReport), last


def lives(examples: int) -> settings:
    """Return how many histories are tried, and that they may be long."""
    return settings(
        deadline=None, suppress_health_check=list(HealthCheck), stateful_step_count=40, max_examples=examples
    )


untidy = pytest.mark.filterwarnings(
    # A process that dies closes nothing; what it leaves open is not the house's untidiness.
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
#: An example takes a second: it opens a whole world.
EXAMPLES = max(20, settings().max_examples // 10)


@untidy
class TestLife(Life.TestCase):  # type: ignore[misc, valid-type]  # Hypothesis makes it
    """On SQLite."""

    settings = lives(EXAMPLES)


@untidy
@pytest.mark.usefixtures("stores_on_postgresql")
class TestLifeOnPostgresql(Life.TestCase):  # type: ignore[misc, valid-type]  # the same
    """A third as often: what is new here are transactions and deaths, not the org and its weather."""

    settings = lives(EXAMPLES // 3)
