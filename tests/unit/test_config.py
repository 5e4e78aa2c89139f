"""config.py: TOML and environment into one Config."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from config_examples import GOOD, SECRET, parsed, problems, replaced

from salesforce_poller import config
from salesforce_poller.sinks.stdout import StdoutSettings


class TestGood:
    """What a good configuration becomes."""

    def test_the_least_one_has_every_default(self) -> None:
        """A few lines are enough."""
        read = parsed()
        lead = read.orgs["acme"].objects["Lead"]
        assert (lead.every, lead.start, lead.fields, lead.overlap) == (
            timedelta(seconds=30),
            "now",
            None,
            timedelta(seconds=10),
        )
        assert read.store.path == Path("salesforce-poller.db")
        assert read.http.address == ("127.0.0.1", 8080)
        assert isinstance(read.sinks["log"], StdoutSettings)

    def test_secrets_are_not_shown_by_the_values_themselves(self) -> None:
        """Somebody will log a config one day."""
        assert SECRET not in repr(parsed())

    def test_it_cannot_be_changed(self) -> None:
        """Rooms are handed parts of it."""
        with pytest.raises(ValueError, match="frozen"):
            parsed().store.url = "sqlite:///other.db"  # type: ignore[misc]  # which is the point

    @pytest.mark.parametrize(
        ("said", "start"),
        [
            ('"now"', "now"),
            ('"beginning"', "beginning"),
            ('"2026-11-01T00:00:00Z"', datetime(2026, 11, 1, tzinfo=UTC)),
            ('"2026-11-01"', datetime(2026, 11, 1, tzinfo=UTC)),
            ("2026-11-01T00:00:00Z", datetime(2026, 11, 1, tzinfo=UTC)),
            ("2026-11-01T02:00:00+02:00", datetime(2026, 11, 1, tzinfo=UTC)),
            ("2026-11-01T00:00:00", datetime(2026, 11, 1, tzinfo=UTC)),
            ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ],
    )
    def test_every_way_of_saying_a_start(self, said: str, start: object) -> None:
        """TOML has dates of its own; UTC where they do not say."""
        assert parsed(f"[orgs.acme.objects.Case]\nstart = {said}").orgs["acme"].objects["Case"].start == start

    def test_a_file_is_read_with_a_byte_order_mark_too(self, tmp_path: Path) -> None:
        """Windows editors write one."""
        path = tmp_path / "config.toml"
        path.write_text(GOOD, encoding="utf-8-sig")
        assert list(config.load(path, {}).orgs) == ["acme"]


class TestDefaults:
    """``[orgs.NAME.defaults]`` lies under each object of the org."""

    def test_an_objects_own_keys_win(self) -> None:
        """Lead says how often, Invoice__c does not."""
        objects = parsed('[orgs.acme.defaults]\nevery = "10m"\noverlap = "1m"').orgs["acme"].objects
        assert (objects["Lead"].every, objects["Lead"].overlap) == (timedelta(seconds=30), timedelta(minutes=1))
        assert objects["Invoice__c"].every == timedelta(minutes=10)

    def test_a_problem_in_them_is_told_once_where_it_stands(self) -> None:
        """Not once for every object."""
        assert problems('[orgs.acme.defaults]\nevery = "often"\nwher = "A = 1"') == [
            'configuration:15: orgs.acme.defaults.every: should be a span of time such as "30s", "5m", "12h" or "7d"',
            "configuration:16: orgs.acme.defaults.wher: unknown key; did you mean where?",
        ]

    @pytest.mark.parametrize("wrong", ["5", '"1m"', "[]", "[1]"])
    def test_they_must_be_a_table(self, wrong: str) -> None:
        """Anything else has a place as well."""
        good = replaced("[orgs.acme]\n", f"[orgs.acme]\ndefaults = {wrong}\n")
        assert [line.partition(": ")[0] for line in problems(good=good)] == ["configuration:2"]

    def test_one_orgs_defaults_do_not_reach_another(self) -> None:
        """Orgs are strangers."""
        beta = GOOD.partition("[sinks")[0].replace("acme", "beta")
        read = parsed(f'{beta}\n[orgs.beta.defaults]\nevery = "10m"')
        assert read.orgs["acme"].objects["Invoice__c"].every == timedelta(minutes=1)


class TestEnvironment:
    """What the environment says is laid over the file."""

    def test_it_wins_over_the_file_in_any_case_of_letters(self) -> None:
        """Variables are written in capitals, keys are not."""
        environ = {
            "SALESFORCE_POLLER__ORGS__ACME__API_VERSION": "65.0",
            "salesforce_poller__orgs__acme__objects__lead__every": "2m",
            "SALESFORCE_POLLER__STORE__URL": "sqlite:////data/store.db",
        }
        read = parsed(environ=environ)
        assert read.orgs["acme"].api_version == "65.0"
        assert read.orgs["acme"].objects["Lead"].every == timedelta(minutes=2)
        assert read.store.path == Path("/data/store.db")

    def test_custom_objects_have_two_underscores_of_their_own(self) -> None:
        """The file knows their names, so they are found."""
        environ = {"SALESFORCE_POLLER__ORGS__ACME__OBJECTS__INVOICE__C__EVERY": "2m"}
        assert parsed(environ=environ).orgs["acme"].objects["Invoice__c"].every == timedelta(minutes=2)

    def test_what_it_does_not_say_stays_as_the_file_has_it(self) -> None:
        """Only what was said counts."""
        read = parsed(environ={"SALESFORCE_POLLER__ORGS__ACME__OBJECTS__LEAD__OVERLAP": "20s"})
        assert read.orgs["acme"].objects["Lead"].every == timedelta(seconds=30)

    def test_lists_and_booleans_are_written_as_in_toml(self) -> None:
        """Everything else is a text."""
        environ = {
            "SALESFORCE_POLLER__ORGS__ACME__OBJECTS__LEAD__FIELDS": '["Name", "Owner.Name"]',
            "SALESFORCE_POLLER__ORGS__ACME__OBJECTS__LEAD__BASELINE": "true",
            "SALESFORCE_POLLER__ORGS__ACME__CLIENT_ID": "[not a list",
            "SALESFORCE_POLLER__ORGS__ACME__TIMEOUT": "60",
        }
        org = parsed(environ=environ).orgs["acme"]
        assert org.objects["Lead"].fields == ["Name", "Owner.Name"]
        assert org.objects["Lead"].baseline is True
        assert (org.client_id, org.timeout) == ("[not a list", 60.0)

    def test_a_secret_reference_is_replaced_whole(self) -> None:
        """Not laid into the table ``{ env = … }``."""
        good = replaced(f'"{SECRET}"', '{ env = "NOBODY_SET_IT" }')
        read = parsed(good=good, environ={"SALESFORCE_POLLER__ORGS__ACME__CLIENT_SECRET": "other"})
        assert read.orgs["acme"].client_secret is not None
        assert read.orgs["acme"].client_secret.get_secret_value() == "other"

    @pytest.mark.parametrize(
        "name",
        ["SALESFORCE_POLLER__", "SALESFORCE_POLLER____X", "SALESFORCE_POLLER__NOPE", "SALESFORCE_POLLER__A__B__C"],
    )
    def test_a_variable_that_leads_nowhere_is_a_problem(self, name: str) -> None:
        """A typing error there would go unnoticed for ever."""
        assert len(problems(environ={name: "x"})) == 1

    def test_other_variables_are_none_of_our_business(self) -> None:
        """The prefix is what makes them ours."""
        parsed(environ={"SALESFORCE_POLLER_STORE": "x", "PATH": "/bin", "STORE__URL": "x"})


class TestSecrets:
    """``{ env = … }`` and ``{ file = … }``."""

    def test_they_are_read_from_environment_and_file(self, tmp_path: Path) -> None:
        """A file's last line break is not part of it."""
        path = tmp_path / "secret"
        path.write_text("from file\n")
        good = replaced(f'"{SECRET}"', f'{{ file = "{path}" }}').replace('"3MVG9"', '{ env = "KEY" }')
        org = parsed(good=good, environ={"KEY": "from environment"}).orgs["acme"]
        assert org.client_secret is not None
        assert (org.client_id, org.client_secret.get_secret_value()) == ("from environment", "from file")

    def test_a_variable_that_is_not_set_is_told_once(self) -> None:
        """And the rest is checked all the same."""
        good = replaced(f'"{SECRET}"', '{ env = "ACME_SECRET" }')
        assert problems("[store]\nurl = 5", good=good) == [
            "configuration:4: orgs.acme.client_secret: the environment variable ACME_SECRET is not set",
            "configuration:15: store.url: Input should be a valid string",
        ]

    def test_a_value_that_could_not_be_read_is_not_called_wrong_as_well(self) -> None:
        """It stands for one that would be right."""
        [line] = problems('[sinks.crm]\ntype = "webhook"\nurl = "https://x.example"\nsecret = { env = "NOPE" }')
        assert line == "configuration:17: sinks.crm.secret: the environment variable NOPE is not set"

    def test_a_file_that_cannot_be_read_says_why(self, tmp_path: Path) -> None:
        """Missing, a folder, not a text."""
        (tmp_path / "binary").write_bytes(b"\xff\xfe")
        for name, why in (("nope", "No such file"), (".", "Is a directory"), ("binary", "not UTF-8")):
            good = replaced(f'"{SECRET}"', f'{{ file = "{tmp_path / name}" }}')
            [line] = problems(good=good)
            assert line.startswith(f"configuration:4: orgs.acme.client_secret: cannot read {tmp_path}")
            assert why in line

    def test_an_empty_secret_is_a_missing_one(self) -> None:
        """A variable that is set to nothing is the usual way to get one."""
        good = replaced(f'"{SECRET}"', '{ env = "EMPTY" }')
        assert problems(good=good, environ={"EMPTY": ""}) == [
            'configuration:1: orgs.acme: auth = "client_credentials" also needs client_secret'
        ]

    @pytest.mark.parametrize(
        "more",
        [
            f'[sinks.crm]\ntype = "{SECRET}"',
            f'[sinks.crm]\ntype = "webhook"\nurl = "https://user:{SECRET}@x.example"',
            f'[sinks.crm]\ntype = "webhook"\nurl = "https://x.example"\nsecret = "{SECRET}"',
            f'[sinks.crm]\ntype = "webhook"\nurl = "https://x.example"\nsecret = ["{SECRET}"]\nheaders = "{SECRET}"',
            f'[sinks.crm]\ntype = "webhook"\nurl = "https://x.example"\nheaders = {{ X = "{SECRET}\\n" }}',
            f'[sinks.crm]\ntype = "stdout"\nevents = ["{SECRET}"]\nobjects = "{SECRET}"',
            f'[store]\nurl = "postgresql://user:{SECRET}@host/database"\nkeep_events = "{SECRET}"',
            f'[http]\nlisten = "{SECRET} "\ntoken = ["{SECRET}"]',
            f'[orgs.beta]\nlogin_url = "{SECRET}"\nauth = "{SECRET}"\napi_version = "{SECRET}"\ntimeout = "{SECRET}"',
            f"[orgs.acme.objects.Case]\nstart = '{SECRET}'\nevery = '{SECRET}'\nwhere = '({SECRET}'",
        ],
    )
    def test_a_secret_in_the_wrong_place_is_not_repeated(self, more: str) -> None:
        """Messages end up in tickets."""
        assert problems(more)
