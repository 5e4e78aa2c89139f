"""Who may ask the daemon what. Pure; ``api.py`` and ``server.py`` ask for every request.

There are two bearer tokens: ``[http] token``, and the key of this run, which commands find beside the store. Whatever
changes something, or shows what is in records, needs one of them, from this machine too: other users of the machine,
and pages in somebody's browser that post to localhost, have neither. A page that gave its own name the address of this
machine (DNS rebinding) is told by the ``Host`` it asks for.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

_OURSELVES = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)
_NONE_SET = (
    'this needs a token, and none is configured: set token = { env = "POLLER_TOKEN" } in [http], or use the commands '
    "of salesforce-poller on this machine"
)
_SHOW_IT = "show the token of [http] as `Authorization: Bearer …`"


@dataclass(frozen=True, slots=True)
class No:
    """Why not, as an HTTP answer."""

    status: int
    why: str


@dataclass(frozen=True, slots=True)
class Guard:
    """What opens which door."""

    #: ``[http] token``; there is always one where anybody listens beyond this machine.
    token: SecretStr | None
    #: The key of this run.
    key: SecretStr

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Say whether a request shows the token or the key; ``headers`` are found by names in small letters."""
        kind, _, shown = headers.get("authorization", "").partition(" ")
        good = [one.get_secret_value().encode() for one in (self.token, self.key) if one is not None]
        matches = [hmac.compare_digest(shown.strip().encode(), one) for one in good]  # all of them, in the same time
        return kind.lower() == "bearer" and any(matches)

    def acting(self, headers: Mapping[str, str]) -> No | None:
        """Return why a request may not change anything, nor see records; None when it may."""
        if self.knows(headers):
            return None
        return No(403, _NONE_SET) if self.token is None else No(401, _SHOW_IT)

    def looking(self, headers: Mapping[str, str]) -> No | None:
        """Return why a request may not see how feeds and sinks stand; None when it may."""
        if self.knows(headers):
            return None
        if self.token is not None:
            return No(401, _SHOW_IT)
        if _OURSELVES.fullmatch(headers.get("host", "")):
            return None
        return No(403, "without a token this is answered to http://127.0.0.1 and http://localhost only")

    def details(self, headers: Mapping[str, str]) -> bool:
        """Say whether readiness may tell what is wrong."""
        return self.token is None or self.knows(headers)
