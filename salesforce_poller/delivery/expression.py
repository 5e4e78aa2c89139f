"""``when``: a condition in CEL (Common Expression Language) over one event. Pure.

``config.py`` asks :func:`problem` at start, so that a bad expression is a bad configuration; ``filters.py`` asks
:meth:`Condition.holds` of each event. Google's own library compiles, checks the types and evaluates; its messages are
made readable here.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from salesforce_poller.delivery import envelope
from salesforce_poller.errors import capped
from salesforce_poller.model import Event, Fields

#: What ``event.NAME`` is, of which type, and where it is taken from. DYN is what may be null.
_EVENT: dict[str, tuple[cel.Type, Callable[[Event], Any]]] = {
    "id": (cel.Type.STRING, lambda event: event.id),
    "source": (cel.Type.STRING, lambda event: event.source),
    "type": (cel.Type.STRING, envelope.type_of),
    "subject": (cel.Type.STRING, envelope.subject_of),
    "time": (cel.Type.TIMESTAMP, lambda event: event.time),
    "org": (cel.Type.STRING, lambda event: event.org),
    "object": (cel.Type.STRING, lambda event: event.object),
    "kind": (cel.Type.STRING, lambda event: event.kind.value),
    "record_id": (cel.Type.DYN, lambda event: event.record_id),
    "changed": (cel.Type.DYN, lambda event: None if event.changed is None else list(event.changed)),
    "merged_into": (cel.Type.DYN, lambda event: event.merged_into),
    "changed_by": (cel.Type.DYN, lambda event: event.changed_by),
    "observed_at": (cel.Type.TIMESTAMP, lambda event: event.observed_at),
}
#: ``event`` is no value of its own but a family of names, each with its type: a wrong one is found at start.
_ENVIRONMENT = cel.NewEnv(
    variables={
        **{f"event.{name}": kind for name, (kind, _) in _EVENT.items()},
        "record": cel.Type.DYN,
        "previous": cel.Type.DYN,
    },
    extensions=[ext_strings.ExtStrings()],
)


class Condition:
    """A compiled expression."""

    def __init__(self, text: str) -> None:
        """Compile ``text``.

        Raises:
            ValueError: it is no expression, or not one that is true or false; with the place, in plain words.
        """
        if not text.strip():
            raise ValueError("is empty; leave it out")
        try:
            self._compiled = _ENVIRONMENT.compile(text)
        except RuntimeError as exc:
            raise ValueError(_explained(str(exc))) from None
        kind = self._compiled.return_type()
        if kind not in (cel.Type.BOOL, cel.Type.DYN):
            raise ValueError(f"should be true or false for each event, and is {_article(kind.name())}")
        self._event = _named(text, "event")
        self._record = _named(text, "record")
        self._previous = _named(text, "previous")

    def holds(self, event: Event) -> bool | str:
        """Say whether it is true of an event, or, as a text, why that cannot be told."""
        wanted = _EVENT if self._event is None else self._event & _EVENT.keys()
        values = {f"event.{name}": _EVENT[name][1](event) for name in wanted}
        values["record"] = _only(event.record, self._record)
        values["previous"] = _only(event.previous, self._previous)
        try:
            result = self._compiled.eval(data=values)
        except RuntimeError as exc:  # a value that CEL has no type for
            return _readable(str(exc))
        kind, value = result.type(), result.value()
        if kind == cel.Type.BOOL:
            return bool(value)
        if kind == cel.Type.ERROR:
            return _readable(str(value))
        return f"is {_article(kind.name())}, not true or false"


def problem(text: str) -> str:
    """Say what is wrong with an expression; empty when nothing is."""
    try:
        Condition(text)
    except ValueError as exc:
        return str(exc)
    return ""


# ---------------------------------------------------------------------- what an expression names


def _named(text: str, variable: str) -> frozenset[str] | None:
    """Return which fields of a variable an expression can touch; None when it may be any.

    Handing over only those saves most of the time an evaluation takes: a record can have 500 fields. Whatever is not
    plainly ``record.Name``, ``record["Name"]`` or ``record == null`` counts as "any".
    """
    names: set[str] = set()
    for found in re.finditer(
        rf"\b{variable}\b(?:\s*\.\s*(\w+)\b(?!\s*\()|\s*\[\s*(['\"])(\w+)\2\s*\]|(\s*[=!]=\s*null\b))?", text
    ):
        if name := found[1] or found[3]:
            names.add(name)
        elif not found[4]:
            return None
    return frozenset(names)


def _only(fields: Fields | None, names: frozenset[str] | None) -> Mapping[str, Any] | None:
    if fields is None:
        return None
    if names is None:
        return dict(fields)  # of the library's own kind of mapping
    return {name: fields[name] for name in names if name in fields}


# ---------------------------------------------------------------------- the library's words, in ours

_TYPES = {
    "null_type": "null",
    "int64": "int",
    "uint64": "uint",
    "google.protobuf.Timestamp": "timestamp",
    "google.protobuf.Duration": "duration",
}
_PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_STATUS = re.compile(r"^[A-Z_]+: ")


def _explained(message: str) -> str:
    """Make one line of what the compiler says, with the place of the first mistake."""
    found = _PLACE.search(message)
    if not found:
        return _readable(message)
    line, column, what = found.groups()
    place = f"line {line}, column {column}" if int(line) > 1 else f"column {column}"
    if unknown := re.match(r"undeclared reference to '([^']+)'", what):
        return f"{place}: {_unknown(unknown[1])}"
    if overload := re.match(r"found no matching overload for '(\S+)' applied to '\((.*)\)'", what):
        return f"{place}: {_mismatch(overload[1], overload[2])}"
    what = re.sub(r" expecting .*", "", what.removeprefix("Syntax error: "))
    if what == "mismatched input '<EOF>'":
        return f"{place}: it ends where more is expected"
    what = what.replace("mismatched input", "did not expect").replace(
        "no viable alternative at input", "did not expect"
    )
    what = what.replace("token recognition error at:", "did not expect")
    return f"{place}: {capped(what)}"


def _unknown(name: str) -> str:
    """Say what there is instead of a name that is not known."""
    variable, _, attribute = name.partition(".")
    if variable == "event":
        there = f"an event has {', '.join(_EVENT)}"
        close = difflib.get_close_matches(attribute, _EVENT, n=1)
        close = [f"event.{each}" for each in close]
    else:
        there = "there are record, previous and event with a field behind it"
        close = difflib.get_close_matches(variable, ["record", "previous", "event"], n=1)
    return f"there is no {capped(name, 60)}; {f'did you mean {close[0]}?' if close else there}"


def _readable(message: str) -> str:
    """Say in plain words why an expression could not be evaluated."""
    message = _STATUS.sub("", message)
    if missing := re.match(r'Key not found in map : "(.*)"', message):
        return f"no such field: {missing[1]}"
    if overload := re.match(r"No matching overloads found : (\S+?)(?:\((.*)\))?$", message):
        return _mismatch(overload[1], overload[2] or "")
    if message == "Applying SELECT to non-message type":
        return "a field was asked of something that has none, such as null"
    return capped(message)


def _mismatch(operation: str, operands: str) -> str:
    """Write ``_>_`` and ``(null_type, int64)`` as people do: ``null > int``."""
    kinds = [_TYPES.get(each, each) for each in operands.split(", ")] if operands else []
    if receiver := re.match(r"\((\w+)\)\.(\w+)", operation):
        return f"cannot compute {receiver[2]} of {_TYPES.get(receiver[1], receiver[1])}"
    symbol = "? :" if operation in {"_?_:_", "<jump_condition>"} else operation.strip("_@")
    if operation.strip("@").startswith("_") and len(kinds) == 2:  # noqa: PLR2004  # left and right
        return f"cannot compute {kinds[0]} {symbol} {kinds[1]}"
    return f"cannot compute {symbol} of {', '.join(kinds) or 'these values'}"


def _article(kind: str) -> str:
    word = _TYPES.get(kind, kind).lower()
    return word if word == "null" else f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
