"""PostgreSQL is not there when something starts: the daemon waits for it, commands say so, and what is wrong is told.

The daemon is a process of its own, as signals and exit codes are what this is about.
"""

import asyncio
import io
import signal
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import orjson
import pytest
import servers
import stores
from daemons import STUCK, a_daemon
from servers import Server, free_port

from salesforce_poller import cli
from salesforce_poller.clock import SystemClock
from salesforce_poller.errors import StoreError

CONFIG = """
[store]
url = "{store}"
[http]
listen = ""
[orgs.acme]
login_url = "http://127.0.0.1:9"
client_id = "simulated-client"
client_secret = "simulated-secret"
[orgs.acme.objects.Lead]
[sinks.screen]
type = "stdout"
"""
NOBODY = "postgresql://poller:hush@127.0.0.1:{port}/poller"


def written(folder: Path, store: str) -> Path:
    """Write a configuration with its store there."""
    path = folder / "config.toml"
    path.write_text(CONFIG.format(store=store))
    return path


def lines(config: Path) -> list[dict[str, Any]]:
    """Return what the daemon has logged so far."""
    found = config.with_name("daemon.log").read_text("utf-8").splitlines()
    return [orjson.loads(line) for line in found if line.startswith("{")]


async def logged(config: Path, event: str) -> None:
    """Wait until the daemon's log tells of something."""
    while event not in [line["event"] for line in await asyncio.to_thread(lines, config)]:
        await SystemClock().sleep(0.05)


@pytest.fixture
def database() -> Iterator[Server]:
    """A PostgreSQL of this story's own, which comes and goes."""
    with servers.postgres("fsync = off") as own, stores.stores_in(own):
        yield own


async def test_a_daemon_waits_for_its_database(tmp_path: Path, database: Server) -> None:
    """As when both are started at once; it says so once, and begins when it is there."""
    config = written(tmp_path, stores.url(tmp_path / "store.db"))
    database.kill()
    async with asyncio.timeout(STUCK), a_daemon(config) as daemon:
        await logged(config, "store.away")
        await asyncio.to_thread(database.start)
        await logged(config, "started")
        daemon.send_signal(signal.SIGTERM)
        assert await daemon.wait() == 0
    told = [line["event"] for line in lines(config) if line["event"].startswith("store.")]
    assert told == ["store.away", "store.back"]


async def test_a_daemon_that_waits_can_be_stopped(tmp_path: Path) -> None:
    """Nothing is wrong, and nothing was begun; the password is in no line."""
    config = written(tmp_path, NOBODY.format(port=free_port()))
    async with asyncio.timeout(STUCK), a_daemon(config) as daemon:
        await logged(config, "store.away")
        daemon.send_signal(signal.SIGTERM)
        assert await daemon.wait() == 0
    assert [line["event"] for line in lines(config)] == ["store.away", "stopped"]
    assert "hush" not in config.with_name("daemon.log").read_text()


async def ends(config: Path) -> str:
    """Run the daemon until it ends by itself; returns what it complained of."""
    async with asyncio.timeout(STUCK), a_daemon(config) as daemon:
        assert await daemon.wait() == 1
    said = config.with_name("daemon.log").read_text("utf-8")
    assert "Traceback" not in said
    assert "store.away" not in said
    assert "hush" not in said
    config.with_name("daemon.log").unlink()
    return said


async def test_what_waiting_cannot_mend_ends_the_daemon(tmp_path: Path, database: Server) -> None:
    """A wrong password, a user or a database that is not there, a schema of a newer version."""
    store = stores.url(tmp_path / "store.db")
    hba = database.folder / "data" / "pg_hba.conf"
    hba.write_text("host all poller 127.0.0.1/32 scram-sha-256\n" + hba.read_text())
    stores.ask(database, "CREATE ROLE poller LOGIN PASSWORD 'another'", "SELECT pg_reload_conf()")
    at = f"127.0.0.1:{database.port}"
    assert "password" in await ends(written(tmp_path, f"postgresql://poller:hush@{at}/postgres"))
    assert "nobody" in await ends(written(tmp_path, f"postgresql://nobody:hush@{at}/postgres"))
    assert "nowhere" in await ends(written(tmp_path, f"postgresql://postgres:hush@{at}/nowhere"))
    stores.rows(store, "UPDATE alembic_version SET version_num = '9999'")
    assert "newer" in await ends(written(tmp_path, store))


@pytest.mark.parametrize(
    "words", [["status"], ["events"], ["feeds"], ["feeds", "pause", "acme", "Lead"], ["db", "check"], ["reload"]]
)
def test_a_command_does_not_wait(tmp_path: Path, words: list[str]) -> None:
    """One line that says what cannot be reached, and no password."""
    config = written(tmp_path, NOBODY.format(port=free_port()))
    said = complaint([*words, "--config", str(config)])
    assert "127.0.0.1" in said
    assert "hush" not in said
    assert "\n" not in said


def complaint(words: list[str]) -> str:
    """Return what a command that fails says of it."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()):
        try:
            code = cli.doors(words, standalone_mode=False)
        except StoreError as exc:
            return str(exc)
    assert code == 1
    return out.getvalue().strip().splitlines()[-1]  # `db check` says first which kind of store it is
