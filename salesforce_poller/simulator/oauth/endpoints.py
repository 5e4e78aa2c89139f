"""The table of everything that belongs to no API version: OAuth, identity, discovery and the SOAP login.

Called by `edge` before anything else; each line leads to its handler in this folder or in `soap`.
"""

import re
from collections.abc import Callable

from salesforce_poller.simulator import soap
from salesforce_poller.simulator.call import Answer
from salesforce_poller.simulator.errors import ApiError
from salesforce_poller.simulator.oauth import tokens, web_server, whoami
from salesforce_poller.simulator.org import Org
from salesforce_poller.simulator.request import Request

Endpoint = Callable[[Org, Request], Answer]

ENDPOINTS: tuple[tuple[str, tuple[str, ...], Endpoint], ...] = (
    ("/services/oauth2/authorize", ("GET", "POST"), web_server.authorize),
    ("/services/oauth2/token", ("POST",), tokens.token),
    ("/services/oauth2/userinfo", ("GET", "POST"), whoami.userinfo),
    ("/services/oauth2/introspect", ("POST",), whoami.introspect),
    ("/services/oauth2/revoke", ("GET", "POST"), whoami.revoke),
    ("/.well-known/openid-configuration", ("GET",), whoami.discovery),
    ("/id/[^/]+/[^/]+", ("GET",), whoami.identity),
    (soap.PATH, ("POST",), soap.answer),
)
"""Paths, their methods and their handlers."""


def answer(org: Org, request: Request) -> Answer | None:
    """The answer, when the path is one of these; raises METHOD_NOT_ALLOWED."""
    for path, methods, endpoint in ENDPOINTS:
        if re.fullmatch(path, request.path):
            if request.method not in methods:
                raise ApiError(405, "METHOD_NOT_ALLOWED", f"HTTP Method '{request.method}' not allowed.")
            return endpoint(org, request)
    return None
