"""The database, whichever it is: transactions, the schema's version, and whose writes count.

``sqlite.py`` and ``postgresql.py`` are the two doors to it; everything else in this room speaks to a :class:`Database`.
Opened by ``store.py``.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from salesforce_poller.errors import StoreAway, StoreError, capped
from salesforce_poller.store import schema
from salesforce_poller.store.bells import INVITATIONS, Bell, Bells, Ring
from salesforce_poller.store.fresh import Appended, Fresh
from salesforce_poller.store.together import Make, Row, Together

T = TypeVar("T")
#: What is done with a connection, by plain calls.
Work = Callable[[Connection], T]
#: Says what is to be done, when it is its turn.
Begin = Callable[[], Work[T]]


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

    async def look(self, work: Work[T]) -> T:
        """As :meth:`reading`, in one go; returns what ``work`` returns."""
        ...

    async def visit(self, begin: Begin[T]) -> T:
        """As :meth:`writing`, in one go: what is done is on disk when this returns.

        ``begin`` is called when the transaction can begin. Whoever is called away meanwhile does not know how it ended,
        but that it did.
        """
        ...

    def take_turns(self, connection: Connection) -> None:
        """Let nobody else bring the schema up to date until this transaction ends."""
        ...

    def tell(self, connection: Connection, texts: Sequence[str]) -> None:
        """Tell other processes these texts when the transaction is on disk."""
        ...

    def is_away(self, error: BaseException) -> bool:
        """Say whether an error means that the database is not there now and may be again."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


#: Looks, inside a transaction, whether whoever writes may do so. Raises LeaseLost.
Proof = Work[None]


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
        self._afterwards: dict[Connection, _Afterwards] = {}
        self._together = Together(self._visit)

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

    async def look(self, work: Work[T]) -> T:
        """Return what ``work`` finds, as :meth:`read` would: cheaper than a statement at a time, and as short."""
        with self._our_errors(f"the store {self.name} failed"):
            return await self._door.look(work)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: all of it is on disk when this returns, or none of it ever will be."""
        with self._to_the_end() as then:
            async with self._door.writing() as connection:
                plain = _plain(connection)
                self._afterwards[plain] = then
                try:
                    if self._proof:
                        await connection.run_sync(self._proof)
                    yield connection
                    await connection.run_sync(self._tell, then)
                finally:
                    del self._afterwards[plain]

    async def write_at_once(self, work: Work[T]) -> T:
        """As :meth:`write`: one transaction, of what ``work`` does in one go; returns what it returns.

        In a file of SQLite's it is done in a thread. Each statement of :meth:`write` goes to a thread and back four
        times instead, and waits each time until the other thread lets go of the interpreter.
        """
        return await self._visit(lambda: work)

    async def put(self, *parts: tuple[Make, Row]) -> None:
        """Write some rows in a transaction that others may share; they are on disk when this returns.

        Each comes with what makes its statement (``together.py``). Raises StoreError.
        """
        await self._together.put(*parts)

    async def change(self, make: Make, row: Row) -> bool:
        """Write as :meth:`put` does; returns whether anything in the table was changed by this row."""
        return await self._together.change(make, row)

    async def _visit(self, begin: Begin[T]) -> T:
        with self._to_the_end() as then:

            def whole() -> Work[T]:
                work = begin()

                def do(connection: Connection) -> T:
                    self._afterwards[connection] = then
                    try:
                        if self._proof:
                            self._proof(connection)
                        done = work(connection)
                        self._tell(connection, then)
                    finally:
                        del self._afterwards[connection]
                    return done

                return do

            return await self._door.visit(whole)

    @contextmanager
    def _to_the_end(self) -> Iterator[_Afterwards]:
        """Do what follows on a transaction, however it ends."""
        then = _Afterwards()
        try:
            with self._our_errors(f"the store {self.name} failed"):
                yield then
        except BaseException:
            # Who is called away in the middle does not know what is on disk; whoever waits for events looks.
            self.fresh.clear()
            self.bells.ring([one for one in then.rung if one[0] in INVITATIONS])
            raise
        for one in then.appended:  # no other transaction can have ended since this one did
            self.fresh.add(one)
        self.bells.ring(then.rung)

    def _tell(self, connection: Connection, then: _Afterwards) -> None:
        if then.rung:
            self._door.tell(connection, [self.bells.written(one) for one in then.rung])

    def ring(self, connection: AsyncConnection | Connection, bell: Bell, *words: str) -> None:
        """Ring a bell, here and in other processes, when the transaction of this connection is on disk."""
        self._afterwards[_plain(connection)].rung.append((bell, words))

    def appended(self, connection: AsyncConnection | Connection, events: Appended) -> None:
        """Tell everybody of new events, and hand them on, when the transaction of this connection is on disk."""
        self._afterwards[_plain(connection)].appended.append(events)
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


def _plain(connection: AsyncConnection | Connection) -> Connection:
    """Return the connection behind one that is awaited."""
    if isinstance(connection, Connection):
        return connection
    assert connection.sync_connection is not None, "it is open"
    return connection.sync_connection
