"""A mirror: one table per object in PostgreSQL or SQLite, one row per record, kept as the org has it.

What the tables look like and how a row is brought up to date is thought out in ``mirror.py``; what an error means, in
``sql_errors.py``; the connection is in ``sql_door.py``. What fields there are, and of which types, it is told by a
function that looks into the store: for objects of which that knows nothing (events from before it did, ``send-test``),
columns are made of the values that come. A send is one transaction; when a row of it is refused, the
same is done again row by row, so that only that one is. To write an event twice changes nothing: a lost answer is no
harm.
"""

import asyncio
import importlib.util
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr

from salesforce_poller.errors import StoreError, capped
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import mirror, mirror_columns, sql_errors
from salesforce_poller.sinks.base import Describe, Dressed, Sink, SinkSettings, Span
from salesforce_poller.sinks.mirror import Row
from salesforce_poller.sinks.mirror_columns import Columns
from salesforce_poller.sinks.sql_door import TROUBLE, Door

_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgres://")


def _url(value: SecretStr) -> SecretStr:
    """Accept the two databases; never repeats the text, which may hold a password."""
    text = value.get_secret_value()
    if text.startswith(_SQLITE) and text != _SQLITE:
        if ":memory:" in text:
            raise ValueError("should be a file: what is only in memory is lost with the process")
        return value
    if not text.startswith(_POSTGRESQL):
        raise ValueError('should be "postgresql://user:password@host/database" or "sqlite:///FILE"')
    try:
        urlsplit(text).port  # noqa: B018  # reading it is what checks it
    except ValueError:
        raise ValueError("should have a number behind the host's colon, and %XX for special letters") from None
    if importlib.util.find_spec("asyncpg") is None:
        raise ValueError("needs a library that is not installed: pip install 'salesforce-poller[sql]'")
    return value


class SqlSettings(SinkSettings):
    """``type = "sql"``."""

    type: Literal["sql"]
    #: ``postgresql://user:password@host/database`` with what libpq knows behind ``?``, or ``sqlite:///FILE``.
    url: Annotated[SecretStr, AfterValidator(_url)]
    #: PostgreSQL: the schema with the tables; made when it is missing. None: the first of the user's search_path.
    database_schema: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    #: What the names of all tables begin with.
    prefix: Annotated[str, Field(max_length=20)] = ""
    #: For a whole batch.
    timeout: Annotated[Span, Field(gt=timedelta())] = timedelta(seconds=30)

    @property
    def file(self) -> Path | None:
        """The file of an SQLite mirror; None for PostgreSQL."""
        url = self.url.get_secret_value()
        return Path(url.removeprefix(_SQLITE)) if url.startswith(_SQLITE) else None

    def sends(self, path: str) -> bool:
        """Say whether the field of this path is one of ``fields``, or below one."""
        whole = f"{path.casefold()}."
        return self.fields is None or any(whole.startswith(f"{each.casefold()}.") for each in self.fields)


class Sql(Sink[SqlSettings]):
    """One database, over one connection."""

    _door: Door | None = None
    _describe: Describe | None = None

    @property
    def batch(self) -> int:
        """One transaction for many rows."""
        return 500

    def learn(self, describe: Describe) -> None:
        """Make columns of what this tells; it is asked for every send, since fields appear at any time."""
        self._describe = describe

    async def open(self) -> None:
        """Prepare for connecting, which the first send does."""
        url = self._settings.url.get_secret_value()
        self._door = Door(
            url=url,
            file=self._settings.file,
            schema=self._settings.database_schema,
            prefix=self._settings.prefix,
            timeout=self._settings.timeout,
            secrets=[] if self._settings.file else _secrets(url),
        )

    async def send(self, events: Sequence[Dressed]) -> list[Receipt]:
        """Bring the rows of these records up to date, in one transaction."""
        if (door := self._door) is None:
            return [Receipt(Verdict.TRY_LATER, "the sink is not open")] * len(events)
        now = self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        rows = [mirror.row(each.cloudevent, now) for each in events]
        try:
            described = await self._described(rows, door)
        except StoreError as exc:
            return [Receipt(Verdict.TRY_LATER, capped(f"cannot tell what columns there are: {exc}"))] * len(events)
        try:
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                return await _keep(door, rows, [each.key for each in events], described)
        except TROUBLE as exc:
            receipt = door.judge(exc)
        await door.drop()
        return [receipt] * len(events)

    async def _described(self, rows: Sequence[Row], door: Door) -> dict[str, Columns]:
        """Return the columns that tables shall have, by the tables' names. Raises StoreError."""
        if self._describe is None:
            return {}
        told: dict[str, list[Mapping[str, Sequence[str]]]] = {}
        for table, org in sorted({(row.table, row.own["_org"]) for row in rows if row.table != mirror.NOTICES}):
            if (fields := await self._describe(org, table)) is not None:
                kept = {path: types for path, types in fields.items() if self._settings.sends(path)}
                told.setdefault(table, []).append(kept)
        return {table: mirror_columns.described(objects, door.database) for table, objects in told.items()}

    async def probe(self) -> Receipt:
        """Say whether tables can be made and written."""
        if (door := self._door) is None:
            return Receipt(Verdict.TRY_LATER, "the sink is not open")
        try:
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                facts = await door.facts()
                await door.rollback()
        except TROUBLE as exc:
            receipt = door.judge(exc)
            await door.drop()
            return receipt
        return sql_errors.probed(door.database, facts)

    async def warnings(self) -> list[str]:
        """Say what would lose a commit in a power cut."""
        if self._door is None:
            return []
        try:
            async with asyncio.timeout(self._settings.timeout.total_seconds()):
                facts = await self._door.facts()
                await self._door.rollback()
        except TROUBLE as exc:
            await self._door.drop()
            return [f"how it is set up cannot be told: {self._door.judge(exc).detail}"]
        return sql_errors.doubts(facts)

    async def close(self) -> None:
        """Let go of the connection."""
        if self._door is not None:
            await self._door.close()
            self._door = None


async def _keep(
    door: Door, rows: Sequence[Row], keys: Sequence[str], described: Mapping[str, Columns]
) -> list[Receipt]:
    try:
        await door.write(rows, described)
        await door.commit()
    except TROUBLE as exc:
        if not sql_errors.is_about_a_row(door.judge(exc)):
            raise
        await door.rollback()
        return await _keep_one_by_one(door, rows, keys, described)
    return [Receipt(Verdict.ACCEPTED)] * len(rows)


async def _keep_one_by_one(
    door: Door, rows: Sequence[Row], keys: Sequence[str], described: Mapping[str, Columns]
) -> list[Receipt]:
    """Write what can be written; behind a row that was refused, nothing more of its record."""
    receipts: list[Receipt] = []
    refused: set[str] = set()
    for row, key in zip(rows, keys, strict=True):
        if key in refused:
            receipts.append(Receipt(Verdict.TRY_LATER, "waits for an earlier event of the same record"))
            continue
        savepoint = await door.savepoint()
        try:
            await door.write([row], described)
            await savepoint.commit()
            receipts.append(Receipt(Verdict.ACCEPTED))
        except TROUBLE as exc:
            receipts.append(door.judge(exc))
            if not sql_errors.is_about_a_row(receipts[-1]):
                raise
            await savepoint.rollback()
            door.forget()
            refused.add(key)
    await door.commit()
    return receipts


def _secrets(url: str) -> list[str]:
    """Return the passwords as they stand in the address, and as they are."""
    parts = urlsplit(url)
    behind = [value for key, value in parse_qsl(parts.query) if "password" in key]
    found = {parts.password or "", unquote(parts.password or ""), *behind}
    return sorted(filter(None, found), key=len, reverse=True)
