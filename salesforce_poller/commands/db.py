"""``salesforce-poller db``: the store's database; its schema, its condition, and the way from SQLite to PostgreSQL."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TextIO
from urllib.parse import parse_qs, urlsplit

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from salesforce_poller import printing
from salesforce_poller.clock import Clock, SystemClock, format_span
from salesforce_poller.commands import options
from salesforce_poller.config import Config
from salesforce_poller.errors import NotUnderstood, StoreInUse
from salesforce_poller.store import condition, moving
from salesforce_poller.store.condition import Condition
from salesforce_poller.store.postgresql import without_password
from salesforce_poller.store.settings import checked_url, is_postgresql

doors = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    help="Bring the store's schema up to date, see in which condition it is, move it from SQLite to PostgreSQL.",
)
#: What `--help` says; a paragraph is one line, which the terminal breaks.
_UPGRADE = (
    "Bring the store's schema up to date, or make it; says from which version to which.\n\n"
    "Each start of the daemon does the same. Do it by itself where the daemon's user may not change tables, or where a "
    "large store shall be upgraded at a time of your choice. In PostgreSQL, several that upgrade at once wait for one "
    "another; a file is refused while a daemon has it. It is one transaction: if it fails, nothing has changed."
)
_CHECK = (
    "See whether the store can be used as it is: reachable, its schema this program's, nothing forbidden.\n\n"
    "Changes nothing, also beside running daemons. Tells the version of the server and of the schema, which migrations "
    "are pending, how much there is, and settings of the server that could cost what was committed. Exits with 0 if a "
    "daemon can work with it, else with 1."
)
_MIGRATE_TO = (
    "Copy the store of the configuration, an SQLite file, into an empty PostgreSQL database.\n\n"
    "Everything goes along: how far feeds are read, what records looked like, events, what sinks are owed and what "
    "they gave up, pauses, troubles, counted calls, and secrets as they are, sealed with `secret_key`. The daemon must "
    "not run. It is one transaction over there, counted at its end: either all of it arrives or nothing. The file is "
    "only read; afterwards, this says what to change in the configuration."
)
#: Seconds between two lines of progress where nobody looks at a terminal.
_LINE_EVERY = 1.0
_KINDS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@doors.command(help=_UPGRADE)
def upgrade(path: options.ConfigFile = options.CONFIG, *, as_json: options.AsJson = False) -> None:
    """Bring the store's schema up to date, or make it; says from which version to which."""
    options.go(show_upgrade(options.load(path), as_json=as_json))


@doors.command(help=_CHECK)
def check(path: options.ConfigFile = options.CONFIG, *, as_json: options.AsJson = False) -> None:
    """See whether the store can be used as it is: reachable, its schema this program's, nothing forbidden."""
    good = options.go(show_condition(options.load(path), as_json=as_json))
    raise typer.Exit(0 if good else 1)


@doors.command("migrate-to", help=_MIGRATE_TO)
def migrate_to(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="Where to: env:NAME takes the address from the environment, file:PATH from a file, - from standard "
            "input; or postgresql://user@host/database itself. What stands on a command line, all users of the "
            "machine can read: do not write a password there.",
        ),
    ],
    path: options.ConfigFile = options.CONFIG,
    *,
    as_json: options.AsJson = False,
) -> None:
    """Copy the store of the configuration, an SQLite file, into an empty PostgreSQL database."""
    config = options.load(path)
    target = target_of(url, os.environ, sys.stdin)
    options.go(show_move(config, target, given=url, clock=SystemClock(), as_json=as_json))


async def show_upgrade(config: Config, *, as_json: bool) -> None:
    """Upgrade, and say from what to what. Raises what ``condition.upgrade`` raises."""
    try:
        had, has = await condition.upgrade(config.store.url)
    except StoreInUse as exc:
        raise StoreInUse(f"{exc}; its schema is up to date since that daemon started, or stop it first") from exc
    if as_json:
        printing.as_json({"from": had, "to": has})
    elif had == has:
        printing.console().print(f"{printing.GOOD} The schema is up to date: {has}.")
    else:
        printing.console().print(f"{printing.GOOD} The schema is {has} now; before: {had or 'nothing'}.")


async def show_condition(config: Config, *, as_json: bool) -> bool:
    """Show in which condition the store is; returns whether a daemon can work with it."""
    found = await condition.examine(config.store.url)
    if as_json:
        printing.as_json({"ok": found.good, **asdict(found)})
        return found.good
    console = printing.console()
    for line in _lines(found):
        console.print(line)
    return found.good


def _lines(found: Condition) -> Iterator[str]:
    yield f"{_KINDS[found.kind]} {found.server}".rstrip() + f" at {escape(found.name)}"
    if found.schema:
        yield f"schema {found.schema}" + ("" if found.pending else ", which is this program's")
    for one in found.pending if found.schema else ():
        yield f"pending: {escape(one)}"
    if found.rows:
        size = f"; {found.bytes / 1_000_000:,.1f} MB" if found.bytes else ""
        yield ", ".join(f"{count:,} {name}" for name, count in found.rows.items()) + size
    for one in found.warnings:
        yield f"{printing.NOTE} {escape(one)}"
    for one in found.problems:
        yield f"{printing.BAD} {escape(one)}"
    if found.good:
        yield f"{printing.GOOD} A daemon can work with it."


def target_of(url: str, environ: Mapping[str, str], stdin: TextIO) -> str:
    """Return the address that is meant.

    Raises:
        NotUnderstood: it is none of PostgreSQL; the text has nothing of it, since it may hold a password.
    """
    kind, _, name = url.partition(":")
    if url == "-":
        found = stdin.readline()
    elif kind == "env":
        if name not in environ:
            raise NotUnderstood(f"there is no {name} in the environment")
        found = environ[name]
    elif kind == "file":
        try:
            found = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise NotUnderstood(f"{name} cannot be read") from exc
    else:
        found = url
    found = found.strip()
    try:
        checked_url(found)
    except ValueError:
        found = ""
    if not is_postgresql(found):
        raise NotUnderstood(
            "the address should be postgresql://user:password@host/database, "
            "or env:NAME, file:PATH or - for where that stands"
        )
    return found


async def show_move(config: Config, target: str, *, given: str, clock: Clock, as_json: bool) -> None:
    """Copy the store, tell how far it is on stderr, and what to do then. Raises StoreError, NotUnderstood."""
    path = config.store.path
    if path is None:
        raise NotUnderstood("the store of this configuration is in PostgreSQL already")
    progress, began = printing.console(stderr=True), clock.monotonic()
    if given == target and _has_password(target):
        progress.print(f"{printing.NOTE} Others could read that password: next time, say env:NAME, file:PATH or -.")
    async with moving.source(path) as source:
        total = sum(source.counts.values())
        what = ", ".join(f"{rows:,} {name}" for name, rows in source.counts.items() if rows)
        progress.print(f"From {escape(source.name)}\nto {escape(without_password(target))}\n{total:,} rows: {what}")
        with _shown(progress, source.counts, clock) as told:
            await source.copy_to(target, told)
        counts = dict(source.counts)
    if as_json:
        printing.as_json({"from": str(path.resolve()), "to": without_password(target), "rows": counts})
        return
    took = format_span(clock.monotonic() - began)
    console = printing.console()
    console.print(f"{printing.GOOD} {total:,} rows are copied and counted, in {took}. The file is as it was.\n")
    console.print("What is left to do:\n")
    console.print(
        escape(f"1. In the configuration, say where the store is now:\n\n   [store]\n   url = {_named(given)}\n")
    )
    console.print("   Leave secret_key and everything else as it is.")
    console.print("2. See that it can be used: salesforce-poller db check")
    console.print(
        "3. Start the daemon, on this configuration only. One that went on with the file would tell everything"
    )
    console.print("   a second time; put the file away, and delete it when you are content.")


def _named(given: str) -> str:
    """Return how the configuration names the address, without a password."""
    kind, _, name = given.partition(":")
    if kind in ("env", "file"):
        return f'{{ {kind} = "{name}" }}'
    return '{ env = "STORE_URL" }   # or { file = "…" }: the address that you gave just now'


def _has_password(url: str) -> bool:
    parts = urlsplit(url)
    return bool(parts.password) or "password" in parse_qs(parts.query)


@contextmanager
def _shown(console: Console, counts: Mapping[str, int], clock: Clock) -> Iterator[Callable[[str, int], None]]:
    """Show how far it is: a bar for each table on a terminal, else a line now and then."""
    if not console.is_terminal:
        yield _in_lines(console, counts, clock)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        tasks = {name: bars.add_task(name, total=rows) for name, rows in counts.items() if rows}
        yield lambda name, done: bars.update(tasks[name], completed=done)


def _in_lines(console: Console, counts: Mapping[str, int], clock: Clock) -> Callable[[str, int], None]:
    last = clock.monotonic()

    def told(name: str, done: int) -> None:
        nonlocal last
        now = clock.monotonic()
        if now - last >= _LINE_EVERY:
            last = now
            console.print(f"{name}: {done:,} of {counts[name]:,}")

    return told
