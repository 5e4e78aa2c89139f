"""``salesforce-poller replay``: owes events again. What that means is in ``actions/replay.py``."""

from typing import Any

from rich.markup import escape

from salesforce_poller import printing
from salesforce_poller.actions import orders, overview
from salesforce_poller.clock import Clock, SystemClock
from salesforce_poller.commands import desk, options
from salesforce_poller.config import Config
from salesforce_poller.errors import PollerError
from salesforce_poller.store.store import Store

#: Events in one order: a few seconds' work for whoever has the store.
PART = 10_000
_COLUMNS = {"again": "as replays", "revived": "were given up", "waiting": "owed already", "ahead": "still before it"}


def replay(
    path: options.ConfigFile = options.CONFIG,
    *,
    event: options.OfEvent = None,
    record: options.OfRecord = None,
    object_name: options.OfObject = None,
    org: options.OfOrg = None,
    kind: options.OfKind = None,
    since: options.Since = None,
    until: options.Until = None,
    sink: options.OfSink = None,
    everything: options.Everything = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Owe events to sinks again: they keep their ids, say replay beside it, and arrive in order for each record."""
    order = {**options.said(locals()), "all": everything, "dry_run": dry_run}
    orders.read(orders.Replay, order).checked()
    settings, clock = options.load(path), SystemClock()
    options.go(owe_again(settings, order, clock=clock, as_json=as_json))


async def owe_again(config: Config, order: dict[str, Any], *, clock: Clock, as_json: bool, part: int = PART) -> None:
    """Hand the order over part by part, and show what it came to. Raises what ``desk.hand_over`` raises."""
    told: dict[str, Any] = {"dry_run": order["dry_run"], "selected": 0, "sinks": {}}
    rest: dict[str, Any] = {"most": part}
    say = printing.console(stderr=True)
    with say.status("Looking through the events …") as status:
        while True:
            try:
                answer = await desk.hand_over(config, "replay", {**order, **rest}, clock=clock)
            except PollerError as exc:
                if not told["selected"]:
                    raise
                raise PollerError(f"after {printing.count(told['selected'], 'event')}: {exc}") from exc
            told["selected"] += answer["selected"]
            for name, owed in answer["sinks"].items():
                before = told["sinks"].setdefault(name, dict.fromkeys(owed, 0))
                told["sinks"][name] = {key: before[key] + value for key, value in owed.items()}
            if answer["next"] is None:
                break
            rest |= {"after": answer["next"], "through": answer["through"]}
            status.update(f"{printing.count(told['selected'], 'event')} …")
    if as_json:
        printing.as_json(told)
    else:
        await _show(config, told)


async def _show(config: Config, told: dict[str, Any]) -> None:
    console = printing.console()
    if not told["selected"]:
        console.print(
            "No such events. They are kept for `keep_events` of \\[store], longer where somebody is owed them."
        )
        return
    verb = "Would owe" if told["dry_run"] else "Owed again"
    console.print(
        f"{verb}, of {printing.count(told['selected'], 'event')} selected (a sink's filters may leave some out):\n"
    )
    table = printing.table("sink", *_COLUMNS.values())
    for name, owed in told["sinks"].items():
        table.add_row(escape(name), *(f"{owed[key]:,}" for key in _COLUMNS))
    console.print(table)
    async with Store(config.store.url, writable=False) as store:
        views = await overview.of_sinks(store, list(told["sinks"]))
    waiting = [one for one in views if one.name in told["sinks"] and (one.paused or one.down_since or not one.started)]
    if waiting:
        console.print("", *printing.sink_troubles(waiting), sep="\n")
