"""config.py: every problem at once, each one line with its place, and no secret in any of them."""

from pathlib import Path

import pytest
from config_examples import GOOD, parsed, problems, replaced

from salesforce_poller import config
from salesforce_poller.errors import ConfigError

STDOUT = "[sinks.crm]\ntype = 'stdout'\n"
WEBHOOK = "[sinks.crm]\ntype = 'webhook'\n"
KINDS = "type should be one of: webhook, stdout, file"

PROBLEMS = [
    ("[stor]\n", "14: stor: unknown key; did you mean store?"),
    ("[store]\nkeep = 1", "15: store.keep: unknown key"),
    ("[store]\nkeep_event = 1", "15: store.keep_event: unknown key; did you mean keep_events?"),
    ("[store]\nurl = 'mysql://x'", '15: store.url: should be "sqlite:///FILE"'),
    ("[store]\nurl = 'sqlite:///'", '15: store.url: should be "sqlite:///FILE"'),
    ("[http]\nport = 1", "15: http.port: unknown key"),
    ("[http]\nlisten = '8080'", '15: http.listen: should be "HOST:PORT"'),
    ("[http]\nlisten = 80", "15: http.listen: Input should be a valid string"),
    ("[http]\nlisten = '0.0.0.0:80'", "14: http: listening beyond this machine needs a token"),
    ("[orgs.acme.objects]\nCase = 5", "15: orgs.acme.objects.Case: Input should be a valid dictionary"),
    ("[orgs.acme.objects.'Lead; x']\n", "14: orgs.acme.objects.Lead; x: should be the API name of an object"),
    ("[sinks.'a b']\ntype = 'stdout'", "14: sinks.a b: a name should hold letters, digits, - and _ only"),
    ("[sinks.crm]\ntype = 'kafkaa'", f"14: sinks.crm: {KINDS}"),
    ("[sinks.crm]\n", f"14: sinks.crm: {KINDS}"),
    (WEBHOOK, "14: sinks.crm.url: is missing"),
    (f"{WEBHOOK}url = 'ftp://x'", "16: sinks.crm.url: should be an address"),
    (f"{WEBHOOK}url = 'https://x.example'\nsecret = 'x'", "17: sinks.crm.secret: a signing secret begins with"),
    (f"{STDOUT}object = []", "16: sinks.crm.object: unknown key; did you mean objects?"),
    (f"{STDOUT}objects = []", "16: sinks.crm.objects: should hold at least one"),
    (f"{STDOUT}events = ['made']", "16: sinks.crm.events.0: Input should be 'created'"),
    (f"{STDOUT}orgs = ['acmee']", "16: sinks.crm.orgs: there is no org named acmee; did you mean acme?"),
    (f"{STDOUT}when = 'record.Amount >'", "16: sinks.crm.when: column 16: it ends where more is expected"),
    (
        f"{STDOUT}when = 'event.knd == 1'",
        "16: sinks.crm.when: column 6: there is no event.knd; did you mean event.kind?",
    ),
    (f"{STDOUT}when = true", "16: sinks.crm.when: Input should be a valid string"),
    (f"{STDOUT}fields = []", "16: sinks.crm.fields: should hold at least one"),
    (f"{STDOUT}objects = ['Case']", "16: sinks.crm.objects: no org of this sink watches Case"),
]

OBJECT_PROBLEMS = [
    ("evry = '1m'", "evry: unknown key; did you mean every?"),
    ("every = 30", "every: should be a span of time"),
    ("every = '30'", "every: should be a span of time"),
    ("every = '0s'", "every: should be at least 1s"),
    ("sweep_every = '500ms'", "sweep_every: should be at least 1s"),
    ("overlap = '-1s'", "overlap: should be a span of time"),
    ("fields = 'Name'", "fields: Input should be a valid list"),
    ("fields = []", "fields: is empty; leave it out"),
    ("fields = ['A B']", "fields: should hold field names"),
    ("fields = [1]", "fields.0: Input should be a valid string"),
    ("where = 'A = 1 LIMIT 5'", "where: should be a condition only, without LIMIT"),
    ("where = ''", "where: is empty"),
    ("where = 5", "where: Input should be a valid string"),
    ("bulk_above = 'always'", "bulk_above: should be a number of records"),
    ("bulk_above = -1", "bulk_above: should be a number of records"),
    ("reconcile = '5m'", "reconcile: should be at least 1h"),
    ("reconcile_limit = '110%'", "reconcile_limit: should be a share"),
    ("reconcile_limit = 5", "reconcile_limit: should be a share"),
    ("baseline = 'maybe'", "baseline: Input should be a valid boolean"),
]


class TestProblems:
    """One line each, with file, line and key."""

    @pytest.mark.parametrize(("more", "expected"), PROBLEMS)
    def test_each_is_one_line_with_its_place(self, more: str, expected: str) -> None:
        """What is wrong, where, and where it helps, what was probably meant."""
        [line] = problems(more)
        assert line.startswith(f"configuration:{expected}")

    @pytest.mark.parametrize(("said", "expected"), OBJECT_PROBLEMS)
    def test_each_key_of_an_object_is_checked(self, said: str, expected: str) -> None:
        """The place is the key."""
        [line] = problems(f"[orgs.acme.objects.Case]\n{said}")
        assert line.startswith(f"configuration:15: orgs.acme.objects.Case.{expected}")

    @pytest.mark.parametrize(
        "start",
        ['"later"', '""', '"10:00:00"', "5", "0.5", "true", "[]", "07:32:00", "0001-01-01T00:00:00+14:00",
         '"1969-12-31"', "9999-12-31T23:59:59-14:00", '"NOW"'],
    )  # fmt: skip
    def test_a_bad_start(self, start: str) -> None:
        """Numbers are no times, and no stamp is that old."""
        [line] = problems(f"[orgs.acme.objects.Case]\nstart = {start}")
        assert line.startswith("configuration:15: orgs.acme.objects.Case.start: should ")

    @pytest.mark.parametrize(
        "url",
        ["", "acme", "acme.my.salesforce.com", "ftp://acme.my.salesforce.com", "https://", "https://[::1",
         "http://acme.my.salesforce.com", "http://127.0.0.1.example.com", "http://10.0.0.1",
         "https://acme.my.salesforce.com/services", "https://acme.my.salesforce.com?x=1",
         "https://acme.my.salesforce.com#x", "https://me@acme.my.salesforce.com", "https://:x@acme.my.salesforce.com",
         "https://acme.my.salesforce.com ", "https://acme.my.salesforce.com:99999", "https://acme.my.salesforce.com:0",
         "https://acme.my.salesforce.com:x", "https://acme\\n.my.salesforce.com"],
    )  # fmt: skip
    def test_a_bad_login_address(self, url: str) -> None:
        """The host alone, https; plain http only to this machine."""
        [line] = problems(good=replaced("https://acme.my.salesforce.com", url))
        assert line.startswith("configuration:2: orgs.acme.login_url: ")

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:80/", "https://acme.my.salesforce.com/"]
    )
    def test_a_good_login_address(self, url: str) -> None:
        """A simulated org on this machine may speak plain http; a slash at the end does not matter."""
        assert parsed(good=replaced("https://acme.my.salesforce.com", url)).orgs["acme"].login_url == url.rstrip("/")

    @pytest.mark.parametrize("host", ["login.salesforce.com", "test.salesforce.com", "LOGIN.salesforce.com"])
    def test_client_credentials_need_my_domain(self, host: str) -> None:
        """The shared hosts refuse that flow; others they know."""
        good = replaced("acme.my.salesforce.com", host)
        [line] = problems(good=good)
        assert line.startswith('configuration:1: orgs.acme: auth = "client_credentials" needs your My Domain address')
        parsed(good=good.replace("client_id", "auth = 'password'\nusername = 'a'\npassword = 'b'\nclient_id"))

    @pytest.mark.parametrize("version", ['"66"', '"latest"', '"v66.0"', "66.0", '"66.1"', '"6.0"', '""', '"66.0\\n"'])
    def test_a_bad_api_version(self, version: str) -> None:
        """It is pinned, as Salesforce writes it."""
        [line] = problems(good=replaced("[orgs.acme]\n", f"[orgs.acme]\napi_version = {version}\n"))
        assert line.startswith("configuration:2: orgs.acme.api_version: ")

    def test_two_sinks_with_one_name(self) -> None:
        """Neither is silently dropped."""
        [line] = problems('[sinks.log]\ntype = "stdout"')
        assert line.startswith("configuration: two tables are named [sinks.log] (at line 14); every org and every sink")

    def test_a_sink_that_names_an_object_only_another_org_watches(self) -> None:
        """It would wait for ever."""
        beta = GOOD.partition("[sinks")[0].replace("acme", "beta").replace("Lead", "Account")
        sink = "[sinks.crm]\ntype = 'stdout'\norgs = ['beta']\nobjects = ['Lead', 'Account']"
        [line] = problems(f"{beta}\n{sink}")
        assert "sinks.crm.objects: no org of this sink watches Lead" in line

    def test_all_are_told_together(self) -> None:
        """Nobody wants to find them one by one."""
        good = replaced("client_id", "clientid").replace('every = "30s"', 'every = "0s"\nwhere = "A = 1)"')
        assert problems("[sinks.crm]\ntype = 'stdout'\nobjects = ['Leed']\n[http]\nport = 1", good=good) == [
            "configuration:3: orgs.acme.clientid: unknown key; did you mean client_id?",
            "configuration:7: orgs.acme.objects.Lead.every: should be at least 1s",
            "configuration:8: orgs.acme.objects.Lead.where: closes a bracket that it did not open",
            "configuration:17: sinks.crm.objects: no org of this sink watches Leed; did you mean Lead?",
            "configuration:19: http.port: unknown key",
        ]

    def test_a_key_in_the_wrong_table_is_told_where_it_belongs(self) -> None:
        """The same word is right one table further down."""
        [problem] = problems(good=replaced("client_id", 'every = "5s"\nclient_id'))
        assert problem.endswith("unknown key; it belongs into [orgs.acme.defaults] or one of [orgs.acme.objects.*]")

    def test_an_empty_file_lacks_orgs_and_sinks(self) -> None:
        """And nothing else."""
        assert problems(good="") == ["configuration: orgs: is missing", "configuration: sinks: is missing"]
        assert "configuration:1: orgs: should hold at least one" in problems(good="[orgs]\n[sinks]")

    @pytest.mark.parametrize("key", ["_env_file", "_cli_parse_args", "_secrets_dir", "_case_sensitive"])
    def test_the_librarys_own_options_are_no_keys(self, key: str) -> None:
        """pydantic-settings would take them for instructions."""
        assert problems(good=f"{key} = true\n{GOOD}") == [f"configuration:1: {key}: unknown key"]

    @pytest.mark.parametrize(
        "text", ["[orgs", "orgs = ", "a = 1\na = 2", "x = 2026-13-01", 'x = "', "\x00", "[a]\n[a]"]
    )
    def test_what_is_no_toml_says_where(self, text: str) -> None:
        """With tomllib's own line."""
        with pytest.raises(ConfigError, match=r"configuration: .*(line|end of document)"):
            config.parse(text, {})

    def test_a_file_that_cannot_be_read_says_why(self, tmp_path: Path) -> None:
        """Missing, a folder, or in another encoding."""
        (tmp_path / "latin.toml").write_bytes("# gr\xfcn".encode("latin-1"))
        for name, why in (("nope.toml", "No such file"), (".", "Is a directory"), ("latin.toml", "not UTF-8")):
            with pytest.raises(ConfigError, match=why) as caught:
                config.load(tmp_path / name, {})
            assert str(caught.value).startswith(f"{tmp_path / name}: cannot be read: ")


ODD_SHAPES = [
    "orgs = 5", "orgs = []", "orgs = 'acme'", "[[orgs]]\nname = 'acme'", "orgs = { acme = 5 }", "orgs = { acme = [] }",
    "sinks = [1]", "[[sinks]]\ntype = 'stdout'", "sinks = { log = 'stdout' }", "store = 'sqlite:///x.db'", "store = []",
    "http = 8080", "[[store]]", "[orgs.acme]\nobjects = 5", "[orgs.acme]\nobjects = 'Lead'",
    "[orgs.acme]\nobjects = ['Lead']", "[[orgs.acme.objects]]\nname = 'Lead'", "[orgs.acme]\nobjects = [{ a = 1 }]",
    "[orgs.acme]\ndefaults = 5\nobjects = 5", "[orgs.acme.objects]\nLead = 5", "[sinks.x]\norgs = 5\nobjects = 5",
    "[sinks.x]\ntype = 5\norgs = 'acme'", "[sinks.x]\ntype = ['stdout']", "[sinks.x]\norgs = [1]\nobjects = [[]]",
    "[sinks.x]\ntype = 'webhook'\nurl = { env = 5 }", "[sinks.x]\ntype = { env = 'NOPE' }", "orgs.env = 'x'",
    "[orgs]\nfile = 'x'", "[orgs.''.objects.'']", "'' = 1", "[orgs.acme.objects.Lead]\nfields = { a = 1 }",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD_SHAPES)
def test_no_shape_of_toml_is_more_than_a_problem(text: str) -> None:
    """Tables where texts should be, arrays where tables should be: lines with places, never a traceback."""
    with pytest.raises(ConfigError) as caught:
        config.parse(text, {"SALESFORCE_POLLER__ORGS__ACME__OBJECTS__LEAD__EVERY": "1m"})
    assert all(line.startswith("configuration") for line in caught.value.problems)


class TestLines:
    """Where a key stands."""

    @pytest.mark.parametrize(
        ("keys", "line"),
        [
            (["a"], 1),
            (["t"], 3),
            (["t", "x"], 4),
            (["t", "missing"], 3),
            (["t", "inline", "deep", "deeper"], 5),
            (["t", "quoted key"], 3),
            (["t", "sub", "z"], 9),
            (["t", "sub", "a", "b"], 10),
            (["nowhere"], None),
            ([], None),
        ],
    )
    def test_a_key_or_the_table_it_is_missing_from(self, keys: list[str], line: int | None) -> None:
        """A person finds it from there."""
        text = """\
a = 1
# [t] is not this line
[ t ]  # but this one
x = "[t.x]"
inline = { deep = { deeper = 1 } }
"quoted key" = 1

[t.sub]
z = [
]
""".replace("]\n'", "").replace("z = [\n]", "z = []\na.b = 1")
        assert config.line_of(text, keys) == line

    @pytest.mark.parametrize(
        "text", ["[[t]]\nx = 1", "[", "]", "=", "[]", "[ ]", '["a.b"]\nc = 1', "\x00 = 1", "'" * 9]
    )
    def test_no_text_is_too_odd(self, text: str) -> None:
        """It is only a hint for people."""
        assert config.line_of(text, ["t", "x"]) in (None, 1, 2)
