"""salesforce/grants.py: what each flow sends, for whom an assertion is made, and what we add to a refusal."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from credentials import A_KEY

from salesforce_poller.errors import Facts, LoginRefused
from salesforce_poller.salesforce import grants
from salesforce_poller.salesforce.settings import OrgSettings

HOST = "https://acme.my.salesforce.com"
NOW = datetime(2026, 11, 21, 10, 0, 0, 750_000, tzinfo=UTC)


def org(**said: Any) -> OrgSettings:
    """Return the settings of an org."""
    return OrgSettings.model_validate({"login_url": HOST, "client_id": "3MVG9", **said})


def signed(**said: Any) -> OrgSettings:
    """Return the settings of an org that is logged in to with a key."""
    return org(**{"auth": "jwt_bearer", "username": "poller@example.com", "private_key": A_KEY.pem} | said)


def test_client_credentials_are_a_form() -> None:
    """OAuth 2.0 Client Credentials Flow."""
    assert grants.form(org(client_secret="s3cret"), now=NOW) == {
        "grant_type": "client_credentials",
        "client_id": "3MVG9",
        "client_secret": "s3cret",
    }


@pytest.mark.parametrize("secret", [{}, {"client_secret": "s3cret"}])
def test_a_refresh_token_goes_with_the_secret_if_there_is_one(secret: dict[str, str]) -> None:
    """OAuth 2.0 Refresh Token Flow; a public client must not send any."""
    settings = org(auth="refresh_token", refresh_token="from the configuration", **secret)
    assert grants.form(settings, now=NOW, refresh_token="from the store") == {
        "grant_type": "refresh_token",
        "refresh_token": "from the store",
        "client_id": "3MVG9",
        **secret,
    }


def test_a_password_is_a_form() -> None:
    """OAuth 2.0 Username-Password Flow."""
    settings = org(auth="password", client_secret="s3cret", username="a@example.com", password="pass+token")
    assert grants.form(settings, now=NOW) == {
        "grant_type": "password",
        "username": "a@example.com",
        "password": "pass+token",
        "client_id": "3MVG9",
        "client_secret": "s3cret",
    }


def test_an_assertion_says_who_for_whom_and_until_when() -> None:
    """OAuth 2.0 JWT Bearer Flow: RS256, and good for three minutes from the time that is handed in."""
    form = grants.form(signed(), now=NOW)
    assert form.keys() == {"grant_type", "assertion"}
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    options: Any = {"verify_exp": False}
    claims = jwt.decode(
        form["assertion"], A_KEY.public, algorithms=["RS256"], audience=grants.PRODUCTION, options=options
    )
    assert claims == {
        "iss": "3MVG9",
        "sub": "poller@example.com",
        "aud": "https://login.salesforce.com",
        "exp": int((NOW + timedelta(minutes=3)).timestamp()),
    }


@pytest.mark.parametrize(
    ("host", "audience"),
    [
        ("login.salesforce.com", grants.PRODUCTION),
        ("acme.my.salesforce.com", grants.PRODUCTION),
        ("acme-dev-ed.develop.my.salesforce.com", grants.PRODUCTION),
        ("sandbox.my.salesforce.com", grants.PRODUCTION),
        ("test.salesforce.com", grants.SANDBOX),
        ("TEST.salesforce.com", grants.SANDBOX),
        ("acme--uat.sandbox.my.salesforce.com", grants.SANDBOX),
        ("acme-dev-ed.scratch.my.salesforce.com", grants.SANDBOX),
        ("acme--uat.sandbox.my.salesforce.mil", grants.SANDBOX),
        ("crm.acme.example", grants.PRODUCTION),
    ],
)
def test_the_audience_follows_from_the_host(host: str, audience: str) -> None:
    """Sandboxes and scratch orgs have the other login server; a company called "sandbox" has not."""
    assert grants.audience(signed(login_url=f"https://{host}")) == audience


def test_a_configured_audience_wins() -> None:
    """A domain of one's own in front of a sandbox tells nothing."""
    assert grants.audience(signed(audience="https://test.salesforce.com/")) == grants.SANDBOX


class TestExplaining:
    """What only this program knows is added to what Salesforce said."""

    def test_a_wrong_audience_is_named_with_the_other_one(self) -> None:
        """So that nobody has to guess which one was sent."""
        told = str(grants.with_hint(LoginRefused("invalid_grant: Audience validation failed"), "acme", signed()))
        assert "made for https://login.salesforce.com" in told
        assert 'set audience = "https://test.salesforce.com"' in told

    def test_an_ended_refresh_token_leads_to_the_command(self) -> None:
        """With the name of the org, and with the facts of the refusal."""
        error = LoginRefused("invalid_grant: expired access/refresh token", facts=Facts(code="invalid_grant"))
        told = grants.with_hint(error, "acme", org(auth="refresh_token"))
        assert "run `salesforce-poller login acme`" in str(told)
        assert told.code == "invalid_grant"

    @pytest.mark.parametrize("settings", [org(client_secret="x"), signed(), org(auth="refresh_token")])
    def test_anything_else_stays_as_it_is(self, settings: OrgSettings) -> None:
        """There is nothing to add."""
        error = LoginRefused("invalid_client_id: client identifier invalid")
        assert grants.with_hint(error, "acme", settings) is error
