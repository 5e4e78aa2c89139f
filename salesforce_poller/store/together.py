"""Writes the small things of many callers in one transaction: who comes while one is under way shares the next.

A transaction costs as much for one row as for a hundred, and a thousand orgs always have some row to write: calls,
watermarks, that a feed works. Every caller waits until its row is on disk, as it would with a transaction of its own.
Used by ``feeds.py``, ``calls.py`` and ``described.py``, through ``database.py:Database.put``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, Executable

#: Makes the statement of a kind of row, in the words of a database (its dialect's name).
Make = Callable[[str], Executable]
Row = Mapping[str, Any]
#: Called once when a transaction begins: takes what is to be written in it, and returns what writes it.
Take = Callable[[], Callable[[Connection], None]]


@dataclass(slots=True, eq=False)
class _Wish:
    """What one caller wants written, and where it waits for that."""

    parts: tuple[tuple[Make, Row], ...]
    written: "asyncio.Future[None]"
    #: How many rows of the table were changed, where that is asked for: 0 until it is known. None: nobody asks.
    changed: int | None = None


class Together:
    """The rows that wait for the next transaction. Rows of one kind are written in the order in which they came."""

    def __init__(self, write: Callable[[Take], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: list[_Wish] = []
        self._writing: asyncio.Task[None] | None = None
        self._statements: dict[Make, Executable] = {}

    async def put(self, *parts: tuple[Make, Row]) -> None:
        """Write rows, each by the statement that its ``Make`` makes; they are on disk when this returns.

        Raises what the transaction raises; nothing of anybody who shared it was written then.
        """
        await self._wish(_Wish(parts, asyncio.get_running_loop().create_future()))

    async def change(self, make: Make, row: Row) -> bool:
        """Write as :meth:`put` does; returns whether anything in the table was changed by this row."""
        wish = _Wish(((make, row),), asyncio.get_running_loop().create_future(), changed=0)
        await self._wish(wish)
        return bool(wish.changed)

    async def _wish(self, wish: _Wish) -> None:
        self._waiting.append(wish)
        if self._writing is None:
            self._writing = asyncio.create_task(self._work())
        try:
            await wish.written
        except asyncio.CancelledError:
            if wish in self._waiting:  # whoever works in its place must not find it written behind their back
                self._waiting.remove(wish)
            raise

    async def rest(self) -> None:
        """Wait until nothing is under way; the callers may have been called off meanwhile."""
        if self._writing is not None:
            await self._writing

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._write_all()
        finally:
            self._writing = None

    async def _write_all(self) -> None:
        wishes: list[_Wish] = []

        def take() -> Callable[[Connection], None]:
            # Only now: whoever came while the transaction had to wait for another one is taken along.
            nonlocal wishes
            wishes, self._waiting = self._waiting, []
            return partial(self._execute, wishes)

        try:
            await self._write(take)
        except Exception as exc:  # noqa: BLE001  # every caller must hear of it, whatever it is
            if not wishes:
                wishes, self._waiting = self._waiting, []
            for wish in wishes:
                if not wish.written.done():
                    wish.written.set_exception(exc)
            return
        for wish in wishes:
            if not wish.written.done():
                wish.written.set_result(None)

    def _execute(self, wishes: Sequence[_Wish], connection: Connection) -> None:
        for (make, counted), some in _by_kind(wishes).items():
            if make not in self._statements:
                self._statements[make] = make(connection.dialect.name)
            if not counted:
                connection.execute(self._statements[make], [row for _, row in some])
                continue
            for wish, row in some:
                wish.changed = connection.execute(self._statements[make], row).rowcount


def _by_kind(wishes: Sequence[_Wish]) -> Mapping[tuple[Make, bool], Sequence[tuple[_Wish, Row]]]:
    found: dict[tuple[Make, bool], list[tuple[_Wish, Row]]] = {}
    for wish in wishes:
        for make, row in wish.parts:
            found.setdefault((make, wish.changed is not None), []).append((wish, row))
    return found
