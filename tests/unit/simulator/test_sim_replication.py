"""getUpdated and getDeleted: minutes, ends, look-backs, and how far they dare to speak."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis.strategies import integers, just, lists, one_of, sampled_from, tuples

from salesforce_poller.simulator import replication
from salesforce_poller.simulator.changes import Deletion
from salesforce_poller.simulator.clock import OrgClock
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.routes import replication as routes
from salesforce_poller.simulator.transactions import Transaction
from salesforce_poller.simulator.undocumented import Undocumented

NOW = datetime(2026, 11, 21, 10, 0, 30, tzinfo=UTC)
TEN = NOW.replace(second=0)


def minutes(number: float) -> timedelta:
    """So many minutes."""
    return timedelta(minutes=number)


def rows(*stamps: datetime) -> list[dict[str, Any]]:
    """Rows with these stamps; each row's id is its place."""
    return [{"Id": str(place), "SystemModstamp": stamp} for place, stamp in enumerate(stamps)]


def updated(stamps: Sequence[datetime], start: datetime, end: datetime, **more: Any) -> replication.Updated:
    """Ask getUpdated at half past ten's first minute, with nothing open."""
    return replication.updated(rows(*stamps), start, end, **{"now": NOW, "oldest_open": None, **more})


def deleted(stamps: Sequence[datetime], start: datetime, end: datetime, **more: Any) -> replication.Deleted:
    """Ask getDeleted, likewise."""
    log = [Deletion("Lead", str(place), stamp) for place, stamp in enumerate(stamps)]
    asked = {"now": NOW, "oldest_open": None, "purged_through": None, **more}
    return replication.deleted(log, start, end, **asked)


def test_seconds_are_ignored_and_both_ends_count() -> None:
    """12:30:15 to 12:35:15 is served as 12:30:00 to 12:35:00, inclusive."""
    start, end = TEN - minutes(5) + timedelta(seconds=15), TEN + timedelta(seconds=15)
    edge = [TEN - minutes(5) - timedelta(seconds=1), TEN - minutes(5), TEN, TEN + timedelta(seconds=1)]
    assert updated(edge, start, end).ids == ["1", "2"]
    assert [each.record_id for each in deleted(edge, start, end).records] == ["1", "2"]


def test_latest_date_covered_is_the_end_minute_when_nothing_is_open() -> None:
    """And never beyond the org's own minute, when the end lies in the future."""
    assert updated([], TEN - minutes(9), TEN - minutes(2)).latest_date_covered == TEN - minutes(2)
    assert updated([], TEN - minutes(9), TEN + minutes(30)).latest_date_covered == TEN


def test_latest_date_covered_stands_at_the_start_of_the_oldest_open_transaction() -> None:
    """Even before the asked-for start."""
    began = TEN - minutes(42) + timedelta(seconds=17)
    found = updated([], TEN - minutes(9), TEN, oldest_open=began)
    assert found.latest_date_covered == TEN - minutes(42)
    assert deleted([], TEN - minutes(9), TEN, oldest_open=began).latest_date_covered == TEN - minutes(42)


def test_a_span_that_collapses_to_one_minute_is_refused() -> None:
    """Start must lie before end, once the seconds are gone."""
    with pytest.raises(ApiError, match="INVALID_REPLICATION_DATE"):
        updated([], TEN, TEN + timedelta(seconds=59))


@pytest.mark.parametrize("length", [timedelta(seconds=59), minutes(1), timedelta(seconds=119)])
def test_get_deleted_wants_more_than_a_minute_and_says_it_the_wrong_way_round(length: timedelta) -> None:
    """The message really is reversed."""
    with pytest.raises(ApiError, match="startDate must be at least one minute greater than endDate"):
        deleted([], TEN - minutes(10), TEN - minutes(10) + length)
    deleted([], TEN - minutes(10), TEN - minutes(8))


@pytest.mark.parametrize("ask", [updated, deleted])
def test_thirty_days_is_the_end_of_the_world(ask: Any) -> None:
    """Beyond, there is an error; on the day itself, an answer."""
    ask([], NOW - timedelta(days=30), TEN)
    with pytest.raises(ApiError, match="startDate cannot be more than 30 days ago"):
        ask([], NOW - timedelta(days=30, seconds=1), TEN)


def test_get_deleted_silently_tells_fifteen_days_only() -> None:
    """Only earliestDateAvailable, later than the start, gives it away."""
    old, recent = TEN - timedelta(days=16), TEN - timedelta(days=14)
    found = deleted([old, recent], TEN - timedelta(days=20), TEN)
    assert [each.record_id for each in found.records] == ["1"]
    assert found.earliest_date_available == TEN - timedelta(days=15)


def test_a_purged_delete_log_is_an_error_not_a_silence() -> None:
    """For spans that begin before what was purged."""
    with pytest.raises(ApiError, match="INVALID_REPLICATION_DATE"):
        deleted([], TEN - minutes(30), TEN, purged_through=TEN - minutes(10))
    found = deleted([], TEN - minutes(9), TEN, purged_through=TEN - minutes(10))
    assert found.earliest_date_available == TEN - minutes(10)


def test_too_many_ids_are_an_error() -> None:
    """600,000 for Salesforce; two here."""
    stamps = [TEN] * 3
    for ask in (updated, deleted):
        ask(stamps, TEN - minutes(9), TEN, most=3)
        with pytest.raises(ApiError, match="EXCEEDED_ID_LIMIT"):
            ask(stamps, TEN - minutes(9), TEN, most=2)


@pytest.mark.parametrize("text", [None, "", "yesterday", "2026-11-21T10:00:00"])
def test_an_end_that_is_no_instant_is_refused(text: str | None) -> None:
    """Both parameters are required, with an offset."""
    with pytest.raises(ApiError):
        replication.parse("start", text)


@pytest.mark.parametrize("text", ["2026-11-21T10:00:30Z", "2026-11-21T12:00:30+02:00", "2026-11-21T10:00:30.000+0000"])
def test_every_spelling_of_an_instant_is_read(text: str) -> None:
    """Z, a colon, no colon, milliseconds."""
    assert replication.parse("start", text) == NOW


@settings(max_examples=200, deadline=None)
@given(
    steps=lists(
        one_of(
            tuples(sampled_from(("write", "commit", "rollback")), integers(0, 2)),
            tuples(just("wait"), integers(1, 200)),
            tuples(just("poll"), just(0)),
        ),
        max_size=40,
    )
)
def test_who_goes_on_from_latest_date_covered_misses_nothing(steps: list[tuple[str, int]]) -> None:
    """Whatever is open for however long: this is the promise that makes getUpdated safe."""
    org = Org(clock=OrgClock(NOW, speed=0))
    opened: dict[int, Transaction] = {}
    seen: set[str] = set()
    covered = TEN - minutes(5)

    def poll() -> None:
        nonlocal covered
        now = org.clock.now()
        if replication.minute(covered) < replication.minute(now):
            live = org.scan("Lead", deleted=False)
            found = replication.updated(live, covered, now, now=now, oldest_open=org.storage.oldest_open())
            seen.update(found.ids)
            covered = found.latest_date_covered

    for do, number in steps:
        if do == "wait":
            org.clock.advance(number)
        elif do == "poll":
            poll()
        elif do == "write":
            if number not in opened:
                opened[number] = org.begin()
            opened[number].insert("Lead", LastName="Ito", Company="c")
        elif number in opened:
            transaction = opened.pop(number)
            (transaction.commit if do == "commit" else transaction.rollback)()
    for transaction in opened.values():
        transaction.commit()
    org.clock.advance(60)
    poll()
    assert seen == {change.record_id for change in org.truth}


def span(before: int, after: int = 5) -> dict[str, str]:
    """A span around now as query parameters, in minutes."""
    return {"start": (NOW - minutes(before)).isoformat(), "end": (NOW + minutes(after)).isoformat()}


def lead(org: Org) -> str:
    """A lead."""
    return org.insert("Lead", LastName="Ito", Company="Heron Foods")


async def test_updated_lists_created_changed_and_undeleted_records_once(org: Org, api: httpx.AsyncClient) -> None:
    """Deleted ones are not in it, and neither is what a transaction has not committed."""
    made, gone, back = lead(org), lead(org), lead(org)
    org.update(made, LastName="x")
    org.delete(gone)
    org.delete(back)
    org.undelete(back)
    transaction = org.begin()
    transaction.insert("Lead", LastName="Late", Company="c")
    body = (await api.get("sobjects/Lead/updated/", params=span(5))).json()
    assert sorted(body["ids"]) == sorted([made, back])
    assert body["latestDateCovered"] == "2026-11-21T10:00:00.000+0000"


async def test_deleted_lists_cascades_merge_losers_and_hard_deletes(org: Org, api: httpx.AsyncClient) -> None:
    """Each with its second, and the same shape as the reference."""
    account = org.insert("Account", Name="a")
    contact = org.insert("Contact", LastName="c", AccountId=account)
    winner, loser, hard = lead(org), lead(org), lead(org)
    org.delete(account)
    org.merge(winner, loser)
    org.hard_delete(hard)
    contacts = (await api.get("sobjects/contact/deleted", params=span(5))).json()
    leads = (await api.get("sobjects/Lead/deleted", params=span(5))).json()
    assert contacts == {
        "deletedRecords": [{"id": contact, "deletedDate": "2026-11-21T10:00:30.000+0000"}],
        "earliestDateAvailable": "2026-11-06T10:00:00.000+0000",
        "latestDateCovered": "2026-11-21T10:00:00.000+0000",
    }
    assert [each["id"] for each in leads["deletedRecords"]] == [loser, hard]


async def test_a_record_deleted_twice_over_is_listed_by_its_first_deletion(org: Org, api: httpx.AsyncClient) -> None:
    """Hard-deleting what is in the bin is no second deletion."""
    record_id = lead(org)
    org.delete(record_id)
    org.clock.advance(60)
    org.hard_delete(record_id)
    body = (await api.get("sobjects/Lead/deleted", params=span(5))).json()
    assert [each["deletedDate"] for each in body["deletedRecords"]] == ["2026-11-21T10:00:30.000+0000"]


@pytest.mark.parametrize("listed", [True, False])
def test_whether_an_undeleted_record_is_still_listed_is_a_switch(listed: bool) -> None:
    """Salesforce does not say."""
    org = Org(clock=OrgClock(NOW, speed=0), undocumented=Undocumented(deleted_lists_undeleted=listed))
    record_id = lead(org)
    org.delete(record_id)
    org.undelete(record_id)
    type_ = org.type("Lead")
    assert type_ is not None
    assert bool(routes.deletions(org, type_)) == listed


async def test_hidden_records_are_in_neither_list(org: Org, api: httpx.AsyncClient) -> None:
    """Losing sight of a record looks like nothing at all."""
    live, gone = lead(org), lead(org)
    org.delete(gone)
    org.hide_record(live)
    org.hide_record(gone)
    assert (await api.get("sobjects/Lead/updated", params=span(5))).json()["ids"] == []
    assert (await api.get("sobjects/Lead/deleted", params=span(5))).json()["deletedRecords"] == []


async def test_a_crowded_delete_log_loses_its_oldest_lines_after_two_hours(api: httpx.AsyncClient, org: Org) -> None:
    """And then a span that begins before them is refused: pull everything again."""
    org.storage.capacity = 1
    for record_id in [lead(org), lead(org)]:
        org.delete(record_id)
    assert (await api.get("sobjects/Lead/deleted", params=span(5))).is_success
    org.clock.advance(7200)
    refused = await api.get("sobjects/Lead/deleted", params=span(5, 125))
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_REPLICATION_DATE")


async def test_objects_that_are_not_replicateable_refuse_both(api: httpx.AsyncClient) -> None:
    """LeadStatus has a SystemModstamp and is still not replicateable."""
    for call in ("updated", "deleted"):
        refused = await api.get(f"sobjects/LeadStatus/{call}", params=span(5))
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_TYPE_FOR_OPERATION")
        assert (await api.get(f"sobjects/Nothing/{call}", params=span(5))).status_code == 404
        assert (await api.get(f"sobjects/Lead/{call}")).json()[0]["errorCode"] == "MISSING_ARGUMENT"
