"""polling/budget.py on a real store: no 24 hours ever see more calls than api_budget, and limits are given way to."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import earlier
import pytest
import stores
from fakes import FakeClock

from salesforce_poller.errors import LimitReached, StoreError
from salesforce_poller.polling import pace
from salesforce_poller.polling.budget import Budget
from salesforce_poller.polling.settings import Allowance
from salesforce_poller.salesforce.usage import Usage
from salesforce_poller.store.store import Store

pytestmark = pytest.mark.both_databases

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
FIVE_A_MINUTE = [pace.Rider(timedelta(minutes=1), 1)] * 5
DAILY = LimitReached("REQUEST_LIMIT_EXCEEDED: TotalRequests Limit exceeded.", daily=True)
CONCURRENT = LimitReached("REQUEST_LIMIT_EXCEEDED: ConcurrentPerOrgLongTxn Limit exceeded", 20.0, daily=False)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An open store."""
    async with Store(stores.url(tmp_path / "store.db")) as opened:
        yield opened


@pytest.fixture
def clock() -> FakeClock:
    """A clock to move."""
    return FakeClock(NOON)


async def a_budget(store: Store, clock: FakeClock, calls: int | None = 100, share: float = 0.0) -> Budget:
    """Open the budget of an org with five feeds."""
    allowance = Allowance(calls=calls) if calls is not None else Allowance(share=share)
    budget = Budget("acme", allowance, FIVE_A_MINUTE, calls=store.calls, clock=clock, rng=random.Random(7))
    await budget.open()
    return budget


async def spend(budget: Budget, calls: int) -> int:
    """Make as many calls of so many as may be made; returns how many."""
    for made in range(calls):
        try:
            await budget.admit("query")
        except LimitReached:
            return made
    return calls


async def test_the_budget_is_never_exceeded(store: Store, clock: FakeClock) -> None:
    """Not in one go, and not in any 24 hours, however they are laid."""
    budget = await a_budget(store, clock, calls=100)
    made: list[datetime] = []
    rng = random.Random(11)
    for _ in range(400):
        count = await spend(budget, rng.randrange(10))
        made += [clock.now()] * count
        window = [at for at in made if at > clock.now() - timedelta(hours=24)]
        assert len(window) <= 100
        clock.advance(rng.choice([1, 60, 600, 3_600]))
    assert len(made) > 300, "calls come back when they are a day old"


async def test_a_spent_budget_says_so_and_when_it_goes_on(store: Store, clock: FakeClock) -> None:
    """The first call that was made is the first that comes back."""
    budget = await a_budget(store, clock, calls=3)
    assert await spend(budget, 3) == 3
    with pytest.raises(LimitReached, match=r"api_budget is spent \(3 of 3 calls\); composite was not asked"):
        await budget.admit("composite")
    assert budget.resting
    await budget.note()
    state = (await store.calls.states())["acme"]
    assert state.pause_reason == "api_budget is spent: 3 of 3 calls in 24 hours"
    assert state.paused_until == NOON + timedelta(hours=24, minutes=1)
    clock.advance(24 * 3_600 + 61)
    assert not budget.resting
    assert await spend(budget, 5) == 3


async def test_a_restart_forgets_nothing(store: Store, clock: FakeClock) -> None:
    """Closed in good order, the ledger is exact."""
    first = await a_budget(store, clock, calls=100)
    await spend(first, 40)
    await first.close()
    clock.advance(3_600)
    assert (await a_budget(store, clock, calls=100)).spent == 40


@pytest.mark.parametrize("calls", [1, 2, 3, 10, 57, 90])
async def test_a_crash_counts_too_many_rather_than_too_few(store: Store, clock: FakeClock, calls: int) -> None:
    """Calls are on disk before they are sent, in lots; one a minute is counted exactly."""
    crashed = await a_budget(store, clock, calls=1_000)
    await spend(crashed, calls)
    after = (await a_budget(store, clock, calls=1_000)).spent
    assert calls <= after <= min(2 * calls, calls + 25)
    assert after == 1 or calls > 1


async def test_a_minutes_lot_is_made_exact_in_the_next(store: Store, clock: FakeClock) -> None:
    """What was written beforehand and not used does not stay."""
    first = await a_budget(store, clock, calls=1_000)
    await spend(first, 60)
    clock.advance(60)
    await spend(first, 1)
    assert (await a_budget(store, clock, calls=1_000)).spent == 61


async def test_few_writes_for_many_calls(store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog of a thousand pages does not wait for the disk a thousand times."""
    budget = await a_budget(store, clock, calls=10_000)
    writes = 0
    put = store.calls.put

    async def counted(*args: object, **more: object) -> None:
        nonlocal writes
        writes += 1
        await put(*args, **more)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(store.calls, "put", counted)
    await spend(budget, 1_000)
    assert writes < 60


async def test_a_share_is_of_what_the_org_says(store: Store, clock: FakeClock) -> None:
    """Before it has said anything, the smallest allocation there is; a restart remembers it."""
    budget = await a_budget(store, clock, calls=None, share=0.25)
    assert budget.limit == 3_750
    budget.heard(Usage(17, 100_000), None)
    assert budget.limit == 25_000
    await budget.close()
    assert (await a_budget(store, clock, calls=None, share=0.25)).limit == 25_000


async def test_intervals_are_stretched_evenly_as_the_budget_nears(store: Store, clock: FakeClock) -> None:
    """After a burst that took most of a day's calls, the rest is spread over the time until they come back."""
    budget = await a_budget(store, clock, calls=2_000)
    budget.reconsider()
    assert budget.stretch == 1.0
    await spend(budget, 1_500)
    budget.reconsider()
    left, needed = 2_000 * 0.98 - 1_500, 1_440
    assert budget.stretch == pytest.approx(needed / left, rel=0.06)
    await budget.note()
    state = (await store.calls.states())["acme"]
    assert state.stretched_until is not None
    assert timedelta(hours=23) < state.stretched_until - NOON <= timedelta(hours=24)
    clock.advance(24 * 3_600 + 60)
    budget.reconsider()
    assert budget.stretch == 1.0


async def test_an_org_that_is_nearly_out_is_left_alone(store: Store, clock: FakeClock) -> None:
    """At 95 % nothing is asked; after a while a few feeds look; below 90 % it goes on by itself."""
    budget = await a_budget(store, clock)
    budget.heard(Usage(14_250, 15_000), None)
    assert budget.resting
    with pytest.raises(LimitReached, match="the org has used 14250 of its 15000 API requests"):
        await budget.admit("query")
    clock.advance(901)
    assert (budget.resting, budget.probing) == (False, True)
    await budget.admit("query")
    budget.heard(Usage(14_300, 15_000), None)
    assert budget.resting, "it is not over"
    clock.advance(901)
    budget.heard(Usage(13_600, 15_000), None)
    assert budget.probing, "between the two lines it is neither"
    budget.heard(Usage(13_400, 15_000), None)
    assert (budget.resting, budget.probing) == (False, False)


async def test_the_gauge_is_not_believed_when_it_goes_backwards(store: Store, clock: FakeClock) -> None:
    """The header lags by dozens of calls and jumps; the highest of a while counts."""
    budget = await a_budget(store, clock)
    budget.heard(Usage(14_200, 15_000), None)
    budget.heard(Usage(14_190, 15_000), None)
    assert not budget.resting
    budget.heard(Usage(14_251, 15_000), None)
    clock.advance(901)
    assert budget.probing


@pytest.mark.parametrize(("error", "first", "longest"), [(DAILY, 900, 3_600), (CONCURRENT, 20, 300)])
async def test_a_limit_is_waited_out_longer_each_time(
    store: Store, clock: FakeClock, error: LimitReached, first: float, longest: float
) -> None:
    """The daily one comes back by the hour, the concurrent one with the requests that hold it."""
    budget = await a_budget(store, clock)
    waits = []
    for _ in range(8):
        budget.heard(None, error)
        began = clock.monotonic()
        while budget.resting:
            clock.advance(1)
        waits.append(clock.monotonic() - began)
    assert 0.8 * first <= waits[0] <= first + 1
    assert 0.8 * longest <= waits[-1] <= longest + 1
    assert all(later >= 0.79 * earlier for earlier, later in itertools.pairwise(waits))
    budget.heard(Usage(10, 15_000), None)
    assert not budget.probing
    clock.advance(3 * longest)
    budget.heard(None, error)
    clock.advance(first + 1)
    assert not budget.resting, "a limit that was met long ago does not lengthen the next pause"


async def test_refusals_of_requests_under_way_count_once(store: Store, clock: FakeClock) -> None:
    """Three requests at once meet the same limit."""
    budget = await a_budget(store, clock)
    for _ in range(3):
        budget.heard(None, CONCURRENT)
    clock.advance(21)
    assert not budget.resting


async def test_reading_the_past_leaves_room_for_a_day_of_polls(store: Store, clock: FakeClock) -> None:
    """What can wait does."""
    budget = await a_budget(store, clock, calls=1_500)
    assert budget.is_roomy()
    await spend(budget, 60)
    assert not budget.is_roomy()


async def test_a_good_answer_that_tells_no_usage_ends_a_pause(store: Store, clock: FakeClock) -> None:
    """Else an org behind a proxy that drops the header would be probed with a few feeds for ever."""
    budget = await a_budget(store, clock)
    budget.heard(None, CONCURRENT)
    clock.advance(21)
    assert budget.probing
    budget.heard(None, None)
    assert not budget.probing


async def test_a_limit_that_lasts_for_days_is_still_waited_out(store: Store, clock: FakeClock) -> None:
    """A thousand refusals in a row are a number like any other."""
    budget = await a_budget(store, clock)
    for _ in range(1_200):
        budget.heard(None, CONCURRENT)
        assert budget.resting
        clock.advance(301)


async def test_a_clock_that_ran_ahead_does_not_stop_the_polls_until_it_gets_there(
    store: Store, clock: FakeClock
) -> None:
    """A machine that starts in the wrong month: what it asked then counts for a day and no longer, restarts or not."""
    clock.set(NOON + timedelta(days=30))
    budget = await a_budget(store, clock, calls=100)
    await spend(budget, 98)
    clock.set(NOON)
    assert budget.spent == 98
    assert await spend(budget, 5) == 2
    assert sum((await store.calls.since("acme", 0)).values()) <= 125, "nothing is written down twice, but for a lot"
    await budget.close()
    again = await a_budget(store, clock, calls=100)
    assert again.spent == 100
    clock.advance(24 * 3_600 + 61)
    assert await spend(again, 200) == 100


async def test_a_call_that_could_not_be_written_down_does_not_let_the_next_one_pass(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, for two writes: whatever was sent is on disk before it is sent."""
    budget = await a_budget(store, clock)
    put, full, sent = store.calls.put, [True, True], 0

    async def fails_twice(*args: object, **more: object) -> None:
        if full:
            full.pop()
            raise StoreError("the store is full")
        await put(*args, **more)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(store.calls, "put", fails_twice)
    for _ in range(10):
        with suppress(StoreError):
            await budget.admit("query")
            sent += 1
        assert sum((await store.calls.since("acme", 0)).values()) >= sent
    assert sent == 8


async def test_calls_side_by_side_are_on_disk_before_they_are_sent(store: Store, clock: FakeClock) -> None:
    """Who comes while a lot is being written waits for it."""
    budget, sent = await a_budget(store, clock), 0

    async def one() -> None:
        nonlocal sent
        await budget.admit("query")
        sent += 1
        known = sent  # others are sent while this one reads
        assert sum((await store.calls.since("acme", 0)).values()) >= known

    await asyncio.gather(*(one() for _ in range(20)))
    assert sent == 20


async def test_a_crash_loop_is_not_charged_with_lots_it_never_used(store: Store, clock: FakeClock) -> None:
    """Twenty processes within a minute, two calls each: one too many for each, not 25."""
    for _ in range(20):
        await spend(await a_budget(store, clock, calls=1_000), 2)
    assert 40 <= (await a_budget(store, clock, calls=1_000)).spent <= 60


async def test_calls_that_the_store_has_forgotten_are_written_down_again(store: Store, clock: FakeClock) -> None:
    """It went back; a process that ends without a word must not leave more to spend than there is."""
    budget = await a_budget(store, clock)
    before = await earlier.copied(store)
    for _ in range(3):
        await spend(budget, 10)
        clock.advance(60)
    await earlier.put_back(store, before)
    budget.doubt()
    await spend(budget, 1)
    await budget.note()
    again = await a_budget(store, clock)
    assert again.spent >= 31
    assert (await store.calls.state("acme")).budget == budget.limit
