"""A database that is kept as the org is: from a TOML text to the columns that describe tells, and deletions marked."""

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import stores
from world import World

from salesforce_poller import app, config

pytestmark = pytest.mark.both_databases

CONFIG = """
[store]
url = "{store}"
[http]
listen = ""
[orgs.acme]
login_url = "{url}"
client_id = "simulated-client"
client_secret = "simulated-secret"
[orgs.acme.objects.Lead]
fields = ["LastName", "Email", "AnnualRevenue", "LastActivityDate", "Owner.Name"]
[sinks.mirror]
type = "sql"
url = "sqlite:///{folder}/mirror.db"
"""
#: Feeds describe once in an hour of their org's own.
TWO_HOURS = 7_200


def told(folder: Path, question: str) -> list[Any]:
    """Ask the mirror."""
    with closing(sqlite3.connect(folder / "mirror.db")) as connection:
        return connection.execute(question).fetchall()


async def turn(world: World, house: app.App, seconds: float) -> None:
    """Let time pass, poll, and deliver until there is nothing more to deliver."""
    world.pass_time(seconds)
    await house.fleets[0].tick()
    stop = asyncio.Event()
    await house.dispatchers[0].run(asyncio.Event(), stop, lambda report: None if report.busy else stop.set())


@pytest.mark.sqlite_only("leases end on its clock, which jumps; what a mirror is kept in is no matter of the store")
async def test_a_database_is_kept_as_the_org_is(world: World, tmp_path: Path) -> None:
    """Columns are there before their values; a field that this user may see from now on gets one within the hours."""
    world.org.hide_field("Lead", "Email")
    settings = config.parse(
        CONFIG.format(store=stores.url(tmp_path / "daemon.db"), folder=tmp_path, url=world._url), {}
    )
    async with app.build(settings, clock=world.machine, rng=random.Random(3)) as house:
        await turn(world, house, 0)
        ann = world.org.insert("Lead", LastName="Ann", Company="Acme")
        await turn(world, house, 60)
        columns = (
            "SELECT name, type FROM pragma_table_info('Lead') WHERE name NOT LIKE '\\_%' ESCAPE '\\' AND name != 'Id'"
        )
        before = [("LastName", "TEXT"), ("AnnualRevenue", ""), ("LastActivityDate", "TEXT"), ("Owner.Name", "TEXT")]
        assert told(tmp_path, columns) == before
        world.org.show_field("Lead", "Email")
        await turn(world, house, TWO_HOURS)
        bob = world.org.insert("Lead", LastName="Bob", Company="Acme", AnnualRevenue=2_500_000.5)
        world.org.delete(ann)
        await turn(world, house, 60)
        assert told(tmp_path, columns) == [*before, ("Email", "TEXT")]
        rows = told(tmp_path, 'SELECT Id, LastName, AnnualRevenue, Email, _deleted FROM "Lead" ORDER BY LastName')
        assert rows == [(ann, "Ann", None, None, 1), (bob, "Bob", 2_500_000.5, None, 0)]
