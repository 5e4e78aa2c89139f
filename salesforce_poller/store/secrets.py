"""What must be remembered and not be read: one text for an org and a name, encrypted with ``[store] secret_key``.

Written by logins whose refresh token changes (``salesforce/session.py``) and by ``login.py``, through a :class:`Keeper`
each. Encryption is Fernet (AES-128-CBC with HMAC-SHA256) of the ``cryptography`` library. With several keys the first
one encrypts, and all of them decrypt; what was read with an older one is encrypted anew when it is next written.
"""

import base64
from collections.abc import Sequence
from datetime import datetime

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from salesforce_poller.clock import Clock
from salesforce_poller.errors import OrgRefused, StoreError
from salesforce_poller.store.database import Database
from salesforce_poller.store.settings import key_bytes
from salesforce_poller.store.tables import secrets

REFRESH_TOKEN = "refresh_token"  # noqa: S105  # the name of a secret, not one


class Secrets:
    """The table ``secrets``. Every method is one transaction."""

    def __init__(self, database: Database, keys: Sequence[SecretStr]) -> None:
        self._database = database
        fernets = [Fernet(base64.urlsafe_b64encode(key_bytes(key))) for key in keys]
        self._fernet = MultiFernet(fernets) if fernets else None

    async def load(self, org: str, name: str) -> str | None:
        """Return a secret; None when there is none.

        Raises:
            OrgRefused: it cannot be decrypted.
            StoreError: the store failed, or there is no key.
        """
        wanted = select(secrets.c.sealed).where(secrets.c.org == org, secrets.c.name == name)
        async with self._database.read() as connection:
            sealed = (await connection.execute(wanted)).scalar_one_or_none()
        if sealed is None:
            return None
        try:
            return self._key().decrypt(sealed).decode()
        except InvalidToken as exc:
            raise OrgRefused(
                f"cannot decrypt the stored {name} of {org}: [store] secret_key is another one than it was encrypted "
                "with",
            ) from exc

    async def save(self, org: str, name: str, secret: str, at: datetime) -> None:
        """Put a secret in the place of the one before; it is on disk when this returns.

        Raises:
            StoreError: the store failed, or there is no key.
        """
        row = {"org": org, "name": name, "sealed": self._key().encrypt(secret.encode()), "written_at": at}
        written = insert(secrets).values(row)
        fresh = {"sealed": written.excluded.sealed, "written_at": written.excluded.written_at}
        async with self._database.write() as connection:
            await connection.execute(written.on_conflict_do_update(index_elements=["org", "name"], set_=fresh))

    def keeper(self, org: str, clock: Clock) -> "Keeper":
        """Return what keeps the refresh token of one org."""
        return Keeper(self, org, clock)

    def _key(self) -> MultiFernet:
        if self._fernet is None:
            raise StoreError("[store] secret_key is missing; `openssl rand -base64 32` makes one")
        return self._fernet


class Keeper:
    """Keeps the refresh token of one org. Satisfies ``salesforce/session.py:Keeper``."""

    def __init__(self, kept: Secrets, org: str, clock: Clock) -> None:
        self._kept = kept
        self._org = org
        self._clock = clock

    async def load(self) -> str | None:
        """Return it; raises like :meth:`Secrets.load`."""
        return await self._kept.load(self._org, REFRESH_TOKEN)

    async def save(self, secret: str) -> None:
        """Store it; raises like :meth:`Secrets.save`."""
        await self._kept.save(self._org, REFRESH_TOKEN, secret, self._clock.now())
