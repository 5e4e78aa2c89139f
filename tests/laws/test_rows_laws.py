"""Laws of salesforce/rows.py: a row is the same record whichever way it comes, and its text tells nothing else."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from salesforce_poller.fields import Unread, pack
from salesforce_poller.model import Window
from salesforce_poller.polling import fingerprint
from salesforce_poller.salesforce import rows, wire

_STAMP = "2026-11-21T10:00:05.000+0000"
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ['"Name":', ',"Name":1', '\\"Name\\":', "{", "}", "\r\n", "<b>", "\u2028"]
)
_VALUES = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXTS | st.floats(allow_nan=False, allow_infinity=False)
)
_FIELDS = st.fixed_dictionaries({"Name": _VALUES, "A__c": _VALUES, "Zeta": _VALUES})
_PARENTS = st.none() | st.fixed_dictionaries(
    {
        "Name": _VALUES,
        "Id": _VALUES,
        "Alpha__c": _VALUES,
        "Manager": st.none() | st.fixed_dictionaries({"Email": _VALUES}),
    }
)


@st.composite
def a_window_and_rows(draw: st.DrawFn) -> tuple[Window, list[dict[str, Any]], list[dict[str, Any]]]:
    """Draw a window, its rows as REST has them, and what a user should see of them."""
    bookkeeping = ["SystemModstamp", "CreatedDate", "IsDeleted", "MasterRecordId", "LastModifiedById"]
    asked = ["Name", "A__c", "Zeta", "Owner.Name", "Owner.Id", "Owner.Alpha__c", "Owner.Manager.Email"]
    shown = draw(st.lists(st.sampled_from([*bookkeeping, "LastViewedDate", *asked]), unique=True))
    visible = ("Id", *shown)
    hidden = [name for name in bookkeeping if name not in shown]
    found, expected = [], []
    for number in range(draw(st.integers(0, 3))):
        row: dict[str, Any] = {
            "Id": f"00Q5g00000AbC{number:02d}EAV",
            "SystemModstamp": _STAMP,
            "CreatedDate": draw(st.none() | st.just(_STAMP)),
            "IsDeleted": draw(st.booleans()),
            "MasterRecordId": draw(st.none() | st.just("00Q5g00000AbCdFEAV")),
            "LastModifiedById": draw(st.none() | st.just("0055g000001XyZAAA0")),
            "LastViewedDate": draw(st.none() | st.just(_STAMP)),
            **draw(_FIELDS),
            "Owner": draw(_PARENTS),
        }
        for name in draw(st.sets(st.sampled_from(["Name", "A__c", "Zeta", "LastViewedDate", "Owner"]))):
            del row[name]  # which Salesforce does not do
        tops = {path.partition(".")[0] for path in visible}
        told = {name: value for name, value in row.items() if name in tops}
        if told.get("Owner"):
            told["Owner"] = _chosen(
                told["Owner"], [path.split(".")[1:] for path in visible if path.startswith("Owner.")]
            )
        order = draw(st.permutations([name for name in row if name in tops or name in hidden]))
        came = {name: row[name] for name in order}
        if came.get("Owner"):
            came["Owner"] = {"attributes": {"type": "User", "Name": "no"}, **told["Owner"]}
        found.append({"attributes": {"type": "Lead", "url": "/"}, **came})
        expected.append(told)
    return Window("Lead", (*visible, *hidden), visible, "SystemModstamp"), found, expected


def _chosen(parent: dict[str, Any], paths: list[list[str]]) -> dict[str, Any]:
    names = {path[0] for path in paths}
    return {name: value for name, value in parent.items() if name in names}


@given(a_window_and_rows())
def test_a_row_is_the_same_whichever_way_it_comes(
    drawn: tuple[Window, list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    """As one of a page or as values; and what is written of it is what the user asked for, and no more."""
    window, came, expected = drawn
    page = wire.read_following_page(json.dumps({"done": True, "records": came}).encode(), window)
    assert page.records == wire.read_page({"done": True, "records": came}, window).records
    assert [dict(record.fields) for record in page.records] == expected
    for record, told in zip(page.records, expected, strict=True):
        written = pack(told)
        assert isinstance(record.fields, Unread)
        assert record.fields == written
        assert (record.fields.text, record.fields.loud_at) == (written.text, written.loud_at)
        assert fingerprint.digest(record.fields) == fingerprint.digest(told)


@given(a_window_and_rows())
def test_what_is_not_shown_is_read_all_the_same(
    drawn: tuple[Window, list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    """Our own columns."""
    window, came, _ = drawn
    for record, row in zip(rows.of(window).read(came), came, strict=True):
        assert (record.created is not None, record.deleted) == (row["CreatedDate"] is not None, row["IsDeleted"])
        assert (record.merged_into, record.changed_by) == (row["MasterRecordId"], row["LastModifiedById"])
