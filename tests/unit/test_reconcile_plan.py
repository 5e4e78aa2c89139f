"""polling/reconcile_plan.py: when ids are compared, what it costs, what is believed."""

from datetime import timedelta

import pytest
from polling_builders import SETTLED, STARTED, a_record, a_schema, a_window, at, some_marks

from salesforce_poller.polling import reconcile_plan
from salesforce_poller.polling.settings import FeedSettings


def settings(**said: object) -> FeedSettings:
    """Return a feed's settings that compare once a day."""
    return FeedSettings.model_validate({"reconcile": "1d", **said})


DAY = timedelta(days=1)


class TestWhen:
    """It is time, or not."""

    def test_the_first_one_comes_an_interval_after_the_start(self) -> None:
        """Right after a backfill there is nothing to find."""
        assert not reconcile_plan.is_due(settings(), some_marks(), STARTED + DAY - timedelta(seconds=1))
        assert reconcile_plan.is_due(settings(), some_marks(), STARTED + DAY)

    def test_the_next_one_an_interval_after_the_last(self) -> None:
        """As the store remembers it."""
        marks = some_marks(reconciled_at=SETTLED)
        assert not reconcile_plan.is_due(settings(), marks, STARTED + DAY)
        assert reconcile_plan.is_due(settings(), marks, SETTLED + DAY)

    @pytest.mark.parametrize("unready", [{"backfill_done": False}, {"primed": False}])
    def test_never_before_the_past_is_read(self, unready: dict[str, bool]) -> None:
        """What is not read yet is not known, and everything would be unknown."""
        assert not reconcile_plan.is_due(settings(), some_marks(**unready), STARTED + 9 * DAY)

    def test_never_when_nobody_asked_for_it(self) -> None:
        """It costs calls."""
        assert not reconcile_plan.is_due(settings(reconcile=None), some_marks(), STARTED + 9 * DAY)

    def test_the_delete_log_has_the_first_word_but_not_for_ever(self) -> None:
        """It knows when something was deleted; where sweeps do not work, it never tells."""
        marks, missed = some_marks(deleted_through=at("10:00:00")), at("10:05:00")
        assert reconcile_plan.log_may_tell(settings(), marks, missed, at("10:06:00"))
        assert not reconcile_plan.log_may_tell(settings(), marks, missed, at("10:25:00"))
        covered = some_marks(deleted_through=missed)
        assert not reconcile_plan.log_may_tell(settings(), covered, missed, at("10:06:00"))


class TestWhat:
    """Which records are judged, and how many."""

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ({"start": "beginning"}, True),
            ({"baseline": True}, True),
            ({"start": "now"}, False),
            ({"start": "2026-01-01T00:00:00Z"}, False),
        ],
    )
    def test_who_has_read_everything_knows_a_stranger(self, said: dict[str, object], expected: bool) -> None:
        """Others have never seen most of the records."""
        assert reconcile_plan.knows_everything(settings(**said)) is expected

    @pytest.mark.parametrize(("known", "limit", "most"), [(1_000, 0.1, 100), (30, 0.1, 10), (0, 0.1, 10), (50, 1, 50)])
    def test_a_share_is_believed_and_always_a_few(self, known: int, limit: float, most: int) -> None:
        """Ten of thirty are no disaster."""
        assert reconcile_plan.believed(known, limit) == most

    def test_only_live_records_that_polls_do_not_read_again_are_overlooked(self) -> None:
        """What was stamped since everything was settled is told by polls, in the right order."""
        assert reconcile_plan.is_overlooked(a_record(stamp=at("09:00:00")), SETTLED)
        assert not reconcile_plan.is_overlooked(a_record(stamp=SETTLED), SETTLED)
        assert not reconcile_plan.is_overlooked(a_record(stamp=at("09:00:00"), deleted=True), SETTLED)

    def test_what_is_missing_is_looked_up_without_the_condition_and_with_few_columns(self) -> None:
        """A record that left the condition is not gone; objects without a bin have no IsDeleted."""
        window = reconcile_plan.light(a_schema(), a_window(where="A = 1"))
        assert (window.select, window.where) == (("Id", "SystemModstamp", "IsDeleted"), None)
        binless = reconcile_plan.light(a_schema(select=("Id", "SystemModstamp")), a_window())
        assert binless.select == ("Id", "SystemModstamp")

    def test_the_cost_is_told_before(self) -> None:
        """Listing by queries, by a job, and looking up what is known."""
        assert reconcile_plan.calls(5, 10_000, by_job=False) == 7
        assert reconcile_plan.calls(5, 1_000_000, by_job=True) == 18
        assert reconcile_plan.calls(401, None, by_job=False) == 2
