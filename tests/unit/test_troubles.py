"""salesforce/troubles.py: what each bad answer means, in which words it is told, and what its facts are."""

import orjson
import pytest

from salesforce_poller.errors import (
    Action,
    FieldsUnknown,
    LimitReached,
    LocatorLost,
    LoginRefused,
    ObjectUnknown,
    OrgRefused,
    PollerError,
    Refused,
    ReplicationDateInvalid,
    Scope,
    SessionExpired,
    TooMuch,
    TryLater,
)
from salesforce_poller.salesforce import auth, trouble_table, troubles, wire

HTML = b"<html><head><title>We are setting things up</title></head><body>Please wait</body></html>"
ROWS = (*trouble_table.REST, *trouble_table.LOGIN, *trouble_table.OURS)


def said(code: str, message: str = "some text") -> bytes:
    """Return an error body as Salesforce writes it."""
    return orjson.dumps([{"message": message, "errorCode": code}])


ERRORS: list[tuple[int, bytes, type[PollerError]]] = [
    # The code decides, whatever the status.
    (400, said("INVALID_FIELD", "No such column 'Foo__c' on entity 'Lead'"), FieldsUnknown),
    (400, said("INVALID_TYPE", "sObject type 'XYZZY' is not supported"), ObjectUnknown),
    (404, said("NOT_FOUND", "The requested resource does not exist"), ObjectUnknown),
    (403, b"Bad_OAuth_Token", SessionExpired),
    (400, said("INVALID_QUERY_LOCATOR"), LocatorLost),
    (404, said("INVALID_QUERY_LOCATOR"), LocatorLost),
    (400, said("INVALID_REPLICATION_DATE"), ReplicationDateInvalid),
    (500, said("INVALID_REPLICATION_DATE"), ReplicationDateInvalid),
    (400, said("EXCEEDED_ID_LIMIT"), TooMuch),
    (400, said("QUERY_TIMEOUT"), TooMuch),
    (500, said("QUERY_TIMEOUT"), TooMuch),
    (400, said("OPERATION_TOO_LARGE"), TooMuch),
    (400, said("REQUEST_RUNNING_TOO_LONG"), TooMuch),
    (400, said("LIMIT_EXCEEDED"), TooMuch),
    (400, said("UNABLE_TO_LOCK_ROW"), TryLater),
    (403, said("TXN_SECURITY_METERING_ERROR"), TryLater),
    (403, said("API_CURRENTLY_DISABLED"), TryLater),
    (403, said("API_CURRENTLY_DISABLED", "API is disabled for this User"), OrgRefused),
    (500, said("UNKNOWN_EXCEPTION"), TryLater),
    (503, said("SERVER_UNAVAILABLE"), TryLater),
    (400, said("MALFORMED_QUERY"), Refused),
    (400, said("MALFORMED_ID"), Refused),
    # A 403 can mean six things.
    (403, said("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), LimitReached),
    (403, said("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded"), LimitReached),
    (403, said("INSUFFICIENT_ACCESS_OR_READONLY"), Refused),
    (403, said("API_DISABLED_FOR_ORG"), OrgRefused),
    (503, said("API_DISABLED_FOR_ORG"), OrgRefused),
    (403, said("FUNCTIONALITY_NOT_ENABLED"), Refused),
    (403, b"", Refused),
    # Sessions.
    (401, said("INVALID_SESSION_ID", "Session expired or invalid"), SessionExpired),
    (403, said("INVALID_SESSION_ID", "Session expired or invalid"), SessionExpired),
    (401, said("INVALID_AUTH_HEADER"), SessionExpired),
    (401, b"", SessionExpired),
    (401, HTML, SessionExpired),
    (401, said("INVALID_SESSION_ID", "This session is not valid for use with the REST API"), OrgRefused),
    (401, said("INVALID_SESSION_ID", "Connected app is not attached to Agent"), OrgRefused),
    # Where no code helps, the status decides.
    *[(status, body, TryLater) for status in (406, 420, 500, 502, 503, 504, 599) for body in (b"", HTML, b"busy")],
    (429, b"", LimitReached),
    (429, HTML, LimitReached),
    (404, HTML, ObjectUnknown),
    (410, said("UNSUPPORTED_API_VERSION"), OrgRefused),
    (410, b"", OrgRefused),
    (413, HTML, TooMuch),
    (414, HTML, Refused),
    (431, b"", Refused),
    (302, b"", TryLater),
    (304, b"", Refused),
    (418, said("NEW_CODE"), Refused),
    (500, said("NEW_CODE"), TryLater),
    (400, b"", Refused),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "expected"), ERRORS)
def test_the_table_of_errors(status: int, body: bytes, expected: type[PollerError]) -> None:
    """Each bad answer is the error that says what to do about it, exactly."""
    assert type(troubles.rest_error(status, {}, body)) is expected
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
    error = troubles.rest_error(status, {}, body)
    assert isinstance(error, PollerError)
    assert "\n" not in str(error)
    assert "None" not in str(error)


def test_an_object_instead_of_an_array_is_read_as_well() -> None:
    """OAuth resources answer so."""
    body = orjson.dumps({"errorCode": "INVALID_FIELD", "message": "No such column"})
    assert isinstance(troubles.rest_error(400, {}, body), FieldsUnknown)
    assert str(troubles.rest_error(400, {}, b'{"error": "Bad_Request"}')) == "Bad_Request"


def test_the_first_of_several_errors_counts() -> None:
    """The others follow from it."""
    body = orjson.dumps([{"errorCode": "UNABLE_TO_LOCK_ROW", "message": "a"}, {"errorCode": "INVALID_FIELD"}])
    assert isinstance(troubles.rest_error(400, {}, body), TryLater)


def test_an_error_says_code_text_and_request_on_one_short_line() -> None:
    """What an operator needs to open a case with Salesforce."""
    body = said("UNKNOWN_EXCEPTION", "An unexpected error\n occurred. " + "x" * 1000)
    text = str(troubles.rest_error(500, {"x-sfdc-request-id": "abc123"}, body))
    assert text.startswith("UNKNOWN_EXCEPTION: An unexpected error occurred. xxx")
    assert text.endswith("… (request abc123)")
    assert len(text) < 400


@pytest.mark.parametrize(
    ("body", "text"),
    [(b"", "HTTP 503"), (HTML, "HTTP 503"), (b"  \n", "HTTP 503"), (b"no upstream", "HTTP 503: no upstream")],
)
def test_html_is_not_repeated_to_people(body: bytes, text: str) -> None:
    """A page of markup says nothing in a log."""
    assert str(troubles.rest_error(503, {}, body)) == text


def test_refusals_keep_code_and_status() -> None:
    """``check`` explains them."""
    error = troubles.rest_error(403, {}, said("API_DISABLED_FOR_ORG"))
    assert isinstance(error, Refused)
    assert (error.code, error.status) == ("API_DISABLED_FOR_ORG", 403)


class TestWaiting:
    """How long a passing error asks us to wait."""

    def test_the_daily_limit_rolls_on_slowly(self) -> None:
        """It is counted over 24 hours."""
        error = troubles.rest_error(403, {}, said("REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
        assert isinstance(error, TryLater)
        assert error.retry_after == 900

    def test_the_concurrent_limit_passes_soon(self) -> None:
        """As soon as the requests that hold it are done."""
        error = troubles.rest_error(403, {}, said("REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded"))
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
        error = troubles.rest_error(503, header, b"")
        assert isinstance(error, TryLater)
        assert error.retry_after == seconds


class TestTheTable:
    """What must be true of every row."""

    def test_each_row_has_a_name_of_its_own(self) -> None:
        """The store keeps names."""
        assert len({row.name for row in ROWS}) == len(ROWS)
        assert all(troubles.named(row.name) is row for row in ROWS)
        assert troubles.named("") is None

    @pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
    def test_each_row_tells_what_happened_and_what_to_do(self, row: trouble_table.Trouble) -> None:
        """With a page of Salesforce's own, where it is about Salesforce."""
        assert row.means
        assert row.advice
        assert row.name in {"DEFECT", "SECRET_KEY", "START_IN_FUTURE"} or row.help_url.startswith(
            ("https://developer.salesforce.com/docs/", "https://help.salesforce.com/s/")
        )
        assert all(piece == piece.lower() for piece in row.pieces)

    @pytest.mark.parametrize("rows", [trouble_table.REST, trouble_table.LOGIN], ids=["rest", "login"])
    def test_each_row_can_be_reached(self, rows: tuple[trouble_table.Trouble, ...]) -> None:
        """None is hidden by one above it; and the last one takes whatever is left."""
        for row in rows:
            code, status = next(iter(row.codes), "NEW"), next(iter(reversed(row.statuses)), 418)
            message = next(iter(row.pieces), "")
            assert next(one for one in rows if one.fits(status, code, message)) is row

    @pytest.mark.parametrize("row", trouble_table.LOGIN, ids=lambda row: row.name)
    def test_each_refused_login_is_about_the_whole_org(self, row: trouble_table.Trouble) -> None:
        """No feed of it can go on."""
        assert row.scope is Scope.ORG

    @pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
    def test_an_org_stops_only_for_what_is_about_the_org(self, row: trouble_table.Trouble) -> None:
        """And a feed is paused only for what is about the feed: the others go on."""
        assert row.scope is Scope.ORG or row.action is not Action.STOP_ORG
        assert row.scope is Scope.FEED or row.action is not Action.PAUSE_FEED


class TestFacts:
    """What an error carries beside its line."""

    def test_everything_that_is_known_travels_with_the_error(self) -> None:
        """For the log, for ``status``, for ``/readyz``."""
        facts = troubles.rest_error(
            403, {"x-sfdc-request-id": "abc123"}, said("API_DISABLED_FOR_ORG", "The REST API is not enabled")
        ).facts
        assert (facts.trouble, facts.code, facts.status) == ("API_DISABLED_FOR_ORG", "API_DISABLED_FOR_ORG", 403)
        assert (facts.said, facts.request_id) == ("The REST API is not enabled", "abc123")
        assert (facts.action, facts.scope) == (Action.STOP_ORG, Scope.ORG)
        assert "Professional Edition" in facts.advice
        assert facts.help_url == trouble_table.EDITIONS

    def test_foreign_text_is_capped_everywhere(self) -> None:
        """A body is not a log."""
        body = orjson.dumps([{"errorCode": "X" * 5000, "message": "y\n" * 5000}])
        error = troubles.rest_error(400, {"x-sfdc-request-id": "z" * 5000}, body)
        facts = error.facts
        assert max(len(facts.code), len(facts.said), len(facts.request_id)) <= 300
        assert len(str(error)) < 500
        assert "\n" not in str(error) + facts.said

    def test_a_session_is_never_repeated(self) -> None:
        """Not even where Salesforce, or a proxy, repeats what it was sent."""
        token = "00D5g000008abcd!AQEAQ.secret_x"
        for body in (said("INVALID_AUTH_HEADER", f"Bearer {token}, bad"), f"no: {token}".encode(), said(token)):
            error = troubles.rest_error(403, {}, body)
            assert "secret" not in f"{error} {error.facts}"
            assert "00D5g000008abcd!…" in str(error)

    def test_an_enormous_error_page_is_not_searched_to_its_end(self) -> None:
        """Nobody explains a refusal in a megabyte; the status decides."""
        body = said("INVALID_FIELD", "x" * 1_000_000)
        assert type(troubles.rest_error(503, {}, body)) is TryLater

    def test_an_explanation_ends_with_what_to_do(self) -> None:
        """One line for ``check``."""
        told = troubles.rest_error(403, {}, said("API_DISABLED_FOR_ORG", "Not enabled.")).explained()
        assert told.startswith("API_DISABLED_FOR_ORG: Not enabled. What to do: the API comes with")
        assert told.endswith(f"See {trouble_table.EDITIONS}")
        assert "\n" not in told

    def test_what_nobody_advises_on_is_told_as_it_is(self) -> None:
        """Errors of our own have their advice in their text."""
        assert TryLater("cannot reach acme").explained() == "cannot reach acme"

    @pytest.mark.parametrize("row", trouble_table.OURS, ids=lambda row: row.name)
    def test_what_we_find_out_ourselves_has_rows_too(self, row: trouble_table.Trouble) -> None:
        """By name."""
        facts = troubles.our_facts(row.name)
        assert (facts.trouble, facts.advice, facts.action, facts.said) == (row.name, row.advice, row.action, "")


@pytest.mark.parametrize("body", [b"", b"<html>Down for maintenance</html>", b'{"error":"who_knows"}'])
def test_a_login_page_that_is_down_is_not_blamed_on_the_configuration(body: bytes) -> None:
    """A 5xx passes by itself; it is asked again when it says, and its request has a name."""
    headers = {"retry-after": "77", "x-sfdc-request-id": "R1"}
    with pytest.raises(TryLater) as caught:
        auth.read_token(503, body, headers)
    assert (caught.value.facts.trouble, caught.value.facts.request_id) == ("LOGIN_5XX", "R1")
    assert caught.value.retry_after == 77


def test_a_login_that_is_refused_is_a_refusal_of_the_org() -> None:
    """So that every feed of it rests."""
    error = troubles.login_error(400, {}, b'{"error": "invalid_grant", "error_description": "authentication failure"}')
    assert type(error) is LoginRefused
    assert isinstance(error, OrgRefused)
    assert str(error) == "login refused: invalid_grant: authentication failure"
    assert error.facts.trouble == "LOGIN_AUTHENTICATION"
