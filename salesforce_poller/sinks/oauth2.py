"""A token for the receiver, by OAuth 2.0 client credentials (RFC 6749, 4.4): fetched, kept, and dropped when refused.

Called by ``webhook.py``, which hands in the way to the endpoint (``transport.py``). What the endpoint says becomes a
token or a receipt in :func:`read`, which is pure; :class:`Tokens` keeps one token, and asks for one at a time.
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus, urlencode

from salesforce_poller.clock import Clock
from salesforce_poller.errors import capped
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import answers
from salesforce_poller.sinks.answers import Answer
from salesforce_poller.sinks.webhook_settings import OAuth2Settings

#: Bytes of the endpoint's answer that are read; tokens with many claims have some thousands.
LONGEST = 65536
#: Seconds before its end at which a token is not used any more; of one that lives shortly, half of its life.
_MARGIN = 60.0

#: Posts headers and a body to the token endpoint.
Post = Callable[[dict[str, str], bytes], Awaitable[Answer | Receipt]]


@dataclass(frozen=True, slots=True)
class Token:
    """What goes into ``Authorization: Bearer …``."""

    value: str = field(repr=False)
    #: Seconds for which it may be used from when it was asked for; None: until it is refused.
    life: float | None


def request(settings: OAuth2Settings) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body that ask for a token."""
    secret = settings.client_secret.get_secret_value()
    form = {"grant_type": "client_credentials", "scope": settings.scope, "audience": settings.audience}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    if settings.credentials_in == "body":
        form |= {"client_id": settings.client_id, "client_secret": secret}
    else:  # form-encoded first (RFC 6749, 2.3.1)
        pair = f"{quote_plus(settings.client_id)}:{quote_plus(secret)}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return headers, urlencode({name: value for name, value in form.items() if value is not None}).encode()


def read(answer: Answer, now: datetime, secrets: tuple[str, ...]) -> Token | Receipt:
    """Return the token in an answer of the endpoint, or the receipt for the events that wait for it."""
    said = answers.receipt(answer, now, secrets)
    if said.verdict is not Verdict.ACCEPTED:
        # That the endpoint is gone does not mean that the receiver asks us to stop.
        verdict = Verdict.TRY_LATER if said.verdict is Verdict.TRY_LATER else Verdict.REFUSED
        return replace(said, verdict=verdict, detail=capped(f"token endpoint: {said.detail}"), general=True)
    try:
        found = json.loads(answer.text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not _is_token(found):
        detail = "token endpoint: the answer holds no bearer token"
        return Receipt(Verdict.REFUSED, detail, reference=said.reference, general=True)
    return Token(found["access_token"], _life(found.get("expires_in")))


class Tokens:
    """The token in use."""

    def __init__(self, settings: OAuth2Settings, post: Post, clock: Clock) -> None:
        self._request = request(settings)
        self._post = post
        self._clock = clock
        self._secrets = answers.secrets_of(
            settings.token_url, [settings.client_secret.get_secret_value(), *self._request[0].values()]
        )
        self._token: Token | None = None
        self._ends = 0.0
        self._fetching: asyncio.Task[Token | Receipt] | None = None
        #: Whether a refusal may be the token's fault: not when the one before it was refused as well.
        self._forgiving = True

    async def get(self) -> Token | Receipt:
        """Return a token; when there is none, one request fetches it for everybody who waits."""
        if self._token is not None and self._clock.monotonic() < self._ends:
            return self._token
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        return await asyncio.shield(self._fetching)

    def accepted(self) -> None:
        """Note that the receiver took a token."""
        self._forgiving = True

    def refused(self, token: Token) -> bool:
        """Drop a token that the receiver did not take; say whether another one is worth a try."""
        if token is not self._token:
            return True  # a straggler: there is another one already, or will be
        self._token = None
        again, self._forgiving = self._forgiving, False
        return again

    async def close(self) -> None:
        """Ask no more."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def _fetch(self) -> Token | Receipt:
        try:
            began = self._clock.monotonic()
            answer = await self._post(*self._request)
            if isinstance(answer, Receipt):
                return replace(answer, detail=capped(f"token endpoint: {answer.detail}"), general=True)
            found = read(answer, self._clock.now(), self._secrets)
            if isinstance(found, Token):
                self._token = found
                self._ends = float("inf") if found.life is None else began + found.life
            return found
        finally:
            self._fetching = None


def _is_token(found: dict[str, Any]) -> bool:
    value = found.get("access_token")
    of_kind = str(found.get("token_type", "bearer")).lower() == "bearer"
    return isinstance(value, str) and value.isascii() and value.isprintable() and bool(value.strip()) and of_kind


def _life(expires_in: Any) -> float | None:
    try:
        seconds = float(expires_in)
    except (TypeError, ValueError):
        return None
    return max(0.0, seconds - min(_MARGIN, seconds / 2))
