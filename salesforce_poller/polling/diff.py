"""What happened to a record? (row, sighting, watermarks) in, changes out. Pure: the heart of the product.

    never seen, live
        stamped before the feed started                   snapshot, if the feed tells of that past, else nothing
        created since everything was settled              created
        else                                              updated, previous state unknown
    never seen, deleted
        stamped before the feed started                   deleted or merged, if the feed started at a time, else nothing
        created since everything was settled              created, then deleted or merged
        else                                              deleted or merged
    seen live, live now
        same fields                                       nothing (or updated, if the feed asks for unchanged ones)
        other fields                                      updated, with changed and previous
        a new stamp, and values we never asked for before updated, previous state unknown
    seen live, deleted now                                merged if it has a MasterRecordId, else deleted
    seen deleted, live now                                undeleted
    seen deleted, deleted now                             nothing; with another MasterRecordId merged, with none any
                                                          more deleted (it came back and went again, unseen)

A row is recognised by (Id, stamp, digest), because stamps are whole seconds and two changes may share one. Fields that
change without a stamp (formulas, fields of parents) count only when the stamp is new. Called by ``poller.py`` for each
row of a page; ``events.py`` turns the changes into events. ``tests/unit/test_diff.py`` is this table again, case by
case.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from salesforce_poller.model import Fields, Kind, Record, Sighting, Watermarks
from salesforce_poller.polling import fingerprint
from salesforce_poller.value import Value


class Past(Enum):
    """What a feed does with the records that were there before it started."""

    #: Nothing is read of them.
    UNREAD = "unread"
    #: They are read silently (``baseline = true``), so that the first update knows its previous values.
    LEARNED = "learned"
    #: Every live one becomes a snapshot event (``start = "beginning"``).
    TOLD = "told"
    #: As TOLD, and those that were deleted since then are told as well (``start`` = a time).
    TOLD_WITH_DELETIONS = "told with deletions"


@dataclass(frozen=True, slots=True)
class Rules:
    """What a feed calls a change."""

    #: Visible paths, in the order they were asked for.
    paths: tuple[str, ...]
    #: Those that can change without a stamp.
    derived: frozenset[str]
    past: Past = Past.UNREAD
    #: How far back the past is told (UTC), where it is read from further back; None: all that is read of it.
    told_since: datetime | None = None
    #: Also tell of new stamps on rows whose fields did not change.
    unchanged: bool = False


class Change(Value, frozen=True):
    """One change of one record, before it becomes an event."""

    kind: Kind
    #: Salesforce's stamp for it, UTC.
    time: datetime
    #: None when the previous state is not known.
    changed: tuple[str, ...] | None = None


def decide(record: Record, sighting: Sighting | None, marks: Watermarks, rules: Rules) -> list[Change]:
    """Say what happened to a record since it was last seen, in order."""
    if sighting is None:
        return _first_sight(record, marks, rules)
    if record.deleted:
        return _gone(record, sighting)
    changed = _changed(record, sighting, rules)
    if sighting.deleted:
        return [Change(Kind.UNDELETED, record.stamp, changed)]
    if changed is None or changed or (rules.unchanged and record.stamp != sighting.stamp):
        return [Change(Kind.UPDATED, record.stamp, changed)]
    return []


def is_outdated(copy: Record, sighting: Sighting | None, marks: Watermarks) -> bool:
    """Say whether a row that was copied some time ago, and is only read now, must be passed over.

    A query job shows rows as they were when it ran. What was stamped since the feed started, polls and sweeps tell, and
    in the right order; so a copy counts only while nothing newer, or the same, was seen of its record.
    """
    return copy.stamp >= marks.backfill_until or (sighting is not None and sighting.stamp >= copy.stamp)


def decide_vanished(sighting: Sighting | None, deleted_at: datetime, marks: Watermarks) -> list[Change]:
    """Say what happened to a record that the delete log names and queryAll does not have (any more).

    The log answers in whole minutes and may name what was gone before the feed started; of that we say nothing.
    """
    if sighting is None:
        return [Change(Kind.DELETED, deleted_at)] if deleted_at >= marks.deleted_through else []
    return [] if sighting.deleted else [Change(Kind.DELETED, deleted_at)]


def sight(record: Record, sighting: Sighting | None, rules: Rules) -> Sighting | None:
    """Return what to remember of a row, or None when it is remembered as it is.

    A formula that drifted under an unchanged stamp is not remembered: when the next stamp tells of it, ``previous``
    is what was told last.
    """
    if sighting and _is_the_same(record, sighting) and not _changed(record, sighting, rules):
        return None
    fields = _fields_that_stay(record, sighting)
    return Sighting(  # in the order of its fields, which takes half as long as by their names
        record.id,
        record.stamp,
        content_of(record, sighting),
        record.deleted,
        record.merged_into,
        record.fields if fields is None else fields,
    )


def _fields_that_stay(record: Record, sighting: Sighting | None) -> Fields | None:
    """Return the fields that were told last where these stay so: of a record that was and is in the bin nothing is."""
    stays = sighting and sighting.deleted and record.deleted and not _gone(record, sighting)
    return sighting.fields if sighting and stays else None


def content_of(record: Record, sighting: Sighting | None) -> str:
    """Boil a row down, together with what was seen of it earlier in the same second."""
    earlier = sighting.digest if sighting and sighting.stamp == record.stamp else ""
    return fingerprint.digest(record.fields, earlier)


def sight_vanished(record_id: str, sighting: Sighting | None, deleted_at: datetime) -> Sighting:
    """Return what to remember of a record that is gone for good: its last values, and that it is gone."""
    if sighting is None:
        return Sighting(record_id, deleted_at, "", deleted=True, merged_into=None, fields=None)
    return Sighting(
        record_id, deleted_at, sighting.digest, deleted=True, merged_into=sighting.merged_into, fields=sighting.fields
    )


def _is_the_same(record: Record, sighting: Sighting) -> bool:
    """Say whether a row is the very one that was seen, but for its fields."""
    told = (sighting.stamp, sighting.deleted, sighting.merged_into)
    return (record.stamp, record.deleted, record.merged_into) == told


def _first_sight(record: Record, marks: Watermarks, rules: Rules) -> list[Change]:
    farewell = [Change(Kind.MERGED if record.merged_into else Kind.DELETED, record.stamp)] if record.deleted else []
    if record.stamp < marks.backfill_until:
        if rules.told_since is not None and record.stamp < rules.told_since:
            return []
        if record.deleted:
            return farewell if rules.past is Past.TOLD_WITH_DELETIONS else []
        told = rules.past in (Past.TOLD, Past.TOLD_WITH_DELETIONS)
        return [Change(Kind.SNAPSHOT, record.stamp)] if told else []
    if record.created is not None and record.created >= marks.settled_through:
        return [Change(Kind.CREATED, record.created if record.deleted else record.stamp), *farewell]
    return farewell or [Change(Kind.UPDATED, record.stamp)]


def _gone(record: Record, sighting: Sighting) -> list[Change]:
    if sighting.deleted and record.merged_into == sighting.merged_into:
        return []
    return [Change(Kind.MERGED if record.merged_into else Kind.DELETED, record.stamp)]


def _changed(record: Record, sighting: Sighting, rules: Rules) -> tuple[str, ...] | None:
    """Name the paths that changed; None when the previous values are not known.

    Where the feed's fields were extended since the sighting, a new stamp may be about one of the added fields: better
    told as unknown than lost.
    """
    if sighting.fields is None:
        return None
    if sighting.fields == record.fields:  # the many rows that a poll reads again: told at once, without a look at paths
        return ()
    counted: Iterable[str] = rules.paths
    if record.stamp == sighting.stamp:
        counted = (path for path in rules.paths if path not in rules.derived)
    elif any(fingerprint.additions(sighting.fields, record.fields, rules.paths)):
        return None
    return tuple(fingerprint.differences(sighting.fields, record.fields, counted))
