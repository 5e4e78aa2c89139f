"""Feeds must not burn calls and must not get stuck: bulk loads, timeouts, logs too long, calls refused for good."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs
from world import World

from salesforce_poller.errors import LoginRefused, PollerError, StoreError
from salesforce_poller.model import PollFailure, PollReport
from salesforce_poller.simulator import replication

pytestmark = pytest.mark.both_databases


async def paged_leads(world: World) -> None:
    """Watch, and have 4,000 leads in pages of 200, a hundred a second."""
    await world.watch()
    world.small_pages()
    world.pass_time(30)
    for _ in range(40):
        world.org.insert_many("Lead", [{"LastName": "L", "Company": "Acme"} for _ in range(100)])
        world.pass_time(1)
    world.pass_time(400)


@pytest.mark.parametrize("object_name", ["Lead", "LeadStatus"])
async def test_a_quiet_feed_does_not_read_its_last_bulk_load_again(world: World, object_name: str) -> None:
    """All of it is settled: a poll is one call, a sweep three at most."""
    field = {"Lead": "LastName", "LeadStatus": "MasterLabel"}[object_name]
    await world.watch(object_name, fields=[field])
    world.pass_time(30)
    more: dict[str, Any] = {"Company": "Acme"} if object_name == "Lead" else {}
    world.org.insert_many(object_name, [{field: f"L{n}", **more} for n in range(6_000)])
    for _ in range(4):
        await world.poll_after(301, object_name)
    calls = world.client.calls
    await world.poll_after(301, object_name)
    await world.poll_after(60, object_name)
    assert world.client.calls - calls <= 4


async def test_a_query_that_takes_too_long_is_cut(world: World) -> None:
    """The same question would take too long for ever."""
    await world.watch()
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    world.org.weather.arm("QUERY_TIMEOUT", path=r"queryAll\?q=(?!.*SystemModstamp <)", times=None)
    world.pass_time(301)
    await world.feed().tick()
    assert await world.kinds(record_id=lead) == ["created"]
    world.org.weather.clear()
    await world.settle()
    assert await world.judge() == []


async def test_a_backfill_that_takes_too_long_is_cut(world: World) -> None:
    """A big object from its beginning on."""
    world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(10)])
    world.pass_time(86_400)
    world.org.weather.arm("QUERY_TIMEOUT", path=r"queryAll\?q=(?!.*SystemModstamp >)", times=None)
    await world.watch(start="beginning")
    assert await world.kinds() == ["snapshot"] * 10


async def test_a_backfill_survives_a_lost_locator(world: World) -> None:
    """It goes on behind the last row that is on disk."""
    world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(5_000)])
    world.pass_time(86_400)
    world.org.weather.arm("INVALID_QUERY_LOCATOR", path="/query/0r8", times=1)
    await world.watch(start="beginning")
    assert (await world.kinds()).count("snapshot") == 5_000


async def test_locators_that_are_lost_now_and_then_do_not_stop_a_long_read(world: World) -> None:
    """Only those without a step forward count."""
    await paged_leads(world)
    for _ in range(12):
        world.org.weather.arm("INVALID_QUERY_LOCATOR", path="/query/0r8", times=1)
    await world.poll()
    assert (await world.kinds()).count("created") == 4_000
    assert await world.judge() == []


async def test_a_sweep_that_fails_late_each_time_gets_to_its_end(world: World) -> None:
    """What it has read it need not read again."""
    await paged_leads(world)
    for _ in range(6):
        world.org.weather.clear()
        world.org.weather.arm("SERVER_UNAVAILABLE", path="/query/0r8", after=15, times=1)
        world.pass_time(301)
        await world.feed().tick()
    marks = await world.store.feeds.watermarks("acme", "Lead")
    assert marks is not None
    assert world.org.clock.now() - marks.settled_through < timedelta(minutes=15)


async def test_a_delete_log_with_too_many_ids_is_asked_for_less(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """EXCEEDED_ID_LIMIT: half of the span, then the rest."""
    monkeypatch.setattr(replication.deleted, "__kwdefaults__", {"most": 100})
    await world.watch()
    leads = world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(150)])
    await world.poll_after(60)
    for half in (leads[:75], leads[75:]):
        for lead in half:
            world.org.hard_delete(lead)
        world.pass_time(150)
    for _ in range(6):
        await world.poll_after(301)
    assert (await world.kinds()).count("deleted") == 150
    assert await world.judge() == []


async def test_a_mass_stamp_larger_than_getupdated_can_list(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 600,000 rows within two minutes must not stop the sweeps."""
    monkeypatch.setattr(replication.updated, "__kwdefaults__", {"most": 100})
    await world.watch()
    world.pass_time(30)
    world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(150)])
    lead = world.org.insert("Lead", LastName="Gone", Company="Acme")
    await world.poll_after(60)
    world.org.hard_delete(lead)
    await world.settle()
    assert await world.kinds(record_id=lead) == ["created", "deleted"]


async def test_one_purged_log_is_one_gap(world: World) -> None:
    """Also while a long transaction holds latestDateCovered back."""
    await world.watch()
    world.pass_time(3_600)
    slow = world.org.begin()
    slow.insert("Lead", LastName="Slow", Company="Acme")
    world.pass_time(3_600)
    world.org.hard_delete(world.org.insert("Lead", LastName="X", Company="Acme"))
    world.org.storage.purge_delete_log()
    for _ in range(6):
        await world.poll_after(301)
    slow.commit()
    await world.settle()
    assert len(await world.gaps()) == 1


async def test_rows_that_moved_while_they_were_read_hide_no_others_from_the_next_poll(world: World) -> None:
    """A page shows stamps from after its query was opened; the next poll must not begin there."""
    await world.watch(sweep_every="1d")
    world.pass_time(30)
    leads = world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(2_500)])
    world.pass_time(60)
    feed = world.feed()
    original = feed._intake._decide
    fresh: list[str] = []

    async def decide(*args: Any, **kwargs: Any) -> Any:
        if not fresh:
            world.pass_time(5)
            fresh.append(world.org.insert("Lead", LastName="Fresh", Company="Acme"))
            world.pass_time(30)
            for lead in leads:
                world.org.update(lead, Company="Moved")
        return await original(*args, **kwargs)

    feed._intake._decide = decide  # type: ignore[method-assign]  # something happens in the org between two pages
    await feed.turn()
    await world.poll_after(60)
    assert await world.kinds(record_id=fresh[0]) == ["created"]


async def test_a_feed_begins_though_its_replication_calls_are_refused(world: World) -> None:
    """Without sweeps it is worse than with them, and much better than nothing."""
    world.org.weather.arm("INSUFFICIENT_ACCESS", path="/updated", times=None)
    await world.watch()
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    await world.poll_after(60)
    assert await world.kinds(record_id=lead) == ["created"]


async def test_a_start_that_works_at_the_second_try_forgets_the_first(world: World) -> None:
    """A refusal that has passed must neither be told any more nor cost the start its delete log."""
    world.org.weather.arm("INSUFFICIENT_ACCESS", path="/updated", times=1)
    world.org.weather.arm("SERVER_UNAVAILABLE", path="queryAll", times=1)
    with pytest.raises(PollerError):
        await world.watch()
    world.pass_time(60)
    await world.feed().tick()
    [health] = await world.store.feeds.health()
    assert health.last_error == ""


async def test_a_refused_replication_call_is_probed_rarely(world: World) -> None:
    """A person must mend it; until then every try costs a call."""
    await world.watch(sweep_every="1h")
    world.org.weather.arm("INSUFFICIENT_ACCESS", path="/updated", times=None)
    world.pass_time(3_600)
    calls = world.client.calls
    for _ in range(60):
        world.pass_time(60)
        await world.feed().tick()
    assert world.client.calls - calls <= 60 + 12 + 2


async def test_a_limit_met_in_a_sweep_is_respected_by_the_polls(world: World) -> None:
    """Whoever asks for patience would not like a poll any better."""
    await world.watch()
    world.org.weather.arm("REQUEST_LIMIT_EXCEEDED", path="/updated", times=None)
    world.pass_time(300)
    calls = world.client.calls
    for _ in range(15):
        world.pass_time(60)
        await world.feed().tick()
    assert world.client.calls - calls <= 5


async def test_a_describe_that_fails_now_and_then_does_not_stop_the_polls(world: World) -> None:
    """There is a schema to go on with; that describe fails is said once, and that it works again."""
    await world.watch()
    world.org.weather.arm("UNKNOWN_EXCEPTION", path="/describe", times=None)
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    with capture_logs() as logs:
        for seconds in (3_700, 301, 301):
            await world.poll_after(seconds)
        assert await world.kinds(record_id=lead) == ["created"]
        world.org.weather.clear()
        await world.poll_after(301)
    told = [line["event"] for line in logs if line["event"].startswith("feed.describe")]
    assert told == ["feed.describe_failed", "feed.describe_works"]


async def test_a_login_that_is_refused_stops_the_turn(world: World) -> None:
    """Nothing works without it, and nobody is hammered."""
    await world.watch()
    world.org.expire_sessions()
    world.org.weather.arm("OAUTH_INVALID_CLIENT", times=None)
    world.pass_time(301)
    with pytest.raises(LoginRefused, match="invalid client credentials") as refused:
        await world.poll()
    assert "client_secret" in refused.value.facts.advice


async def test_a_full_disk_at_the_end_of_a_turn_is_this_feeds_affair(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is on disk; that it went well is not. The feed rests, and nobody else hears of it."""
    fleet = await world.gather({"Lead": {}, "Contact": {}})
    await world.sail(fleet, 60)
    note = world.store.feeds.note_success

    async def full(org: str, object_name: str, at: datetime) -> None:
        if object_name == "Lead":
            raise StoreError("the store is full")
        await note(org, object_name, at)

    monkeypatch.setattr(world.store.feeds, "note_success", full)
    world.reports.clear()
    await world.sail(fleet, 60)
    assert {(report.object, type(report)) for report in world.reports} == {
        ("Lead", PollFailure),
        ("Contact", PollReport),
    }


@pytest.mark.parametrize("held_back", [False, True])
async def test_an_hourly_feed_does_not_lose_its_hour_to_a_bad_moment(world: World, held_back: bool) -> None:
    """A server that is not there, or a limit that passes: it is asked again as soon as the pause is over."""
    fleet = await world.gather({"Lead": {"every": "1h"}})
    trouble = "CONCURRENT_LIMIT_EXCEEDED" if held_back else "SERVER_UNAVAILABLE"
    world.org.weather.arm(trouble, path="/describe", times=1)
    await world.sail(fleet, 300)
    assert [report.object for report in world.reports if isinstance(report, PollReport)] == ["Lead"]
    before = world.client.calls
    await world.sail(fleet, 3_000)
    assert world.client.calls == before, "and then the hour is its own again"


async def test_an_hourly_feed_that_is_refused_is_asked_as_rarely_as_any(world: World) -> None:
    """A person must mend it: every five minutes, as its failure says."""
    fleet = await world.gather({"Lead": {"every": "1h"}})
    await world.sail(fleet, 60)
    world.org.weather.arm("INVALID_TYPE", path="FROM Lead", times=None)
    await world.sail(fleet, 2 * 3_600)
    failed = [report for report in world.reports if isinstance(report, PollFailure)]
    assert 10 <= len(failed) <= 25
