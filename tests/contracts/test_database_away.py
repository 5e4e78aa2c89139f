"""store/ on PostgreSQL while the server goes away at the worst moments: it is *away*, and never a defect."""

import asyncio
import socket
from pathlib import Path

import pytest
import stores
from builders import NOON, watermarks
from fakes import FakeClock
from sqlalchemy import text
from structlog.testing import capture_logs

from salesforce_poller.errors import StoreAway, StoreWentBack
from salesforce_poller.model import Sighting
from salesforce_poller.store import bells, postgresql
from salesforce_poller.store.bells import Bell, Bells
from salesforce_poller.store.store import Store

pytestmark = pytest.mark.usefixtures("stores_on_postgresql")

_END_ITSELF = "SELECT pg_terminate_backend(pg_backend_pid())"


@pytest.fixture
def where(tmp_path: Path) -> str:
    """Where the store is."""
    return stores.url(tmp_path / "store.db")


async def test_a_server_that_ends_a_connection_at_once_is_away(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shuts down before our first word. Raw, that error ended a start, and the task that listens."""
    async with Store(where) as store:
        monkeypatch.setattr(postgresql, "_DURABLE", _END_ITSELF)
        await store._database._door._engine.dispose()  # type: ignore[attr-defined]  # PostgreSQL's
        with pytest.raises(StoreAway):
            await store.outbox.knows("crm")
        with pytest.raises(OSError, match="terminating"):
            await store._door.connect()  # type: ignore[union-attr]  # PostgreSQL's


async def test_servers_of_which_none_is_the_first_one_now_are_away(where: str) -> None:
    """In the middle of a failover all of them are standbys; asyncpg has an error of its own for that."""
    store = Store(f"{where}{'&' if '?' in where else '?'}target_session_attrs=standby")
    with pytest.raises(StoreAway, match="None of the hosts match"):
        await store.outbox.knows("crm")


async def test_a_server_that_became_a_replica_is_left_for_the_one_that_is_none(where: str) -> None:
    """It did not hang up, and refuses each write: whoever kept its connections would be refused for ever."""
    name = where.rpartition("/")[2].partition("?")[0]
    async with Store(where) as store, Store(where) as other:
        await store.outbox.ensure_sinks(["crm"])
        async with other._database.write() as connection:
            await connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        await store._database._door._engine.dispose()  # type: ignore[attr-defined]  # PostgreSQL's
        with pytest.raises(StoreAway):
            await store.outbox.pause("crm", "why")
        async with other._database.write() as connection:
            await connection.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
        await store.outbox.pause("crm", "why")
        assert (await store.outbox.sink("crm")).paused == "why"


async def test_a_feed_that_the_next_server_does_not_know_is_made_known_again(where: str) -> None:
    """It took over, or was restored, without the last moments: the number of the feed that we knew means nothing."""
    async with Store(where) as store:
        seen = [Sighting("00Q000000000001AAA", NOON, "x", deleted=False, merged_into=None, fields=None)]

        async def commit() -> None:
            await store.feeds.commit_page("acme", "Lead", events=[], sightings=seen, marks=watermarks(), at=NOON)

        await commit()
        await store.feeds.count_sightings("acme", "Lead")
        async with store._database.write() as connection:
            await connection.execute(text("DELETE FROM feeds"))
        with pytest.raises(StoreWentBack, match="earlier state of acme/Lead"):
            await commit()
        await commit()
        assert await store.feeds.count_sightings("acme", "Lead") == 1


async def test_a_machine_that_is_gone_without_a_word_is_found_out_soon(where: str) -> None:
    """By itself, Linux would wait for a quarter of an hour where something was sent, and for ever where not."""
    async with Store(where) as store:
        connection = await store._door.connect()  # type: ignore[union-attr]  # PostgreSQL's
        line = connection._transport.get_extra_info("socket")
        wanted = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": 10_000}
        assert {name: line.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in wanted} == wanted
        assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        await connection.close()


class Silent:
    """A connection whose other end died without a word."""

    def __init__(self, *, listens: bool) -> None:
        self._listens = listens
        self.ended = False

    def add_termination_listener(self, _heard: object) -> None:
        """Never to be called."""

    async def add_listener(self, _channel: str, _heard: object) -> None:
        """Wait as long as one waits for a server, or think that it went well."""
        if not self._listens:
            raise TimeoutError

    async def fetchval(self, _query: str, *_values: object, timeout: float) -> bool:  # noqa: ASYNC109  # asyncpg's
        """Wait as long as one waits for a server."""
        assert timeout > 0
        raise TimeoutError

    def terminate(self) -> None:
        """Hang up."""
        self.ended = True


class Silents:
    """The way to three connections, of which nobody says that they are dead; then to none."""

    def __init__(self, *, listens: bool) -> None:
        self.made = [Silent(listens=listens) for _ in range(3)]
        self._next = iter(self.made)
        self.all_gone = asyncio.Event()

    async def connect(self) -> Silent:
        """Return the next one."""
        found = next(self._next, None)
        if found is None:
            self.all_gone.set()
            raise ConnectionError("there is no other")
        return found


@pytest.mark.parametrize("listens", [True, False])
async def test_a_line_that_died_without_a_word_is_replaced(*, listens: bool) -> None:
    """Where nobody sends, nobody learns of it: sinks would sleep through all that other processes find."""
    house, line, rung = Bells("us"), Silents(listens=listens), []
    house.listen(Bell.EVENTS, lambda: rung.append("events"))
    hearing = asyncio.create_task(bells.hear(line, house, FakeClock(), lambda: None))
    async with asyncio.timeout(30):
        await line.all_gone.wait()
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)
    assert all(one.ended for one in line.made)
    assert len(rung) == (3 if listens else 0), "whoever hears again looks at everything, and not before"


async def test_a_listener_that_stumbles_makes_nobody_deaf() -> None:
    """Its defect is told, and the line is made anew; without it this process would hear of nothing any more."""
    house, line = Bells("us"), Silents(listens=True)

    def stumble() -> None:
        raise ValueError("a defect")

    house.listen(Bell.EVENTS, stumble)
    with capture_logs() as told:
        hearing = asyncio.create_task(bells.hear(line, house, FakeClock(), lambda: None))
        async with asyncio.timeout(30):
            await line.all_gone.wait()
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
    assert [one["event"] for one in told if one["log_level"] == "error"] == ["store.bell_bug"] * 3


async def test_a_line_that_is_well_is_left_alone(where: str) -> None:
    """However often it is looked at."""
    async with Store(where) as store:
        begun: list[str] = []
        line, lives = store._door, 20
        done = asyncio.Event()

        class Ticks(FakeClock):
            async def sleep(self, seconds: float) -> None:
                nonlocal lives
                lives -= 1
                if lives == 0:
                    done.set()
                await super().sleep(seconds)

        hearing = asyncio.create_task(bells.hear(line, store.bells, Ticks(), lambda: begun.append("")))  # type: ignore[arg-type]  # PostgreSQL's
        async with asyncio.timeout(30):
            await done.wait()
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
        assert len(begun) == 1
