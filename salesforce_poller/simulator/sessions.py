"""Who is logged in: the access tokens the org has given out.

Issued by `oauth` and `soap`, looked up by `edge` for every request; ended by time, the control API and the weather.
"""

import random
import string
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

IDLE = timedelta(hours=2)
"""How long a session lives without a request: Salesforce's default session policy."""

OPAQUE = 96
ALPHABET = string.ascii_letters + string.digits + "._"


@dataclass(frozen=True, slots=True)
class Session:
    """One login."""

    token: str
    user_id: str
    client_id: str
    scope: str
    issued_at: datetime
    used_at: datetime
    refresh_token: str | None = None
    """The refresh token that belongs to the login, if one does."""


class Sessions:
    """The sessions of one org; tokens look like Salesforce's: the org's id, an exclamation mark, a secret."""

    def __init__(self, organization_id: str, rng: random.Random) -> None:
        self.idle = IDLE
        self._prefix = organization_id[:15]
        self._rng = rng
        self._by_token: dict[str, Session] = {}

    def issue(
        self, user_id: str, client_id: str, scope: str, now: datetime, *, refresh_token: str | None = None
    ) -> Session:
        """A new session for this user."""
        secret = "".join(self._rng.choices(ALPHABET, k=OPAQUE))
        session = Session(f"{self._prefix}!AQ{secret}", user_id, client_id, scope, now, now, refresh_token)
        self._by_token[session.token] = session
        return session

    def find(self, token: str, now: datetime) -> Session | None:
        """The session of this token, kept alive by being used; None when there is none or it has expired."""
        session = self._by_token.get(token)
        if session is None:
            return None
        if now - session.used_at > self.idle:
            self.end(token)
            return None
        self._by_token[token] = replace(session, used_at=max(now, session.used_at))
        return session

    def end(self, token: str) -> None:
        """End one session, if there is one."""
        self._by_token.pop(token, None)

    def end_of(self, refresh_token: str) -> None:
        """End the sessions that belong to a refresh token."""
        for session in [each for each in self._by_token.values() if each.refresh_token == refresh_token]:
            self.end(session.token)

    def expire(self) -> None:
        """End every session."""
        self._by_token.clear()
