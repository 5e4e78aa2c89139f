"""benchmarks: every kind of sink is measured, and what stands on the other side of the long ones does what it says."""

import asyncio
import gzip
import json
import random
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from benchmarks.canned_org import ROWS, Pages
from benchmarks.receiver import KINDS, SILENT, STATUSES, TAKEN, Receiver, receiving
from benchmarks.rigs import RIGS
from salesforce_poller.sinks.catalogue import KINDS as SINKS

PAGE = (Path(__file__).parent.parent.parent / "benchmarks" / "README.md").read_text(encoding="utf-8")


def test_every_kind_of_sink_has_a_rig() -> None:
    """Whoever adds one adds its bare client."""
    assert {each.kind for each in RIGS} >= SINKS.keys()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """One that fails always, in a way that the test says."""
    made = Receiver(1.0, random.Random(1))
    async with receiving(made):
        yield made


async def post(receiver: Receiver, kind: str) -> int | str:
    """Post one event; returns the status, or what happened instead."""
    receiver.choose = lambda: kind  # type: ignore[method-assign]  # the one kind that this is about
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.2)) as session:
        try:
            async with session.post(
                receiver.url, data=b"x" * 2000, headers={"webhook-id": "7"}, allow_redirects=False
            ) as response:
                return response.status
        except (aiohttp.ClientError, OSError) as exc:
            return type(exc).__name__


@pytest.mark.parametrize("kind", KINDS)
async def test_each_failure_is_what_it_is_called(receiver: Receiver, kind: str) -> None:
    """The sender hears a no, nothing, or a yes; and the event was taken, or not."""
    heard = await post(receiver, kind)
    told = [each.told for each in receiver.taken]
    if kind in map(str, STATUSES):
        assert (heard, told) == (int(kind), [])
    elif kind in SILENT:
        assert (type(heard), told) == (str, [])
    elif kind in TAKEN:
        assert (type(heard), told) == (str, [False])
    else:
        assert (heard, told) == (200, [True])


async def test_without_a_failure_an_event_is_taken(receiver: Receiver) -> None:
    """Also when it comes in pieces."""
    assert await post(receiver, "") == 204
    reader, writer = await asyncio.open_connection(*re.findall(r"//(.*):(\d+)/", receiver.url)[0])
    head = b"POST /hook HTTP/1.1\r\nwebhook-id: 8\r\nContent-Length: 3\r\n\r\n"
    for piece in (head[:20], head[20:] + b"a", b"bc"):
        writer.write(piece)
        await writer.drain()
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204 ")
    writer.close()
    assert [(each.event_id, each.told) for each in receiver.taken] == [("7", True), ("8", True)]


async def test_so_many_requests_fail_and_in_every_way() -> None:
    """As many as was said, give or take a few."""
    receiver = Receiver(0.05, random.Random(1))
    met = [receiver.choose() for _ in range(20_000)]
    assert 900 < sum(map(bool, met)) < 1100
    assert receiver.failures.keys() == set(KINDS)


def test_the_canned_org_has_every_record_once_and_in_order() -> None:
    """29 fields and 1 KB each; stamps grow from page to page and none is later than was said."""
    newest, records = datetime(2026, 11, 22, 10, 30, tzinfo=UTC), 2 * ROWS + 7
    pages = Pages(records, newest)
    start: int | None = 0
    rows: list[dict[str, str]] = []
    while start is not None:
        text = pages.page(start)
        assert start == 0 or gzip.decompress(pages.packed[start]) == text
        assert b"@" not in text.replace(b"@example.com", b"")
        page = json.loads(text)
        assert page["totalSize"] == records
        rows += page["records"]
        start = None if page["done"] else int(page["nextRecordsUrl"].rpartition("-")[2])
    stamps = [datetime.fromisoformat(row["SystemModstamp"]) for row in rows]
    assert len({row["Id"] for row in rows}) == len(rows) == records
    assert {len(row) for row in rows} == {1 + 29}
    assert {len(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()) for row in rows} == {1000}
    assert stamps == sorted(stamps)
    assert pages.begin <= stamps[0]
    assert stamps[-1] <= newest < stamps[-1] + timedelta(minutes=2)
