"""Pretend credentials that tests share: an RSA key with its public half, and keys for the store."""

import base64
import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


@dataclass(frozen=True)
class KeyPair:
    """An RSA key."""

    #: The private half, PEM (PKCS #8).
    pem: str
    #: The public half, PEM.
    public: str


def a_key_pair(bits: int = 2048) -> KeyPair:
    """Return a new key; 2,048 bits take a tenth of a second or so."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return KeyPair(private.decode(), public.decode())


#: Made once for all tests.
A_KEY = a_key_pair()


def a_secret_key(name: str = "first") -> str:
    """Return a key for ``[store] secret_key``, the same one for the same name."""
    return base64.b64encode(hashlib.sha256(name.encode()).digest()).decode()
