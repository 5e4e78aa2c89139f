"""Where the org is: its instance URL, and what becomes of those who ask at the old one after a move.

Switched through the control API (`POST /simulator/instance`); asked by `oauth` and `soap` for `instance_url` and by
`edge` for every request. Sources: REST API Developer Guide, "Status Codes and Error Responses" (420); Salesforce Help,
"My Domain redirections" (301).
"""

from typing import Literal
from urllib.parse import urlsplit

from salesforce_poller.simulator.request import Request

OldHost = Literal["redirect", "no_route"]
"""redirect: 301 to the new place · no_route: 420 from the edge, in HTML."""

LOGIN_PATHS = ("/services/oauth2/", "/services/Soap/", "/.well-known/", "/id/")


class Instance:
    """The place of one org. At first it is wherever a client asks; after `move`, at one address only."""

    def __init__(self) -> None:
        self.url: str | None = None
        self.old_host: OldHost = "redirect"
        self.login_stays = True
        """The old address goes on logging people in, as login.salesforce.com does."""

    def move(self, url: str | None, *, old_host: OldHost = "redirect", login_stays: bool = True) -> None:
        """Be at `url` from now on (None: everywhere again); raises ValueError for what is no http address."""
        if url is not None and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc):
            raise ValueError(f"url: not an address of the kind http://localhost:8000: {url}")
        if old_host not in ("redirect", "no_route"):
            raise ValueError(f"old_host: must be redirect or no_route, not {old_host!r}")
        if not isinstance(login_stays, bool):
            raise ValueError("login_stays: must be true or false")  # noqa: TRY004  # bad input
        self.url = None if url is None else url.rstrip("/")
        self.old_host = old_host
        self.login_stays = login_stays

    def address(self, request: Request) -> str:
        """The `instance_url` that somebody who logs in is told."""
        return self.url or request.base_url

    def is_elsewhere(self, request: Request) -> bool:
        """Whether this request was sent to an address where the org no longer is."""
        if self.url is None or request.headers.get("host") == urlsplit(self.url).netloc:
            return False
        return not (self.login_stays and request.path.startswith(LOGIN_PATHS))
