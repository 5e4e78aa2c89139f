"""Queries answered: which rows, in which order, and how they look as JSON."""

import random
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from salesforce_poller.simulator import ids, query
from salesforce_poller.simulator.catalogue import ObjectType, catalogue

NOW = datetime(2026, 11, 21, 10, 0, 30, tzinfo=UTC)
OBJECTS = {name.lower(): each for name, each in catalogue().items()}
Record = dict[str, Any]


class Shelf:
    """Rows on a shelf: the least org a query can be asked of."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Record]] = {}
        self.secrets: frozenset[str] = frozenset()

    def put(self, object_name: str, **fields: Any) -> str:
        """One more row; its id."""
        rows = self.rows.setdefault(object_name, {})
        record_id = ids.new_id(OBJECTS[object_name.lower()].key_prefix or "", len(rows) + 1)
        rows[record_id] = {"Id": record_id, "IsDeleted": False, "SystemModstamp": NOW, **fields}
        return record_id

    def type(self, name: str) -> ObjectType | None:
        return OBJECTS.get(name.lower())

    def scan(self, object_name: str, *, deleted: bool) -> Iterable[Mapping[str, Any]]:
        return (row for row in self.rows.get(object_name, {}).values() if deleted or not row["IsDeleted"])

    def get(self, object_name: str, record_id: str) -> Mapping[str, Any] | None:
        return self.rows.get(object_name, {}).get(record_id)

    def hidden(self, object_name: str) -> frozenset[str]:
        return self.secrets


def ask(shelf: Shelf, text: str, *, deleted: bool = False, seed: int = 1) -> list[str]:
    """The ids a query finds."""
    return query.select_ids(query.plan(text, shelf), shelf, deleted=deleted, now=NOW, rng=random.Random(seed))


def show(shelf: Shelf, text: str, *, deleted: bool = False) -> list[Record]:
    """The rows a query finds, as JSON."""
    found = ask(shelf, text, deleted=deleted)
    return query.render(query.plan(text, shelf), shelf, found, deleted=deleted, version="60.0", now=NOW)


def url(object_name: str, record_id: str) -> Record:
    """The attributes of a record."""
    return {"type": object_name, "url": f"/services/data/v60.0/sobjects/{object_name}/{record_id}"}


# ------------------------------------------------------------------------------------------ WHERE


@pytest.fixture
def invoices() -> Shelf:
    """Three invoices: A is full, B is different, C is empty."""
    shelf = Shelf()
    ann = shelf.put("User", LastName="Ann", FirstName="Lee")
    queue = shelf.put("Group", Name="Night shift", Type="Queue")
    shelf.put(
        *("Invoice__c",),
        Name="A",
        Status__c="Sent",
        Amount__c=100,
        Tax_Rate__c=20,
        Paid__c=True,
        Due_Date__c=date(2026, 11, 21),
        Sent_At__c=NOW,
        Tags__c="Urgent;Export",
        OwnerId=ann,
        External_Id__c="50%_off",
    )
    shelf.put(
        *("Invoice__c",),
        Name="B",
        Status__c="draft",
        Amount__c=9.5,
        Paid__c=False,
        Due_Date__c=date(2026, 11, 10),
        Sent_At__c=NOW - timedelta(days=1),
        Tags__c="Disputed",
        OwnerId=queue,
        External_Id__c="50 euros off",
        SystemModstamp=NOW + timedelta(seconds=1),
    )
    shelf.put("Invoice__c", Name="C", Due_Date__c=None, SystemModstamp=NOW - timedelta(days=40))
    return shelf


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("Status__c = 'SENT'", "A"),
        ("Status__c != 'sent'", "BC"),
        ("Status__c IN ('sent', 'DRAFT')", "AB"),
        ("Status__c NOT IN ('sent')", "BC"),
        ("Status__c = null", "C"),
        ("Status__c = ''", "C"),
        ("Status__c <> NULL", "AB"),
        ("Status__c > 'E'", "A"),
        ("Status__c IN ('sent', null)", "AC"),
        ("Status__c LIKE 's%'", "A"),
        ("Status__c LIKE '_RAF_'", "B"),
        ("(NOT Status__c LIKE 's%')", "BC"),
        ("External_Id__c LIKE '50\\%\\_%'", "A"),
        ("External_Id__c LIKE '50%off'", "AB"),
        ("Amount__c > 9.4", "AB"),
        ("Amount__c >= 100", "A"),
        ("Amount__c < 100", "B"),
        ("Amount__c <= 9.5", "B"),
        ("Amount__c = 100", "A"),
        ("Amount__c < null", ""),
        ("Paid__c = false", "BC"),
        ("Paid__c != true", "BC"),
        ("Due_Date__c = TODAY", "A"),
        ("Due_Date__c != TODAY", "BC"),
        ("Due_Date__c < TODAY", "B"),
        ("Due_Date__c > LAST_WEEK", "A"),
        ("Due_Date__c IN (TODAY, 2026-11-10)", "AB"),
        ("Due_Date__c >= 2026-11-11", "A"),
        ("Sent_At__c = TODAY", "A"),
        ("Sent_At__c <= YESTERDAY", "B"),
        ("Sent_At__c >= TODAY", "A"),
        ("Sent_At__c = LAST_N_DAYS:1", "AB"),
        ("SystemModstamp = 2026-11-21T10:00:30.000Z", "A"),
        ("SystemModstamp > 2026-11-21T11:00:30+01:00", "B"),
        ("SystemModstamp >= 2026-11-21T10:00:30Z", "AB"),
        ("SystemModstamp < LAST_N_DAYS:30", "C"),
        ("Tags__c INCLUDES ('urgent')", "A"),
        ("Tags__c INCLUDES ('Urgent;Disputed', 'Disputed')", "B"),
        ("Tags__c INCLUDES ('Export;Urgent')", "A"),
        ("Tags__c EXCLUDES ('Urgent')", "BC"),
        ("Tags__c = 'urgent;export'", "A"),
        ("Total__c = 120", "A"),
        ("Days_Overdue__c > 10", "B"),
        ("Owner.Name = 'lee ann'", "A"),
        ("owner.type = 'queue'", "B"),
        ("Owner.FirstName = null", "BC"),
        ("Invoice__c.Name = 'A'", "A"),
        ("Id = 'a00Sm0000000001'", "A"),
        ("Id > 'a00Sm0000000001IAA' AND Id < 'a00Sm0000000003'", "B"),
        ("Id IN ('a00Sm0000000001IAA', 'a00Sm0000000003')", "AC"),
        ("Id = ''", ""),
        ("Paid__c = true OR Name = 'C'", "AC"),
        ("(Paid__c = true OR Name = 'C') AND Status__c = null", "C"),
        ("NOT (Paid__c = true OR Name = 'C')", "B"),
    ],
)
def test_where_finds_the_rows(invoices: Shelf, where: str, names: str) -> None:
    """Text ignores case, != is true for null, date literals are ranges, ids may be short or long."""
    rows = show(invoices, f"SELECT Name FROM Invoice__c WHERE {where} ORDER BY Id")
    assert "".join(row["Name"] for row in rows) == names


def test_deleted_rows_are_found_only_when_asked_for() -> None:
    """/query drops them even with IsDeleted = true; /queryAll does not."""
    shelf = Shelf()
    gone = shelf.put("Lead", IsDeleted=True)
    assert ask(shelf, "SELECT Id FROM Lead WHERE IsDeleted = true") == []
    assert ask(shelf, "SELECT Id FROM Lead WHERE IsDeleted = true", deleted=True) == [gone]


# ------------------------------------------------------------------------------------------ ORDER BY, LIMIT, COUNT


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("Status__c", "CBA"),
        ("Status__c DESC", "CAB"),
        ("Status__c NULLS LAST", "BAC"),
        ("Status__c DESC NULLS LAST", "ABC"),
        ("SystemModstamp", "CAB"),
        ("SystemModstamp DESC", "BAC"),
        ("Paid__c DESC, Name DESC", "ACB"),
        ("Owner.Name DESC NULLS LAST, Id", "BAC"),
        ("Due_Date__c, Id", "CBA"),
    ],
)
def test_rows_come_in_order(invoices: Shelf, order: str, names: str) -> None:
    """Nulls first, even descending, unless NULLS LAST is said."""
    rows = show(invoices, f"SELECT Name FROM Invoice__c ORDER BY {order}")
    assert "".join(row["Name"] for row in rows) == names


def test_ties_are_shuffled_unless_the_order_is_total() -> None:
    """Without Id in ORDER BY each request may see another order; with it all see the same."""
    shelf = Shelf()
    born = [shelf.put("Lead") for _ in range(20)]
    loose = {tuple(ask(shelf, "SELECT Id FROM Lead ORDER BY SystemModstamp", seed=seed)) for seed in range(5)}
    strict = {tuple(ask(shelf, "SELECT Id FROM Lead ORDER BY SystemModstamp, Id", seed=seed)) for seed in range(5)}
    assert len(loose) == 5
    assert all(sorted(each) == born for each in loose)
    assert strict == {tuple(born)}


def test_limit_and_offset_cut_what_was_ordered() -> None:
    """And COUNT() counts up to LIMIT."""
    shelf = Shelf()
    born = [shelf.put("Lead") for _ in range(10)]
    assert ask(shelf, "SELECT Id FROM Lead ORDER BY Id LIMIT 3 OFFSET 8") == born[8:]
    assert ask(shelf, "SELECT Id FROM Lead ORDER BY Id LIMIT 0") == []
    for text, expected in (("SELECT COUNT() FROM Lead", 10), ("SELECT COUNT() FROM Lead LIMIT 4", 4)):
        plan = query.plan(text, shelf)
        assert plan.query.count
        assert query.count(plan, shelf, deleted=False, now=NOW) == expected


@pytest.mark.parametrize(
    ("columns", "requested", "size"),
    [
        ("Id, Name", 2000, 2000),
        ("Id, Name", 9999, 2000),
        ("Id, Name", 500, 500),
        ("Id, Name", 1, 200),
        ("Id, Notes__c", 2000, 1000),
        ("Id, Notes__c, (SELECT Id FROM Tasks)", 2000, 500),
        ("Id, Account__r.Description", 2000, 1000),
    ],
)
def test_pages_shrink_with_what_is_selected(columns: str, requested: int, size: int) -> None:
    """Between 200 and 2,000 rows; long texts and children cost."""
    shelf = Shelf()
    assert query.page_size(query.plan(f"SELECT {columns} FROM Invoice__c", shelf), requested) == size


# ------------------------------------------------------------------------------------------ JSON


def test_fields_come_in_select_order_under_their_api_names(invoices: Shelf) -> None:
    """Attributes first, decimals as decimals, instants with +0000, days as days, checkboxes never null."""
    rows = show(
        invoices, "SELECT sent_at__C, due_date__c, AMOUNT__C, Total__c, paid__c, Tags__c FROM invoice__c ORDER BY Id"
    )
    assert list(rows[0].items()) == [
        ("attributes", url("Invoice__c", "a00Sm0000000001IAA")),
        ("Sent_At__c", "2026-11-21T10:00:30.000+0000"),
        ("Due_Date__c", "2026-11-21"),
        ("Amount__c", 100.0),
        ("Total__c", 120.0),
        ("Paid__c", True),
        ("Tags__c", "Urgent;Export"),
    ]
    assert list(rows[2].values())[1:] == [None, None, None, None, False, None]
    assert isinstance(rows[0]["Amount__c"], float)


def test_parents_are_nested_or_null(invoices: Shelf) -> None:
    """A user and a queue each show what they have; no owner, or one that can not be read, is null."""
    unreadable = ids.new_id("005", 99)
    invoices.put("Invoice__c", OwnerId=unreadable)
    rows = show(invoices, "SELECT OwnerId, Owner.Name, Id, Owner.FirstName FROM Invoice__c ORDER BY Id")
    user, queue = ids.new_id("005", 1), ids.new_id("00G", 1)
    assert list(rows[0]) == ["attributes", "OwnerId", "Owner", "Id"]
    assert rows[0]["Owner"] == {"attributes": url("User", user), "Name": "Lee Ann", "FirstName": "Lee"}
    assert rows[1]["Owner"] == {"attributes": url("Group", queue), "Name": "Night shift", "FirstName": None}
    assert (rows[2]["OwnerId"], rows[2]["Owner"]) == (None, None)
    assert (rows[3]["OwnerId"], rows[3]["Owner"]) == (unreadable, None)


def test_a_parent_of_an_unexpected_kind_is_null() -> None:
    """An id whose prefix belongs to none of the lookup's objects."""
    shelf = Shelf()
    shelf.put("Lead", OwnerId=shelf.put("Account", Name="Acme"))
    assert show(shelf, "SELECT Owner.Name FROM Lead")[0]["Owner"] is None


def test_grandparents_are_nested_deeper() -> None:
    """Several levels of dots."""
    shelf = Shelf()
    boss = shelf.put("User", LastName="Boss")
    ann = shelf.put("User", LastName="Ann", ManagerId=boss)
    acme = shelf.put("Account", Name="Acme", OwnerId=ann)
    shelf.put("Contact", LastName="Cy", AccountId=acme)
    text = "SELECT Account.Owner.Manager.Name, Account.Name FROM Contact WHERE Account.Owner.Manager.Name = 'boss'"
    assert show(shelf, text)[0]["Account"] == {
        "attributes": url("Account", acme),
        "Owner": {
            "attributes": url("User", ann),
            "Manager": {"attributes": url("User", boss), "Name": "Boss"},
        },
        "Name": "Acme",
    }


def test_children_are_a_small_answer_of_their_own_or_null() -> None:
    """With WHERE, ORDER BY and LIMIT; deleted children only in a queryAll."""
    shelf = Shelf()
    busy, idle = shelf.put("Account", Name="Busy"), shelf.put("Account", Name="Idle")
    for name in ("Cy", "Bo", "Al", "Zed"):
        shelf.put("Contact", LastName=name, AccountId=busy, IsDeleted=name == "Al")
    text = "SELECT Id, (SELECT Name FROM contacts WHERE LastName < 'D' ORDER BY Name LIMIT 2) FROM Account ORDER BY Id"
    found = show(shelf, text)
    assert [row["Id"] for row in found] == [busy, idle]
    assert (found[0]["Contacts"]["totalSize"], found[0]["Contacts"]["done"]) == (2, True)
    assert [each["Name"] for each in found[0]["Contacts"]["records"]] == ["Bo", "Cy"]
    assert found[0]["Contacts"]["records"][0]["attributes"] == url("Contact", ids.new_id("003", 2))
    assert found[1]["Contacts"] is None
    with_bin = show(shelf, text, deleted=True)
    assert [each["Name"] for each in with_bin[0]["Contacts"]["records"]] == ["Al", "Bo"]


def test_pages_show_rows_as_they_are_now() -> None:
    """A row changed since the query began shows its new values; one that is gone or deleted drops out."""
    shelf = Shelf()
    kept, gone, deleted = (shelf.put("Lead", Company=name) for name in "abc")
    plan = query.plan("SELECT Company FROM Lead ORDER BY Id", shelf)
    found = query.select_ids(plan, shelf, deleted=False, now=NOW, rng=random.Random(1))
    shelf.rows["Lead"][kept]["Company"] = "new"
    shelf.rows["Lead"][deleted]["IsDeleted"] = True
    del shelf.rows["Lead"][gone]
    plain = query.render(plan, shelf, found, deleted=False, version="60.0", now=NOW)
    everything = query.render(plan, shelf, found, deleted=True, version="60.0", now=NOW)
    assert [row["Company"] for row in plain] == ["new"]
    assert [row["Company"] for row in everything] == ["new", "c"]


def test_formulas_are_evaluated_when_they_are_read() -> None:
    """The same row, the next day, without a stamp."""
    shelf = Shelf()
    found = [shelf.put("Invoice__c", Due_Date__c=date(2026, 11, 20))]
    plan = query.plan("SELECT Days_Overdue__c FROM Invoice__c", shelf)
    days = [
        query.render(plan, shelf, found, deleted=False, version="60.0", now=now)[0]["Days_Overdue__c"]
        for now in (NOW, NOW + timedelta(days=1))
    ]
    assert days == [1.0, 2.0]


# ------------------------------------------------------------------------------------------ single records


def test_a_record_shows_every_field_and_builds_its_address() -> None:
    """What GET /sobjects/Lead/id returns, hidden fields left out."""
    lead = OBJECTS["lead"]
    row = {"Id": ids.new_id("00Q", 1), "LastName": "Cy", "City": "Ulm", "Email": "cy@example.com"}
    shown = query.render_row(lead, row, version="60.0", now=NOW, fields=None, hidden=frozenset({"Email"}))
    assert next(iter(shown)) == "attributes"
    assert set(shown) == {"attributes", *lead.fields} - {"Email"}
    assert shown["Name"] == "Cy"
    parts = {"country", "geocodeAccuracy", "latitude", "longitude", "postalCode", "state", "street"}
    assert shown["Address"] == {"city": "Ulm"} | dict.fromkeys(parts)


def test_a_record_shows_the_fields_asked_for() -> None:
    """In that order; an unknown or hidden one is an error; an empty address is null."""
    lead = OBJECTS["lead"]
    row = {"Id": ids.new_id("00Q", 1), "Company": "Acme"}
    shown = query.render_row(lead, row, version="60.0", now=NOW, fields=["company", "Address"], hidden=frozenset())
    assert list(shown.items())[1:] == [("Company", "Acme"), ("Address", None)]
    for name in ("Foo__c", "Email"):
        with pytest.raises(query.SoqlError, match=f"No such column '{name}' on sobject of type Lead"):
            query.render_row(lead, row, version="60.0", now=NOW, fields=[name], hidden=frozenset({"Email"}))
