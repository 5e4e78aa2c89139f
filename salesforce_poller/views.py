"""What commands show: findings of a check, objects, status, a sample. Called by ``cli.py``; prints to stdout.

Each has a form for people (tables that fit one screen) and one for programs (``--json``).
"""

import asyncio
import webbrowser
from collections.abc import Iterable, Iterator
from contextlib import aclosing, suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from salesforce_poller import check, login, orgs, printing
from salesforce_poller.actions import overview, sharing
from salesforce_poller.actions.sharing import Sharing
from salesforce_poller.admin import facts
from salesforce_poller.clock import Clock, format_span
from salesforce_poller.config import Config
from salesforce_poller.crew import TIDY, duties
from salesforce_poller.delivery import envelope
from salesforce_poller.errors import ConfigError
from salesforce_poller.model import Delivery, Event, Kind, Verdict, Watermarks
from salesforce_poller.salesforce.describe import ObjectSummary
from salesforce_poller.sinks import catalogue
from salesforce_poller.store.calls import OrgState, minute_of
from salesforce_poller.store.feeds import FeedHealth
from salesforce_poller.store.store import Store
from salesforce_poller.store.troubles import OpenTrouble

_MARKS = {check.Mark.GOOD: printing.GOOD, check.Mark.NOTE: printing.NOTE, check.Mark.BAD: printing.BAD}


async def show_findings(config: Config, *, clock: Clock, as_json: bool) -> bool:
    """Show each finding of a check as it comes in; returns whether all is well."""
    console = printing.console()
    if not as_json:
        console.print(f"Checking, for about {check.calls_needed(config)} API calls …\n")
    found = []
    async with aclosing(check.findings(config, clock=clock)) as findings:  # also when nobody reads on (`| head`)
        async for finding in findings:
            found.append(finding)
            if not as_json:
                console.print(f"{_MARKS[finding.mark]} [bold]{escape(finding.about)}[/]  {escape(finding.text)}")
    good = not any(finding.mark is check.Mark.BAD for finding in found)
    calls = check.calls_per_day(config)
    if as_json:
        lines = [{"mark": one.mark.value, "about": one.about, "text": one.text} for one in found]
        printing.as_json({"ok": good, "findings": lines, "calls_per_day": calls})
        return good
    for org, count in calls.items():
        console.print(f"\n[bold]{escape(org)}[/] will be asked about [bold]{count:,}[/] times a day.")
    console.print("\n[green]All is well.[/]" if good else "\n[bold red]Not ready:[/] see the lines with ✗.")
    return good


async def show_objects(config: Config, org_name: str, *, clock: Clock, as_json: bool) -> None:
    """Show an org's objects. Raises ConfigError when there is no such org."""
    if org_name not in config.orgs:
        raise ConfigError([f"there is no org named {org_name}; there is {', '.join(config.orgs)}"])
    async with orgs.opened(org_name, config.orgs[org_name], config.store, clock=clock) as org:
        found = await org.describe_global()
    watched = config.orgs[org_name].objects
    if as_json:
        printing.as_json([{**asdict(one), "how": _how(one), "watched": one.name in watched} for one in found])
        return
    table = printing.table("object", "label", "how it can be polled", "watched")
    for one in found:
        if one.queryable:
            table.add_row(escape(one.name), escape(one.label), _how(one), "yes" if one.name in watched else "")
    printing.console().print(table)
    hidden = sum(not one.queryable for one in found)
    printing.console().print(f"{len(found) - hidden} objects can be polled; {hidden} others cannot be queried at all.")


async def show_status(config: Config, *, clock: Clock, as_json: bool) -> None:
    """Show how far feeds and sinks are. Raises StoreError when there is no store yet."""
    now = clock.now()
    async with Store(config.store.url, writable=False) as store:
        feeds = await store.feeds.health()
        wrong = facts.of_watched(await store.feeds.open_troubles(), watched(config))
        asked = await _asked(store, config, now)
        remembered = [await store.feeds.count_sightings(feed.org, feed.object) for feed in feeds]
        views = await overview.of_feeds(store, sorted(watched(config)))
        sinks = await overview.of_sinks(store, list(config.sinks))
        shared = await sharing.of(store, [*duties(config), TIDY])
    unread = sorted(watched(config) - {(feed.org, feed.object) for feed in feeds})
    paused = [one for one in views if one.paused]
    if as_json:
        printing.as_json(
            {
                "orgs": asked,
                "feeds": [{**asdict(f), "remembered": count} for f, count in zip(feeds, remembered, strict=True)],
                "unread": [f"{org}/{name}" for org, name in unread],
                "paused_feeds": [asdict(one) for one in paused],
                "troubles": [facts.told(one) for one in wrong],
                "sinks": [asdict(one) for one in sinks if one.started],
                "new_sinks": [one.name for one in sinks if not one.started],
                **(asdict(shared) if shared else {}),
            }
        )
        return
    console = printing.console()
    console.print(_feeds_table(zip(feeds, remembered, strict=True), unread, paused, now))
    console.print(*_unfinished(feeds), "", sep="\n")
    console.print(_orgs_table(asked, now, shared))
    console.print()
    console.print(printing.sinks_table(sinks, now, shared))
    if shared:
        console.print("", printing.processes_table(shared), sep="\n")
    troubles = [f"[bold red]✗[/] {escape(_explained(one, now))}" for one in wrong]
    vacant = printing.vacancies(shared) if shared else []
    for line in [*vacant, *troubles, *printing.feed_pauses(paused), *printing.sink_troubles(sinks)]:
        console.print(f"\n{line}")


def _feeds_table(
    feeds: Iterable[tuple[FeedHealth, int]],
    unread: Iterable[tuple[str, str]],
    paused: Iterable[overview.FeedView],
    now: datetime,
) -> Table:
    """Show how far each feed is; ``feeds`` come with the number of records known."""
    table = printing.table("feed", "polled", "settled", "records known", "state")
    by_person = {(one.org, one.object): printing.feed_state(one, now) for one in paused}
    for feed, count in feeds:
        phase = printing.failing(feed.failing_since, now) if feed.last_error else _phase(feed.marks)
        settled = printing.instant(feed.marks.settled_through)
        state = by_person.get((feed.org, feed.object), phase)
        name = escape(f"{feed.org}/{feed.object}")
        table.add_row(name, printing.ago(feed.polled_at, now), settled, f"{count:,}", state)
    for key in unread:
        table.add_row(escape("/".join(key)), "-", "-", "-", by_person.get(key, "[red]not read yet[/]"))
    return table


async def log_in(config: Config, org_name: str, *, clock: Clock, stop: asyncio.Event, port: int, browser: bool) -> None:
    """Have a person log in, and show who the daemon will be. Raises what ``login.run`` raises."""
    console = printing.console()
    hands = login.Hands(say=lambda line: console.print(escape(line)), browse=_browse if browser else None)
    found = await login.run(config, org_name, hands, clock=clock, stop=stop, port=port)
    console.print(
        f"{_MARKS[check.Mark.GOOD]} [bold]{escape(org_name)}[/]  logged in to organisation "
        f"{escape(found.organization_id)} as {escape(found.user)}; the refresh token is stored, and works"
    )


def _browse(address: str) -> None:
    with suppress(webbrowser.Error, OSError):  # the address was printed as well
        webbrowser.open(address)


async def send_sample(config: Config, sink_name: str, *, clock: Clock) -> bool:
    """Send one sample event to a sink; returns whether it was accepted. Raises ConfigError for an unknown sink."""
    if sink_name not in config.sinks:
        raise ConfigError([f"there is no sink named {sink_name}; there is {', '.join(config.sinks)}"])
    delivery = Delivery(sink_name, 0, _sample(clock.now()))
    sink = catalogue.build(config.sinks[sink_name], clock)
    try:
        await sink.open()
        [receipt] = await sink.send([envelope.dress(delivery)])
    finally:
        await sink.close()
    accepted = receipt.verdict is Verdict.ACCEPTED
    mark = _MARKS[check.Mark.GOOD if accepted else check.Mark.BAD]
    said = " ".join(
        part for part in (receipt.verdict.value.replace("_", " "), receipt.reference, receipt.detail) if part
    )
    # A sink that prints to stdout has just done so; its answer must not get between the lines.
    to_stderr = catalogue.word_of(config.sinks[sink_name]) == "stdout"
    Console(stderr=to_stderr, highlight=False).print(f"{mark} [bold]{escape(sink_name)}[/]  {escape(said)}")
    return accepted


def _sample(now: datetime) -> Event:
    """Return an event that is plainly no real one."""
    record_id = "00Q000000000000AAA"
    return Event(
        id=f"sample-{now.timestamp():.0f}",
        kind=Kind.UPDATED,
        org="sample",
        source="urn:salesforce:00D000000000000AAA",
        object="Lead",
        record_id=record_id,
        time=now.replace(microsecond=0),
        observed_at=now,
        record={"Id": record_id, "Name": "Sample from salesforce-poller send-test", "Status": "Working"},
        changed=("Status",),
        previous={"Status": "Open"},
    )


def watched(config: Config) -> set[tuple[str, str]]:
    """Return the configured feeds by org and object."""
    return {(org, name) for org, settings in config.orgs.items() for name in settings.objects}


def _how(one: ObjectSummary) -> str:
    if not one.queryable:
        return "cannot be queried"
    if not one.replicateable:
        return "changes, soft deletes"
    return "changes, deletes, merges" if one.mergeable else "changes, deletes"


async def _asked(store: Store, config: Config, now: datetime) -> list[dict[str, Any]]:
    """Return what each configured org was asked in the last 24 hours, and what it said of its limits."""
    states, asked = await store.calls.states(), []
    for name in config.orgs:
        spent = await store.calls.since(name, minute_of(now - timedelta(days=1)))
        asked.append({"org": name, "calls": sum(spent.values()), **asdict(states.get(name, OrgState()))})
    return asked


def _orgs_table(asked: list[dict[str, Any]], now: datetime, shared: Sharing | None) -> Table:
    """Show what each org was asked, how it stands, and who polls it where several processes share the work."""
    more = ["polled by"] if shared else []
    table = printing.table("org", "our calls in 24h", "api_budget", "everybody's", "allowed", "pace", *more)
    for one in asked:
        counts = [f"{one[key]:,}" if one[key] is not None else "-" for key in ("calls", "budget", "used", "allowed")]
        table.add_row(escape(one["org"]), *counts, escape(_pace(one, now)), *printing.holder(shared, "org", one["org"]))
    return table


def _pace(one: dict[str, Any], now: datetime) -> str:
    """Say whether an org is polled as configured."""
    if one["paused_until"] and one["paused_until"] > now:
        return f"paused until {printing.instant(one['paused_until'])}: {one['pause_reason']}"
    if one["stretch"] > 1:
        until = f" until {printing.instant(one['stretched_until'])}" if one["stretched_until"] else ""
        return f"intervals are {one['stretch']:.1f} times as long{until}, to stay within api_budget"
    return "as configured" if one["heard_at"] else "-"


def _explained(trouble: OpenTrouble, now: datetime) -> str:
    """Say what is wrong with whom, since when, and what to do about it."""
    told = facts.told(trouble)
    since = f"since {printing.instant(trouble.since)} ({format_span(max(0.0, (now - trouble.since).total_seconds()))})"
    lines = [f"{facts.concerned(trouble)}: {trouble.error}"]
    if told["means"]:
        lines += [f"  {told['means']}; {since}. What happens: {told['what_happens']}."]
        lines += [f"  What to do: {told['what_to_do']}.", *([f"  {told['help']}"] if told["help"] else [])]
    else:
        lines += [f"  {since}"]
    return "\n".join(lines)


def _phase(marks: Watermarks) -> str:
    return "[green]ok[/]" if marks.backfill_done else "[cyan]reading what was there before[/]"


def _unfinished(feeds: Iterable[FeedHealth]) -> Iterator[str]:
    """Say how far the backfills are that are under way, a line for each."""
    for feed in feeds:
        marks = feed.marks
        if not marks.backfill_done:
            total = f" of about {marks.backfill_total:,}" if marks.backfill_total else ""
            percent = "" if marks.backfill_percent is None else f" ({marks.backfill_percent} %)"
            name = escape(f"{feed.org}/{feed.object}")
            yield f"[cyan]…[/] {name}: {marks.backfill_rows:,}{total} records from before its start are read{percent}"
