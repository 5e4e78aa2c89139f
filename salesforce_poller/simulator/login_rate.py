"""How often one user may log in: 3,600 times an hour, by the org's clock.

Kept by `Org`; asked by `oauth.tokens` and `soap` for every login. Source: Salesforce Help 000381578, "Login Rate
Exceeded".
"""

from collections import deque
from datetime import datetime, timedelta

MOST = 3600
HOUR = timedelta(hours=1)


class LoginRate:
    """Counts logins per user; `most` is how many an hour has."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._logins: dict[str, deque[datetime]] = {}

    def admit(self, user_id: str, now: datetime) -> bool:
        """Count a login; False when the last hour has had enough of them, and then it is not counted."""
        own = self._logins.setdefault(user_id, deque())
        while own and own[0] <= now - HOUR:
            own.popleft()
        if len(own) >= self.most:
            return False
        own.append(now)
        return True
