"""An event as a line that people read, in Slack's markup. Pure.

Called by ``formats.py`` for ``format = "slack"``. The markup is that of Slack's "Formatting text for app surfaces":
``&``, ``<`` and ``>`` are escaped, so that no value can become a link or call the whole channel.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from salesforce_poller.errors import capped

#: Fields that name a record, in the order in which they are tried; Salesforce calls them "name fields".
_NAMES = ("Name", "Subject", "Title", "CaseNumber", "OrderNumber", "ContractNumber", "SolutionName", "DeveloperName")
#: Characters of one value, of one line; and changes in one line. More is for programs, which read another format.
_VALUE, _LINE, _CHANGES = 80, 600, 8
_WHAT = {
    "created": "was created",
    "updated": "was updated",
    "deleted": "was deleted",
    "merged": "was merged",
    "undeleted": "was undeleted",
    "snapshot": "was there at the start",
}


def line(cloudevent: Mapping[str, Any]) -> str:
    """Return one line, escaped, at most 600 characters before it is."""
    data = cloudevent["data"]
    again = " (sent again)" if cloudevent.get("replay") else ""
    match data["kind"]:
        case "gap":
            text = _gap(data)
        case "alert":
            text = _alert(data)
        case _:
            text = _change(data)
    return _escaped(capped(text, _LINE - len(again)) + again)


def _change(data: Mapping[str, Any]) -> str:
    what = _WHAT.get(data["kind"], data["kind"])
    if data["merged_into"]:
        what += f" into {data['merged_into']}"
    head = f"{data['object']} {_name(data)} {what}"
    changes = _changes(data)
    return f"{head}: {changes} ({data['org']})" if changes else f"{head} ({data['org']})"


def _gap(data: Mapping[str, Any]) -> str:
    gap = data["gap"]
    when = f"between {gap['since']} and {gap['until']}"
    return f"Changes of {data['object']} ({data['org']}) may have been missed, {gap['what']}, {when}: {gap['why']}"


def _alert(data: Mapping[str, Any]) -> str:
    alert = data["alert"]
    what = alert["what"].replace("_", " ")
    return f"Sink {alert['sink']}: {what}, since {alert['since']}: {alert['detail']}"


def _name(data: Mapping[str, Any]) -> str:
    record = data["record"] or {}
    found = next((record[each] for each in _NAMES if record.get(each)), None)
    return _value(found) if found else data["record_id"]


def _changes(data: Mapping[str, Any]) -> str:
    changed: Sequence[str] = data["changed"] or ()
    told = [_one(path, data) for path in changed[:_CHANGES]]
    if len(changed) > _CHANGES:
        told.append(f"and {len(changed) - _CHANGES} more")
    return ", ".join(told)


def _one(path: str, data: Mapping[str, Any]) -> str:
    now = _value(_at(path, data["record"]))
    return f"{path} {_value(_at(path, data['previous']))} → {now}" if data["previous"] is not None else f"{path} {now}"


def _at(path: str, record: Any) -> Any:
    """Follow a path such as ``Owner.Name``; a relation that leads nowhere is empty."""
    for name in path.split("."):
        record = record.get(name) if isinstance(record, Mapping) else None
    return record


def _value(value: Any) -> str:
    if value is None or value == "":
        return "(empty)"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return capped(str(value), _VALUE)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
