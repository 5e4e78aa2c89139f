"""An HTTP request as the org's edge sees it: read whole, decoded, and measured.

Made by `edge` from what the web server hands over; read by `oauth` and turned into a `Call` for `rest`.
"""

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

from starlette.requests import Request as HttpRequest

from salesforce_poller.simulator.errors import ApiError

LONGEST_URI = 16_384
"""Bytes; of the URI alone, and of the URI and the headers together ("API Request Limits and Allocations")."""

LINE_OVERHEAD = 4
"""A colon, a space and a line end per header."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    method: str
    path: str
    """Decoded."""
    params: Mapping[str, str]
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    uri: str
    """As it was sent: the path and the query, encoded."""
    uri_size: int
    head_size: int
    """The URI and the headers together."""

    @property
    def base_url(self) -> str:
        """Where the client believes the org to be; it becomes `instance_url`."""
        return f"http://{self.headers.get('host', 'localhost')}"

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def decompressed(self) -> "Request":
        """The request with its body as it was before Content-Encoding; raises INVALID_CONTENT_ENCODING."""
        if self.headers.get("content-encoding") != "gzip":
            return self
        try:
            return replace(self, body=gzip.decompress(self.body))
        except (OSError, EOFError, zlib.error) as error:
            raise ApiError(400, "INVALID_CONTENT_ENCODING", f"The body is not gzip: {error}") from error


async def read(http: HttpRequest) -> Request:
    """The whole request."""
    raw_path: bytes = http.scope["raw_path"]
    query: bytes = http.scope["query_string"]
    uri_size = len(raw_path) + (len(query) + 1 if query else 0)
    headers = {name.lower(): value for name, value in http.headers.items()}
    return Request(
        method=http.method,
        path=http.scope["path"],
        params=dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)),
        headers=headers,
        body=await http.body(),
        uri=(raw_path + (b"?" + query if query else b"")).decode("latin-1"),
        uri_size=uri_size,
        head_size=uri_size + sum(len(name) + len(value) + LINE_OVERHEAD for name, value in http.headers.raw),
    )
