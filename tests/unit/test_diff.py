"""polling/diff.py: the table of its docstring again, case by case, and every trap we know of.

What is remembered between two looks is in ``test_diff_remembering.py``.
"""

from dataclasses import dataclass, replace
from typing import Any

import pytest
from polling_builders import OTHER_LEAD, SETTLED, STARTED, a_lead, a_record, a_sighting, at, some_marks

from salesforce_poller.model import Record, Sighting, Watermarks
from salesforce_poller.polling import diff
from salesforce_poller.polling.diff import Past, Rules

PATHS = ("Id", "Name", "Status", "Score__c", "Owner.Name")
MARKS = some_marks()
RULES = Rules(paths=PATHS, derived=frozenset({"Score__c", "Owner.Name"}))
LATER = at("10:05:00")
BEFORE_START = at("07:30:00")
#: (kind, time, changed); ``...`` where a row of the table does not care.
Told = tuple[str, Any, Any]


@dataclass(frozen=True)
class Case:
    """One line of the table: what was seen, what is there now, what is told."""

    claim: str
    told: list[Told]
    row: Record
    seen: Sighting | None = None
    rules: Rules = RULES
    marks: Watermarks = MARKS


def _past(past: Past) -> Rules:
    return replace(RULES, past=past)


def _without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in a_lead().items() if name not in names}


NEVER_SEEN = [
    Case(
        "never seen, live, stamped before the start, past unread: nothing",
        [],
        a_record(stamp=BEFORE_START),
    ),
    Case(
        "never seen, live, stamped before the start, past learned: nothing",
        [],
        a_record(stamp=BEFORE_START),
        rules=_past(Past.LEARNED),
    ),
    Case(
        "never seen, live, stamped before the start, past told: snapshot",
        [("snapshot", BEFORE_START, None)],
        a_record(stamp=BEFORE_START),
        rules=_past(Past.TOLD),
    ),
    Case(
        "never seen, live, stamped before the start, past told with deletions: snapshot",
        [("snapshot", BEFORE_START, None)],
        a_record(stamp=BEFORE_START),
        rules=_past(Past.TOLD_WITH_DELETIONS),
    ),
    Case(
        "never seen, live, stamped in the second of the start: no snapshot any more",
        [("updated", STARTED, None)],
        a_record(stamp=STARTED),
        rules=_past(Past.TOLD),
    ),
    Case(
        "never seen, live, created since everything was settled: created",
        [("created", at("10:00:05"), None)],
        a_record(created=at("10:00:05")),
    ),
    Case(
        "never seen, live, created in the very second that is settled through: created",
        [("created", at("10:00:05"), None)],
        a_record(created=SETTLED),
    ),
    Case(
        "never seen, live, created and changed again since: one created, with the latest stamp",
        [("created", at("10:00:09"), None)],
        a_record(created=at("10:00:05"), stamp=at("10:00:09")),
    ),
    Case(
        "never seen, live, created a second before everything was settled: updated, previous unknown",
        [("updated", at("10:00:05"), None)],
        a_record(created=at("09:59:59")),
    ),
    Case(
        "never seen, live, object without CreatedDate: updated, since nobody can tell",
        [("updated", at("10:00:05"), None)],
        a_record(created=None),
    ),
    Case(
        "never seen, deleted, stamped before the start, past unread: nothing",
        [],
        a_record(stamp=BEFORE_START, deleted=True),
    ),
    Case(
        "never seen, deleted, stamped before the start, past learned: nothing",
        [],
        a_record(stamp=BEFORE_START, deleted=True),
        rules=_past(Past.LEARNED),
    ),
    Case(
        "never seen, deleted, stamped before the start, past told: nothing, it is not there",
        [],
        a_record(stamp=BEFORE_START, deleted=True),
        rules=_past(Past.TOLD),
    ),
    Case(
        "never seen, deleted, stamped before the start, past told with deletions: deleted",
        [("deleted", BEFORE_START, None)],
        a_record(stamp=BEFORE_START, deleted=True),
        rules=_past(Past.TOLD_WITH_DELETIONS),
    ),
    Case(
        "never seen, merged, stamped before the start, past told with deletions: merged",
        [("merged", BEFORE_START, None)],
        a_record(stamp=BEFORE_START, deleted=True, merged_into=OTHER_LEAD),
        rules=_past(Past.TOLD_WITH_DELETIONS),
    ),
    Case(
        "never seen, stamped before the time from which the past is told: nothing, the baseline is silent",
        [],
        a_record(stamp=BEFORE_START),
        rules=replace(_past(Past.TOLD_WITH_DELETIONS), told_since=at("08:00:00")),
    ),
    Case(
        "never seen, deleted before the time from which the past is told: nothing",
        [],
        a_record(stamp=BEFORE_START, deleted=True),
        rules=replace(_past(Past.TOLD_WITH_DELETIONS), told_since=at("08:00:00")),
    ),
    Case(
        "never seen, stamped in the very second from which the past is told: snapshot",
        [("snapshot", BEFORE_START, None)],
        a_record(stamp=BEFORE_START),
        rules=replace(_past(Past.TOLD_WITH_DELETIONS), told_since=BEFORE_START),
    ),
    Case(
        "never seen, deleted, created since everything was settled: created when it was, then deleted",
        [("created", at("10:00:01"), None), ("deleted", at("10:00:05"), None)],
        a_record(created=at("10:00:01"), deleted=True),
    ),
    Case(
        "never seen, merged, created since everything was settled: created when it was, then merged",
        [("created", at("10:00:01"), None), ("merged", at("10:00:05"), None)],
        a_record(created=at("10:00:01"), deleted=True, merged_into=OTHER_LEAD),
    ),
    Case(
        "never seen, deleted, created long ago: deleted",
        [("deleted", at("10:00:05"), None)],
        a_record(deleted=True),
    ),
    Case(
        "never seen, merged, created long ago: merged",
        [("merged", at("10:00:05"), None)],
        a_record(deleted=True, merged_into=OTHER_LEAD),
    ),
]

SEEN_LIVE = [
    Case("seen live, read again: nothing", [], a_record(), a_sighting()),
    Case(
        "seen live, new stamp, same fields: nothing, Salesforce re-stamps rows in bulk",
        [],
        a_record(stamp=LATER),
        a_sighting(),
    ),
    Case(
        "seen live, new stamp, same fields, feed asks for unchanged ones: updated, nothing changed",
        [("updated", LATER, ())],
        a_record(stamp=LATER),
        a_sighting(),
        rules=replace(RULES, unchanged=True),
    ),
    Case(
        "seen live, read again, feed asks for unchanged ones: nothing, there is no new stamp",
        [],
        a_record(),
        a_sighting(),
        rules=replace(RULES, unchanged=True),
    ),
    Case(
        "seen live, new stamp, other fields: updated, changed in the order of the feed's fields",
        [("updated", LATER, ("Name", "Status"))],
        a_record(stamp=LATER, fields={"Status": "Working", "Name": "Ann Other"}),
        a_sighting(),
    ),
    Case(
        "seen live, changed again within the same second: updated, since only the content shows it",
        [("updated", at("10:00:05"), ("Status",))],
        a_record(fields={"Status": "Working"}),
        a_sighting(),
    ),
    Case(
        "seen live, formula drifted under the same stamp: nothing, formulas cannot be promised",
        [],
        a_record(fields={"Score__c": 99}),
        a_sighting(),
    ),
    Case(
        "seen live, parent renamed under the same stamp: nothing",
        [],
        a_record(fields={"Owner": {"Name": "Otto"}}),
        a_sighting(),
    ),
    Case(
        "seen live, formula changed with a new stamp: updated",
        [("updated", LATER, ("Score__c",))],
        a_record(stamp=LATER, fields={"Score__c": 99}),
        a_sighting(),
    ),
    Case(
        "seen live, parent's field changed with a new stamp: updated",
        [("updated", LATER, ("Owner.Name",))],
        a_record(stamp=LATER, fields={"Owner": {"Name": "Otto"}}),
        a_sighting(),
    ),
    Case(
        "seen live, formula and field changed within the same second: updated, only the field is sure",
        [("updated", at("10:00:05"), ("Status",))],
        a_record(fields={"Status": "Working", "Score__c": 99}),
        a_sighting(),
    ),
    Case(
        "seen live, parent became null: updated",
        [("updated", LATER, ("Owner.Name",))],
        a_record(stamp=LATER, fields={"Owner": None}),
        a_sighting(),
    ),
    Case(
        "seen live, parent null instead of a parent with a null field: nothing, null is null",
        [],
        a_record(stamp=LATER, fields={"Owner": None}),
        a_sighting(fields={"Owner": {"Name": None}}),
    ),
    Case(
        "seen live, field null instead of absent parent: nothing, null is null",
        [],
        a_record(stamp=LATER, fields={"Owner": {"Name": None}}),
        a_sighting(fields={"Owner": None}),
    ),
    Case(
        "seen live, number written as 10.0 instead of 10: nothing, it is the same number",
        [],
        a_record(stamp=LATER, fields={"Score__c": 10.0}),
        a_sighting(),
    ),
    Case(
        "seen live, only somebody's look and the stamps themselves differ: nothing",
        [],
        a_record(stamp=LATER, fields={"LastViewedDate": "b", "LastModifiedDate": "b", "LastModifiedById": "b"}),
        a_sighting(fields={"LastViewedDate": "a", "LastModifiedDate": "a", "LastModifiedById": "a"}),
        rules=replace(RULES, paths=(*PATHS, "LastViewedDate", "LastModifiedDate", "LastModifiedById")),
    ),
    Case(
        "seen live, a field the sighting does not know yet, same stamp: nothing, the feed's fields were extended",
        [],
        a_record(),
        a_sighting().but(fields=_without("Status")),
    ),
    Case(
        "seen live, a field the sighting does not know yet is null, new stamp: updated, it may have been emptied",
        [("updated", LATER, None)],
        a_record(stamp=LATER, fields={"Status": None}),
        a_sighting().but(fields=_without("Status")),
    ),
    Case(
        "seen live, a field the sighting does not know yet has a value, new stamp: updated, previous unknown",
        [("updated", LATER, None)],
        a_record(stamp=LATER),
        a_sighting().but(fields=_without("Status")),
    ),
    Case(
        "seen live, an unknown field filled and a known one changed: updated, previous unknown",
        [("updated", LATER, None)],
        a_record(stamp=LATER, fields={"Name": "Ann Other"}),
        a_sighting().but(fields=_without("Status")),
    ),
    Case(
        "seen live, a field that the feed does not read any more: nothing",
        [],
        a_record(stamp=LATER).but(fields=_without("Status")),
        a_sighting(),
        rules=replace(RULES, paths=tuple(path for path in PATHS if path != "Status")),
    ),
    Case(
        "seen live, deleted now: deleted",
        [("deleted", LATER, None)],
        a_record(stamp=LATER, deleted=True),
        a_sighting(),
    ),
    Case(
        "seen live, deleted now within the same second: deleted",
        [("deleted", at("10:00:05"), None)],
        a_record(deleted=True),
        a_sighting(),
    ),
    Case(
        "seen live, deleted now with a MasterRecordId: merged",
        [("merged", LATER, None)],
        a_record(stamp=LATER, deleted=True, merged_into=OTHER_LEAD),
        a_sighting(),
    ),
    Case(
        "seen live after it came back from a merge, merged into the same record again: merged",
        [("merged", LATER, None)],
        a_record(stamp=LATER, deleted=True, merged_into=OTHER_LEAD),
        a_sighting(merged_into=OTHER_LEAD),
    ),
    Case(
        "seen live and created since everything was settled, deleted now: deleted, it was told as created before",
        [("deleted", LATER, None)],
        a_record(created=at("10:00:05"), stamp=LATER, deleted=True),
        a_sighting(),
    ),
]

SEEN_DELETED = [
    Case(
        "seen deleted, live now: undeleted, with what changed meanwhile",
        [("undeleted", LATER, ("Status",))],
        a_record(stamp=LATER, fields={"Status": "Working"}),
        a_sighting(deleted=True),
    ),
    Case(
        "seen deleted, live now with the same fields: undeleted, nothing changed",
        [("undeleted", LATER, ())],
        a_record(stamp=LATER),
        a_sighting(deleted=True),
    ),
    Case(
        "seen deleted, live again within the same second: undeleted",
        [("undeleted", at("10:00:05"), ())],
        a_record(),
        a_sighting(deleted=True),
    ),
    Case(
        "seen only in the delete log, live now: undeleted, previous unknown",
        [("undeleted", LATER, None)],
        a_record(stamp=LATER),
        a_sighting(deleted=True, fields=None),
    ),
    Case("seen deleted, read again: nothing", [], a_record(deleted=True), a_sighting(deleted=True)),
    Case(
        "seen deleted, deleted now with a new stamp: nothing",
        [],
        a_record(stamp=LATER, deleted=True),
        a_sighting(deleted=True),
    ),
    Case(
        "seen merged, read again: nothing",
        [],
        a_record(deleted=True, merged_into=OTHER_LEAD),
        a_sighting(deleted=True, merged_into=OTHER_LEAD),
    ),
    Case(
        "seen deleted, merged now: merged",
        [("merged", LATER, None)],
        a_record(stamp=LATER, deleted=True, merged_into=OTHER_LEAD),
        a_sighting(deleted=True),
    ),
    Case(
        "seen merged, merged into another record now: merged",
        [("merged", LATER, None)],
        a_record(stamp=LATER, deleted=True, merged_into="00Q5g00000ThIrDEAV"),
        a_sighting(deleted=True, merged_into=OTHER_LEAD),
    ),
]


@pytest.mark.parametrize("case", [*NEVER_SEEN, *SEEN_LIVE, *SEEN_DELETED], ids=lambda case: case.claim)
def test_the_table(case: Case) -> None:
    """What happened to a record follows from the row, the sighting, the watermarks and the feed's rules."""
    changes = diff.decide(case.row, case.seen, case.marks, case.rules)
    assert [(change.kind.value, change.time, change.changed) for change in changes] == case.told


@pytest.mark.parametrize("case", [*NEVER_SEEN, *SEEN_LIVE, *SEEN_DELETED], ids=lambda case: case.claim)
def test_a_row_that_was_told_is_not_told_again(case: Case) -> None:
    """After any line of the table, the same row again is nothing."""
    remembered = diff.sight(case.row, case.seen, case.rules) or case.seen
    assert diff.decide(case.row, remembered, case.marks, case.rules) == []


class TestCopies:
    """Rows of a query job, read some time after they were copied."""

    BEFORE = some_marks(backfill_until=at("10:00:10"))

    def test_a_copy_of_what_was_never_seen_counts(self) -> None:
        """It is what the job is for."""
        assert not diff.is_outdated(a_record(stamp=at("10:00:05")), None, self.BEFORE)

    @pytest.mark.parametrize("stamp", ["10:00:10", "10:00:11"])
    def test_a_copy_from_after_the_start_is_for_the_polls_to_tell(self, stamp: str) -> None:
        """They read everything that is stamped since then, in the right order."""
        assert diff.is_outdated(a_record(stamp=at(stamp)), None, self.BEFORE)

    @pytest.mark.parametrize(("seen", "outdated"), [("10:00:04", False), ("10:00:05", True), ("10:00:20", True)])
    def test_a_copy_counts_only_while_nothing_newer_was_seen(self, seen: str, outdated: bool) -> None:
        """Nor the same: a lost job's rows come twice."""
        sighting = a_sighting(stamp=at(seen))
        assert diff.is_outdated(a_record(stamp=at("10:00:05")), sighting, self.BEFORE) is outdated

    def test_a_copy_of_what_is_known_to_be_deleted_does_not_bring_it_back(self) -> None:
        """The job saw it alive before it went."""
        sighting = a_sighting(stamp=at("10:00:30"), deleted=True)
        assert diff.is_outdated(a_record(stamp=at("10:00:05")), sighting, self.BEFORE)
