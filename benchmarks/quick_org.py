"""A thousand orgs in one small process that answer at once: canned bytes over hand-made HTTP/1.1, nothing looked up.

``python -m benchmarks.quick_org ORGS [--rows] [--tls CERTIFICATE KEY]`` prints one line of JSON with a port for each
org, writes what it was asked as a line of JSON for every line that it reads, and ends with its standard input. With
``--rows`` each query brings one new row, otherwise none. Used by the benchmarks in which the org must not be the
bottleneck; the descriptions of its objects are those of the simulator.
"""

import argparse
import asyncio
import gzip
import re
import resource
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs

import orjson

from salesforce_poller import opening
from salesforce_poller.clock import SystemClock
from salesforce_poller.simulator import describe
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org

#: What every org has.
OBJECTS = ("Account", "Campaign", "Case", "Contact", "Lead", "Opportunity", "Order", "Product2", "Task", "User")
_VERSION = "66.0"
_ALLOWED = 1_000_000
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_FROM = re.compile(r"\bFROM (\w+)")
_CLOCK = SystemClock()


@dataclass
class Asked:
    """What one org was asked so far, in seconds of the machine's monotonic clock."""

    #: When requests with queries in them came: polls.
    polls: list[float] = field(default_factory=list)
    #: When each row was told, by its id.
    rows: dict[str, float] = field(default_factory=dict)


class Orgs:
    """All of them."""

    def __init__(self, count: int, *, rows: bool, scheme: str) -> None:
        self.rows = rows
        self.scheme = scheme
        self.asked = [Asked() for _ in range(count)]
        self.requests: Counter[str] = Counter()
        self._described = {name: _description(name) for name in OBJECTS}
        self._second = -1
        self._head = b""
        self._numbers = 0

    def answer(self, org: int, port: int, target: bytes, body: bytes) -> bytes:
        """Answer one request, head and all."""
        path, _, query = target.decode().partition("?")
        resource_name = path.rstrip("/").rpartition("/")[2]
        self.requests[resource_name] += 1
        encoding = b""
        if resource_name == "composite":
            self.asked[org].polls += [_CLOCK.monotonic()] * (b"/queryAll" in body)
            parts = orjson.loads(body)["compositeRequest"]
            told = orjson.dumps({"compositeResponse": [self._part(org, part) for part in parts]})
        elif resource_name == "token":
            told = orjson.dumps(_token(org, f"{self.scheme}://127.0.0.1:{port}"))
        elif resource_name == "describe":
            told = gzip.compress(self._described[path.split("/")[-2]], 1)
            encoding = b"Content-Encoding: gzip\r\n"
        else:
            if resource_name == "queryAll":
                self.asked[org].polls.append(_CLOCK.monotonic())
            told = orjson.dumps(self._plain(org, resource_name, query))
        return b"%s%sContent-Length: %d\r\n\r\n%s" % (self._headers(), encoding, len(told), told)

    def _part(self, org: int, part: Mapping[str, Any]) -> Any:
        path, _, query = part["url"].partition("?")
        words = path.rstrip("/").split("/")
        told = (
            orjson.Fragment(self._described[words[-2]])
            if words[-1] == "describe"
            else self._plain(org, words[-1], query)
        )
        return {"body": told, "httpHeaders": {}, "httpStatusCode": 200, "referenceId": part["referenceId"]}

    def _plain(self, org: int, resource_name: str, query: str) -> Any:
        if resource_name == "queryAll":
            rows = [self._row(org, query)] if self.rows else []
            return {"totalSize": len(rows), "done": True, "records": rows}
        if resource_name == "limits":
            return {"DailyApiRequests": {"Max": _ALLOWED, "Remaining": _ALLOWED}}
        end = parse_qs(query)["end"][0].replace("Z", ".000+0000")
        if resource_name == "updated":
            return {"ids": [], "latestDateCovered": end}
        assert resource_name == "deleted", resource_name
        reaches_back = _instant(_CLOCK.now() - timedelta(days=15))
        return {"deletedRecords": [], "earliestDateAvailable": reaches_back, "latestDateCovered": end}

    def _row(self, org: int, query: str) -> Mapping[str, Any]:
        self._numbers += 1
        found = _FROM.search(parse_qs(query)["q"][0])
        assert found
        id_, now = f"00Q{self._numbers:012d}AAA", _instant(_CLOCK.now())
        self.asked[org].rows[id_] = _CLOCK.monotonic()
        stamps = {"SystemModstamp": now, "CreatedDate": now, "LastModifiedById": "005000000000001AAA"}
        return {"attributes": {"type": found[1]}, "Id": id_, "Name": "x" * 40, "IsDeleted": False, **stamps}

    def _headers(self) -> bytes:
        now = _CLOCK.now()
        if int(now.timestamp()) != self._second:
            self._second = int(now.timestamp())
            self._head = (
                "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\n"
                f"Date: {format_datetime(now, usegmt=True)}\r\nSforce-Limit-Info: api-usage=18/{_ALLOWED}\r\n"
            ).encode()
        return self._head


class _Connection(asyncio.Protocol):
    """One connection to one org: a request after the other."""

    def __init__(self, orgs: Orgs, org: int) -> None:
        self._orgs = orgs
        self._org = org
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._port: int = transport.get_extra_info("sockname")[1]
        self._orgs.requests["connections"] += 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._buffer, 0, end)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < whole:
            return
        target, body = self._buffer[: self._buffer.index(b"\r\n")].split(b" ")[1], self._buffer[end + 4 : whole]
        self._buffer = self._buffer[whole:]
        self._transport.write(self._orgs.answer(self._org, self._port, target, body))


@asynccontextmanager
async def serving(orgs: Orgs, tls: ssl.SSLContext | None) -> AsyncIterator[list[int]]:
    """Serve each org on a port of its own; yields the ports."""
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(lambda org=org: _Connection(orgs, org), "127.0.0.1", 0, ssl=tls)
        for org in range(len(orgs.asked))
    ]
    try:
        yield [server.sockets[0].getsockname()[1] for server in servers]
    finally:
        for server in servers:
            server.close()


def _description(name: str) -> bytes:
    org = Org(clock=OrgClock(datetime(2026, 11, 21, tzinfo=UTC), speed=0), seed=1)
    return orjson.dumps(describe.describe_object(org.types()[name], version=_VERSION))


def _token(org: int, url: str) -> Mapping[str, str]:
    organization = f"00D5g{org:010d}EAA"
    return {
        "access_token": f"{organization[:15]}!{org}",
        "instance_url": url,
        "id": f"{url}/id/{organization}/0055g000000000AAAA",
        "token_type": "Bearer",
    }


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


async def _main(orgs: Orgs, tls: ssl.SSLContext | None) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with serving(orgs, tls) as ports:
        _say(ports)
        while await reader.readline():
            used = resource.getrusage(resource.RUSAGE_SELF)
            asked: Sequence[Any] = [{"polls": each.polls, "rows": each.rows} for each in orgs.asked]
            _say({"cpu": used.ru_utime + used.ru_stime, "requests": orgs.requests, "asked": asked})


def _say(what: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    words = argparse.ArgumentParser()
    words.add_argument("orgs", type=int)
    words.add_argument("--rows", action="store_true")
    words.add_argument("--tls", nargs=2)
    said = words.parse_args()
    context = None
    if said.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*said.tls)
    with suppress(KeyboardInterrupt):
        opening.allow_many_files()
        asyncio.run(_main(Orgs(said.orgs, rows=said.rows, scheme="https" if context else "http"), context))
