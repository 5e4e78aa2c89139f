"""How results look: consoles, tables, times, marks; how sinks and feeds stand. Used by ``views.py`` and ``commands``.

People get tables that fit one screen, programs get JSON.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from salesforce_poller.actions.overview import FeedView, SinkView
from salesforce_poller.actions.sharing import Sharing
from salesforce_poller.clock import format_span

#: Characters in a line of a table that nobody's screen has to hold.
_PIPE_WIDTH = 240
#: Of what a process holds, so many names are shown.
_NAMES = 4
GOOD, NOTE, BAD = "[green]✓[/]", "[yellow]![/]", "[red]✗[/]"


def console(*, stderr: bool = False) -> Console:
    """Return a console that breaks no lines and colours nothing by itself.

    What is piped into another program has room for whole ids: it is searched and cut, and not looked at on a screen.
    """
    made = Console(highlight=False, soft_wrap=True, stderr=stderr)
    if not made.is_terminal and "COLUMNS" not in os.environ:
        made.width = _PIPE_WIDTH
    return made


def table(*columns: str) -> Table:
    """Return a table with these heads and no lines."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def as_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """Print a value for programs, on one line."""
    print(orjson.dumps(value).decode(), flush=True)  # noqa: T201  # results for programs, on stdout


def instant(at: datetime) -> str:
    """Write an instant, in UTC."""
    return at.strftime("%Y-%m-%d %H:%M:%SZ")


def ago(at: datetime | None, now: datetime) -> str:
    """Say how long ago it was; a dash for never."""
    return "-" if at is None else f"{format_span(max(0.0, (now - at).total_seconds()))} ago"


def failing(since: datetime | None, now: datetime) -> str:
    """Say since when something fails, if it does."""
    return "[green]ok[/]" if since is None else f"[red]failing for {format_span((now - since).total_seconds())}[/]"


def count(number: int, one: str, many: str = "") -> str:
    """Write a number of things: ``count(1, "event")`` is "1 event"."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def by_sink(counts: Mapping[str, int]) -> str:
    """Write counts by sink: "crm 2, log 1"."""
    return ", ".join(f"{name} {number:,}" for name, number in counts.items())


def sinks_table(views: Iterable[SinkView], now: datetime, shared: Sharing | None = None) -> Table:
    """Show how sinks stand, and who delivers to each where several processes share the work."""
    made = table("sink", "waiting", "parked", "given up", "oldest owed", "state", *(["delivered by"] if shared else []))
    for one in views:
        if not one.started:
            cells = ["-", "-", "-", "-", "[yellow]new: begins with the next run[/]"]
        else:
            cells = [f"{one.waiting:,}", f"{one.parked:,}", f"{one.dead:,}", ago(one.oldest, now), _state(one, now)]
        made.add_row(escape(one.name), *cells, *holder(shared, "sink", one.name))
    return made


def holder(shared: Sharing | None, kind: str, name: str) -> list[str]:
    """Return the cell that says who holds something; none where one process has the store for itself."""
    return [] if shared is None else [escape(shared.holder(kind, name)) or "[red]nobody[/]"]


def processes_table(shared: Sharing) -> Table:
    """Show who shares the work."""
    made = table("process", "runs since", "orgs", "sinks", "state")
    for one in shared.processes:
        state = "[green]alive[/]" if one.alive else f"[red]not heard of for {format_span(one.silent_s)}[/]"
        held = [_some(one.orgs), _some(one.sinks)]
        made.add_row(escape(f"{one.host}:{one.pid}"), instant(one.started_at), *held, state)
    if not shared.processes:
        made.add_row("[red]none[/]", "-", "-", "-", "-")
    return made


def vacancies(shared: Sharing) -> list[str]:
    """Say what nobody holds, in one line."""
    if not shared.vacant:
        return []
    what = _some([one.duty for one in shared.vacant], "; ")
    why = (
        "no process has it in its configuration, or it is about to be taken"
        if any(one.alive for one in shared.processes)
        else "no daemon is running"
    )
    return [f"{BAD} [red]Nobody works for {what}[/]: {why}."]


def _some(names: Sequence[str], between: str = ", ") -> str:
    """Write so many of these names as fit, and how many there are."""
    if not names:
        return "-"
    more = f" and {len(names) - _NAMES:,} more" if len(names) > _NAMES else ""
    return escape(between.join(names[:_NAMES])) + more


def sink_troubles(views: Iterable[SinkView]) -> list[str]:
    """Say of each sink in trouble what it is and what to do, with marks."""
    told = []
    for one in views:
        if one.paused:
            what = f"is paused: {one.paused}" if one.paused_by_person else f"was switched off: {one.paused}"
        elif one.failing_since:
            down = "takes nothing at all" if one.down_since else "fails"
            what = f"{down}: {one.last_error}"
        elif one.dead:
            what = f"gave up {count(one.dead, 'event')}"
        else:
            continue
        advice = f" {one.what_to_do}." if one.what_to_do else ""
        mark = NOTE if one.paused_by_person or not one.configured else BAD
        told.append(f"{mark} {escape(f'sink {one.name} {what}.{advice}')}")
    return told


def _state(one: SinkView, now: datetime) -> str:
    if not one.configured:
        return "[yellow]not configured any more[/]"
    if one.paused:
        return "[yellow]paused[/]" if one.paused_by_person else "[red]switched off[/]"
    return failing(one.failing_since, now)


def feed_state(one: FeedView, now: datetime) -> str:
    """Say how a feed stands, in a word or two."""
    if one.paused:
        return f"[yellow]paused {ago(one.paused_since, now)}[/]"
    if one.error:
        return failing(one.failing_since, now)
    if one.polled_at is None:
        return "[red]not read yet[/]"
    if one.backfill_percent not in (None, 100):
        return f"[cyan]reading what was there before ({one.backfill_percent} %)[/]"
    return "[green]ok[/]"


def feed_pauses(views: Iterable[FeedView]) -> list[str]:
    """Say of each paused feed why, and how it is resumed."""
    return [
        f"{NOTE} {escape(f'{one.org}/{one.object} is paused: {one.paused}.')} "
        f"`salesforce-poller feeds resume {escape(f'{one.org} {one.object}')}` goes on where it stopped."
        for one in views
        if one.paused
    ]
