"""A feed that starts from the past of a large object: a job reads it, beside the polls, and nothing falls between."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import stores
import structlog
from mortal import DiesAt, ProcessDied
from world import World

from salesforce_poller.admin.upkeep import Upkeep
from salesforce_poller.errors import PollerError, Stopped, StoreError
from salesforce_poller.model import Kind, Watermarks
from salesforce_poller.polling import backfill
from salesforce_poller.salesforce.transport import NoAnswer

pytestmark = pytest.mark.both_databases

WAITING: dict[str, Any] = {"start": "beginning", "bulk_above": 0}


async def marks_of(world: World) -> Watermarks:
    """Return how far the feed is."""
    marks = await world.store.feeds.watermarks("acme", "Lead")
    assert marks is not None
    return marks


def some_leads(world: World, count: int = 10) -> list[str]:
    """Have leads that were there long before the feed."""
    leads = world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Old"} for n in range(count)])
    world.pass_time(3_600)
    return leads


def slow_jobs(world: World, *, queue: float = 0.0, run: float = 0.0, page: int = 50_000) -> None:
    """Have jobs that take their time, and pages of so many rows."""
    settings = world.org.bulk.settings
    settings.queue_seconds, settings.run_seconds, settings.set_rows = queue, run, page


async def until_done(world: World, turns: int = 20) -> None:
    """Poll every minute until the past is read."""
    for _ in range(turns):
        await world.poll_after(60)
        if (await marks_of(world)).backfill_done:
            return
    raise AssertionError("the past is not read yet")


async def snapshots(world: World) -> Counter[str]:
    """Count the snapshots of each record."""
    return Counter(str(event.record_id) for event in await world.events() if event.kind is Kind.SNAPSHOT)


async def test_more_than_fifty_thousand_records_are_read_by_a_job(world: World) -> None:
    """By default; REST would need 26 calls for these rows, and pages of a job have more."""
    world.patience = 60.0  # the org answers in the loop in which ten thousand rows at a time are put into the store
    await world.restart()
    world.org.insert_many("Lead", [{"LastName": "L", "Company": "Old"} for _ in range(50_001)])
    world.pass_time(3_600)
    await world.watch(start="beginning", fields=["LastName"], every="10m")
    await until_done(world)
    assert (await snapshots(world)).total() == 50_001
    kinds = world.client.calls_by_kind
    assert (kinds["record_count"], kinds["bulk_results"], kinds["page"]) == (1, 6, 0)
    assert kinds["bulk_job"] == 3, "created, looked at once, deleted"


async def test_fewer_are_read_by_queries(world: World) -> None:
    """A job would take longer, and cost more."""
    some_leads(world)
    await world.watch(start="beginning", bulk_above=10)
    assert (await snapshots(world)).total() == 10
    assert world.client.calls_by_kind["bulk_job"] == 0
    assert (await marks_of(world)).backfill_rows == 10


async def test_never_means_never(world: World) -> None:
    """Nobody even counts."""
    some_leads(world)
    await world.watch(start="beginning", bulk_above="never")
    assert (await snapshots(world)).total() == 10
    assert world.client.calls_by_kind["record_count"] == 0


@pytest.mark.parametrize("start", ["beginning", "a time", "baseline"])
async def test_a_job_tells_what_queries_tell(world: World, start: str) -> None:
    """The same events with the same ids, and the same memory, whether rows come by Bulk or by REST."""
    leads = some_leads(world)
    world.org.delete(leads[0])
    world.org.merge(leads[1], leads[2])
    world.pass_time(3_600)
    cases: dict[str, dict[str, Any]] = {
        "beginning": {"start": "beginning"},
        "a time": {"start": (world.org.clock.now() - timedelta(minutes=90)).isoformat()},
        "baseline": {"baseline": True},
    }
    said = cases[start]
    await world.watch(**said, bulk_above=0)
    await until_done(world)
    assert world.client.calls_by_kind["bulk_results"] == 1
    by_bulk = {(event.id, event.kind, str(event.record)) for event in await world.events()}
    remembered = await world.store.feeds.sightings("acme", "Lead", leads)
    await world.end()
    stores.forget(world.path)
    await world.start(world._url)
    await world.watch(**said, bulk_above="never")
    assert {(event.id, event.kind, str(event.record)) for event in await world.events()} == by_bulk
    assert await world.store.feeds.sightings("acme", "Lead", leads) == remembered


@pytest.mark.parametrize("moment", ["before the job", "in the queue", "while it runs", "after it ran", "after all"])
async def test_what_commits_late_at_the_seam_is_told_once(world: World, moment: str) -> None:
    """A transaction that is open at the start, with older stamps, and commits at the worst of moments."""
    leads = some_leads(world)
    slow = world.org.begin()
    slow.update(leads[0], Company="Late")
    late = slow.insert("Lead", LastName="Late", Company="Acme")
    slow.delete(leads[1])
    world.pass_time(90)
    slow_jobs(world, queue=100, run=100)
    if moment == "before the job":
        world.org.weather.arm("SERVER_UNAVAILABLE", path="/jobs/query", times=1)
        with pytest.raises(PollerError):
            await world.watch(**WAITING)
        slow.commit()
    else:
        await world.watch(**WAITING)
    wait = {"in the queue": 50, "while it runs": 150, "after it ran": 250}.get(moment)
    if wait:
        world.pass_time(wait)
        slow.commit()
    await until_done(world)
    if moment == "after all":
        slow.commit()
    await world.settle()
    assert await world.judge() == []
    assert late in {event.record_id for event in await world.events()}
    assert sum((await snapshots(world)).values()) >= 8
    assert max((await snapshots(world)).values()) == 1


@pytest.mark.parametrize("polled", [True, False], ids=["polled in between", "unpolled"])
@pytest.mark.parametrize("moment", [50, 150, 250], ids=["in the queue", "while it runs", "after it ran"])
async def test_copies_that_are_outdated_when_they_are_read_say_nothing(world: World, moment: int, polled: bool) -> None:
    """Everything happens to records between the start of the feed and the reading of the job's results."""
    leads = some_leads(world)
    world.org.delete(leads[9])
    world.pass_time(300)
    slow_jobs(world, queue=100, run=100)
    await world.watch(**WAITING)
    world.pass_time(moment)
    world.org.update(leads[0], Company="New")
    world.org.delete(leads[1])
    world.org.delete(leads[2])
    world.org.undelete(leads[2])
    world.org.hard_delete(leads[3])
    world.org.merge(leads[4], leads[5])
    world.org.update(leads[6], Company="New")
    world.org.update(leads[6], Company="Old")
    world.org.undelete(leads[9])
    if polled:
        world.org.weather.arm("SERVER_UNAVAILABLE", path="/jobs/query", times=1)
        world.pass_time(301)
        with pytest.raises(PollerError):
            await world.poll()
    await until_done(world)
    await world.settle()
    assert await world.judge() == []
    assert {leads[7], leads[8]} <= (await snapshots(world)).keys()


async def test_what_is_forgotten_soon_is_not_forgotten_while_a_job_is_read(world: World) -> None:
    """An old copy must be known as old, also when it is read days later and `remember` is an hour."""
    leads = some_leads(world)
    await world.watch(**WAITING, remember="1h")
    world.org.update(leads[0], Company="New")
    world.org.weather.arm("SERVER_UNAVAILABLE", path="/jobs/query", times=None)
    feeds = {("acme", "Lead"): world._settings["Lead"]}
    upkeep = Upkeep(world.store, feeds=feeds, sinks=[], keep_events=timedelta(days=9), clock=world.machine)
    for _ in range(3):
        world.pass_time(86_400)
        await world.feed().tick()
        await upkeep.tidy()
    world.org.weather.clear()
    await until_done(world)
    assert await world.kinds(record_id=leads[0]) == ["updated"]
    assert await world.judge() == []


async def test_a_process_that_is_stopped_between_pages_goes_on_with_the_next(world: World) -> None:
    """The job and the place in its results are on disk with the page."""
    leads = some_leads(world, 95)
    slow_jobs(world, page=10)
    await world.watch(**WAITING)
    for page in range(1, 6):
        world.stop.set()
        with pytest.raises(Stopped):  # at the first commit, which is the poll's; the next run gets further
            await world.poll_after(60)
        await world.restart()
        world.stop.clear()
        world.budget.is_roomy = lambda: False  # type: ignore[method-assign]  # a page a turn
        await world.poll_after(60)
        assert (await marks_of(world)).backfill_rows == 10 * page
        await world.restart()
    await until_done(world)
    assert await snapshots(world) == Counter(leads)
    assert world.client.calls_by_kind["bulk_results"] <= 5, "the last five pages"
    assert not world.org.bulk.all(), "and the job is cleared away"


@pytest.mark.parametrize("what", ["vanishes", "fails", "is aborted"])
async def test_a_job_that_is_lost_is_created_anew_and_nothing_is_told_twice(world: World, what: str) -> None:
    """From its beginning; rows come twice, events do not."""
    leads = some_leads(world, 30)
    slow_jobs(world, page=10)
    world.budget.is_roomy = lambda: False  # type: ignore[method-assign]  # a page a turn
    if what == "fails":
        world.org.bulk.settings.failure = "QUERY_TIMEOUT: too complicated"
    if what == "is aborted":
        slow_jobs(world, queue=1_000, page=10)
    await world.watch(**WAITING)
    [job] = world.org.bulk.all()
    slow_jobs(world, page=10)
    if what == "vanishes":
        await world.poll_after(60)
        assert (await marks_of(world)).backfill_rows == 10
        world.pass_time(8 * 86_400)
    if what == "is aborted":
        world.org.bulk.abort(job)
    world.org.bulk.settings.failure = None
    await until_done(world)
    assert await snapshots(world) == Counter(leads)
    assert world.client.calls_by_kind["query"] < 15, "not by REST"
    assert world.client.calls_by_kind["record_count"] == 2
    assert await world.judge() == []


async def test_after_two_lost_jobs_queries_take_over(world: World) -> None:
    """A job that fails once may have had bad luck."""
    leads = some_leads(world)
    world.org.bulk.settings.failure = "UNKNOWN: no luck"
    await world.watch(**WAITING)
    with structlog.testing.capture_logs() as logs:
        await until_done(world)
    assert await snapshots(world) == Counter(leads)
    assert [line["again_by"] for line in logs if line["event"] == "feed.job_lost"] == ["Bulk", "REST"]


@pytest.mark.parametrize("why", ["uncounted", "unsupported", "restricted", "too many jobs", "a type"])
async def test_what_bulk_refuses_is_read_by_queries_and_said_once(
    world: World, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the job was possible and its values would not come out right."""
    leads = some_leads(world, 5_000)
    settings = world.org.bulk.settings
    if why == "uncounted":
        world.org.weather.arm("INSUFFICIENT_ACCESS", path="/limits/recordCount", times=None)
    elif why == "unsupported":
        settings.unsupported.add("Lead")
    elif why == "restricted":
        settings.restricted.add("Lead")
    elif why == "too many jobs":
        monkeypatch.setattr(settings, "jobs_a_day", 0)
    else:
        monkeypatch.setattr("salesforce_poller.salesforce.bulk._READERS", {})
    world.budget.is_roomy = lambda: False  # type: ignore[method-assign]  # a page a turn
    with structlog.testing.capture_logs() as logs:
        await world.watch(**WAITING)
        await until_done(world)
    assert await snapshots(world) == Counter(leads)
    assert len([line for line in logs if line["event"] == "feed.bulk_refused"]) == 1
    assert world.client.calls_by_kind["record_count"] == 1


async def test_while_a_job_runs_polls_go_on_and_ask_for_it_rarely(world: World) -> None:
    """A turn asks once at the most, and ever less often, and never follows upon itself."""
    leads = some_leads(world)
    slow_jobs(world, run=3_600)
    await world.watch(**WAITING, every="1s", sweep_every="1h")
    fresh = world.org.insert("Lead", LastName="Fresh", Company="Acme")
    before = world.client.calls_by_kind["bulk_job"]
    for _ in range(120):
        world.pass_time(1)
        await world.feed().tick()
    assert world.client.calls_by_kind["bulk_job"] - before <= 10
    assert len(world.reports) == 120
    assert await world.kinds(record_id=fresh) == ["created"]
    world.pass_time(3_600)
    await world.feed().tick()
    assert await snapshots(world) == Counter(leads)


async def test_progress_is_told(world: World) -> None:
    """Rows, percent and calls, in the log and in the store; a hundred per cent only at the end."""
    some_leads(world, 100)
    slow_jobs(world, page=10)
    world.budget.is_roomy = lambda: False  # type: ignore[method-assign]  # a page a turn
    with structlog.testing.capture_logs() as logs:
        await world.watch(**WAITING)
        for _ in range(3):
            await world.poll_after(60)
        marks = await marks_of(world)
        assert (marks.backfill_rows, marks.backfill_total, marks.backfill_percent) == (30, 100, 30)
        await until_done(world)
    told: list[Any] = [line for line in logs if line["event"] == "feed.backfill"]
    assert (told[2]["rows"], told[2]["total"], told[2]["percent"], told[2]["calls"]) == (30, 100, 30, 6)
    assert (told[-1]["percent"], told[-1]["done"], told[-1]["by"]) == (100, True, "Bulk")
    assert [line["done"] for line in told].count(True) == 1


async def test_a_field_that_is_hidden_while_the_job_runs_is_dropped(world: World) -> None:
    """The job has a column more than is asked for by now; the rest is read."""
    leads = some_leads(world)
    slow_jobs(world, run=3_500)
    await world.watch(**WAITING)
    world.org.hide_field("Lead", "Email")
    world.pass_time(3_700)
    await until_done(world)
    assert await snapshots(world) == Counter(leads)


async def test_an_object_that_is_not_replicateable_is_read_by_a_job_as_well(world: World) -> None:
    """Without getUpdated, and even without IsDeleted."""
    world.org.bulk.settings.unsupported.discard("LeadStatus")
    world.pass_time(3_600)
    await world.watch("LeadStatus", fields=["MasterLabel"], **WAITING)
    await world.poll_after(60, "LeadStatus")
    assert await world.kinds("LeadStatus") == ["snapshot"] * 4
    assert world.client.calls_by_kind["bulk_results"] == 1


async def test_who_reads_a_job_holds_up_nobody_who_rides_with_it(world: World) -> None:
    """Jobs share no calls; the polls that go with them still do."""
    leads = some_leads(world)
    slow_jobs(world, run=200, page=3)
    fleet = await world.gather({"Lead": WAITING, "Contact": {}, "Account": {}})
    for _ in range(8):
        async with asyncio.timeout(30):
            await world.sail(fleet, 60)
        world.org.insert("Contact", LastName="Okoro")
    assert await snapshots(world) == Counter(leads)
    assert (await world.kinds("Contact")).count("created") == 7
    assert world.client.calls_by_kind["composite"] >= 6


async def test_pages_that_do_not_get_through_become_smaller(world: World) -> None:
    """What was too much once would be too much again."""
    leads = some_leads(world)
    world.org.weather.arm("TRUNCATED_BODY", path="/results", times=2)
    await world.watch(**WAITING)
    for _ in range(2):
        with pytest.raises(NoAnswer):
            await world.poll_after(60)
    await until_done(world)
    assert await snapshots(world) == Counter(leads)
    assert world.feed()._backfill._job._most_rows == 2_500


@pytest.mark.filterwarnings(
    # A process that dies closes nothing; what it leaves open is not the house's untidiness.
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
async def test_a_process_that_dies_anywhere_in_a_page_loses_and_repeats_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at ever later moments of a turn, between all transactions of a page; people work on meanwhile."""
    monkeypatch.setattr(backfill, "ROWS_AT_ONCE", 3)
    leads = some_leads(world, 120)
    slow_jobs(world, page=10)
    await world.watch(**WAITING)
    rows: list[int] = []
    # A page is a transaction for three rows; in a file each is awaited once, on a server at each of its statements.
    for awaits in range(100, 190, 12) if stores.on_postgresql() else range(24, 60, 2):
        world.pass_time(61)
        world.org.update(leads[awaits // 3], Company=f"Changed {awaits}")
        left: list[Path] = []

        def bury(left: list[Path] = left) -> None:
            left.append(stores.bury(world.path))

        world.budget.is_roomy = lambda: False  # type: ignore[method-assign]  # a page a turn
        try:
            await DiesAt(world.feed().tick(), awaits, bury)
        except ProcessDied:
            pass
        except StoreError:  # it was on its way to write something down
            assert left
        except BaseExceptionGroup as group:  # the network library died in a task group
            if group.subgroup(ProcessDied) is None:
                raise
        world.path = left[0] if left else world.path
        await world.restart(died=True)
        rows.append((await marks_of(world)).backfill_rows)
    assert rows[0] == 0, "it died before the first page was on disk"
    assert len(rows) > rows[-1] / 10 > 1, "and later on with and without a page"
    await until_done(world)
    await world.settle()
    assert await world.judge() == []
    told = {str(event.record_id) for event in await world.events()}
    assert told == set(leads)
    assert max((await snapshots(world)).values()) == 1
