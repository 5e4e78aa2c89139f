"""polling/events.py: changes turned into events, each with an id of its own."""

from dataclasses import replace
from datetime import timedelta

import pytest
from polling_builders import LEAD, OTHER_LEAD, a_lead, a_record, a_sighting, at

from salesforce_poller.model import Event, Gap, Kind, Record, Sighting
from salesforce_poller.polling import events
from salesforce_poller.polling.diff import Change

ORIGIN = events.Origin("acme", "00D5g000008abcdEAA", "Lead")
NOW = at("10:00:12")
UPDATE = Change(Kind.UPDATED, at("10:00:05"), ("Status",))


def told(change: Change = UPDATE, record: Record | None = None, sighting: Sighting | None = None) -> Event:
    """Return the event of a change."""
    return events.of_record(ORIGIN, change, record or a_record(), sighting, NOW)


class TestContent:
    """What an event says."""

    def test_an_update_says_what_changed_from_what(self) -> None:
        """Nested like the record."""
        event = told(UPDATE.but(changed=("Status", "Owner.Name")), sighting=a_sighting(fields={"Status": "New"}))
        assert (event.org, event.source, event.object) == ("acme", "urn:salesforce:00D5g000008abcdEAA", "Lead")
        assert (event.record_id, event.key, event.kind) == (LEAD, LEAD, Kind.UPDATED)
        assert (event.time, event.observed_at) == (at("10:00:05"), NOW)
        assert event.record == a_lead()
        assert event.changed == ("Status", "Owner.Name")
        assert event.previous == {"Status": "New", "Owner": {"Name": "Olga"}}
        assert event.changed_by == "0055g000001XyZAAA0"
        assert event.merged_into is None

    @pytest.mark.parametrize("sighting", [None, a_sighting(deleted=True, fields=None)])
    def test_what_is_not_known_is_null(self, sighting: Sighting | None) -> None:
        """Both changed and previous: an empty list would say that nothing changed."""
        event = told(Change(Kind.UPDATED, at("10:00:05")), sighting=sighting)
        assert (event.changed, event.previous) == (None, None)

    def test_nothing_changed_is_not_the_same_as_not_known(self) -> None:
        """``unchanged = true`` tells of new stamps."""
        event = told(Change(Kind.UPDATED, at("10:00:05"), ()), sighting=a_sighting())
        assert (event.changed, event.previous) == ((), {})

    def test_only_a_merge_names_a_survivor(self) -> None:
        """A created event of the same row does not."""
        row = a_record(deleted=True, merged_into=OTHER_LEAD)
        assert told(Change(Kind.MERGED, at("10:00:05")), row).merged_into == OTHER_LEAD
        assert told(Change(Kind.CREATED, at("10:00:01")), row).merged_into is None

    def test_a_vanished_record_has_its_last_known_state(self) -> None:
        """Or none, when it was never seen."""
        change = Change(Kind.DELETED, at("10:00:09"))
        event = events.of_vanished(ORIGIN, change, LEAD, a_sighting(), NOW)
        assert (event.kind, event.record_id, event.time, event.record) == (Kind.DELETED, LEAD, at("10:00:09"), a_lead())
        assert events.of_vanished(ORIGIN, change, LEAD, None, NOW).record is None

    def test_a_gap_is_about_the_feed(self) -> None:
        """It has no record; its key is the object."""
        gap = Gap("deletions", at("08:00:00"), at("09:00:00"), "the delete log was purged")
        event = events.of_gap(ORIGIN, gap, NOW)
        assert (event.kind, event.record_id, event.key, event.gap) == (Kind.GAP, None, "Lead", gap)
        assert event.time == at("09:00:00")


class TestIds:
    """Consumers deduplicate on them."""

    def test_the_same_change_read_later_has_the_same_id(self) -> None:
        """When we read it is not part of the change."""
        later = events.of_record(ORIGIN, UPDATE, a_record(), a_sighting(), NOW + timedelta(hours=1))
        assert later.id == told(sighting=a_sighting()).id

    def test_the_name_of_the_org_in_the_configuration_does_not_count(self) -> None:
        """It may be renamed; the organisation's id is what it is."""
        renamed = replace(ORIGIN, org="acme-production")
        assert events.of_record(renamed, UPDATE, a_record(), None, NOW).id == told().id

    @pytest.mark.parametrize(
        "other",
        [
            told(UPDATE.but(kind=Kind.UNDELETED)),
            told(UPDATE.but(time=at("10:00:06"))),
            told(record=a_record(id=OTHER_LEAD)),
            told(record=a_record(fields={"Status": "Working"})),
            told(sighting=a_sighting()),
            events.of_record(replace(ORIGIN, organization_id="00D5g000008abceEAA"), UPDATE, a_record(), None, NOW),
            events.of_vanished(ORIGIN, UPDATE, LEAD, None, NOW),
        ],
        ids=["kind", "stamp", "record", "content", "seen in that second before", "organisation", "vanished"],
    )
    def test_everything_else_counts(self, other: Event) -> None:
        """Each alone makes another change."""
        assert other.id != told().id

    def test_ids_of_one_time_lie_beside_each_other(self) -> None:
        """They begin with the stamp's seconds, which keeps every index of them small at its busy end."""
        others = [told(record=a_record(id=OTHER_LEAD)), told(record=a_record(fields={"Status": "Working"}))]
        assert {each.id[:8] for each in [told(), *others]} == {f"{int(at('10:00:05').timestamp()):08x}"}
        assert told(UPDATE.but(time=at("10:00:06"))).id > max(each.id for each in [told(), *others])

    @pytest.mark.parametrize("year", [1601, 1969, 2107, 9999])
    def test_any_stamp_makes_an_id_of_32_digits(self, year: int) -> None:
        """Also one that eight digits do not hold."""
        assert len(told(UPDATE.but(time=UPDATE.time.replace(year=year))).id) == 32

    def test_gaps_differ_by_what_they_miss(self) -> None:
        """And by object; the same gap told again is the same."""
        gap = Gap("deletions", at("08:00:00"), at("09:00:00"), "why")
        again = events.of_gap(ORIGIN, replace(gap, why="another reason"), NOW + timedelta(hours=1))
        assert again.id == events.of_gap(ORIGIN, gap, NOW).id
        others = [
            events.of_gap(ORIGIN, replace(gap, since=at("07:00:00")), NOW),
            events.of_gap(ORIGIN, replace(gap, until=at("09:30:00")), NOW),
            events.of_gap(replace(ORIGIN, object="Account"), gap, NOW),
        ]
        assert len({again.id, *(event.id for event in others)}) == 4
