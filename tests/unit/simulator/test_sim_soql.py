"""SOQL, read and checked: what a query says, and how Salesforce complains about one it does not understand."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from salesforce_poller.simulator import query, soql
from salesforce_poller.simulator.catalogue import ObjectType, catalogue
from salesforce_poller.simulator.soql_tree import Comparison, Every, Name, Negation, Query, RelativeDate, Some

OBJECTS = {name.lower(): each for name, each in catalogue().items()}


class Bare:
    """An org without a single record, where the e-mail addresses of leads are secret."""

    def type(self, name: str) -> ObjectType | None:
        return OBJECTS.get(name.lower())

    def scan(self, object_name: str, *, deleted: bool) -> Iterable[Mapping[str, Any]]:
        return ()

    def get(self, object_name: str, record_id: str) -> Mapping[str, Any] | None:
        return None

    def hidden(self, object_name: str) -> frozenset[str]:
        return frozenset({"Email"}) if object_name == "Lead" else frozenset()


def refusal(text: str) -> query.SoqlError:
    """How this query is refused."""
    with pytest.raises(query.SoqlError) as caught:
        query.plan(text, Bare())
    assert caught.value.status == 400
    return caught.value


def value_of(literal: str) -> Any:
    """What a literal in WHERE means."""
    where = soql.parse(f"SELECT Id FROM Lead WHERE X = {literal}").where
    assert isinstance(where, Comparison)
    return where.values[0].value


# ------------------------------------------------------------------------------------------ reading


def test_all_clauses_are_read_whatever_their_case() -> None:
    """Keywords are keywords in any case, and lines may break anywhere."""
    asked = soql.parse(
        "select Id, Owner . Name\nfrom Lead where (Status = 'a' or Status = 'b') And (not IsDeleted = TRUE)\n"
        "order\nby SystemModstamp desc nulls last, Id limit 10 offset 5"
    )
    assert asked.select == (Name("Id", 7), Name("Owner.Name", 11))
    assert isinstance(asked.where, Every)
    assert isinstance(asked.where.conditions[0], Some)
    assert isinstance(asked.where.conditions[1], Negation)
    assert [(each.name.text, each.descending, each.nulls_last) for each in asked.order] == [
        ("SystemModstamp", True, True),
        ("Id", False, False),
    ]
    assert (asked.object.text, asked.limit, asked.offset, asked.count) == ("Lead", 10, 5, False)


def test_words_are_keywords_only_where_a_keyword_can_stand() -> None:
    """Order and Group are objects, Type and Count could be fields."""
    assert soql.parse("SELECT Type, Count, Fields FROM Order ORDER BY Type").object.text == "Order"
    assert soql.parse("SELECT Id FROM Group WHERE Type = 'Queue'").object.text == "Group"
    assert soql.parse("SELECT COUNT() FROM Group").count


def test_a_subquery_is_a_query_over_a_relationship() -> None:
    """With its own WHERE, ORDER BY and LIMIT."""
    asked = soql.parse("SELECT Id, (SELECT Id FROM Tasks WHERE IsClosed = false ORDER BY Id LIMIT 2) FROM Lead")
    child = asked.select[1]
    assert isinstance(child, Query)
    assert (child.object.text, child.limit, len(child.order)) == ("Tasks", 2, 1)


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("'it\\'s \\\"5\\\\6\\\"\\n'", 'it\'s "5\\6"\n'),
        ("''", ""),
        ("null", None),
        ("TRUE", True),
        ("-5", -5),
        ("1.5e3", 1500.0),
        ("2026-11-21", date(2026, 11, 21)),
        ("2026-11-21T10:00:00Z", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("2026-11-21T10:00:00.999Z", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("2026-11-21t10:00:00z", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        ("2026-11-21T10:00:00+05:30", datetime(2026, 11, 21, 4, 30, tzinfo=UTC)),
        ("2026-11-21T10:00:00.000-0800", datetime(2026, 11, 21, 18, tzinfo=UTC)),
        ("today", RelativeDate("TODAY", 1)),
        ("LAST_N_DAYS:7", RelativeDate("LAST_N_DAYS", 7)),
    ],
)
def test_literals_mean_what_they_say(literal: str, value: Any) -> None:
    """Date-times are in UTC and in whole seconds, because stamps are."""
    assert value_of(literal) == value


@pytest.mark.parametrize("operator", ["=", "!=", "<>", "<", "<=", ">", ">="])
def test_comparisons_are_read(operator: str) -> None:
    """<> is another way to write !=."""
    where = soql.parse(f"SELECT Id FROM Lead WHERE X{operator}5").where
    assert isinstance(where, Comparison)
    assert where.operator == {"<>": "!="}.get(operator, operator)


@pytest.mark.parametrize("operator", ["IN", "not  in", "Includes", "EXCLUDES"])
def test_memberships_are_read(operator: str) -> None:
    """With or without a blank before the parenthesis."""
    for blank in ("", " "):
        where = soql.parse(f"SELECT Id FROM Lead WHERE X {operator}{blank}('a', 'b')").where
        assert isinstance(where, Comparison)
        assert where.operator == " ".join(operator.upper().split())
        assert [each.value for each in where.values] == ["a", "b"]


# ------------------------------------------------------------------------------------------ complaints


def test_the_caret_points_at_the_culprit() -> None:
    """The message text a real org sent, to the character."""
    error = refusal("select count() from XYZZY")
    assert error.code == "INVALID_TYPE"
    assert error.message == (
        "\nselect count() from XYZZY\n                    ^\nERROR at Row:1:Column:21\n"
        "sObject type 'XYZZY' is not supported. If you are attempting to use a custom object, be sure to append the "
        "'__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."
    )


def test_rows_and_columns_count_from_one_and_long_lines_are_cut() -> None:
    """Forty characters on either side are shown."""
    many = "Company = 'x' OR " * 20
    error = refusal(f"SELECT Id\nFROM Lead WHERE {many}Foo__c = 'y' OR {many}Id = null")
    _, excerpt, caret, where, _ = error.message.split("\n")
    assert len(excerpt) == 80
    assert excerpt[len(caret) - 1 :].startswith("Foo__c = 'y'")
    assert where == f"ERROR at Row:2:Column:{len('FROM Lead WHERE ') + len(many) + 1}"


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("SELECT Id FROM Lead WHERE", 26, "unexpected token: '<EOF>'"),
        ("SELECT FROM Lead", 8, "unexpected token: 'FROM'"),
        ("SELECT * FROM Lead", 8, "unexpected token: '*'"),
        ("SELECT Id, FROM Lead", 12, "unexpected token: 'FROM'"),
        ("SELECT Id Name FROM Lead", 11, "unexpected token: 'Name'"),
        ("SELECT Id FROM Lead WHERE X = 1 AND Y = 2 OR Z = 3", 43, "unexpected token: 'OR'"),
        ("SELECT Id FROM Lead WHERE X = 1 AND NOT Y = 2", 37, "unexpected token: 'NOT'"),
        ("SELECT Id FROM Lead WHERE X IS NULL", 29, "unexpected token: 'IS'"),
        ("SELECT Id FROM Lead WHERE X = foo", 31, "unexpected token: 'foo'"),
        ("SELECT Id FROM Lead WHERE X = :y", 31, "Bind variables only allowed in Apex code"),
        ("SELECT Id FROM Lead WHERE X = 2026-02-30", 31, "Invalid date: 2026-02-30"),
        ("SELECT Id FROM Lead WHERE X = 1699-12-31T00:00:00Z", 31, "Invalid date: 1699-12-31T00:00:00Z"),
        ("SELECT Id FROM Lead WHERE X = 2026-11-21T10:00:00 00:00", 35, "unexpected token: '-11'"),
        ("SELECT Id FROM Lead LIMIT ten", 27, "unexpected token: 'ten'"),
        ("SELECT Id FROM Lead GROUP BY Id", 21, "unexpected token: 'GROUP'"),
        ("SELECT Id FROM Lead ALL ROWS", 21, "ALL ROWS not allowed in this context"),
        ("SELECT FIELDS(ALL) FROM Lead", 8, "The SOQL FIELDS function must have a LIMIT of at most 200"),
        ("", 1, "unexpected token: '<EOF>'"),
    ],
)
def test_what_is_not_soql_is_malformed(text: str, column: int, message: str) -> None:
    """AND and OR do not mix, NOT wants parentheses after AND, and there is no asterisk."""
    error = refusal(text)
    assert error.code == "MALFORMED_QUERY"
    assert error.message.splitlines()[-2:] == [f"ERROR at Row:1:Column:{column}", message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT Id FROM Lead WHERE X = 'y", "line 1:30 mismatched character '<EOF>' expecting '''"),
        ("SELECT Id FROM Lead\nWHERE X = %", "line 2:10 no viable alternative at character '%'"),
        ("SELECT FIELDS(CUSTOM) FROM Lead LIMIT 1", "'FIELDS(...)' expansion function must result in at least one"),
        ("SELECT Id FROM Lead WHERE X = 'a\\q'", "Illegal character sequence '\\q' in string literal."),
        (f"SELECT Id FROM Lead WHERE X = '{'a' * 4001}'", "string literal is too long"),
        (
            f"SELECT Id FROM Lead WHERE X = '{'a' * 100_000}'",
            "SOQL statements cannot be longer than 100000 characters.",
        ),
    ],
    ids=["quote", "percent", "no custom fields", "escape", "string", "query"],
)
def test_other_malformed_queries(text: str, message: str) -> None:
    """A quote that never ends, a stray character, and what is too long."""
    error = refusal(text)
    assert error.code == "MALFORMED_QUERY"
    assert message in error.message


def test_the_offset_has_an_end() -> None:
    """At most 2,000."""
    assert refusal("SELECT Id FROM Lead OFFSET 2001").code == "NUMBER_OUTSIDE_VALID_RANGE"
    assert query.plan("SELECT Id FROM Lead OFFSET 2000", Bare()).query.offset == 2000


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("SELECT Foo__c FROM Lead", "INVALID_FIELD", "No such column 'Foo__c' on entity 'Lead'."),
        ("SELECT Email FROM lead", "INVALID_FIELD", "No such column 'Email' on entity 'Lead'."),
        ("SELECT Id FROM Lead WHERE Email = 'a'", "INVALID_FIELD", "No such column 'Email' on entity 'Lead'."),
        ("SELECT MasterRecordId FROM Opportunity", "INVALID_FIELD", "No such column 'MasterRecordId'"),
        ("SELECT IsDeleted FROM User", "INVALID_FIELD", "No such column 'IsDeleted' on entity 'User'."),
        ("SELECT Owner FROM Lead", "INVALID_FIELD", "No such column 'Owner' on entity 'Lead'."),
        ("SELECT Owner.Foo FROM Lead", "INVALID_FIELD", "No such column 'Foo' on entity 'Name'."),
        ("SELECT Boss.Name FROM Lead", "INVALID_FIELD", "Didn't understand relationship 'Boss' in field path."),
        ("SELECT Id, ID FROM Lead", "INVALID_FIELD", "duplicate field selected: Id"),
        ("SELECT Id, FIELDS(STANDARD) FROM Lead", "INVALID_FIELD", "duplicate field selected: Id"),
        (
            "SELECT (SELECT Id FROM Foos) FROM Lead",
            "INVALID_TYPE",
            "Didn't understand relationship 'Foos' in FROM part",
        ),
        ("SELECT Id FROM Lead WHERE Description = 'a'", "INVALID_FIELD", "can not be filtered in a query call"),
        ("SELECT Id FROM Lead WHERE Address = 'a'", "INVALID_FIELD", "can not be filtered in a query call"),
        ("SELECT Id FROM Lead ORDER BY Description", "INVALID_FIELD", "can not be sorted in a query call"),
        ("SELECT Id FROM Invoice__c ORDER BY Tags__c", "INVALID_FIELD", "field 'Tags__c' can not be sorted"),
        (
            "SELECT Id FROM Lead WHERE CreatedDate > '2026-11-21T10:00:00Z'",
            "INVALID_FIELD",
            "value of filter criterion for field 'CreatedDate' must be of type dateTime and should not be enclosed in",
        ),
        (
            "SELECT Id FROM Lead WHERE CreatedDate > 2026-11-21",
            "INVALID_FIELD",
            "must be of type dateTime and should not",
        ),
        ("SELECT Id FROM Lead WHERE Company = 5", "INVALID_FIELD", "must be of type string and should be enclosed"),
        ("SELECT Id FROM Lead WHERE NumberOfEmployees = '5'", "INVALID_FIELD", "must be of type int and should not be"),
        ("SELECT Id FROM Lead WHERE Id = 'abc'", "INVALID_QUERY_FILTER_OPERATOR", "invalid ID field: abc"),
        ("SELECT Id FROM Lead WHERE Id LIKE '00Q%'", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
        ("SELECT Id FROM Lead WHERE IsConverted > false", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
        ("SELECT Id FROM Lead WHERE Status INCLUDES ('a')", "INVALID_QUERY_FILTER_OPERATOR", "invalid operator"),
    ],
)
def test_what_the_org_does_not_have_is_refused(text: str, code: str, message: str) -> None:
    """Unknown and hidden names are the same thing; operators and values must suit the field."""
    error = refusal(text)
    assert error.code == code
    assert message in error.message.splitlines()[-1]


def test_field_groups_are_bounded_by_limit_or_by_ids() -> None:
    """FIELDS(STANDARD) needs no bound, FIELDS(ALL) at most 200 rows."""
    standard = query.plan("SELECT FIELDS(STANDARD) FROM Invoice__c", Bare())
    custom = query.plan("SELECT FIELDS(CUSTOM) FROM Invoice__c LIMIT 200", Bare())
    everything = query.plan("SELECT FIELDS(ALL) FROM Invoice__c WHERE Id = 'a00000000000001'", Bare())
    assert len(standard.columns) + len(custom.columns) == len(everything.columns)
    assert refusal("SELECT FIELDS(ALL) FROM Lead LIMIT 201").code == "MALFORMED_QUERY"
