"""One event as one line for people. Pure.

    10:00:00  updated    Lead          Ann Example           00Q5g00000AbCdEEAV  Status: Open → Working

Called by ``stdout.py``; what ``demo`` shows.
"""

from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.text import Text

#: Columns at which everything fits; below that the record's id is left out, its name says more.
COMFORTABLE = 100

_STYLES = {
    "created": "green",
    "updated": "cyan",
    "deleted": "red",
    "merged": "magenta",
    "undeleted": "yellow",
    "snapshot": "dim",
    "gap": "bold red",
    "alert": "bold red",
}
_KIND_WIDTH = 9
_OBJECT_WIDTH = 12
_NAME_WIDTH = 20
_ID_WIDTH = 18
#: A value in "Status: Open → Working" is cut to this.
_VALUE_WIDTH = 24
_GAP = "  "
#: Fields that tell people which record it is, most telling first; the standard objects' name fields.
_NAMES = ("Subject", "Title", "CaseNumber", "OrderNumber", "ContractNumber", "SolutionName", "DeveloperName")


def line(event: Mapping[str, Any], width: int = COMFORTABLE) -> Text:
    """Return one of our CloudEvents as a line of at most ``width`` columns.

    It says when, which kind, which record and what changed.
    """
    data = event["data"]
    kind = data["kind"]
    style = _STYLES.get(kind, "")
    parts = [
        (event["time"][11:19], "dim"),
        (_column(kind, _KIND_WIDTH), style),
        (_column(data["object"] or "", _OBJECT_WIDTH), ""),
    ]
    if kind == "gap":
        parts.append((_plain(f"{data['gap']['what']}: {data['gap']['why']}"), style))
    elif kind == "alert":
        parts.append((_plain(f"sink {data['alert']['sink']}: {data['alert']['detail']}"), style))
    else:
        parts.append((_column(_name(data), _NAME_WIDTH), "dim" if kind == "snapshot" else "bold"))
        if width >= COMFORTABLE:
            parts.append((_column(data["record_id"], _ID_WIDTH), "dim"))
        parts.append((_what_changed(data), ""))
    text = Text(_GAP).join(Text(part, part_style) for part, part_style in parts)
    text.rstrip()
    text.truncate(width, overflow="ellipsis")
    return text


def _name(data: Mapping[str, Any]) -> str:
    """Return what people call the record; its id when it has no name we know."""
    record = data["record"] or {}
    person = " ".join(str(record[part]) for part in ("FirstName", "LastName") if record.get(part))
    candidates = (record.get("Name"), person, *(record.get(field) for field in _NAMES), data["record_id"])
    return next(str(each) for each in candidates if each)


def _what_changed(data: Mapping[str, Any]) -> str:
    if data["merged_into"]:
        return f"→ {data['merged_into']}"
    paths = data["changed"] or ()
    return ", ".join(
        f"{_plain(path)}: {_value(data['previous'], path)} → {_value(data['record'], path)}" for path in paths
    )


def _value(record: Mapping[str, Any] | None, path: str) -> str:
    """Return one field for people: found along its path, on one line, shortened."""
    value: Any = record
    for step in path.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return "-" if value is None else _shortened(_plain(str(value)), _VALUE_WIDTH)


def _column(text: str, width: int) -> str:
    """Fill a column, or cut to it. Some letters are two columns wide."""
    return set_cell_size(_shortened(_plain(text), width), width)


def _shortened(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _plain(text: str) -> str:
    """Replace what is not printable: a record's name must not be able to command the terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
