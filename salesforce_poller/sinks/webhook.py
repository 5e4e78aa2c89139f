"""Events as webhooks: CloudEvents over HTTP (or plainer), signed by Standard Webhooks 1.0.0.

One request is put together here: what it says (``formats.py``), who it is from (``signing.py``, ``oauth2.py``), where
it goes (``transport.py``) and what the answer means (``answers.py``). What can be configured: ``webhook_settings.py``.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus

from yarl import URL

from salesforce_poller.clock import Clock
from salesforce_poller.errors import capped
from salesforce_poller.model import Receipt, Verdict
from salesforce_poller.sinks import answers, formats, oauth2, signing
from salesforce_poller.sinks.answers import Answer
from salesforce_poller.sinks.base import Dressed, Sink
from salesforce_poller.sinks.webhook_settings import WebhookSettings

__all__ = ["Webhook", "WebhookSettings"]


class Webhook(Sink[WebhookSettings]):
    """One address to post to."""

    def __init__(self, settings: WebhookSettings, clock: Clock) -> None:
        super().__init__(settings, clock)
        self._url = URL(settings.url)
        self._keys = settings.keys()
        self._headers = _fixed_headers(settings)
        self._batched = settings.batch > 1
        #: What no receipt may repeat.
        self._secrets = answers.secrets_of(settings.url, _said_secrets(settings, self._headers))
        from salesforce_poller.sinks.transport import Transport  # noqa: PLC0415  # aiohttp is 8 MB, for webhooks alone

        self._transport = Transport(settings, self._secrets)
        self._tokens: oauth2.Tokens | None = None

    @property
    def concurrency(self) -> int:
        """As configured."""
        return self._settings.concurrency

    @property
    def batch(self) -> int:
        """As configured."""
        return self._settings.batch

    @property
    def batch_wait(self) -> timedelta:
        """As configured."""
        return self._settings.batch_wait

    @property
    def one_answer(self) -> bool:
        """A request has one status, whatever it holds."""
        return self._batched

    async def open(self) -> None:
        """Make the session; the first connection is made for the first request."""
        self._transport.open()
        if self._settings.oauth2 is not None:
            self._tokens = oauth2.Tokens(self._settings.oauth2, self._post_for_token, self._clock)

    async def send(self, events: Sequence[Dressed]) -> list[Receipt]:
        """Post the events in one request; its answer counts for all of them."""
        headers, body = formats.shaped(self._settings.format, self._settings.mode, events, batched=self._batched)
        webhook_id = _batch_id(events) if self._batched else events[0].event_id
        headers.update(self._headers)
        self._add_standard_headers(headers, webhook_id, body)
        return [await self._request("POST", headers, body)] * len(events)

    async def probe(self) -> Receipt:
        """Ask for the address without posting anything. Any answer but a server error means that it is there.

        501 is how many small servers say that they know no HEAD, and no server error.
        """
        answer = await self._request("HEAD", dict(self._headers))
        there = answer.reference and answer.verdict is not Verdict.TRY_LATER
        if not there and answer.reference != str(HTTPStatus.NOT_IMPLEMENTED.value):
            return answer
        detail = f"reachable (HTTP {answer.reference} to a HEAD request)"
        public = [key.public for key in self._keys if isinstance(key, signing.Asymmetric)]
        if public:
            detail += f"; its receiver verifies with {' or '.join(public)}"
        return Receipt(Verdict.ACCEPTED, detail, None, answer.reference)

    async def close(self) -> None:
        """Close every connection."""
        if self._tokens is not None:
            await self._tokens.close()
            self._tokens = None
        await self._transport.close()

    def _add_standard_headers(self, headers: dict[str, str], webhook_id: str, body: bytes) -> None:
        """Add the headers of Standard Webhooks; the timestamp is that of this attempt."""
        timestamp = int(self._clock.now().timestamp())
        headers["webhook-id"] = webhook_id
        headers["webhook-timestamp"] = str(timestamp)
        if self._keys:
            headers["webhook-signature"] = signing.sign(self._keys, webhook_id, timestamp, body)

    async def _request(self, method: str, headers: dict[str, str], body: bytes | None = None) -> Receipt:
        if self._tokens is None:
            answer = await self._transport.ask(method, self._url, headers, body)
            return answer if isinstance(answer, Receipt) else self._receipt(answer)
        token = await self._tokens.get()
        if isinstance(token, Receipt):
            return token
        headers["Authorization"] = f"Bearer {token.value}"
        answer = await self._transport.ask(method, self._url, headers, body)
        if isinstance(answer, Receipt):
            return answer
        receipt = self._receipt(answer, token.value)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._tokens.refused(token):
            return replace(
                receipt, verdict=Verdict.TRY_LATER, detail=capped(f"a new token is fetched: {receipt.detail}")
            )
        if receipt.verdict is Verdict.ACCEPTED:
            self._tokens.accepted()
        return receipt

    def _receipt(self, answer: Answer, *secrets: str) -> Receipt:
        if yes := answers.accepted(answer.status):
            return yes
        receipt = answers.receipt(answer, self._clock.now(), (*secrets, *self._secrets))
        through_proxy = self._settings.proxy is not None and self._url.scheme == "http"
        if through_proxy and answer.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            detail = capped(f"the proxy answers {receipt.detail}")
            return replace(receipt, verdict=Verdict.TRY_LATER, detail=detail, general=True)
        return receipt

    async def _post_for_token(self, headers: dict[str, str], body: bytes) -> Answer | Receipt:
        assert self._settings.oauth2 is not None
        url = URL(self._settings.oauth2.token_url)
        return await self._transport.ask("POST", url, headers, body, head=oauth2.LONGEST)


def _fixed_headers(settings: WebhookSettings) -> dict[str, str]:
    """Return the headers that every request has."""
    headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
    if settings.bearer is not None:
        headers["Authorization"] = f"Bearer {settings.bearer.get_secret_value()}"
    if settings.basic is not None:
        pair = f"{settings.basic.username}:{settings.basic.password.get_secret_value()}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return headers


def _said_secrets(settings: WebhookSettings, headers: dict[str, str]) -> list[str]:
    """Return the secrets that travel in a request, as they are and as they are written there."""
    passwords = [settings.basic.password] if settings.basic else []
    passwords += [settings.oauth2.client_secret] if settings.oauth2 else []
    return [*headers.values(), *(each.get_secret_value() for each in passwords)]


def _batch_id(events: Sequence[Dressed]) -> str:
    """Return the same id whenever the same events travel together."""
    return "batch_" + hashlib.sha256(" ".join(each.event_id for each in events).encode()).hexdigest()[:32]
