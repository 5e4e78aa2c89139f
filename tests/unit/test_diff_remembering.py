"""polling/diff.py: what is remembered between two looks, and records that the delete log names."""

import pytest
from polling_builders import LEAD, OTHER_LEAD, SETTLED, a_lead, a_record, a_sighting, at, some_marks

from salesforce_poller.model import Kind, Sighting
from salesforce_poller.polling import diff
from salesforce_poller.polling.diff import Rules

RULES = Rules(paths=("Id", "Name", "Status", "Score__c", "Owner.Name"), derived=frozenset({"Score__c", "Owner.Name"}))
LATER = at("10:05:00")


class TestBackAndForthWithinOneSecond:
    """A value that goes back and forth under one stamp is told each time it is seen, and each time as another event."""

    def test_each_look_is_a_change(self) -> None:
        """Open, Working, Open, Working: three updates after the first look."""
        sighting: Sighting | None = None
        kinds, contents = [], []
        for status in ("Open", "Working", "Open", "Working"):
            row = a_record(fields={"Status": status})
            kinds += [change.kind for change in diff.decide(row, sighting, some_marks(), RULES)]
            contents.append(diff.content_of(row, sighting))
            sighting = diff.sight(row, sighting, RULES)
        assert kinds == [Kind.UPDATED] * 4
        assert len(set(contents)) == 4


class TestVanished:
    """What the delete log names and queryAll does not have any more."""

    def test_a_record_seen_live_is_deleted(self) -> None:
        """It was hard-deleted, or its bin was emptied."""
        assert diff.decide_vanished(a_sighting(), LATER, some_marks()) == [diff.Change(Kind.DELETED, LATER)]

    def test_a_record_known_to_be_deleted_is_nothing_new(self) -> None:
        """Its deletion was told when it went to the bin."""
        assert diff.decide_vanished(a_sighting(deleted=True), LATER, some_marks()) == []

    def test_a_record_never_seen_is_deleted_when_the_log_was_not_read_that_far(self) -> None:
        """The log's own second counts: what it covered before is known."""
        assert diff.decide_vanished(None, SETTLED, some_marks()) == [diff.Change(Kind.DELETED, SETTLED)]

    def test_a_record_never_seen_is_nothing_when_the_log_was_read_that_far(self) -> None:
        """The log answers in whole minutes and repeats what lies before the feed's start."""
        assert diff.decide_vanished(None, at("09:59:59"), some_marks()) == []

    def test_a_record_seen_is_remembered_with_its_last_values(self) -> None:
        """They are the state of the deleted event, and the previous values if it comes back."""
        seen = diff.sight_vanished(LEAD, a_sighting(), LATER)
        assert (seen.deleted, seen.stamp, seen.fields) == (True, LATER, a_lead())

    def test_a_record_never_seen_is_remembered_without_values(self) -> None:
        """So that the log's next answer does not tell it again."""
        seen = diff.sight_vanished(LEAD, None, LATER)
        assert (seen.deleted, seen.fields) == (True, None)
        assert diff.decide_vanished(seen, LATER, some_marks()) == []


class TestRemembering:
    """What is kept of a row for next time."""

    def test_a_row_seen_again_needs_no_writing(self) -> None:
        """Most rows of a poll are its overlap."""
        assert diff.sight(a_record(), a_sighting(), RULES) is None

    def test_a_new_stamp_is_remembered_even_when_nothing_changed(self) -> None:
        """Otherwise a formula would seem to drift for ever."""
        seen = diff.sight(a_record(stamp=LATER), a_sighting(), RULES)
        assert seen is not None
        assert seen.stamp == LATER

    def test_a_drifted_formula_is_not_remembered(self) -> None:
        """``previous`` is what was told last, so the drift is told with the next stamp."""
        drifted = a_record(fields={"Score__c": 50})
        assert diff.sight(drifted, a_sighting(), RULES) is None
        [change] = diff.decide(a_record(stamp=LATER, fields={"Score__c": 99}), a_sighting(), some_marks(), RULES)
        assert change.changed == ("Score__c",)

    @pytest.mark.parametrize("deleted", [True, False])
    def test_deletion_and_return_within_one_second_are_remembered(self, deleted: bool) -> None:
        """Nothing but IsDeleted differs."""
        seen = diff.sight(a_record(deleted=deleted), a_sighting(deleted=not deleted), RULES)
        assert seen is not None
        assert seen.deleted is deleted

    def test_the_survivor_of_a_merge_is_remembered(self) -> None:
        """So that the merge is told once."""
        seen = diff.sight(a_record(deleted=True, merged_into=OTHER_LEAD), a_sighting(), RULES)
        assert seen is not None
        assert seen.merged_into == OTHER_LEAD


def test_a_merge_in_the_second_of_the_deletion_is_remembered() -> None:
    """Else it would be told again at every look."""
    binned = a_record(deleted=True)
    seen = diff.sight(binned, None, RULES)
    merged = a_record(deleted=True, merged_into=OTHER_LEAD)
    again = diff.sight(merged, seen, RULES)
    assert again is not None
    assert again.merged_into == OTHER_LEAD
    assert diff.decide(merged, again, some_marks(), RULES) == []
