"""A receiver of webhooks as a program: ``python http_receiver.py PORT FILE``. For tests that kill it.

It writes each request down, on disk, before it answers 204: one JSON line with path, headers and body. Bodies of over
two megabytes get a 413. Below ``/closed/`` it answers 401, with what it was shown, unless that is :data:`PASSWORD`.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

#: What opens ``/closed/``.
PASSWORD = "Bearer open-sesame"
_LARGEST = 2_000_000


def read(path: Path) -> list[dict[str, Any]]:
    """Return what it wrote down; a line that was cut by its death was never answered."""
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def application(handle: int) -> web.Application:
    """Return the server, which writes to an open file."""

    async def receive(request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        shown = request.headers.get("Authorization", "")
        if request.path.startswith("/closed/") and shown != PASSWORD:
            return web.Response(status=401, text=f"{shown} is not the password")
        line = json.dumps({"path": request.path, "headers": dict(request.headers), "body": body}) + "\n"
        os.write(handle, line.encode())
        os.fsync(handle)
        return web.Response(status=204)

    app = web.Application(client_max_size=_LARGEST)
    app.router.add_post("/{path:.*}", receive)
    return app


if __name__ == "__main__":
    descriptor = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    web.run_app(application(descriptor), host="127.0.0.1", port=int(sys.argv[1]), print=None)
