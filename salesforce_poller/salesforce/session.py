"""Who we are at the org: logs in, keeps the session, and logs in anew when it was lost. One login at a time.

Used by ``client.py`` before every request. ``grants.py`` and ``auth.py`` think (forms out, tokens in), ``refusals.py``
decides when not to ask; ``transport.py`` sends. A new refresh token goes to the :class:`Keeper` before anything else.
"""

import asyncio
from collections import deque
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Protocol

from salesforce_poller.clock import Clock
from salesforce_poller.errors import LoginRefused, OrgRefused, PollerError, TryLater
from salesforce_poller.salesforce import auth, grants, refresh_token, refusals, troubles, wire
from salesforce_poller.salesforce.settings import OrgSettings
from salesforce_poller.salesforce.transport import Transport

#: An assertion that was dated more wrongly than this is sent again with the time that the refusal told.
_CLOCK_TOLERANCE = timedelta(seconds=60)
#: Seconds that a login under way may go on after it was called off: its answer may hold a new refresh token.
_LAST_SECONDS = 5.0
_NOT_ACCEPTED = troubles.our_facts("ACCESS_TOKEN")
_NO_TOKEN = troubles.our_facts("REFRESH_TOKEN")


class Keeper(Protocol):
    """Remembers what one org must not lose, encrypted and on disk."""

    async def load(self) -> str | None:
        """Return what was saved last; None when nothing was. Raises PollerError when it cannot be read."""

    async def save(self, secret: str) -> None:
        """Have it on disk when this returns. Raises StoreError when that fails."""


class Session:
    """The session of one org, shared by everybody who asks it something.

    Args:
        name: the org's name in the configuration.
        settings: where to log in, and as whom.
        transport: sends.
        clock: the machine's.
        keeper: where refresh tokens are kept; ``auth = "refresh_token"`` needs one.
    """

    def __init__(
        self, name: str, settings: OrgSettings, transport: Transport, *, clock: Clock, keeper: Keeper | None = None
    ) -> None:
        self._name = name
        self._settings = settings
        self._transport = transport
        self._clock = clock
        self._keeper = keeper
        self._token: auth.Token | None = None
        self._organization_id: str | None = None
        #: The organisation behind the first login; another one behind a later login has nothing to do with it.
        self._known_organization: str | None = None
        self._lock = asyncio.Lock()
        self._attempts = 0
        self._failure: PollerError | None = None
        self._refusal: refusals.Refusal | None = None
        #: The time that the last form was dated by.
        self._dated: datetime = clock.now()
        self._logins: deque[float] = deque(maxlen=refusals.MOST_LOGINS)
        #: A login whose new refresh token is not on disk yet: used by nobody before it is.
        self._unsaved: auth.Token | None = None

    async def token(self, stale: auth.Token | None = None) -> auth.Token:
        """Return a token that is not the stale one; however many polls meet a 401, one of them logs in.

        Raises:
            LoginRefused: a person must act.
            OrgRefused: another organisation is behind the login than before.
            TryLater: the login did not work this time, or was refused a moment ago.
            StoreError: a new refresh token could not be stored.
        """
        seen = self._attempts
        async with self._lock:
            if self._token is stale:
                self._token = None
            if self._token is None:
                self._mind_refusals(seen)
                self._token = await self._attempt(stale)
            return self._token

    def forget(self, token: auth.Token) -> None:
        """Log in anew next time: only a login tells where an org is that was moved to another instance."""
        if self._token is token:
            self._token = None

    def refused(self, token: auth.Token, error: OrgRefused) -> OrgRefused:
        """Take note that a new session is not accepted: for a while, everybody is told so instead of logging in."""
        if self._token is token:
            self._token = None
            self._remember(error)
        return error

    async def organization_id(self) -> str:
        """Return the organisation's own id (18 characters)."""
        if self._organization_id is None:
            token = await self.token()
            have = token.organization_id or wire.read_organization_id(await self.userinfo())
            self._check_organization(have)
            self._organization_id = have
        return self._organization_id

    def expect(self, organization_id: str) -> None:
        """Accept logins to this organisation only: what is in the store is about it."""
        self._known_organization = organization_id

    async def redeem(self, form: dict[str, str]) -> None:
        """Fetch what a person has approved, and store the refresh token; the next :meth:`token` uses it.

        Raises:
            LoginRefused: the code is not accepted, or the app gives no refresh tokens.
            OrgRefused: it is for another organisation than :meth:`expect` said; nothing is stored.
            StoreError: it could not be stored.
        """
        token = await self._ask(form)
        if token.refresh_token is None:
            raise LoginRefused(
                "the app gives no refresh token; add the scope "
                '"Perform requests at any time (refresh_token, offline_access)" to it, and log in again'
            )
        try:
            if token.organization_id:
                self._check_organization(token.organization_id)
        except OrgRefused as exc:
            told = f"{exc}; if the browser was logged in to the wrong org, log out there and begin again"
            raise OrgRefused(told, facts=exc.facts) from exc
        await self._keep(token)

    async def userinfo(self) -> Any:
        """Ask who we are; not metered."""
        token = await self.token()
        headers = {"authorization": f"Bearer {token.access_token}"}
        answer = await self._transport.exchange("GET", token.instance_url + auth.USERINFO_PATH, headers=headers)
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise LoginRefused("the access token is not accepted (userinfo)", facts=_NOT_ACCEPTED)
        return wire.decipher(answer.status, answer.headers, answer.body)

    # ------------------------------------------------------------------ one attempt at a time

    def _mind_refusals(self, seen: int) -> None:
        """Raise what the last attempt was told, for those who waited for it and while it holds."""
        if seen != self._attempts and self._failure is not None:
            raise self._failure.with_traceback(None)
        now = self._clock.monotonic()
        if self._refusal is not None and (told := self._refusal.told_at(now)):
            raise told.with_traceback(None)
        if told := refusals.too_many(self._logins, now):
            raise told

    async def _attempt(self, stale: auth.Token | None) -> auth.Token:
        self._organization_id = None  # a refreshed sandbox answers to the same name
        try:
            token = await self._log_in(stale)
            if token.organization_id:
                self._check_organization(token.organization_id)
        except PollerError as exc:
            self._failure = exc
            self._remember(exc)
            raise
        else:
            self._failure = None
            if self._refusal is not None and type(self._refusal.error) is not OrgRefused:
                self._refusal = None  # of sessions that are refused after good logins, the row goes on
            return token
        finally:
            self._attempts += 1

    def _remember(self, error: PollerError) -> None:
        password = self._settings.auth == "password" and isinstance(error, LoginRefused)
        self._refusal = refusals.after(error, self._refusal, self._clock.monotonic(), password=password)

    def _check_organization(self, have: str) -> None:
        if self._known_organization is None:
            self._known_organization = have
        if have != self._known_organization:
            raise OrgRefused(
                f"this is organisation {have} now, and was {self._known_organization} (a refreshed sandbox?)",
                facts=troubles.our_facts("OTHER_ORGANIZATION"),
            )

    # ------------------------------------------------------------------ logging in

    async def _log_in(self, stale: auth.Token | None) -> auth.Token:
        if self._settings.auth == "access_token":
            if stale is not None:
                raise LoginRefused("the access token is not accepted any more", facts=_NOT_ACCEPTED)
            return auth.given_token(self._settings)
        if self._settings.auth == "refresh_token":
            return await self._uninterrupted(asyncio.ensure_future(self._refresh()))
        try:
            return await self._ask(grants.form(self._settings, now=self._now()))
        except LoginRefused:
            if self._settings.auth != "jwt_bearer" or not self._was_wrongly_dated:
                raise
        # This machine's clock is wrong, and the refusal has told Salesforce's time.
        return await self._ask(grants.form(self._settings, now=self._now()))

    async def _ask(self, form: dict[str, str]) -> auth.Token:
        self._logins.append(self._clock.monotonic())
        url = self._settings.login_url + auth.TOKEN_PATH
        answer = await self._transport.exchange("POST", url, data=form)
        try:
            return auth.read_token(answer.status, answer.body, answer.headers)
        except LoginRefused as exc:
            raise grants.with_hint(exc, self._name, self._settings) from exc

    def _now(self) -> datetime:
        """Return Salesforce's time as far as it is known; before the first answer, this machine's must do."""
        try:
            now = self._transport.server_now()
        except TryLater:
            now = self._clock.now()
        self._dated = now
        return now

    @property
    def _was_wrongly_dated(self) -> bool:
        try:
            return abs(self._transport.server_now() - self._dated) > _CLOCK_TOLERANCE
        except TryLater:
            return False

    # ------------------------------------------------------------------ refresh tokens

    async def _refresh(self) -> auth.Token:
        """Log in with the refresh token. A new one is on disk before the session that came with it is used."""
        if self._unsaved is None:
            sent = await self._present()
            token = await self._ask(grants.form(self._settings, now=self._clock.now(), refresh_token=sent))
            if token.refresh_token in (None, sent):
                return token
            self._unsaved = token
        await self._keep(self._unsaved)
        token, self._unsaved = self._unsaved, None
        return token

    async def _keep(self, token: auth.Token) -> None:
        assert self._keeper is not None
        assert token.refresh_token is not None
        await self._keeper.save(refresh_token.to_keep(token.refresh_token, self._configured))

    async def _present(self) -> str:
        assert self._keeper is not None, 'auth = "refresh_token" needs a keeper'
        command = f"run `salesforce-poller login {self._name}`"
        try:
            token = refresh_token.present(self._configured, await self._keeper.load())
        except OrgRefused as exc:
            raise OrgRefused(str(exc), facts=troubles.our_facts("SECRET_KEY")) from exc
        except ValueError as exc:
            raise LoginRefused(f"what the store has is no refresh token; {command}", facts=_NO_TOKEN) from exc
        if token is None:
            raise LoginRefused(f"there is no refresh token yet; {command}", facts=_NO_TOKEN)
        return token

    @property
    def _configured(self) -> str | None:
        given = self._settings.refresh_token
        return given.get_secret_value() if given else None

    async def _uninterrupted(self, login: asyncio.Future[auth.Token]) -> auth.Token:
        """Wait for a login; one that is called off may come to its end, as its answer may end the old refresh token."""
        try:
            return await asyncio.shield(login)
        except asyncio.CancelledError:
            done, _ = await asyncio.wait([login], timeout=_LAST_SECONDS)
            if done:
                login.exception()  # whatever it is, nobody waits for it any more
            login.cancel()
            raise
