"""Laws of ``polling/diff.py`` and ``polling/events.py``: whatever a record lives through, whenever we look."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from polling_builders import LEAD, OTHER_LEAD, SETTLED, a_lead, some_marks

from salesforce_poller.model import Event, Kind, Record, Sighting, Watermarks
from salesforce_poller.polling import diff, events, fingerprint
from salesforce_poller.polling.diff import Rules

ORIGIN = events.Origin("acme", "00D5g000008abcdEAA", "Lead")
#: Fields that only change with a stamp; the record also has a formula, Score__c, which drifts.
STORED = ("Name", "Status")
RULES = Rules(paths=(*STORED, "Score__c"), derived=frozenset({"Score__c"}))

#: What can happen, in one word and a value.
Step = tuple[str, Any]
steps = st.one_of(
    st.tuples(st.sampled_from(STORED), st.sampled_from(["a", None])),
    st.tuples(st.just("drift"), st.integers(0, 2)),
    st.tuples(st.just("delete"), st.sampled_from([None, OTHER_LEAD, "00Q5g00000ThIrDEAV"])),
    st.tuples(st.just("undelete"), st.booleans()),
    st.tuples(st.sampled_from(["restamp", "purge", "settle"]), st.none()),
    st.tuples(st.sampled_from(["look", "look", "wait"]), st.integers(0, 1)),
)
lives = st.lists(steps, max_size=40)
beginnings = st.sampled_from(["born later", "known", "unknown"])


@dataclass
class Consumer:
    """Somebody who applies events, each once."""

    record: dict[str, Any] | None = None
    gone: bool = False
    merged: bool = False
    taken: dict[str, Event] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Apply an event; checks that it fits what was known before."""
        if event.id in self.taken:
            return
        self.taken[event.id] = event
        if self.record is not None:
            assert event.kind in self._possible(), f"{event.kind} after {'its end' if self.gone else 'a sign of life'}"
            for path in event.changed or ():
                assert fingerprint.pick(event.previous or {}, path) == self.record.get(path), "previous was told last"
        self.gone = event.kind in (Kind.DELETED, Kind.MERGED)
        self.merged = event.kind is Kind.MERGED
        self.record = dict(event.record or {})

    def _possible(self) -> set[Kind]:
        if not self.gone:
            return {Kind.UPDATED, Kind.DELETED, Kind.MERGED}
        # Merged, and then without a survivor in the bin: it came back and was deleted, unseen.
        return {Kind.UNDELETED, Kind.MERGED} | ({Kind.DELETED} if self.merged else set())


class World:
    """One record of an org, a feed that looks at it now and then, and a consumer."""

    def __init__(self, beginning: str, rules: Rules = RULES) -> None:
        self.now = SETTLED + timedelta(minutes=1)
        self.row: Record | None = self._row(SETTLED - timedelta(days=9))
        self.purged_at: datetime | None = None
        self.sighting: Sighting | None = None
        self.marks: Watermarks = some_marks()
        self.rules = rules
        self.consumer = Consumer()
        self.told: list[Event] = []
        if beginning == "known":
            self.sighting = diff.sight(self.row, None, rules)
            self.consumer.record = dict(self.row.fields)
        if beginning == "born later":
            self.row = self._row(self.now)

    def _row(self, created: datetime) -> Record:
        fields = {"Id": LEAD, "Name": "Ann", "Status": "Open", "Score__c": 0}
        return Record(LEAD, self.now, created, deleted=False, merged_into=None, changed_by=None, fields=fields)

    def live(self, life: Iterable[Step]) -> None:
        """Let things happen, then look once more."""
        for word, value in life:
            if word in ("wait", "look"):
                self.now += timedelta(seconds=value)
                if word == "look":
                    self.look()
            elif word == "settle":
                self.look()
                self.marks = replace(self.marks, settled_through=self.now, deleted_through=self.now)
            elif self.row is not None:
                self._happen(self.row, word, value)
        self.look()

    def _happen(self, row: Record, word: str, value: Any) -> None:
        if word == "drift":
            self.row = row.but(fields={**row.fields, "Score__c": value})
        elif word == "purge":
            self.row, self.purged_at = None, self.now
        elif row.deleted and word == "undelete":
            self.row = row.but(stamp=self.now, deleted=False, merged_into=row.merged_into if value else None)
        elif not row.deleted and word == "delete":
            self.row = row.but(stamp=self.now, deleted=True, merged_into=value)
        elif not row.deleted and word == "restamp":
            self.row = row.but(stamp=self.now)
        elif not row.deleted and word in STORED:
            self.row = row.but(stamp=self.now, fields={**row.fields, word: value})

    def look(self) -> list[Event]:
        """Do what a turn of the feed does; returns what it told."""
        found = self.reading()
        if self.row is not None:
            self.sighting = diff.sight(self.row, self.sighting, self.rules) or self.sighting
        elif self.purged_at is not None and not (self.sighting and self.sighting.deleted):
            self.sighting = diff.sight_vanished(LEAD, self.sighting, self.purged_at)
        self.told += found
        for event in found:
            self.consumer.take(event)
        return found

    def reading(self) -> list[Event]:
        """Say what a turn would tell now, without remembering it."""
        if self.row is not None:
            changes = diff.decide(self.row, self.sighting, self.marks, self.rules)
            return [events.of_record(ORIGIN, change, self.row, self.sighting, self.now) for change in changes]
        assert self.purged_at is not None
        changes = diff.decide_vanished(self.sighting, self.purged_at, self.marks)
        return [events.of_vanished(ORIGIN, change, LEAD, self.sighting, self.now) for change in changes]


@given(beginnings, lives, st.booleans())
def test_reading_the_same_again_tells_nothing(beginning: str, life: list[Step], unchanged: bool) -> None:
    """Overlap, resumed pages and sweeps read most rows more than once."""
    world = World(beginning, replace(RULES, unchanged=unchanged))
    world.live(life)
    assert world.look() == []


@given(beginnings, lives)
def test_the_consumer_ends_with_the_last_state_of_the_record(beginning: str, life: list[Step]) -> None:
    """However the looks fall between the changes; and every event fits what was told before."""
    world = World(beginning)
    world.live(life)
    if world.row is None or world.row.deleted:
        assert world.consumer.gone or world.consumer.record is None
    else:
        assert not world.consumer.gone
        assert world.consumer.record is not None
        assert {path: world.consumer.record[path] for path in STORED} == {
            path: world.row.fields[path] for path in STORED
        }


@given(beginnings, lives)
def test_a_record_is_created_at_most_once_and_first(beginning: str, life: list[Step]) -> None:
    """Created is about the record's birth, and nobody is born twice."""
    world = World(beginning)
    world.live(life)
    kinds = [event.kind for event in world.told]
    assert Kind.CREATED not in kinds[1:]
    assert beginning == "born later" or Kind.CREATED not in kinds


@given(lives)
def test_deleted_and_returned_is_undeleted(life: list[Step]) -> None:
    """Whatever came before: gone at one look and there at the next is undeleted, and nothing else."""
    world = World("known")
    world.live(life)
    if world.row is None:
        return
    world.now += timedelta(seconds=1)
    world.live([("delete", None), ("look", 0), ("undelete", False)])
    assert world.told[-1].kind is Kind.UNDELETED
    assert world.told[-2].kind in (Kind.DELETED, Kind.MERGED)


@given(beginnings, lives, st.booleans())
def test_different_changes_have_different_ids(beginning: str, life: list[Step], unchanged: bool) -> None:
    """Consumers drop what they have seen; a change must never be taken for another one."""
    world = World(beginning, replace(RULES, unchanged=unchanged))
    world.live(life)
    assert len({event.id for event in world.told}) == len(world.told)


@given(beginnings, lives)
def test_equal_readings_have_equal_ids(beginning: str, life: list[Step]) -> None:
    """A page that was read and not committed is read again, later; its events are the same events."""
    world = World(beginning)
    for step in life:
        world.live([step])
        if world.row is not None:
            world._happen(world.row, "Name", "another")
        first = [event.id for event in world.reading()]
        world.now += timedelta(seconds=5)
        assert [event.id for event in world.reading()] == first


@given(st.sampled_from(["a", None, 0, False, {"City": None}]), st.sampled_from(["b", None, 1, True, {"City": "Ulm"}]))
def test_a_field_added_to_the_feed_is_never_lost(old: Any, new: Any) -> None:
    """The sighting does not know the field; the first change of it must be told all the same."""
    before = Record(LEAD, SETTLED, None, deleted=False, merged_into=None, changed_by=None, fields=a_lead())
    sighting = diff.sight(before, None, RULES)
    extended = replace(RULES, paths=(*RULES.paths, "Added__c"))
    unread = before.but(fields=a_lead(Added__c=old))
    assert diff.decide(unread, sighting, some_marks(), extended) == []
    changed = before.but(stamp=SETTLED + timedelta(minutes=1), fields=a_lead(Added__c=new))
    told = [change.kind for change in diff.decide(changed, sighting, some_marks(), extended)]
    assert told == [Kind.UPDATED]
