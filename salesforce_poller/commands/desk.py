"""Hands an order to whoever has the store: to the running daemon over HTTP, or where none runs to a desk of our own.

The daemon's address and the key of its run stand in the lock file beside the store, for its user only; nothing of it is
on a command line. Next stop: ``actions/desk.py``, either way.
"""

import asyncio
import http.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson

from salesforce_poller import app
from salesforce_poller.clock import Clock
from salesforce_poller.config import Config
from salesforce_poller.errors import ConfigError, PollerError, StoreError, StoreInUse, capped
from salesforce_poller.store.lock import Holder, holder_of
from salesforce_poller.store.store import Store

#: Seconds: for how long a process is waited for that has the store and does not say (yet) how it is reached, and
#: between two looks.
_WAIT, _LOOK = 3.0, 0.05
#: Seconds for one answer.
_TIMEOUT = 120.0


async def hand_over(config: Config, order: str, said: Mapping[str, Any], *, clock: Clock) -> dict[str, Any]:
    """Have an order carried out, and return the answer of the desk.

    Raises:
        ConfigError: the daemon's own configuration is wrong.
        PollerError: what else the desk raises; or the daemon cannot be reached, or takes no orders.
    """
    path = config.store.path
    if path is None:
        # Nobody has it alone: it is done in the database, and the daemons that are concerned hear of it there.
        async with Store(config.store.url, keys=config.store.keys, upgrade=False) as store:
            return await app.desk_for(config, store, clock=clock).take(order, said)
    _check_there(path)
    began = clock.monotonic()
    while True:
        try:
            # Only for this order: a daemon that is started meanwhile must not find the store taken.
            async with Store(config.store.url, keys=config.store.keys) as store:
                return await app.desk_for(config, store, clock=clock).take(order, said)
        except StoreInUse as exc:
            holder, late = holder_of(path), clock.monotonic() - began > _WAIT
            if holder is None and late:
                raise StoreInUse(_reserved(path)) from exc
            try:
                if holder is not None:
                    return await asyncio.to_thread(_post, holder, order, said)
            except (OSError, http.client.HTTPException) as error:
                if late:  # else it may have ended just now
                    raise PollerError(_silent(holder, error)) from error
        await clock.sleep(_LOOK)


def _check_there(path: Path) -> None:
    if not path.exists():
        raise StoreError(f"there is no store at {path.resolve()}; it is made by the first `salesforce-poller run`")


def _post(holder: Holder, order: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """Post an order to the daemon; raises what http.client raises, and PollerError for its "no"."""
    connection = http.client.HTTPConnection(holder.host, holder.port, timeout=_TIMEOUT)
    try:
        headers = {"Authorization": f"Bearer {holder.key}", "Content-Type": "application/json"}
        connection.request("POST", f"/api/{quote(order)}", orjson.dumps(said), headers)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    try:
        told = orjson.loads(body)
    except ValueError:
        told = None
    if answer.status == http.client.OK and isinstance(told, dict):
        return told
    if isinstance(told, dict) and isinstance(told.get("problems"), list):
        raise ConfigError([str(problem) for problem in told["problems"]])
    problem = told.get("error") if isinstance(told, dict) else None
    raise PollerError(str(problem) if problem else f"the daemon answered {answer.status} {capped(answer.reason)}")


def _reserved(path: Path) -> str:
    return (
        f"the store {path.resolve()} is in use by a process that takes no orders: a daemon without HTTP (listen in "
        "[http] is empty), or another command; give the daemon an address or stop it, or wait for the command"
    )


def _silent(holder: Holder | None, error: Exception) -> str:
    where = f" (process {holder.pid}) at {holder.host}:{holder.port}" if holder else ""
    return f"the daemon{where} does not answer: {capped(str(error)) or type(error).__name__}"
