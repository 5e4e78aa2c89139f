"""An org that answers from pages it has ready: what reads it is measured, not what serves it.

    python -m benchmarks.canned_org RECORDS

prints its address as JSON and ends when its standard input does. So many leads changed while nobody looked: every query
brings all of them, oldest change first, 2,000 a page. A page is a template in which only the number in the ids and the
minute of the stamps are written anew. Who accepts gzip is sent it, as by Salesforce; pages are compressed beforehand.
Beside queries it knows what the three readers of ``backlog.py`` ask before: a token, descriptions, limits, the logs of
changes.
"""

import asyncio
import gzip
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from subprocess import PIPE, Popen
from typing import Any
from urllib.parse import urlsplit

from salesforce_poller.clock import SystemClock

ORGANIZATION = "00D5g0000CannedEQA"
OBJECT = "Lead"
ROWS = 2_000

_USER = "0050g0000CannedAQA"
#: What is written anew in every page; both as long as what takes their place.
_PAGE, _MINUTE = b"@@PAGE", b"@@@@@@@MINUTE@@@"
_ZONE = ".000+0000"
_ACCEPTS_GZIP = re.compile(rb"(?i)\r\naccept-encoding:[^\r]*gzip")
_LOCATOR = re.compile(r"/query/01g5g0000CannedAQA-(\d+)$")

#: The columns of a lead, each with its type: 29 of them, 1 KB as JSON. They come in the order in which the daemon asks
#: for them; to who asks for FIELDS(ALL) any order is the right one.
_TYPES = {
    "Id": "id", "IsDeleted": "boolean", "MasterRecordId": "reference", "SystemModstamp": "datetime",
    "LastModifiedDate": "datetime", "LastModifiedById": "reference", "AnnualRevenue": "currency", "City": "string",
    "Company": "string", "Country": "string", "CreatedDate": "datetime", "Description": "textarea", "Email": "email",
    "FirstName": "string", "Industry": "picklist", "LastName": "string", "LeadSource": "picklist",
    "MobilePhone": "phone", "Name": "string", "NumberOfEmployees": "int", "OwnerId": "reference", "Phone": "phone",
    "PostalCode": "string", "Rating": "picklist", "State": "string", "Status": "picklist", "Street": "textarea",
    "Title": "string", "Website": "url",
}  # fmt: skip
#: A row is filled up to this many bytes.
_ROW = 1_000


def _row(number: int) -> bytes:
    record_id = f"00Q{_PAGE.decode()}{number:06d}EAA"
    stamp = f"{_MINUTE.decode()}:{number * 60 // ROWS:02d}{_ZONE}"
    row: dict[str, Any] = {
        "attributes": {"type": OBJECT, "url": f"/services/data/v66.0/sobjects/{OBJECT}/{record_id}"},
        "Id": record_id,
        "IsDeleted": False,
        "MasterRecordId": None,
        "LastName": f"Müller {number}",
        "FirstName": "Zoë",
        "Name": f"Zoë Müller {number}",
        "Title": "Head of Purchasing",
        "Company": f"Example Company {number % 97} Ltd.",
        "Street": f"{number % 211} Long Acre\r\nThird floor",
        "City": "Köln",
        "State": "NW",
        "PostalCode": f"{50_000 + number}",
        "Country": "Germany",
        "Phone": f"+49 221 {number:07d}",
        "MobilePhone": None,
        "Email": f"zoe.mueller.{number}@example.com",
        "Website": "https://www.example.com/about",
        "Description": "",
        "LeadSource": "Web",
        "Status": "Working - Contacted",
        "Industry": "Manufacturing",
        "Rating": "Warm",
        "AnnualRevenue": 125_000.0 + number,
        "NumberOfEmployees": number % 1_000,
        "OwnerId": _USER,
        "CreatedDate": f"2026-01-05T08:30:00{_ZONE}",
        "LastModifiedDate": stamp,
        "LastModifiedById": _USER,
        "SystemModstamp": stamp,
    }
    row["Description"] = "x" * (_ROW - len(_json(row)))
    return _json({name: row[name] for name in ("attributes", *_TYPES)})


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class Pages:
    """The pages of every query."""

    def __init__(self, records: int, newest: datetime) -> None:
        """Have so many records, the last of them stamped about at ``newest`` (UTC)."""
        self.records = records
        #: What is stamped before this (UTC) is not among them.
        self.begin = newest.replace(second=0, microsecond=0) - timedelta(minutes=-(-records // ROWS))
        self._rows = [_row(number) for number in range(ROWS)]
        self._whole = b",".join(self._rows)
        #: Those that a locator names, compressed.
        self.packed = {start: gzip.compress(self.page(start), 1) for start in range(ROWS, records, ROWS)}

    def page(self, start: int) -> bytes:
        """Return the page from record ``start`` on."""
        number, rest = start // ROWS, self.records - start
        rows = self._whole if rest >= ROWS else b",".join(self._rows[:rest])
        minute = (self.begin + timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M").encode()
        rows = rows.replace(_PAGE, b"%06d" % number).replace(_MINUTE, minute)
        head = f'{{"totalSize":{self.records},"done":{"false" if rest > ROWS else "true"},'
        if rest > ROWS:
            head += f'"nextRecordsUrl":"/services/data/v66.0/query/01g5g0000CannedAQA-{start + ROWS}",'
        return b'%b"records":[%b]}' % (head.encode(), rows)


def _described() -> dict[str, Any]:
    names = {"label": OBJECT, "name": OBJECT, "keyPrefix": "00Q", "custom": False}
    can = {"queryable": True, "replicateable": True, "mergeable": True, "customSetting": False}
    fields: list[dict[str, Any]] = [
        {
            "name": name,
            "label": name,
            "type": kind,
            "calculated": False,
            "filterable": True,
            "sortable": True,
            "relationshipName": None,
            "referenceTo": [],
        }
        for name, kind in _TYPES.items()
    ]
    return {**names, **can, "fields": fields}


class Org:
    """What the org says, by the request's path."""

    def __init__(self, url: str, pages: Pages) -> None:
        self._url = url
        self._pages = pages

    def packed(self, target: str, body: bytes) -> bytes:
        """Answer a request as :meth:`answer`, compressed."""
        ready = self._pages.packed.get(int(found[1])) if (found := _LOCATOR.search(target)) else None
        return ready or gzip.compress(self.answer(target, body), 1)

    def answer(self, target: str, body: bytes) -> bytes:
        """Answer a request. Raises LookupError for what nobody should ask."""
        path = urlsplit(target).path.rstrip("/")
        if path == "/services/oauth2/token":
            return _json(
                {
                    "access_token": "canned",
                    "instance_url": self._url,
                    "id": f"{self._url}/id/{ORGANIZATION}/{_USER}",
                    "token_type": "Bearer",
                    "issued_at": "0",
                }
            )
        what = path.split("/", 4)[4]
        if what in ("query", "queryAll"):
            return self._pages.page(0)
        if found := _LOCATOR.search(path):
            return self._pages.page(int(found[1]))
        if what == "composite":
            return self._composite(json.loads(body))
        return _json(self._small(what))

    def _small(self, what: str) -> Any:
        now = SystemClock().now().strftime(f"%Y-%m-%dT%H:%M:%S{_ZONE}")
        match what.split("/"):
            case ["sobjects"]:
                described = _described()
                del described["fields"]
                return {"sobjects": [described]}
            case ["sobjects", _, "describe"]:
                return _described()
            case ["sobjects", _, "updated"]:
                return {"ids": [], "latestDateCovered": now}
            case ["sobjects", _, "deleted"]:
                earliest = "2020-01-01T00:00:00" + _ZONE
                return {"deletedRecords": [], "earliestDateAvailable": earliest, "latestDateCovered": now}
            case ["limits"]:
                return {"DailyApiRequests": {"Max": 100_000, "Remaining": 99_000}}
        raise LookupError(what)

    def _composite(self, asked: Any) -> bytes:
        parts = [
            b'{"body":%b,"httpHeaders":{},"httpStatusCode":200,"referenceId":%b}'
            % (self.answer(one["url"], b""), _json(one["referenceId"]))
            for one in asked["compositeRequest"]
        ]
        return b'{"compositeResponse":[%b]}' % b",".join(parts)


async def _serve(org: Org, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one connection until it is closed."""
    try:
        while head := await _head(reader):
            _, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
            packed = _ACCEPTS_GZIP.search(head) is not None
            status, answer = "200 OK", b""
            try:
                answer = org.packed(target, body) if packed else org.answer(target, body)
            except (LookupError, ValueError):
                packed = False
                status, answer = "404 Not Found", b'[{"errorCode":"NOT_FOUND","message":"not in the can"}]'
            date = format_datetime(SystemClock().now().astimezone(UTC), usegmt=True)
            lines = f"HTTP/1.1 {status}\r\nContent-Type: application/json;charset=UTF-8\r\nDate: {date}\r\n"
            lines += "Content-Encoding: gzip\r\n" if packed else ""
            lines += f"Sforce-Limit-Info: api-usage=1000/100000\r\nContent-Length: {len(answer)}\r\n\r\n"
            writer.write(lines.encode())
            writer.write(answer)
            await writer.drain()
    except ConnectionError:
        pass  # a reader that has enough
    finally:
        writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Return a request's head; nothing where the other side has closed."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


async def _main(records: int) -> None:
    pages = Pages(records, SystemClock().now() - timedelta(hours=1))
    org: list[Org] = []
    server = await asyncio.start_server(lambda reader, writer: _serve(org[0], reader, writer), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    org.append(Org(url, pages))
    print(json.dumps({"url": url, "records": records, "begin": pages.begin.isoformat()}), flush=True)  # noqa: T201  # this is how the parent learns of it
    async with server:
        await asyncio.to_thread(sys.stdin.read)


@dataclass(frozen=True, slots=True)
class Canned:
    """Where such an org is."""

    url: str
    records: int
    #: Nothing of it is stamped before this instant (UTC).
    begin: datetime


@contextmanager
def running(records: int) -> Iterator[Canned]:
    """Run one with so many records in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.canned_org", str(records)]
    with Popen(command, stdin=PIPE, stdout=PIPE) as process:  # noqa: S603  # ourselves
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            told = json.loads(process.stdout.readline())
            yield Canned(told["url"], told["records"], datetime.fromisoformat(told["begin"]))
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
