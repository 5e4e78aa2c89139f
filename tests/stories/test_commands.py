"""What commands show: a check in green and red, a status that hides nothing, objects, events, a sample."""

import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest
import stores
from consumer import Consumer, a_consumer
from world import World

from salesforce_poller import config, views
from salesforce_poller.actions import orders
from salesforce_poller.commands import events
from salesforce_poller.errors import ConfigError, NotKnown
from salesforce_poller.polling.settings import Allowance
from salesforce_poller.salesforce import trouble_table

pytestmark = pytest.mark.both_databases

CONFIG = """
[store]
url = "{store}"
[orgs.acme]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
[orgs.acme.objects.Lead]
fields = ["LastName", "Company", "Status", "Email"]
[orgs.acme.objects.Contact]
fields = ["LastName", "Shoe_Size__c"]
[sinks.hook]
type = "webhook"
url = "{hook}"
"""


@pytest.fixture
async def consumer() -> AsyncIterator[Consumer]:
    """A consumer that takes everything."""
    async with a_consumer() as made:
        yield made


@pytest.fixture
def settings(world: World, consumer: Consumer, tmp_path: Path) -> config.Config:
    """The configuration of this world's org and consumer, on the world's store."""
    return config.parse(CONFIG.format(store=stores.url(tmp_path / "store.db"), url=world._url, hook=consumer.url), {})


async def test_check_tells_good_from_bad(
    world: World, settings: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """A field that cannot be read makes the whole not ready; the rest is told all the same."""
    assert not await views.show_findings(settings, clock=world.machine, as_json=True)
    told = orjson.loads(capsys.readouterr().out)
    marks = {(one["about"], one["mark"]) for one in told["findings"]}
    assert {("acme", "good"), ("acme/Lead", "good"), ("acme/Contact", "bad"), ("sink hook", "good")} <= marks
    assert any("Shoe_Size__c" in one["text"] for one in told["findings"])
    assert told["calls_per_day"] == {"acme": 1_465}


async def test_check_names_the_permission_that_is_missing(
    world: World, settings: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the object, on the field, for the API, for the limits; the last one is only a note."""
    world.org.access.object("Lead", visible=False, now=world.org.clock.now())
    world.org.weather.arm("INSUFFICIENT_ACCESS", path="/limits")
    assert not await views.show_findings(settings, clock=world.machine, as_json=True)
    told = [(one["about"], one["mark"], one["text"]) for one in orjson.loads(capsys.readouterr().out)["findings"]]
    [lead] = [text for about, mark, text in told if (about, mark) == ("acme/Lead", "bad")]
    assert (
        "Missing, if its name is right: Read on Lead for the integration user (permission set → Object Settings → Lead)"
        in lead
    )
    assert f"See {trouble_table.OBJECTS}" in lead
    [contact] = [text for about, mark, text in told if (about, mark) == ("acme/Contact", "bad")]
    assert "Read Access on Shoe_Size__c" in contact
    assert "Object Settings → Contact → Field Permissions" in contact
    [limits] = [text for about, mark, text in told if (about, mark) == ("acme", "note")]
    assert '"View Setup and Configuration"' in limits
    world.org.weather.arm("API_CURRENTLY_DISABLED", times=None)
    assert not await views.show_findings(settings, clock=world.machine, as_json=False)
    assert 'Missing: "API Enabled" for the integration user' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("auth", "fault", "told"),
    [
        ('auth = "access_token"\naccess_token = "00D000000000001!over"', None, "put a new access_token into"),
        (None, "API_DISABLED_FOR_ORG", "the API comes with Enterprise, Unlimited, Performance and Developer Edition"),
    ],
)
async def test_check_says_once_that_a_whole_org_is_closed(
    world: World,
    settings: config.Config,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    auth: str | None,
    fault: str | None,
    told: str,
) -> None:
    """Not once for each object, and not as a missing permission on the limits, which are asked for first."""
    if auth:
        text = CONFIG.format(store=stores.url(tmp_path / "store.db"), url=world._url, hook="http://127.0.0.1:1")
        settings = config.parse(re.sub(r"client_id.*\nclient_secret.*", auth, text), {})
    if fault:
        world.org.weather.arm(fault, times=None)
    assert not await views.show_findings(settings, clock=world.machine, as_json=True)
    findings = orjson.loads(capsys.readouterr().out)["findings"]
    [bad] = [one["text"] for one in findings if one["about"].startswith("acme") and one["mark"] != "good"]
    assert told in bad
    assert "View Setup" not in bad


async def test_check_tells_of_fields_that_a_sink_will_never_be_sent(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Because no feed of this sink reads them; of a sink whose feeds are not all known nothing is told."""
    text = CONFIG.format(store=stores.url(tmp_path / "store.db"), url=world._url, hook="http://127.0.0.1:1").replace(
        "[sinks.hook]", '[sinks.hook]\nobjects = ["Lead"]\nfields = ["lastname", "Owner.Name", "Nmae", "Email"]'
    )
    await views.show_findings(config.parse(text, {}), clock=world.machine, as_json=True)
    findings = orjson.loads(capsys.readouterr().out)["findings"]
    [told] = [one for one in findings if one["about"] == "sink hook" and "fields" in one["text"]]
    assert (told["mark"], told["text"]) == ("bad", "fields: no feed of this sink reads Owner.Name, Nmae")
    world.org.access.object("Lead", visible=False, now=world.org.clock.now())
    await views.show_findings(config.parse(text, {}), clock=world.machine, as_json=True)
    assert "no feed of this sink" not in capsys.readouterr().out


async def test_check_refuses_an_org_that_the_daemon_would_refuse(
    world: World, settings: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refreshed sandbox has the same address; what is in the store is not about it."""
    await world.watch("Lead")
    await world.poll()
    known, world.org.organization_id = world.org.organization_id, "00D000000000ZZZEA2"
    world.org.sessions.expire()
    assert not await views.show_findings(settings, clock=world.machine, as_json=True)
    findings = orjson.loads(capsys.readouterr().out)["findings"]
    [told] = [one for one in findings if one["about"].startswith("acme")]
    assert told["mark"] == "bad"
    assert f"this is organisation 00D000000000ZZZEA2 now, and was {known}" in told["text"]
    assert "give the org another name in the configuration" in told["text"]


@pytest.mark.sqlite_only("it spoils the file")
async def test_check_goes_on_where_the_store_cannot_be_read(
    world: World, settings: config.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It then says that it cannot compare; `run` will say more."""
    await world.end()
    (tmp_path / "store.db").write_bytes(b"no database at all, but long enough to be taken for something")
    await views.show_findings(settings, clock=world.machine, as_json=True)
    findings = orjson.loads(capsys.readouterr().out)["findings"]
    told = [(one["mark"], one["text"]) for one in findings if one["about"] == "acme"]
    assert told[0][0] == "note"
    assert "the org that was read before cannot be told: cannot use the store" in told[0][1]
    assert told[1][0] == "good"


async def test_status_says_what_is_wrong_and_what_to_do(
    world: World, settings: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """In which org and object, since when, what Salesforce said, what to do, and its own page; also for programs."""
    await world.watch("Lead")
    world.org.access.object("Lead", visible=False, now=world.org.clock.now())
    began = world.machine.now()
    await world.feed().tick()
    world.pass_time(90)
    await views.show_status(settings, clock=world.machine, as_json=True)
    [told] = orjson.loads(capsys.readouterr().out)["troubles"]
    assert (told["org"], told["object"], told["name"]) == ("acme", "Lead", "INVALID_TYPE")
    assert datetime.fromisoformat(told["since"]) == began
    assert told["help"] == trouble_table.OBJECTS
    await views.show_status(settings, clock=world.machine, as_json=False)
    shown = capsys.readouterr().out
    assert "✗ acme/Lead: INVALID_TYPE:" in shown
    assert "(1m 30s). What happens: pause the feed and probe it." in shown
    assert f"What to do: {told['what_to_do']}." in shown
    assert trouble_table.OBJECTS in shown


async def test_a_refused_login_is_one_trouble_of_the_org(
    world: World, settings: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not one of each feed, and known before any feed was ever read."""
    world.org.weather.arm("OAUTH_APP_BLOCKED", times=None)
    for name in ("Lead", "Contact"):
        world._settings[name] = settings.orgs["acme"].objects[name]
        await world.feed(name).tick()
    await views.show_status(settings, clock=world.machine, as_json=True)
    [told] = orjson.loads(capsys.readouterr().out)["troubles"]
    assert (told["org"], told["object"], told["name"]) == ("acme", None, "LOGIN_APP_BLOCKED")


async def test_check_explains_a_refused_login(
    world: World, settings: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """What Salesforce said, and what to do about it."""
    world.org.weather.arm("OAUTH_NO_RUN_AS_USER", times=None)
    assert not await views.show_findings(settings, clock=world.machine, as_json=False)
    assert "set a Run As user" in capsys.readouterr().out


async def test_check_says_which_intervals_would_fit(
    world: World, settings: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """A configuration that cannot keep to its budget is not ready, and need not be guessed at."""
    acme = settings.orgs["acme"].model_copy(update={"api_budget": Allowance(calls=500)})
    tight = settings.model_copy(update={"orgs": {"acme": acme}})
    assert not await views.show_findings(tight, clock=world.machine, as_json=True)
    findings = orjson.loads(capsys.readouterr().out)["findings"]
    [told] = [one for one in findings if "api_budget" in one["text"]]
    assert told["mark"] == "bad"
    assert "about 1,465 calls a day; api_budget allows 500" in told["text"]
    assert 'this `every` would fit: Lead "5m", Contact "5m"' in told["text"]


async def test_status_tells_what_orgs_were_asked(
    world: World, settings: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """Our calls, the budget, what the org says of everybody, and whether intervals are stretched or polls paused."""
    fleet = await world.gather({"Lead": {}}, api_budget=400)
    await world.sail(fleet, 300)
    capsys.readouterr()
    await views.show_status(settings, clock=world.machine, as_json=True)
    [acme] = orjson.loads(capsys.readouterr().out)["orgs"]
    assert world.client.calls <= acme["calls"] <= world.client.calls + 25, "written in lots, before they are made"
    assert (acme["budget"], acme["allowed"]) == (400, 15_000)
    assert acme["stretch"] == pytest.approx(1_440 / (0.98 * 400 - 25), rel=0.06)
    world.org.meter.set_usage(14_900, 15_000, world.org.clock.now())
    world.org.meter.lag = timedelta(0)
    await world.sail(fleet, 300)
    await views.show_status(settings, clock=world.machine, as_json=False)
    assert "paused until" in capsys.readouterr().out


async def test_status_shows_how_far_the_past_is_read(
    world: World, settings: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """Records, about how many there are, and per cent; for people and for programs."""
    world.org.insert_many("Lead", [{"LastName": f"L{n}", "Company": "Acme"} for n in range(60)])
    world.pass_time(3_600)
    world.org.bulk.settings.set_rows = 12
    world.budget.is_roomy = lambda: False  # type: ignore[method-assign]  # a page a turn
    await world.watch("Lead", start="beginning", bulk_above=0)
    await world.poll_after(60)
    await views.show_status(settings, clock=world.machine, as_json=False)
    assert "acme/Lead: 12 of about 60 records from before its start are read (20 %)" in capsys.readouterr().out
    await views.show_status(settings, clock=world.machine, as_json=True)
    marks = orjson.loads(capsys.readouterr().out)["feeds"][0]["marks"]
    assert (marks["backfill_rows"], marks["backfill_total"]) == (12, 60)


async def test_status_hides_neither_unread_feeds_nor_new_sinks(
    world: World, settings: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is configured and has never worked is the first thing to know."""
    await world.watch("Lead")
    await views.show_status(settings, clock=world.machine, as_json=True)
    told = orjson.loads(capsys.readouterr().out)
    assert [feed["object"] for feed in told["feeds"]] == ["Lead"]
    assert (told["unread"], told["new_sinks"]) == (["acme/Contact"], ["hook"])
    await views.show_status(settings, clock=world.machine, as_json=False)
    shown = capsys.readouterr().out
    assert "not read yet" in shown
    assert "new: begins with the next run" in shown


async def test_events_are_found_by_what_one_knows_of_them(
    world: World, settings: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kind and record; as CloudEvents for programs, oldest first."""
    await world.watch("Lead")
    lead = world.org.insert("Lead", LastName="Ng", Company="Acme")
    world.org.insert("Lead", LastName="Other", Company="Acme")
    await world.poll_after(60)
    world.org.update(lead, Company="New")
    await world.poll_after(60)
    as_json, for_people = events.Printer(as_json=True), events.Printer(ids=True)
    everything = orders.read(orders.Look, {"record": lead[:15]})
    await events.show_events(settings, everything, as_json, clock=world.machine)
    told = [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["data"]["kind"] for one in told] == ["created", "updated"]
    updated = orders.read(orders.Look, {"org": "acme", "object": "lead", "kind": "updated", "since": "30s"})
    await events.show_events(settings, updated, for_people, clock=world.machine)
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith(told[1]["id"])
    assert "Acme → New" in line
    before = orders.read(orders.Look, {"until": "30s"})
    await events.show_events(settings, before, for_people, clock=world.machine)
    assert capsys.readouterr().out.count("created") == 2
    with pytest.raises(NotKnown, match="no org named nobody; there is acme"):
        await events.show_events(settings, orders.read(orders.Look, {"org": "nobody"}), as_json, clock=world.machine)


async def test_objects_says_how_each_can_be_polled(
    world: World, settings: config.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """LeadStatus is not replicateable, leads can be merged."""
    await views.show_objects(settings, "acme", clock=world.machine, as_json=True)
    how = {one["name"]: one["how"] for one in orjson.loads(capsys.readouterr().out)}
    assert (how["Lead"], how["LeadStatus"]) == ("changes, deletes, merges", "changes, soft deletes")
    with pytest.raises(ConfigError, match="no org named nobody"):
        await views.show_objects(settings, "nobody", clock=world.machine, as_json=True)


async def test_a_sample_arrives_and_its_answer_is_told(
    world: World, settings: config.Config, consumer: Consumer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Plainly no real event."""
    assert await views.send_sample(settings, "hook", clock=world.machine)
    assert [got["data"]["org"] for got in consumer.accepted] == ["sample"]
    assert "accepted 202" in capsys.readouterr().out
    consumer.down = True
    assert not await views.send_sample(settings, "hook", clock=world.machine)
