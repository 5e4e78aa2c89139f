"""The door to PostgreSQL: a pool of connections, over which several processes share one store.

A server that restarts, or hands over to another one, is *away*: whoever writes hears it as ``StoreAway`` and tries
again later, with nothing lost. A process that stops in the middle of a transaction is cut off by the server
(``idle_in_transaction_session_timeout``), or by its successor (``leases.py``), so that what it has locked does not stay
locked.
"""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import Connection, ExceptionContext, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from salesforce_poller.errors import StoreError
from salesforce_poller.store.bells import CHANNEL
from salesforce_poller.store.database import Begin, Work
from salesforce_poller.store.leases import APPLICATION, STANDSTILL

T = TypeVar("T")
#: Connections of one process.
_CONNECTIONS = 10
#: Seconds that a task waits for one of them, and for the server to answer a new one.
_POOL_WAIT, _CONNECT_WAIT = 60.0, 10.0
#: Seconds for one statement; nothing that the daemon asks takes as long.
STATEMENT = 60.0
_SETTINGS = {
    "application_name": APPLICATION,
    "idle_in_transaction_session_timeout": str(STANDSTILL // timedelta(milliseconds=1)),
    "tcp_user_timeout": "10000",
    "timezone": "UTC",
}
#: A machine that is gone is found out within ten seconds: seconds of silence before it is asked and between two
#: questions, how many are not answered; milliseconds for which what was sent may go without a receipt.
_LINE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": 10_000}
#: What is committed must be on disk; stronger settings than "on" stay.
_DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
#: Taken while the schema is brought up to date; a number of our own among all advisory locks.
_SCHEMA_LOCK = 7_305_808_869_230_650
#: Wrong for good: no waiting helps (PostgreSQL, Appendix A: error codes; 08P01 is a pooler that refuses our settings).
_WRONG = ("28", "3D", "3F", "42501", "08P01")
#: The server shuts down, starts up, or is a replica now; or it has too many connections.
_READ_ONLY = "25006"
_AWAY = ("57P", "08", "53300", _READ_ONLY)


class Postgresql:
    """A database by its address. Satisfies ``database.py:Door``.

    ``limit`` is how many seconds one statement may take; None for work that takes as long as it takes.
    """

    def __init__(self, url: str, *, limit: float | None = STATEMENT) -> None:
        self.name = without_password(url)
        self._url = url
        self._limit = limit
        self._engine = self._make()
        self._looking = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    async def prepare(self, *, writable: bool) -> None:  # noqa: ARG002  # the door's signature
        """See ``Door``: whoever can connect may share it."""
        connection = await self.connect()
        await connection.close()

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """See ``Door``."""
        return self._looking.begin()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """See ``Door``. Several side by side; what must not happen twice at a time is locked by rows."""
        async with self._engine.begin() as connection:
            yield connection

    async def look(self, work: Work[T]) -> T:
        """See ``Door``."""
        async with self.reading() as connection:
            return await connection.run_sync(work)

    async def visit(self, begin: Begin[T]) -> T:
        """See ``Door``. No cheaper than a statement at a time: each waits for the server."""
        async with self.writing() as connection:
            return await connection.run_sync(begin())

    def take_turns(self, connection: Connection) -> None:
        """See ``Door``."""
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SCHEMA_LOCK})

    def tell(self, connection: Connection, texts: Sequence[str]) -> None:
        """See ``Door``."""
        for one in dict.fromkeys(texts):
            connection.execute(text("SELECT pg_notify(:channel, :text)"), {"channel": CHANNEL, "text": one})

    def is_away(self, error: BaseException) -> bool:
        """See ``Door``."""
        if isinstance(error, OSError | PoolTimeout):
            return True
        if not isinstance(error, DBAPIError):
            return False
        state = getattr(error.orig, "sqlstate", None) or ""
        return error.connection_invalidated or state.startswith(_AWAY)

    async def close(self) -> None:
        """See ``Door``."""
        await self._engine.dispose()

    async def connect(self) -> Any:
        """Return a connection of its own (asyncpg's), for whoever must hold one.

        Raises:
            StoreError: the server would never let us in.
            ConnectionError: it is not there now.
        """
        try:
            made = await asyncpg.connect(
                self._url, timeout=_CONNECT_WAIT, command_timeout=self._limit, server_settings=_SETTINGS
            )
        except asyncpg.PostgresError as exc:
            if (exc.sqlstate or "").startswith(_WRONG):
                raise StoreError(f"cannot use the store {self.name}: {exc}") from exc
            raise ConnectionError(str(exc)) from exc
        except asyncpg.InternalClientError as exc:  # no host is of the kind that the address asks for: a failover
            raise ConnectionError(str(exc) or type(exc).__name__) from exc
        except asyncpg.InterfaceError as exc:
            raise StoreError(f"cannot use the store {self.name}: {exc}") from exc
        except TimeoutError as exc:
            raise ConnectionError(f"no answer within {_CONNECT_WAIT:g} s") from exc
        except OSError:
            raise  # a certificate that is not trusted is a ValueError too
        except ValueError as exc:  # of the address; its text may hold the password
            raise StoreError(f"cannot use the store {self.name}: the url cannot be read") from exc
        _mind_the_line(made)
        try:
            await made.execute(_DURABLE)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as exc:  # it was let in, and shown the door
            made.terminate()
            raise ConnectionError(str(exc) or type(exc).__name__) from exc
        except BaseException:
            made.terminate()  # it is nobody's yet
            raise
        return made

    def _make(self) -> AsyncEngine:
        async def connect(*_args: Any, **_more: Any) -> Any:
            return await self.connect()

        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=_POOL_WAIT,
            pool_pre_ping=True,
            hide_parameters=True,  # they are people's records, and errors end up in logs
        )
        event.listens_for(engine.sync_engine, "handle_error")(_let_go_of_a_replica)
        return engine


def _let_go_of_a_replica(context: ExceptionContext) -> None:
    """Connect anew after a failover in which the server did not hang up: it is a replica now, and answers on."""
    if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
        context.is_disconnect = True


def _mind_the_line(connection: Any) -> None:
    """Have the machine find out soon that the other one is gone without a word, whatever waits on the connection."""
    line = connection._transport.get_extra_info("socket")  # noqa: SLF001  # asyncpg offers no other way
    if line is None or line.family not in (socket.AF_INET, socket.AF_INET6):
        return
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _LINE.items():
        if hasattr(socket, name):  # not every system has all of them
            line.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def without_password(url: str) -> str:
    """Return an address as people may see it: server and database, without user, password and options."""
    parts = urlsplit(url)
    if "@" in parts.path + parts.fragment or ("@" in parts.query and "@" not in parts.netloc):
        return "postgresql://…"  # a password with a "/" in it, say: nobody can tell where it ends
    return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"
