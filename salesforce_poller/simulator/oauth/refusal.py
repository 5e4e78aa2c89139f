"""How the OAuth endpoints say no: in a shape of their own, always 400, and in plain text when a token is no good.

Raised by the grants and caught by `tokens` and `whoami`. Source: Salesforce Help, "OAuth 2.0 Authorization Errors".
"""

from salesforce_poller.simulator.call import Answer
from salesforce_poller.simulator.request import Request

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class OAuthError(Exception):
    """A refusal of the token endpoint, in its own shape."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.answer = Answer(400, {"error": error, "error_description": description}, NO_STORE)


def bad_token(request: Request) -> Answer:
    """What the resources below /services/oauth2 answer to a token that is not good, or not there."""
    text = "Bad_OAuth_Token" if "authorization" in request.headers else "Missing_OAuth_Token"
    return Answer(403, text, media_type="text/html;charset=UTF-8")
