"""Logs a person in to an org in the browser and stores the refresh token. Called by the ``login`` command.

In this order, so that nobody types a password in vain: the configuration, the store, a free port, the browser, the
code, the refresh token on disk, and then the proof that it works. ``salesforce/authorize.py`` thinks.
"""

import asyncio
import html
import secrets
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from salesforce_poller.admin import server
from salesforce_poller.clock import Clock, format_span
from salesforce_poller.config import Config, OrgConfig
from salesforce_poller.errors import ConfigError, LoginRefused, PollerError, Stopped, TryLater
from salesforce_poller.orgs import store_for_tokens
from salesforce_poller.salesforce import authorize, wire
from salesforce_poller.salesforce.authorize import Attempt
from salesforce_poller.salesforce.session import Session
from salesforce_poller.salesforce.transport import Transport

PORT = 8765
PATIENCE = timedelta(minutes=5)
#: The browser finds the name localhost at this address; nobody outside of this machine does.
_LOOPBACK = "127.0.0.1"
_HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
}
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>salesforce-poller</title>
<style>body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 20vh auto; padding: 0 1rem }}</style>
<h1>{title}</h1><p>{text}</p></html>
"""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Who we are from now on."""

    organization_id: str
    #: The user's name; the user's id where the app may not ask for the name.
    user: str


@dataclass(frozen=True, slots=True)
class Hands:
    """What a login does outside of this program."""

    #: Tells the person something, one line.
    say: Callable[[str], None]
    #: Opens an address in a browser, in a thread of its own. None: only say the address.
    browse: Callable[[str], object] | None
    #: Returns text that nobody can guess, of so many random bytes.
    random_text: Callable[[int], str] = secrets.token_urlsafe


async def run(
    config: Config,
    name: str,
    hands: Hands,
    *,
    clock: Clock,
    stop: asyncio.Event,
    port: int = PORT,
    patience: timedelta = PATIENCE,
) -> LoggedIn:
    """Log in; what is returned was proven with the refresh token that is now in the store.

    Raises:
        ConfigError: there is no such org, it logs in in another way, or the port is taken.
        StoreInUse: a daemon is using the store.
        LoginRefused: a person must do something else first.
        OrgRefused: the browser was logged in to another org than the one that the feeds were read from.
        TryLater: nobody came back from the browser in time, or Salesforce is not itself.
        Stopped: the person has had enough.
    """
    settings = _settings(config, name)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(store_for_tokens(config.store))
        transport = Transport(settings, clock=clock)
        stack.push_async_callback(transport.close)
        session = Session(name, settings, transport, clock=clock, keeper=store.secrets.keeper(name, clock))
        for feed in await store.feeds.health():
            if feed.org == name:
                session.expect(feed.marks.organization_id)
        attempt = Attempt(authorize.redirect_uri(port), state=hands.random_text(32), verifier=hands.random_text(48))
        desk = await stack.enter_async_context(_listening(attempt, port))
        _send_to_browser(authorize.address(settings, attempt), attempt, hands)
        code = await desk.code(stop, patience)
        try:
            await session.redeem(authorize.exchange(settings, attempt, code))
            found = await _prove(session)
        except PollerError as exc:
            desk.outcome.set_result(exc)
            raise
        desk.outcome.set_result(None)
    return found


def _settings(config: Config, name: str) -> OrgConfig:
    if name not in config.orgs:
        raise ConfigError([f"there is no org named {name}; there is {', '.join(config.orgs)}"])
    settings = config.orgs[name]
    if settings.auth != "refresh_token":
        raise ConfigError(
            [f'orgs.{name}.auth is "{settings.auth}", which needs no login in a browser; "refresh_token" does']
        )
    return settings


def _send_to_browser(address: str, attempt: Attempt, hands: Hands) -> None:
    hands.say(f"The app needs this callback address: {attempt.redirect_uri}")
    if hands.browse is None:
        hands.say("Open this address in a browser on this machine, log in and allow access:")
    else:
        # A browser for terminals comes back only when it is closed: it gets a thread that nobody waits for.
        threading.Thread(target=hands.browse, args=(address,), daemon=True).start()
        hands.say("Log in and allow access in the browser. If none opens, open this address on this machine:")
    hands.say(address)


async def _prove(session: Session) -> LoggedIn:
    """Log in as the daemon will do, with nothing but what is on disk."""
    token = await session.token()
    organization_id = await session.organization_id()
    try:
        user = wire.read_username(await session.userinfo())
    except PollerError:
        # The token works, as the organisation shows; the name is a nicety that a narrow scope may hide.
        user = token.user_id or "an unnamed user"
    return LoggedIn(organization_id, user)


class _Desk:
    """Where the browser comes back to: takes the first answer that is ours, and tells the person how it went."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[dict[str, str]] = loop.create_future()
        #: What came of it: an error, or None when all is well.
        self.outcome: asyncio.Future[PollerError | None] = loop.create_future()

    async def callback(self, request: Request) -> HTMLResponse:
        """Answer the browser."""
        parameters = dict(request.query_params)
        if not authorize.is_ours(parameters, self._attempt):
            return _page(400, "Not from here", "This is no answer to the login that salesforce-poller is waiting for.")
        if not self._answer.done():
            self._answer.set_result(parameters)
        error = await asyncio.shield(self.outcome)
        if error is not None:
            return _page(400, "That did not work", str(error))
        return _page(200, "You are logged in", "salesforce-poller has what it needs. You can close this page.")

    async def code(self, stop: asyncio.Event, patience: timedelta) -> str:
        """Wait for the code. Raises like :func:`run`."""
        stopping = asyncio.create_task(stop.wait())
        either: list[asyncio.Future[Any]] = [self._answer, stopping]
        await asyncio.wait(either, timeout=patience.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._answer.done():
            try:
                return authorize.code_of(self._answer.result())
            except (LoginRefused, TryLater) as exc:
                self.outcome.set_result(exc)
                raise
        if stop.is_set():
            raise Stopped("stopped; nothing was stored")
        waited = format_span(patience.total_seconds())
        raise TryLater(f"nobody came back from the browser within {waited}; nothing was stored")


@asynccontextmanager
async def _listening(attempt: Attempt, port: int) -> AsyncIterator[_Desk]:
    desk = _Desk(attempt)
    application = Starlette(routes=[Route(authorize.CALLBACK_PATH, desk.callback)])
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(server.serving(application, (_LOOPBACK, port)))
        except ConfigError as exc:
            reason = exc.__cause__.strerror if isinstance(exc.__cause__, OSError) else ""
            raise ConfigError(
                [f"cannot listen on port {port} of this machine: {reason}; choose another --port, and register it"]
            ) from exc
        try:
            yield desk
        finally:
            if not desk.outcome.done():  # the server ends only when everybody has been answered
                desk.outcome.set_result(Stopped("salesforce-poller was stopped; nothing was stored"))


def _page(status: int, title: str, text: str) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(title=html.escape(title), text=html.escape(text)), status, headers=_HEADERS)
