"""Signs a webhook body by Standard Webhooks 1.0.0: HMAC-SHA256 (tag ``v1``) and ed25519 (tag ``v1a``). Pure.

Called by ``webhook.py``. HMAC is tested against the specification's own vector and the reference library; that library
knows no ``v1a``, so ed25519 is tested against the vector of the project's Go library and ``cryptography``'s public key.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SYMMETRIC, _ASYMMETRIC, _PUBLIC = "whsec_", "whsk_", "whpk_"
#: Bytes of a symmetric secret, by the specification ("Signature scheme").
_SHORTEST, _LONGEST = 24, 64
#: Bytes of an ed25519 seed, and of a seed with the public key behind it, which is how some generators write it.
_SEED, _PAIR = 32, 64


@dataclass(frozen=True, slots=True)
class Symmetric:
    """A ``whsec_…`` secret: whoever verifies has it too."""

    key: bytes = field(repr=False)

    def signature(self, signed: bytes) -> str:
        """Return one entry of the header."""
        return "v1," + base64.b64encode(hmac.digest(self.key, signed, hashlib.sha256)).decode()


@dataclass(frozen=True, slots=True)
class Asymmetric:
    """A ``whsk_…`` secret: whoever verifies has :attr:`public` alone, and can sign nothing."""

    key: "Ed25519PrivateKey" = field(repr=False)

    def signature(self, signed: bytes) -> str:
        """Return one entry of the header."""
        return "v1a," + base64.b64encode(self.key.sign(signed)).decode()

    @property
    def public(self) -> str:
        """The ``whpk_…`` key for the receiver; no secret."""
        return _PUBLIC + base64.b64encode(self.key.public_key().public_bytes_raw()).decode()


Key = Symmetric | Asymmetric


def key_of(secret: str) -> Key:
    """Return the key in a ``whsec_…`` or ``whsk_…`` secret.

    Raises:
        ValueError: it is neither. The text does not repeat the secret.
    """
    if secret.startswith(_PUBLIC):
        raise ValueError(f"this is the public key, for the receiver; the signing secret begins with {_ASYMMETRIC}")
    if secret.startswith(_ASYMMETRIC):
        return _asymmetric(_decoded(secret, _ASYMMETRIC))
    if not secret.startswith(_SYMMETRIC):
        raise ValueError(f"a signing secret begins with {_SYMMETRIC} or {_ASYMMETRIC}")
    key = _decoded(secret, _SYMMETRIC)
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(f"a signing secret holds {_SHORTEST} to {_LONGEST} bytes, this one holds {len(key)}")
    return Symmetric(key)


def sign(keys: Iterable[Key], webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the ``webhook-signature`` header: one signature for each key, so that secrets can be rotated.

    ``timestamp`` is that of the attempt, in seconds since 1970 UTC.
    """
    signed = b"%s.%d.%s" % (webhook_id.encode(), timestamp, body)
    return " ".join(key.signature(signed) for key in keys)


def _asymmetric(raw: bytes) -> Asymmetric:
    if len(raw) not in (_SEED, _PAIR):
        raise ValueError(
            f"an ed25519 secret holds {_SEED} bytes, or {_PAIR} with the public key; this one holds {len(raw)}"
        )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415  # 7 MB, for those who have such a key
        Ed25519PrivateKey,
    )

    key = Ed25519PrivateKey.from_private_bytes(raw[:_SEED])
    if len(raw) == _PAIR and key.public_key().public_bytes_raw() != raw[_SEED:]:
        raise ValueError("the two halves of this ed25519 secret do not belong together")
    return Asymmetric(key)


def _decoded(secret: str, prefix: str) -> bytes:
    encoded = secret.removeprefix(prefix)
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"a signing secret is base64 after {prefix}") from None
