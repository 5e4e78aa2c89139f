"""Who we are at the org: logs in, keeps the session, and logs in anew when it was lost. One login at a time.

Used by ``client.py`` before every request. ``auth.py`` thinks (forms in, tokens out); ``transport.py`` sends.
"""

import asyncio
from http import HTTPStatus

from salesforce_poller.errors import LoginRefused
from salesforce_poller.salesforce import auth, troubles, wire
from salesforce_poller.salesforce.settings import OrgSettings
from salesforce_poller.salesforce.transport import Transport

_NOT_ACCEPTED = troubles.our_facts("ACCESS_TOKEN")


class Session:
    """The session of one org, shared by everybody who asks it something."""

    def __init__(self, settings: OrgSettings, transport: Transport) -> None:
        self._settings = settings
        self._transport = transport
        self._token: auth.Token | None = None
        self._organization_id: str | None = None
        self._lock = asyncio.Lock()

    async def token(self, stale: auth.Token | None = None) -> auth.Token:
        """Return a token that is not the stale one; however many polls meet a 401, one of them logs in.

        Raises:
            LoginRefused: a person must act.
            TryLater: the login did not work this time.
        """
        async with self._lock:
            if self._token is None or self._token is stale:
                self._token = await self._log_in(stale)
            return self._token

    def forget(self, token: auth.Token) -> None:
        """Log in anew next time: only a login tells where an org is that was moved to another instance."""
        if self._token is token:
            self._token = None

    async def organization_id(self) -> str:
        """Return the organisation's own id (18 characters)."""
        if self._organization_id is None:
            token = await self.token()
            self._organization_id = token.organization_id or await self._ask_organization_id(token)
        return self._organization_id

    async def _log_in(self, stale: auth.Token | None) -> auth.Token:
        self._organization_id = None  # a refreshed sandbox answers to the same name
        if self._settings.auth == "access_token":
            if stale is not None:
                raise LoginRefused(
                    "the access token is not accepted any more", facts=troubles.our_facts("ACCESS_TOKEN")
                )
            return auth.given_token(self._settings)
        form = auth.token_request(self._settings)
        answer = await self._transport.exchange("POST", self._settings.login_url + auth.TOKEN_PATH, data=form)
        return auth.read_token(answer.status, answer.body)

    async def _ask_organization_id(self, token: auth.Token) -> str:
        """Ask userinfo, which is not metered, when the token itself does not tell."""
        headers = {"authorization": f"Bearer {token.access_token}"}
        answer = await self._transport.exchange("GET", token.instance_url + auth.USERINFO_PATH, headers=headers)
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise LoginRefused("the access token is not accepted (userinfo)", facts=_NOT_ACCEPTED)
        return wire.read_organization_id(wire.decipher(answer.status, answer.headers, answer.body))
