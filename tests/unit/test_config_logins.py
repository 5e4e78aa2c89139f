"""config.py and salesforce/settings.py: the keys of each way to log in, private keys, and the store's secret key."""

import pytest
from config_examples import SECRET, parsed, problems
from credentials import A_KEY, a_key_pair, a_secret_key
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from salesforce_poller.salesforce.settings import FLOWS

KEY = a_secret_key()
STORE = f'[store]\nsecret_key = "{KEY}"\n'
REST = '\n[orgs.acme.objects.Lead]\n[sinks.log]\ntype = "stdout"\n'
VALUES = {
    "client_id": "3MVG9",
    "client_secret": SECRET,
    "username": "poller@example.com",
    "password": SECRET,
    "private_key": A_KEY.pem,
    "refresh_token": SECRET,
    "access_token": SECRET,
    "audience": "https://test.salesforce.com",
}
REQUIRED = {"client_secret", "private_key", "password", "access_token"}


def org(auth: str, *keys: str, store: str = STORE, **other: str) -> str:
    """Return a configuration in which an org has these keys, on the fourth line and below; texts as they are."""
    values = {key: VALUES[key] for key in keys} | other
    lines = "".join(f"{key} = '''{value}'''\n" for key, value in values.items())
    return f'{store}[orgs.acme]\nlogin_url = "https://acme.my.salesforce.com"\nauth = "{auth}"\n{lines}{REST}'


class TestKeysOfFlows:
    """No more and no less than a flow uses."""

    @pytest.mark.parametrize("auth", FLOWS)
    def test_what_a_flow_needs_is_enough(self, auth: str) -> None:
        """And what it may have is welcome."""
        flow = FLOWS[auth]
        assert parsed(good=org(auth, *flow.needs)).orgs["acme"].auth == auth
        assert parsed(good=org(auth, *flow.needs, *flow.may_have)).orgs["acme"].auth == auth

    @pytest.mark.parametrize(("auth", "key"), [(auth, key) for auth, flow in FLOWS.items() for key in flow.needs])
    def test_what_is_missing_is_named(self, auth: str, key: str) -> None:
        """Each key that a flow needs."""
        given = [each for each in FLOWS[auth].needs if each != key]
        [line] = problems(good=org(auth, *given))
        assert line == f'configuration:3: orgs.acme: auth = "{auth}" also needs {key}'

    @pytest.mark.parametrize(
        ("auth", "key"),
        [(a, key) for a, flow in FLOWS.items() for key in VALUES if key not in (*flow.needs, *flow.may_have)],
    )
    def test_a_key_of_another_flow_is_named(self, auth: str, key: str) -> None:
        """It would do nothing, and somebody believes that it does."""
        [line] = problems(good=org(auth, *FLOWS[auth].needs, key))
        assert line.startswith(f'configuration:3: orgs.acme: auth = "{auth}" has no use for {key}; ')

    def test_an_unknown_flow_is_told_which_there_are(self) -> None:
        """All five."""
        [line] = problems(good=org("oauth"))
        assert all(auth in line for auth in FLOWS)

    def test_no_secret_is_shown(self) -> None:
        """Not by accident in a log either."""
        for auth, flow in FLOWS.items():
            shown = repr(parsed(good=org(auth, *flow.needs, *flow.may_have)))
            assert SECRET not in shown
            assert KEY not in shown
            assert A_KEY.pem[40:80] not in shown


class TestPrivateKeys:
    """What is wrong is said at the start, in one line that shows nothing of the key."""

    def told(self, pem: str) -> str:
        """Return what is said of a key."""
        [line] = problems(good=org("jwt_bearer", "client_id", "username", private_key=pem))
        assert ": orgs.acme.private_key: " in line
        assert pem[40:80] not in line
        return line

    def test_a_path_is_no_key(self) -> None:
        """The likeliest slip; what would be right is said."""
        assert '{ file = "key.pem" }' in self.told("/run/secrets/" + "deeper/" * 10 + "key.pem")

    @pytest.mark.parametrize(
        ("pem", "told"),
        [
            (A_KEY.public.replace("PUBLIC KEY", "CERTIFICATE"), "is a certificate"),
            (A_KEY.public, "is a public key"),
            (A_KEY.pem.replace("\n", r"\n"), 'holds "\\n" where its lines should end'),
            (A_KEY.pem[:200] + "\n-----END PRIVATE KEY-----\n", "is damaged"),
            (A_KEY.pem.replace("M", "!", 5), "is damaged"),
        ],
    )
    def test_what_is_no_key_is_told(self, pem: str, told: str) -> None:
        """By what it is instead."""
        assert told in self.told(pem)

    def test_a_key_with_a_passphrase_is_told(self) -> None:
        """With the command that takes it off."""
        key = serialization.load_pem_private_key(A_KEY.pem.encode(), None)
        locked = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
        assert "openssl pkey -in key.pem -out plain.pem" in self.told(locked.decode())

    def test_a_key_of_another_kind_is_told(self) -> None:
        """Salesforce takes RS256 only."""
        key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        assert "should be an RSA key" in self.told(key.decode())

    def test_a_short_key_is_told(self) -> None:
        """RFC 7518 wants 2,048 bits."""
        assert "should have at least 2048 bits, and has 1024" in self.told(a_key_pair(1024).pem)

    def test_the_older_form_of_pem_is_as_good(self) -> None:
        """``BEGIN RSA PRIVATE KEY``, as older tools write it."""
        key = serialization.load_pem_private_key(A_KEY.pem.encode(), None)
        older = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        parsed(good=org("jwt_bearer", "client_id", "username", private_key=older.decode()))

    def test_a_key_that_cannot_be_read_is_told_once(self) -> None:
        """Not also as a key that is wrong."""
        good = org("jwt_bearer", "client_id", "username").replace(
            "username =", 'private_key = { file = "/nowhere/key.pem" }\nusername ='
        )
        [line] = problems(good=good)
        assert line.startswith("configuration:7: orgs.acme.private_key: cannot read /nowhere/key.pem")


@pytest.mark.parametrize("audience", ["login.salesforce.com", "http://login.salesforce.com", "https://", ""])
def test_a_bad_audience_is_told(audience: str) -> None:
    """It is an address."""
    [line] = problems(good=org("jwt_bearer", "client_id", "username", "private_key", audience=audience))
    assert "orgs.acme.audience: should be an address" in line


class TestSecretKey:
    """``[store] secret_key``."""

    @pytest.mark.parametrize("key", ["", "a passphrase that somebody thought of", KEY[:-4], KEY + KEY, "é" * 44])
    def test_anything_but_32_random_bytes_is_told(self, key: str) -> None:
        """With the command that makes some."""
        [line] = problems(good=org("access_token", "access_token", store=f'[store]\nsecret_key = "{key}"\n'))
        assert line.startswith("configuration:2: store.secret_key: should be 32 random bytes in base64; `openssl rand")

    def test_several_are_in_their_order(self) -> None:
        """The first one encrypts."""
        other = a_secret_key("other")
        store = f'[store]\nsecret_key = ["{KEY}", "{other}"]\n'
        keys = parsed(good=org("access_token", "access_token", store=store)).store.keys
        assert [key.get_secret_value() for key in keys] == [KEY, other]

    def test_a_wrong_one_among_several_is_told(self) -> None:
        """And none at all."""
        for keys, told in ((f'["{KEY}", "x"]', "32 random bytes"), ("[]", "at least one")):
            [line] = problems(good=org("access_token", "access_token", store=f"[store]\nsecret_key = {keys}\n"))
            assert told in line

    @pytest.mark.parametrize("store", ["", "[store]\n"])
    def test_a_refresh_token_needs_one(self, store: str) -> None:
        """The org may replace the token at any login, and it must be stored before it is used."""
        [line] = problems(good=org("refresh_token", "client_id", store=store))
        assert 'orgs.acme.auth: "refresh_token" needs secret_key in [store]' in line
        assert "openssl rand -base64 32" in line

    def test_other_flows_need_none(self) -> None:
        """Nothing of theirs is kept."""
        for auth, flow in FLOWS.items():
            if auth != "refresh_token":
                assert parsed(good=org(auth, *flow.needs, store="")).store.keys == []

    def test_it_may_come_from_the_environment(self) -> None:
        """As any value."""
        good = org("refresh_token", "client_id", store="")
        environ = {"SALESFORCE_POLLER__STORE__SECRET_KEY": KEY}
        assert [key.get_secret_value() for key in parsed(good=good, environ=environ).store.keys] == [KEY]


@pytest.mark.parametrize("end", [" ", "\\t", "\\n", "\\u00f6", "\\u0000"])
def test_an_access_token_that_no_header_takes_is_told_and_not_shown(end: str) -> None:
    """Sent, it would be an error of the HTTP library, which repeats what it was given."""
    bad = org("access_token", access_token="X").replace("'''X'''", f'"{SECRET}{end}x"')
    [line] = problems(good=bad)
    assert "orgs.acme.access_token: holds a blank, a line break or a letter that no token has" in line
    assert SECRET not in line
