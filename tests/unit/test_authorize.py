"""salesforce/authorize.py: the browser's way out and back."""

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from salesforce_poller.errors import LoginRefused, TryLater
from salesforce_poller.salesforce import authorize
from salesforce_poller.salesforce.authorize import Attempt
from salesforce_poller.salesforce.settings import OrgSettings

ATTEMPT = Attempt(
    "http://localhost:8765/callback", state="st&te", verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
ORG = OrgSettings(
    login_url="https://test.salesforce.com", auth="refresh_token", client_id="3MVG9", client_secret=SecretStr("s3cret")
)


def test_the_address_asks_for_a_code_with_pkce() -> None:
    """The challenge is that of RFC 7636, appendix B; neither verifier nor secret is in the address."""
    url = urlsplit(authorize.address(ORG, ATTEMPT))
    assert (url.scheme, url.netloc, url.path) == ("https", "test.salesforce.com", "/services/oauth2/authorize")
    assert parse_qs(url.query) == {
        "response_type": ["code"],
        "client_id": ["3MVG9"],
        "redirect_uri": ["http://localhost:8765/callback"],
        "scope": ["api refresh_token"],
        "state": ["st&te"],
        "code_challenge": ["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"],
        "code_challenge_method": ["S256"],
    }
    assert "s3cret" not in url.query
    assert ATTEMPT.verifier not in url.query


def test_nothing_secret_is_shown() -> None:
    """Not even by accident in a traceback."""
    assert ATTEMPT.state not in repr(ATTEMPT)
    assert ATTEMPT.verifier not in repr(ATTEMPT)


@pytest.mark.parametrize(
    ("parameters", "ours"),
    [({"state": "st&te"}, True), ({"state": "other"}, False), ({"state": "é"}, False), ({}, False)],
)
def test_an_answer_is_known_by_its_state(parameters: dict[str, str], ours: bool) -> None:
    """Anybody's page can send a browser to our address."""
    assert authorize.is_ours(parameters, ATTEMPT) is ours


def test_a_code_is_exchanged_by_who_began() -> None:
    """The verifier proves it; its digest is what was sent before."""
    assert authorize.code_of({"code": "aPrx", "state": "st&te"}) == "aPrx"
    form = authorize.exchange(ORG, ATTEMPT, "aPrx")
    assert form == {
        "grant_type": "authorization_code",
        "code": "aPrx",
        "redirect_uri": "http://localhost:8765/callback",
        "code_verifier": ATTEMPT.verifier,
        "client_id": "3MVG9",
        "client_secret": "s3cret",
    }
    digest = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
    assert digest.decode().rstrip("=") in authorize.address(ORG, ATTEMPT)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"error": "access_denied", "error_description": "end-user denied authorization"}, "said no in the browser"),
        ({"error": "OAUTH_APP_BLOCKED", "error_description": "this app is blocked by admin"}, "OAUTH_APP_BLOCKED"),
        ({"error": "invalid_scope"}, "invalid_scope"),
        ({}, "without a code"),
        ({"code": ""}, "without a code"),
    ],
)
def test_an_error_is_explained(parameters: dict[str, str], told: str) -> None:
    """In the words of Salesforce where it has some."""
    with pytest.raises(LoginRefused, match=told):
        authorize.code_of(parameters)


def test_a_bad_moment_of_the_login_page_is_no_refusal() -> None:
    """Trying again may help."""
    with pytest.raises(TryLater):
        authorize.code_of({"error": "server_error"})
