"""The database, whichever it is: transactions, the schema's version, and whose writes count.

``sqlite.py`` and ``postgresql.py`` are the two doors to it; everything else in this room speaks to a :class:`Database`.
Opened by ``store.py``.
"""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from salesforce_poller.errors import StoreAway, StoreError, capped
from salesforce_poller.store import schema
from salesforce_poller.store.bells import INVITATIONS, Bell, Bells, Ring
from salesforce_poller.store.fresh import Appended, Fresh
from salesforce_poller.store.together import Make, Row, Take, Together


class Door(Protocol):
    """The way to one database."""

    @property
    def name(self) -> str:
        """What people know it by; no password in it."""
        ...

    async def prepare(self, *, writable: bool) -> None:
        """See that it can be opened at all. Raises StoreError, and StoreInUse where only one process may."""
        ...

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Begin a transaction that sees one state of the database."""
        ...

    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Begin a transaction that is on disk when the block is left."""
        ...

    async def write_lots(self, take: Take) -> bool:
        """Write these statements in a transaction of their own; False where that is no cheaper than :meth:`writing`."""
        ...

    def take_turns(self, connection: Connection) -> None:
        """Let nobody else bring the schema up to date until this transaction ends."""
        ...

    async def tell(self, connection: AsyncConnection, texts: Sequence[str]) -> None:
        """Tell other processes these texts when the transaction is on disk."""
        ...

    def is_away(self, error: BaseException) -> bool:
        """Say whether an error means that the database is not there now and may be again."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


#: Looks, inside a transaction, whether whoever writes may do so. Raises LeaseLost.
Proof = Callable[[AsyncConnection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Afterwards:
    """What follows on a transaction when it is on disk."""

    rung: list[Ring] = field(default_factory=list)
    appended: list[Appended] = field(default_factory=list)


class Database:
    """An open database.

    ``writable=False`` is for looking at a store that a daemon may be using, ``upgrade=False`` for not making one.
    ``fresh`` keeps the newest events, where nobody else writes any.
    """

    def __init__(
        self,
        door: Door,
        bells: Bells | None = None,
        *,
        writable: bool = True,
        upgrade: bool = True,
        proof: Proof | None = None,
        fresh: Fresh | None = None,
    ) -> None:
        self.bells = bells or Bells("")
        self.fresh = fresh or Fresh(0)
        self._door = door
        self._writable = writable
        self._upgrades = upgrade
        self._proof = proof
        #: By transaction.
        self._afterwards: dict[AsyncConnection, _Afterwards] = {}
        self._together = Together(self._write_lots)

    def under(self, proof: Proof) -> "Database":
        """Return this database as one may write it whom every transaction must find in order; do not open it again."""
        upgrade, fresh = self._upgrades, self.fresh
        return Database(self._door, self.bells, writable=self._writable, upgrade=upgrade, proof=proof, fresh=fresh)

    @property
    def name(self) -> str:
        """What people know it by."""
        return self._door.name

    async def open(self) -> None:
        """Bring the schema up to date, or see that it is.

        Raises:
            NoStore: there is nothing yet, and it is not to be made.
            StoreInUse: another process has it, and only one may.
            StoreAway: it is not there now.
            SchemaTooNew: a newer version of this program wrote it.
            StoreError: it is no database, or cannot be written.
        """
        #: The version of the schema before it was brought up to date; None where there was nothing.
        self.had: str | None = None
        try:
            with self._our_errors(f"cannot use the store {self.name}"):
                await self._door.prepare(writable=self._writable)
                if self._upgrades:
                    async with self._door.writing() as connection:
                        await connection.run_sync(self._upgrade)
                else:
                    async with self._door.reading() as connection:
                        await connection.run_sync(schema.check)
        except BaseException:  # whoever waits for it may be called away
            await self.close()
            raise

    async def close(self) -> None:
        """Close every connection, and let others have it."""
        await self._together.rest()
        await self._door.close()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """One consistent look at the database."""
        with self._our_errors(f"the store {self.name} failed"):
            async with self._door.reading() as connection:
                yield connection

    @asynccontextmanager
    async def read_as_it_is(self) -> AsyncIterator[AsyncConnection]:
        """One look at a database that is not open and need not have our schema. Raises what :meth:`open` raises."""
        with self._our_errors(f"cannot use the store {self.name}"):
            await self._door.prepare(writable=self._writable)
            async with self._door.reading() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: all of it is on disk when this returns, or none of it ever will be."""
        then = _Afterwards()
        try:
            with self._our_errors(f"the store {self.name} failed"):
                async with self._door.writing() as connection:
                    self._afterwards[connection] = then
                    try:
                        if self._proof:
                            await self._proof(connection)
                        yield connection
                        if then.rung:
                            await self._door.tell(connection, [self.bells.written(one) for one in then.rung])
                    finally:
                        del self._afterwards[connection]
        except BaseException:
            # Who is called away in the middle does not know what is on disk; whoever waits for events looks.
            self.fresh.clear()
            self.bells.ring([one for one in then.rung if one[0] in INVITATIONS])
            raise
        for one in then.appended:  # no other transaction can have ended since this one did
            self.fresh.add(one)
        self.bells.ring(then.rung)

    async def put(self, *parts: tuple[Make, Row]) -> None:
        """Write some rows in a transaction that others may share; they are on disk when this returns.

        Each comes with what makes its statement (``together.py``). Raises StoreError.
        """
        await self._together.put(*parts)

    async def _write_lots(self, take: Take) -> None:
        if self._proof is None:
            with self._our_errors(f"the store {self.name} failed"):
                if await self._door.write_lots(take):
                    return
        async with self.write() as connection:
            for statement, rows in take(connection.dialect.name):
                await connection.execute(statement, rows)

    def ring(self, connection: AsyncConnection, bell: Bell, *words: str) -> None:
        """Ring a bell, here and in other processes, when the transaction of this connection is on disk."""
        self._afterwards[connection].rung.append((bell, words))

    def appended(self, connection: AsyncConnection, events: Appended) -> None:
        """Tell everybody of new events, and hand them on, when the transaction of this connection is on disk."""
        self._afterwards[connection].appended.append(events)
        self.ring(connection, Bell.EVENTS)

    def _upgrade(self, connection: Connection) -> None:
        self._door.take_turns(connection)
        self.had = schema.version(connection)
        schema.upgrade(connection)

    @contextmanager
    def _our_errors(self, what: str) -> Iterator[None]:
        """Say a full disk, a lost file, a broken page or a server that is gone in our own words."""
        try:
            yield
        except (DBAPIError, PoolTimeout, sqlite3.Error, OSError) as exc:
            cause = getattr(exc, "orig", None) or exc.__cause__ or exc
            kind = StoreAway if self._door.is_away(exc) else StoreError
            raise kind(f"{what}: {capped(str(cause)) or type(cause).__name__}") from exc
