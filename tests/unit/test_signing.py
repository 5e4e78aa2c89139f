"""sinks/signing.py: against the specification's vector and the reference library."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from salesforce_poller.sinks import signing

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
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
    assert signing.key_of(padded.rstrip("=")) == signing.key_of(padded) == bytes(range(25))


@pytest.mark.parametrize(
    ("secret", "why"),
    [
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
    assert len(secret) <= len("whsec_") or secret.removeprefix("whsec_") not in str(caught.value)
