"""A long row of events to a webhook that fails in every way, from a daemon that is killed three times.

    python -m benchmarks endurance            200,000 events
    python -m benchmarks endurance SEED       the same, with the choices of another run

The daemon is the real program in a process of its own, with a clock that hurries (``hurried.py``), so that an event
that waits for five minutes is due in half a second. The receiver (``receiver.py``) lives here. At the end every event
must have been taken, those of a record in their order, and hardly any twice.
"""

import asyncio
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.hurried import HurriedClock
from benchmarks.receiver import KINDS, Receiver, receiving
from salesforce_poller.clock import SystemClock
from salesforce_poller.model import Event, Kind, Watermarks
from salesforce_poller.simulator import server
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.org import Org
from salesforce_poller.store.outbox import Backlog
from salesforce_poller.store.store import Store

#: The share of events that may be taken twice, those not counted of which the sender could not know.
MOST_TWICE = 0.005
_PAGE = 2_000
#: How often it is looked, half a second apart, whether all is written down at the end.
_LOOKS = 60
_REAL = SystemClock()
_CONFIG = """\
[store]
url = "{store}"
[http]
listen = ""
[orgs.acme]
login_url = "{org}"
client_id = "simulated-client"
client_secret = "simulated-secret"
[orgs.acme.objects.Contact]
fields = ["LastName"]
every = "1d"
[sinks.hook]
type = "webhook"
url = "{hook}"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
concurrency = 20
timeout = "{timeout}"
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """What shall happen."""

    seed: int
    events: int = 200_000
    #: Events belong to so many records, at random.
    records: int = 20_000
    kills: int = 3
    #: The share of requests that meet a failure.
    failing: float = 0.05
    #: How much faster the daemon's clock goes.
    speed: float = 600.0
    #: How long the daemon waits for an answer; in real time.
    timeout: str = "1s"
    #: Seconds without any request, after which the run is called stuck.
    stuck: float = 180.0
    #: The address of the store; empty for a file.
    store: str = ""

    def url(self, folder: Path) -> str:
        """Return the address of the store of a run in this folder."""
        return self.store or f"sqlite:///{folder}/store.db"


@dataclass
class Outcome:
    """What happened."""

    plan: Plan
    receiver: Receiver
    #: By event, the record it belongs to.
    record_of: list[int]
    seconds: float = 0.0
    #: How many events had been taken at each kill.
    killed_at: list[int] = field(default_factory=list)
    #: The exit code of the last daemon, and what it left behind.
    exit_code: int | None = None
    backlog: Backlog | None = None

    @property
    def lost(self) -> int:
        """Events that were never taken."""
        return self.plan.events - len(self.receiver.known)

    @property
    def out_of_order(self) -> int:
        """Events that were taken for the first time after a later one of their record."""
        latest: dict[int, int] = {}
        found = 0
        seen: set[int] = set()
        for each in self.receiver.taken:
            number = int(each.event_id, 16)
            if number in seen:
                continue
            seen.add(number)
            record = self.record_of[number]
            found += number < latest.get(record, -1)
            latest[record] = max(number, latest.get(record, -1))
        return found

    @property
    def twice(self) -> Counter[str]:
        """How often an event was taken again, by why it was sent again."""
        before: dict[str, int] = {}
        found: Counter[str] = Counter()
        for place, each in enumerate(self.receiver.taken):
            if each.event_id in before:
                first = before[each.event_id]
                if not self.receiver.taken[first].told:
                    found["answer lost"] += 1
                elif self.receiver.taken[first].life < each.life:
                    found["killed"] += 1
                else:
                    found["answered too late" if first in self.receiver.hung_up else "unexplained"] += 1
            before[each.event_id] = place
        return found

    @property
    def share_twice(self) -> float:
        """Repeats in all events, those left out of which the sender could not know that they had been taken."""
        twice = self.twice
        return (twice["killed"] + twice["unexplained"]) / self.plan.events

    def problems(self, most_twice: float = MOST_TWICE) -> list[str]:
        """Return what should not be, each in one line."""
        found = []
        if self.lost:
            found.append(f"{self.lost:,} events were lost")
        if self.out_of_order:
            found.append(f"{self.out_of_order:,} events came after a later one of their record")
        if self.share_twice >= most_twice:
            found.append(f"{self.share_twice:.2%} of the events came twice without need; {most_twice:.2%} are allowed")
        if self.exit_code:
            found.append(f"the daemon ended with exit code {self.exit_code}")
        if self.backlog and (self.backlog.waiting, self.backlog.parked, self.backlog.dead) != (0, 0, 0):
            found.append(f"the store still owes something: {self.backlog}")
        return found


async def run(plan: Plan, folder: Path, progress: Callable[[str, int], None] = lambda _what, _done: None) -> Outcome:
    """Let it happen in an empty folder. ``progress`` is told what is going on, and how many events are through it.

    Raises:
        TimeoutError: nothing came for ``plan.stuck`` seconds; the daemon's log is ``daemon.log`` in the folder.
    """
    rng = random.Random(plan.seed)
    began = _REAL.now()
    clock = HurriedClock(plan.speed, began)
    receiver = Receiver(plan.failing, random.Random(rng.random()))
    outcome = Outcome(plan, receiver, [rng.randrange(plan.records) for _ in range(plan.events)])
    org = Org(clock=OrgClock(clock.now(), speed=plan.speed), seed=plan.seed)
    command = ["-m", "benchmarks.hurried", str(plan.speed), began.isoformat()]
    async with receiving(receiver), server.serve(server.build(org)) as url:
        await _fill(plan.url(folder), outcome.record_of, clock.now(), progress)
        (folder / "config.toml").write_text(
            _CONFIG.format(store=plan.url(folder), org=url, hook=receiver.url, timeout=plan.timeout)
        )
        kills = sorted(rng.sample(range(plan.events // 20, plan.events * 19 // 20), plan.kills))
        started = _REAL.monotonic()
        for at in kills:
            async with _daemon(folder, command) as daemon:
                await _until(lambda at=at: len(receiver.known) >= at, plan, receiver, progress)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
                await _REAL.sleep(rng.uniform(0, 0.3))  # not in step with what was just taken
                daemon.send_signal(signal.SIGKILL)
            outcome.killed_at.append(len(receiver.known))
            receiver.life += 1
        async with _daemon(folder, command) as daemon:
            await _until(lambda: len(receiver.told) == plan.events, plan, receiver, progress)
            outcome.seconds = _REAL.monotonic() - started
            await _until_nothing_is_owed(plan.url(folder))  # an answer may have come too late to be heard
            daemon.send_signal(signal.SIGTERM)
            outcome.exit_code = await daemon.wait()
    async with Store(plan.url(folder)) as store:
        outcome.backlog = await store.outbox.backlog("hook")
    return outcome


async def _until_nothing_is_owed(where: str) -> None:
    """Let the daemon send again what it does not know to be taken, for a while."""
    for _ in range(_LOOKS):
        async with Store(where, writable=False) as store:
            found = await store.outbox.backlog("hook")
        if (found.waiting, found.parked) == (0, 0):
            return
        await _REAL.sleep(0.5)


async def _fill(where: str, record_of: Sequence[int], at: datetime, progress: Callable[[str, int], None]) -> None:
    marks = Watermarks(at, at, at, at, at)
    async with Store(where) as store:
        await store.outbox.ensure_sinks(["hook"])
        for first in range(0, len(record_of), _PAGE):
            page = [_event(number, record_of[number], at) for number in range(first, len(record_of))[:_PAGE]]
            await store.feeds.commit_page("acme", "Lead", events=page, sightings=[], marks=marks, at=at)
            progress("events stored", first + len(page))


def _event(number: int, record: int, at: datetime) -> Event:
    record_id = f"00Q{record:012d}AAA"
    return Event(
        id=f"{number:032x}",
        kind=Kind.UPDATED,
        org="acme",
        source="urn:salesforce:00D000000000000AAA",
        object="Lead",
        record_id=record_id,
        time=at.replace(microsecond=0),
        observed_at=at,
        record={"Id": record_id, "LastName": f"Lead {record}", "Description": "x" * 400},
        changed=("Description",),
        previous={"Description": "y" * 40},
    )


@asynccontextmanager
async def _daemon(folder: Path, command: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    with (folder / "daemon.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, "run", "--config", str(folder / "config.toml"), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await process.wait()


async def _until(
    enough: Callable[[], bool], plan: Plan, receiver: Receiver, progress: Callable[[str, int], None]
) -> None:
    last, since = -1, _REAL.monotonic()
    while not enough():
        if receiver.requests != last:
            last, since = receiver.requests, _REAL.monotonic()
        elif _REAL.monotonic() - since > plan.stuck:
            raise TimeoutError(
                f"no request for {plan.stuck:g} s; {len(receiver.told):,} of {plan.events:,} are delivered"
            )
        progress("events delivered", len(receiver.told))
        await _REAL.sleep(0.02)


# ---------------------------------------------------------------------- the command


def report(seed: int) -> bool:
    """Run it and show what happened; returns whether all is as it should be."""
    plan = Plan(seed)
    console = Console(stderr=True)
    console.print(f"seed {seed}: {plan.events:,} events, {plan.kills} kills, {plan.failing:.0%} of the requests fail")
    with tempfile.TemporaryDirectory() as folder, Progress(console=console, transient=True) as bars:
        tasks = {what: bars.add_task(what, total=plan.events) for what in ("events stored", "events delivered")}
        outcome = asyncio.run(run(plan, Path(folder), lambda what, done: bars.update(tasks[what], completed=done)))
    table = Table(box=None, pad_edge=False, show_header=False)
    for what, figure in _rows(outcome):
        table.add_row(what, figure)
    Console(width=120).print(table)
    for problem in (problems := outcome.problems()):
        console.print(f"[bold red]not as it should be[/] {problem}")
    return not problems


def _rows(outcome: Outcome) -> list[tuple[str, str]]:
    receiver, plan, twice = outcome.receiver, outcome.plan, outcome.twice
    failures = sum(receiver.failures.values())
    return [
        ("events", f"{plan.events:,} of {len(set(outcome.record_of)):,} records"),
        ("lost", f"{outcome.lost:,}"),
        ("out of order in their record", f"{outcome.out_of_order:,}"),
        ("killed", "after " + ", ".join(f"{each:,}" for each in outcome.killed_at) + " events"),
        ("taken twice because of a kill", f"{twice['killed']:,}"),
        ("taken twice for no reason we know", f"{twice['unexplained']:,}"),
        ("these two in all events", f"{outcome.share_twice:.2%}"),
        ("taken twice because the answer was lost", f"{twice['answer lost']:,}"),
        ("taken twice because the answer came too late", f"{twice['answered too late']:,}"),
        (
            "requests",
            f"{receiver.requests:,}, of which {failures:,} met a failure ({failures / receiver.requests:.1%})",
        ),
        ("failures of each kind", ", ".join(f"{kind} {receiver.failures[kind]:,}" for kind in KINDS)),
        ("time", f"{outcome.seconds:,.0f} s, {plan.events / outcome.seconds:,.0f} events/s"),
    ]
