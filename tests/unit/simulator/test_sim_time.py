"""The time model: the clock, transactions of any length, late commits and row locks."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from salesforce_poller.simulator.clock import OrgClock, stamp
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org

START = datetime(2026, 11, 21, 10, tzinfo=UTC)


def lead(org: Org) -> str:
    """A lead."""
    return org.insert("Lead", LastName="Ito", Company="Heron Foods")


def test_a_clock_at_speed_zero_stands_still_until_it_is_advanced() -> None:
    """So that a test says what time it is."""
    clock = OrgClock(START, speed=0)
    assert clock.now() == START
    clock.advance(90.5)
    assert clock.now() == START + timedelta(seconds=90.5)
    clock.set(START)
    assert clock.now() == START


def test_a_clock_runs_at_its_speed_from_where_it_is() -> None:
    """An hour a second, then at the machine's pace, without a jump in between."""
    machine = [100.0]
    clock = OrgClock(START, speed=3600, ticks=lambda: machine[0])
    machine[0] += 2
    assert clock.now() == START + timedelta(hours=2)
    clock.set_speed(1)
    machine[0] += 3
    assert clock.now() == START + timedelta(hours=2, seconds=3)
    assert clock.speed == 1


def test_a_clock_without_a_start_is_the_machines_set_apart_by_an_offset() -> None:
    """Clients' clocks are wrong by minutes, as a rule."""
    with time_machine.travel(START, tick=False):
        assert OrgClock(offset=timedelta(minutes=-7), speed=0).now() == START - timedelta(minutes=7)


def test_a_stamp_is_a_whole_second() -> None:
    """Cut, not rounded."""
    assert stamp(START + timedelta(microseconds=999_999)) == START


def test_nothing_of_an_open_transaction_is_visible_before_it_commits(org: Org) -> None:
    """Not to queries, not in the truth; then all of it at once."""
    record_id = lead(org)
    with org.begin() as transaction:
        transaction.update(record_id, LastName="Costa")
        other = transaction.insert("Lead", LastName="New", Company="c")
        row = org.get("Lead", record_id)
        assert row is not None
        assert row["LastName"] == "Ito"
        assert org.get("Lead", other) is None
        assert len(org.truth) == 1
    row = org.get("Lead", record_id)
    assert row is not None
    assert row["LastName"] == "Costa"
    assert [change.transaction for change in org.truth[1:]] == [transaction.number] * 2


def test_a_late_commit_shows_rows_with_stamps_older_than_what_was_seen_before(org: Org) -> None:
    """The stamp is the statement's, the visibility the commit's: this is what pollers lose records to."""
    slow = org.begin()
    late = slow.insert("Lead", LastName="Late", Company="c")
    org.clock.advance(3600)
    early = lead(org)
    slow.commit()
    rows = [org.get("Lead", each) for each in (late, early)]
    assert [row["SystemModstamp"] for row in rows if row] == [org.truth[1].stamp, org.truth[0].stamp]
    assert org.truth[1].stamp < org.truth[0].stamp
    assert org.truth[1].committed_at == org.clock.now()


def test_a_transaction_sees_its_own_work(org: Org) -> None:
    """It can change, delete, restore, purge and convert what it has just made."""
    with org.begin() as transaction:
        account = transaction.insert("Account", Name="a")
        contact = transaction.insert("Contact", LastName="c", AccountId=account)
        transaction.delete(account)
        with pytest.raises(ApiError, match="ENTITY_IS_DELETED"):
            transaction.update(contact, LastName="d")
        transaction.undelete(account)
        transaction.update(contact, LastName="d")
        record_id = transaction.insert("Lead", LastName="l", Company="c")
        transaction.convert(record_id)
        assert transaction.restamp("Contact") == 2
        gone = transaction.insert("Lead", LastName="g", Company="c")
        transaction.delete(gone)
        transaction.purge(gone)
        with pytest.raises(ApiError, match="UNDELETE_FAILED"):
            transaction.undelete(gone)
        transaction.hard_delete(gone)
    assert org.get("Lead", gone) is None
    row = org.get("Contact", contact)
    assert row is not None
    assert (row["LastName"], row["IsDeleted"]) == ("d", False)


def test_a_rollback_leaves_nothing_but_used_up_ids(org: Org) -> None:
    """A block that raises rolls back as well."""
    transaction = org.begin()
    lost = transaction.insert("Lead", LastName="l", Company="c")
    transaction.rollback()
    with pytest.raises(ApiError, match="INVALID_FIELD"), org.begin() as another:
        another.insert_many("Lead", [{"LastName": "l", "Company": "c"}, {"Nope": 1}])
    assert org.truth == []
    assert list(org.scan("Lead", deleted=True)) == []
    assert lead(org) > lost
    assert org.storage.oldest_open() is None


def test_a_row_written_by_an_open_transaction_is_locked(org: Org) -> None:
    """UNABLE_TO_LOCK_ROW until it ends; other rows are free, and its own it may write again."""
    record_id, free = lead(org), lead(org)
    transaction = org.begin()
    transaction.update(record_id, LastName="x")
    transaction.update(record_id, LastName="y")
    with pytest.raises(ApiError, match="UNABLE_TO_LOCK_ROW"):
        org.update(record_id, LastName="z")
    with pytest.raises(ApiError, match="UNABLE_TO_LOCK_ROW"):
        org.restamp("Lead")
    org.update(free, LastName="z")
    transaction.rollback()
    org.update(record_id, LastName="z")
    assert [change.fields["LastName"] for change in org.truth[2:]] == ["z", "z"]


def test_a_statement_that_is_refused_has_written_nothing(org: Org) -> None:
    """A merge that meets a lock half-way leaves its other rows alone, and the transaction goes on."""
    winner, loser = lead(org), lead(org)
    task = org.insert("Task", Subject="Call", WhoId=loser)
    holder = org.begin()
    holder.update(task, Subject="Write")
    with org.begin() as transaction:
        with pytest.raises(ApiError, match="UNABLE_TO_LOCK_ROW"):
            transaction.merge(winner, loser)
        transaction.update(winner, LastName="still here")
    assert [change.kind for change in org.truth[3:]] == ["updated"]


def test_an_ended_transaction_does_nothing_more(org: Org) -> None:
    """That would be a mistake in the test."""
    transaction = org.begin()
    transaction.commit()
    with pytest.raises(RuntimeError, match="has ended"):
        transaction.insert("Lead", LastName="l", Company="c")
    with pytest.raises(RuntimeError, match="has ended"):
        transaction.rollback()


def test_a_transaction_is_somebodys_work(org: Org) -> None:
    """LastModifiedById names them."""
    record_id = lead(org)
    with org.begin(by=org.people[2]) as transaction:
        transaction.update(record_id, LastName="x")
    row = org.get("Lead", record_id)
    assert row is not None
    assert (row["CreatedById"], row["LastModifiedById"]) == (org.user, org.people[2])
