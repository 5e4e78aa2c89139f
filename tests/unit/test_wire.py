"""salesforce/wire.py: answers deciphered, and the table of errors by (status, body)."""

import functools
import re
from typing import Any

import orjson
import pytest
from polling_builders import LEAD, OTHER_LEAD, a_window, at

from salesforce_poller.errors import (
    FieldsUnknown,
    LocatorLost,
    ObjectUnknown,
    PollerError,
    Refused,
    ReplicationDateInvalid,
    SessionExpired,
    TooMuch,
    TryLater,
)
from salesforce_poller.salesforce import wire

HTML = b"<html><head><title>We are setting things up</title></head><body>Please wait</body></html>"


def said(code: str, message: str = "some text") -> bytes:
    """Return an error body as Salesforce writes it."""
    return orjson.dumps([{"message": message, "errorCode": code}])


ERRORS: list[tuple[int, bytes, type[PollerError]]] = [
    # The code decides, whatever the status.
    (400, said("INVALID_FIELD", "No such column 'Foo__c' on entity 'Lead'"), FieldsUnknown),
    (400, said("INVALID_TYPE", "sObject type 'XYZZY' is not supported"), ObjectUnknown),
    (404, said("NOT_FOUND", "The requested resource does not exist"), ObjectUnknown),
    (400, said("INVALID_QUERY_LOCATOR"), LocatorLost),
    (404, said("INVALID_QUERY_LOCATOR"), LocatorLost),
    (400, said("INVALID_REPLICATION_DATE"), ReplicationDateInvalid),
    (500, said("INVALID_REPLICATION_DATE"), ReplicationDateInvalid),
    (400, said("EXCEEDED_ID_LIMIT"), TooMuch),
    (400, said("QUERY_TIMEOUT"), TooMuch),
    (500, said("QUERY_TIMEOUT"), TooMuch),
    (400, said("OPERATION_TOO_LARGE"), TooMuch),
    (400, said("REQUEST_RUNNING_TOO_LONG"), TooMuch),
    (400, said("UNABLE_TO_LOCK_ROW"), TryLater),
    (403, said("TXN_SECURITY_METERING_ERROR"), TryLater),
    (403, said("API_CURRENTLY_DISABLED"), TryLater),
    (500, said("UNKNOWN_EXCEPTION"), TryLater),
    (503, said("SERVER_UNAVAILABLE"), TryLater),
    (400, said("MALFORMED_QUERY"), Refused),
    (400, said("MALFORMED_ID"), Refused),
    # A 403 can mean six things.
    (403, said("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), TryLater),
    (403, said("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded"), TryLater),
    (403, said("INSUFFICIENT_ACCESS_OR_READONLY"), Refused),
    (403, said("API_DISABLED_FOR_ORG"), Refused),
    (503, said("API_DISABLED_FOR_ORG"), Refused),
    (403, said("FUNCTIONALITY_NOT_ENABLED"), Refused),
    (403, b"", Refused),
    # Sessions.
    (401, said("INVALID_SESSION_ID", "Session expired or invalid"), SessionExpired),
    (403, said("INVALID_SESSION_ID", "Session expired or invalid"), SessionExpired),
    (401, said("INVALID_AUTH_HEADER"), SessionExpired),
    (401, b"", SessionExpired),
    (401, HTML, SessionExpired),
    (401, said("INVALID_SESSION_ID", "This session is not valid for use with the REST API"), Refused),
    (401, said("INVALID_SESSION_ID", "Connected app is not attached to Agent"), Refused),
    # Where no code helps, the status decides.
    *[(status, body, TryLater) for status in (406, 420, 429, 500, 502, 503, 504) for body in (b"", HTML, b"busy")],
    (404, HTML, ObjectUnknown),
    (410, said("UNSUPPORTED_API_VERSION"), Refused),
    (414, HTML, Refused),
    (431, b"", Refused),
    (302, b"", Refused),
    (400, b"", Refused),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "expected"), ERRORS)
def test_the_table_of_errors(status: int, body: bytes, expected: type[PollerError]) -> None:
    """Each bad answer is the error that says what to do about it, exactly."""
    assert type(wire.error_of(status, {}, body)) is expected
    with pytest.raises(expected):
        wire.decipher(status, {}, body)


ODD_BODIES = [
    b"", b" ", b"\xff\xfe\x00", b"null", b"[]", b"{}", b"[[]]", b"[null]", b"5", b'"text"', b'["text"]', b"[",
    b'[{"err', b'{"message": null, "errorCode": null}', b'[{"errorCode": 5, "message": {"a": 1}}]', b"plain text", HTML,
    b"[" * 100,
]  # fmt: skip


@pytest.mark.parametrize("body", ODD_BODIES)
@pytest.mark.parametrize("status", [300, 400, 401, 403, 404, 418, 500, 503, 599])
def test_no_body_is_too_odd_to_be_an_error_of_ours(status: int, body: bytes) -> None:
    """Empty, truncated, arrays in arrays, objects, numbers, null: proxies and maintenance pages send them all."""
    error = wire.error_of(status, {}, body)
    assert isinstance(error, PollerError)
    assert "\n" not in str(error)
    assert "None" not in str(error)


def test_an_object_instead_of_an_array_is_read_as_well() -> None:
    """OAuth resources answer so."""
    body = orjson.dumps({"errorCode": "INVALID_FIELD", "message": "No such column"})
    assert isinstance(wire.error_of(400, {}, body), FieldsUnknown)
    assert str(wire.error_of(400, {}, b'{"error": "Bad_Request"}')) == "Bad_Request"


def test_the_first_of_several_errors_counts() -> None:
    """The others follow from it."""
    body = orjson.dumps([{"errorCode": "UNABLE_TO_LOCK_ROW", "message": "a"}, {"errorCode": "INVALID_FIELD"}])
    assert isinstance(wire.error_of(400, {}, body), TryLater)


def test_an_error_says_code_text_and_request_on_one_short_line() -> None:
    """What an operator needs to open a case with Salesforce."""
    body = said("UNKNOWN_EXCEPTION", "An unexpected error\n occurred. " + "x" * 1000)
    text = str(wire.error_of(500, {"x-sfdc-request-id": "abc123"}, body))
    assert text.startswith("UNKNOWN_EXCEPTION: An unexpected error occurred. xxx")
    assert text.endswith("… (request abc123)")
    assert len(text) < 400


@pytest.mark.parametrize(
    ("body", "text"),
    [(b"", "HTTP 503"), (HTML, "HTTP 503"), (b"  \n", "HTTP 503"), (b"no upstream", "HTTP 503: no upstream")],
)
def test_html_is_not_repeated_to_people(body: bytes, text: str) -> None:
    """A page of markup says nothing in a log."""
    assert str(wire.error_of(503, {}, body)) == text


def test_refusals_keep_code_and_status() -> None:
    """``check`` explains them."""
    error = wire.error_of(403, {}, said("API_DISABLED_FOR_ORG"))
    assert isinstance(error, Refused)
    assert (error.code, error.status) == ("API_DISABLED_FOR_ORG", 403)


class TestWaiting:
    """How long a passing error asks us to wait."""

    def test_the_daily_limit_rolls_on_slowly(self) -> None:
        """It is counted over 24 hours."""
        error = wire.error_of(403, {}, said("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
        assert isinstance(error, TryLater)
        assert error.retry_after == 900

    def test_the_concurrent_limit_passes_soon(self) -> None:
        """As soon as the requests that hold it are done."""
        error = wire.error_of(403, {}, said("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded"))
        assert isinstance(error, TryLater)
        assert error.retry_after == 20

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [({"retry-after": "30"}, 30), ({}, None), ({"retry-after": "soon"}, None), ({"retry-after": "-1"}, None),
         ({"retry-after": "\xb2"}, None), ({"retry-after": ""}, None)],
    )  # fmt: skip
    def test_the_servers_wish_is_heard_where_it_is_a_number(
        self, header: dict[str, str], seconds: float | None
    ) -> None:
        """Anything else is left to our own patience."""
        error = wire.error_of(503, header, b"")
        assert isinstance(error, TryLater)
        assert error.retry_after == seconds


class TestGoodAnswers:
    """What a 2xx may hold."""

    def test_json_is_returned(self) -> None:
        """Whatever it is."""
        assert wire.decipher(200, {}, b'{"a": [1, null]}') == {"a": [1, None]}

    def test_nothing_is_none(self) -> None:
        """204 has no body."""
        assert wire.decipher(204, {}, b"") is None

    @pytest.mark.parametrize("body", [b'{"records": [', HTML, b"\xff", b"OK"])
    def test_what_is_cut_off_or_no_json_is_a_bad_moment(self, body: bytes) -> None:
        """A broken connection or a proxy's page; the same question will be answered another time."""
        with pytest.raises(TryLater, match="cut off or is not JSON"):
            wire.decipher(200, {}, body)

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
        record = wire.read_record(a_row(IsDeleted=True, MasterRecordId=OTHER_LEAD), WINDOW)
        assert (record.id, record.stamp, record.created) == (LEAD, at("10:00:05"), at("08:00:00"))
        assert (record.deleted, record.merged_into, record.changed_by) == (True, OTHER_LEAD, "0055g000001XyZAAA0")
        assert record.fields == {"Id": LEAD, "Name": "Ann Example", "Owner": {"Name": "Olga"}}

    def test_bookkeeping_that_the_user_asked_for_is_shown(self) -> None:
        """As Salesforce wrote it."""
        record = wire.read_record(a_row(), a_window(visible=("Id", "CreatedDate")))
        assert record.fields == {"Id": LEAD, "CreatedDate": "2026-11-21T08:00:00.000+0000"}

    def test_an_object_without_deletes_or_merges_is_live(self) -> None:
        """OrderItem has no MasterRecordId, history objects no IsDeleted."""
        row = {"Id": LEAD, "CreatedDate": "2026-11-21T08:00:00.000+0000"}
        record = wire.read_record(row, a_window(stamp_field="CreatedDate", visible=("Id",)))
        assert (record.stamp, record.deleted, record.merged_into) == (at("08:00:00"), False, None)

    def test_a_null_parent_stays_null(self) -> None:
        """It is so even where the foreign key is set, when this user cannot read the parent."""
        assert wire.read_record(a_row(Owner=None), WINDOW).fields["Owner"] is None

    def test_done_decides_whether_there_is_another_page(self) -> None:
        """Never the number of rows."""
        last = wire.read_page({"totalSize": 5, "done": True, "records": [a_row()]}, WINDOW)
        more = wire.read_page({"totalSize": 5, "done": False, "records": [], "nextRecordsUrl": "/next"}, WINDOW)
        assert (len(last.records), last.next_url) == (1, None)
        assert (len(more.records), more.next_url) == (0, "/next")

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
        told = wire.read_parts({"compositeResponse": [fine, bad, fine]}, 3)
        assert told[0] == told[2] == {"done": True, "records": []}
        assert isinstance(told[1], FieldsUnknown)

    def test_a_composite_without_all_its_parts_is_a_bad_moment(self) -> None:
        """No feed may take another one's answer for its own."""
        with pytest.raises(TryLater, match="1 parts instead of 2"):
            wire.read_parts({"compositeResponse": [{"httpStatusCode": 200, "body": {}}]}, 2)

    @pytest.mark.parametrize(
        "answer",
        [None, [], {}, 5, "text", {"records": None, "done": True}, {"records": [None], "done": True},
         {"records": [{}], "done": True}, {"records": [{"Id": LEAD}], "done": True}, {"records": []},
         {"records": [], "done": False}, {"records": ["text"], "done": True},
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
        for read in (wire.read_deleted, wire.read_updated, one_part, wire.read_organization_id):
            with pytest.raises(TryLater, match=why):
                read(answer)
