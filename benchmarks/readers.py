"""Who reads a backlog from the canned org, each in a process of its own, which tells what it took.

    python -m benchmarks.readers ours|simple_salesforce|nobody URL RECORDS BEGIN FOLDER

``ours`` is the daemon's own parts, built by ``app.py`` from a configuration: org, feed, durable store, file sink.
``nobody`` takes the same bytes from the org and throws them away, which is the org's own cost. The time is that from
the first request to the last record at its end; importing and starting are left out of everybody's. How tap-salesforce
is run is in ``tap.py``.
"""

import asyncio
import gc
import json
import os
import random
import re
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from subprocess import PIPE, run

from benchmarks import process
from benchmarks.canned_org import OBJECT, ORGANIZATION, Canned
from salesforce_poller import lean
from salesforce_poller.clock import SystemClock

_CLOCK = SystemClock()
#: How memory is shared out there; see the Dockerfile.
AS_IN_THE_IMAGE = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "1048576",
    "MALLOC_TRIM_THRESHOLD_": "16777216",
}
_PEAK = re.compile(r"VmHWM:\s*(\d+) kB")


@dataclass(frozen=True, slots=True)
class Told:
    """What a reader took."""

    seconds: float
    #: Seconds of processors, all threads together, of the same time.
    processor: float
    #: The most memory that its process ever had, in MB.
    peak: float


def read(reader: str, org: Canned, folder: Path) -> Told:
    """Let a reader read everything, in a process of its own with an empty folder for what it writes."""
    said = [org.url, str(org.records), org.begin.isoformat(), str(folder)]
    if reader == "ours":  # it has run before: whoever makes a store needs Alembic, and others do not
        (folder / "config.toml").write_text(_configuration(org, folder), encoding="utf-8")
        process.as_installed()
        made = [sys.executable, "-m", "salesforce_poller", "db", "upgrade", "--config", str(folder / "config.toml")]
        run(made, check=True, capture_output=True)  # noqa: S603  # ourselves
    command = [sys.executable, "-m", "benchmarks.readers", reader, *said]
    environment = {**os.environ, **AS_IN_THE_IMAGE}
    done = run(command, check=True, stdout=PIPE, env=environment)  # noqa: S603  # ourselves
    return Told(**json.loads(done.stdout))


def peak() -> float:
    """Return the most memory that this process ever had, in MB.

    Not ``ru_maxrss``, which counts what the parent had before it became this process.
    """
    found = _PEAK.search(Path("/proc/self/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def _ours(org: Canned, folder: Path) -> Told:
    return asyncio.run(_daemon(org, folder))


async def _daemon(org: Canned, folder: Path) -> Told:
    lean.import_libraries()  # as ``__main__.py`` does
    from salesforce_poller import app, config, telemetry
    from salesforce_poller.model import DispatchReport, Watermarks

    telemetry.configure(quiet=True)
    settings = config.parse(_configuration(org, folder), {}, name="backlog")
    delivered, wake, stop, arrived = 0, asyncio.Event(), asyncio.Event(), asyncio.Event()

    def count(report: DispatchReport) -> None:
        nonlocal delivered
        delivered += report.delivered
        if delivered >= org.records:
            arrived.set()

    gc.freeze()  # as ``cli.py`` does
    gc.set_threshold(20_000)
    async with app.build(settings, clock=_CLOCK, rng=random.Random(1)) as house:
        at = org.begin  # it has run before, up to there
        marks = Watermarks(at, at, at, at, at, organization_id=ORGANIZATION)
        await house.store.feeds.commit_page("canned", OBJECT, events=[], sightings=[], marks=marks, at=at)
        house.store.feeds.on_events(wake.set)
        watch = _Watch()
        delivering = asyncio.create_task(house.dispatchers[0].run(wake, stop, count))
        await house.fleets[0].tick()
        await arrived.wait()
        told = watch.told()
        stop.set()
        await delivering
    lines = sum(1 for _ in (folder / "events.jsonl").open("rb"))
    assert delivered == lines == org.records, f"{delivered} delivered, {lines} lines, of {org.records} records"
    return told


def _configuration(org: Canned, folder: Path) -> str:
    """Everything as it is by default, but for a file that is not rotated, so that its lines can be counted."""
    return f"""
        store.url = "sqlite:///{folder}/store.db"
        [orgs.canned]
        login_url = "{org.url}"
        client_id = "canned"
        client_secret = "canned"
        objects.{OBJECT} = {{}}
        [sinks.file]
        type = "file"
        path = "{folder}/events.jsonl"
        rotate_at = 0
    """


def _simple_salesforce(org: Canned, folder: Path) -> Told:  # noqa: ARG001  # a reader's signature
    import requests
    from requests.adapters import HTTPAdapter
    from simple_salesforce.api import Salesforce

    class Plain(HTTPAdapter):
        """The library insists on https."""

        def send(self, request: requests.PreparedRequest, *args: object, **options: object) -> requests.Response:
            request.url = (request.url or "").replace("https://", "http://", 1)
            return super().send(request, *args, **options)  # type: ignore[arg-type]  # passed on as they come

    session = requests.Session()
    session.mount("https://", Plain())
    client = Salesforce(instance_url=org.url, session_id="canned", session=session, version="66.0")
    watch = _Watch()
    rows = sum(1 for _ in client.query_all_iter("SELECT FIELDS(ALL) FROM Lead", include_deleted=True))
    assert rows == org.records
    return watch.told()


def _nobody(org: Canned, folder: Path) -> Told:  # noqa: ARG001  # a reader's signature
    host, port = org.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        watch, following = _Watch(), "/services/data/v66.0/queryAll"
        answer = line.makefile("rb", buffering=1 << 20)
        while following:
            line.sendall(f"GET {following} HTTP/1.1\r\nHost: canned\r\n\r\n".encode())
            length = 0
            while (header := answer.readline()) != b"\r\n":
                if header.startswith(b"Content-Length:"):
                    length = int(header.split()[1])
            page = answer.read(length)
            found = re.search(rb'"nextRecordsUrl":"([^"]+)"', page[:300])
            following = found[1].decode() if found else ""
        return watch.told()


class _Watch:
    """Begins when it is made."""

    def __init__(self) -> None:
        self._began, self._spent = _CLOCK.monotonic(), time.process_time()

    def told(self) -> Told:
        """Say what was taken since."""
        return Told(_CLOCK.monotonic() - self._began, time.process_time() - self._spent, peak())


_READERS: dict[str, Callable[[Canned, Path], Told]] = {
    "ours": _ours,
    "simple_salesforce": _simple_salesforce,
    "nobody": _nobody,
}

if __name__ == "__main__":
    name, url, records, begin, where = sys.argv[1:]
    outcome = _READERS[name](Canned(url, int(records), datetime.fromisoformat(begin)), Path(where))
    print(json.dumps(asdict(outcome)))  # noqa: T201  # this is how the parent learns of it
