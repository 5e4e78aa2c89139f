"""What people have approved: refresh tokens, and the one-use codes that lead to them.

Kept by `Org`; written by `oauth.web_server`, `oauth.grants` and `oauth.whoami`. Sources: Salesforce Help, "OAuth 2.0
Web Server Flow" (a code lives 15 minutes) and "Refresh Token Rotation". Per user and app only five approvals live, and
a sixth silently ends the oldest.
"""

import random
import string
from dataclasses import dataclass, field
from datetime import datetime, timedelta

MOST_APPROVALS = 5
CODE_LIFE = timedelta(minutes=15)
ALPHABET = string.ascii_letters + string.digits
TOKEN_LENGTH = 80


class Approvals:
    """The refresh tokens of one org's only app, oldest first."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._users: dict[str, str] = {}

    def keep(self, user_id: str, token: str) -> None:
        """Remember an approval; the user's oldest beyond five ends without a word."""
        self._users[token] = user_id
        own = [each for each, owner in self._users.items() if owner == user_id]
        for each in own[:-MOST_APPROVALS]:
            del self._users[each]

    def add(self, user_id: str) -> str:
        """A new approval by this user; returns its refresh token."""
        token = "5Aep" + "".join(self._rng.choices(ALPHABET, k=TOKEN_LENGTH))
        self.keep(user_id, token)
        return token

    def user_of(self, token: str) -> str | None:
        """Who gave this approval; None when it is not, or no longer, one."""
        return self._users.get(token)

    def rotate(self, token: str) -> str:
        """Put a new refresh token in the place of this one, which ends."""
        return self.add(self._users.pop(token))

    def revoke(self, token: str) -> bool:
        """End an approval; False when there is none."""
        return self._users.pop(token, None) is not None

    def clear(self) -> None:
        """End every approval."""
        self._users.clear()


@dataclass(frozen=True, slots=True)
class Code:
    """What a person has approved on the authorize page, until the app fetches its tokens."""

    user_id: str
    redirect_uri: str
    scope: str
    challenge: str | None
    """The PKCE code challenge (S256), when one was sent."""
    issued_at: datetime


@dataclass(slots=True)
class Codes:
    """The codes of one org; each is good for one use."""

    rng: random.Random
    waiting: dict[str, Code] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    """Every code that was ever given out: an old one is called expired, not invalid."""

    def issue(self, code: Code) -> str:
        """Keep what was approved; returns the code."""
        text = "aPrx" + "".join(self.rng.choices(ALPHABET, k=TOKEN_LENGTH))
        self.waiting[text] = code
        self.known.add(text)
        return text

    def take(self, text: str, now: datetime) -> Code | None:
        """Use a code up; None when there is none, or it is older than 15 minutes."""
        code = self.waiting.pop(text, None)
        return code if code is not None and now - code.issued_at <= CODE_LIFE else None
