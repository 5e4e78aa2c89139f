"""The desk where people's orders are taken, whichever door they come in by: ``sinks/crm/pause``, ``replay``, ….

``admin/api.py`` hands over what was posted to the daemon; ``commands/desk.py`` does the same in a daemon's absence. So
a command and its HTTP twin are one thing. Each order answers with a dict, and with an error of ``errors.py`` that says
what would be right: NotUnderstood, NotKnown or NotNow.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import structlog

from salesforce_poller.actions import orders, replay, sharing
from salesforce_poller.actions.present import Present
from salesforce_poller.clock import Clock
from salesforce_poller.errors import NotKnown, NotNow
from salesforce_poller.model import Duty
from salesforce_poller.store.pauses import Pause
from salesforce_poller.store.selection import Selection
from salesforce_poller.store.store import Store

log = structlog.get_logger()

#: Seconds that a poll is waited for before the answer is that it goes on.
_PATIENCE = 20.0


class Poller(Protocol):
    """What the desk needs of those who poll; there is none where no daemon runs."""

    def polls(self, org: str) -> bool:
        """Say whether this process polls an org at this moment."""

    async def poll(self, org: str, object_name: str) -> bool | None:
        """Give the feed a turn now, and say whether it worked out; None when one is under way. Raises NotNow."""


#: Reads the configuration again and puts it into effect; returns what was changed. Raises ConfigError, NotNow.
Reload = Callable[[], Awaitable[dict[str, Any]]]


class Desk:
    """Takes orders about what is configured at ``present``. Where no daemon runs, nobody polls and nobody reloads."""

    def __init__(
        self,
        store: Store,
        *,
        present: Present,
        clock: Clock,
        poller: Poller | None = None,
        reload: Reload | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._present = present
        self._clock = clock
        self._poller = poller
        self._reload = reload
        self._stopping = stopping

    async def take(self, order: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out an order, named by its path; ``said`` is its body.

        Raises:
            NotUnderstood: the body is wrong.
            NotKnown: there is no such order, sink, feed, org or object.
            NotNow: it cannot be done at this moment.
            ConfigError: the configuration that was read again is wrong.
            StoreError: the store failed.
        """
        if self._stopping():
            raise NotNow("the daemon is stopping; try again when it runs")
        match order.split("/"):
            case ["replay"]:
                return await self._replay(orders.read(orders.Replay, said))
            case ["dead", "requeue" | "drop" as verb]:
                return await self._dead(verb, orders.read(orders.Repair, said))
            case ["sinks", name, "pause" | "resume" as verb]:
                return await self._sink(name, verb, said)
            case ["feeds", org, name, "poll" | "pause" | "resume" as verb]:
                return await self._feed(org, name, verb, said)
            case ["reload"]:
                orders.read(orders.Nothing, said)
                return await self._read_again()
        raise NotKnown(
            f"there is no order {order!r}; there is sinks/NAME/pause, sinks/NAME/resume, feeds/ORG/OBJECT/poll, "
            "feeds/ORG/OBJECT/pause, feeds/ORG/OBJECT/resume, replay, dead/requeue, dead/drop and reload"
        )

    async def check_names(self, wanted: orders.Wanted) -> None:
        """Raise NotKnown where an org, an object or a sink is named that is neither configured nor in the store."""
        if wanted.org and wanted.org not in {org for org, _ in self._present.feeds}:
            await self._check_there(
                "org", wanted.org, Selection(org=wanted.org), sorted({org for org, _ in self._present.feeds})
            )
        names = {name.lower() for _, name in self._present.feeds}
        if wanted.object and wanted.object.lower() not in names:
            known = sorted({name for _, name in self._present.feeds})
            await self._check_there("object", wanted.object, Selection(object=wanted.object), known)
        known = sorted({*self._present.wants, *await self._store.repairs.sinks()})
        for name in wanted.sink or []:
            if name not in known:
                raise NotKnown(f"there is no sink named {name}; there is {', '.join(known)}")

    async def _check_there(self, what: str, name: str, selection: Selection, known: Sequence[str]) -> None:
        if not await self._store.repairs.following(selection, after=0, limit=1):
            raise NotKnown(f"there is no {what} named {name}; there is {', '.join(known)}")

    # ------------------------------------------------------------------ deliveries

    async def _replay(self, order: orders.Replay) -> dict[str, Any]:
        order.checked()
        await self.check_names(order)
        wants = self._present.wants  # those of this moment: a reload may change them in the middle
        configured = [name for name in wants if order.sink is None or name in order.sink]
        self._check_configured(order.sink or [])
        ran = await self._store.repairs.sinks()
        if order.sink and (new := [name for name in configured if name not in ran]):
            raise NotNow(f"the sink {new[0]} is new: nothing can be owed to it before the first run with it")
        through = await self._store.repairs.end() if order.through is None else order.through
        done = await replay.owe_again(
            self._store.repairs,
            {name: wants[name] for name in configured if name in ran},
            order.selection(self._clock.now()),
            replay.Extent(order.after, through, order.most),
            clock=self._clock,
            dry_run=order.dry_run,
            stopping=self._stopping,
        )
        told = {name: asdict(owed) for name, owed in done.sinks.items()}
        if not order.dry_run:
            log.info("replay.owed", selected=done.selected, sinks=told)
        return {
            "dry_run": order.dry_run,
            "selected": done.selected,
            "sinks": told,
            "through": through,
            "next": done.next,
        }

    async def _dead(self, verb: str, order: orders.Repair) -> dict[str, Any]:
        order.checked()
        await self.check_names(order)
        selection = order.selection(self._clock.now())
        ran = await self._store.repairs.sinks()
        if verb == "requeue":
            ran = [name for name in ran if name in self._present.wants]
            self._check_configured(order.sink or [])
        names = order.sink or ran
        if order.dry_run:
            counts = await self._store.repairs.count_dead(selection, names)
        elif verb == "requeue":
            counts = await self._store.repairs.requeue(selection, names, self._clock.now())
        else:
            counts = await self._store.repairs.drop(selection, names)
        if counts and not order.dry_run:
            log.info("dead.requeued" if verb == "requeue" else "dead.dropped", sinks=counts)
        return {"dry_run": order.dry_run, "sinks": counts}

    def _check_configured(self, names: Sequence[str]) -> None:
        if gone := [name for name in names if name not in self._present.wants]:
            raise NotKnown(f"the sink {gone[0]} is not in the configuration any more: nobody would deliver to it")

    # ------------------------------------------------------------------ sinks and feeds

    async def _sink(self, name: str, verb: str, said: Mapping[str, Any]) -> dict[str, Any]:
        if name not in self._present.wants:
            raise NotKnown(f"there is no sink named {name}; there is {', '.join(self._present.wants)}")
        reason = orders.read(orders.Pause, said).reason if verb == "pause" else ""
        if verb == "resume":
            orders.read(orders.Nothing, said)
        if not await self._store.outbox.knows(name):
            raise NotNow(f"the sink {name} is new: it begins with the next run, and can be paused then")
        before = await self._store.outbox.sink(name)
        if verb == "pause":
            await self._store.outbox.pause(name, reason)
        elif before.paused:
            await self._store.outbox.resume(name)
        log.info("sink.paused" if verb == "pause" else "sink.resumed", sink=name, reason=reason or before.paused)
        return {"sink": name, "paused": reason, "was_paused": before.paused}

    async def _feed(self, org: str, name: str, verb: str, said: Mapping[str, Any]) -> dict[str, Any]:
        if (org, name) not in self._present.feeds:
            known = ", ".join(f"{one}/{other}" for one, other in self._present.feeds)
            raise NotKnown(f"there is no feed {org}/{name}; there is {known}")
        if self._poller is not None and not (self._store.is_shared or self._poller.polls(org)):
            raise NotNow(f"{org} is not polled by this process at the moment; its log says why")
        paused = {(one.org, one.object): one.why for one in await self._store.pauses.all()}
        before = paused.get((org, name), "")
        told = {"feed": f"{org}/{name}", "paused": "", "was_paused": before}
        match verb:
            case "poll":
                orders.read(orders.Nothing, said)
                return await self._poll(org, name, before)
            case "pause":
                told["paused"] = orders.read(orders.Pause, said).reason
                await self._store.pauses.begin(Pause(org, name, told["paused"], self._clock.now()))
            case _:
                orders.read(orders.Nothing, said)
                await self._store.pauses.end(org, name)
        log.info(
            "feed.paused" if verb == "pause" else "feed.resumed", org=org, object=name, reason=told["paused"] or before
        )
        return told

    async def _read_again(self) -> dict[str, Any]:
        if self._reload is None and self._store.is_shared:
            return {"asked": await self._store.leases.ask_to_reload()}
        if self._reload is None:
            raise NotNow("no daemon is running on this store; the next one reads the configuration when it starts")
        return await self._reload()

    async def _poll(self, org: str, name: str, paused: str) -> dict[str, Any]:
        if self._poller is None and not self._store.is_shared:
            raise NotNow("no daemon is running on this store; a poll is the daemon's affair")
        if paused:
            raise NotNow(f"{org}/{name} is paused ({paused}); resume it, and it is polled at once")
        if self._poller is None or (self._store.is_shared and not self._poller.polls(org)):
            await self._check_somebody_polls(org)
            await self._store.pauses.ask_for_poll(org, name)  # whoever polls it hears of it; its answer stays there
            return {"feed": f"{org}/{name}", "done": False, "events": 0, "error": ""}
        end = await self._store.repairs.end()
        turn = asyncio.ensure_future(self._poller.poll(org, name))
        done, _ = await asyncio.wait([turn], timeout=_PATIENCE)
        worked = turn.result() if done else None
        told: dict[str, Any] = {"feed": f"{org}/{name}", "done": worked is not None, "events": 0, "error": ""}
        if worked is not None:
            told["events"] = await self._store.repairs.count(Selection(org=org, object=name), after=end)
        if worked is False:
            told["error"] = await self._error(org, name)
        return told

    async def _check_somebody_polls(self, org: str) -> None:
        """Raise NotNow where no process holds an org, and so none would hear that it shall be polled."""
        shared = await sharing.of(self._store, [Duty("org", org)])
        assert shared is not None, "who has the store alone polls by itself, or not at all"
        if self._poller is None and not any(one.alive for one in shared.processes):
            raise NotNow("no daemon is running on this store; a poll is the daemon's affair")
        if not shared.holder("org", org):
            raise NotNow(f"no daemon polls {org} at the moment; `salesforce-poller status` tells who is there")

    async def _error(self, org: str, name: str) -> str:
        """Return what is wrong with a feed, or with its whole org."""
        wrong = [one for one in await self._store.feeds.open_troubles() if one.org == org]
        mine = [one.error for one in wrong if one.object == name] + [one.error for one in wrong if one.object is None]
        return mine[0] if mine else "it is held back: api_budget has no calls left for it now"
