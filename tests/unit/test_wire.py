"""salesforce/wire.py: answers deciphered; bad ones are in test_troubles.py."""

import functools
import json
import re
from typing import Any

import pytest
from polling_builders import LEAD, OTHER_LEAD, a_window, at

from salesforce_poller.errors import FieldsUnknown, TryLater
from salesforce_poller.salesforce import wire

HTML = b"<html><head><title>We are setting things up</title></head><body>Please wait</body></html>"


class TestGoodAnswers:
    """What a 2xx may hold."""

    def test_json_is_returned(self) -> None:
        """Whatever it is."""
        assert wire.decipher(200, {}, b'{"a": [1, null]}') == {"a": [1, None]}

    def test_nothing_is_none(self) -> None:
        """204 has no body."""
        assert wire.decipher(204, {}, b"") is None

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            (b'{"records": [', "the answer was cut off; it is not JSON"),
            (b"\xff", "the answer was cut off"),
            (HTML, "the answer is a web page"),
            (b"", "the answer is empty"),
            (b" ", "the answer is empty"),
        ],
    )
    def test_what_is_no_json_is_a_bad_moment(self, body: bytes, text: str) -> None:
        """A broken connection or a proxy's page; the same question will be answered another time."""
        with pytest.raises(TryLater, match=text) as caught:
            wire.decipher(200, {}, body)
        assert caught.value.facts.trouble == "NOT_JSON"

    def test_numbers_are_passed_on_as_they_are(self) -> None:
        """Currency stays a float, and ``long`` goes beyond 2^53."""
        answer = wire.decipher(200, {}, b"[50000.0, 9007199254740993, 50000]")
        assert [repr(number) for number in answer] == ["50000.0", "9007199254740993", "50000"]


def a_row(**overrides: Any) -> dict[str, Any]:
    """Return a row as queryAll answers it."""
    return {
        "attributes": {"type": "Lead", "url": f"/services/data/v66.0/sobjects/Lead/{LEAD}"},
        "Id": LEAD,
        "Name": "Ann Example",
        "Owner": {"attributes": {"type": "User", "url": "…"}, "Name": "Olga"},
        "SystemModstamp": "2026-11-21T10:00:05.000+0000",
        "CreatedDate": "2026-11-21T08:00:00.000+0000",
        "IsDeleted": False,
        "MasterRecordId": None,
        "LastModifiedById": "0055g000001XyZAAA0",
    } | overrides


WINDOW = a_window(visible=("Id", "Name", "Owner.Name"))


class TestReading:
    """Answers turned into values."""

    def test_a_row_is_a_record(self) -> None:
        """Our bookkeeping beside the user's columns, without ``attributes`` at any depth."""
        (record,) = wire.read_records([a_row(IsDeleted=True, MasterRecordId=OTHER_LEAD)], WINDOW)
        assert (record.id, record.stamp, record.created) == (LEAD, at("10:00:05"), at("08:00:00"))
        assert (record.deleted, record.merged_into, record.changed_by) == (True, OTHER_LEAD, "0055g000001XyZAAA0")
        assert record.fields == {"Id": LEAD, "Name": "Ann Example", "Owner": {"Name": "Olga"}}

    def test_bookkeeping_that_the_user_asked_for_is_shown(self) -> None:
        """As Salesforce wrote it."""
        (record,) = wire.read_records([a_row()], a_window(visible=("Id", "CreatedDate")))
        assert record.fields == {"Id": LEAD, "CreatedDate": "2026-11-21T08:00:00.000+0000"}

    def test_an_object_without_deletes_or_merges_is_live(self) -> None:
        """OrderItem has no MasterRecordId, history objects no IsDeleted."""
        row = {"Id": LEAD, "CreatedDate": "2026-11-21T08:00:00.000+0000"}
        (record,) = wire.read_records([row], a_window(stamp_field="CreatedDate", visible=("Id",)))
        assert (record.stamp, record.deleted, record.merged_into) == (at("08:00:00"), False, None)

    def test_a_null_parent_stays_null(self) -> None:
        """It is so even where the foreign key is set, when this user cannot read the parent."""
        (record,) = wire.read_records([a_row(Owner=None)], WINDOW)
        assert record.fields["Owner"] is None

    def test_done_decides_whether_there_is_another_page(self) -> None:
        """Never the number of rows."""
        last = wire.read_page({"totalSize": 5, "done": True, "records": [a_row()]}, WINDOW)
        more = wire.read_page({"totalSize": 5, "done": False, "records": [], "nextRecordsUrl": "/next"}, WINDOW)
        assert (len(last.records), last.next_url) == (1, None)
        assert (len(more.records), more.next_url) == (0, "/next")

    def test_a_following_page_is_read_as_it_came(self) -> None:
        """The same as the first one, which may have come among other answers."""
        row = a_row(IsDeleted=True, MasterRecordId=OTHER_LEAD, Name='Zoë "Z" Müller')
        answer = {"totalSize": 5, "done": False, "records": [row], "nextRecordsUrl": "/next"}
        page = wire.read_following_page(json.dumps(answer).encode(), WINDOW)
        assert page == wire.read_page(answer, WINDOW)
        assert (len(page.records), page.next_url) == (1, "/next")

    def test_a_following_page_that_is_no_json_is_a_bad_moment(self) -> None:
        """Cut off, empty, a web page."""
        for body, why in (
            (b'{"done": true, "rec', "cut off"),
            (b"", "empty"),
            (b"<html>", "a web page"),
            (b'{"done": false, "records": [], "nextRecordsUrl": "\xff"}', "not JSON"),
            (b'{"a":' + b"[" * 5_000, "not JSON"),
        ):
            with pytest.raises(TryLater, match=why):
                wire.read_following_page(body, WINDOW)

    def test_a_row_that_is_no_row_is_a_bad_moment(self) -> None:
        """Deeper than anybody nests, or not written in UTF-8."""
        for value in (b"[" * 5_000 + b"]" * 5_000, b'"\xff"'):
            row = b'{"Id": "00Q", "SystemModstamp": "2026-11-21T10:00:00.000+0000", "Name": %b}' % value
            with pytest.raises(TryLater):
                wire.read_following_page(b'{"done": true, "records": [%b]}' % row, WINDOW)

    def test_the_delete_log_is_read(self) -> None:
        """Ids with their dates, and how far it reaches either way."""
        log = wire.read_deleted(
            {
                "deletedRecords": [{"id": LEAD, "deletedDate": "2026-11-21T09:12:44.000+0000"}],
                "earliestDateAvailable": "2026-11-11T08:06:00.000+0000",
                "latestDateCovered": "2026-11-21T10:00:00.000+0000",
            }
        )
        assert log.deleted == ((LEAD, at("09:12:44")),)
        assert (log.earliest_available.day, log.latest_covered) == (11, at("10:00:00"))

    def test_what_getupdated_covers_is_read(self) -> None:
        """Its ids are not needed."""
        assert wire.read_updated({"ids": [LEAD], "latestDateCovered": "2026-11-21T09:59:00.000+0000"}) == at("09:59:00")

    def test_the_organisations_id_is_read(self) -> None:
        """From userinfo."""
        assert wire.read_organization_id({"organization_id": "00D5g000008abcdEAA"}) == "00D5g000008abcdEAA"

    def test_the_parts_of_a_composite_have_their_own_statuses(self) -> None:
        """An outer 200 says nothing; an error stands in its answer's place, and takes nobody with it."""
        fine = {"httpStatusCode": 200, "body": {"done": True, "records": []}}
        bad = {"httpStatusCode": 400, "body": [{"errorCode": "INVALID_FIELD", "message": "x"}]}
        parts = [{"referenceId": f"part{n}", **part} for n, part in enumerate([fine, bad, fine])]
        told = wire.read_parts({"compositeResponse": parts}, 3)
        assert told[0] == told[2] == {"done": True, "records": []}
        assert isinstance(told[1], FieldsUnknown)

    def test_the_parts_of_a_composite_are_told_apart_by_their_names(self) -> None:
        """Whatever order they come in."""
        parts = [{"referenceId": f"part{n}", "httpStatusCode": 200, "body": n} for n in (2, 0, 1)]
        assert wire.read_parts({"compositeResponse": parts}, 3) == [0, 1, 2]

    @pytest.mark.parametrize("names", [[None, None], ["part0", "part0"], ["part1", "part2"]])
    def test_a_composite_with_other_parts_than_were_asked_for_is_a_bad_moment(self, names: list[str | None]) -> None:
        """Rows of one object must never be taken for those of another."""
        parts: list[dict[str, object]] = [{"referenceId": name, "httpStatusCode": 200, "body": {}} for name in names]
        with pytest.raises(TryLater, match="not what was asked for"):
            wire.read_parts({"compositeResponse": parts}, 2)

    def test_a_composite_without_all_its_parts_is_a_bad_moment(self) -> None:
        """No feed may take another one's answer for its own."""
        with pytest.raises(TryLater, match="1 parts instead of 2"):
            wire.read_parts({"compositeResponse": [{"httpStatusCode": 200, "body": {}}]}, 2)

    @pytest.mark.parametrize(
        "answer",
        [None, [], {}, 5, "text", {"records": None, "done": True}, {"records": [None], "done": True},
         {"records": [{}], "done": True}, {"records": [{"Id": LEAD}], "done": True}, {"records": []},
         {"records": [], "done": False}, {"records": [], "done": False, "nextRecordsUrl": None},
         {"records": {}, "done": True}, {"records": ["text"], "done": True},
         {"records": [a_row(SystemModstamp=None)], "done": True}, {"records": [a_row(CreatedDate="?")], "done": True},
         {"records": [a_row(SystemModstamp="2026-11-21")], "done": True}, {"compositeResponse": []},
         {"compositeResponse": [{}]}, {"deletedRecords": [{"id": LEAD}]}, {"latestDateCovered": 5}],
    )  # fmt: skip
    def test_an_answer_of_another_shape_is_a_bad_moment(self, answer: Any) -> None:
        """Whoever wrote it, it is not what was asked for; a later answer will be."""
        why = re.escape("the answer is not what was asked for")
        one_part = functools.partial(wire.read_parts, count=1)
        with pytest.raises(TryLater, match=why):
            wire.read_page(answer, WINDOW)
        with pytest.raises(TryLater, match=why):
            wire.read_following_page(json.dumps(answer).encode(), WINDOW)
        for read in (wire.read_deleted, wire.read_updated, one_part, wire.read_organization_id):
            with pytest.raises(TryLater, match=why):
                read(answer)
