"""Answers ``GET /healthz`` and ``GET /readyz``, and serves what ``api.py`` answers. Started by ``app.py``.

Liveness is only that the process turns. Readiness is the store and the feeds, with what is wrong in the body.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from salesforce_poller.actions import sharing
from salesforce_poller.actions.present import Present
from salesforce_poller.admin import facts
from salesforce_poller.admin.guard import Guard
from salesforce_poller.clock import Clock
from salesforce_poller.errors import ConfigError, StoreError
from salesforce_poller.store.pauses import Pause
from salesforce_poller.store.store import Store
from salesforce_poller.store.troubles import OpenTrouble


def build(store: Store, clock: Clock, *, present: Present, guard: Guard, more: Sequence[Route] = ()) -> Starlette:
    """Build the application; ``present`` knows the configured feeds, ``more`` are the routes of ``api.py``.

    Where there is a token, only who shows it is told *what* is wrong.
    """

    async def healthz(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    async def readyz(request: Request) -> Response:
        watched = dict.fromkeys(present.feeds)
        pauses: list[Pause] = []
        troubles: list[OpenTrouble] = []
        try:
            pauses = [one for one in await store.pauses.all() if (one.org, one.object) in watched]
            troubles = facts.of_watched(await store.feeds.open_troubles(), watched)
            started, paused = await store.feeds.started(), {(one.org, one.object) for one in pauses}
            stuck = facts.not_ready(started, troubles, watched, clock.now(), paused)
            shared = await sharing.of(store, present.duties)
            stuck += facts.not_shared(shared, present.lease, current=present.current())
        except StoreError as exc:
            stuck = [str(exc)]
        problems = [*present.lacking, *stuck]
        told: dict[str, Any] = {"ready": not problems}
        if guard.details(request.headers):
            told |= {"problems": problems, "troubles": [facts.told(one) for one in troubles], "paused": pauses}
        return Response(orjson.dumps(told), 503 if problems else 200, media_type="application/json")

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), *more])


@contextlib.asynccontextmanager
async def serving(app: Starlette, address: tuple[str, int]) -> AsyncIterator[tuple[str, int]]:
    """Serve while the block runs; yields the address, with the real port where 0 was asked for.

    Raises:
        ConfigError: when the address cannot be listened on.
    """
    host, port = address
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as exc:
        listener.close()
        raise ConfigError(
            [f"http.listen: cannot listen on {host}:{port}: {exc.strerror}; choose another port"]
        ) from exc
    settings = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
    settings.load()
    # Not Server.serve(): that would take SIGINT and SIGTERM for itself, and they are the daemon's.
    serving_it = uvicorn.Server(settings)
    serving_it.lifespan = settings.lifespan_class(settings)
    await serving_it.startup(sockets=[listener])
    turning = asyncio.create_task(serving_it.main_loop())
    try:
        yield host, listener.getsockname()[1]
    finally:
        serving_it.should_exit = True
        await turning
        await serving_it.shutdown(sockets=[listener])
