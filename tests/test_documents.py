"""What users read first is true: README, the other pages, and config.example.toml, held against the program itself."""

import ast
import itertools
import json
import re
import shlex
import threading
import tomllib
from collections.abc import Iterator, Mapping
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import trouble_page
import typer
from builders import a_delivery
from certificates import Certificates
from config_examples import GOOD
from credentials import A_KEY, a_secret_key
from pydantic import BaseModel

from salesforce_poller import check, cli, config, views
from salesforce_poller.admin import meters
from salesforce_poller.admin.settings import HttpSettings
from salesforce_poller.clock import SystemClock
from salesforce_poller.delivery import envelope
from salesforce_poller.model import Alert, Gap, Kind, Verdict
from salesforce_poller.polling import forecast
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.salesforce.settings import FLOWS
from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org
from salesforce_poller.sinks.base import SinkSettings
from salesforce_poller.sinks.catalogue import KINDS, word_of
from salesforce_poller.sinks.webhook import Webhook, WebhookSettings
from salesforce_poller.store.settings import StoreSettings

ROOT = Path(__file__).parent.parent
PAGES = sorted(ROOT.glob("*.md"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "config.example.toml").read_text(encoding="utf-8")
#: The example with everything optional and every alternative taken in.
EVERYTHING = re.sub(r"^#(?=\[|[a-z_]+ = )", "", EXAMPLE, flags=re.MULTILINE)
#: The tables of the example whose keys are those of a settings class.
TABLES = [one for one in re.findall(r"^\[(.+)\]$", EVERYTHING, flags=re.MULTILINE) if ".objects." not in one]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#: What is not just any text.
SPECIAL = {
    "POLLER_SECRET_KEY": a_secret_key(),
    "ACME_PRIVATE_KEY": A_KEY.pem,
    "MIRROR_URL": "postgresql://mirror:hush@db.example.com/crm",
    "STORE_URL": "postgresql://poller:hush@db.example.com/poller",
    "EGRESS_PROXY": "http://us:them@proxy.example.com:3128",
    "SLACK_URL": "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
}


@pytest.fixture(autouse=True)
def _there(some_certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be where the files are that the example names."""
    monkeypatch.chdir(some_certificates.ca.parent)


def environment(text: str) -> dict[str, str]:
    """Return an environment in which every variable that a configuration asks for is set."""
    return {name: SPECIAL.get(name, SECRET) for name in re.findall(r'env = "(\w+)"', text)}


def blocks(language: str, text: str = README) -> list[str]:
    """Return the code blocks of a page that are marked with a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def rows(heading: str, page: str = README) -> list[list[str]]:
    """Return the cells of a page's table whose head begins with ``heading``."""
    table = re.search(rf"^\| {re.escape(heading)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", page, flags=re.MULTILINE)
    assert table, heading
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]


# ---------------------------------------------------------------------- config.example.toml


def tables() -> dict[str, tuple[type[BaseModel], BaseModel]]:
    """Return each table of the example with everything taken in: its settings' class, and what was read."""
    read = config.parse(EVERYTHING, environment(EVERYTHING))
    sinks = {f"sinks.{name}": (KINDS[word_of(one)].settings, one) for name, one in read.sinks.items()}
    return {
        "store": (StoreSettings, read.store),
        "http": (HttpSettings, read.http),
        **{f"orgs.{name}": (config.OrgConfig, one) for name, one in read.orgs.items()},
        "orgs.acme.defaults": (FeedSettings, read.orgs["acme"].objects["Contact"]),
        **sinks,
    }


def lines_of(table: str) -> str:
    """Return the lines of one table of the example, optional ones taken in."""
    found = re.search(rf"^\[{re.escape(table)}\]\n(.*?)(?=^\[|\Z)", EVERYTHING, flags=re.MULTILINE | re.DOTALL)
    assert found, table
    return found[1]


def test_the_example_loads_as_it_is_in_an_empty_environment() -> None:
    """Whoever copies it starts with something that works."""
    assert config.parse(EXAMPLE, {}).orgs["acme"].objects.keys() == {"Lead", "Contact"}


def test_each_line_that_is_commented_out_can_be_taken_in() -> None:
    """A line that begins with "#" and a key is a key; there are some, and all of them together load as well."""
    assert EVERYTHING.count("\n#") < EXAMPLE.count("\n#")
    assert tables().keys() == set(TABLES)


def named_in(table: str) -> set[str]:
    """Return the keys that stand in one table of the example; none stands there twice."""
    named = re.findall(r"^(?:# or )?([a-z0-9_]+) = ", lines_of(table), flags=re.MULTILINE)
    assert len(named) == len(set(named)), table
    return set(named)


@pytest.mark.parametrize("line", re.findall(r"^# or (.*)$", EVERYTHING, flags=re.MULTILINE))
def test_each_alternative_stands_instead_of_the_line_above_it(line: str) -> None:
    """And loads there."""
    text = re.sub(rf"^.*\n((?:# or .*\n)*?)# or {re.escape(line)}$", rf"\1{line}", EVERYTHING, flags=re.MULTILINE)
    assert text.count(line) == 1
    config.parse(text, environment(text))


@pytest.mark.parametrize("table", [one for one in TABLES if one.count(".") != 1 or not one.startswith("orgs.")])
def test_the_example_names_every_key(table: str) -> None:
    """Of the store, HTTP, an object, and every kind of sink; what all sinks share stands once."""
    model, _ = tables()[table]
    elsewhere = SinkSettings.model_fields if table.startswith("sinks.") and table != "sinks.screen" else {}
    assert named_in(table) == model.model_fields.keys() - elsewhere.keys()


def test_the_example_has_an_org_for_each_way_to_log_in() -> None:
    """With every key of that way; what all of them share stands in the first one."""
    read = config.parse(EVERYTHING, environment(EVERYTHING)).orgs
    assert [one.auth for one in read.values()] == list(FLOWS)
    of_flows = {key for flow in FLOWS.values() for key in (*flow.needs, *flow.may_have)}
    everywhere = {"login_url", "auth"}
    for name, one in read.items():
        wanted = {*FLOWS[one.auth].needs, *FLOWS[one.auth].may_have, *everywhere}
        shared = config.OrgConfig.model_fields.keys() - of_flows - {"objects"} if name == "acme" else set()
        assert named_in(f"orgs.{name}") == wanted | shared, name


def test_the_readme_says_what_each_way_to_log_in_is_for() -> None:
    """In the order of the example, each with a section of its own."""
    told = [cells[0].strip("`") for cells in rows("`auth`")]
    assert told == list(FLOWS)
    for word in FLOWS:
        assert f"\n### {word}\n" in README, word


@pytest.mark.parametrize("table", TABLES)
def test_what_the_example_says_are_the_defaults(table: str) -> None:
    """Copying it changes nothing; only the orgs after the first are there for another ``auth``."""
    model, read = tables()[table]
    for name, field in model.model_fields.items():
        if name == "auth" and table != "orgs.acme":
            continue
        default = field.get_default(call_default_factory=True, validated_data={})
        if not field.is_required() and default:
            assert getattr(read, name) == default, f"[{table}] {name}"


def test_each_kind_of_sink_has_a_block_in_the_example() -> None:
    """And none is there twice."""
    assert sorted(re.findall(r'^type = "(\w+)"', EVERYTHING, flags=re.MULTILINE)) == sorted(KINDS)


# ---------------------------------------------------------------------- README against the program


def test_the_readme_has_every_command_with_the_help_that_it_gives() -> None:
    """One table, in the order of --help."""
    told = {re.sub(r"`salesforce-poller ([a-z-]+).*`", r"\1", cells[0]): cells[1] for cells in rows("command")}
    group = typer.main.get_group(cli.doors)
    shown = group.list_commands(None)  # type: ignore[arg-type]  # it needs no context
    assert told == {name: group.commands[name].help for name in shown}


def test_the_table_of_metrics_is_that_of_the_program() -> None:
    """Name, type, labels and help of each, in the order of the page."""
    wanted = [[f"`{one.name}`", one.type, ", ".join(one.labels) or "-", one.help] for one in meters.METERS]
    assert rows("metric") == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_sink_has_a_section(kind: str) -> None:
    """Under Sinks."""
    assert f"\n### {kind}\n" in README.partition("\n## Sinks\n")[2].partition("\n## ")[0]


def test_the_example_event_is_what_the_program_makes() -> None:
    """The same keys in the same order, and the same values as far as the example in the tests has them."""
    [example] = blocks("json")
    assert json.loads(example) == json.loads(envelope.dress(a_delivery()).body)
    assert list(json.loads(example)["data"]) == list(envelope.cloudevent(a_delivery())["data"])


def test_the_table_of_fields_is_complete() -> None:
    """Those of a gap and of an alert included."""
    at = a_delivery().event.time
    of_gap = a_delivery(gap=Gap("deletions", at, at, "why"))
    of_alert = a_delivery(alert=Alert("crm", "gave_up", at, "why"))
    dressed = [envelope.cloudevent(each) for each in (of_gap, of_alert)]
    keys = {key for event in dressed for key in (*event, *(f"data.{key}" for key in event["data"]))} - {"data"}
    assert set(re.findall(r"`([a-z._]+)`", " ".join(cells[0] for cells in rows("field")))) == keys


def test_the_table_of_kinds_is_complete() -> None:
    """In the order of the model."""
    assert [cells[0].strip("`") for cells in rows("`kind`")] == [kind.value for kind in Kind]


def test_the_table_of_costs_is_what_the_forecast_says() -> None:
    """For every interval and number of feeds."""
    feeds = [1, 5, 10, 20]
    for every, *costs in rows("`every`"):
        one = FeedSettings.model_validate({"every": every})
        expected = [forecast.of_org({f"Object{n}__c": one for n in range(count)}).calls for count in feeds]
        assert costs == [f"{calls:,}" for calls in expected], every


@pytest.mark.parametrize(("head", "wanted"), trouble_page.tables().items(), ids=trouble_page.tables())
def test_the_tables_of_troubles_are_those_of_the_program(head: str, wanted: str) -> None:
    """Row for row; ``python tests/trouble_page.py`` writes them anew."""
    assert wanted in README, head


def test_the_table_of_troubles_has_what_people_look_for() -> None:
    """The codes that are most asked about, the editions that have the API, and each status there is."""
    told = trouble_page.table("the REST API answers") + trouble_page.table("the login answers")
    for code in ("INVALID_SESSION_ID", "REQUEST_LIMIT_EXCEEDED", "UNKNOWN_EXCEPTION", "API_DISABLED_FOR_ORG"):
        assert f"`{code}`" in told, code
    for text in ("OAUTH_APP_BLOCKED", "ip restricted", "Enterprise, Unlimited, Performance and Developer Edition"):
        assert text in told, text
    statuses = (400, 401, 403, 404, 405, 409, 410, 412, 414, 415, 420, 428, 431, 500, 502, 503)
    assert [status for status in statuses if f"\n| {status} |" not in told] == []


async def test_the_check_of_the_quick_start_looks_as_it_does(receiver: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Line for line, but for numbers and ids, which are those of an org of one's own."""
    [console] = blocks("console")
    told = console.partition("$ salesforce-poller check\n")[2].partition("\n$ ")[0]
    org = Org(clock=OrgClock(speed=0), seed=7)
    async with server.serve(server.build(org)) as url:
        environ = {
            "ACME_CLIENT_SECRET": org.app.client_secret,
            "CRM_WEBHOOK_SECRET": SECRET,
            "SALESFORCE_POLLER__ORGS__ACME__LOGIN_URL": url,
            "SALESFORCE_POLLER__ORGS__ACME__CLIENT_ID": org.app.client_id,
            "SALESFORCE_POLLER__SINKS__CRM__URL": receiver,
        }
        settings = config.parse(blocks("toml")[0], environ)
        assert await views.show_findings(settings, clock=SystemClock(), as_json=False)
    numbers = re.compile(r"\b(00D\w+|[\d,]*\d)\b")
    assert numbers.sub("0", told).split("\n") == numbers.sub("0", capfd.readouterr().out.rstrip("\n")).split("\n")
    for count in (check.calls_needed(settings), *check.calls_per_day(settings).values()):
        assert f"about {count:,} " in told


@pytest.mark.parametrize("text", blocks("toml"))
def test_each_configuration_in_the_readme_loads(text: str) -> None:
    """With the environment that it asks for; one that shows a sink alone, with an org beside it."""
    beside = "" if "[orgs." in text else GOOD
    config.parse(f"{text}\n{beside}", environment(text))


# ---------------------------------------------------------------------- README's code runs


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run the receiver of the README; yields its address."""
    monkeypatch.setenv("CRM_WEBHOOK_SECRET", SECRET)
    [code] = blocks("python")
    names: dict[str, Any] = {"__name__": "receiver"}
    exec(code, names)
    with ThreadingHTTPServer(("127.0.0.1", 0), names["Receiver"]) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}/"
        finally:
            listening.shutdown()
            thread.join()


async def ask(url: str, secret: str) -> tuple[Verdict, Verdict]:
    """Return what a webhook hears from a probe, and for an event that it signs with ``secret``."""
    sink = Webhook(WebhookSettings.model_validate({"type": "webhook", "url": url, "secret": secret}), SystemClock())
    dressed = envelope.dress(a_delivery())
    await sink.open()
    try:
        return (await sink.probe()).verdict, (await sink.send([dressed]))[0].verdict
    finally:
        await sink.close()


async def test_the_receiver_takes_what_we_signed(receiver: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Really signed, really posted; and ``check`` finds it."""
    assert await ask(receiver, SECRET) == (Verdict.ACCEPTED, Verdict.ACCEPTED)
    assert "salesforce.Lead.updated 00Q5g00000AbCdEEAV" in capfd.readouterr().out


async def test_the_receiver_refuses_what_somebody_else_signed(receiver: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Otherwise it would prove nothing."""
    other = SECRET.replace("M", "N", 1)
    assert await ask(receiver, other) == (Verdict.ACCEPTED, Verdict.REFUSED)
    assert not capfd.readouterr().out


def curls() -> list[tuple[str, Mapping[str, Any] | None]]:
    """Return the README's curl lines: path, and what is posted."""
    lines = [shlex.split(line) for block in blocks("sh") for line in block.splitlines() if line.startswith("curl ")]
    return [(line[2].partition("/")[2], json.loads(line[4]) if "-d" in line else None) for line in lines]


async def test_the_curl_lines_work() -> None:
    """All of them, against a simulated org, and the last one tells of the first."""
    org = Org(clock=OrgClock(speed=0), seed=7)
    async with server.serve(server.build(org)) as url, httpx.AsyncClient(base_url=url) as client:
        answers = [await (client.post(path, json=body) if body else client.get(path)) for path, body in curls()]
    assert len(answers) >= 4
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert answers[-1].json()["changes"][-1]["record_id"] == answers[0].json()["result"]


# ---------------------------------------------------------------------- CONTRIBUTING's faults against the contracts


def contracts() -> dict[str, dict[str, str]]:
    """Return each kind of sink with a broker's contract: the faults that do not apply, and why. From the source."""
    bases: dict[str, set[str]] = {}
    found: dict[str, dict[str, str]] = {}
    for path in sorted((ROOT / "tests" / "contracts").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                own = {base.id for base in node.bases if isinstance(base, ast.Name)}
                bases[node.name] = own.union(*(bases.get(base, set()) for base in own))
                if path.name.startswith("test_") and "BrokerContract" in bases[node.name]:
                    found.setdefault(path.stem.split("_")[1], {}).update(_left_out(node))
    return found


def _left_out(contract: ast.ClassDef) -> dict[str, str]:
    for node in contract.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "does_not_apply" and node.value:
            read: dict[str, str] = ast.literal_eval(node.value)
            return read
    return {}


def test_the_table_of_faults_is_that_of_the_contract() -> None:
    """Each fault with its test, in order."""
    source = ast.parse((ROOT / "tests/contracts/broker_contract.py").read_text(encoding="utf-8"))
    named = [node for node in source.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FAULTS"]
    told = {cells[0]: cells[2].strip("`") for cells in rows("fault", CONTRIBUTING)}
    assert list(told.items()) == list(ast.literal_eval(named[0].value).items())


def test_the_table_of_sinks_says_which_faults_do_not_apply() -> None:
    """Of each kind of sink there is; with the reason where one is left out, and with nothing where none is."""
    told = {cells[0].strip("`"): cells[2] for cells in rows("sink", CONTRIBUTING)}
    assert sorted(told) == sorted(KINDS)
    left_out = contracts()
    for word, cell in told.items():
        if word not in left_out:
            assert cell.startswith("every fault of a connection: there is none"), word
            continue
        assert [f"{fault}: {why}" for fault, why in left_out[word].items() if f"{fault}: {why}" not in cell] == [], word
        assert (cell == "none") is (not left_out[word]), word


# ---------------------------------------------------------------------- every page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_relative_link_leads_somewhere(page: Path) -> None:
    """To a file in the repository, or to a heading of the same page."""
    text = page.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif "://" not in target:
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_make_target_that_is_named_exists(page: Path) -> None:
    """In text and in code."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    spans = itertools.chain(
        re.findall(r"`(make [a-z-]+)`", text), re.findall(r"^(make [a-z-]+)", text, flags=re.MULTILINE)
    )
    assert {span.removeprefix("make ") for span in spans} <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_path_that_is_named_exists(page: Path) -> None:
    """Paths into the package and the tests, unless they hold a word in capitals to fill in."""
    named = re.findall(r"\b(?:salesforce_poller|tests)/[\w/.]+", page.read_text(encoding="utf-8"))
    paths = [one.rstrip(".") for one in named if not re.search(r"[A-Z]{2}", one)]
    assert [one for one in paths if not (ROOT / one).exists()] == []


# ---------------------------------------------------------------------- the image


def test_the_image_runs_what_was_tested() -> None:
    """The runtime lock holds every dependency of the program, in the versions of the lock that the tests use."""
    pins = re.compile(r"^([a-z0-9-]+)==(\S+)", flags=re.MULTILINE)
    tested, shipped = (
        dict(pins.findall((ROOT / name).read_text(encoding="utf-8")))
        for name in ("requirements.lock", "requirements-runtime.lock")
    )
    assert shipped.items() <= tested.items()
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert {re.split(r"[\[<>=]", one)[0] for one in wanted} <= shipped.keys()
    assert shipped.keys() < tested.keys()
