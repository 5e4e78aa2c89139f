"""The real program, except that it stops for ever while it stores a new refresh token.

Run by ``test_a_killed_login.py`` as ``python dies_saving.py WHEN run …``. With ``before`` it has the org's answer in
its hands and nothing on disk, with ``after`` it has just committed it. It says so in one line on standard output, and
then waits to be killed.
"""

import asyncio
import sys

from salesforce_poller import cli
from salesforce_poller.store import secrets

WHEN = sys.argv.pop(1)
really_save = secrets.Keeper.save


async def save(self: secrets.Keeper, secret: str) -> None:
    """Store it, or not; tell; and never return."""
    if WHEN == "after":
        await really_save(self, secret)
    print(f"{WHEN} it is stored", flush=True)  # noqa: T201  # this is how the test learns of it
    await asyncio.Event().wait()


secrets.Keeper.save = save  # type: ignore[method-assign]  # the one difference to the real program
cli.main()
