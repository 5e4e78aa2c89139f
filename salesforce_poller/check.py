"""Proves a configuration against the real orgs and sinks. Called by the ``check`` command; nothing is changed anywhere.

Only a login may bring a new refresh token, which is stored.

For each org: the login, whether it is the org that the store is about, then every feed: can the object be read, are
all its fields there, can its deletions be seen, what will it cost. For each sink: can it be reached. Each is a
:class:`Finding`, told as soon as it is known.
"""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from salesforce_poller import orgs
from salesforce_poller.clock import Clock, write_span
from salesforce_poller.config import Config, OrgConfig
from salesforce_poller.delivery import filters
from salesforce_poller.errors import ObjectUnknown, OrgRefused, PollerError, Refused, StoreError
from salesforce_poller.model import Verdict
from salesforce_poller.polling import columns, forecast, plan
from salesforce_poller.polling.schema import Schema
from salesforce_poller.polling.settings import FeedSettings
from salesforce_poller.salesforce import permissions
from salesforce_poller.salesforce.client import Org
from salesforce_poller.salesforce.usage import Usage
from salesforce_poller.sinks import catalogue
from salesforce_poller.sinks.base import SinkSettings
from salesforce_poller.store.settings import StoreSettings


class Mark(Enum):
    """How a finding looks."""

    GOOD = "good"
    #: It works, and there is something to know.
    NOTE = "note"
    BAD = "bad"


#: By org and object: the paths that a feed reads, or None when that is not known.
_Read = dict[tuple[str, str], tuple[str, ...] | None]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    mark: Mark
    #: ``acme``, ``acme/Lead``, ``sink crm``.
    about: str
    text: str


def calls_needed(config: Config) -> int:
    """Return about how many API requests a check makes."""
    return sum(1 + 3 * len(org.objects) for org in config.orgs.values())


def calls_per_day(config: Config) -> dict[str, int]:
    """Return what each org will be asked in a quiet day."""
    return {name: forecast.of_org(org.objects).calls for name, org in config.orgs.items()}


async def findings(config: Config, *, clock: Clock) -> AsyncGenerator[Finding, None]:
    """Check everything, in the order of the file."""
    read: _Read = {}
    for name, org in config.orgs.items():
        async with aclosing(_check_org(name, org, config.store, clock, read)) as found:
            async for finding in found:
                yield finding
    for name, settings in config.sinks.items():
        sink = catalogue.build(settings, clock)
        try:
            await sink.open()
            receipt = await sink.probe()
            reached = receipt.verdict is Verdict.ACCEPTED
            warnings = await sink.warnings() if reached else []
        finally:
            await sink.close()
        yield Finding(Mark.GOOD if reached else Mark.BAD, f"sink {name}", receipt.detail or "can be reached")
        for warning in warnings:
            yield Finding(Mark.NOTE, f"sink {name}", warning)
        if missing := _never_sent(settings, read):
            yield Finding(Mark.BAD, f"sink {name}", f"fields: no feed of this sink reads {', '.join(missing)}")


def _never_sent(settings: SinkSettings, read: _Read) -> list[str]:
    """Return the ``fields`` of a sink that none of its feeds reads; none, as long as one of these is not known."""
    feeds = [
        paths
        for (org, object_name), paths in read.items()
        if filters.chooses(settings.orgs, org) and filters.chooses(settings.objects, object_name)
    ]
    if None in feeds:
        return []
    known = [f"{path.casefold()}." for paths in feeds for path in paths or ()]
    return [each for each in settings.fields or () if not any(path.startswith(f"{each.casefold()}.") for path in known)]


async def _check_org(
    name: str, settings: OrgConfig, store: StoreSettings, clock: Clock, read: _Read
) -> AsyncGenerator[Finding, None]:
    read.update({(name, object_name): None for object_name in settings.objects})
    async with AsyncExitStack() as stack:
        try:
            org = await stack.enter_async_context(orgs.opened(name, settings, store, clock=clock))
            if note := await _remind(org, store):
                yield note
            await org.login()
            organization_id = await org.organization_id()
        except PollerError as exc:
            yield Finding(Mark.BAD, name, _explained(exc))
            return
        yield Finding(
            Mark.GOOD, name, f"logged in to organisation {organization_id}, API version {settings.api_version}"
        )
        try:
            usage, finding = await _check_limits(org)
        except OrgRefused as exc:
            yield Finding(Mark.BAD, name, _explained(exc))
            return  # every feed would be told the same
        yield finding
        yield _check_budget(name, settings, usage)
        expected = forecast.of_org(settings.objects)
        for object_name, feed in settings.objects.items():
            about = f"{name}/{object_name}"
            try:
                schema = await columns.describe_feed(org, object_name, feed.fields)
                read[name, object_name] = schema.visible
                async for finding in _check_feed(org, about, schema, feed, expected.by_object[object_name]):
                    yield finding
            except PollerError as exc:
                yield Finding(Mark.BAD, about, _explained(exc, object_name))


async def _remind(org: Org, store: StoreSettings) -> Finding | None:
    """Have an org refuse to be another one than its feeds were read from, as it will in the daemon."""
    try:
        known = await orgs.known_organization(org.name, store)
    except StoreError as exc:
        return Finding(Mark.NOTE, org.name, f"whether it is the org that was read before cannot be told: {exc}")
    if known is not None:
        org.expect(known)
    return None


async def _check_limits(org: Org) -> tuple[Usage | None, Finding]:
    """See whether the org tells how many API requests are left; polling works without.

    Raises:
        OrgRefused: the whole org is closed to us, and not only its limits.
    """
    try:
        usage = await org.limits()
    except OrgRefused:
        raise
    except Refused as exc:
        wanted = permissions.system("View Setup and Configuration")
        told = f"does not tell its API limits ({exc}). Missing, if it is to: {wanted}"
        return None, Finding(Mark.NOTE, org.name, told)
    except PollerError as exc:
        return None, Finding(Mark.NOTE, org.name, f"does not tell its API limits: {_explained(exc)}")
    told = f"{usage.used:,} of {usage.allowed:,} API requests were used in the last 24 hours"
    return usage, Finding(Mark.GOOD, org.name, told)


def _check_budget(name: str, settings: OrgConfig, usage: Usage | None) -> Finding:
    """Compare what polling will cost with what it may, and say what would fit."""
    outlook = forecast.outlook(settings.objects, settings.api_budget, usage)
    allowed = "" if usage else ", if this is the smallest org there is"
    told = f"about {outlook.forecast.calls:,} calls a day; api_budget allows {outlook.budget:,}{allowed}"
    if outlook.fitting is None:
        left = "" if outlook.left is None else f"; {outlook.left:,} are left for people and other programs now"
        return Finding(Mark.GOOD, name, told + left)
    fitting = ", ".join(f'{key} "{write_span(one)}"' for key, one in outlook.fitting.items())
    return Finding(Mark.BAD, name, f"{told}. Intervals would be stretched; this `every` would fit: {fitting}")


async def _check_feed(
    org: Org, about: str, schema: Schema, feed: FeedSettings, calls: int
) -> AsyncGenerator[Finding, None]:
    if schema.dropped:
        told = f"cannot read {', '.join(schema.dropped)}: no such field, or hidden from this user"
        wanted = permissions.fields(schema.object, schema.dropped)
        yield Finding(Mark.BAD, about, f"{told}. Missing, where it exists: {wanted}")
    now = org.server_now()
    window = plan.backfill_window(schema, feed, plan.first_marks(feed, now, now))
    async for _ in org.pages(plan.nothing_of(window, now)):
        pass  # the query is accepted: columns, condition and permissions are in order
    cost = f"{len(schema.visible)} fields, about {calls:,} calls a day"
    if not schema.replicateable:
        text = f"{cost}; is not replicateable: no hard deletes, late commits for {_minutes(plan.LOOK_BACK)} only"
        yield Finding(Mark.NOTE, about, text)
        return
    await org.deleted(schema.object, now - plan.SHORTEST_SPAN, now)
    yield Finding(Mark.GOOD, about, f"{cost}; deletions can be seen")


def _explained(error: PollerError, object_name: str | None = None) -> str:
    """Say what went wrong and what to do; where a permission is missing, which one."""
    if permission := permissions.missing_for(error, object_name):
        missing = "Missing, if its name is right" if isinstance(error, ObjectUnknown) else "Missing"
        return f"{str(error).rstrip('.')}. {missing}: {permission}. See {error.facts.help_url}"
    return error.explained()


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:.0f} minutes"
