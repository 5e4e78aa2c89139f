"""sinks/signing.py: HMAC against the specification's vector and the reference library, ed25519 without that library.

The reference library for Python knows no ``v1a``: it skips such signatures when it verifies. So ed25519 is held against
the vector of the project's Go library, and verified with ``cryptography``.
"""

import base64
from datetime import UTC, datetime

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from salesforce_poller.sinks import signing

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#: The seed and the signature of libraries/go/webhook_asymmetric_test.go, TestAsymmetricWebhookSign.
ED25519_SECRET = "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk="
ED25519_SIGNATURE = "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag=="
secrets = st.binary(min_size=24, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode())


def test_the_vector_of_the_specification() -> None:
    """The one example every Standard Webhooks library carries."""
    signature = signing.sign(
        [signing.key_of(SECRET)], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(secret=secrets, body=st.text(), timestamp=st.integers(min_value=0, max_value=4_000_000_000))
def test_the_reference_library_signs_the_same(secret: str, body: str, timestamp: int) -> None:
    """For any secret, body and time."""
    theirs = Webhook(secret).sign("id", datetime.fromtimestamp(timestamp, UTC), body)
    assert signing.sign([signing.key_of(secret)], "id", timestamp, body.encode()) == theirs


def test_several_secrets_give_several_signatures() -> None:
    """While secrets are rotated, both the old and the new one verify."""
    other = "whsec_" + base64.b64encode(bytes(32)).decode()
    keys = [signing.key_of(SECRET), signing.key_of(other)]
    both = signing.sign(keys, "id", 1, b"{}").split(" ")
    assert both == [signing.sign([key], "id", 1, b"{}") for key in keys]


def test_a_secret_without_padding_is_the_same_secret() -> None:
    """Some generators leave the equals signs out."""
    padded = "whsec_" + base64.b64encode(bytes(range(25))).decode()
    assert signing.key_of(padded.rstrip("=")) == signing.key_of(padded) == signing.Symmetric(bytes(range(25)))


def public_key_of(secret: str) -> Ed25519PublicKey:
    """Return the key a receiver would have, read from its ``whpk_`` form."""
    key = signing.key_of(secret)
    assert isinstance(key, signing.Asymmetric)
    assert key.public.startswith("whpk_")
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(key.public.removeprefix("whpk_")))


def test_the_vector_of_ed25519() -> None:
    """The one example of the libraries that know it."""
    keys = [signing.key_of(ED25519_SECRET)]
    signature = signing.sign(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == ED25519_SIGNATURE


@given(seed=st.binary(min_size=32, max_size=32), body=st.binary(), timestamp=st.integers(0, 4_000_000_000))
def test_whoever_has_the_public_key_can_verify(seed: bytes, body: bytes, timestamp: int) -> None:
    """Any seed, body and time; and nothing but that body."""
    secret = "whsk_" + base64.b64encode(seed).decode()
    tag, _, encoded = signing.sign([signing.key_of(secret)], "id", timestamp, body).partition(",")
    signature = base64.b64decode(encoded)
    assert tag == "v1a"
    public_key_of(secret).verify(signature, f"id.{timestamp}.".encode() + body)
    with pytest.raises(InvalidSignature):
        public_key_of(secret).verify(signature, f"id.{timestamp}.".encode() + body + b" ")


def test_a_seed_with_its_public_key_is_the_same_secret() -> None:
    """Some generators write all 64 bytes."""
    seed = base64.b64decode(ED25519_SECRET.removeprefix("whsk_"))
    pair = "whsk_" + base64.b64encode(seed + public_key_of(ED25519_SECRET).public_bytes_raw()).decode()
    assert signing.sign([signing.key_of(pair)], "id", 1, b"{}") == signing.sign(
        [signing.key_of(ED25519_SECRET)], "id", 1, b"{}"
    )


def test_both_schemes_travel_together() -> None:
    """While a receiver changes from the one to the other; the reference library takes the one that it knows."""
    keys = [signing.key_of(ED25519_SECRET), signing.key_of(SECRET)]
    now = datetime.now(UTC)  # noqa: TID251  # the library compares with the machine's clock
    header = signing.sign(keys, "id", int(now.timestamp()), b"{}")
    assert [each.partition(",")[0] for each in header.split(" ")] == ["v1a", "v1"]
    stamp = str(int(now.timestamp()))
    Webhook(SECRET).verify("{}", {"webhook-id": "id", "webhook-timestamp": stamp, "webhook-signature": header})


def test_no_key_shows_itself() -> None:
    """Not in a traceback, nor in a log of a list of keys."""
    for secret in (SECRET, ED25519_SECRET):
        shown = repr(signing.key_of(secret))
        assert secret.partition("_")[2][:8] not in shown
        assert "b'" not in shown


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("whpk_" + base64.b64encode(bytes(32)).decode(), "this is the public key, for the receiver"),
        ("whsk_" + base64.b64encode(bytes(31)).decode(), "32 bytes, or 64 with the public key; this one holds 31"),
        ("whsk_" + base64.b64encode(bytes(64)).decode(), "do not belong together"),
        ("whsk_!", "base64 after whsk_"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "begins with whsec_"),
        ("whsec_!fKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "base64"),
        ("whsec_ümläüte", "base64"),
        ("whsec_c2hvcnQ=", "24 to 64 bytes, this one holds 5"),
        ("whsec_" + base64.b64encode(bytes(65)).decode(), "24 to 64 bytes, this one holds 65"),
        ("whsec_", "this one holds 0"),
    ],
)
def test_a_bad_secret_is_refused_without_repeating_it(secret: str, why: str) -> None:
    """The text says what is wrong, and nothing of the secret."""
    with pytest.raises(ValueError, match=why) as caught:
        signing.key_of(secret)
    _, _, tail = secret.partition("_")
    assert len(tail) <= len("!") or tail not in str(caught.value)
