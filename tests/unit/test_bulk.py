"""salesforce/bulk.py: a job's CSV becomes REST's values by the types of fields, or nothing at all; never a guess."""

from collections.abc import Mapping
from typing import Any

import pytest
from polling_builders import LEAD, OTHER_LEAD, a_window

from salesforce_poller.errors import (
    BulkRefused,
    FieldsUnknown,
    JobLost,
    LimitReached,
    OrgRefused,
    PollerError,
    TryLater,
)
from salesforce_poller.model import Window
from salesforce_poller.salesforce import bulk, troubles

OWN = {"Id": "id", "SystemModstamp": "datetime"}


def types(**said: str) -> bulk.Types:
    """Return what describe tells of the columns, beside our own."""
    return {name.replace("__", ".", 1): frozenset({kind}) for name, kind in {**OWN, **said}.items()}


def window(*paths: str) -> Window:
    """Return a window that shows these columns."""
    return a_window(select=("Id", *paths, "SystemModstamp"), visible=("Id", *paths))


def results(text: str, rows: int | None = None, locator: str | None = None) -> bulk.Results:
    """Return a page of results."""
    return bulk.Results(text, locator, rows)


def page(columns: str, *rows: str) -> bulk.Results:
    """Return a page of rows, each with an Id in front and a stamp behind."""
    lines = [f'"Id",{columns},"SystemModstamp"'] + [f'"{LEAD}",{row},"2026-11-21T10:00:00.000Z"' for row in rows]
    return results("\n".join(lines) + "\n", len(rows))


def value(kind: str, text: str) -> Any:
    """Return what a cell of a field of this type becomes."""
    [record] = bulk.read_records(page('"Field"', f'"{text}"'), window("Field"), types(Field=kind))
    return record.fields["Field"]


class TestValues:
    """From text to REST's JSON."""

    @pytest.mark.parametrize(
        ("kind", "text", "expected"),
        [
            ("string", "0", "0"),
            ("picklist", "true", "true"),
            ("multipicklist", "A;B", "A;B"),
            ("boolean", "true", True),
            ("boolean", "false", False),
            ("int", "12", 12),
            ("long", "9007199254740993", 9007199254740993),
            ("double", "50000", 50000.0),
            ("currency", "5.0E7", 50000000.0),
            ("percent", "-0.1", -0.1),
            ("date", "1979-02-28", "1979-02-28"),
            ("datetime", "2026-11-21T10:00:00.000Z", "2026-11-21T10:00:00.000+0000"),
            ("reference", OTHER_LEAD, OTHER_LEAD),
        ],
    )
    def test_a_value_is_made_again_by_its_fields_type(self, kind: str, text: str, expected: object) -> None:
        """The same value of the same Python type, so that the JSON is the same."""
        found = value(kind, text)
        assert (found, type(found)) == (expected, type(expected))

    @pytest.mark.parametrize("kind", ["string", "boolean", "int", "double", "date", "datetime", "reference"])
    def test_nothing_is_null(self, kind: str) -> None:
        """REST has no empty texts."""
        assert value(kind, "") is None

    @pytest.mark.parametrize(
        ("kind", "text"),
        [
            ("boolean", "True"),
            ("int", "1.5"),
            ("double", "1,5"),
            ("double", "nan"),
            ("double", "Infinity"),
            ("date", "28.02.1979"),
            ("datetime", "2026-11-21T10:00:00Z"),
            ("datetime", "2026-11-21T10:00:00.000+0100"),
        ],
    )
    def test_a_value_that_is_not_of_its_type_is_not_guessed(self, kind: str, text: str) -> None:
        """REST will know."""
        with pytest.raises(BulkRefused):
            value(kind, text)

    @pytest.mark.parametrize("kind", ["time", "anyType", "datacategorygroupreference", "never heard of"])
    def test_a_type_that_may_look_different_is_not_read_by_a_job(self, kind: str) -> None:
        """Before the job is created, and not while it is read."""
        assert bulk.unfaithful(("Id", "Field"), types(Field=kind)) == ["Field"]

    def test_fields_of_parents_whose_types_do_not_agree_are_not_read_by_a_job(self) -> None:
        """An owner's field may be a number for users and a text for queues; two kinds of text are no difference."""
        mixed = {"Owner.X": frozenset({"double", "string"}), "Owner.Y": frozenset({"email", "string"})}
        assert bulk.unfaithful(("Owner.X", "Owner.Y", "Owner.Unknown"), mixed) == ["Owner.X", "Owner.Unknown"]


class TestRows:
    """Columns to records."""

    def test_parents_are_nested_and_null_where_their_id_is_empty(self) -> None:
        """A parent that is there with an empty field is not the same as none."""
        columns = '"Owner.Name","Account.Owner.Name","Owner.Id","Account.Id","Account.Owner.Id"'
        wanted = window("Owner.Name", "Account.Owner.Name")
        kinds = {**types(), "Owner.Name": frozenset({"string"}), "Account.Owner.Name": frozenset({"string"})}
        rows = ('"Ann","","005","",""', '"","","005","001",""', '"","Bo","","001","005"')
        assert [dict(one.fields) for one in bulk.read_records(page(columns, *rows), wanted, kinds)] == [
            {"Id": LEAD, "Owner": {"Name": "Ann"}, "Account": None},
            {"Id": LEAD, "Owner": {"Name": None}, "Account": {"Owner": None}},
            {"Id": LEAD, "Owner": None, "Account": {"Owner": {"Name": "Bo"}}},
        ]

    def test_columns_are_found_by_their_names(self) -> None:
        """In any order and any letter case; those that were not asked for are passed over."""
        text = f'"SYSTEMMODSTAMP","Email","id","LASTNAME"\n"2026-11-21T10:00:00.000Z","a@b.c","{LEAD}","Ng"\n'
        [record] = bulk.read_records(results(text), window("LastName"), types(LastName="string"))
        assert record.fields == {"Id": LEAD, "LastName": "Ng"}

    def test_a_column_that_is_not_there_needs_a_new_job(self) -> None:
        """A field was added since the job was created."""
        with pytest.raises(JobLost, match="without LastName"):
            bulk.read_records(page('"Email"', '"a@b.c"'), window("LastName"), types(LastName="string"))

    @pytest.mark.parametrize("text", ["", '"Id","LastName","SystemModstamp"\n'])
    def test_no_rows_are_no_rows(self, text: str) -> None:
        """With a header or without one."""
        assert bulk.read_records(results(text, 0), window("LastName"), types(LastName="string")) == []

    @pytest.mark.parametrize(
        "text",
        [
            f'"Id"\n"{LEAD}"\n',
            f'"Id","LastName"\n"{LEAD}"\n"{LEAD}","Ng"\n',
            f'"Id","LastName"\n"{LEAD}","Ng"\n"{LEAD}","N',
        ],
        ids=["a row less", "a cell less", "in the middle of a cell"],
    )
    def test_a_page_that_was_cut_off_is_asked_for_again(self, text: str) -> None:
        """Rows that are missing at its end would be lost for good."""
        with pytest.raises(TryLater, match="cut off"):
            bulk.read_ids(results(text, 2))


class TestQuestions:
    """What a job is asked."""

    def test_a_query_has_the_ids_of_parents_and_no_order(self) -> None:
        """Which tell whether a parent is null; and ordering costs."""
        query = bulk.query(window("Owner.Name", "Account.Owner.Name"))
        assert query.startswith(
            "SELECT Id, Owner.Name, Account.Owner.Name, SystemModstamp, Owner.Id, Account.Id, Account.Owner.Id FROM"
        )
        assert "ORDER BY" not in query

    def test_deleted_records_are_asked_for(self) -> None:
        """As REST's queryAll has them."""
        assert bulk.body("SELECT Id FROM Lead")["operation"] == "queryAll"


class TestAnswers:
    """What a job says."""

    @pytest.mark.parametrize(
        ("state", "expected"),
        [
            ("UploadComplete", bulk.State.RUNNING),
            ("InProgress", bulk.State.RUNNING),
            ("SomethingNew", bulk.State.RUNNING),
            ("JobComplete", bulk.State.COMPLETE),
            ("Failed", bulk.State.LOST),
            ("Aborted", bulk.State.LOST),
        ],
    )
    def test_states(self, state: str, expected: bulk.State) -> None:
        """What is not known is waited for."""
        assert bulk.read_job({"state": state}).state is expected

    def test_a_failed_job_says_why(self) -> None:
        """In Salesforce's words."""
        assert bulk.read_job({"state": "Failed", "errorMessage": "too much"}).why == "Failed: too much"

    @pytest.mark.parametrize(("said", "locator"), [("null", None), ("", None), ("MTAwMDA", "MTAwMDA")])
    def test_the_last_page_says_null_as_a_text(self, said: str, locator: str | None) -> None:
        """Whoever takes it for a locator reads for ever."""
        headers = {"sforce-locator": said, "sforce-numberofrecords": "3"}
        assert bulk.read_results(200, headers, "﻿Zoë".encode()) == bulk.Results("Zoë", locator, 3)

    def test_results_that_are_not_there_yet_are_waited_for(self) -> None:
        """204 is not an empty result."""
        with pytest.raises(TryLater, match="not there yet"):
            bulk.read_results(204, {}, b"")

    def test_an_answer_of_another_shape_is_a_bad_moment(self) -> None:
        """A proxy, not a defect of ours."""
        with pytest.raises(TryLater):
            bulk.read_job({"nothing": "of a job"})


def an_error(status: int, code: str, message: str = "told") -> PollerError:
    """Return the error of an answer."""
    headers: Mapping[str, str] = {}
    return troubles.rest_error(status, headers, f'[{{"errorCode":"{code}","message":"{message}"}}]'.encode())


class TestErrors:
    """What they mean here."""

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (400, "INVALIDENTITY"),
            (400, "API_ERROR"),
            (400, "LIMIT_EXCEEDED"),
            (400, "MALFORMED_QUERY"),
            (403, "FUNCTIONALITY_NOT_ENABLED"),
            (403, "INSUFFICIENT_ACCESS"),
            (404, "NOT_FOUND"),
        ],
    )
    def test_a_refused_job_is_left_to_rest(self, status: int, code: str) -> None:
        """Which says the same if it is not about Bulk."""
        assert isinstance(bulk.of_creation(an_error(status, code)), BulkRefused)

    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [
            (500, "API_ERROR", TryLater),
            (503, "SERVER_UNAVAILABLE", TryLater),
            (403, "REQUEST_LIMIT_EXCEEDED", LimitReached),
            (400, "INVALID_FIELD", FieldsUnknown),
            (403, "API_DISABLED_FOR_ORG", OrgRefused),
        ],
    )
    def test_other_errors_keep_their_meaning(self, status: int, code: str, kind: type[PollerError]) -> None:
        """REST would be asked in vain."""
        error = bulk.of_creation(an_error(status, code))
        assert isinstance(error, kind)
        assert not isinstance(error, BulkRefused)

    def test_only_what_is_gone_is_lost(self) -> None:
        """A bad moment costs no job."""
        lost = [an_error(404, "NOT_FOUND"), an_error(409, "CONFLICT"), an_error(400, "INVALID_QUERY_LOCATOR")]
        assert [type(bulk.of_reading(error)) for error in lost] == [JobLost] * 3
        assert not isinstance(bulk.of_reading(an_error(503, "SERVER_UNAVAILABLE")), JobLost)
