"""salesforce/auth.py: token requests built, token answers read, refusals explained."""

import orjson
import pytest
from pydantic import SecretStr

from salesforce_poller.errors import LimitReached, LoginRefused, TryLater
from salesforce_poller.salesforce import auth
from salesforce_poller.salesforce.settings import OrgSettings

ORG = "00D5g000008abcdEAA"
TOKEN = f"{ORG[:15]}!AQEAQ.secret"
HOST = "https://acme.my.salesforce.com"


def refusal(error: str, description: str = "", status: int = 400) -> str:
    """Return how a refused login is told."""
    body = orjson.dumps({"error": error, "error_description": description})
    with pytest.raises(LoginRefused) as caught:
        auth.read_token(status, body)
    assert (caught.value.code, caught.value.status) == (error, status)
    return caught.value.explained()


class TestAsking:
    """What needs no asking; what the flows send is in ``test_grants.py``."""

    def test_a_given_token_is_used_as_it_is(self) -> None:
        """Its first part names the org."""
        settings = OrgSettings(login_url=HOST, auth="access_token", access_token=SecretStr(TOKEN))
        assert auth.given_token(settings) == auth.Token(TOKEN, HOST, ORG)


class TestGoodAnswers:
    """What is read of them."""

    def test_a_token_comes_with_its_host_and_its_org(self) -> None:
        """The API's host may differ from the login host."""
        answer = {
            "access_token": TOKEN,
            "instance_url": f"{HOST}/",
            "id": f"https://login.salesforce.com/id/{ORG}/005x",
        }
        assert auth.read_token(200, orjson.dumps(answer)) == auth.Token(TOKEN, HOST, ORG)

    def test_a_token_is_never_shown(self) -> None:
        """Not even by accident in a traceback."""
        assert "secret" not in repr(auth.Token(TOKEN, HOST, ORG))

    @pytest.mark.parametrize(
        ("token", "identity", "organization"),
        [
            (TOKEN, "", ORG),
            (f"{ORG}!x", "", ORG),
            ("opaque", f"{HOST}/id/{ORG}/0055g000001XyZAAA0", ORG),
            ("opaque", f"{HOST}/id/{ORG[:15]}/0055g000001XyZAAA0/", ORG),
            (TOKEN, "https://elsewhere.example/", ORG),
            ("opaque", "", None),
            ("", "", None),
            ("00D!x", "", None),
            ("00D5g000008abc!x", "", None),
            ("0055g000008abcd!x", "", None),
            ("opaque", f"{HOST}/id/005x/00Dx", None),
        ],
    )
    def test_the_org_is_known_from_identity_or_token(self, token: str, identity: str, organization: str | None) -> None:
        """And otherwise unknown, never guessed."""
        assert auth.organization_of(token, identity) == organization

    @pytest.mark.parametrize(
        ("short", "long"),
        [("00D5g000008abcd", ORG), ("0015000000Gv7qJ", "0015000000Gv7qJAAR"), ("000000000000000", "000000000000000AAA"),
         ("ABCDEFGHIJKLMNO", "ABCDEFGHIJKLMNO555"), ("abcdefghijklmno", "abcdefghijklmnoAAA")],
    )  # fmt: skip
    def test_a_short_id_is_lengthened_by_its_checksum(self, short: str, long: str) -> None:
        """Three letters that say which characters are capitals."""
        assert auth.to18(short) == long


class TestRefusals:
    """Each says what to do about it."""

    @pytest.mark.parametrize(
        ("error", "description", "advice"),
        [
            ("invalid_grant", "no client credentials user enabled", "Run As user"),
            ("invalid_client", "invalid client credentials", "check client_secret"),
            ("invalid_client_id", "client identifier invalid", "ten minutes"),
            ("invalid_grant", "Request Not Supported On This Domain", "My Domain"),
            ("invalid_grant", "ip restricted", "allowed address"),
            ("inactive_user", "", "activate the integration user"),
            ("unsupported_grant_type", "grant type not supported", "enable in the app the flow that `auth` says"),
            ("OAUTH_APP_BLOCKED", "this app is blocked by admin", "unblock"),
        ],
    )
    def test_known_ones_come_with_advice(self, error: str, description: str, advice: str) -> None:
        """In any case of letters."""
        told = refusal(error, description)
        assert told.startswith(f"login refused: {error}")
        assert advice in told

    def test_an_unknown_one_is_told_as_it_is(self) -> None:
        """On one line, and not too much of it."""
        told = refusal("new_error", "line one\nline two " + "x" * 1000)
        assert told.startswith("login refused: new_error: line one line two xxx")
        assert len(told) < 600

    def test_an_error_without_a_description_is_enough(self) -> None:
        """Some have none."""
        assert refusal("invalid_grant").startswith("login refused: invalid_grant. What to do: check the credentials")


class TestBadMoments:
    """What may pass by itself."""

    @pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable", "unknown_error"])
    def test_the_endpoint_is_not_itself(self, error: str) -> None:
        """A person could do nothing."""
        with pytest.raises(TryLater):
            auth.read_token(400, orjson.dumps({"error": error}))

    @pytest.mark.parametrize("status", [200, 302, 400, 420, 500, 503])
    @pytest.mark.parametrize(
        "body",
        [b"", b"<html>maintenance</html>", b"{", b"[]", b"null", b"5", b"{}", b'{"error": null}',
         b'{"access_token": null, "instance_url": null}', b'{"access_token": "x"}', b'[{"errorCode": "X"}]'],
    )  # fmt: skip
    def test_an_answer_that_explains_nothing(self, status: int, body: bytes) -> None:
        """An edge, a proxy, a maintenance page; says the status, and never a token."""
        with pytest.raises(TryLater, match=f"HTTP {status} without an explanation"):
            auth.read_token(status, body)

    def test_too_many_logins_wait_an_hour(self) -> None:
        """Trying again sooner would only prolong it."""
        with pytest.raises(TryLater, match="rate_limit_exceeded") as caught:
            auth.read_token(400, orjson.dumps({"error": "rate_limit_exceeded"}))
        assert caught.value.retry_after == 3600
        assert not isinstance(caught.value, LimitReached)  # those are of API requests
        assert caught.value.facts.trouble == "LOGIN_RATE"
