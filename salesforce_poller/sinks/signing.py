"""Signs a webhook body: the symmetric scheme of Standard Webhooks 1.0.0 (HMAC-SHA256, tag ``v1``). Pure.

Called by ``webhook.py``. Tested against the specification's own vector and the reference library.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable

_PREFIX = "whsec_"
#: Bytes of a secret, by the specification ("Signature scheme").
_SHORTEST, _LONGEST = 24, 64


def key_of(secret: str) -> bytes:
    """Return the key in a ``whsec_…`` secret.

    Raises:
        ValueError: it is not one. The text does not repeat the secret.
    """
    if not secret.startswith(_PREFIX):
        raise ValueError(f"a signing secret begins with {_PREFIX}")
    encoded = secret.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"a signing secret is base64 after {_PREFIX}") from None
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(f"a signing secret holds {_SHORTEST} to {_LONGEST} bytes, this one holds {len(key)}")
    return key


def sign(keys: Iterable[bytes], webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the ``webhook-signature`` header: one signature for each key, so that secrets can be rotated.

    ``timestamp`` is that of the attempt, in seconds since 1970 UTC.
    """
    signed = b"%s.%d.%s" % (webhook_id.encode(), timestamp, body)
    digests = (hmac.digest(key, signed, hashlib.sha256) for key in keys)
    return " ".join("v1," + base64.b64encode(digest).decode() for digest in digests)
