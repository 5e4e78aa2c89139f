"""The judge of every story: do these events tell what the simulated org's truth log says, no more and no less?

A poller sees states, not changes: what happens between two looks is one event with the latest state. So the events of a
record are right when they are a *history of looks*: each event's state is one that the record really had, in the order
in which it had them, each kind fits what a consumer knew before, and after the last event the consumer knows the
record's last state. Nothing missing, nothing invented, the right kind, in order per record.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from salesforce_poller.model import Event, Fields, Kind
from salesforce_poller.simulator.changes import Change

#: What a story watches: stored text fields, so that the stored value is what REST returns.
Watched = Sequence[str]


@dataclass(frozen=True, slots=True)
class State:
    """What a record was like after one committed change."""

    gone: bool
    merged_into: str | None
    values: tuple[Any, ...]
    #: Salesforce's stamp of the change.
    stamp: datetime | None = None
    #: Nobody can read the row any more, not even in the bin: that it lost a merge can no longer be known.
    erased: bool = False

    def looks_like(self, other: "State") -> bool:
        """Say whether a consumer could not tell the two apart."""
        return (self.gone, self.merged_into, self.values) == (other.gone, other.merged_into, other.values)


@dataclass(frozen=True, slots=True)
class History:
    """One record's life as the org knows it."""

    #: The state at the start of the watch; None when the record was not there.
    before: State | None
    #: Every state that was ever visible since, in commit order; what one transaction did counts once.
    states: tuple[State, ...]


def histories(truth: Iterable[Change], watched: Watched, object_name: str, since: int) -> dict[str, History]:
    """Read the truth log into lives; ``since`` is the number of the last change before the watch began."""
    before: dict[str, State] = {}
    after: dict[str, list[tuple[int, State]]] = defaultdict(list)
    for change in truth:
        if change.object != object_name:
            continue
        state = _state(change, watched)
        if change.number <= since:
            before[change.record_id] = state
            continue
        lived = after[change.record_id]
        if lived and lived[-1][0] == change.transaction:
            lived.pop()
        lived.append((change.transaction, state))
    return {
        record_id: History(before.get(record_id), tuple(state for _, state in lived))
        for record_id, lived in after.items()
    }


def judge(
    events: Sequence[Event],
    truth: Iterable[Change],
    watched: Watched,
    object_name: str,
    *,
    since: int = 0,
    must_tell: Collection[str] = (),
) -> list[str]:
    """Return what is wrong, one line each; nothing when the events tell the truth.

    ``events`` in the order in which a consumer got them; repeats by id (at least once) are passed over, as long as they
    are the same. ``must_tell`` are records that a poll could see, so that something must be told of them.
    """
    lives = histories(truth, watched, object_name, since)
    told: dict[str, list[Event]] = defaultdict(list)
    ids: dict[str, Event] = {}
    problems = []
    for event in events:
        if event.object != object_name or event.kind is Kind.GAP:
            continue
        if known := ids.get(event.id):
            if (known.kind, known.record_id, known.record) != (event.kind, event.record_id, event.record):
                problems.append(f"{event.record_id}: two events have the id {event.id}")
            continue
        ids[event.id] = event
        assert event.record_id is not None
        told[event.record_id].append(event)
    problems += [f"{record_id}: nothing was told of it" for record_id in must_tell if record_id not in told]
    for record_id in told.keys() - lives.keys():
        kinds = [event.kind.value for event in told[record_id] if event.kind is not Kind.SNAPSHOT]
        if kinds:
            problems.append(f"{record_id}: invented {kinds}, nothing happened to it")
    for record_id, life in lives.items():
        problems += [f"{record_id}: {problem}" for problem in _judge_one(told[record_id], life, watched)]
    return problems


def _judge_one(events: Sequence[Event], life: History, watched: Watched) -> list[str]:
    place, known = 0, None  # known: what the consumer knows, as a State
    existed = life.before is not None and not life.before.gone
    for event in events:
        if event.kind is Kind.SNAPSHOT:
            known = _told_state(event, watched)
            continue
        if problem := _wrong_kind(event, known, existed=existed, life=life):
            return [problem + _story(events, life)]
        found = _find(event, life.states, place, watched)
        if found is None:
            return [f"{event.kind} tells of a state it never had (again): {event.record}{_story(events, life)}"]
        problem = (
            _wrong_changes(event, known, watched)
            or _wrong_farewell(event, found, life, watched)
            or _wrong_time(event, life)
        )
        if problem:
            return [problem + _story(events, life)]
        place = found
        known = _told_state(event, watched, life.states[found])
    return _missing(known, life, _story(events, life))


def _wrong_kind(event: Event, known: State | None, *, existed: bool, life: History) -> str | None:
    """Say how the kind does not fit what a consumer knew before."""
    was_gone = known is not None and known.gone
    match event.kind:
        case Kind.CREATED if known is not None or life.before is not None:
            return "created, but it was there before"
        case Kind.UPDATED if was_gone or (known is None and not existed and not _came_back(life)):
            return "updated, but it was not there"
        case Kind.UNDELETED if not was_gone:
            return "undeleted, but nobody said that it was deleted"
        case Kind.DELETED if was_gone and known is not None and not known.merged_into:
            return "deleted twice"
    return None


def _came_back(life: History) -> bool:
    """A record that was gone at the start and came back unseen can only be called updated."""
    return life.before is not None and life.before.gone


def _wrong_changes(event: Event, known: State | None, watched: Watched) -> str | None:
    if event.kind is not Kind.UPDATED or known is None or event.record is None:
        return None  # of what a consumer never knew, the poller may know more (a baseline) or nothing
    if event.changed is None:
        return "the previous values are withheld"
    now = _values(event.record, watched)
    really = {name for name, old, new in zip(watched, known.values, now, strict=True) if old != new}
    if set(event.changed) != really or not really:
        return f"changed says {sorted(event.changed)}, really {sorted(really)}"
    previous = dict(zip(watched, known.values, strict=True))
    wrong = {name for name in really if event.previous is None or event.previous.get(name) != previous[name]}
    return f"previous is wrong for {sorted(wrong)}" if wrong else None


def _wrong_farewell(event: Event, found: int, life: History, watched: Watched) -> str | None:
    """Say how the last state is not one that the record had; what is gone for good may be told without one."""
    if event.kind not in (Kind.DELETED, Kind.MERGED) or event.record is None:
        return None
    had = {state.values for state in life.states[: found + 1]} | ({life.before.values} if life.before else set())
    return None if _values(event.record, watched) in had else f"{event.kind} with a state it never had: {event.record}"


def _wrong_time(event: Event, life: History) -> str | None:
    """Say how the time is not the stamp of any change that led to this."""
    stamps = {state.stamp for state in life.states}
    return None if event.time in stamps else f"{event.kind} at {event.time}, which is no stamp of this record"


def _find(event: Event, states: Sequence[State], place: int, watched: Watched) -> int | None:
    """Find the first state from ``place`` on that the event may be telling of.

    Of several ends it is the first with the values that are told: a record that was deleted, brought back, changed and
    deleted again between two looks is told of as it was at its second end.
    """
    if event.kind in (Kind.DELETED, Kind.MERGED) and event.record is not None:
        ends = (index for index in range(place, len(states)) if _is_end(event, states[index]))
        told = _values(event.record, watched)
        if (same := next((index for index in ends if states[index].values == told), None)) is not None:
            return same
    for index in range(place, len(states)):
        state = states[index]
        if event.kind is Kind.CREATED:
            fits = event.record is not None and _values(event.record, watched) == state.values
        elif event.kind in (Kind.DELETED, Kind.MERGED):
            fits = _is_end(event, state)
        else:
            fits = not state.gone and event.record is not None and _values(event.record, watched) == state.values
        if fits:
            return index
    return None


def _is_end(event: Event, state: State) -> bool:
    if event.kind is Kind.MERGED:
        return state.gone and state.merged_into == event.merged_into
    return state.gone and (state.erased or not state.merged_into)


def _missing(known: State | None, life: History, story: str) -> list[str]:  # noqa: PLR0911  # a table in code
    last = life.states[-1]
    if known is None:
        if life.before is not None and not life.before.gone and last.looks_like(life.before):
            return []  # back to where it was, or only stamped
        if last.gone and (life.before is None or life.before.gone):
            return []  # came and went unseen; whether it could have been seen is for the story to say
        return [f"missing: nothing was told of {last}{story}"]
    if known.gone != last.gone:
        return [f"missing: the consumer believes it {'gone' if known.gone else 'live'}{story}"]
    if not last.gone and known.values != last.values:
        return [f"missing: the consumer knows {known.values}, it is {last.values}{story}"]
    if last.gone and not last.erased and known.merged_into != last.merged_into:
        return [f"wrong: the consumer believes it merged into {known.merged_into}, it was {last.merged_into}{story}"]
    return []


def _state(change: Change, watched: Watched) -> State:
    gone = change.kind in ("deleted", "merged", "purged", "hard_deleted") or bool(change.fields.get("IsDeleted"))
    master = change.fields.get("MasterRecordId") if gone else None
    values = tuple(change.fields.get(name) for name in watched)
    return State(gone, master, values, change.stamp, erased=change.kind in ("purged", "hard_deleted"))


def _told_state(event: Event, watched: Watched, truth: State | None = None) -> State:
    gone = event.kind in (Kind.DELETED, Kind.MERGED)
    values = _values(event.record, watched) if event.record else truth.values if truth else ()
    return State(gone, event.merged_into, values)


def _values(record: Fields, watched: Watched) -> tuple[Any, ...]:
    return tuple(record.get(name) for name in watched)


def _story(events: Sequence[Event], life: History) -> str:
    told = [f"{event.kind.value}{_mapping(event.changed)}" for event in events]
    return f"\n    told: {told}\n    before: {life.before}\n    states: {list(life.states)}"


def _mapping(changed: tuple[str, ...] | None) -> str:
    return "" if changed is None else f"({', '.join(changed)})"
