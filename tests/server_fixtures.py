"""Servers of our own as fixtures, one of each kind for a whole run, and certificates. How they start: ``servers.py``.

Loaded by ``conftest.py``; a server starts when the first test asks for it.
"""

from collections.abc import Iterator
from pathlib import Path

import certificates
import moto_process
import pytest
import servers
import stores
from certificates import Certificates
from servers import Server


@pytest.fixture(scope="session")
def some_certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A certificate authority for this run; other users may read it, as some servers must."""
    folder: Path = tmp_path_factory.mktemp("certificates")
    return certificates.make(folder)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """Redis."""
    with servers.redis() as server:
        yield server


@pytest.fixture(scope="session")
def nats_server() -> Iterator[Server]:
    """NATS with JetStream."""
    with servers.nats() as server:
        yield server


@pytest.fixture(scope="session")
def mosquitto_server() -> Iterator[Server]:
    """Mosquitto."""
    with servers.mosquitto() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_server(some_certificates: Certificates) -> Iterator[Server]:
    """RabbitMQ, also with TLS; it takes messages of up to two megabytes."""
    with servers.rabbitmq("max_message_size = 2000000", tls=some_certificates) as server:
        yield server


@pytest.fixture(scope="session")
def moto_server() -> Iterator[moto_process.Moto]:
    """A stand-in for AWS that lets everybody in."""
    with moto_process.moto() as server:
        yield server


@pytest.fixture(scope="session")
def guarded_moto_server() -> Iterator[moto_process.Moto]:
    """A stand-in for AWS that knows nobody."""
    with moto_process.moto(INITIAL_NO_AUTH_ACTION_COUNT="0") as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """PostgreSQL."""
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def store_server() -> Iterator[Server]:
    """PostgreSQL for stores: it need not survive a power cut, and each test has a database of its own in it."""
    with servers.postgres("fsync = off", "max_connections = 300") as server:
        yield server


@pytest.fixture(autouse=True)
def database_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where ``stores.url`` makes stores: in files, unless a test that is marked ``both_databases`` has its second run.

    For every test, and so before any other fixture: one that only some tests get by their mark would be left out.
    """
    kind: str = getattr(request, "param", stores.SQLITE)
    with stores.stores_in(request.getfixturevalue("store_server") if kind == stores.POSTGRESQL else None):
        yield kind


@pytest.fixture
def stores_on_postgresql(store_server: Server) -> Iterator[None]:
    """Have ``stores.url`` make databases; for state machines, which are classes that no mark can run twice."""
    with stores.stores_in(store_server):
        yield
