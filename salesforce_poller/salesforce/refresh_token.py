"""Decides which refresh token is the present one: the configuration's, or the one the store has. Pure.

Called by ``session.py`` before each refresh, and by ``login.py``. An org with rotation switched on answers each refresh
with a new token and ends the old one; what is in the store is then newer than what a person once wrote down, until
that person writes down another one ("Refresh Token Rotation", Salesforce Help).
"""

import hashlib
import hmac

import orjson


def to_keep(token: str, configured: str | None) -> str:
    """Return the text to store: the token, and which configured one it took the place of (as a digest only)."""
    return orjson.dumps({"refresh_token": token, "instead_of": _digest(configured, token)}).decode()


def present(configured: str | None, kept: str | None) -> str | None:
    """Return the token to use; None when there is none at all.

    Args:
        configured: what the configuration says.
        kept: what :func:`to_keep` once returned, as the store has it.

    Raises:
        ValueError: ``kept`` is something else.
    """
    if kept is None:
        return configured
    try:
        stored = orjson.loads(kept)
        token, instead_of = str(stored["refresh_token"]), str(stored["instead_of"])
    except (orjson.JSONDecodeError, LookupError, TypeError) as exc:
        raise ValueError("this is no refresh token") from exc
    if configured is None or hmac.compare_digest(instead_of, _digest(configured, token)):
        return token
    return configured  # a person has put a new one into the configuration


def _digest(configured: str | None, salt: str) -> str:
    """Return the fingerprint of a configured token; the stored token, which nobody can guess, is its salt."""
    return hmac.new(salt.encode(), configured.encode(), hashlib.sha256).hexdigest() if configured else ""
