"""crew.py: what is at work becomes what is configured and held, one by one; sinks are fakes, the store is real."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from builders import NOON, an_event, watermarks
from certificates import Certificates
from fakes import FakeSink
from ship import Plan, Ship, a_ship, until

from salesforce_poller import units
from salesforce_poller.crew import Changes, duties, names
from salesforce_poller.errors import NotNow, StoreError
from salesforce_poller.model import Duty, Receipt
from salesforce_poller.sinks import catalogue
from salesforce_poller.sinks.base import Dressed, SinkSettings
from salesforce_poller.store.pauses import Pause

STDOUT = 'type = "stdout"'
OTHERWISE = 'type = "stdout"\nordering = "strict"'


class Gate(FakeSink):
    """A sink that takes nothing before it may."""

    def __init__(self) -> None:
        super().__init__()
        self.sending, self.may = asyncio.Event(), asyncio.Event()

    async def send(self, events: Sequence[Dressed]) -> list[Receipt]:
        """Wait first."""
        self.sending.set()
        await self.may.wait()
        return await super().send(events)


class Unopened(FakeSink):
    """A sink that cannot be opened."""

    async def open(self) -> None:
        """Fail."""
        raise OSError(28, "No space left on device")


class Dock:
    """Where sinks are made: those that wait here first, then plain ones."""

    def __init__(self) -> None:
        self.waiting: list[FakeSink] = []
        self.made: list[FakeSink] = []

    def build(self, _settings: SinkSettings, _clock: object) -> FakeSink:
        """Make one."""
        self.made.append(self.waiting.pop(0) if self.waiting else FakeSink())
        return self.made[-1]


@pytest.fixture
def dock(monkeypatch: pytest.MonkeyPatch) -> Dock:
    """Have fakes made instead of sinks."""
    made = Dock()
    monkeypatch.setattr(catalogue, "build", made.build)
    return made


@pytest.fixture
async def ship(tmp_path: Path, dock: Dock) -> AsyncIterator[Ship]:
    """A crew at work, with nothing to do."""
    async with a_ship(tmp_path) as made:
        yield made


async def happen(ship: Ship, number: int) -> str:
    """Let an event happen; returns its id."""
    event = an_event(id=f"{number:032}", record_id=f"00Q{number:015}")
    await ship.store.feeds.commit_page("acme", "Lead", events=[event], sightings=[], marks=watermarks(), at=NOON)
    return event.id


def told(changes: Changes) -> dict[str, list[str]]:
    """Return what was changed, without what was not there."""
    keys = ("started", "stopped", "restarted", "unchanged")
    return {key: names(getattr(changes, key)) for key in keys if getattr(changes, key)}


async def test_only_what_changed_is_touched(ship: Ship, dock: Dock) -> None:
    """What is new starts, what is gone stops, what changed does both; asked twice nothing happens the second time."""
    plan = Plan(sinks={"crm": STDOUT, "log": STDOUT, "old": STDOUT})
    assert told(await ship.apply(plan, "sink")) == {"started": ["sink:crm", "sink:log", "sink:old"]}
    crm, log, old = dock.made
    plan.sinks = {"crm": STDOUT, "log": OTHERWISE, "new": STDOUT}
    changes = await ship.apply(plan, "sink")
    assert told(changes) == {
        "started": ["sink:new"],
        "stopped": ["sink:old"],
        "restarted": ["sink:log"],
        "unchanged": ["sink:crm"],
    }
    assert (crm.life, log.life, old.life) == (["opened"], ["opened", "closed"], ["opened", "closed"])
    assert len(ship.listeners) == 3 * 4
    assert told(await ship.apply(plan, "sink")) == {"unchanged": ["sink:crm", "sink:log", "sink:new"]}
    assert len(dock.made) == 5
    one = await happen(ship, 1)
    await until(lambda: all(sink.accepted == [one] for sink in (crm, *dock.made[3:])))
    assert (log.accepted, old.accepted) == ([], [])


async def test_what_is_not_held_any_more_stops_and_another_fence_starts_anew(ship: Ship, dock: Dock) -> None:
    """Who lost a duty and got it back has missed whatever another process did meanwhile."""
    plan = Plan(sinks={"crm": STDOUT, "log": STDOUT})
    crm = Duty("sink", "crm")
    await ship.apply(plan, "sink")
    ship.fences[crm] = 2
    assert told(await ship.apply(plan, "sink")) == {"restarted": ["sink:crm"], "unchanged": ["sink:log"]}
    assert ship.sink("crm").lease.fence == 2
    wanted = plan.read()
    held = {crm: ship.held(wanted)[crm]}
    assert told(await ship.crew.apply(wanted, held)) == {"stopped": ["sink:log"], "unchanged": ["sink:crm"]}
    assert told(await ship.crew.apply(wanted, {})) == {"stopped": ["sink:crm"]}
    assert ship.listeners == []


async def test_a_sink_that_stops_finishes_the_sends_in_hand_and_writes_them_down(ship: Ship, dock: Dock) -> None:
    """Nothing is sent twice, and what was not begun waits for whoever comes next."""
    gate = Gate()
    dock.waiting = [gate]
    plan = Plan(sinks={"crm": STDOUT})
    await ship.apply(plan, "sink")
    ids = [await happen(ship, number) for number in range(1, 6)]
    await gate.sending.wait()
    leaving = asyncio.create_task(ship.crew.apply(plan.read(), {}))
    await until(lambda: not ship.crew._units)
    assert not leaving.done()
    gate.may.set()
    await leaving
    begun = list(gate.accepted)
    assert 0 < len(begun) <= gate.concurrency
    await ship.apply(plan, "sink")
    await until(lambda: len(dock.made[1].accepted) + len(begun) == len(ids))
    assert sorted(begun + dock.made[1].accepted) == ids


async def test_what_takes_too_long_is_cut_off(ship: Ship, dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    """And sent again by whoever comes next: at least once."""
    monkeypatch.setattr(units, "GRACE", timedelta(0))
    gate = Gate()
    dock.waiting = [gate]
    plan = Plan(sinks={"crm": STDOUT})
    await ship.apply(plan, "sink")
    one = await happen(ship, 1)
    await gate.sending.wait()
    plan.sinks = {"crm": OTHERWISE}
    assert told(await ship.apply(plan, "sink")) == {"restarted": ["sink:crm"]}
    await until(lambda: dock.made[1].accepted)
    assert (gate.accepted, gate.life, dock.made[1].accepted) == ([], ["opened", "closed"], [one])


async def test_what_cannot_start_keeps_nobody_from_it_and_is_tried_again(ship: Ship, dock: Dock) -> None:
    """It is told, and nothing of it is left behind."""
    dock.waiting = [Unopened()]
    plan = Plan(sinks={"crm": STDOUT, "log": STDOUT})
    changes = await ship.apply(plan, "sink")
    assert told(changes) == {"started": ["sink:log"]}
    assert changes.failed == ship.crew.lacking == {Duty("sink", "crm"): "[Errno 28] No space left on device"}
    assert len(ship.listeners) == 4
    again = await ship.apply(plan, "sink")
    assert (told(again), ship.crew.lacking) == ({"started": ["sink:crm"], "unchanged": ["sink:log"]}, {})


async def test_before_the_crew_begins_what_fails_is_raised(
    tmp_path: Path, dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that cannot start as it is told says so, and does not start."""
    dock.waiting = [Unopened()]
    async with a_ship(tmp_path, begun=False) as ship:
        await ship.apply(Plan(), "sink")
        assert dock.made[0].life == []
        with pytest.raises(OSError, match="No space left"):
            await ship.crew.begin()

    async def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    async with a_ship(tmp_path, begun=False) as ship:
        monkeypatch.setattr(ship.store.calls, "ledger", fail)
        with pytest.raises(StoreError, match="the disk is full"):
            await ship.apply(Plan(), "org")
        assert ship.crew.orgs == {}


async def test_the_last_of_those_who_ask_meanwhile_wins(ship: Ship, dock: Dock) -> None:
    """And answers for all of them; whoever goes away in between changes nothing."""
    gate = Gate()
    dock.waiting = [gate]
    await ship.apply(Plan(sinks={"crm": STDOUT}), "sink")
    await happen(ship, 1)
    await gate.sending.wait()
    asked = [asyncio.create_task(ship.apply(Plan(sinks={name: STDOUT}), "sink")) for name in ("a", "b", "c", "d")]
    await until(lambda: ship.crew._wanted and "d" in ship.crew._wanted[0].sinks)
    asked[1].cancel()
    gate.may.set()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(outcomes[1], asyncio.CancelledError)
    last = [one for one in outcomes if isinstance(one, Changes)]
    assert {str(duty) for duty in ship.crew._units} == {"sink:d"}
    assert {tuple(names(one.started)) for one in last[1:]} == {("sink:d",)}


async def test_a_defect_of_a_sink_ends_the_program(ship: Ship, dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink that silently delivers no more would be worse: whoever watches the program starts it again."""
    await ship.apply(Plan(), "sink")

    async def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ship.store.outbox, "standing", fail)
    await happen(ship, 1)
    await ship.crew.broken.wait()
    assert isinstance(ship.crew.defect, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        await ship.crew.close()


async def test_nothing_starts_at_the_end_of_the_program(ship: Ship) -> None:
    """Nobody would stop it."""
    await ship.crew.close()
    with pytest.raises(NotNow, match="stopping"):
        await ship.apply(Plan())
    assert ship.crew._units == {}


async def test_a_certificate_that_was_renewed_under_its_name_is_read(
    ship: Ship, dock: Dock, some_certificates: Certificates, tmp_path: Path
) -> None:
    """The settings are the same, what they name is not."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(some_certificates.ca.read_bytes())
    plan = Plan(sinks={"crm": f'type = "webhook"\nurl = "https://example.com"\nca = "{ca}"'})
    await ship.apply(plan, "sink")
    assert told(await ship.apply(plan, "sink")) == {"unchanged": ["sink:crm"]}
    ca.write_bytes(some_certificates.ca.read_bytes() + some_certificates.other_ca.read_bytes())
    assert told(await ship.apply(plan, "sink")) == {"restarted": ["sink:crm"]}


async def test_many_orgs_that_begin_together_look_for_pauses_once(ship: Ship, monkeypatch: pytest.MonkeyPatch) -> None:
    """And whoever asks later is told what is true then."""
    read, reads = ship.store.pauses._read, list[int]()

    async def counted() -> list[Pause]:
        reads.append(1)
        return await read()

    monkeypatch.setattr(ship.store.pauses, "_read", counted)
    assert await asyncio.gather(*(ship.store.pauses.all() for _ in range(100))) == [[]] * 100
    assert len(reads) == 1
    lunch = Pause("acme", "Lead", "lunch", NOON)
    await ship.store.pauses.begin(lunch)
    assert await ship.store.pauses.all() == [lunch]


def test_duties_are_called_as_people_know_them() -> None:
    """Orgs first: they are what the rest is about."""
    assert names(duties(Plan().read())) == ["org:acme", "sink:log"]
