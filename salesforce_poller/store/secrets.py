"""What must be remembered and not be read: one text for an org and a name, encrypted with ``[store] secret_key``.

Written by logins whose refresh token changes (``salesforce/session.py``) and by ``login.py``, through a :class:`Keeper`
each. Encryption is Fernet (AES-128-CBC with HMAC-SHA256) of the ``cryptography`` library. With several keys the first
one encrypts, and all of them decrypt; what was read with an older one is encrypted anew when it is next written.
"""

import base64
from collections import deque
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr
from sqlalchemy import select, update

from salesforce_poller.clock import Clock
from salesforce_poller.errors import OrgRefused, StoreError
from salesforce_poller.store.database import Database
from salesforce_poller.store.settings import key_bytes
from salesforce_poller.store.tables import secrets
from salesforce_poller.store.upsert import upsert

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

REFRESH_TOKEN = "refresh_token"  # noqa: S105  # the name of a secret, not one
#: How many tokens back a server may go that takes over: it lacks moments, and a token lasts for an hour.
_OLDER = 50


class Secrets:
    """The table ``secrets``. Every method is one transaction."""

    def __init__(self, database: Database, keys: Sequence[SecretStr]) -> None:
        self._database = database
        self._fernet = _cipher(keys) if keys else None

    async def load(self, org: str, name: str) -> str | None:
        """Return a secret; None when there is none.

        Raises:
            OrgRefused: it cannot be decrypted.
            StoreError: the store failed, or there is no key.
        """
        sealed = await self.sealed(org, name)
        return None if sealed is None else self.unsealed(org, name, sealed)

    async def save(self, org: str, name: str, secret: str, at: datetime) -> None:
        """Put a secret in the place of the one before; it is on disk when this returns.

        Raises:
            StoreError: the store failed, or there is no key.
        """
        row = self._row(org, name, secret, at)
        async with self._database.write() as connection:
            fresh = upsert(connection, secrets, key=["org", "name"], change=["sealed", "written_at"])
            await connection.execute(fresh, row)

    async def replace(
        self, org: str, name: str, secret: str, at: datetime, *, instead_of: Collection[bytes | None]
    ) -> bool:
        """Put a secret in the place of one of these; what somebody else put there since is newer, and stays.

        ``instead_of`` is what :meth:`sealed` returned. Returns whether it was put there; raises like :meth:`save`.
        """
        row = self._row(org, name, secret, at)
        known = secrets.c.sealed.in_([one for one in instead_of if one is not None])
        async with self._database.write() as connection:
            mine = update(secrets).where(secrets.c.org == org, secrets.c.name == name, known)
            if (await connection.execute(mine.values(row))).rowcount:
                return True
            new = upsert(connection, secrets, key=["org", "name"])
            return None in instead_of and (await connection.execute(new, row)).rowcount > 0

    async def sealed(self, org: str, name: str) -> bytes | None:
        """Return a secret as it lies in the store; None when there is none."""
        wanted = select(secrets.c.sealed).where(secrets.c.org == org, secrets.c.name == name)
        async with self._database.read() as connection:
            found: bytes | None = (await connection.execute(wanted)).scalar_one_or_none()
        return found

    def unsealed(self, org: str, name: str, sealed: bytes) -> str:
        """Decrypt what :meth:`sealed` returned; raises like :meth:`load`."""
        cipher = self._key()
        from cryptography.fernet import InvalidToken  # noqa: PLC0415  # is there by now

        try:
            return cipher.decrypt(sealed).decode()
        except InvalidToken as exc:
            raise OrgRefused(
                f"cannot decrypt the stored {name} of {org}: [store] secret_key is another one than it was encrypted "
                "with",
            ) from exc

    def _row(self, org: str, name: str, secret: str, at: datetime) -> dict[str, Any]:
        return {"org": org, "name": name, "sealed": self._key().encrypt(secret.encode()), "written_at": at}

    def keeper(self, org: str, clock: Clock) -> "Keeper":
        """Return what keeps the refresh token of one org."""
        return Keeper(self, org, clock)

    def _key(self) -> "MultiFernet":
        if self._fernet is None:
            raise StoreError("[store] secret_key is missing; `openssl rand -base64 32` makes one")
        return self._fernet


def _cipher(keys: Sequence[SecretStr]) -> "MultiFernet":
    """Return what encrypts with the first of the keys and decrypts with any of them."""
    from cryptography.fernet import Fernet, MultiFernet  # noqa: PLC0415  # 7 MB, for stores that have a key

    return MultiFernet([Fernet(base64.urlsafe_b64encode(key_bytes(key))) for key in keys])


class Keeper:
    """Keeps the refresh token of one org. Satisfies ``salesforce/session.py:Keeper``.

    It writes whoever works for the org: an answer of Salesforce's that ends the old token may come when the lease is
    another process's already, and the new token is then what that one needs.
    """

    def __init__(self, kept: Secrets, org: str, clock: Clock) -> None:
        self._kept = kept
        self._org = org
        self._clock = clock
        #: What was read last, and what the token that was saved last took the place of, one after the other.
        self._sealed: bytes | None = None
        self._older: deque[bytes | None] = deque(maxlen=_OLDER)
        self._latest: str | None = None
        self._loaded = False

    async def load(self) -> str | None:
        """Return it; raises like :meth:`Secrets.load`.

        A store that went back has one that Salesforce has ended since: the one that we know to be newer is put there.
        """
        self._sealed = await self._kept.sealed(self._org, REFRESH_TOKEN)
        self._loaded = True
        if self._latest is not None and self._sealed in self._older:
            await self.save(self._latest)
            self._sealed = await self._kept.sealed(self._org, REFRESH_TOKEN)
        return None if self._sealed is None else self._kept.unsealed(self._org, REFRESH_TOKEN, self._sealed)

    async def save(self, secret: str) -> None:
        """Store it in the place of what was loaded, or of an older one; raises like :meth:`Secrets.save`."""
        now = self._clock.now()
        if not self._loaded:
            await self._kept.save(self._org, REFRESH_TOKEN, secret, now)
            return
        older = [*self._older, self._sealed]
        if await self._kept.replace(self._org, REFRESH_TOKEN, secret, now, instead_of=older):
            self._older.append(self._sealed)
            self._latest = secret
