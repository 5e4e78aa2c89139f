"""store/leases.py, on a real PostgreSQL: one process at a time works for an org, and a stale one writes nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import earlier
import pytest
import stores
from builders import NOON, an_event
from fakes import FakeClock
from polling_builders import some_marks
from pydantic import SecretStr
from servers import Server
from sqlalchemy import text

from salesforce_poller.actions.desk import Desk
from salesforce_poller.actions.present import Present
from salesforce_poller.admin.upkeep import Upkeep
from salesforce_poller.errors import LeaseLost, NotNow, StoreWentBack
from salesforce_poller.model import Duty, Lease
from salesforce_poller.store.leases import Process
from salesforce_poller.store.postgresql import Postgresql
from salesforce_poller.store.store import Faces, Store
from salesforce_poller.store.versions import NEVER, Step

ACME, BETA, CRM = Duty("org", "acme"), Duty("org", "beta"), Duty("sink", "crm")
ANN, BOB = Process("ann", "host-a", 1, "same"), Process("bob", "host-b", 2, "same")
SPAN = timedelta(seconds=30)
OVER = timedelta(seconds=-1)


@pytest.fixture
def where(tmp_path: Path, store_server: Server) -> Iterator[str]:
    """Where the store is."""
    with stores.stores_in(store_server):
        yield stores.url(tmp_path / "store.db")


@pytest.fixture
async def two(where: str) -> AsyncIterator[tuple[Store, Store]]:
    """Two processes on one store: Ann's and Bob's."""
    async with AsyncExitStack() as stack:
        ann, bob = [await stack.enter_async_context(Store(where)) for _ in range(2)]
        await ann.leases.beat(ANN, SPAN)
        await bob.leases.beat(BOB, SPAN)
        await ann.leases.look([ACME, BETA, CRM])
        yield ann, bob


async def write(faces: Faces, event_id: str) -> None:
    """Commit a page with one event."""
    page = [an_event(id=event_id)]
    await faces.feeds.commit_page("acme", "Lead", events=page, sightings=[], marks=some_marks(), at=NOON)


async def written(store: Store) -> list[str]:
    """Return the ids of all events, oldest first."""
    return [event.id for _, event in await store.outbox.events()][::-1]


async def test_what_is_held_cannot_be_taken(two: tuple[Store, Store]) -> None:
    """Of two who reach for the same, each has what the other has not."""
    ann, bob = two
    reached = await asyncio.gather(ann.leases.take(ANN, [ACME, BETA, CRM]), bob.leases.take(BOB, [ACME, BETA, CRM]))
    await asyncio.gather(ann.leases.take(ANN, [ACME, BETA, CRM]), bob.leases.take(BOB, [ACME, BETA, CRM]))
    _, table = await ann.leases.standing()
    assert {one.lease.duty for one in table if one.taken} == {ACME, BETA, CRM}
    assert not {one.duty for one in reached[0]} & {one.duty for one in reached[1]}


async def test_who_holds_a_lease_writes_and_nobody_else(two: tuple[Store, Store]) -> None:
    """Another process, another fence and another org are refused alike."""
    ann, bob = two
    [lease] = await ann.leases.take(ANN, [ACME])
    await write(ann.under(lease), "1")
    for other in (
        Lease(ACME, "bob", lease.fence),
        Lease(ACME, "ann", lease.fence + 1),
        Lease(BETA, "ann", lease.fence),
    ):
        with pytest.raises(LeaseLost, match="nothing was written"):
            await write(bob.under(other), "2")
    assert await written(ann) == ["1"]


async def test_who_is_not_heard_of_is_replaced_and_writes_nothing_any_more(two: tuple[Store, Store]) -> None:
    """Not before it is replaced, and not after; nor when it says again that it is alive."""
    ann, bob = two
    [lease] = await ann.leases.take(ANN, [ACME])
    assert await bob.leases.take(BOB, [ACME]) == []
    await ann.leases.beat(ANN, OVER)
    with pytest.raises(LeaseLost):
        await write(ann.under(lease), "1")
    [taken] = await bob.leases.take(BOB, [ACME])
    assert (taken.holder, taken.fence) == ("bob", lease.fence + 1)
    await ann.leases.beat(ANN, SPAN)
    with pytest.raises(LeaseLost):
        await write(ann.under(lease), "2")
    await write(bob.under(taken), "3")
    assert await written(ann) == ["3"]


async def test_a_number_that_is_given_out_twice_is_of_two_different_leases(two: tuple[Store, Store]) -> None:
    """The standby does not know of Ann's, and gives Bob the same number: only his counts, also once he gave it back."""
    ann, bob = two
    before = await earlier.copied(ann)
    [lost] = await ann.leases.take(ANN, [ACME])
    await write(ann.under(lost), "1")
    await earlier.put_back(ann, before)
    [taken] = await bob.leases.take(BOB, [ACME])
    assert (taken.holder, taken.fence) == ("bob", lost.fence)
    with pytest.raises(LeaseLost):
        await write(ann.under(lost), "2")
    await write(bob.under(taken), "3")
    await bob.leases.give_back([taken])
    with pytest.raises(LeaseLost):
        await write(ann.under(lost), "4")
    [anew] = await ann.leases.take(ANN, [ACME])
    assert anew.fence == lost.fence + 1
    assert await written(ann) == ["3"]


async def test_who_takes_the_same_number_again_does_not_build_on_what_was_lost(two: tuple[Store, Store]) -> None:
    """Its lease looks as if it had never been away; what it remembers of the feed was never there."""
    ann, _ = two
    before = await earlier.copied(ann)
    [lost] = await ann.leases.take(ANN, [ACME])
    feeds, step = ann.under(lost).feeds, Step.after(NEVER)
    page: dict[str, Any] = {"sightings": [], "marks": some_marks(), "at": NOON}
    await feeds.commit_page("acme", "Lead", events=[an_event(id="1")], step=step, **page)
    await earlier.put_back(ann, before)
    assert await ann.leases.take(ANN, [ACME]) == [lost]
    with pytest.raises(StoreWentBack):
        await feeds.commit_page("acme", "Lead", events=[an_event(id="2")], step=Step.after(step.becomes), **page)
    assert await written(ann) == []


async def test_one_that_slept_and_was_not_replaced_goes_on(two: tuple[Store, Store]) -> None:
    """Nobody has written in its place."""
    ann, _ = two
    [lease] = await ann.leases.take(ANN, [ACME])
    await ann.leases.beat(ANN, OVER)
    await ann.leases.beat(ANN, SPAN)
    await write(ann.under(lease), "1")
    assert await written(ann) == ["1"]


async def test_nobody_is_replaced_in_the_middle_of_writing(two: tuple[Store, Store]) -> None:
    """Between the proof and the commit the lease stays where it is, whatever the clock says."""
    ann, bob = two
    [lease] = await ann.leases.take(ANN, [ACME])
    async with ann.under(lease).feeds._database.write():
        await ann.leases.beat(ANN, OVER)
        assert await bob.leases.take(BOB, [ACME]) == [], "it is passed over, and nobody waits"
    assert [one.duty for one in await bob.leases.take(BOB, [ACME])] == [ACME]


async def test_who_stands_still_in_the_middle_of_writing_is_cut_off(two: tuple[Store, Store]) -> None:
    """The server ends the transaction of a process that sleeps; else its lease could never be taken."""
    ann, bob = two
    [lease] = await ann.leases.take(ANN, [ACME])
    faces = ann.under(lease)
    assert isinstance(ann._door, Postgresql)
    asleep = await ann._door.connect()
    await asleep.execute("SET idle_in_transaction_session_timeout = 50")  # the daemon's is five seconds
    await asleep.execute("BEGIN")
    await asleep.execute("SELECT 1 FROM leases WHERE kind = 'org' AND name = 'acme' FOR SHARE")
    await ann.leases.beat(ANN, OVER)
    lost = asyncio.Event()
    asleep.add_termination_listener(lambda _connection: lost.set())
    await lost.wait()
    [taken] = await bob.leases.take(BOB, [ACME])
    with pytest.raises(asyncpg.InterfaceError):
        await asleep.execute("COMMIT")
    with pytest.raises(LeaseLost):
        await write(faces, "1")
    assert taken.fence == lease.fence + 1


async def test_who_stands_still_in_the_middle_of_a_command_is_cut_off_by_whoever_takes_its_place(
    two: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the server it is at work, however long: it has asked what a statement is like, and never carries it out."""
    ann, bob = two
    [lease] = await ann.leases.take(ANN, [ACME])
    assert isinstance(ann._door, Postgresql)
    asleep = await ann._door.connect()
    await asleep.execute("BEGIN; SELECT 1 FROM leases WHERE kind = 'org' AND name = 'acme' FOR SHARE")
    await asleep.prepare("SELECT 1 FROM leases WHERE name = $1")
    lost = asyncio.Event()
    asleep.add_termination_listener(lambda _connection: lost.set())
    await ann.leases.beat(ANN, OVER)
    assert await bob.leases.take(BOB, [ACME]) == [], "it has not stood still for long"
    assert not asleep.is_closed()
    monkeypatch.setattr("salesforce_poller.store.leases.STANDSTILL", timedelta())
    assert await bob.leases.take(BOB, [ACME]) == []
    async with asyncio.timeout(60):
        await lost.wait()
    [taken] = await bob.leases.take(BOB, [ACME])
    assert taken.fence == lease.fence + 1


async def test_what_is_given_back_is_free_at_once_and_only_if_it_was_ours(two: tuple[Store, Store]) -> None:
    """By exact fence: what another one took meanwhile stays its own."""
    ann, bob = two
    [lease] = await ann.leases.take(ANN, [ACME])
    await ann.leases.give_back([lease])
    [taken] = await bob.leases.take(BOB, [ACME])
    await ann.leases.give_back([lease])
    assert await ann.leases.take(ANN, [ACME]) == []
    await bob.leases.leave(BOB)
    assert [one.fence for one in await ann.leases.take(ANN, [ACME])] == [taken.fence + 1]


async def test_who_leaves_is_forgotten_and_who_vanished_is_seen_for_a_while(two: tuple[Store, Store]) -> None:
    """`status` tells of a process that ended without a word."""
    ann, bob = two
    await bob.leases.beat(BOB, OVER)
    seen, _ = await ann.leases.look([ACME])
    assert {one.process.id: one.alive for one in seen} == {"ann": True, "bob": False}
    await bob.leases.leave(BOB)
    seen, _ = await ann.leases.look([ACME])
    assert [one.process for one in seen] == [ANN]


async def test_who_is_not_alive_takes_nothing(two: tuple[Store, Store]) -> None:
    """Else it would hold what it may not use, and everybody else would take it from it at once."""
    ann, _ = two
    await ann.leases.beat(ANN, OVER)
    assert await ann.leases.take(ANN, [ACME]) == []


async def test_a_new_refresh_token_is_kept_whoever_holds_the_lease_by_then(where: str) -> None:
    """The old one ended when Salesforce answered: without the new one nobody would ever be let in again."""
    keys = [SecretStr("p" * 43 + "=")]
    async with Store(where, keys=keys) as ann:
        await ann.leases.beat(ANN, SPAN)
        await ann.leases.look([ACME])
        [lease] = await ann.leases.take(ANN, [ACME])
        keeper = ann.under(lease).secrets.keeper("acme", FakeClock())
        assert await keeper.load() is None
        await ann.leases.give_back([lease])
        await keeper.save("second")
        assert await keeper.load() == "second"
        await keeper.save("third")
        assert await ann.secrets.load("acme", "refresh_token") == "third"


async def test_a_refresh_token_that_came_late_does_not_replace_a_newer_one(where: str) -> None:
    """Who slept with it in hand wakes up when another process, or a person, has put a newer one there."""
    keys = [SecretStr("p" * 43 + "=")]
    async with Store(where, keys=keys) as ann:
        late, in_time = (ann.secrets.keeper("acme", FakeClock()) for _ in range(2))
        for newest in ("first", "second"):
            assert await late.load() == await in_time.load()
            await in_time.save(newest)
            await late.save("late")
            assert await in_time.load() == newest


async def test_a_refresh_token_that_was_lost_with_a_server_is_kept_once_more(where: str) -> None:
    """The store has one that Salesforce has ended since, and nobody but who was given the new one knows of that."""
    async with Store(where, keys=[SecretStr("p" * 43 + "=")]) as ann:
        keeper = ann.secrets.keeper("acme", FakeClock())
        assert await keeper.load() is None
        nothing = await earlier.copied(ann)
        for newest in ("first", "second"):
            await keeper.save(newest)
            assert await keeper.load() == newest
        for lost in (nothing, await earlier.copied(ann)):
            await keeper.save("third")
            await earlier.put_back(ann, lost)
            assert await keeper.load() == "third"
            assert await ann.secrets.load("acme", "refresh_token") == "third"
            await earlier.put_back(ann, lost)
            await keeper.save("fourth")
            assert await ann.secrets.load("acme", "refresh_token") == "fourth"
            await keeper.load()


async def test_what_a_sink_of_another_configuration_is_owed_is_not_tidied_away(two: tuple[Store, Store]) -> None:
    """While a new configuration is rolled out, the process that tidies may not know of a sink that another one has."""
    ann, bob = two
    [held] = await bob.leases.take(BOB, [CRM])
    [polling] = await bob.leases.take(BOB, [ACME])
    await bob.outbox.ensure_sinks(["crm", "lake"])
    await write(bob.under(polling), "1")
    [lake] = await ann.outbox.read("lake", 10)
    await ann.outbox.settle(replace(await ann.outbox.sink("lake"), cursor=lake.position))
    clock = FakeClock(NOON + timedelta(days=30))
    upkeep = Upkeep(ann, feeds={}, sinks=["lake"], keep_events=timedelta(days=7), clock=clock)
    await upkeep.tidy()
    assert await written(ann) == ["1"], "it is at work"
    await bob.leases.give_back([held])
    await upkeep.tidy()
    assert await written(ann) == ["1"], "it was until a moment ago"
    async with ann._database.write() as connection:
        await connection.execute(text("UPDATE leases SET since = since - 8 * 86400000"))
    await upkeep.tidy()
    assert await written(ann) == [], "it is gone for good"


class Idle:
    """A daemon that polls nothing at the moment. Satisfies ``actions/desk.py:Poller``."""

    def polls(self, org: str) -> bool:
        """Say no."""
        return False

    async def poll(self, org: str, object_name: str) -> bool | None:
        """Is not asked to."""
        raise AssertionError(f"{org}/{object_name} is not polled here")


async def test_a_poll_is_asked_for_only_where_somebody_would_hear_of_it(where: str) -> None:
    """The answer says whether no daemon is there at all, or none that works for the org at this moment."""
    async with Store(where) as store:
        desk = Desk(store, present=Present([("acme", "Lead")], {}), clock=FakeClock())
        await store.leases.look([ACME])
        with pytest.raises(NotNow, match="no daemon is running on this store"):
            await desk.take("feeds/acme/Lead/poll", {})
        daemon = Desk(store, present=Present([("acme", "Lead")], {}), clock=FakeClock(), poller=Idle())
        with pytest.raises(NotNow, match="no daemon polls acme at the moment"):  # who has just begun is a daemon, too
            await daemon.take("feeds/acme/Lead/poll", {})
        await store.leases.beat(ANN, SPAN)
        with pytest.raises(NotNow, match="no daemon polls acme at the moment"):
            await desk.take("feeds/acme/Lead/poll", {})
        await store.leases.take(ANN, [ACME])
        assert (await desk.take("feeds/acme/Lead/poll", {}))["done"] is False
        await store.leases.beat(ANN, OVER)
        with pytest.raises(NotNow, match="no daemon is running on this store"):
            await desk.take("feeds/acme/Lead/poll", {})
