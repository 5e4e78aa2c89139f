"""admin/metrics.py and what it is made of: tally.py counts, gauges.py measures, lookout.py looks once for all."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from builders import NOON
from fakes import FakeClock
from prometheus_client.parser import text_string_to_metric_families

from salesforce_poller.admin import gauges, meters
from salesforce_poller.admin.lookout import FRESH, Lookout, OrgNow, Running
from salesforce_poller.admin.metrics import Metrics
from salesforce_poller.admin.tally import Tally
from salesforce_poller.errors import StoreError
from salesforce_poller.model import DispatchReport, PollFailure, PollReport
from salesforce_poller.spread import Spread
from salesforce_poller.store.survey import FeedStanding, SinkStanding, Survey, Surveys

MINUTE = timedelta(minutes=1)
FEEDS = {("acme", "Lead"): MINUTE, ("acme", "Case"): MINUTE, ("beta", "Lead"): 5 * MINUTE}
NOTHING = Survey({}, {}, frozenset(), {})
A_SINK = SinkStanding("crm", 0, 0, 0, None, "", False, None, None)  # as the store's row has it


def a_feed(org: str = "acme", name: str = "Lead", ago: float = 30, *, failing: bool = False) -> FeedStanding:
    """Return a feed whose last good turn was so many seconds before noon."""
    return FeedStanding(org, name, NOON - timedelta(seconds=ago), NOON - timedelta(seconds=90), failing)


@dataclass
class FakeSurveys(Surveys):
    """A store that counts the looks at it."""

    seen: Survey = NOTHING
    looks: int = 0
    fails: bool = False
    under_way: int = 0

    async def take(self) -> Survey:
        """Look once; never two at a time."""
        self.looks += 1
        self.under_way += 1
        assert self.under_way == 1
        await asyncio.sleep(0)  # noqa: TID251  # a turn of the loop, not a wait
        self.under_way -= 1
        if self.fails:
            raise StoreError("the disk is gone")
        return self.seen


@dataclass
class House:
    """Metrics over a fake store, with what is configured and runs."""

    clock: FakeClock = field(default_factory=lambda: FakeClock(NOON))
    surveys: FakeSurveys = field(default_factory=FakeSurveys)
    tally: Tally = field(default_factory=Tally)
    feeds: Mapping[tuple[str, str], timedelta] = field(default_factory=lambda: dict(FEEDS))
    sinks: list[str] = field(default_factory=lambda: ["crm"])
    orgs: list[OrgNow] = field(default_factory=list)
    held: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        running = Running(lambda: self.feeds, lambda: self.sinks, lambda: self.orgs, lambda: self.held)
        self.lookout = Lookout(self.surveys, running, self.clock)
        self.metrics = Metrics(self.tally, self.lookout, self.clock, version="1.2.3")

    async def scrape(self) -> dict[str, float]:
        """Return every series of the page as it stands there, with its value."""
        page = (await self.metrics.page()).decode()
        found = {}
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
                series = f"{sample.name.removeprefix(meters.PREFIX)}{{{labels}}}"
                assert series not in found
                found[series] = sample.value
        return found


def spread_of(*values: float, of: Spread) -> Spread:
    """Return these values, counted as ``of`` counts them."""
    for value in values:
        of.add(value)
    return of


async def test_what_feeds_report_is_counted() -> None:
    """Turns by outcome, rows, events by kind, gaps, and how late changes were."""
    house = House()
    report = PollReport("acme", "Lead", "sweep", 3, {"created": 2, "gap": 1})
    spread_of(0.5, 2.0, 7.5, of=report.delays)
    spread_of(7.5, of=report.late)
    half = PollFailure("acme", "Lead", "HTTP 503", 1.0, permanent=False)
    for one in (report, replace(report, half=half), half):
        house.tally.polled(one)
    seen = await house.scrape()
    assert {
        series: seen[series] for series in seen if "acme" in series and series.startswith(("turns", "gaps", "rows"))
    } == {
        "turns_total{org=acme,outcome=ok}": 1,
        "turns_total{org=acme,outcome=half}": 1,
        "turns_total{org=acme,outcome=failed}": 1,
        "gaps_total{org=acme}": 2,
        "rows_total{object=Lead,org=acme}": 6,
    }
    assert seen["events_total{kind=created,object=Lead,org=acme}"] == 4
    assert seen["late_arrival_seconds_count{object=Lead,org=acme}"] == 2
    assert seen["late_arrival_seconds_sum{object=Lead,org=acme}"] == 15
    assert seen["feed_visibility_lag_seconds_count{object=Lead,org=acme}"] == 6
    ranges = [seen[f"visibility_lag_seconds_bucket{{le={bound},org=acme}}"] for bound in ("1.0", "2.0", "5.0", "+Inf")]
    assert ranges == [2, 4, 4, 6]


async def test_what_sinks_report_is_counted() -> None:
    """Deliveries by outcome, zeros included, and how long sends took."""
    house = House()
    report = DispatchReport("crm", delivered=5, retried=2, dead=1)
    spread_of(0.02, 80.0, of=report.sends)
    for _ in range(2):
        house.tally.dispatched(report)
    seen = await house.scrape()
    outcomes = {
        one: seen[f"deliveries_total{{outcome={one},sink=crm}}"] for one in ("accepted", "retried", "dead", "filtered")
    }
    assert outcomes == {"accepted": 10, "retried": 4, "dead": 2, "filtered": 0}
    assert seen["delivery_seconds_bucket{le=60.0,sink=crm}"] == 2
    assert seen["delivery_seconds_bucket{le=+Inf,sink=crm}"] == 4


async def test_no_sum_goes_down() -> None:
    """An org's clocks differ by parts of a second; Prometheus takes a sum that goes down for a new process."""
    house = House()
    report = PollReport("acme", "Lead", "poll", 1, {"created": 1})
    spread_of(-0.5, of=report.delays)
    house.tally.polled(report)
    seen = await house.scrape()
    assert seen["visibility_lag_seconds_sum{org=acme}"] == 0
    assert seen["visibility_lag_seconds_count{org=acme}"] == 1


async def test_calls_are_counted_by_kind() -> None:
    """As the meter tells of them."""
    house = House()
    for kind in ("composite", "composite", "describe"):
        house.tally.called("acme", kind)
    seen = await house.scrape()
    assert seen["api_calls_total{kind=composite,org=acme}"] == 2
    assert seen["api_calls_total{kind=describe,org=acme}"] == 1


async def test_feeds_stand_as_the_store_tells() -> None:
    """Lag, interval, age of what is settled, and how many feeds stand how; clocks that differ are reckoned with."""
    house = House()
    house.orgs = [OrgNow("acme", 10, 100, 1.0, paused=False, skew=timedelta(seconds=20))]
    known = {("acme", "Lead"): a_feed(), ("acme", "Case"): a_feed(name="Case", failing=True), ("acme", "Old"): a_feed()}
    house.surveys.seen = Survey(known, {}, frozenset({("acme", "Case")}), {"acme": 2.0})
    seen = await house.scrape()
    assert seen["feed_lag_seconds{object=Lead,org=acme}"] == 30
    assert "feed_lag_seconds{object=Case,org=acme}" not in seen, "a person paused it"
    assert seen["feed_interval_seconds{object=Lead,org=acme}"] == 120
    assert seen["feed_settled_age_seconds{object=Lead,org=acme}"] == 110
    assert seen["feeds{kind=ok,org=acme}"] == 1
    assert seen["feeds{kind=paused,org=acme}"] == 1
    assert seen["feeds{kind=unread,org=beta}"] == 1
    assert not any("Old" in series for series in seen), "it is not in the configuration any more"


@pytest.mark.parametrize(
    ("feed", "kind"),
    [
        (None, "unread"),
        (replace(a_feed(), polled_at=None), "unread"),
        (a_feed(ago=240), "ok"),
        (a_feed(ago=241), "behind"),
        (a_feed(ago=1000, failing=True), "failing"),
        (a_feed(ago=-5), "ok"),
    ],
)
def test_a_feed_is_of_one_kind(feed: FeedStanding | None, kind: str) -> None:
    """Behind is a minute and three intervals; a clock that was set back is no trouble."""
    known = {("acme", "Lead"): feed} if feed else {}
    count = gauges.OfFeeds()
    count.add(("acme", "Lead"), MINUTE, Survey(known, {}, frozenset(), {}), {}, NOON)
    values = count.values()
    assert [labels[1] for labels, count in values[meters.FEEDS] if count] == [kind]
    assert all(value >= 0 for _, value in values[meters.FEED_LAG])


@pytest.mark.parametrize(
    ("sink", "kind"),
    [
        (A_SINK, "ok"),
        (replace(A_SINK, failing_since=NOON), "failing"),
        (replace(A_SINK, failing_since=NOON, down_since=NOON), "down"),
        (replace(A_SINK, failing_since=NOON, paused="410"), "switched_off"),
        (replace(A_SINK, paused="maintenance", paused_by_person=True), "paused"),
    ],
)
def test_a_sink_is_in_one_state(sink: SinkStanding, kind: str) -> None:
    """And in all others not."""
    values = gauges.of_sinks(["crm"], Survey({}, {"crm": sink}, frozenset(), {}), NOON)[meters.SINK_STATE]
    assert [labels[1] for labels, value in values if value] == [kind]
    assert len(values) == 5


async def test_sinks_stand_as_the_store_tells() -> None:
    """Backlog, the oldest of it, parked and dead; only those that are configured."""
    house = House()
    crm = replace(A_SINK, behind=7, parked=2, dead=1, oldest=NOON - MINUTE)
    house.surveys.seen = Survey({}, {"crm": crm, "gone": replace(A_SINK, name="gone")}, frozenset(), {})
    seen = await house.scrape()
    told = ("backlog_events", "oldest_undelivered_seconds", "parked_deliveries", "dead_deliveries")
    assert [seen[f"{name}{{sink=crm}}"] for name in told] == [7, 60, 2, 1]
    assert not any("gone" in series for series in seen)


async def test_orgs_and_leases_stand_as_they_run() -> None:
    """Of the orgs that this process polls; what should be held stands beside what is."""
    house = House(held={"org": 1})
    house.orgs = [
        OrgNow("acme", 90, 100, 2.5, paused=True, skew=timedelta(seconds=-1.5)),
        OrgNow("beta", 0, 100, 1.0, paused=False, skew=None),
    ]
    seen = await house.scrape()
    told = ("budget_used_calls", "budget_limit_calls", "stretch_ratio", "org_paused", "clock_skew_seconds")
    assert [seen[f"{name}{{org=acme}}"] for name in told] == [90, 100, 2.5, 1, -1.5]
    assert "clock_skew_seconds{org=beta}" not in seen, "it has not answered yet"
    assert [seen[f"leases_{what}{{kind={kind}}}"] for what in ("held", "wanted") for kind in ("org", "sink")] == [
        1, 0, 2, 1,
    ]  # fmt: skip


async def test_a_page_is_made_once_however_many_ask() -> None:
    """And the store is looked at once for it; some seconds later both are done anew."""
    house = House()
    pages = await asyncio.gather(*(house.metrics.page() for _ in range(5)))
    assert (len(set(pages)), house.surveys.looks) == (1, 1)
    house.tally.called("acme", "query")
    assert await house.metrics.page() == pages[0]
    house.clock.advance(FRESH)
    assert (await house.scrape())["api_calls_total{kind=query,org=acme}"] == 1
    assert house.surveys.looks == 2


async def test_a_store_that_fails_is_told_and_hides_nothing_else() -> None:
    """Whoever watches must hear of it; a scrape that fails would say less."""
    house = House()
    house.tally.called("acme", "query")
    house.surveys.fails = True
    seen = await house.scrape()
    assert seen["store_up{}"] == 0
    assert seen["api_calls_total{kind=query,org=acme}"] == 1
    assert not any(series.startswith("feed_lag") for series in seen)
    house.surveys.fails = False
    house.clock.advance(FRESH)
    assert (await house.scrape())["store_up{}"] == 1


async def test_who_left_the_configuration_leaves_the_page() -> None:
    """With all counts: customers come and go, and labels would pile up."""
    house = House()
    report = PollReport("acme", "Lead", "poll", 1, {"created": 1, "gap": 1})
    spread_of(1.0, of=report.delays)
    spread_of(1.0, of=report.late)
    house.tally.polled(report)
    sent = DispatchReport("crm", delivered=1)
    spread_of(1.0, of=sent.sends)
    house.tally.dispatched(sent)
    house.tally.called("acme", "query")
    assert any("acme" in series for series in await house.scrape())
    house.feeds, house.sinks = {("beta", "Lead"): MINUTE}, ["log"]
    house.clock.advance(FRESH)
    assert [series for series in await house.scrape() if "acme" in series or "crm" in series] == []


async def test_who_leaves_does_not_come_back_by_what_it_still_had_in_hand() -> None:
    """An org ends its page and a sink its sends after the new configuration is in effect, and they tell of it."""
    house = House()
    await house.scrape()
    house.feeds, house.sinks = {("beta", "Lead"): MINUTE}, ["log"]
    house.clock.advance(FRESH)
    await house.scrape()
    house.tally.polled(PollReport("acme", "Lead", "poll", 1, {"created": 1}))
    house.tally.dispatched(DispatchReport("crm", delivered=1))
    house.tally.called("acme", "query")
    for _ in range(2):  # whoever looks first a minute later, or every few seconds
        house.clock.advance(60)
        seen = await house.scrape()
    assert [series for series in seen if "acme" in series or "crm" in series] == []


async def test_every_metric_of_the_table_stands_in_the_page_and_no_other() -> None:
    """With its type, its help and its labels; beside them those of the process."""
    house = House()
    page = (await house.metrics.page()).decode()
    families = {family.name: family for family in text_string_to_metric_families(page)}
    ours = {name for name in families if name.startswith(meters.PREFIX)}
    assert ours == {meter.name.removesuffix("_total") for meter in meters.METERS}
    for meter in meters.METERS:
        family = families[meter.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (meter.type, meter.help)
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(meter.labels)
    if sys.platform == "linux":  # elsewhere prometheus_client has nothing to tell
        assert {"process_resident_memory_bytes", "process_open_fds"} <= families.keys()
    assert families.keys() - ours == {name for name in families if name.startswith("process_")}


def test_names_and_units_are_as_prometheus_wants_them() -> None:
    """Counters end with _total and nothing else does; base units; labels from one short list."""
    for meter in meters.METERS:
        assert (meter.type == "counter") is meter.name.endswith("_total"), meter.name
        assert not meter.name.endswith(("_ms", "_minutes", "_percent", "_count", "_sum", "_bucket")), meter.name
        assert set(meter.labels) <= {"org", "object", "sink", "kind", "outcome", "python", "version"}, meter.name
    assert len({meter.name for meter in meters.METERS}) == len(meters.METERS)


async def test_the_summary_tells_of_everything_that_is_configured() -> None:
    """Backlog of all sinks, the oldest of it, and the feeds that are behind, paused ones left out."""
    house = House(sinks=["crm", "log"])
    assert await house.lookout.summary() == {"backlog": 0, "oldest_undelivered_s": None, "feeds_behind": 3}
    sinks = {
        "crm": replace(A_SINK, behind=7, parked=2, oldest=NOON - MINUTE),
        "log": replace(A_SINK, name="log", behind=1, oldest=NOON - 2 * MINUTE),
        "gone": replace(A_SINK, name="gone", behind=99, oldest=NOON - 9 * MINUTE),
    }
    known = {("acme", "Lead"): a_feed(), ("acme", "Case"): a_feed(name="Case", ago=9_999)}
    house.surveys.seen = Survey(known, sinks, frozenset({("beta", "Lead")}), {})
    house.clock.advance(FRESH)
    told = await house.lookout.summary()
    assert told == {"backlog": 10, "oldest_undelivered_s": 125, "feeds_behind": 1}


async def test_names_may_have_any_letters() -> None:
    """What would end a label or a line is written otherwise, and read back as it was."""
    name = 'a "quoted"\\ name\nof 100 %'
    house = House(feeds={(name, "Lead"): MINUTE})
    assert (await house.scrape())[f"feed_interval_seconds{{object=Lead,org={name}}}"] == 60


async def test_others_have_their_turn_while_a_page_is_written() -> None:
    """With thousands of feeds it is written in many parts; what is counted meanwhile does no harm."""
    house = House(feeds={(f"org{number}", "Lead"): MINUTE for number in range(3_000)})
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)  # noqa: TID251  # a turn of the loop, not a wait
            turns += 1
            house.tally.called(f"org{turns}", "query")

    counting = asyncio.create_task(count())
    seen = await house.scrape()
    counting.cancel()
    assert len([series for series in seen if series.startswith("feed_interval_seconds")]) == 3_000
    assert turns >= 20
