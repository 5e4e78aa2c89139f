"""The JWT bearer flow: a signature that is really checked, and everything that can be wrong with an assertion."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.server import build

#: The instant at which every org of these tests begins.
TEN = datetime(2026, 11, 21, 10, 0, 30, tzinfo=UTC)
TOKEN = "/services/oauth2/token"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SECONDS = int(TEN.timestamp())
CLAIMS = {
    "iss": "simulated-client",
    "sub": "integration.user@example.com",
    "aud": "https://login.salesforce.com",
    "exp": SECONDS + 180,
}

Keys = tuple[str, str]


def pems(key: rsa.RSAPrivateKey) -> Keys:
    """The private and the public key as PEM texts."""
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture(scope="module")
def keys() -> Keys:
    """The app's own key."""
    return pems(rsa.generate_private_key(65537, 2048))


@pytest.fixture(scope="module")
def strangers() -> Keys:
    """Somebody else's."""
    return pems(rsa.generate_private_key(65537, 2048))


@pytest.fixture(autouse=True)
def registered(org: Org, keys: Keys) -> None:
    """The org knows the app's public key."""
    org.app = replace(org.app, certificate=keys[1])


async def ask(http: httpx.AsyncClient, private: str, **changes: Any) -> httpx.Response:
    """Log in with an assertion; a claim that is None is left out."""
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return await post(http, jwt.encode(claims, private, algorithm="RS256"))


async def post(http: httpx.AsyncClient, assertion: str) -> httpx.Response:
    """Log in with this text."""
    return await http.post(TOKEN, data={"grant_type": GRANT, "assertion": assertion})


async def test_a_good_assertion_gets_a_session_of_the_user_it_names(
    org: Org, http: httpx.AsyncClient, keys: Keys
) -> None:
    """Without secret; the answer has neither signature, nor issued_at, nor refresh_token."""
    body = (await ask(http, keys[0])).json()
    assert set(body) == {"access_token", "scope", "instance_url", "id", "token_type"}
    assert body["id"].endswith(f"/{org.integration_user}")
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    assert (await http.get("limits", headers=headers)).status_code == 200
    colleague = org.storage.rows["User"][org.people[0]]["Username"]
    assert (await ask(http, keys[0], sub=colleague.upper())).json()["id"].endswith(f"/{org.people[0]}")


@pytest.mark.parametrize("exp", [SECONDS + 180, str(SECONDS + 180), SECONDS * 1000])
async def test_exp_may_be_far_off_and_may_be_text(http: httpx.AsyncClient, keys: Keys, exp: object) -> None:
    """As simple-salesforce (a string) and Salesforce's CLI (milliseconds) send it."""
    private = keys[0]
    header = jwt.PyJWS().encode(jwt.utils.force_bytes(dumps({**CLAIMS, "exp": exp})), private, algorithm="RS256")
    assert (await post(http, header)).status_code == 200


def dumps(claims: dict[str, Any]) -> str:
    """Claims as JSON; PyJWT itself would refuse an exp that is text."""
    return httpx.Request("POST", "http://x", json=claims).content.decode()


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"iss": "other"}, "invalid_client_id", "client identifier invalid"),
        ({"exp": SECONDS}, "invalid_grant", "expired authorization code"),
        ({"exp": None}, "invalid_grant", "expired authorization code"),
        ({"exp": "nan"}, "invalid_grant", "expired authorization code"),
        ({"exp": "soon"}, "invalid_grant", "expired authorization code"),
        ({"aud": "https://test.salesforce.com"}, "invalid_grant", "Audience validation failed"),
        ({"aud": None}, "invalid_grant", "Audience validation failed"),
        ({"sub": "nobody@example.com"}, "invalid_grant", "user hasn't approved this consumer"),
        ({"sub": None}, "invalid_grant", "user hasn't approved this consumer"),
    ],
)
async def test_each_claim_that_is_wrong_has_its_own_refusal(
    http: httpx.AsyncClient, keys: Keys, changes: dict[str, Any], error: str, description: str
) -> None:
    """Always 400; a user who does not exist is told what one who has not approved is told."""
    response = await ask(http, keys[0], **changes)
    assert response.status_code == 400
    assert response.json() == {"error": error, "error_description": description}


async def test_a_signature_that_is_not_the_apps_is_refused(
    org: Org, http: httpx.AsyncClient, keys: Keys, strangers: Keys
) -> None:
    """Another key, another algorithm, no signature, no JWT, no registered key."""
    hmac = jwt.encode(CLAIMS, "x" * 32, algorithm="HS256")
    unsigned = jwt.encode(CLAIMS, "", algorithm="none")
    answers = [await ask(http, strangers[0]), *[await post(http, text) for text in (hmac, unsigned, "a.b.c", "")]]
    org.app = replace(org.app, certificate=None)
    answers.append(await ask(http, keys[0]))
    refusal = {"error": "invalid_grant", "error_description": "invalid assertion"}
    assert [answer.json() for answer in answers] == [refusal] * 6


async def test_only_approved_users_may_log_in_where_the_administrator_says_so(
    org: Org, http: httpx.AsyncClient, keys: Keys
) -> None:
    """Everybody else has to approve the app first; one who has left is inactive."""
    colleague = org.storage.rows["User"][org.people[0]]["Username"]
    org.app = replace(org.app, approved=(colleague,))
    refused = (await ask(http, keys[0])).json()
    assert refused == {"error": "invalid_grant", "error_description": "user hasn't approved this consumer"}
    assert (await ask(http, keys[0], sub=colleague)).status_code == 200
    org.update(org.people[0], IsActive=False)
    gone = (await ask(http, keys[0], sub=colleague)).json()
    assert gone == {"error": "inactive_user", "error_description": "inactive user"}


async def test_the_audience_is_the_login_server_of_the_kind_of_org_or_the_org_itself(
    http: httpx.AsyncClient, keys: Keys
) -> None:
    """A sandbox belongs to test.salesforce.com."""
    own = str(http.base_url)
    for audience in (own, own.rstrip("/"), f"{own.rstrip('/')}{TOKEN}", "https://login.salesforce.com/"):
        assert (await ask(http, keys[0], aud=audience)).status_code == 200, audience
    sandbox = Org(clock=OrgClock(TEN, speed=0), edition="Full Sandbox")
    sandbox.app = replace(sandbox.app, certificate=keys[1])
    transport = httpx.ASGITransport(build(sandbox))
    async with httpx.AsyncClient(transport=transport, base_url="http://acme.sandbox.my.salesforce.com") as client:
        assert (await ask(client, keys[0], aud="https://test.salesforce.com")).status_code == 200
        assert (await ask(client, keys[0])).json()["error_description"] == "Audience validation failed"


async def test_a_certificate_is_registered_over_the_control_api(org: Org, http: httpx.AsyncClient) -> None:
    """X.509, as one uploads it to Salesforce; what is no RSA key is refused with a reason."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "poller")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, TEN, TEN + timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    assert (await http.post("/simulator/app", json={"certificate": certificate})).status_code == 200
    assert (await ask(http, pems(key)[0])).status_code == 200
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    wrong = [curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode(), "text", "-----BEGIN CERT"]
    for text in wrong:
        refused = await http.post("/simulator/app", json={"certificate": text})
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_INPUT")
    assert org.app.certificate == certificate


async def test_many_logins_at_once_are_many_sessions(http: httpx.AsyncClient, keys: Keys) -> None:
    """Each has a token of its own."""
    answers = await asyncio.gather(*(ask(http, keys[0]) for _ in range(3)))
    assert len({answer.json()["access_token"] for answer in answers}) == 3
